"""A whole split, into the folder of results that evaluation reads."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from PIL import Image
from torch.nn import functional

from mcld import __version__
from mcld.conditions import FocalConditions
from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import read_face, read_image, read_iuv, write_png
from mcld.dataset.results import RESULT_SIZES, SETTINGS_FILE, result_file
from mcld.errors import InputError, MCLDError, SettingsError
from mcld.machine.files import made_folder, remove_unfinished, written_whole
from mcld.machine.lock import only_run
from mcld.machine.processes import ignore, processes, run_on_main
from mcld.networks.folders import chosen_pipeline
from mcld.pipeline import MCLDPipeline, PipelineInputs
from mcld.sample.request import SplitRequest
from mcld.sampling.placement import chosen_device, memory_explained, place
from mcld.sampling.record import hash_of, how_sampled, png_text
from mcld.sampling.run import Batches, Work
from mcld.settings import Settings


@dataclass(frozen=True)
class Pair:
    """Two pictures of a split, by their stems."""

    source: str
    target: str

    def result(self, save_path: Path, folder: str) -> Path:
        """The pair's file in a folder of `RESULT_SIZES`."""
        return result_file(save_path, folder, self.source, self.target)

    def seed(self, seed: int) -> int:
        """The seed of the pair's noise, which no other pair shares."""
        digest = hashlib.sha256(f"{seed}/{self.source}/{self.target}".encode()).digest()
        return int.from_bytes(digest[:8]) >> 1


def sample_split(
    request: SplitRequest,
    settings: Settings,
    *,
    say: Callable[[str], None],
    on_picture: Callable[[int, int], None],
) -> None:
    """Sample every pair of a split that has no picture yet.

    A picture depends on its pair, the seed and the settings alone. Under `accelerate launch` each
    process takes its share. Pairs that cannot be read are left out and told at the end.

    say: told, in one line each, what the user should know; on_picture: called with (pictures done,
    pictures to do) of the main process's share; both in the main process only.

    Raises SettingsError when the folder holds pictures of other settings, and InputError,
    WeightsError or MCLDError for what else the user can mend.
    """
    request.check()
    state = processes()
    first = state.is_main_process
    if not first:
        say, on_picture = ignore, ignore
    options = settings.sample
    device = chosen_device(options, state.device)
    layout = DatasetLayout(request.dataset)
    pairs = _prepared_pairs(layout, request, say)
    pipeline = chosen_pipeline(request.weights, settings, say)
    weights = hash_of(pipeline)
    place(pipeline, settings, device)
    record = {
        "dataset": str(request.dataset.resolve()),
        "split": request.split,
        "seed": options.seed,
        "weights": weights,
        **how_sampled(pipeline, options),
    }
    with ExitStack() as held:
        left = run_on_main(state, lambda: _begin(request.save_path, record, pairs, held))
        if len(left) < len(pairs):
            say(f"{len(pairs) - len(left):,} of {len(pairs):,} pictures are there already")
        todo = left[state.process_index :: state.num_processes]
        works = [_work(pair, request, layout, pipeline, record) for pair in todo]

        def encode(inputs: list[PipelineInputs]) -> list[FocalConditions]:
            conditions = pipeline.conditions(PipelineInputs.cat(inputs))
            return [conditions[k : k + 1] for k in range(len(inputs))]

        with memory_explained(options, pipeline, options.batch_size):
            failed = Batches(pipeline, encode, options, record, device).make(works, on_picture)
        counts = gather_object([(len(todo), failed)])
    reasons = [reason for _, failed in counts for reason in failed]
    if reasons:
        total = sum(pairs for pairs, _ in counts)
        raise MCLDError(
            f"{len(reasons):,} of {total:,} pairs could not be sampled; the first: {reasons[0]}"
        )


def _begin(
    save_path: Path, record: dict[str, Any], pairs: list[Pair], held: ExitStack
) -> list[Pair]:
    """Hold the folder of the results, clean it, and check that it is of the same settings.

    Returns the pairs that have no picture yet.
    """
    held.enter_context(only_run(made_folder(save_path)))
    remove_unfinished(save_path)
    _check_resumed(save_path, record)
    return [pair for pair in pairs if not _done(pair, save_path)]


def _work(
    pair: Pair,
    request: SplitRequest,
    layout: DatasetLayout,
    pipeline: MCLDPipeline,
    record: dict[str, Any],
) -> Work[PipelineInputs]:
    split = request.split

    def read() -> PipelineInputs:
        face = layout.face(split, pair.source)
        iuv = read_iuv(layout.densepose(split, pair.target))
        return pipeline.inputs(
            [Image.fromarray(read_image(layout.image(split, pair.source)))],
            [Image.fromarray(read_image(layout.texture(split, pair.source)))],
            [Image.fromarray(np.ascontiguousarray(iuv[..., ::-1]))],
            torch.from_numpy(read_face(face))[None] if face.exists() else None,
            record["height"],
            record["width"],
        )

    def write(_: PipelineInputs, pictures: torch.Tensor) -> None:
        text = png_text({"source": pair.source, "pose": pair.target, **record})
        for folder, size in RESULT_SIZES.items():
            resized = functional.interpolate(
                pictures, size, mode="bicubic", antialias=True, align_corners=False
            )
            pixels = (resized[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0)
            write_png(pair.result(request.save_path, folder), pixels.numpy(), text)

    name = f"{pair.source} to {pair.target}"
    return Work(name, pair.seed(record["seed"]), read, write)


def _prepared_pairs(
    layout: DatasetLayout, request: SplitRequest, say: Callable[[str], None]
) -> list[Pair]:
    """The pairs of which everything is there, each once, in the order of their table."""
    split = request.split
    wanted = [Pair(a.removesuffix(".jpg"), b.removesuffix(".jpg")) for a, b in layout.pairs(split)]
    wanted = list(dict.fromkeys(wanted))
    images = _stems(layout.image(split, "x").parent)
    textures = _stems(layout.texture(split, "x").parent)
    poses = _stems(layout.densepose(split, "x").parent)
    sources = images & textures
    pairs = [pair for pair in wanted if pair.source in sources and pair.target in poses]
    if not pairs:
        raise InputError(
            f"{layout.pairs_file(split)} names no pair of prepared pictures: run `mcld prepare"
            f" {layout.root}` to the end"
        )
    if len(pairs) < len(wanted):
        say(f"{len(wanted) - len(pairs):,} of {len(wanted):,} pairs are not prepared: left out")
    return pairs[: request.limit]


def _stems(folder: Path) -> set[str]:
    return {Path(entry.name).stem for entry in os.scandir(folder)} if folder.is_dir() else set()


def _done(pair: Pair, save_path: Path) -> bool:
    return all(pair.result(save_path, folder).exists() for folder in RESULT_SIZES)


def _check_resumed(save_path: Path, record: dict[str, Any]) -> None:
    """Write the settings beside the results, or raise SettingsError when others lie there."""
    path = save_path / SETTINGS_FILE
    if path.exists():
        try:
            earlier = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read: {error}") from error
        changed = [
            f"{name} was {earlier.get(name)}, now {value}"
            for name, value in record.items()
            if earlier.get(name) != value
        ]
        if changed:
            raise SettingsError(
                f"{save_path} holds pictures of other settings: {'; '.join(changed)}. Give another"
                " --save-path, or the same settings"
            )
        return
    if any((save_path / folder).exists() for folder in RESULT_SIZES):
        raise SettingsError(
            f"{save_path} holds pictures, and no {SETTINGS_FILE} that tells how they were made:"
            " give another --save-path"
        )
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps({**record, "version": __version__}, indent=2) + "\n")
