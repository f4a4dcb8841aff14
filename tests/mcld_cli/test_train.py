import subprocess
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_an_unknown_setting_is_told_the_nearest(mcld: Run) -> None:
    done = mcld("train", "--set", "train.lerning_rate=1")
    assert done.returncode == 2
    assert done.stderr == (
        "error: the command line: there is no setting train.lerning_rate;"
        " the nearest is train.learning_rate\n"
    )


def test_a_broken_file_is_told_where(mcld: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("train:\n  seed: [1\n")
    done = mcld("train", "--config", "mine.yaml")
    assert done.returncode == 2
    assert done.stderr.startswith("error: mine.yaml, line 3: not YAML: ")


def test_a_wrong_variable_is_told_what_is_allowed(mcld: Run) -> None:
    done = mcld("train", MCLD_TRAIN__BATCH_SIZE="0")
    assert done.returncode == 2
    assert done.stderr == (
        "error: train.batch_size cannot be '0' (from the environment):"
        " give a whole number above 0\n"
    )
