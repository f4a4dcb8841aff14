"""Several processes: they end together."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mcld.errors import SettingsError
from mcld.machine.processes import count_processes, is_main, runs_on_cpu, take_share

RUN = """
import atexit

import torch


def left():
    assert torch.distributed.is_initialized() is False, "the group outlives the run"
    print("ended", flush=True)


atexit.register(left)  # called last

from mcld.machine.processes import run_on_main, processes

state = processes()
assert state.num_processes == 2
assert run_on_main(state, lambda: 7) == 7


def refuse():
    raise InputError("what the first process found")


from mcld.errors import InputError

try:
    run_on_main(state, refuse)
except InputError as error:
    print(error, flush=True)
"""


FAILING = """
from mcld.machine.processes import run_on_main, processes

state = processes()
assert state.num_processes == 2
run_on_main(state, lambda: 7)
if not state.is_main_process:
    raise RuntimeError("this one fails")
run_on_main(state, lambda: 7)
"""


def launched(script: Path, text: str) -> subprocess.CompletedProcess[str]:
    script.write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", script],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_all_processes_know_what_the_first_found_and_end_their_group_before_python_ends(
    tmp_path: Path,
) -> None:
    # PyTorch aborts now and then when they do not: pytorch/pytorch#190489.
    done = launched(tmp_path / "run.py", RUN)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("ended") == 2
    assert done.stdout.count("what the first process found") == 2
    assert "AssertionError" not in done.stderr


def test_a_process_that_fails_ends_those_that_wait_for_it(tmp_path: Path) -> None:
    done = launched(tmp_path / "run.py", FAILING)
    assert done.returncode == 1
    assert "this one fails" in done.stderr


def test_accelerate_can_be_told_to_leave_the_accelerator_alone(monkeypatch) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    assert not runs_on_cpu()
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")  # as `accelerate launch --cpu` does
    assert runs_on_cpu()


LEFT_OVER = {
    "WORLD_SIZE": "2",
    "RANK": "0",
    "LOCAL_RANK": "0",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29563",
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_process_whose_others_never_come_says_so_and_can_be_ended(number):
    script = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "signal.signal(signal.SIGTERM, lambda *_: None);"
        "from mcld.machine.processes import processes; processes()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, **LEFT_OVER, "MASTER_PORT": str(29563 + number)},
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stderr
        line = next(line for line in running.stderr if "process" in line)
        running.send_signal(number)
        assert running.wait(timeout=30) == -number
    assert line.startswith("process 1 of 2 waits for the others at 127.0.0.1:295")


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"WORLD_SIZE": "2"}, "RANK is not set"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE=two is no number"),
        ({**LEFT_OVER, "RANK": "2"}, "RANK=2 of WORLD_SIZE=2"),
    ],
)
def test_variables_of_a_launcher_that_contradict_each_other_are_refused(
    monkeypatch, variables, told
):
    for name in LEFT_OVER:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=told):
        count_processes()


def test_a_rank_alone_makes_no_process_silent(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setenv("RANK", "1")
    assert is_main()


@pytest.mark.parametrize(
    "variables",
    [
        {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"},
        {"LOCAL_RANK": "1"},
        {"WORLD_SIZE": "", "RANK": "", "LOCAL_RANK": ""},
        {"WORLD_SIZE": "0", "RANK": "0", "LOCAL_RANK": "0"},
    ],
)
def test_left_over_variables_of_one_process_do_not_matter(variables):
    clean = {name: value for name, value in os.environ.items() if name not in LEFT_OVER}
    script = "from mcld.machine.processes import processes; print(processes().num_processes)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**clean, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "1\n", done.stderr


@pytest.mark.parametrize(("items", "count"), [(0, 2), (1, 3), (16, 2), (100, 3), (1000, 7)])
def test_processes_share_everything_once_in_blocks_and_about_equally(items, count):
    states = [SimpleNamespace(process_index=k, num_processes=count) for k in range(count)]
    shares = [take_share(range(items), state) for state in states]
    assert sorted(item for share in shares for item in share) == list(range(items))
    assert max(map(len, shares)) - min(map(len, shares)) <= 16
    assert all(share == sorted(share) for share in shares)
    # What is left of a run that was broken off is shared as well
    left = [sum(item >= items // 2 for item in share) for share in shares]
    assert max(left) - min(left) <= 16
