"""Checkpoints of a network that FSDP shards are those of a whole one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers.training_utils import EMAModel
from safetensors.torch import load_file
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from mcld.errors import MCLDError
from mcld.machine.processes import gather_whole
from mcld.settings import load_settings
from mcld.train import checkpoint
from mcld.train.post_hoc_ema import PostHocEMA
from mcld.train.snapshots import name_snapshot
from mcld.train.start import new_pipeline
from tests.conftest import TINY

ORDERS = ("whole-sharded", "sharded-whole")


def take_steps(folder: Path, steps: int, *, sharded: bool) -> None:
    """Go on from the newest checkpoint in `folder`, if there is one; write one behind `steps`."""
    network = new_pipeline(load_settings(None, TINY)).network
    network.to(memory_format=torch.contiguous_format if sharded else torch.channels_last)
    if sharded:
        fully_shard(network, mesh=init_device_mesh("cpu", (2,)))
    parameters = list(network.parameters())
    optimizer = torch.optim.AdamW(parameters, 1e-2, fused=True)
    ema = EMAModel(parameters, 0.9)
    post_hoc_ema = PostHocEMA(network, [0.1])
    state = checkpoint.State(network, optimizer, ema, None, post_hoc_ema)
    first = 0
    if checkpoint.checkpoints(folder):
        first = checkpoint.load_newest(folder, state, print)
        assert all(isinstance(p, DTensor) == sharded for p in network.parameters())
    for step in range(first, steps):
        for row, parameter in enumerate(parameters):
            parameter.grad = torch.sin(parameter.detach() * (row + 1) + step)
        optimizer.step()
        ema.step(parameters)
        post_hoc_ema.step(step + 1, 1)
    main = not sharded or torch.distributed.get_rank() == 0
    checkpoint.save(folder, steps, state, keep=9, main=main)
    post_hoc_ema.save_snapshots(folder, steps, main=main)
    ema.copy_to(parameters)
    weights = gather_whole(network.state_dict())
    if main:
        torch.save(weights, folder / "averaged.pt")


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four steps without sharding."""
    folder = tmp_path_factory.mktemp("straight")
    take_steps(folder, 4, sharded=False)
    return folder


@pytest.fixture(scope="module")
def changing(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two steps with sharding and two without, and the other way round."""
    folders = {order: tmp_path_factory.mktemp(order) for order in ORDERS}
    take_steps(folders["whole-sharded"], 2, sharded=False)
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    words = ["-m", "tests.train.test_checkpoint"]
    words += [f"{folders['sharded-whole']}:2", f"{folders['whole-sharded']}:4"]
    done = subprocess.run(
        [sys.executable, *launcher, *words],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    take_steps(folders["sharded-whole"], 4, sharded=False)
    return folders


@pytest.mark.parametrize("order", ORDERS)
def test_a_run_goes_on_with_or_without_sharding(
    straight: Path, changing: dict[str, Path], order: str
) -> None:
    names = [path.name for path in checkpoint.checkpoints(changing[order])]
    assert names == ["000000002", "000000004"]
    expected = torch.load(straight / "averaged.pt")
    for key, tensor in torch.load(changing[order] / "averaged.pt").items():
        torch.testing.assert_close(tensor, expected[key], msg=key)
    names = {path.name for path in (changing[order] / "snapshots").iterdir()}
    assert names == {"000000002-0.1.safetensors", "000000004-0.1.safetensors"}
    expected = load_file(straight / "snapshots" / "000000004-0.1.safetensors")
    for key, tensor in load_file(name_snapshot(changing[order], 4, 0.1)).items():
        torch.testing.assert_close(tensor, expected[key], msg=key)


if __name__ == "__main__":
    torch.distributed.init_process_group("gloo")
    for word in sys.argv[1:]:
        folder, _, steps = word.rpartition(":")
        take_steps(Path(folder), int(steps), sharded=True)
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("[enforce fail at inline_container.cc:671] . unexpected pos 704 vs 598", "cannot write"),
        ("DataLoader worker (pid 7) is killed by signal: Killed. ", "DataLoader worker"),
    ],
)
def test_only_a_disk_that_is_full_is_told_as_one(tmp_path, monkeypatch, told, expected):
    def fail(*_):
        raise RuntimeError(told)

    monkeypatch.setattr(torch, "save", fail)
    network = torch.nn.Linear(2, 2)
    state = checkpoint.State(network, torch.optim.AdamW(network.parameters()), None, None)
    monkeypatch.setattr(checkpoint, "save_checkpoint", lambda *_: None)
    with pytest.raises((MCLDError, RuntimeError), match=f"^{expected}"):
        checkpoint.save(tmp_path, 4, state, keep=1, main=True)
