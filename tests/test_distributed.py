"""Several processes: they end together."""

import os
import subprocess
import sys
from pathlib import Path

RUN = """
import atexit

import torch


def left():
    assert torch.distributed.is_initialized() is False, "the group outlives the run"
    print("ended", flush=True)


atexit.register(left)  # called last

from mcld.distributed import agreed, processes

state = processes()
assert state.num_processes == 2
assert agreed(state, lambda: 7) == 7
"""


def test_processes_end_their_group_before_python_ends(tmp_path: Path) -> None:
    # PyTorch aborts now and then when they do not: pytorch/pytorch#190489.
    script = tmp_path / "run.py"
    script.write_text(RUN)
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", script],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("ended") == 2
    assert "AssertionError" not in done.stderr
