import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mcld.dataset.pictures import read_image, read_iuv
from mcld.estimators.texture import extract_texture
from mcld.surface.charts import NOWHERE, smpl_gather

GOLDEN = Path(__file__).parents[1] / "golden" / "texture"
U8 = NDArray[np.uint8]


def test_the_authors_texture_is_reproduced() -> None:
    texture = extract_texture(read_image(GOLDEN / "image.png"), read_iuv(GOLDEN / "densepose.png"))
    away = np.abs(texture.astype(int) - read_image(GOLDEN / "texture.png"))
    assert away.mean() <= 1.0
    assert (away.max(axis=-1) <= 3).mean() >= 0.99


def seen_at(v: int, u: int, part: int, colour: int) -> tuple[U8, U8]:
    """A picture in which one pixel shows one place of the body."""
    iuv = np.zeros((3, 4, 3), np.uint8)
    iuv[1, 2] = (part, u, v)
    return np.full((3, 4, 3), colour, np.uint8), iuv


@settings(max_examples=15, deadline=None)
@given(part=st.integers(1, 24), colour=st.integers(2, 255))
def test_one_pixel_reaches_only_its_surroundings_in_its_own_chart(part: int, colour: int) -> None:
    texture = extract_texture(*seen_at(v=128, u=128, part=part, colour=colour))
    gather = smpl_gather()
    row, column = (255 - 128) * 199 // 255, 128 * 199 // 255
    place = np.where(gather < NOWHERE, gather, 0)
    near = (
        (place // 40000 == part - 1)
        & (abs(place % 40000 // 200 - row) <= 5)
        & (abs(place % 200 - column) <= 5)
    )
    assert texture[~near].max() == 0


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_the_background_never_reaches_the_texture(seed: int) -> None:
    image, iuv = read_image(GOLDEN / "image.png"), read_iuv(GOLDEN / "densepose.png")
    image, iuv = image[300:500, 150:270], iuv[300:500, 150:270].copy()
    elsewhere = image.copy()
    noise = np.random.default_rng(seed)
    background = iuv[..., 0] == 0
    elsewhere[background] = noise.integers(0, 256, (background.sum(), 3), np.uint8)
    iuv[background, 1:] = noise.integers(0, 256, (background.sum(), 2), np.uint8)
    np.testing.assert_array_equal(extract_texture(elsewhere, iuv), extract_texture(image, iuv))


def test_an_empty_picture_has_a_black_texture() -> None:
    texture = extract_texture(np.full((8, 8, 3), 200, np.uint8), np.zeros((8, 8, 3), np.uint8))
    assert texture.shape == (512, 512, 3)
    assert texture.max() == 0


def test_of_two_pixels_that_show_one_place_the_later_one_stays() -> None:
    iuv = np.full((1, 2, 3), (2, 128, 128), np.uint8)
    image = np.array([[[90] * 3, [200] * 3]], np.uint8)
    later = extract_texture(image[:, 1:], iuv[:, 1:])
    np.testing.assert_array_equal(extract_texture(image, iuv), later)


def test_maps_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must both be \[H, W, 3\]"):
        extract_texture(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8))


def test_a_label_that_is_no_part_is_refused():
    image = np.zeros((4, 4, 3), np.uint8)
    iuv = np.zeros((4, 4, 3), np.uint8)
    iuv[1, 1] = (25, 0, 0)
    with pytest.raises(ValueError, match="part label 25"):
        extract_texture(image, iuv)


def test_a_process_that_compiles_extracts_what_one_that_reads_the_cache_does(
    tmp_path: Path,
) -> None:
    code = (
        "import hashlib\n"
        "from mcld.mannequin.world import identity, pose, render\n"
        "from mcld.estimators.texture import extract_texture\n"
        "told = hashlib.sha256()\n"
        "for k in range(4):\n"
        "    told.update(extract_texture(*render(identity(1, k), pose(1, k, k), (256, 176))))\n"
        "print(told.hexdigest())\n"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    compiled, cached = (
        subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, check=True
        ).stdout
        for _ in range(2)
    )
    assert any(tmp_path.rglob("*.nbc"))
    assert compiled == cached
