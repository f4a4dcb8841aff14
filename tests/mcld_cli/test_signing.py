"""Pictures that are signed, as a person has them made."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.certificates import read_manifest, write_pair
from tests.edit.conftest import fronts

Run = Callable[..., subprocess.CompletedProcess[str]]
GENERATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"


@pytest.fixture
def signed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options with which pictures are signed."""
    certificate, key = write_pair(tmp_path_factory.mktemp("keys"))
    settings = f"sample.c2pa_certificate={certificate}", f"sample.c2pa_key={key}"
    return [word for setting in settings for word in ("--set", setting)]


def find_source_type(path: Path) -> str:
    (actions,) = (
        a["data"]["actions"]
        for a in read_manifest(path)["assertions"]
        if a["label"] == "c2pa.actions.v2"
    )
    return str(actions[0]["digitalSourceType"])


def test_a_sampled_picture_and_its_sheets_are_signed(in_process: Run, dataset, tmp_path, signed):
    words = ["sample", "--source", str(fronts(dataset)[0]), "--pose", "walking", "--sheet"]
    done = in_process(*words, "--attention-maps", "--out", "a.png", *signed)
    assert done.returncode == 0, done.stderr
    for name in ("a.png", "a-sheet.png", "a-attention.png"):
        assert find_source_type(tmp_path / name) == GENERATED


@pytest.mark.parametrize("out", ["a.mp4", "frames"])
def test_a_sequence_is_signed_as_a_video_or_frame_by_frame(
    in_process: Run, dataset, tmp_path, signed, out
):
    words = ["sample", "--source", str(fronts(dataset)[0]), "--pose", "turn"]
    done = in_process(*words, "--fps", "4", "--to", "0.5", "--out", out, *signed)
    assert done.returncode == 0, done.stderr
    found = [tmp_path / out] if out == "a.mp4" else sorted((tmp_path / out).glob("*.png"))
    assert [find_source_type(path) for path in found] == [GENERATED] * len(found) != []


def test_edits_of_a_recipe_are_signed_and_those_that_are_there_stay(
    in_process: Run, dataset, tmp_path, signed
):
    photo = str(fronts(dataset)[0])
    colours = {"a.png": "navy", "b.png": "red"}
    edits = [{"source": photo, "recolor": f"lower={c}", "out": o} for o, c in colours.items()]
    (tmp_path / "edits.yaml").write_text(json.dumps(edits))
    words = ["edit", "--recipe", "edits.yaml", "--json", *signed]
    assert json.loads(in_process(*words).stdout)["made"] == 2
    assert {find_source_type(tmp_path / name) for name in colours} == {COMPOSITE}
    (tmp_path / "b.png").unlink()
    assert json.loads(in_process(*words).stdout)["made"] == 1


def test_a_splits_pictures_are_signed(in_process: Run, dataset, tmp_path, signed):
    words = ["sample", "--split", "test", "--dataset", str(dataset.root), "--limit", "1"]
    done = in_process(*words, "--save-path", "results", *signed)
    assert done.returncode == 0, done.stderr
    made = sorted(tmp_path.glob("results/*/*.png"))
    assert [find_source_type(path) for path in made] == [GENERATED] * 2


@pytest.mark.parametrize(
    "words", [["sample", "--pose", "walking", "--out", "a.png"], ["edit", "--out", "a.png"]]
)
def test_what_cannot_sign_is_one_line_before_anything_is_loaded(
    mcld, dataset, tmp_path, signed, words
):
    photo = ["--source", str(fronts(dataset)[0])]
    done = mcld(*words, *photo, *signed[:2])
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "set sample.c2pa_key, too" in done.stderr
    done = mcld(*words, *photo, *signed[:2], "--set", "sample.c2pa_key=none.key")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "none.key cannot be read" in done.stderr
    assert not (tmp_path / "a.png").exists()


def test_a_video_that_cannot_be_signed_is_refused_before_it_is_painted(
    in_process: Run, dataset, tmp_path, signed
):
    words = ["sample", "--source", str(fronts(dataset)[0]), "--pose", "turn", "--out", "a.webm"]
    done = in_process(*words, *signed)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "a.webm: a .webm cannot be signed" in done.stderr
    assert not list(tmp_path.iterdir())


def test_without_the_extra_it_is_said_how_to_install_it(
    in_process: Run, dataset, signed, monkeypatch
):
    monkeypatch.setitem(sys.modules, "c2pa", None)
    done = in_process("edit", "--source", str(fronts(dataset)[0]), "--out", "a.png", *signed)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "pip install 'mcld[c2pa]'" in done.stderr
