"""Folders of results, scored."""

import csv
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.linalg import svdvals

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import read_image, write_png
from mcld.dataset.results import RESULT_SIZES, result_file
from mcld.errors import InputError, WeightsError
from mcld.estimators.face import InsightFace
from mcld.evaluate.fid import FeatureSums, Inception, TrainingPictures
from mcld.evaluate.measures.faces import FACE_DETECTION, FACE_PACK
from mcld.evaluate.metrics import psnr
from mcld.evaluate.networks import find_torchvision_file
from mcld.evaluate.pairs import resize
from mcld.evaluate.request import EvaluationRequest
from mcld.evaluate.run import Evaluator
from mcld.evaluate.scores import Scores, SizeScores
from mcld.evaluate.table import compare_pairs, compare_results
from mcld.networks.names import TORCHVISION
from mcld.settings import load_settings
from tests.estimators.test_face import detector, recogniser
from tests.evaluate.test_metrics import in_folder, torchmetrics_lpips


def results_of(dataset: DatasetLayout, folder: Path, noise: float = 9, seed: int = 0) -> Path:
    """A folder of results: the truth with noise."""
    random = np.random.default_rng(seed)
    for source, target in dataset.pairs("test"):
        truth = read_image(dataset.image("test", Path(target).stem))
        for size, shape in RESULT_SIZES.items():
            image = resize(truth, shape) + random.normal(size=(*shape, 3)) * noise
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
            truth = resize(read_image(dataset.image("test", Path(target).stem)), shape)
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
    (results / "256" / f"._{names[4]}").touch()  # a Mac's; no file of anybody
    scores, _ = score(dataset, results)
    found = scores.sizes["256"]
    assert found.missing == [names[0]]
    assert set(found.refused) == set(names[1:4])
    assert "100x100, not 176x256" in found.refused[names[2]]
    assert "ssim_256" in found.refused[names[3]]
    assert found.others == ["somebody.png"]
    assert found.values["pairs"] == len(names) - 3
    assert set(found.rows) == set(names[3:])
    for name in names[4:]:
        assert found.rows[name] == whole.sizes["256"].rows[name]
    told = "\n".join(scores.list_problems())
    for part in (
        f"1 of {len(names)} pairs have no picture, such as {names[0]}",
        f"{names[1]}: is not a picture",
        f"{names[2]}: it is 100x100, not 176x256",
        f"{names[3]}: it is all one grey, which has no ssim_256",
    ):
        assert part in told
    assert found.count_pictures()["scored_by"] == {"ssim_256": len(names) - 4}
    assert any("SSIM-256 is the mean of" in note for note in scores.list_notes())
    assert "belong to no pair" not in told  # they are ignored, and no problem
    assert any("belong to no pair and are ignored: 1" in note for note in scores.list_notes())


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
    (truth / "256" / "._hidden.png").touch()
    scores, _ = score(dataset, results, truth=truth / "256")
    assert str(truth) in scores.describe_protocol()["truth"]
    assert not scores.sizes["256"].missing
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
    copy = DatasetLayout(
        shutil.copytree(dataset.root, tmp_path / "own", ignore=shutil.ignore_patterns("cache"))
    )
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


@pytest.fixture
def uneven(dataset: DatasetLayout, tmp_path: Path) -> DatasetLayout:
    """A dataset whose pictures are larger than, smaller than and of the size they are scored at."""
    without = shutil.ignore_patterns("cache")
    layout = DatasetLayout(shutil.copytree(dataset.root, tmp_path / "uneven", ignore=without))
    random = np.random.default_rng(0)
    sides = [(256, 176), (300, 190), (640, 440), (128, 88)]
    for split in ("train", "test"):
        for k, name in enumerate(layout.names(split)):
            pixels = random.integers(0, 256, (*sides[k % len(sides)], 3), np.uint8)
            Image.fromarray(pixels).save(layout.image(split, Path(name).stem), quality=95)
    return layout


def as_tensor(images: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255


def bicubic(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB").resize((176, 256), Image.Resampling.BICUBIC))


def test_lpips_and_fid_of_pictures_of_all_sizes_are_those_of_torchmetrics_and_scipy(
    uneven, networks, tmp_path
):
    results = results_of(uneven, tmp_path / "results", noise=40)
    shutil.rmtree(results / "512")
    scores, _ = score(
        uneven,
        results,
        *("evaluate.metrics=[lpips,fid]", f"sample.pretrained={networks}"),
        "evaluate.batch_size=4",
    )
    at_size = scores.sizes["256"]
    files = {
        result_file(results, "256", Path(a).stem, Path(b).stem): uneven.image("test", Path(b).stem)
        for a, b in uneven.pairs("test")
    }
    generated = as_tensor([read_image(path) for path in files])
    truth = as_tensor([bicubic(path) for path in files.values()])
    theirs = torchmetrics_lpips(networks, tmp_path)
    with torch.no_grad():
        expected = [theirs(a[None], b[None]).item() for a, b in zip(generated, truth, strict=True)]
    assert [at_size.rows[path.name]["lpips"] for path in files] == pytest.approx(expected, abs=1e-5)

    inception = Inception(find_torchvision_file("inception", in_folder(networks)))
    train = [bicubic(uneven.image("train", Path(name).stem)) for name in uneven.names("train")]
    a, b = (inception(pictures).double().numpy() for pictures in (as_tensor(train), generated))
    gap = a.mean(axis=0) - b.mean(axis=0)
    # The trace of the root of two covariances, from singular values of the few pictures there are.
    roots = [(x - x.mean(axis=0)) / np.sqrt(len(x) - 1) for x in (a, b)]
    cross = svdvals(roots[0] @ roots[1].T).sum()
    spread = sum((root**2).sum() for root in roots)
    assert at_size.values["fid"] == pytest.approx(gap @ gap + spread - 2 * cross, rel=1e-4)
    smaller = [name for k, name in enumerate(uneven.names("train")) if k % 4 == 3]
    assert at_size.training == {
        "listed": len(train),
        "used": len(train),
        "enlarged": len(smaller),
    }
    assert at_size.enlarged == sum(read_image(path).shape[0] < 256 for path in files.values())
    few, note = scores.list_notes()
    assert f"FID is of {len(files)} generated and {len(train)} training pictures" in few
    assert f"{len(smaller)} training pictures are smaller" in note
    # What is no torchvision's, and what is not there, is said, and makes a strict run fail.
    no_folder, *weights = scores.list_problems()
    assert no_folder.endswith("there is no folder 512/: nothing is scored at 352x512")
    assert [line.partition(": the sha256 of")[0] for line in weights] == [
        "it: lpips is no published one",
        "it: fid is no published one",
    ]


def test_a_damaged_cache_of_fid_is_made_anew(uneven, networks, tmp_path):
    results = results_of(uneven, tmp_path / "results")
    shutil.rmtree(results / "512")
    overrides = ("evaluate.metrics=[fid]", f"sample.pretrained={networks}")
    expected = score(uneven, results, *overrides)[0].sizes["256"].values["fid"]
    (kept,) = (uneven.root / "cache").glob("fid-256-*.npz")
    whole = kept.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for damaged in (whole[: len(whole) // 2], bytes(flipped), b"", b"PK"):
        kept.write_bytes(damaged)
        assert FeatureSums.read(kept, len(uneven.names("train"))) is None
    assert score(uneven, results, *overrides)[0].sizes["256"].values["fid"] == expected
    assert kept.read_bytes() == whole
    known = FeatureSums.read(kept, len(uneven.names("train")))
    assert known is not None
    assert FeatureSums.read(kept, known.count + 1) is None
    known.total[3] = np.nan
    known.write(kept)
    assert FeatureSums.read(kept, known.count) is None


def test_what_fid_remembers_is_of_the_weights_and_of_the_pictures(dataset):
    training = TrainingPictures.find(dataset.root)
    assert [path.name for path in training.files()] == dataset.names("train")
    files = {training.cache_file(size, weights) for size in RESULT_SIZES for weights in ("a", "b")}
    files.add(
        TrainingPictures(dataset.root, training.listed, training.stamps[1:]).cache_file("256", "a")
    )
    assert len(files) == 5


def test_training_pictures_that_are_missing_are_a_problem_and_others_are_not_taken(
    uneven, networks, tmp_path
):
    results = results_of(uneven, tmp_path / "results")
    shutil.rmtree(results / "512")
    names = uneven.names("train")
    uneven.image("train", Path(names[0]).stem).unlink()
    uneven.image("train", Path(names[1]).stem).write_bytes(b"no picture")
    shutil.copy(uneven.image("train", Path(names[2]).stem), uneven.root / "train" / ".mcld-x.jpg")
    overrides = ("evaluate.metrics=[fid]", f"sample.pretrained={networks}")
    scores, _ = score(uneven, results, *overrides)
    training = scores.sizes["256"].training
    assert training is not None
    assert (training["listed"], training["used"]) == (len(names), len(names) - 2)
    assert any(f"2 of {len(names)} training pictures" in told for told in scores.list_problems())
    assert not list((uneven.root / "cache").glob("fid-*"))


@pytest.mark.parametrize(("metric", "network"), [("lpips", "alexnet"), ("fid", "inception")])
def test_weights_that_give_no_numbers_are_named_and_nothing_is_kept(
    dataset, results, networks, tmp_path, metric, network
):
    copy = DatasetLayout(
        shutil.copytree(dataset.root, tmp_path / "own", ignore=shutil.ignore_patterns("cache"))
    )
    weights = torch.load(networks / TORCHVISION[network])
    next(iter(weights.values())).view(-1)[0] = float("nan")
    torch.save(weights, tmp_path / TORCHVISION[network])
    with pytest.raises(WeightsError, match=f"{TORCHVISION[network]} gives numbers"):
        score(copy, results, f"evaluate.metrics=[{metric}]", f"sample.pretrained={tmp_path}")
    assert not list((copy.root / "cache").glob("fid-*"))


def test_weights_that_are_not_the_makers_are_told_with_their_hash(dataset, results, networks):
    scores, _ = score(dataset, results, "evaluate.metrics=[lpips]", f"sample.pretrained={networks}")
    ((file, sha256),) = scores.weights["lpips"].items()
    found = hashlib.sha256((networks / TORCHVISION["alexnet"]).read_bytes()).hexdigest()
    assert (file, sha256) == (TORCHVISION["alexnet"], found)
    assert "not torchvision's weights" in scores.describe_protocol()["lpips"]
    scores.weights = {"lpips": {file: "7be5be79" + "0" * 56}}
    assert "not torchvision's weights" not in scores.describe_protocol()["lpips"]


def test_an_empty_size_beside_a_full_one_is_all_missing(dataset, results):
    for path in (results / "512").iterdir():
        path.unlink()
    scores, _ = score(dataset, results, "evaluate.metrics=[psnr]")
    assert len(scores.sizes["512"].missing) == scores.sizes["512"].listed
    assert scores.sizes["512"].values == {"pairs": 0}
    assert scores.sizes["256"].values["pairs"] == scores.sizes["256"].listed


def test_a_cache_that_cannot_be_written_is_said_and_not_fatal(dataset, results, networks, tmp_path):
    copy = DatasetLayout(
        shutil.copytree(dataset.root, tmp_path / "own", ignore=shutil.ignore_patterns("cache"))
    )
    shutil.rmtree(copy.root / "cache", ignore_errors=True)
    (copy.root / "cache").touch()
    shutil.rmtree(results / "512")
    scores, said = score(copy, results, "evaluate.metrics=[fid]", f"sample.pretrained={networks}")
    assert scores.sizes["256"].values["fid"] > 0
    assert any("cannot write" in line for line in said)


def test_the_interval_of_a_difference_is_that_of_the_closed_form():
    steps = np.random.default_rng(1).normal(0.5, 2, 400)
    names = [f"{k}.png" for k in range(400)]
    first, second = (
        Scores(EvaluationRequest(name, Path(), Path()), sizes={"256": SizeScores(400, rows)})
        for name, rows in (
            ("a", {name: {"psnr": 20.0} for name in names}),
            ("b", {name: {"psnr": 20 + s} for name, s in zip(names, steps, strict=True)}),
        )
    )
    (found,) = compare_pairs(first, second, "256")
    half = 1.96 * steps.std(ddof=1) / 20
    assert found.mean == pytest.approx(steps.mean())
    assert found.low == pytest.approx(steps.mean() - half, abs=0.02)
    assert found.high == pytest.approx(steps.mean() + half, abs=0.02)


def test_a_size_that_only_later_results_have_is_compared(dataset):
    def scores(name: str, *sizes: str) -> Scores:
        rows = {f"{k}.png": {"psnr": float(k + len(name))} for k in range(3)}
        return Scores(
            EvaluationRequest(name, Path(), Path()), sizes={s: SizeScores(3, rows) for s in sizes}
        )

    found = [scores("a", "256"), scores("bb", "256", "512"), scores("ccc", "512")]
    assert [(c.first, c.second, c.size) for c in compare_results(found)] == [
        ("a", "bb", "256"),
        ("bb", "ccc", "512"),
    ]


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
        d for d in compare_pairs(first, score(dataset, worse)[0], "256") if d.metric == "psnr"
    )
    assert found.verdict == "worse"
    assert found.low <= found.mean <= found.high < 0
    assert found.pairs == len(dataset.pairs("test"))
    assert {d.verdict for d in compare_pairs(first, score(dataset, same)[0], "256")} == {
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
    faces = InsightFace(
        load_settings(overrides=overrides[1:]).prepare, FACE_PACK, "cpu", FACE_DETECTION
    )
    cosines, distances = [], []
    for pair in expected[:2]:
        a, b = (faces.largest(image) for image in pair)
        cosines.append(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
        distances.append(np.linalg.norm(a - b))
    assert found.values["face_cosine"] == pytest.approx(np.mean(cosines), abs=1e-6)
    assert found.values["face_distance"] == pytest.approx(np.mean(distances), rel=1e-5)
    assert np.mean(distances) > 0
    for path in (tmp_path / "results" / "256").iterdir():
        write_png(path, np.full((256, 176, 3), 99, np.uint8))
    scores, _ = score(dataset, tmp_path / "results", *overrides, truth=tmp_path / "truth")
    assert scores.sizes["256"].values == {"pairs": 3, "faces": 0}
    for folder in ("results", "truth"):
        (tmp_path / folder / "256").rename(tmp_path / folder / "512")
        for path in (tmp_path / folder / "512").iterdir():
            write_png(path, resize(read_image(path), RESULT_SIZES["512"]))
    scores, said = score(dataset, tmp_path / "results", *overrides, truth=tmp_path / "truth")
    assert "no folder 256/" in scores.sizes["512"].left_out["face"]
    assert said
