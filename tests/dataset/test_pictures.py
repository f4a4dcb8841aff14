import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from numpy.typing import NDArray
from PIL import Image, ImageCms

from mcld.dataset.pictures import (
    LARGEST_SIDE,
    check_image,
    read_face,
    read_image,
    read_iuv,
    read_painted,
    write_face,
    write_iuv,
    write_jpeg,
    write_png,
)
from mcld.errors import InputError, MapError

CASES = Path(__file__).parents[1] / "cases"
SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3))


@given(image=nps.arrays(np.uint8, SIZES))
def test_a_png_comes_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, image: NDArray[np.uint8]
) -> None:
    path = tmp_path_factory.mktemp("png") / "a.png"
    write_png(path, image)
    np.testing.assert_array_equal(read_image(path), image)


def test_an_iuv_map_comes_back_exactly(tmp_path: Path) -> None:
    iuv = draw_map()
    write_iuv(tmp_path / "a.png", iuv)
    np.testing.assert_array_equal(read_iuv(tmp_path / "a.png"), iuv)


def draw_map() -> NDArray[np.uint8]:
    """A torso between two arms, on background."""
    iuv = np.zeros((40, 30, 3), np.uint8)
    iuv[8:32, 6:24] = np.random.default_rng(0).integers(1, 256, (24, 18, 3))
    iuv[8:32, 6:10, 0], iuv[8:32, 10:20, 0], iuv[8:32, 20:24, 0] = 16, 2, 15
    return iuv


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


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "I;16"])
def test_an_iuv_map_has_three_channels_of_eight_bits(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"must be 8-bit RGB"):
        read_iuv(tmp_path / "a.png")


def test_a_map_that_a_painting_program_saved_is_read(tmp_path: Path) -> None:
    iuv = draw_map()
    Image.fromarray(iuv[..., ::-1]).convert("RGBA").save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_iuv(tmp_path / "a.png"), iuv)


@pytest.mark.parametrize(
    ("iuv", "reason"),
    [
        (draw_map()[..., ::-1], r"\(I, U, V\) in RGB order.*swap"),
        (np.repeat(draw_map()[..., :1], 3, axis=-1), "without U and V"),
        (np.zeros((40, 30, 3), np.uint8), "shows nobody"),
    ],
)
def test_a_map_that_cannot_be_used_is_no_photo(
    tmp_path: Path, iuv: NDArray[np.uint8], reason: str
) -> None:
    write_iuv(tmp_path / "a.png", iuv)
    with pytest.raises(MapError, match=reason):
        read_iuv(tmp_path / "a.png")


def test_a_segmentation_in_colours_is_no_photo(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (25, 3), np.uint8)
    write_png(tmp_path / "a.png", colours[draw_map()[..., 0]])
    with pytest.raises(MapError):
        read_iuv(tmp_path / "a.png")


def test_a_colour_profile_is_followed_to_srgb() -> None:
    np.testing.assert_array_equal(read_image(CASES / "p3_red.png")[0, 0], (251, 0, 18))


def test_the_profile_of_a_palette_is_followed(tmp_path: Path) -> None:
    with Image.open(CASES / "p3_red.png") as picture:
        profile = picture.info["icc_profile"]
        picture.quantize(4).save(tmp_path / "a.png", icc_profile=profile)
    np.testing.assert_allclose(read_image(tmp_path / "a.png")[0, 0], (251, 0, 18), atol=12)


def test_black_of_16_bits_is_black(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "a.png")
    assert not read_image(tmp_path / "a.png").any()


def test_low_numbers_of_32_bits_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 200, np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match="would be black"):
        read_image(tmp_path / "a.tif")


def test_the_profile_of_srgb_itself_changes_nothing(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(image).save(tmp_path / "a.png", icc_profile=profile)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), image)


@pytest.mark.parametrize("profile", [b"no profile", b""])
def test_a_damaged_profile_does_not_count(tmp_path: Path, profile: bytes) -> None:
    Image.new("RGB", (4, 4), (230, 40, 40)).save(tmp_path / "a.png", icc_profile=profile)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[0, 0], (230, 40, 40))


def test_a_profile_of_cmyk_and_grey_is_followed_or_left(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for mode in ("L", "CMYK"):  # which that profile is not of
        Image.new(mode, (4, 4)).save(tmp_path / "a.tif", icc_profile=profile)
        assert read_image(tmp_path / "a.tif").shape == (4, 4, 3)


def test_a_damaged_exif_tag_leaves_the_picture_as_it_lies() -> None:
    assert read_image(CASES / "gexif.png").shape == (128, 88, 3)


def test_long_metadata_does_not_keep_a_picture_from_being_read() -> None:
    assert read_image(CASES / "bigxmp.png").shape == (128, 88, 3)


def test_floating_point_grey_is_scaled(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 0.87, np.float32)).save(tmp_path / "a.tif")
    assert (read_image(tmp_path / "a.tif") == 222).all()


@pytest.mark.parametrize("value", [1.5, 200, -0.1, np.nan, np.inf])
def test_other_floating_point_numbers_are_refused(tmp_path: Path, value: float) -> None:
    Image.fromarray(np.full((4, 4), value, np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match="floating-point"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize(("top", "value"), [(65535, 255), (40000, 156), (4096, 16)])
def test_sixteen_bits_are_rounded_down_to_eight(tmp_path: Path, top: int, value: int) -> None:
    Image.fromarray(np.full((4, 4), top, np.uint16)).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png") == value).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("top", [255, 4095])
def test_sixteen_bits_that_would_be_black_are_refused(
    tmp_path: Path, top: int, channels: int
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((4, 4, channels), top, np.uint16))
    with pytest.raises(InputError, match="would be black"):
        read_image(tmp_path / "a.png")


def test_a_whole_number_of_32_bits_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 1 << 20, np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match="32 bits"):
        read_image(tmp_path / "a.tif")


def test_what_is_transparent_lies_on_white(tmp_path: Path) -> None:
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0] = (200, 0, 200, 0)  # hidden colour
    pixels[1] = (10, 20, 30, 255)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert (image[0] == 255).all()
    assert (image[1] == (10, 20, 30)).all()
    np.testing.assert_array_equal(read_painted(tmp_path / "a.png")[0], np.zeros((2, 3)))


def test_a_transparent_palette_is_read_without_a_warning(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    picture = Image.new("P", (4, 4))
    picture.putpalette([0, 0, 0, 9, 8, 7])
    picture.save(tmp_path / "a.png", transparency=b"\x00\xff")
    assert (read_image(tmp_path / "a.png") == 255).all()
    assert not recwarn.list


@pytest.mark.parametrize("size", [(11_000, 9_000), (16_384, 12_000)])
def test_a_large_picture_is_read_without_a_warning(
    tmp_path: Path, size: tuple[int, int], recwarn: pytest.WarningsRecorder
) -> None:
    Image.new("1", size).save(tmp_path / "a.png")
    check_image(tmp_path / "a.png")
    assert not recwarn.list


@pytest.mark.parametrize("size", [(16_385, 10), (30_000, 30_000)])
def test_a_picture_too_large_is_refused_in_our_words(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("1", size).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=f"at most {LARGEST_SIDE}"):
        check_image(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0", "is HEIC, .*save it as JPEG"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "is a video"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
            "is a Git LFS pointer, .*git lfs pull",
        ),
        (b"<!DOCTYPE html><html></html>", "is a web page"),
        (b"%PDF-1.7", "is a PDF"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "is SVG"),
        (b"", "is empty"),
    ],
)
def test_a_file_that_is_something_else_is_told_as_that(
    tmp_path: Path, content: bytes, words: str
) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.jpg {words}"):
        read_image(tmp_path / "a.jpg")


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="is a pipe"):
        check_image(tmp_path / "pipe")


def test_a_face_comes_back_exactly(tmp_path: Path) -> None:
    face = np.random.default_rng(0).standard_normal(512, np.float32)
    write_face(tmp_path / "a.npy", face)
    np.testing.assert_array_equal(read_face(tmp_path / "a.npy"), face)


@pytest.mark.parametrize(
    "wrong",
    [
        *(np.zeros(511, np.float32), np.zeros(512, np.int64)),
        *(np.full(512, np.nan, np.float32), np.full(512, 1e300)),
    ],
)
def test_other_arrays_are_no_face(tmp_path: Path, wrong: NDArray[np.generic]) -> None:
    np.save(tmp_path / "a.npy", wrong)
    with pytest.raises(InputError, match="is not a face embedding"):
        read_face(tmp_path / "a.npy")
