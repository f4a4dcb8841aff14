"""Checkpoints of a network that FSDP shards are those of a whole one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers.training_utils import EMAModel
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from mcld.machine.processes import gather_whole
from mcld.settings import load_settings
from mcld.train import checkpoint
from mcld.train.start import new_pipeline
from tests.conftest import TINY


def take_steps(folder: Path, steps: int, *, sharded: bool) -> None:
    """Go on from the newest checkpoint in `folder`, if there is one; write one behind `steps`."""
    network = new_pipeline(load_settings(None, TINY)).network
    network.to(memory_format=torch.contiguous_format if sharded else torch.channels_last)
    if sharded:
        fully_shard(network, mesh=init_device_mesh("cpu", (2,)))
    parameters = list(network.parameters())
    optimizer = torch.optim.AdamW(parameters, 1e-2, fused=True)
    ema = EMAModel(parameters, 0.9)
    state = checkpoint.State(network, optimizer, ema, None)
    first = 0
    if checkpoint.checkpoints(folder):
        first = checkpoint.load_newest(folder, state, print)
        assert all(isinstance(p, DTensor) == sharded for p in network.parameters())
    for step in range(first, steps):
        for row, parameter in enumerate(parameters):
            parameter.grad = torch.sin(parameter.detach() * (row + 1) + step)
        optimizer.step()
        ema.step(parameters)
    main = not sharded or torch.distributed.get_rank() == 0
    checkpoint.save(folder, steps, state, keep=9, main=main)
    ema.copy_to(parameters)
    weights = gather_whole(network.state_dict())
    if main:
        torch.save(weights, folder / "averaged.pt")


@pytest.mark.parametrize("order", [["whole", "sharded"], ["sharded", "whole"]], ids="-".join)
def test_a_run_goes_on_with_or_without_sharding(tmp_path: Path, order: list[str]) -> None:
    straight, changing = tmp_path / "straight", tmp_path / "changing"
    straight.mkdir()
    changing.mkdir()
    take_steps(straight, 4, sharded=False)
    for kind, steps in zip(order, (2, 4), strict=True):
        launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
        words = ["-m", "tests.train.test_checkpoint", str(changing), str(steps)]
        done = subprocess.run(
            [sys.executable, *(launcher if kind == "sharded" else []), *words],
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    names = [path.name for path in checkpoint.checkpoints(changing)]
    assert names == ["000000002", "000000004"]
    expected = torch.load(straight / "averaged.pt")
    for key, tensor in torch.load(changing / "averaged.pt").items():
        torch.testing.assert_close(tensor, expected[key], msg=key)


if __name__ == "__main__":
    launched = "RANK" in os.environ
    if launched:
        torch.distributed.init_process_group("gloo")
    take_steps(Path(sys.argv[1]), int(sys.argv[2]), sharded=launched)
    if launched:
        torch.distributed.destroy_process_group()
