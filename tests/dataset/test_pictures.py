from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from numpy.typing import NDArray
from PIL import Image

from mcld.dataset.pictures import (
    read_face,
    read_image,
    read_iuv,
    write_face,
    write_iuv,
    write_jpeg,
    write_png,
)
from mcld.errors import InputError

SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3))


@given(image=nps.arrays(np.uint8, SIZES))
def test_a_png_comes_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, image: NDArray[np.uint8]
) -> None:
    path = tmp_path_factory.mktemp("png") / "a.png"
    write_png(path, image)
    np.testing.assert_array_equal(read_image(path), image)


@given(iuv=nps.arrays(np.uint8, SIZES, elements=st.integers(0, 24)))
def test_an_iuv_map_comes_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, iuv: NDArray[np.uint8]
) -> None:
    path = tmp_path_factory.mktemp("iuv") / "a.png"
    write_iuv(path, iuv)
    np.testing.assert_array_equal(read_iuv(path), iuv)


def test_on_disk_an_iuv_map_is_v_u_i(tmp_path: Path) -> None:
    write_iuv(tmp_path / "a.png", np.full((2, 2, 3), (7, 100, 200), np.uint8))
    assert Image.open(tmp_path / "a.png").getpixel((0, 0)) == (200, 100, 7)


def test_a_jpeg_keeps_colours_apart_at_full_resolution(tmp_path: Path) -> None:
    image = np.zeros((16, 16, 3), np.uint8)
    image[:, ::2] = (220, 40, 40)
    image[:, 1::2] = (40, 40, 220)
    write_jpeg(tmp_path / "a.jpg", image)
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - image).max() <= 12


def test_other_modes_are_read_as_rgb(tmp_path: Path) -> None:
    for mode in ("L", "P", "RGBA", "1", "LA"):
        Image.new(mode, (5, 4)).save(tmp_path / "a.png")
        image = read_image(tmp_path / "a.png")
        assert image.shape == (4, 5, 3)
        assert image.dtype == np.uint8


def test_a_photo_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg").shape == (40, 20, 3)


@pytest.mark.parametrize("read", [read_image, read_iuv, read_face])
def test_a_missing_file_is_named(tmp_path: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(InputError, match=r"a\.png does not exist"):
        read(tmp_path / "a.png")


@pytest.mark.parametrize("read", [read_image, read_iuv, read_face])
def test_a_file_of_another_kind_is_named(tmp_path: Path, read: Callable[[Path], object]) -> None:
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(InputError, match=r"a\.png is not"):
        read(tmp_path / "a.png")


def test_a_picture_cut_short_is_named(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    write_png(tmp_path / "a.png", noise)
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"cannot read .*a\.png"):
        read_image(tmp_path / "a.png")


def test_a_photo_is_no_iuv_map(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.full((4, 4, 3), 25, np.uint8))
    with pytest.raises(InputError, match=r"labels 0\.\.24, but has 25"):
        read_iuv(tmp_path / "a.png")


@pytest.mark.parametrize("mode", ["L", "RGBA", "I;16"])
def test_an_iuv_map_has_three_channels_of_eight_bits(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"must be 8-bit RGB"):
        read_iuv(tmp_path / "a.png")


def test_a_face_comes_back_exactly(tmp_path: Path) -> None:
    face = np.random.default_rng(0).standard_normal(512, np.float32)
    write_face(tmp_path / "a.npy", face)
    np.testing.assert_array_equal(read_face(tmp_path / "a.npy"), face)


@pytest.mark.parametrize(
    "wrong", [np.zeros(511, np.float32), np.zeros(512, np.int64), np.full(512, np.nan, np.float32)]
)
def test_other_arrays_are_no_face(tmp_path: Path, wrong: NDArray[np.generic]) -> None:
    np.save(tmp_path / "a.npy", wrong)
    with pytest.raises(InputError, match="is not a face embedding"):
        read_face(tmp_path / "a.npy")
