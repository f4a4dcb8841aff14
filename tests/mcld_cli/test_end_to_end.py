"""The commands together, as a person runs them."""

import subprocess
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from mcld.dataset.layout import DatasetLayout
from tests.conftest import TINY

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_prepare_train_and_sample_work_together(mcld: Run, in_process: Run, tmp_path: Path) -> None:
    prepared = mcld("prepare", "world", "--mannequins", "2", "--pictures", "2", "--workers", "1")
    assert prepared.returncode == 0, prepared.stderr
    layout = DatasetLayout(tmp_path / "world")

    overrides = [
        *TINY,
        "train.dataset=world",
        "train.output=run",
        "train.images=8",
        "train.batch_size=4",
        "train.checkpoint_every=4",
        "train.workers=0",
    ]
    flags = [argument for override in overrides for argument in ("--set", override)]
    trained = mcld("train", *flags)
    assert trained.returncode == 0, trained.stderr
    assert "Training: 8 of 8 images" in trained.stderr
    assert "loss" in trained.stderr
    again = in_process("train", *flags)
    assert again.returncode == 2
    assert "add --resume" in again.stderr

    source, target = layout.pairs("test")[0]
    files = [
        "--source",
        str(layout.image("test", Path(source).stem)),
        "--pose",
        str(layout.densepose("test", Path(target).stem)),
    ]
    own = mcld("sample", *files, "--out", "own.png", "--weights", "run/pipeline", "--steps", "2")
    assert own.returncode == 0, own.stderr
    embedded = mcld("sample", *files, "--out", "embedded.png", "--steps", "2")
    assert embedded.returncode == 0, embedded.stderr
    assert "embedded mannequin network" in embedded.stdout
    again = in_process("sample", *files, "--out", "again.png", "--steps", "2")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "embedded.png").read_bytes()
    for name in ("own.png", "embedded.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.size == (176, 256)


def test_a_wrong_path_is_one_line_and_exit_code_one(in_process: Run, tmp_path: Path) -> None:
    done = in_process("sample", "--source", "a.jpg", "--pose", "b.png", "--out", "o.png")
    assert done.returncode == 1
    assert done.stderr == "error: a.jpg does not exist\n"
    assert not (tmp_path / "o.png").exists()
