"""Protocols: what they are, and that each of their fields does what it says."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from skimage.metrics import structural_similarity

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import read_image
from mcld.dataset.results import result_file
from mcld.errors import SettingsError
from mcld.evaluate.explain import build_explanation, explain, list_protocols_between
from mcld.evaluate.pairs import make_photo, save_as_jpeg, see_as_network, see_as_pixels
from mcld.evaluate.protocol import Protocol, list_protocols, load_protocol
from mcld.evaluate.request import EvaluationRequest
from mcld.evaluate.run import Evaluator
from mcld.evaluate.scores import Scores
from mcld.settings import load_settings
from tests.evaluate.test_run import results_of


@pytest.fixture
def results(dataset: DatasetLayout, tmp_path: Path) -> Path:
    return results_of(dataset, tmp_path / "results")


def score(
    dataset: DatasetLayout,
    folder: Path,
    protocol: Protocol,
    *overrides: str,
    kept: Path | None = None,
) -> Scores:
    settings = load_settings(None, ["evaluate.metrics=[psnr,ssim,ssim_256]", *overrides])
    evaluator = Evaluator(
        settings, say=lambda _: None, on_picture=lambda *_: None, protocol=protocol
    )
    return evaluator.score(EvaluationRequest("it", dataset.root, folder), kept=kept)


def test_all_that_come_along_are_read_and_say_where_they_are_from():
    assert list_protocols() == ["cfld", "dptn", "gfla", "mcld-1", "pcdms", "pidm"]
    for name in list_protocols():
        protocol = load_protocol(name)
        assert protocol.name == name
        assert protocol.source
    assert load_protocol("mcld-1").definition == Protocol().definition


def test_the_hash_is_of_the_definition_alone_and_version_1_has_not_changed():
    assert load_protocol("mcld-1").hash == "263229ce845d"
    assert load_protocol("cfld").hash == load_protocol("mcld-1").hash
    hashes = {load_protocol(name).hash for name in list_protocols()}
    assert len(hashes) == len(list_protocols()) - 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("resize: best", "resize: Input should be 'pillow-nearest'"),
        ("filter: bicubic", "filter: there are name, source, shape"),
        ("ssim_window: wide", "ssim_window"),
        ("ssim_window: 50", "ssim_window: .*50 is even"),
        ("photo_jpeg: 101", "photo_jpeg"),
        ("- resize", "must hold"),
        ("real: train\nreal: test", "given twice"),
    ],
)
def test_a_file_that_no_protocol_can_be_is_refused(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=message):
        load_protocol(str(path))
    with pytest.raises(SettingsError, match="there are cfld, dptn"):
        load_protocol("mine")


def test_ones_own_file_is_named_after_itself_and_else_as_version_1(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("resize: opencv-area\nphoto_jpeg: 90\n")
    protocol = load_protocol(str(path))
    assert protocol.name == "mine"
    assert Protocol().list_differences(protocol) == ["resize", "photo_jpeg"]
    with pytest.raises(ValidationError):
        protocol.resize = "pillow-bicubic"  # type: ignore[misc]


def test_photos_are_made_as_each_field_says(dataset):
    photo = read_image(dataset.image("test", Path(dataset.names("test")[0]).stem))
    size = (176, 256)
    pillow = np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.BICUBIC))
    assert np.array_equal(make_photo(photo, "256", Protocol()), pillow)
    opencv = cv2.resize(photo, size, interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(make_photo(photo, "256", Protocol(resize="opencv-bilinear")), opencv)
    squares = Protocol(shape="square", network_resize="opencv-bilinear")
    square = make_photo(photo, "256", squares)
    assert square.shape == (256, 256, 3)
    assert see_as_network(square, "256", squares).shape == (256, 176, 3)
    assert see_as_network(square, "256", Protocol(shape="square")).shape == (256, 256, 3)
    saved = make_photo(photo, "256", Protocol(photo_jpeg=75))
    assert np.array_equal(saved, save_as_jpeg(pillow, 75))
    assert 0 < np.abs(saved.astype(int) - pillow).mean() < 10
    padded = see_as_pixels(pillow, Protocol(pad_white=True))
    assert padded.shape == (256, 256, 3)
    assert np.array_equal(padded[:, 40:216], pillow)
    assert (padded[:, :40] == 255).all()


def test_ssim_of_a_protocol_is_that_of_scikit_image_with_its_window_and_padding(dataset, results):
    protocol = Protocol(pad_white=True, ssim_window=11, ssim_256_sigma=1.2)
    rows = score(dataset, results, protocol).sizes["256"].rows
    source, target = (Path(name).stem for name in dataset.pairs("test")[0])
    path = result_file(results, "256", source, target)
    truth = make_photo(read_image(dataset.image("test", target)), "256", protocol)
    a, b = (see_as_pixels(image, protocol) for image in (read_image(path), truth))
    expected = structural_similarity(a / 255, b / 255, win_size=11, data_range=1, channel_axis=-1)
    assert rows[path.name]["ssim"] == pytest.approx(expected, abs=1e-5)
    expected = structural_similarity(
        a.astype(float),
        b.astype(float),
        gaussian_weights=True,
        sigma=1.2,
        use_sample_covariance=False,
        channel_axis=-1,
        data_range=float(np.ptp(a)),
    )
    assert rows[path.name]["ssim_256"] == pytest.approx(expected, abs=1e-5)


def test_every_field_changes_a_number(dataset, results, networks, tmp_path):
    """A field that changed none would be no part of a protocol."""
    pixels, lpips, fid = (
        (f"evaluate.metrics=[{names}]", f"sample.pretrained={networks}")
        for names in ("psnr,ssim,ssim_256", "lpips", "fid")
    )
    start = Protocol(shape="square")
    changed = {
        "shape": "narrow",
        "resize": "opencv-bilinear",
        "photo_jpeg": 50,
        "result_resize": "opencv-bicubic",
        "result_jpeg": 50,
        "network_resize": "opencv-bilinear",
        "pad_white": True,
        "real": "test",
        "ssim_window": 11,
        "ssim_256_sigma": 1.2,
    }
    assert changed.keys() == start.definition.keys()
    bases = {
        "pad_white": (Protocol(), pixels),
        "network_resize": (start, lpips),
        "real": (start, fid),
    }
    before: dict[tuple, dict[str, float]] = {}
    for field, value in changed.items():
        base, overrides = bases.get(field, (start, pixels))
        if (key := (base.hash, overrides)) not in before:
            scores = score(dataset, results, base, *overrides, kept=tmp_path)
            before[key] = scores.sizes["256"].values
        own, other = before[key], base.model_copy(update={field: value})
        found = score(dataset, results, other, *overrides, kept=tmp_path).sizes["256"].values
        assert any(found[m] != pytest.approx(own[m], rel=1e-6) for m in own), field


def test_an_explanation_goes_from_one_protocol_to_another_field_by_field(
    dataset, results, tmp_path
):
    first, second = load_protocol("mcld-1"), load_protocol("pidm")
    steps = list_protocols_between(first, second)
    assert [field for field, *_ in steps] == ["", *first.list_differences(second)]
    assert steps[-1][2].definition == second.definition
    found = explain(
        first, second, lambda each: score(dataset, results, each, kept=tmp_path / "kept")
    )
    titles, rows = build_explanation(found, second, "256")
    assert titles == ["256", "PSNR", "SSIM", "SSIM-256"]
    assert [row[0] for row in rows] == [
        "mcld-1",
        "shape: narrow → square",
        "network_resize: none → opencv-bilinear",
        "ssim_256_sigma: 1.5 → 1.2",
        "pidm",
    ]
    assert rows[2][1:] == ["=", "=", "="]  # of what only networks see
    assert rows[3][1:3] == ["=", "="]
    changes = sum(float(row[3]) for row in rows[1:-1] if row[3] != "=")
    assert float(rows[0][3]) + changes == pytest.approx(float(rows[-1][3]), abs=3e-4)
    alone = score(dataset, results, second).sizes["256"].values
    assert found[-1].scores.sizes["256"].values == alone


def test_an_infinite_number_that_stays_so_is_not_explained_by_a_change(dataset, tmp_path):
    results = results_of(dataset, tmp_path / "equal", noise=0)
    found = explain(
        load_protocol("mcld-1"), load_protocol("dptn"), lambda each: score(dataset, results, each)
    )
    _, rows = build_explanation(found, load_protocol("dptn"), "256")
    assert [row[1] for row in rows] == ["inf", "=", "inf"]
    notes = found[0].scores.list_notes()
    assert any("which makes the mean PSNR infinite" in note for note in notes)


def test_files_and_words_name_the_protocol(dataset, results):
    told = score(dataset, results, load_protocol("dptn")).describe()
    assert (told["protocol_name"], told["protocol_hash"]) == ("dptn", load_protocol("dptn").hash)
    assert told["protocol_definition"]["pad_white"] is True
    assert "padded to a square with white" in told["protocol"]["truth"]
