"""--json: one object on stdout, and everything else on stderr."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mcld.dataset.layout import DatasetLayout

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def ask(in_process: Run) -> Callable[..., dict]:
    """The object that a command prints."""

    def run(*arguments: object) -> dict:
        done = in_process(*map(str, arguments), "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_what_there_is_is_listed(ask):
    weights = {item["name"]: item for item in ask("weights", "status")["weights"]}
    assert weights["densepose"].items() >= {"there": False, "gigabytes": 0.34}.items()
    assert ask("settings", "train.seed", "--set", "train.seed=3")["settings"] == {
        "train.seed": {"value": 3, "from": "the command line"}
    }


def test_a_dataset_a_picture_an_edit_and_a_score_are_told(ask, dataset: DatasetLayout, tmp_path):
    made = ask("prepare", tmp_path / "people", "--mannequins", 2, "--pictures", 2, "--workers", 1)
    assert made["dataset"] == str(tmp_path / "people")
    assert {split: counts["people"] for split, counts in made["splits"].items()} == {
        "train": 1,
        "test": 1,
    }

    source, target = (Path(name).stem for name in dataset.pairs("test")[0])
    photo, pose = dataset.image("test", source), dataset.densepose("test", target)
    sampled = ask("sample", "--source", photo, "--pose", pose, "--out", "o.png", "--sheet")
    assert sampled == {"written": ["o.png", "o-sheet.png"]}
    edited = ask("edit", "--source", photo, "--recolor", "upper=red", "--out", "e.png")
    assert edited == {"written": ["e.png"]}

    split = ("--split", "test", "--dataset", dataset.root, "--save-path", "results", "--limit", 2)
    assert [ask("sample", *split)["made"] for _ in range(2)] == [2, 0]
    score = ("--save-path", "results", "--dataset", dataset.root, "--metrics", "psnr")
    evaluated = ask("evaluate", *score)
    assert evaluated["report"] == "results/evaluation/report.html"
    (result,) = evaluated["results"]
    assert result["values"]["256"]["pairs"] == 2
    assert result == json.loads((tmp_path / "results/evaluation/metrics.json").read_text())


def test_an_error_leaves_stdout_empty(in_process: Run):
    done = in_process("weights", "download", "nothing", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: there are no weights 'nothing'")
