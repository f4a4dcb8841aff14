import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mcld.dataset.layout import DatasetLayout
from tests.prepare.raw_folder import precomputed_maps, publish_lists, raw_folder

Run = Callable[..., subprocess.CompletedProcess[str]]


def table(done: subprocess.CompletedProcess[str]) -> list[list[str]]:
    """The words of every line of the output."""
    return [line.split() for line in done.stdout.splitlines()]


def test_a_dataset_is_made_and_the_next_command_named(mcld: Run, tmp_path: Path) -> None:
    done = mcld("prepare", "people", "--mannequins", "2", "--pictures", "2", "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert "Preparing: 4 of 4 pictures" in done.stderr
    assert ["test", "1", "2", "2"] in table(done)
    *_, line = done.stdout.splitlines()
    _, _, _, source, _, pose, _, out = line.split()
    assert line.startswith("  mcld sample --source people/test/")
    assert (tmp_path / source).is_file()
    assert (tmp_path / pose).is_file()
    assert out == "out.png"


def test_a_folder_that_is_not_there_is_one_line(in_process: Run) -> None:
    done = in_process("prepare", "people")
    assert done.returncode == 1
    assert done.stderr == (
        "error: people is no folder: give the one that holds the photos, or MEN and WOMEN\n"
    )


def test_options_of_the_other_kind_of_dataset_are_refused(in_process: Run) -> None:
    done = in_process("prepare", "people", "--mannequins", "4", "--strict")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--strict is for photos" in done.stderr
    for seed in ("4", "0"):  # the default, too, when it is given
        done = in_process("prepare", "people", "--seed", seed)
        assert (done.returncode, done.stdout) == (2, "")
        assert "--seed goes with --mannequins" in done.stderr


def test_gathering_is_kept_told_and_taken_back(in_process: Run, tmp_path: Path) -> None:
    made = ("prepare", "people", "--mannequins", "2", "--pictures", "2", "--height", "64")
    done = in_process(*made, "--width", "48", "--style", "dolls", "--gather")
    assert done.returncode == 0, done.stderr
    layout = DatasetLayout(tmp_path / "people")
    assert "gathered when a split is sampled: 4 pictures show 2 people" in " ".join(
        done.stdout.split()
    )
    assert layout.is_gathered
    done = in_process("prepare", "people", "--no-gather")
    assert "of its own picture alone" in done.stdout
    assert not layout.is_gathered
    assert in_process("prepare", "people", "--gather").returncode == 0
    assert layout.is_gathered


def test_an_unknown_stage_is_named(in_process: Run) -> None:
    done = in_process("prepare", "people", "--stages", "split,poes")
    assert done.returncode == 2
    assert "no stage 'poes'; give split,pose,texture,face" in done.stderr


def test_photos_are_prepared_and_failures_told(in_process: Run, tmp_path: Path) -> None:
    root = tmp_path / "fashion"
    names = raw_folder(root)
    absent = "fashionWOMENTees_Tanksid0000009902_1front.jpg"
    for passed_over in ("id_00000001/02_9_phone.heic", "anna/1_front.jpg"):
        path = root / "img_highres" / "WOMEN" / "Tees_Tanks" / passed_over
        path.parent.mkdir(exist_ok=True)
        path.touch()
    publish_lists(root, [*names[:9], absent], names[9:], refused="../evil.jpg")
    precomputed_maps(root, {"train": names[:9], "test": names[9:]})
    wanted = ("prepare", "fashion", "--pose-estimator", "precomputed", "--stages")
    done = in_process(*wanted, "split,pose,texture")
    assert done.returncode == 0, done.stderr
    assert ["split", "13", "12", "0", "1"] in table(done)
    assert ["texture", "12", "12", "0", "0"] in table(done)
    assert "split: listed, but not among the raw pictures" in done.stdout
    assert "raw: is HEIC: save it as JPEG" in done.stdout
    assert "raw: its path is not GENDER/CATEGORY/id_NUMBER/NN_N_VIEW.jpg" in done.stdout
    assert "fashion/prepare-preview.png" in done.stdout
    again = in_process(*wanted, "split", "--strict")
    assert again.returncode == 1
    assert again.stderr.endswith(
        "error: 4 failed, and --strict was given: see fashion/prepare-report.json\n"
    )
    plan = in_process(*wanted, "split,texture", "--dry-run", "--overwrite")
    assert ["texture", "12", "12", "0", "0"] in table(plan)


def test_an_impossible_number_of_pictures_is_refused(in_process: Run) -> None:
    done = in_process("prepare", "people", "--mannequins", "2", "--pictures", "1")
    assert done.returncode == 2
    assert done.stderr == "error: --pictures 1: give a whole number from 2\n"


def test_a_missing_face_pack_is_told_with_the_stages_that_go_without(
    in_process: Run, tmp_path: Path
) -> None:
    (tmp_path / "fashion" / "MEN").mkdir(parents=True)
    wanted = ("prepare", "fashion", "--set", f"prepare.insightface_root={tmp_path}", "--stages")
    for stages, alternative in (("split,texture,face", "split,texture"), ("face", None)):
        done = in_process(*wanted, stages)
        assert done.returncode == 1
        assert done.stderr.endswith(
            f"; or leave faces out with --stages {alternative}\n" if alternative else "antelopev2\n"
        )


@pytest.mark.parametrize(
    "words",
    [
        "",
        "own more",
        "own --stages poes",
        "own --stages=",
        "own --limit 0",
        "own --workers 0",
        "own --pose-estimator foo",
        "own --config nowhere.yaml",
        "own --set prepare.nope=1",
        "own --seed 1",
        "own --mannequins 1",
        "own --mannequins 4 --limit 3",
    ],
)
def test_wrong_usage_and_settings_end_with_2(in_process: Run, tmp_path: Path, words: str) -> None:
    (tmp_path / "own" / "MEN").mkdir(parents=True)
    done = in_process("prepare", *words.split())
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("nowhere", "nowhere is no folder"),
        ("file", "file is no folder"),
        ("empty", "empty holds no pictures"),
        ("half", "0 people"),
        ("own --split-dir nowhere", "--split-dir nowhere is no folder"),
        ("own --split-dir empty", "empty lacks train.lst"),
        ("own --split-dir lists", "line 1: 'x' is not the first line of a table"),
        ("own --mannequins 4", "own already holds files"),
        ("file --mannequins 4", "file is a file"),
    ],
)
def test_what_is_missing_or_damaged_ends_with_1(
    in_process: Run, tmp_path: Path, words: str, told: str
) -> None:
    for folder in ("own/MEN", "empty", "half/MEN", "lists"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "file").touch()
    for name in ("train.lst", "train.csv", "test.lst", "test.csv"):
        (tmp_path / "lists" / name).write_text("x")
    photos = [] if "--mannequins" in words else ["--stages", "split"]
    done = in_process("prepare", *words.split(), *photos)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert told in done.stderr
    assert not (tmp_path / "own" / "train").exists()
