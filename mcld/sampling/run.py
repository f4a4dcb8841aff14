"""Many pictures: read ahead, painted in batches, written behind; a share in each process."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

import torch
from accelerate.utils import gather_object
from torch import Tensor

from mcld.conditions import FocalConditions
from mcld.errors import MCLDError, StoppedError
from mcld.machine.processes import ignore, processes, run_on_main
from mcld.model.attention import FocalContext
from mcld.pipeline_inputs import PipelineInputs
from mcld.sampling.device import choose_device
from mcld.sampling.open import OpenNetwork, OpenPipeline, open_pipeline
from mcld.sampling.paint import paint
from mcld.sampling.placement import explain_memory
from mcld.settings import SampleSettings, Settings

Job = TypeVar("Job")
"""What is asked for: one file, or some that belong together."""
Inputs = TypeVar("Inputs")
"""What a job reads."""

REASONS = 5
"""Jobs that could not be done and are named one by one."""


class PictureRun(ABC, Generic[Job, Inputs]):
    """The pictures of many jobs. `read` and `write` are called in several threads."""

    unit: ClassVar[str]
    """What jobs are called in messages."""
    focal: FocalContext | None = None
    """Of one person whom all pictures show, as `paint` has it; None where they are of several."""

    def __init__(self, opened: OpenPipeline, jobs: list[Job]) -> None:
        self.opened = opened
        self.jobs = jobs
        """All of them, done ones included."""

    @abstractmethod
    def begin(self, held: ExitStack) -> list[Job]:
        """Hold what no other run may work on, check what is there, clean up; in one process.

        Returns the jobs that have no picture yet.
        """

    @abstractmethod
    def name(self, job: Job) -> str:
        """What a job is called when it cannot be done."""

    @abstractmethod
    def seed(self, job: Job) -> int:
        """Of its starting noise."""

    @abstractmethod
    def read(self, job: Job) -> Inputs:
        """What is needed from disk. Raises an MCLDError for what cannot be used."""

    @abstractmethod
    def encode(self, inputs: list[Inputs]) -> list[FocalConditions]:
        """The conditions of one or more pictures of each job, which share their noise."""

    @abstractmethod
    def write(self, job: Job, inputs: Inputs, pictures: Tensor) -> None:
        """Write a job's pictures, float32 [N, 3, H, W] in 0..1, on the CPU."""


def run_many(
    make_run: Callable[[OpenPipeline, Callable[[str], None]], PictureRun[Job, Inputs]],
    weights: Path | None,
    settings: Settings,
    *,
    say: Callable[[str], None],
    on_job: Callable[[int, int], None],
    open_network: OpenNetwork = open_pipeline,
) -> int:
    """Make every picture that is not there yet; return how many jobs were done.

    A picture depends on its job, the seed and the settings alone. Under `accelerate launch` each
    process takes its share. Jobs that cannot be done are left out, and told at the end.

    Args:
        make_run: makes the run of an open pipeline; its second argument is `say`.
        weights: see `open_pipeline`.
        settings: `sample` and `scheduler` count here.
        say: told, in one line each, what the user should know.
        on_job: called with (jobs done, jobs to do) of the main process's share; both in the main
            process only.
        open_network: opens `weights`.

    Raises what `open_pipeline` and the run raise, and MCLDError when jobs could not be done.
    """
    state = processes()
    if not state.is_main_process:
        say, on_job = ignore, ignore
    options = settings.sample
    device = choose_device(options, state.device)
    opened = open_network(weights, settings, device, say)
    run = make_run(opened, say)
    with ExitStack() as held:
        left = run_on_main(state, lambda: run.begin(held))
        if len(left) < len(run.jobs):
            there = len(run.jobs) - len(left)
            say(f"{there:,} of {len(run.jobs):,} pictures are there already")
        share = left[state.process_index :: state.num_processes]
        with explain_memory(options, opened.options, device, options.batch_size):
            failed = _paint_batches(run, share, options, on_job)
        counts = gather_object([(len(share), failed)])
    reasons = [reason for _, failed in counts for reason in failed]
    if reasons:
        for reason in reasons[1:REASONS]:
            say(f"Left out: {reason}")
        total = sum(jobs for jobs, _ in counts)
        raise MCLDError(
            f"{len(reasons):,} of {total:,} {run.unit} could not be made; the first: {reasons[0]}"
        )
    return len(left)


def encode_in_one_batch(
    opened: OpenPipeline, inputs: list[PipelineInputs], rows: int
) -> FocalConditions:
    """The conditions of some jobs' people, `rows` of them encoded at once."""
    whole = PipelineInputs.cat(inputs)
    starts = range(0, len(whole.face), rows)
    return FocalConditions.cat([opened.pipeline.conditions(whole[k : k + rows]) for k in starts])


def _paint_batches(
    run: PictureRun[Job, Inputs],
    jobs: Sequence[Job],
    settings: SampleSettings,
    on_job: Callable[[int, int], None],
) -> list[str]:
    """Do all jobs batch by batch; return why some could not be done.

    The next batch is read, and the one before written, while this one is computed.
    """
    if not jobs:
        return []
    failed: list[str] = []
    size, done = settings.batch_size, 0
    batches = deque(jobs[start : start + size] for start in range(0, len(jobs), size))
    on_job(done, len(jobs))
    reading_and_writing = _pool(settings.workers, settings.threads or 1)
    with reading_and_writing as pool, _painting(run, settings) as paint_batch:
        reading: deque[list[tuple[Job, Future[Inputs]]]] = deque()
        writing: deque[Future[None]] = deque()
        while batches or reading:
            while batches and len(reading) < 2:
                reading.append([(job, pool.submit(run.read, job)) for job in batches.popleft()])
            readable = []
            for job, future in reading.popleft():
                try:
                    readable.append((job, future.result()))
                except MCLDError as error:
                    failed.append(f"{run.name(job)}: {error}")
            if not readable:
                continue
            for (job, inputs), pictures in zip(readable, paint_batch(readable), strict=True):
                writing.append(pool.submit(run.write, job, inputs, pictures))
            while len(writing) > 2 * size:
                writing.popleft().result()
            done += len(readable)
            on_job(done, len(jobs) - len(failed))
        for written in writing:
            written.result()
    return failed


@contextmanager
def _painting(
    run: PictureRun[Job, Inputs], settings: SampleSettings
) -> Iterator[Callable[[list[tuple[Job, Inputs]]], list[Tensor]]]:
    """What paints the pictures of a batch of jobs: on a GPU at once; on a CPU one job a core.

    A matrix product may round otherwise in another batch or another number of threads. On a CPU
    every job is therefore done alone and in one thread, or in `sample.threads`, which makes it the
    same to the bit whatever the batch size and the number of processes.
    """
    stopped = False  # once nobody waits any more for what other threads are computing

    def stop_if_unwanted(_done: int, _total: int) -> None:
        if stopped:
            raise StoppedError("interrupted")

    def paint_jobs(readable: list[tuple[Job, Inputs]], at_once: int) -> list[Tensor]:
        with torch.no_grad():
            conditions = run.encode([inputs for _, inputs in readable])
        counts = [len(c.pose) for c in conditions]
        seeds = [
            run.seed(job)
            for (job, _), count in zip(readable, counts, strict=True)
            for _ in range(count)
        ]
        pictures = paint(
            run.opened.pipeline,
            FocalConditions.cat(conditions),
            run.opened.options,
            seeds,
            at_once=at_once,
            on_step=stop_if_unwanted,
            focal=run.focal,
        )
        return list(torch.split(pictures, counts))

    if run.opened.device.type != "cpu":
        yield lambda readable: paint_jobs(readable, settings.batch_size)
        return
    threads = settings.threads or 1
    with _pool(max(torch.get_num_threads() // threads, 1), threads) as cores:
        try:
            yield lambda readable: [
                pictures for (pictures,) in cores.map(lambda one: paint_jobs([one], 1), readable)
            ]
        finally:
            stopped = True


@contextmanager
def _pool(count: int, threads: int = 1) -> Iterator[ThreadPoolExecutor]:
    """Threads that compute in `threads` each, and when the block raises begin nothing more."""
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(threads,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)
