"""`mcld edit` as a person runs it."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.edit.conftest import fronts

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_a_garment_a_colour_and_a_sheet_in_one_go(in_process: Run, dataset, tmp_path):
    alice, bob = (str(path) for path in fronts(dataset)[:2])
    done = in_process(
        *("edit", "--source", alice, "--upper", bob, "--recolor", "lower=navy"),
        *("--keep", "background", "--sheet", "--out", "made/out.png"),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["Wrote made/out.png", "Wrote made/out-sheet.png"]
    with Image.open(tmp_path / "made" / "out.png") as picture, Image.open(alice) as photo:
        assert picture.size == photo.size
        record = json.loads(picture.text["mcld"])
        corner = np.asarray(picture)[0, 0].tolist()
        assert corner == np.asarray(photo)[0, 0].tolist()
    assert record["upper"] == Path(bob).name
    assert record["recolor"] == ["lower=navy"]


def test_what_was_photographed_from_behind_has_no_face_to_give(in_process: Run, dataset, tmp_path):
    alice = str(fronts(dataset)[0])
    pictures = [p for s in ("train", "test") for p in dataset.image(s, "x").parent.iterdir()]
    back = str(next(p for p in pictures if "3back" in p.stem))
    done = in_process("edit", "--source", alice, "--face", back, "--out", "out.png")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "no face is known of" in done.stderr
    assert not list(tmp_path.glob("*.png"))


@pytest.mark.parametrize(
    ("how", "source_type"),
    [
        (["--strength", "0.5"], "compositeWithTrainedAlgorithmicMedia"),
        (["--strength", "1", "--keep", "background"], "compositeWithTrainedAlgorithmicMedia"),
        (["--strength", "1", "--keep", "nothing"], "trainedAlgorithmicMedia"),
        (["--pose", "walking", "--strength", "0.5"], "trainedAlgorithmicMedia"),
    ],
)
def test_what_keeps_the_photo_says_that_it_is_a_composite(
    in_process: Run, dataset, tmp_path, how, source_type
):
    photo = str(fronts(dataset)[0])
    assert in_process("edit", "--source", photo, *how, "--out", "a.png").returncode == 0
    with Image.open(tmp_path / "a.png") as picture:
        told = picture.getxmp()["xmpmeta"]["RDF"]["Description"]["DigitalSourceType"]
    assert told.rpartition("/")[2] == source_type


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "--source and --out are missing"),
        (["--source", "a.jpg"], 2, "--out is missing"),
        (["--source", "a.jpg", "--out", "o.png"], 1, "a.jpg does not exist"),
        (["--source", "a.jpg", "--out", "o.png", "--strength", "2"], 2, "--strength 2.0: give"),
        (["--recipe", "r.yaml", "--source", "a.jpg"], 2, "--source goes with one picture"),
        (["--recipe", "r.yaml"], 2, "r.yaml: no such file"),
        (["--recipe", "r.yaml", "--pose-kind", "iuv"], 2, "--pose-kind goes with one picture"),
        (["--source", "a.jpg", "--out", "o", "--upper", "b", "--upper", "c"], 2, "two donors"),
        (["--source", "a", "--export-texture", "t.png", "--processes", "2"], 2, "--processes goes"),
        (["--source", "a.jpg", "--out", "o.png", "--processes", "2"], 2, "goes with --recipe"),
        (["--source", "a", "--out", "o.png", "--export-texture", "t.png"], 2, "not both"),
        (["--source", "a", "--out", "o.png", "--keep", "hair"], 2, "Invalid value for '--keep'"),
        (["--source", "a", "--out", "o.png", "--amount", "1"], 2, "--amount goes with --interpola"),
        (["--export-texture", "t.png"], 2, "--source is missing"),
        (["--source", "a.jpg", "--out", "o.png", "--fit-body"], 2, "--fit-body goes with --pose"),
        (["--source", "a", "--export-texture", "t.png", "--fit-body"], 2, "--fit-body goes with"),
        (
            ["--source", "a.jpg", "--export-texture", "t.png", "--upper", "b"],
            2,
            "--upper goes with",
        ),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(in_process: Run, tmp_path, arguments, code, said):
    done = in_process("edit", *arguments)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1), done.stderr
    assert said in done.stderr
    assert not list(tmp_path.iterdir())
