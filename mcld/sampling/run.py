"""Many pictures: read ahead, sampled in batches, written behind."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from mcld.conditions import FocalConditions
from mcld.errors import MCLDError, StoppedError
from mcld.pipeline import MCLDPipeline
from mcld.settings import SampleSettings

Inputs = TypeVar("Inputs")
"""What a work reads."""


@dataclass(frozen=True)
class Work(Generic[Inputs]):
    """One file to make. `read` and `write` are called in several threads."""

    name: str
    """What it is called when it cannot be made."""
    seed: int
    """Of its starting noise."""
    read: Callable[[], Inputs]
    """What is needed from disk. Raises an MCLDError for what cannot be used."""
    write: Callable[[Inputs, Tensor], None]
    """Takes the pictures, float32 [N, 3, H, W] in 0..1, on the CPU."""


_Readable = list[tuple[Work[Inputs], Inputs]]


class Batches(Generic[Inputs]):
    """Makes pictures in a pipeline that has been brought to its place.

    Args:
        pipeline: the networks.
        encode: turns what some works have read into the conditions of one or more pictures each;
            the pictures of a work share their noise.
        options: batch size and workers count.
        record: how pictures are sampled (`how_sampled`).
        device: where the pipeline is.
    """

    def __init__(
        self,
        pipeline: MCLDPipeline,
        encode: Callable[[list[Inputs]], list[FocalConditions]],
        options: SampleSettings,
        record: dict[str, Any],
        device: torch.device,
    ) -> None:
        self.pipeline = pipeline
        self.encode = encode
        self.options = options
        self.record = record
        self.device = device
        self.size = record["height"], record["width"]
        self.threads = torch.get_num_threads()
        self.ended = False
        """Set when nobody waits any more for the pictures that other threads are computing."""

    def make(self, works: Sequence[Work[Inputs]], on_done: Callable[[int, int], None]) -> list[str]:
        """Do all works batch by batch; return why some could not be done.

        The next batch is read, and the one before written, while this one is computed.

        on_done: called with (works done, works that can be done).
        """
        if not works:
            return []
        failed: list[str] = []
        size = self.options.batch_size
        batches = deque(works[start : start + size] for start in range(0, len(works), size))
        done = 0
        on_done(done, len(works))
        with _pool(self.options.workers) as pool, self._computing() as compute:
            reading: deque[list[tuple[Work[Inputs], Future[Inputs]]]] = deque()
            writing: deque[Future[None]] = deque()
            while batches or reading:
                while batches and len(reading) < 2:
                    batch = batches.popleft()
                    reading.append([(work, pool.submit(work.read)) for work in batch])
                readable = []
                for work, future in reading.popleft():
                    try:
                        readable.append((work, future.result()))
                    except MCLDError as error:
                        failed.append(f"{work.name}: {error}")
                if not readable:
                    continue
                made = compute(readable)
                for (work, inputs), pictures in zip(readable, made, strict=True):
                    writing.append(pool.submit(work.write, inputs, pictures))
                while len(writing) > 2 * size:
                    writing.popleft().result()
                done += len(readable)
                on_done(done, len(works) - len(failed))
            for written in writing:
                written.result()
        return failed

    @contextmanager
    def _computing(self) -> Iterator[Callable[[_Readable[Inputs]], list[Tensor]]]:
        """What makes the pictures of a batch: on a GPU at once; on a CPU one work a core.

        A matrix product may round otherwise in another batch or another number of threads. On a
        CPU every work is therefore done alone and in one thread, which makes it the same to the
        bit whatever the batch size and the number of processes.
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

    @torch.no_grad()
    def _pictures(self, readable: _Readable[Inputs]) -> list[Tensor]:
        """The pictures of each work, float32 [N, 3, H, W] in 0..1, on the CPU."""
        pipeline = self.pipeline
        conditions = self.encode([inputs for _, inputs in readable])
        counts = [len(c.pose) for c in conditions]
        generators = [
            torch.Generator().manual_seed(work.seed)
            for (work, _), count in zip(readable, counts, strict=True)
            for _ in range(count)
        ]
        whole = FocalConditions.cat(conditions)
        # A work of many pictures is not more than memory holds.
        rows = 1 if self.device.type == "cpu" else self.options.batch_size
        made = []
        for start in range(0, len(generators), rows):
            some = generators[start : start + rows]
            some_conditions = whole[start : start + rows]
            latents = pipeline.denoise(
                some_conditions,
                pipeline.starting_noise(len(some), *self.size, some, None),
                self.record["num_inference_steps"],
                self.record["guidance_scale"],
                generator=some,
                callback_on_step_end=self._after_step,
            )
            decoded = pipeline.pictures_of(latents, some_conditions.pose)
            made.append((decoded.float() / 2 + 0.5).clamp(0, 1).cpu())
        return list(torch.split(torch.cat(made), counts))

    def _after_step(
        self, _: MCLDPipeline, __: int, ___: int, state: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        if self.ended:
            raise StoppedError("interrupted")
        return state


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
