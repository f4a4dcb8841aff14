"""The report and published figures beside ours."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mcld.errors import SettingsError
from mcld.evaluate.baseline import Figures, read_baselines
from mcld.evaluate.layouts import LAYOUTS
from mcld.evaluate.report import _thumbnail, write_report
from mcld.evaluate.request import EvaluationRequest
from mcld.evaluate.run import Evaluator
from mcld.evaluate.table import build_table, compare_results
from mcld.settings import load_settings
from tests.evaluate.test_run import results_of, score

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture
def report(dataset, tmp_path: Path) -> Path:
    """Of two results and published figures."""
    folders = [
        results_of(dataset, tmp_path / "ours"),
        results_of(dataset, tmp_path / "theirs", noise=25),
    ]
    found = [score(dataset, folder)[0] for folder in folders]
    published = [Figures("Somebody (2024)", "256", {"psnr": 18.25, "fid": 7.125}, "Table <9>")]
    return write_report(tmp_path / "report.html", found, published, compare_results(found))


def test_it_is_one_file_that_shows_tables_distributions_and_pairs(report):
    page = report.read_text(encoding="utf-8")
    for part in ("Somebody (2024)", "18.25", "7.125", "PSNR, 256: best, median, worst of", "worse"):
        assert part in page
    assert "<li>Somebody (2024): Table &lt;9&gt;</li>" in page
    assert page.count("<polygon") == 2 * 3 * 2  # sizes, metrics, results
    assert "data:image/jpeg;base64," in page
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", page)


def test_each_results_naming_is_told_as_its_own(dataset, tmp_path):
    settings = load_settings(None, ["evaluate.metrics=[psnr]"])
    evaluator = Evaluator(settings, say=print, on_picture=lambda *_: None)
    found = [
        evaluator.score(
            EvaluationRequest(
                name, dataset.root, results_of(dataset, tmp_path / name), layout=LAYOUTS[name]
            )
        )
        for name in ("cfld", "flat", "mcld")
    ]
    page = write_report(tmp_path / "report.html", found, [], []).read_text()
    for name in ("cfld", "flat"):
        assert f"<dt>layout of {name}</dt><dd>{name}: " in page
    assert "<dt>layout</dt>" not in page
    assert page.count("<dt>psnr</dt>") == 1


def test_names_of_folders_are_text_and_the_gallery_goes_from_best_to_worst(dataset, tmp_path):
    folder = results_of(dataset, tmp_path / "<script>alert(1)")
    found = [score(dataset, folder, "evaluate.metrics=[psnr]")[0]]
    found[0].request = EvaluationRequest(folder.name, dataset.root, folder)
    rows = found[0].sizes["256"].rows
    for k, row in enumerate(rows.values()):
        row["psnr"] = float(k)
    page = write_report(tmp_path / "report.html", found, [], []).read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    gallery = page[page.index("PSNR, 256: best") : page.index("</body>")]
    order = [float(n) for n in re.findall(r"<b>\w+</b> ([\d.]+)", gallery)]
    assert order == sorted(order, reverse=True)
    assert order[0] == len(rows) - 1
    assert order[-1] == 0
    best = list(rows)[-1]
    shown = gallery[: gallery.index(best)]
    truth = dataset.image("test", Path(best).stem.partition("_2_")[2])
    assert re.findall(r'<img src="([^"]+)" alt="truth">', shown) == [_thumbnail(truth, False)]


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_a_browser_shows_it(report, tmp_path):
    shot = tmp_path / "shot.png"
    browser = [
        *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}"),
    ]
    made = subprocess.run(
        [*browser, "--window-size=1200,2000", f"--screenshot={shot}", report.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in made.stderr  # where a page's errors go
    dom = subprocess.run(
        [*browser, "--dump-dom", report.as_uri()], capture_output=True, timeout=120, check=True
    ).stdout
    assert dom.count(b"<img") == report.read_bytes().count(b"<img")
    from PIL import Image

    with Image.open(shot) as picture:
        assert len(picture.convert("RGB").getcolors(2**24) or []) > 500  # pictures, not a blank


def test_published_figures_stand_in_the_table_with_dashes_for_what_they_lack(tmp_path):
    path = tmp_path / "published.yaml"
    path.write_text(
        'Somebody: {"256": {psnr: 18.25}, 512: {lpips: 0.2, fid: 7}}\nOther: {512: {lpips: 0.3}}\n'
    )
    titles, cells = build_table([], read_baselines(path))
    assert titles == ["metric", "size", "Somebody", "Other"]
    assert cells == [
        ["PSNR ↑", "256", "18.25", "–"],
        ["LPIPS ↓", "512", "0.2000", "0.3000"],
        ["FID ↓", "512", "7.000", "–"],
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "must hold"),
        ("a: 3", "give `name"),
        ("a: {1024: {psnr: 3}}", "1024 is no size"),
        ("a: {256: {psnrr: 3}}", "psnrr is no metric"),
        ("a: {256: {psnr: high}}", "high is no finite number"),
        ("a: {256: {psnr: .inf}}", "inf is no finite number"),
        ("a: {256: {psnr: .nan}}", "nan is no finite number"),
        ('a: {256: {psnr: 3}, "256": {psnr: 4}}', "256 is given twice"),
        ("a: {256: {psnr: 3}}\na: {256: {psnr: 4}}", "line 2: not YAML: a is given twice"),
        ("a: {", "not YAML"),
        ("a: {256: {ssim: 73.1}}", "73.1 is above 1: give it as a share"),
        ("a: {}", "give `name"),
        ("a: {source: paper}", "give `name"),
        ("a: {source: [1], 256: {psnr: 3}}", "a: source: give a text"),
    ],
)
def test_published_figures_that_are_none_are_refused_in_words(tmp_path, text, message):
    path = tmp_path / "published.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=message):
        read_baselines(path)
