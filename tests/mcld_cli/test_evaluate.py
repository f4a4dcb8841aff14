"""`mcld evaluate` as a person runs it."""

import json
import re
import shutil
from pathlib import Path

import pytest

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import write_png
from mcld.errors import InputError, SettingsError
from mcld.evaluate.baseline import Figures
from mcld.evaluate.protocol import Protocol
from mcld.evaluate.request import EvaluationRequest
from mcld.mannequin.world import identity, pose, render
from mcld.settings import load_settings
from mcld_cli.evaluate import _load_baselines, _name_results
from mcld_cli.scores import score_results
from tests.evaluate.test_run import results_of


@pytest.fixture
def results(dataset: DatasetLayout, tmp_path: Path) -> Path:
    return results_of(dataset, tmp_path / "results")


def test_it_scores_and_reports_and_strict_fails_for_what_is_missing(in_process, dataset, results):
    some = ("--dataset", str(dataset.root), "--metrics", "psnr,ssim")
    done = in_process("evaluate", "--save-path", str(results), *some, "--strict")
    assert done.returncode == 0, done.stderr
    assert "PSNR" in done.stdout
    folder = results / "evaluation"
    assert {path.name for path in folder.iterdir()} == {
        *("metrics.json", "per_image.csv", "report.html", "cache")
    }
    first = next((results / "512").iterdir())
    first.unlink()
    done = in_process("evaluate", "--save-path", str(results), *some, "--strict")
    assert done.returncode == 1
    assert first.name in done.stdout.replace("\n", "")
    assert "Traceback" not in done.stderr


def test_a_sequence_is_measured_and_goes_with_nothing_else(in_process, tmp_path):
    photo = render(identity(5, 0), pose(5, 0, 0), (384, 264))[0]
    for number in range(2):
        write_png(tmp_path / "frames" / f"{number}.png", photo)
    words = ("evaluate", "--sequence", "frames", "--set", "prepare.pose_estimator=embedded")
    done = in_process(*words)
    assert done.returncode == 0, done.stderr
    assert "warping error" in done.stdout
    assert "faces alike (head_crop)" in done.stdout
    told = json.loads(in_process(*words, "--json").stdout)
    assert (told["frames"], told["warping_error"]) == (2, 0)
    for more in (("--results", "r"), ("--strict",), ("--metrics", "psnr")):
        refused = in_process(*words, *more)
        assert refused.returncode == 2
        assert f"{more[0]} does not go with --sequence" in refused.stderr
    nothing = in_process("evaluate")
    assert nothing.returncode == 2
    assert "give --results, a folder of results, or --sequence" in nothing.stderr


def test_three_processes_one_without_a_picture_measure_what_one_does(
    mcld, in_process, dataset, results, networks
):
    shutil.rmtree(results / "512")
    for path in sorted((results / "256").iterdir())[2:]:
        path.unlink()
    told = []
    without = shutil.ignore_patterns("cache")
    root = Path(shutil.copytree(dataset.root, results.parent / "own", ignore=without))
    for extra in ((), ("--processes", "3")):
        if extra:  # which can keep nothing of the training pictures
            shutil.rmtree(root / "cache")
            (root / "cache").touch()
        out = results.parent / f"out{len(extra)}"
        done = (mcld if extra else in_process)(
            *("evaluate", "--save-path", str(results), "--dataset", str(root)),
            *("--metrics", "psnr,lpips,fid,kid", "--set", f"sample.pretrained={networks}"),
            *("--out", str(out), *extra),
            OMP_NUM_THREADS="1",
        )
        assert done.returncode == 0, done.stderr
        told.append(json.loads((out / "metrics.json").read_text()))
    assert told[0]["counts"]["256"]["scored"] == 2
    assert told[0]["values"]["256"]["fid"] > 0
    assert told[1]["values"]["256"] == pytest.approx(told[0]["values"]["256"], rel=1e-5)
    assert told[1]["counts"] == told[0]["counts"]


def test_two_folders_are_compared(in_process, dataset, results, tmp_path):
    worse = results_of(dataset, tmp_path / "worse", noise=25)
    done = in_process(
        *("evaluate", "--save-path", str(results), "--save-path", str(worse)),
        *("--dataset", str(dataset.root), "--metrics", "psnr", "--out", str(tmp_path / "out")),
    )
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("report.html", "differences.json", "results", "worse")
    }
    assert "worse minus results, 256" in (tmp_path / "out" / "report.html").read_text()
    told = json.loads((tmp_path / "out" / "differences.json").read_text())
    assert [(d["metric"], d["size"], d["verdict"]) for d in told["differences"]] == [
        ("psnr", "256", "worse"),
        ("psnr", "512", "worse"),
    ]
    for name in ("results", "worse"):
        assert (tmp_path / "out" / name / "metrics.json").is_file()


def test_people_are_asked_and_their_answers_scored(in_process, dataset, results, tmp_path):
    worse = results_of(dataset, tmp_path / "worse", noise=25)
    words = ("evaluate", "--results", str(results), "--results", str(worse))
    some = ("--dataset", str(dataset.root), "--pictures", "2", "--comparisons", "2")
    made = in_process(*words, *some, "--study", str(tmp_path / "study"))
    assert made.returncode == 0, made.stderr
    assert "4 pictures to judge, 2 comparisons" in made.stdout.replace("\n", " ")
    key = json.loads((tmp_path / "study" / "study.json").read_text())
    answers = {
        "study": key["study"],
        "participant": "x",
        "seed": 1,
        "judged": [{"picture": p, "answer": "real", "seconds": 1} for p in key["judged"]],
        "compared": [
            {"comparison": c, "left": a, "answer": a, "seconds": 1}
            for c, (a, _) in key["compared"].items()
        ],
    }
    (tmp_path / "answers").mkdir()
    (tmp_path / "answers" / "x.json").write_text(json.dumps(answers))
    (tmp_path / "answers" / "torn.json").write_text("{")
    words = ("evaluate", "--study", str(tmp_path / "study"), "--answers", str(tmp_path / "answers"))
    done = in_process(*words)
    assert done.returncode == 0, done.stderr
    assert "torn.json: damaged" in done.stdout
    assert re.search(r"G2R worse +100.0% +20.7% … 100.0% +1\b", done.stdout)
    told = json.loads(in_process(*words, "--json").stdout)
    assert told == json.loads((tmp_path / "study" / "answers.json").read_text())
    assert [share["value"] for share in told["shares"][:3]] == [0, 1, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--answers", "."), "--answers needs --study"),
        (("--answers", ".", "--study", "nowhere"), "study.json cannot be read"),
        (("--answers", ".", "--study", ".", "--results", "."), "does not go with --answers"),
        (("--study", "."), "give --results"),
        (("--study", ".", "--results", ".", "--metrics", "psnr"), "does not go with --study"),
        (("--results", ".", "--pictures", "3"), "--pictures needs --study"),
        (("--sequence", "a.mp4", "--study", "."), "--study does not go with --sequence"),
    ],
)
def test_what_does_not_go_with_a_study_is_refused(in_process, arguments, message):
    done = in_process("evaluate", *arguments)
    assert done.returncode == 2
    assert message in done.stderr.replace("\n", " ")


def test_a_table_stands_alone_on_stdout(in_process, dataset, results):
    words = ("evaluate", "--results", str(results), "--dataset", str(dataset.root))
    done = in_process(*words, "--metrics", "psnr", "--table", "markdown")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("|  | PSNR ↑, 256 | PSNR ↑, 512 |\n")
    assert "The report is" in done.stderr
    told = json.loads(in_process(*words, "--metrics", "psnr", "--table", "latex", "--json").stdout)
    assert told["table"].endswith("\\end{tabular}\n")


def test_a_protocol_is_printed_and_explained_against_another(in_process, dataset, results):
    words = ("evaluate", "--results", str(results), "--dataset", str(dataset.root))
    done = in_process(*words, "--metrics", "psnr,ssim", "--protocol", "dptn")
    assert done.returncode == 0, done.stderr
    assert "Protocol dptn, " in done.stdout
    done = in_process(*words, "--metrics", "psnr,ssim", "--explain", "dptn")
    assert done.returncode == 0, done.stderr
    assert "pad_white: False → True" in done.stdout
    told = json.loads((results / "evaluation" / "explanation.json").read_text())
    assert [step["field"] for step in told["steps"]] == ["", "pad_white"]
    done = in_process(*words, "--explain", "cfld")
    assert "mcld-1 and cfld are one protocol" in done.stdout
    gone = next((results / "256").iterdir())
    gone.unlink()
    done = in_process(*words, "--metrics", "psnr", "--explain", "dptn")
    assert f"pairs have no picture, such as {gone.name}" in done.stdout.replace("\n", " ")


def test_each_of_several_results_has_a_layout_of_its_own(in_process, dataset, results, tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for path in (results / "256").iterdir():
        shutil.copy(path, theirs / path.name.replace("_2_", "_to_"))
    words = ("evaluate", "--results", str(results), "--results", str(theirs))
    words += ("--dataset", str(dataset.root), "--metrics", "psnr", "--out", str(tmp_path / "out"))
    done = in_process(*words, "--layout", "mcld", "--layout", "pcdms")
    assert done.returncode == 0, done.stderr
    told = [
        json.loads((tmp_path / "out" / name / "metrics.json").read_text())
        for name in ("results", "theirs")
    ]
    assert told[0]["values"]["256"] == told[1]["values"]["256"]
    assert (told[1]["layout"], told[1]["protocol_name"]) == ("pcdms", "mcld-1")
    three = ("--layout", "mcld") * 3
    assert "--layout is given 3 times, --results 2 times" in in_process(*words, *three).stderr


def test_results_of_one_name_are_told_apart_and_stay_below_out(tmp_path, monkeypatch):
    (tmp_path / "one" / "run").mkdir(parents=True)
    (tmp_path / "two" / "run").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "one" / "run")
    folders = [Path(), Path("../../two/run"), Path("../../two/.."), Path("/")]
    assert _name_results(folders) == ["run", "run-2", tmp_path.name, "results"]
    assert _name_results([Path("report.html")]) == ["report.html-2"]


def test_a_baseline_cannot_take_the_name_of_results(tmp_path):
    path = tmp_path / "published.yaml"
    path.write_text("mine: {256: {psnr: 99}}\n")
    assert _load_baselines(path, ["other"]) == [Figures("mine", "256", {"psnr": 99.0})]
    with pytest.raises(SettingsError, match="mine is what a folder of results is called"):
        _load_baselines(path, ["mine"])


def test_of_several_results_the_first_is_written_though_a_later_one_fails(
    dataset, results, tmp_path
):
    broken = results_of(dataset, tmp_path / "broken")
    for path in broken.glob("*/*.png"):
        path.write_bytes(b"no picture")
    settings = load_settings(None, ["evaluate.metrics=[psnr]"])
    requests = [EvaluationRequest(p.name, dataset.root, p) for p in (results, broken)]
    with pytest.raises(InputError, match=r"no picture in .* can be scored"):
        score_results(settings, requests, [None, None], tmp_path / "out", Protocol())
    assert (tmp_path / "out" / "results" / "metrics.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--save-path", "nowhere"), 1, "nowhere is no folder"),
        (("--save-path", ".", "--save-path", "."), 2, "names one folder twice"),
        (
            ("--save-path", ".", "--metrics", "psnr,beauty"),
            2,
            "'beauty' is no metric; give all, or some of psnr,ssim,",
        ),
        (("--save-path", "."), 1, "has neither 256/ nor 512/"),
        (("--results", ".", "--layout", "mine"), 2, "--layout mine: there are mcld,"),
        (("--results", ".", "--panel", "2"), 2, "from the end from -1, with --layout side-by-side"),
        (("--results", ".", "--pattern", "x"), 2, "give {from} and {to}"),
        (("--results", ".", "--protocol", "mine"), 2, "--protocol mine: there are cfld,"),
        (("--results", ".", "--table", "html"), 2, "give latex, markdown, csv"),
        (
            ("--results", ".", "--explain", "pidm", "--table", "csv"),
            2,
            "--table does not go with --explain",
        ),
        (("--save-path", ".", "--baseline", "nowhere.yaml"), 2, "nowhere.yaml: no such file"),
        (("--save-path", "nowhere", "--processes", "2"), 1, "nowhere is no folder"),
    ],
)
def test_a_mistake_is_one_line(in_process, arguments, code, message):
    done = in_process("evaluate", *arguments)
    assert done.returncode == code
    assert done.stderr.startswith("error: ")
    assert message in done.stderr.replace("\n", " ")
    assert len(done.stderr.strip().splitlines()) <= 3
    assert "Traceback" not in done.stderr
