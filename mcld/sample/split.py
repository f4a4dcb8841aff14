"""A whole split, into the folder of results that evaluation reads."""

import hashlib
import json
import os
import shlex
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from mcld import __version__
from mcld.conditions import FocalConditions
from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import read_iuv, read_text, write_png
from mcld.dataset.results import RESULT_SIZES, SETTINGS_FILE, result_file
from mcld.dataset.views import MOST_VIEWS, find_views, group_by_wearer, join_views
from mcld.errors import InputError, SettingsError
from mcld.machine.files import hash_file, make_folder, remove_unfinished, write_json
from mcld.machine.lock import hold_folder
from mcld.machine.processes import ignore, is_main
from mcld.networks.places import read_face_embedder
from mcld.person.person import Person
from mcld.person.prepared import check_prepared, read_prepared
from mcld.pipeline_inputs import PipelineInputs
from mcld.sample.request import SplitRequest
from mcld.sampling.background import finish_pictures
from mcld.sampling.inputs import read_inputs
from mcld.sampling.open import OpenPipeline
from mcld.sampling.paint import as_images
from mcld.sampling.record import make_provenance
from mcld.sampling.run import PictureRun, encode_in_one_batch, run_many
from mcld.settings import Settings

_CHANGED = "what they were made from has changed"
_UNNAMED = "they do not say what they were made from"
MADE_FROM = "files"
"""Where the record of a result names the files that it was made from."""


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
) -> int:
    """Sample every pair of a split that has no picture yet; return how many. See `run_many`.

    say: told, in one line each, what the user should know; on_picture: called with (pictures done,
    pictures to do) of the main process's share; both in the main process only.

    Raises SettingsError when the folder holds pictures of other settings, and InputError,
    WeightsError or MCLDError for what else the user can mend.
    """
    told = say if is_main() else ignore
    faces = read_face_embedder(request.weights, settings) == "arcface"
    check_prepared(DatasetLayout(request.dataset), settings.prepare, told, faces=faces)
    pairs = _find_prepared_pairs(request, told)

    def make_run(opened: OpenPipeline, say: Callable[[str], None]) -> SplitRun:
        return SplitRun(request, pairs, opened, settings.sample.seed, say)

    return run_many(make_run, request.weights, settings, say=say, on_job=on_picture)


class ReadPair(NamedTuple):
    """A pair as it was read."""

    source: Person
    pose: NDArray[np.uint8]
    """IUV map [H, W, 3] of the target."""
    inputs: PipelineInputs


class SplitRun(PictureRun[Pair, ReadPair]):
    """Every pair of a split of which all is prepared."""

    unit = "pairs"

    def __init__(
        self,
        request: SplitRequest,
        pairs: list[Pair],
        opened: OpenPipeline,
        seed: int,
        say: Callable[[str], None],
    ) -> None:
        self.split, self.save_path = request.split, request.save_path
        self.say = say
        self._hash_file = cache(hash_file)
        # Of the pairs that are read and not written yet
        self._made_from: dict[Pair, str] = {}
        self.layout = DatasetLayout(request.dataset)
        self._keeps_background = opened.options.keep == "background"
        self._is_refined = opened.pipeline.refiner is not None
        self._say_once = cache(say)
        if self.layout.face_embedder != opened.pipeline.config.face_embedder == "arcface":
            say(
                f"The faces of {request.dataset} are of another kind than the network knows:"
                " left open"
            )
        super().__init__(opened, pairs)
        gathered = self.layout.is_gathered
        self._groups = group_by_wearer(_list_prepared(self.layout, self.split)) if gathered else {}
        self.record: dict[str, Any] = {
            "dataset": str(request.dataset.resolve()),
            "split": request.split,
            "seed": seed,
            "weights": opened.weights,
            **opened.options.record(),
            **({"gather": True} if gathered else {}),
        }

    def begin(self, held: ExitStack) -> list[Pair]:
        """Hold the folder of the results, clean it, check that it is of the same settings."""
        held.enter_context(hold_folder(make_folder(self.save_path)))
        remove_unfinished(self.save_path)
        _check_settings(self.save_path, self.record)
        with ThreadPoolExecutor() as pool:
            states = list(pool.map(self._judge, self.jobs))
        for reason in (_CHANGED, _UNNAMED):
            if count := states.count(reason):
                self.say(f"made again, because {reason}: {count:,} of the pictures")
        return [job for job, state in zip(self.jobs, states, strict=True) if state is not None]

    def _judge(self, job: Pair) -> str | None:
        """Why a pair's pictures are to be made; None where they are there and as they should be."""
        named = set()
        for folder in RESULT_SIZES:
            path = job.result(self.save_path, folder)
            if not path.exists():
                return "one is missing"
            try:
                named.add(json.loads(read_text(path)["mcld"])[MADE_FROM])
            except (InputError, KeyError, ValueError, TypeError):
                return _UNNAMED
        try:
            now = self.hash_inputs(job)
        except OSError:
            return "a file is missing"  # which reading it will tell
        return None if named == {now} else _CHANGED

    def hash_inputs(self, job: Pair) -> str:
        """What tells the files that a pair's picture is made from, from others: 16 hex digits."""
        layout, split, views = self.layout, self.split, self._find_views(job)
        # Their own map tells what is behind the source, and which pixel shows what.
        mapped = self._keeps_background or self._is_refined or len(views) > 1
        parts = [layout.image, layout.texture, *([layout.densepose] if mapped else [])]
        files = [part(split, view) for view in views for part in parts]
        files += [face for view in views if (face := layout.face(split, view)).exists()]
        files.append(layout.densepose(split, job.target))
        hashes = "".join(map(self._hash_file, files))
        return hashlib.sha256(hashes.encode()).hexdigest()[:16]

    def _find_views(self, job: Pair) -> list[str]:
        """The source, and what else is gathered with it."""
        return find_views(self._groups, job.source, job.target)[:MOST_VIEWS]

    def name(self, job: Pair) -> str:
        """Both stems."""
        return f"{job.source} to {job.target}"

    def seed(self, job: Pair) -> int:
        """The pair's own."""
        return job.seed(self.record["seed"])

    def read(self, job: Pair) -> ReadPair:
        """The source's picture with all that was prepared of it, and the target's pose."""
        self._made_from[job] = self.hash_inputs(job)
        known = self.opened.pipeline.config.face_embedder
        views = join_views(self._find_views(job))
        source = read_prepared(self.layout, self.split, views, known, self._say_once)
        pose = read_iuv(self.layout.densepose(self.split, job.target))
        inputs = read_inputs(self.opened.pipeline, [source], pose, self.opened.options)
        return ReadPair(source, pose, inputs)

    def encode(self, inputs: list[ReadPair]) -> list[FocalConditions]:
        """One picture a pair."""
        conditions = encode_in_one_batch(self.opened, [i.inputs for i in inputs], len(inputs))
        return [conditions[k : k + 1] for k in range(len(inputs))]

    def write(self, job: Pair, inputs: ReadPair, pictures: torch.Tensor) -> None:
        """Write the picture at both sizes."""
        if self._keeps_background:
            (kept,) = finish_pictures(
                as_images(pictures), inputs.source, inputs.pose, self.opened.options
            )
            pictures = torch.from_numpy(np.array(kept)).movedim(-1, 0)[None] / 255
        pair = {"source": job.source, "pose": job.target, MADE_FROM: self._made_from.pop(job)}
        made = make_provenance({**pair, **self.record}, self.opened.signer)
        for folder, size in RESULT_SIZES.items():
            resized = functional.interpolate(
                pictures, size, mode="bicubic", antialias=True, align_corners=False
            )
            pixels = (resized[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0)
            write_png(job.result(self.save_path, folder), pixels.numpy(), made)


def _find_prepared_pairs(request: SplitRequest, say: Callable[[str], None]) -> list[Pair]:
    """The pairs of which everything is there, each once, in the order of their table."""
    layout, split = DatasetLayout(request.dataset), request.split
    wanted = [Pair(a.removesuffix(".jpg"), b.removesuffix(".jpg")) for a, b in request.pairs]
    wanted = list(dict.fromkeys(wanted))
    poses = _list_stems(layout.densepose(split, "x").parent)
    sources = set(_list_prepared(layout, split))
    pairs = [pair for pair in wanted if pair.source in sources and pair.target in poses]
    if not pairs:
        raise InputError(
            f"{layout.pairs_file(split)} names no pair of prepared pictures: run `mcld prepare"
            f" {shlex.quote(str(layout.root))}` to the end"
        )
    if len(pairs) < len(wanted):
        say(f"{len(wanted) - len(pairs):,} of {len(wanted):,} pairs are not prepared: left out")
    return pairs[: request.limit]


def _list_prepared(layout: DatasetLayout, split: str) -> list[str]:
    """The pictures that have all that a source needs."""
    parts = (layout.image, layout.densepose, layout.texture)
    return sorted(set.intersection(*(_list_stems(part(split, "x").parent) for part in parts)))


def _list_stems(folder: Path) -> set[str]:
    return {Path(entry.name).stem for entry in os.scandir(folder)} if folder.is_dir() else set()


def _check_settings(save_path: Path, record: dict[str, Any]) -> None:
    """Write the settings beside the results, or raise SettingsError when others lie there."""
    path = save_path / SETTINGS_FILE
    if path.exists():
        try:
            earlier = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read: {error}") from error
        changed = [
            f"{name} was {earlier.get(name)}, now {record.get(name)}"
            for name in {**record, **earlier}
            if name != "version" and earlier.get(name) != record.get(name)
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
    write_json(path, {**record, "version": __version__})
