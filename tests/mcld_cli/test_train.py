import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mcld.dataset.layout import DatasetLayout
from tests.conftest import TINY

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_an_unknown_setting_is_told_the_nearest(in_process: Run) -> None:
    done = in_process("train", "--set", "train.lerning_rate=1")
    assert done.returncode == 2
    assert done.stderr == (
        "error: the command line: there is no setting train.lerning_rate;"
        " the nearest is train.learning_rate\n"
    )


def test_a_broken_file_is_told_where(in_process: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("train:\n  seed: [1\n")
    done = in_process("train", "--config", "mine.yaml")
    assert done.returncode == 2
    assert done.stderr.startswith("error: mine.yaml, line 3: not YAML: ")


def test_a_wrong_variable_is_told_what_is_allowed(in_process: Run) -> None:
    done = in_process("train", MCLD_TRAIN__BATCH_SIZE="0")
    assert done.returncode == 2
    assert done.stderr == (
        "error: train.batch_size cannot be '0' (from the environment):"
        " give a whole number above 0\n"
    )


def losses(run: Path) -> list[float]:
    return [e.value for e in EventAccumulator(str(run / "logs" / "mcld")).Reload().Scalars("loss")]


def test_two_processes_and_accumulation_train_like_one(
    mcld: Run, dataset: DatasetLayout, tmp_path: Path
) -> None:
    def flags(output: str, batch_size: int, *more: str) -> list[str]:
        settings = [
            *TINY,
            f"train.dataset={dataset.root}",
            f"train.cache={tmp_path / 'cache'}",
            f"train.output={output}",
            "train.images=40",
            "train.workers=0",
            "train.learning_rate=1e-3",
            f"train.batch_size={batch_size}",
            *more,
        ]
        return [word for setting in settings for word in ("--set", setting)]

    for output, batch_size, more in (
        ("one", 4, []),
        ("two", 2, ["--processes", "2"]),
        ("four", 1, ["--processes", "2", "--set", "train.accumulation=2"]),
    ):
        done = mcld("train", *flags(output, batch_size), *more, OMP_NUM_THREADS="1")
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("The network is in") == 1
        assert ("2 processes" in done.stdout) == (output != "one")
    one = losses(tmp_path / "one")
    assert len(one) == 10
    assert losses(tmp_path / "two") == pytest.approx(one, abs=1e-4)
    assert losses(tmp_path / "four") == pytest.approx(one, abs=1e-4)


def test_a_mistake_in_several_processes_is_still_one_line(mcld: Run, tmp_path: Path) -> None:
    done = mcld("train", "--set", f"train.dataset={tmp_path}", "--processes", "2")
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "is missing: prepare the dataset first" in errors[0]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("number", "more"),
    [(signal.SIGINT, []), (signal.SIGTERM, []), (signal.SIGTERM, ["--processes", "2"])],
)
def test_a_signal_saves_the_step_and_ends_with_130(
    dataset: DatasetLayout, tmp_path: Path, number: int, more: list[str]
) -> None:
    settings = [
        *TINY,
        f"train.dataset={dataset.root}",
        f"train.cache={tmp_path / 'cache'}",
        f"train.output={tmp_path / 'run'}",
        "train.images=1000000",
        "train.batch_size=4",
        "train.workers=2",
    ]
    flags = [word for setting in settings for word in ("--set", setting)]
    run = subprocess.Popen(
        [sys.executable, "-m", "mcld_cli", "train", *flags, *more],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    logs = tmp_path / "run" / "logs" / "mcld"
    deadline = time.monotonic() + 90
    while not any(f.stat().st_size > 1000 for f in logs.glob("events*")):
        assert run.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(1)
    os.killpg(run.pid, number)  # as terminals and schedulers do: to the loading processes as well
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "Traceback" not in errors
    assert sum("go on with --resume" in line for line in errors.splitlines()) == 1
    assert len(list((tmp_path / "run" / "checkpoints").iterdir())) == 1


def test_killed_at_any_moment_and_resumed_it_ends_with_the_same_weights(
    dataset: DatasetLayout, tmp_path: Path
) -> None:
    def command(output: str) -> list[str]:
        settings = [
            *TINY,
            f"train.dataset={dataset.root}",
            f"train.cache={tmp_path / 'cache'}",
            f"train.output={tmp_path / output}",
            "train.images=240",
            "train.batch_size=4",
            "train.checkpoint_every=8",
            "train.validate_every=0",
            "train.workers=1",
        ]
        flags = [word for setting in settings for word in ("--set", setting)]
        return [sys.executable, "-m", "mcld_cli", "train", *flags]

    subprocess.run(command("whole"), check=True, capture_output=True, timeout=120)
    draw = random.Random(0)
    checkpoints = tmp_path / "killed" / "checkpoints"
    resume: list[str] = []
    for wanted in (1, 60):  # pictures seen at least, when it is killed
        run = subprocess.Popen(
            [*command("killed"), *resume], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        while run.poll() is None and max(map(int, listed(checkpoints)), default=0) < wanted:
            time.sleep(0.005)
        time.sleep(draw.random() / 10)
        run.kill()
        run.wait()
        resume = ["--resume"]
    done = subprocess.run([*command("killed"), "--resume"], capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for part in ("denoising_unet", "reference_unet", "pose_guider", "image_projector"):
        file = f"pipeline/{part}/diffusion_pytorch_model.safetensors"
        whole, killed = (tmp_path / name / file for name in ("whole", "killed"))
        assert whole.read_bytes() == killed.read_bytes()
    assert not list(tmp_path.rglob(".mcld-*"))


def test_a_full_disk_stops_training_with_a_line_and_keeps_the_last_checkpoint(
    mcld: Run, dataset: DatasetLayout, tmp_path: Path
) -> None:
    settings = [
        *TINY,
        f"train.dataset={dataset.root}",
        f"train.cache={tmp_path / 'cache'}",
        f"train.output={tmp_path / 'run'}",
        "train.batch_size=4",
        "train.checkpoint_every=8",
        "train.validate_every=0",
        "train.workers=0",
    ]
    flags = [word for setting in settings for word in ("--set", setting)]
    assert mcld("train", *flags, "--set", "train.images=8").returncode == 0
    checkpoint = tmp_path / "run" / "checkpoints" / "000000008"
    whole = {file.name: file.read_bytes() for file in checkpoint.iterdir()}
    room = len(whole["training_state.pt"]) - 1

    done = subprocess.run(
        [sys.executable, "-m", "mcld_cli", "train", *flags, "--resume"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    (error,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert f"cannot write {checkpoint.with_name('000000016')}" in error
    assert "Traceback" not in done.stderr
    assert listed(checkpoint.parent) == ["000000008"]
    assert {file.name: file.read_bytes() for file in checkpoint.iterdir()} == whole
    assert not list(tmp_path.rglob(".mcld-*"))


def listed(folder: Path) -> list[str]:
    """The names of the checkpoints there are."""
    return [p.name for p in folder.iterdir() if p.name.isdigit()] if folder.is_dir() else []
