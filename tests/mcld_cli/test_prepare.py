import subprocess
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_a_dataset_is_made_and_the_next_command_named(mcld: Run, tmp_path: Path) -> None:
    done = mcld("prepare", "people", "--mannequins", "2", "--pictures", "2", "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert "Preparing: 4 of 4 pictures" in done.stderr
    assert "│ test  │      1 │        2 │     2 │" in done.stdout
    *_, line = done.stdout.splitlines()
    _, _, _, source, _, pose, _, out = line.split()
    assert line.startswith("  mcld sample --source people/test/")
    assert (tmp_path / source).is_file()
    assert (tmp_path / pose).is_file()
    assert out == "out.png"


def test_the_number_of_people_is_needed(mcld: Run) -> None:
    done = mcld("prepare", "people")
    assert done.returncode == 2
    assert "--mannequins" in done.stderr


def test_an_impossible_number_of_pictures_is_refused(mcld: Run) -> None:
    done = mcld("prepare", "people", "--mannequins", "2", "--pictures", "1")
    assert done.returncode == 2
    assert done.stderr == (
        "error: prepare.pictures cannot be '1' (from the command line):"
        " give a whole number from 2\n"
    )
