import json
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
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mcld.dataset.layout import DatasetLayout
from mcld.train.snapshots import find_snapshots
from tests.conftest import TINY, FinishedRun

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
        "error: train.batch_size cannot be '0' (from the environment variable"
        " MCLD_TRAIN__BATCH_SIZE): give a whole number above 0\n"
    )


def test_what_can_be_known_is_told_before_torch_is_imported_and_anything_is_made(
    dataset: DatasetLayout, tmp_path: Path
) -> None:
    there = f"--set train.dataset={dataset.root}"
    small = "--config mine.yaml"
    (tmp_path / "mine.yaml").write_text("train: {pretrained: null}\n")
    (tmp_path / "recipe.yaml").write_text("stages: [{adapt_decoder_image: 100}]\n")
    (tmp_path / "good.yaml").write_text("config: mine.yaml\nstages: [{}]\n")
    refusals = {
        "train": (1, "dataset/fashion/split/train.lst is missing: prepare the dataset first"),
        f"train {there}": (1, "pretrained_weights (train.pretrained) does not exist"),
        f"train {there} --set train.start_from=no": (1, "no (train.start_from) is no pipeline"),
        f"train {there} {small} --resume": (2, "runs/deepfashion holds no checkpoint"),
        f"train {there} {small} --set train.images=3": (2, "train.images, 3, is less than one"),
        f"train {there} {small} --set train.output={dataset.root}/train": (2, "train.output, "),
        "train --recipe good.yaml": (1, "dataset/fashion/split/train.lst is missing"),
        "train --recipe recipe.yaml": (
            2,
            "recipe.yaml, stage 1: there is no setting adapt_decoder_image; the nearest is adapt",
        ),
    }
    script = (
        "import sys\n"
        "from mcld_cli.app import main\n"
        "for command in sys.argv[1:]:\n"
        "    sys.argv = ['mcld', *command.split()]\n"
        "    try: main()\n"
        "    except SystemExit as end: print(end.code, 'torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *refusals],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )
    assert done.stdout.splitlines() == [f"{code} False" for code, _ in refusals.values()]
    for line, (_, told) in zip(done.stderr.splitlines(), refusals.values(), strict=True):
        assert line.startswith(f"error: {told}")
    assert {path.name for path in tmp_path.iterdir()} == {"mine.yaml", "recipe.yaml", "good.yaml"}


def flags(finished: FinishedRun, *more: str) -> list[str]:
    """Of a run like `finished`, with its encoders and what they made of the pictures."""
    options = finished.settings.train
    settings = [
        *TINY,
        f"train.dataset={options.dataset}",
        f"train.cache={options.cache}",
        f"train.start_from={finished.start}",
        "train.batch_size=4",
        "train.checkpoint_every=8",
        *more,
    ]
    return [word for setting in settings for word in ("--set", setting)]


def losses(run: Path) -> list[float]:
    return [e.value for e in EventAccumulator(str(run / "logs" / "mcld")).Reload().Scalars("loss")]


def test_two_processes_that_accumulate_train_like_one_that_does_not(
    mcld: Run, in_process: Run, finished: FinishedRun, tmp_path: Path
) -> None:
    for run, output, batch_size, more in (
        (in_process, "one", 4, []),
        (mcld, "two", 1, ["--processes", "2", "--set", "train.accumulation=2"]),
    ):
        own = [
            f"train.output={tmp_path / output}",
            f"train.batch_size={batch_size}",
            *("train.images=24", "train.learning_rate=1e-3"),
            *("train.post_hoc_ema=[0.1]", "train.snapshot_every=4"),
        ]
        done = run("train", *flags(finished, *own), *more, OMP_NUM_THREADS="1")
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("The network is in") == 1
        assert ("2 processes" in done.stdout) == (output == "two")
    one = losses(tmp_path / "one")
    assert len(set(one)) == 6
    assert losses(tmp_path / "two") == pytest.approx(one, abs=1e-4)
    snapshots = [find_snapshots(tmp_path / output) for output in ("one", "two")]
    assert [[s.images for s in taken] for taken in snapshots] == [[4, 8, 12, 16, 20, 24]] * 2
    of_one, of_two = (load_file(taken[-1].path) for taken in snapshots)
    apart = [(of_one[key] - tensor).abs().float().mean() for key, tensor in of_two.items()]
    assert max(apart) < 1e-4  # a step is 1e-3


def test_a_run_is_averaged_over_other_lengths_afterwards(
    in_process: Run, finished: FinishedRun, tmp_path: Path
) -> None:
    own = [f"train.output={tmp_path / 'run'}", "train.images=32"]
    own += ["train.post_hoc_ema=[0.05, 0.1]", "train.snapshot_every=4"]
    assert in_process("train", *flags(finished, *own)).returncode == 0
    listed = in_process("weights", "average", "run")
    assert listed.returncode == 0
    assert "of 8 times up to 32 pictures" in listed.stdout
    rows = [line.split() for line in listed.stdout.splitlines() if "%" in line]
    errors = {float(row[0]): float(row[1][:-1]) for row in rows}
    assert errors[0.1] == 0 < errors[0.08] < errors[0.2] < errors[0.02]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]

    done = in_process("weights", "average", "run", "--width", "0.08", "--out", "one", "--json")
    assert done.returncode == 0, done.stderr
    (made,) = json.loads(done.stdout)["widths"]
    assert made["pipeline"] == "one"
    assert made["profile_error"] == pytest.approx(errors[0.08] / 100, abs=1e-4)
    again = in_process("weights", "average", "run", "--width", "0.08", "--out", "one")
    assert again.returncode == 2
    assert again.stderr == "error: one exists already: give the name of a new folder\n"

    two = ["--width", "0.06", "--width", "0.12", "--out", "two"]
    done = in_process("weights", "average", "run", *two)
    assert done.returncode == 0, done.stderr
    assert "  mcld sample --weights two/0.06 --source" in done.stdout
    layout = DatasetLayout(finished.settings.train.dataset)
    source, target = (Path(name).stem for name in layout.pairs("test")[0])
    pair = ["--source", layout.image("test", source), "--pose", layout.densepose("test", target)]
    pictures = []
    for weights in ("one", "two/0.06", "two/0.12"):
        words = ["sample", *map(str, pair), "--out", "o.png", "--weights", weights]
        done = in_process(*words, "--set", "sample.num_inference_steps=1")
        assert done.returncode == 0, done.stderr
        pictures.append((tmp_path / "o.png").read_bytes())
    assert len(set(pictures)) == 3

    missing = in_process("weights", "average", "run", "--width", "0.01", "--out", "three")
    assert missing.returncode == 1
    assert "do not make the width 0.01" in missing.stderr
    assert missing.stderr.count("\n") == 1
    assert not (tmp_path / "three").exists()


def test_a_mistake_in_several_processes_is_still_one_line(
    mcld: Run, finished: FinishedRun, tmp_path: Path
) -> None:
    own = [f"train.output={tmp_path / 'run'}", "train.frozen=[nothing]"]
    done = mcld("train", *flags(finished, *own), "--processes", "2")
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "no weight's name begins with 'nothing'" in errors[0]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("number", "more"), [(signal.SIGINT, []), (signal.SIGTERM, ["--processes", "2"])]
)
def test_a_signal_saves_the_step_and_ends_with_130(
    finished: FinishedRun, tmp_path: Path, number: int, more: list[str]
) -> None:
    own = [f"train.output={tmp_path / 'run'}", "train.images=1000000", "train.workers=2"]
    run = subprocess.Popen(
        [
            *(sys.executable, "-m", "mcld_cli", "train"),
            *flags(finished, *own, "train.checkpoint_every=1000000"),
            *more,
        ],
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
    os.killpg(run.pid, number)  # as terminals and schedulers do: to the loading processes as well
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "Traceback" not in errors
    assert sum("go on with --resume" in line for line in errors.splitlines()) == 1
    assert len(list((tmp_path / "run" / "checkpoints").iterdir())) == 1


def test_killed_at_any_moment_and_resumed_it_ends_with_the_same_weights(
    in_process: Run, finished: FinishedRun, tmp_path: Path
) -> None:
    def words(output: str) -> list[str]:
        own = [f"train.output={tmp_path / output}", "train.images=120", "train.workers=1"]
        return ["train", *flags(finished, *own)]

    assert in_process(*words("whole")).returncode == 0
    draw = random.Random(0)
    checkpoints = tmp_path / "killed" / "checkpoints"
    resume: list[str] = []
    for wanted in (1, 40):  # pictures seen at least, when it is killed
        run = subprocess.Popen(
            [sys.executable, "-m", "mcld_cli", *words("killed"), *resume],
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        while run.poll() is None and max(map(int, listed(checkpoints)), default=0) < wanted:
            time.sleep(0.005)
        time.sleep(draw.random() / 10)
        run.kill()
        run.wait()
        resume = ["--resume"]
    done = in_process(*words("killed"), "--resume")
    assert done.returncode == 0, done.stderr
    for part in ("denoising_unet", "reference_unet", "pose_guider", "image_projector"):
        file = f"pipeline/{part}/diffusion_pytorch_model.safetensors"
        whole, killed = (tmp_path / name / file for name in ("whole", "killed"))
        assert whole.read_bytes() == killed.read_bytes()
    assert not list(tmp_path.rglob(".mcld-*"))


def test_a_full_disk_stops_training_with_a_line_and_keeps_the_last_checkpoint(
    in_process: Run, finished: FinishedRun, tmp_path: Path
) -> None:
    finished.copy(tmp_path / "run")
    checkpoint = tmp_path / "run" / "checkpoints" / "000000024"
    whole = {file.name: file.read_bytes() for file in checkpoint.iterdir()}
    kept = listed(checkpoint.parent)
    room = len(whole["training_state.pt"]) - 1

    own = [f"train.output={tmp_path / 'run'}", "train.images=40"]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        done = in_process("train", *flags(finished, *own), "--resume")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert done.returncode == 1
    (error,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert f"cannot write {checkpoint.with_name('000000032')}" in error
    assert "Traceback" not in done.stderr
    assert listed(checkpoint.parent) == kept
    assert {file.name: file.read_bytes() for file in checkpoint.iterdir()} == whole
    assert not list(tmp_path.rglob(".mcld-*"))


def listed(folder: Path) -> list[str]:
    """The names of the checkpoints there are."""
    return [p.name for p in folder.iterdir() if p.name.isdigit()] if folder.is_dir() else []
