"""An evaluation that is broken off goes on, and nothing is measured twice."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import read_image
from mcld.dataset.results import result_file
from mcld.evaluate.features import FeatureFile, FeatureSet
from mcld.evaluate.kept import KeptOutcomes, Outcome
from mcld.evaluate.measures.frechet import FID, InceptionFeatures
from mcld.evaluate.measures.kernels import KID
from mcld.evaluate.measures.pixels import PSNR
from mcld.evaluate.protocol import Protocol
from mcld.evaluate.request import EvaluationRequest
from mcld.evaluate.run import Evaluator
from mcld.evaluate.scores import Scores
from mcld.settings import load_settings
from tests.evaluate.test_run import results_of


@pytest.fixture
def results(dataset: DatasetLayout, tmp_path: Path) -> Path:
    return results_of(dataset, tmp_path / "results")


@contextmanager
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, list]]:
    """What is really measured, and shown to Inception."""
    seen: dict[str, list] = {"psnr": [], "pictures": []}
    measure, extract = PSNR.measure, InceptionFeatures.extract

    def count_pair(self, pair):
        seen["psnr"].append((pair.size, pair.name))
        return measure(self, pair)

    def count_pictures(self, pictures):
        seen["pictures"] += list(pictures.pictures)
        return extract(self, pictures)

    with monkeypatch.context() as patch:
        patch.setattr(PSNR, "measure", count_pair)
        patch.setattr(InceptionFeatures, "extract", count_pictures)
        yield seen


def score(
    dataset: DatasetLayout,
    folder: Path,
    *overrides: str,
    protocol: Protocol | None = None,
    stop_after: int | None = None,
) -> Scores:
    def stop(doing: str, done: int, _: int) -> None:
        if stop_after is not None and doing.startswith("Scoring") and done >= stop_after:
            raise KeyboardInterrupt

    settings = load_settings(None, ["evaluate.metrics=[psnr]", "evaluate.batch_size=2", *overrides])
    evaluator = Evaluator(settings, say=lambda _: None, on_picture=stop, protocol=protocol)
    return evaluator.score(EvaluationRequest("it", dataset.root, folder), kept=folder / "kept")


def test_a_run_that_was_broken_off_goes_on_and_ends_with_the_same_numbers(
    dataset, results, monkeypatch
):
    with pytest.raises(KeyboardInterrupt):
        score(dataset, results, stop_after=2)
    with counting(monkeypatch) as seen:
        found = score(dataset, results)
    pairs = len(dataset.pairs("test"))
    assert len(seen["psnr"]) == 2 * (pairs - 2)
    for path in (results / "kept").rglob("*"):
        if path.is_file():
            path.unlink()
    whole = score(dataset, results)
    for size in ("256", "512"):
        assert found.sizes[size].rows == whole.sizes[size].rows
        assert found.sizes[size].values == whole.sizes[size].values
        assert found.sizes[size].enlarged == whole.sizes[size].enlarged == pairs


def test_a_metric_that_is_added_later_and_a_picture_that_changed_are_measured_alone(
    dataset, results, monkeypatch
):
    score(dataset, results)
    with counting(monkeypatch) as seen:
        found = score(dataset, results, "evaluate.metrics=[psnr,ssim]")
    assert not seen["psnr"]
    assert found.sizes["256"].values["ssim"] > 0
    source, target = (Path(name).stem for name in dataset.pairs("test")[0])
    path = result_file(results, "256", source, target)
    Image.new("RGB", (176, 256), (200, 10, 10)).save(path)
    with counting(monkeypatch) as seen:
        score(dataset, results, "evaluate.metrics=[psnr,ssim]")
    assert seen["psnr"] == [("256", path.name)]


def test_the_pairs_of_a_true_picture_that_changed_are_measured_again(
    dataset, results, tmp_path, monkeypatch
):
    without = shutil.ignore_patterns("cache")
    copy = DatasetLayout(shutil.copytree(dataset.root, tmp_path / "own", ignore=without))
    score(copy, results)
    target = copy.pairs("test")[0][1]
    Image.new("RGB", (88, 128), (200, 10, 10)).save(copy.image("test", Path(target).stem))
    with counting(monkeypatch) as seen:
        score(copy, results)
    changed = {
        result_file(results, "256", Path(a).stem, Path(b).stem).name
        for a, b in copy.pairs("test")
        if b == target
    }
    assert {name for _, name in seen["psnr"]} == changed
    assert 0 < len(changed) < len(copy.pairs("test"))


def test_another_protocol_or_line_that_was_cut_short_is_not_taken(dataset, results, monkeypatch):
    first = score(dataset, results).sizes["256"].values["psnr"]
    with counting(monkeypatch) as seen:
        other = score(dataset, results, protocol=Protocol(resize="opencv-area"))
    assert len(seen["psnr"]) == 2 * len(dataset.pairs("test"))
    assert other.sizes["256"].values["psnr"] != first
    with counting(monkeypatch) as seen:  # a window of SSIM is nothing to PSNR
        score(dataset, results, protocol=Protocol(ssim_window=11))
    assert not seen["psnr"]
    for path in (results / "kept" / "256").glob("psnr-*"):
        path.write_text(path.read_text()[:-20])
    with counting(monkeypatch) as seen:
        again = score(dataset, results)
    assert len(seen["psnr"]) == 1
    assert again.sizes["256"].values["psnr"] == first


def test_a_truth_of_several_pairs_is_read_once_though_threads_want_it_at_a_time(
    dataset, results, monkeypatch
):
    read: list[Path] = []

    def read_slowly(path: Path) -> np.ndarray:
        read.append(path)
        time.sleep(0.05)  # as long as all threads have asked for it
        return read_image(path)

    monkeypatch.setattr("mcld.evaluate.run.read_image", read_slowly)
    score(dataset, results, "evaluate.workers=4")
    targets = [dataset.image("test", Path(b).stem) for _, b in dataset.pairs("test")]
    assert len(set(targets)) < len(targets)
    assert sorted(read) == sorted(set(targets))


def test_a_network_sees_no_picture_twice_and_a_damaged_row_again(
    dataset, results, networks, tmp_path, monkeypatch
):
    shutil.rmtree(results / "512")
    overrides = ("evaluate.metrics=[fid]", f"sample.pretrained={networks}")
    for kept in (dataset.root / "cache").glob("*"):
        kept.unlink()
    first = score(dataset, results, *overrides)
    with counting(monkeypatch) as seen:
        again = score(dataset, results, *overrides)
    assert not seen["pictures"]
    assert again.sizes["256"].values == first.sizes["256"].values
    (rows,) = (results / "kept" / "256").glob("inception-*.f32")
    content = bytearray(rows.read_bytes())
    content[5] ^= 1
    rows.write_bytes(content)
    with counting(monkeypatch) as seen:
        again = score(dataset, results, *overrides)
    assert len(seen["pictures"]) == 1
    assert again.sizes["256"].values["fid"] == pytest.approx(
        first.sizes["256"].values["fid"], rel=1e-5
    )
    for sums in (dataset.root / "cache").glob("fid-*"):
        sums.unlink()
    with counting(monkeypatch) as seen:
        score(dataset, results, *overrides)
    assert not seen["pictures"]


def test_the_distance_of_sets_is_kept_until_a_picture_changes(
    dataset, results, networks, monkeypatch
):
    shutil.rmtree(results / "512")
    overrides = ("evaluate.metrics=[fid,kid]", f"sample.pretrained={networks}")
    compared: list[str] = []
    for metric in (FID, KID):
        compare = metric.compare

        def count(self, *sets, compare=compare):
            compared.append(self.name)
            return compare(self, *sets)

        monkeypatch.setattr(metric, "compare", count)
    first = score(dataset, results, *overrides).sizes["256"].values
    assert score(dataset, results, *overrides).sizes["256"].values == first
    assert compared == ["fid", "kid"]
    changed = min((results / "256").iterdir())
    Image.fromarray(255 - read_image(changed)).save(changed)
    assert score(dataset, results, *overrides).sizes["256"].values["fid"] != first["fid"]
    assert compared == ["fid", "kid"] * 2


def test_rows_of_features_come_back_in_any_order_from_several_runs(tmp_path):
    random = np.random.default_rng(0)
    rows = random.normal(size=(5, 3)).astype(np.float32)
    for start, end in ((0, 2), (2, 5)):
        file = FeatureFile(tmp_path, "it", 3, print)
        names = [f"{k} with a space.png" for k in range(start, end)]
        file.add(names, rows[start:end], [k == 3 for k in range(start, end)])
        file.close()
    file = FeatureFile(tmp_path, "it", 3, print)
    order = [4, 0, 3, 1]
    names = [f"{k} with a space.png" for k in order]
    assert np.array_equal(file.read(names), rows[order])
    sums = file.sum(names, torch.device("cpu"))
    assert (sums.count, sums.enlarged) == (4, 1)
    np.testing.assert_allclose(sums.total, rows[order].sum(axis=0, dtype=np.float64))
    assert np.array_equal(FeatureSet(sums, file, names).rows, rows[order])
    assert "5 with a space.png" not in file


def test_rows_that_another_process_adds_after_a_first_look_are_found(tmp_path):
    rows = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    theirs = FeatureFile(tmp_path, "net", 3, print)
    theirs.add(["a"], rows[:1], [False])
    ours = FeatureFile(tmp_path, "net", 3, print)
    theirs.add(["b"], rows[1:], [False])
    ours.scan()
    assert np.array_equal(ours.read(["b", "a"]), rows[::-1])


def test_rows_of_processes_whose_folder_takes_none_are_found_where_they_are(tmp_path):
    rows = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    processes = [FeatureFile(None, "net", 3, print) for _ in range(2)]
    for name, row, file in zip("ab", rows, processes, strict=True):
        file.add([name], row[None], [False])
    for file in processes:
        file.share([each.folder for each in processes])
        sums = file.sum(["a" if file is processes[0] else "b"], torch.device("cpu"))
        assert np.array_equal(FeatureSet(sums, file, ["b", "a"]).rows, rows[::-1])


def test_a_list_of_rows_that_is_damaged_is_read_as_far_as_it_goes(tmp_path):
    rows = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    kept = FeatureFile(tmp_path, "net", 3, print)
    kept.add(["a", "\udcff"], rows, [False, True])
    kept.close()
    again = FeatureFile(tmp_path, "net", 3, print)
    assert np.array_equal(again.read(["\udcff", "a"]), rows[::-1])
    (path,) = tmp_path.glob("*.txt")
    whole = path.read_bytes()
    path.write_bytes(whole.splitlines(keepends=True)[0] + b"\0\0\xff\n")
    again = FeatureFile(tmp_path, "net", 3, print)
    assert "a" in again
    assert "\udcff" not in again


def test_what_cannot_be_kept_is_said_once_and_counts_all_the_same(tmp_path):
    (tmp_path / "blocked").touch()
    said: list[str] = []
    kept = KeptOutcomes(tmp_path / "blocked", "it", said.append)
    for number in range(3):
        kept.add(str(number), Outcome({"psnr": float(number)}))
    assert kept.get("2") == Outcome({"psnr": 2.0})
    assert len(said) == 1
    assert "cannot write in" in said[0]
    file = FeatureFile(tmp_path / "blocked", "it", 2, said.append)
    file.add(["a"], np.ones((1, 2), np.float32), [False])
    assert np.array_equal(file.read(["a"]), np.ones((1, 2)))
    assert len(said) == 2
