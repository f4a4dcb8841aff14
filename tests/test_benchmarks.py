"""The benchmarks of full-size networks, on small ones and without a GPU, and of metrics."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState

from benchmarks import full_size, metrics
from benchmarks.full_size import GPU_SAMPLING, TOY, Bench, Mode
from mcld.errors import MCLDError

TRAINING = Mode("bf16", (), 2)
FULL_PRECISION = Mode("float32", ("train.precision=no",), 2)


@pytest.fixture
def bench() -> Iterator[Bench]:
    yield Bench(torch.device("cpu"), TOY, math.inf, steps=2)
    AcceleratorState._reset_state(reset_partial_state=True)  # one process, one precision


def test_the_most_important_is_told_first_and_none_fails(bench):
    cached = Mode("cache of 3 steps", ("sample.cache_interval=3",))
    checks, *modes = bench.lines((Mode("bfloat16"), cached), (TRAINING, FULL_PRECISION))
    assert checks["measured"] == "checks"
    assert checks["float32, largest difference to the CPU"] < 1e-4
    assert checks["bfloat16 is close"]
    assert [mode["measured"] for mode in modes] == [
        "sampling, bfloat16",
        "training, bf16",
        "where a step's time goes",
        "sampling, cache of 3 steps",
        "training, float32",
    ]
    assert [mode["failed"] for mode in modes if "failed" in mode] == []
    assert modes[0]["picture of 20 steps, s"] > modes[0]["picture, s"] > 0
    assert modes[1]["images/s"] > 0


def test_what_the_time_left_does_not_suffice_for_is_named(bench):
    bench.end = 0
    lines = list(bench.lines(GPU_SAMPLING, (TRAINING,)))
    assert len(lines) == 3 + len(GPU_SAMPLING)
    assert all("left out" in line for line in lines)


def test_a_mode_that_fails_is_told_and_the_others_are_measured(bench):
    wrong = Mode("wrong", ("sample.guidance_interval=[0.9,0.1]",))
    (told,) = bench.sample(wrong)
    assert "give the lower share of the noise schedule first" in told["failed"]
    (told,) = bench.sample(Mode("float32", ("sample.dtype=float32",)))
    assert "failed" not in told


@pytest.mark.parametrize("kind", ["cuda", "xpu", "mps"])
def test_whatever_accelerator_there_is_is_measured(monkeypatch, kind):
    def find(check_available: bool) -> torch.device:
        return torch.device(kind)

    monkeypatch.setattr(torch.accelerator, "current_accelerator", find)
    for module in (torch.cuda, torch.xpu):
        monkeypatch.setattr(module, "get_device_name", lambda: f"{kind} of this maker")
    lines = full_size.gpu(0, toy=False)
    assert next(lines)["device"] == ("mps" if kind == "mps" else f"{kind} of this maker")
    assert all("left out" in line for line in lines)


def test_without_an_accelerator_that_is_said(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: None)
    with pytest.raises(MCLDError, match="there is no GPU here: give --toy"):
        next(full_size.gpu(1, toy=False))


def test_faults_of_true_pictures_are_scored_and_told_by_metric(tmp_path, monkeypatch, capsys):
    names = (metrics.NONE, metrics.REFERENCE, "other clothes", "other head", "source copied")
    monkeypatch.setattr(metrics, "FAULTS", {name: metrics.FAULTS[name] for name in names})
    monkeypatch.setattr(metrics, "PICTURES", 2)
    monkeypatch.setattr(metrics, "METRICS", ("psnr", "texture", "dino"))
    monkeypatch.chdir(tmp_path)  # where there are no weights
    metrics.score(Path("out"), people=2, seed=1)
    told, errors = capsys.readouterr()
    lines = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    assert [line["fault"] for line in lines] == list(names)
    found = {line["fault"]: line["values"] for line in lines}
    assert all(line["pairs"] == 4 for line in lines)
    assert found["none"]["psnr"] > 35 > found["other head"]["psnr"] > found["source copied"]["psnr"]
    assert found["none"]["texture_error"] < found["other clothes"]["texture_error"]
    assert lines[-1]["worse"]["psnr"] == 1
    assert "| Texture error |" in told
    assert "dino is left out" in errors
    assert Path("out/sheet.png").is_file()
