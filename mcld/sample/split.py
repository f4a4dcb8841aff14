"""A whole split, into the folder of results that evaluation reads."""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate.utils import broadcast_object_list, gather_object
from PIL import Image
from torch.nn import functional

from mcld import __version__
from mcld.dataset.layout import SPLITS, DatasetLayout
from mcld.dataset.pictures import read_face, read_image, read_iuv, write_png
from mcld.dataset.results import RESULT_SIZES, SETTINGS_FILE, result_file
from mcld.distributed import PATIENCE, on_cpu
from mcld.errors import InputError, MCLDError, SettingsError, StoppedError
from mcld.files import made_folder, remove_unfinished, written_whole
from mcld.lock import only_run
from mcld.pipeline import EMBEDDED, PipelineInputs
from mcld.pretrained import load_weights
from mcld.sample.placement import chosen_device, memory_explained, place
from mcld.sample.record import hash_of, how_sampled, png_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from accelerate import PartialState

    from mcld.pipeline import MCLDPipeline
    from mcld.settings import Settings


@dataclass(frozen=True)
class SplitRequest:
    """What to sample."""

    dataset: Path
    split: str
    save_path: Path
    """Folder of the results: 256/ and 512/ are made in it."""
    weights: Path | None = None
    """A pipeline folder, or one of the four files of the authors' layout; None: the embedded."""
    limit: int | None = None
    """Only so many pairs; None: all."""


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
    from accelerate import PartialState

    if request.split not in SPLITS:
        raise SettingsError(f"--split {request.split}: there are {' and '.join(SPLITS)}")
    state = PartialState(cpu=on_cpu(), timeout=PATIENCE)
    first = state.is_main_process
    if not first:
        say, on_picture = _ignore, _ignore
    options = settings.sample
    device = chosen_device(options, state.device)
    layout = DatasetLayout(request.dataset)
    pairs = _prepared_pairs(layout, request, say)
    if request.weights is None:
        say("Using the embedded mannequin network; give --weights for your own.")
    pipeline = load_weights(request.weights or EMBEDDED, settings)
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
        _agreed(state, lambda: _begin(request.save_path, record, held))
        share = pairs[state.process_index :: state.num_processes]
        todo = [pair for pair in share if not _done(pair, request.save_path)]
        if len(todo) < len(share):
            say(f"{len(share) - len(todo):,} of {len(share):,} pictures are there already")
        run = _Run(pipeline, settings, layout, request, record, device)
        with memory_explained(options, pipeline, options.batch_size):
            failed = run.sample(todo, on_picture)
        counts = gather_object([(len(todo), failed)])
    reasons = [reason for _, failed in counts for reason in failed]
    if reasons:
        total = sum(pairs for pairs, _ in counts)
        raise MCLDError(
            f"{len(reasons):,} of {total:,} pairs could not be sampled; the first: {reasons[0]}"
        )


def _begin(save_path: Path, record: dict[str, Any], held: ExitStack) -> None:
    """Hold the folder of the results, clean it, and check that it is of the same settings."""
    held.enter_context(only_run(made_folder(save_path)))
    remove_unfinished(save_path)
    _check_resumed(save_path, record)


def _agreed(state: PartialState, work: Callable[[], None]) -> None:
    """Let the main process do something first; an MCLDError there is raised in all processes."""
    errors: list[MCLDError | None] = [None]
    if state.is_main_process:
        try:
            work()
        except MCLDError as error:
            errors = [error]
    (found,) = broadcast_object_list(errors)
    if found is not None:
        raise found


_Readable = list[tuple[Pair, PipelineInputs]]


class _Run:
    """One process's share."""

    def __init__(
        self,
        pipeline: MCLDPipeline,
        settings: Settings,
        layout: DatasetLayout,
        request: SplitRequest,
        record: dict[str, Any],
        device: torch.device,
    ) -> None:
        self.pipeline = pipeline
        self.device = device
        self.options = settings.sample
        self.layout = layout
        self.request = request
        self.record = record
        self.size = record["height"], record["width"]
        self.threads = torch.get_num_threads()
        self.ended = False
        """Set when nobody waits any more for the pictures that other threads are computing."""

    def sample(self, pairs: list[Pair], on_picture: Callable[[int, int], None]) -> list[str]:
        """Sample pairs batch by batch; return why some could not be.

        The next batch is read, and the one before written, while this one is computed.
        """
        failed: list[str] = []
        size = self.options.batch_size
        batches = deque(pairs[start : start + size] for start in range(0, len(pairs), size))
        done = 0
        on_picture(done, len(pairs))
        with _pool(self.options.workers) as pool, self._computing() as compute:
            reading: deque[list[tuple[Pair, Future[PipelineInputs]]]] = deque()
            writing: deque[Future[None]] = deque()
            while batches or reading:
                while batches and len(reading) < 2:
                    batch = batches.popleft()
                    reading.append([(pair, pool.submit(self._read, pair)) for pair in batch])
                readable = []
                for pair, future in reading.popleft():
                    try:
                        readable.append((pair, future.result()))
                    except InputError as error:
                        failed.append(f"{pair.source} to {pair.target}: {error}")
                if not readable:
                    continue
                pictures = compute(readable)
                for (pair, _), picture in zip(readable, pictures, strict=True):
                    writing.append(pool.submit(self._write, pair, picture))
                while len(writing) > 2 * size:
                    writing.popleft().result()
                done += len(readable)
                on_picture(done, len(pairs) - len(failed))
            for written in writing:
                written.result()
        return failed

    @contextmanager
    def _computing(self) -> Iterator[Callable[[_Readable], Any]]:
        """What makes the pictures of a batch: on a GPU at once; on a CPU one picture a core.

        A matrix product may round otherwise in another batch or another number of threads. On a
        CPU every picture is therefore computed alone and in one thread, which makes it the same to
        the bit whatever the batch size and the number of processes.
        """
        if self.device.type != "cpu":
            yield self._pictures
            return
        with _pool(self.threads) as cores:
            try:
                yield lambda readable: [
                    pictures[0] for pictures in cores.map(self._pictures, [[r] for r in readable])
                ]
            finally:
                self.ended = True

    def _read(self, pair: Pair) -> PipelineInputs:
        split, layout = self.request.split, self.layout
        face = layout.face(split, pair.source)
        iuv = read_iuv(layout.densepose(split, pair.target))
        return self.pipeline.inputs(
            [Image.fromarray(read_image(layout.image(split, pair.source)))],
            [Image.fromarray(read_image(layout.texture(split, pair.source)))],
            [Image.fromarray(np.ascontiguousarray(iuv[..., ::-1]))],
            torch.from_numpy(read_face(face))[None] if face.exists() else None,
            *self.size,
        )

    @torch.no_grad()
    def _pictures(self, readable: _Readable) -> torch.Tensor:
        """Float32 [B, 3, H, W] in 0..1, on the CPU."""
        pipeline = self.pipeline
        generators = [
            torch.Generator().manual_seed(pair.seed(self.options.seed)) for pair, _ in readable
        ]
        latents = pipeline.denoise(
            pipeline.conditions(PipelineInputs.cat([inputs for _, inputs in readable])),
            pipeline.starting_noise(len(readable), *self.size, generators, None),
            self.record["num_inference_steps"],
            self.record["guidance_scale"],
            generator=generators,
            callback_on_step_end=self._after_step,
        )
        return (pipeline.pictures_of(latents).float() / 2 + 0.5).clamp(0, 1).cpu()

    def _after_step(
        self, _: MCLDPipeline, __: int, ___: int, state: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        if self.ended:
            raise StoppedError("interrupted")
        return state

    def _write(self, pair: Pair, picture: torch.Tensor) -> None:
        text = png_text({"source": pair.source, "pose": pair.target, **self.record})
        for folder, size in RESULT_SIZES.items():
            resized = functional.interpolate(
                picture[None], size, mode="bicubic", antialias=True, align_corners=False
            )
            pixels = (resized[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0)
            write_png(pair.result(self.request.save_path, folder), pixels.numpy(), text)


@contextmanager
def _pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that start none of their own, and when the block raises begin nothing more."""
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)


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


def _ignore(*_: object) -> None:
    """What the processes do with reports that only the main one gives."""
