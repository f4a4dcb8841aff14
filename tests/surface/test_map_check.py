"""IUV maps, told from what people take for them."""

import numpy as np
import pytest
from PIL import Image

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import read_image, read_iuv
from mcld.surface.map_check import find_map_fault


@pytest.fixture
def iuv(dataset: DatasetLayout) -> np.ndarray:
    stem = dataset.names("test")[0].removesuffix(".jpg")
    return read_iuv(dataset.densepose("test", stem))


def resized(iuv: np.ndarray, size: tuple[int, int], resample: Image.Resampling) -> np.ndarray:
    return np.asarray(Image.fromarray(iuv).resize(size, resample))


@pytest.mark.parametrize("size", [(22, 32), (44, 64), (88, 128), (300, 500)])
def test_a_map_of_any_size_is_one(iuv, size):
    assert find_map_fault(resized(iuv, size, Image.Resampling.NEAREST)) is None


@pytest.mark.parametrize("size", [(44, 64), (70, 100), (200, 300)])
def test_interpolated_labels_are_found(iuv, size):
    for resample in (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC):
        fault = find_map_fault(resized(iuv, size, resample))
        assert fault is not None
        assert fault.is_map
        assert "interpolat" in fault.reason


def test_a_map_that_was_a_jpeg_is_found(iuv, tmp_path):
    Image.fromarray(iuv).resize((352, 512), 0).save(tmp_path / "a.jpg", quality=95)
    fault = find_map_fault(np.asarray(Image.open(tmp_path / "a.jpg")))
    assert fault is not None
    assert fault.is_map
    assert "JPEG" in fault.reason


def test_the_channels_the_other_way_round_are_found(iuv):
    fault = find_map_fault(iuv[..., ::-1])
    assert fault is not None
    assert fault.is_map
    assert "swap" in fault.reason


def test_labels_alone_are_found(iuv):
    labels = np.repeat(iuv[..., :1], 3, axis=-1)
    flat = np.where(labels > 0, labels + np.uint8([0, 10, 20]), 0).astype(np.uint8)
    for picture in (labels, flat, np.where((0, 1, 1), 0, labels).astype(np.uint8)):
        fault = find_map_fault(picture)
        assert fault is not None
        assert fault.is_map


def test_a_dark_photo_is_no_map(dataset):
    photo = read_image(dataset.image("test", dataset.names("test")[0].removesuffix(".jpg")))
    for dark in (photo // 12, photo * (0.08, 0.08, 1)):
        fault = find_map_fault(dark.astype(np.uint8))
        assert fault is not None
        assert not fault.is_map


def test_a_close_up_without_background_is_a_map(iuv):
    rows, columns = np.nonzero(iuv[..., 0] == 2)
    middle = int(np.median(rows)), int(np.median(columns))
    close = iuv[middle[0] - 6 : middle[0] + 6, middle[1] - 4 : middle[1] + 4]
    assert (close[..., 0] > 0).all()
    assert find_map_fault(resized(close, (88, 128), Image.Resampling.NEAREST)) is None
