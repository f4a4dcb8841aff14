"""Loading processes that fail, die or are stuck: a line, and no waiting for ever."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from threading import Event, Thread

import pytest
import torch

from mcld.errors import MCLDError, StoppedError
from mcld.settings import Settings
from mcld.train import interrupt
from mcld.train.loop import train
from mcld.train.report import TrainReport
from tests.train.runs import with_train


def train_and(
    do: Callable[[], None], settings: Settings, on_report: Callable[[], None] = lambda: None
) -> None:
    """Train with two loading processes; after the second step, do something to them."""

    def report(now: TrainReport) -> None:
        on_report()
        if now.stage == "Training" and now.images == 8:
            do()

    train(with_train(settings, workers=2, images=4000), resume=False, report=report, say=print)


def signal_loading(number: int) -> None:
    """Send a signal to the processes that load."""
    loading = multiprocessing.active_children()
    assert len(loading) == 2
    for process in loading:
        os.kill(process.pid, number)


@pytest.fixture(autouse=True)
def _nobody_is_left():
    yield
    assert not multiprocessing.active_children()


def test_shared_memory_that_is_full_meanwhile_is_told(short, monkeypatch):
    def full(_: torch.Tensor) -> None:
        raise RuntimeError("unable to allocate shared memory(shm): No space left on device (28)")

    monkeypatch.setattr(torch.Tensor, "share_memory_", full)  # the forked processes have it too
    with pytest.raises(
        MCLDError, match=r"^/dev/shm, .* is full: give more, with .*train\.workers=0$"
    ):
        train_and(lambda: None, short)


def test_a_loading_process_that_is_killed_is_told(short):
    with pytest.raises(MCLDError, match=r"a process that loads pictures died, .* want of memory"):
        train_and(lambda: signal_loading(signal.SIGKILL), short)


@pytest.mark.parametrize("signals", [1, 2])
def test_a_signal_does_not_wait_for_loading_processes_that_are_stuck(short, monkeypatch, signals):
    monkeypatch.setattr(interrupt, "PATIENCE", 1 if signals == 1 else 600)
    monkeypatch.setattr(interrupt, "AGAIN", 0.1)

    reported, over = [time.monotonic()], Event()

    def send_signals() -> None:
        while time.monotonic() - reported[-1] < 2:  # batches that were loaded before are used up
            over.wait(0.1)
        for _ in range(signals):
            if not over.is_set():
                os.kill(os.getpid(), signal.SIGTERM)
                over.wait(1)

    def stop_them() -> None:
        signal_loading(signal.SIGSTOP)
        Thread(target=send_signals).start()

    try:
        with pytest.raises(StoppedError, match=r"^interrupted after 8 pictures that are saved"):
            train_and(stop_them, short, lambda: reported.append(time.monotonic()))
    finally:
        over.set()
