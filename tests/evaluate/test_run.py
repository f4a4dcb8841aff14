"""Folders of results, scored."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import read_image, write_png
from mcld.dataset.results import RESULT_SIZES, result_file
from mcld.errors import InputError
from mcld.estimators.face import InsightFace
from mcld.evaluate.metrics import psnr
from mcld.evaluate.request import EvaluationRequest
from mcld.evaluate.run import FACE_DETECTION, Evaluator, resized
from mcld.evaluate.scores import FACE_PACK, Scores
from mcld.evaluate.table import differences
from mcld.settings import load_settings
from tests.estimators.test_face import detector, recogniser


def results_of(dataset: DatasetLayout, folder: Path, noise: float = 9, seed: int = 0) -> Path:
    """A folder of results: the truth with noise."""
    random = np.random.default_rng(seed)
    for source, target in dataset.pairs("test"):
        truth = read_image(dataset.image("test", Path(target).stem))
        for size, shape in RESULT_SIZES.items():
            image = resized(truth, shape) + random.normal(size=(*shape, 3)) * noise
            path = result_file(folder, size, Path(source).stem, Path(target).stem)
            write_png(path, image.clip(0, 255).astype(np.uint8))
    return folder


@pytest.fixture
def results(dataset: DatasetLayout, tmp_path: Path) -> Path:
    return results_of(dataset, tmp_path / "results")


def score(
    dataset: DatasetLayout, folder: Path, *overrides: str, truth: Path | None = None
) -> tuple[Scores, list[str]]:
    said: list[str] = []
    settings = load_settings(None, ["evaluate.metrics=[psnr,ssim,ssim_256]", *overrides])
    evaluator = Evaluator(settings, say=said.append, on_picture=lambda *_: None)
    return evaluator.score(EvaluationRequest("it", dataset.root, folder, truth)), said


def test_every_pair_is_scored_at_every_size_and_the_mean_is_told(dataset, results):
    scores, said = score(dataset, results)
    assert said == []
    for size, shape in RESULT_SIZES.items():
        expected = {}
        for source, target in dataset.pairs("test"):
            path = result_file(results, size, Path(source).stem, Path(target).stem)
            truth = resized(read_image(dataset.image("test", Path(target).stem)), shape)
            expected[path.name] = psnr(read_image(path), truth)
        found = scores.sizes[size]
        assert {name: row["psnr"] for name, row in found.rows.items()} == expected
        assert found.values["psnr"] == pytest.approx(np.mean(list(expected.values())))
        assert 0 < found.values["ssim"] < 1
        assert found.listed == len(expected)


def test_files_say_what_was_measured_how_and_of_what(dataset, results, tmp_path):
    scores, _ = score(dataset, results)
    scores.write(tmp_path / "out")
    told = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert told["values"]["256"]["psnr"] == scores.sizes["256"].values["psnr"]
    assert set(told["protocol"]) == {"dataset", "truth", "psnr", "ssim", "ssim_256"}
    assert told["counts"]["256"]["missing"] == 0
    assert {"mcld", "torch", "pillow"} <= set(told["versions"])
    with (tmp_path / "out" / "per_image.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * len(dataset.pairs("test"))
    row = next(r for r in rows if r["size"] == "512")
    assert float(row["psnr"]) == scores.sizes["512"].rows[row["file"]]["psnr"]


def test_what_cannot_be_scored_is_counted_and_named_and_changes_no_other_number(dataset, results):
    whole, _ = score(dataset, results)
    names = sorted(path.name for path in (results / "256").iterdir())
    (results / "256" / names[0]).unlink()
    (results / "256" / names[1]).write_bytes(b"no picture")
    Image.new("RGB", (100, 100)).save(results / "256" / names[2])
    Image.new("RGB", (176, 256), (9, 9, 9)).save(results / "256" / names[3])
    (results / "256" / "somebody.png").touch()
    scores, _ = score(dataset, results)
    found = scores.sizes["256"]
    assert found.missing == [names[0]]
    assert set(found.refused) == set(names[1:4])
    assert "100x100, not 176x256" in found.refused[names[2]]
    assert "ssim_256" in found.refused[names[3]]
    assert found.extra == 1
    assert found.values["pairs"] == len(names) - 3
    assert set(found.rows) == set(names[3:])
    for name in names[4:]:
        assert found.rows[name] == whole.sizes["256"].rows[name]
    told = "\n".join(scores.problems())
    for part in ("1 of", names[0], "3 of the pictures could not"):
        assert part in told
    assert "belong to no pair" not in told  # they are ignored, and no problem
    assert any("belong to no pair and are ignored: 1" in note for note in scores.notes())


def test_pictures_of_another_split_an_empty_folder_and_none_are_refused(dataset, results, tmp_path):
    (results / "settings.json").write_text(json.dumps({"split": "train"}))
    with pytest.raises(InputError, match="train split"):
        score(dataset, results)
    (tmp_path / "empty" / "256").mkdir(parents=True)
    with pytest.raises(InputError, match="no picture of a test pair"):
        score(dataset, tmp_path / "empty")
    with pytest.raises(InputError, match="neither 256/ nor 512/"):
        score(dataset, tmp_path)
    (results / "settings.json").unlink()
    with pytest.raises(InputError, match="give --dataset"):
        score(DatasetLayout(tmp_path / "nowhere"), results)


def test_another_truth_can_be_given(dataset, results, tmp_path):
    truth = results_of(dataset, tmp_path / "truth", noise=0)
    scores, _ = score(dataset, results, truth=truth / "256")
    assert str(truth) in scores.protocol()["truth"]
    expected, _ = score(dataset, results)
    assert scores.sizes["256"].values == pytest.approx(expected.sizes["256"].values)


def test_a_metric_without_its_network_is_left_out_with_the_command_that_brings_it(
    dataset, results, tmp_path, monkeypatch
):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    scores, said = score(
        dataset,
        results,
        "evaluate.metrics=[psnr,lpips,fid,face]",
        f"sample.pretrained={tmp_path}",
        f"prepare.insightface_root={tmp_path}",
    )
    assert set(scores.sizes["256"].left_out) == {"lpips", "fid", "face"}
    assert set(scores.sizes["512"].left_out) == {"lpips", "fid"}
    for name in ("alexnet", "inception", "buffalo_s"):
        assert any(f"mcld weights download {name}" in line for line in said)
    assert set(scores.sizes["256"].values) == {"pairs", "psnr"}


def test_lpips_and_fid_with_statistics_that_are_remembered(dataset, results, networks, tmp_path):
    copy = DatasetLayout(shutil.copytree(dataset.root, tmp_path / "own"))
    shutil.rmtree(results / "512")
    overrides = ("evaluate.metrics=[lpips,fid]", f"sample.pretrained={networks}")
    first, said = score(copy, results, *overrides)
    assert said == []
    values = first.sizes["256"].values
    assert values["lpips"] > 0
    assert values["fid"] > 0
    (kept,) = (copy.root / "cache").glob("fid-256-*.npz")
    before = kept.stat().st_mtime_ns
    again, _ = score(copy, results, *overrides)
    assert again.sizes["256"].values == pytest.approx(values, rel=1e-6)
    assert kept.stat().st_mtime_ns == before
    names = copy.names("train")
    write = copy.image("train", Path(names[0]).stem)
    Image.new("RGB", (88, 128), (200, 0, 0)).save(write)
    other, _ = score(copy, results, *overrides)
    assert other.sizes["256"].values["fid"] != pytest.approx(values["fid"], rel=1e-3)


def test_one_picture_has_no_frechet_distance(dataset, results, networks):
    shutil.rmtree(results / "512")
    for path in sorted((results / "256").iterdir())[1:]:
        path.unlink()
    scores, said = score(
        dataset, results, "evaluate.metrics=[psnr,fid]", f"sample.pretrained={networks}"
    )
    assert "fid" not in scores.sizes["256"].values
    assert any("at least 2 pictures" in line for line in said)


def test_paired_differences_tell_the_better_of_two(dataset, results, tmp_path):
    worse = results_of(dataset, tmp_path / "worse", noise=25)
    same = results_of(dataset, tmp_path / "same")
    first, _ = score(dataset, results)
    (found,) = (
        d for d in differences(first, score(dataset, worse)[0], "256") if d.metric == "psnr"
    )
    assert found.verdict == "worse"
    assert found.low <= found.mean <= found.high < 0
    assert found.pairs == len(dataset.pairs("test"))
    assert {d.verdict for d in differences(first, score(dataset, same)[0], "256")} == {
        "not significant"
    }


def test_faces_are_compared_where_both_pictures_have_one(dataset, tmp_path):
    root = tmp_path / "insightface" / "models" / FACE_PACK
    detector(root / "det_500m.onnx", red=0.99, size=FACE_DETECTION)
    recogniser(root / "w600k_mbf.onnx")
    random = np.random.default_rng(0)
    expected = []
    for k, name in enumerate(("a_2_b.png", "c_2_d.png", "e_2_f.png")):
        pair = []
        for folder in ("results", "truth"):
            image = np.full((256, 176, 3), 128, np.uint8)
            image += random.integers(0, 90, (256, 1, 3), np.uint8)
            if k < 2 or folder == "truth":
                image[100:112, 60:72] = (255, 0, 0)
            write_png(tmp_path / folder / "256" / name, image)
            pair.append(image)
        expected.append(pair)
    overrides = ("evaluate.metrics=[face]", f"prepare.insightface_root={root.parents[1]}")
    scores, said = score(dataset, tmp_path / "results", *overrides, truth=tmp_path / "truth")
    assert said == []
    found = scores.sizes["256"]
    assert found.values["faces"] == 2
    faces = InsightFace(root.parents[1], FACE_PACK, "cpu", FACE_DETECTION)
    cosines, distances = [], []
    for pair in expected[:2]:
        a, b = (faces.largest(image) for image in pair)
        cosines.append(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
        distances.append(np.linalg.norm(a - b))
    assert found.values["face_cosine"] == pytest.approx(np.mean(cosines), abs=1e-6)
    assert found.values["face_distance"] == pytest.approx(np.mean(distances), rel=1e-5)
    assert np.mean(distances) > 0
