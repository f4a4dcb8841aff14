import numpy as np
import pytest
from numpy.typing import NDArray

from mcld.prepare.face import HeadCrop

U8 = NDArray[np.uint8]


def head(looks: int, *, size: int = 40, behind: bool = False, margin: int = 10) -> tuple[U8, U8]:
    """A picture of a round head: its right half is on the left. `looks` is whose it is."""
    y, x = np.mgrid[0:size, 0:size] / (size - 1) * 2 - 1
    on = x**2 + y**2 <= 1
    colours = np.random.default_rng(looks).integers(30, 226, (4, 4, 3)).astype(np.uint8)
    painted = colours.repeat(size // 4, axis=0).repeat(size // 4, axis=1)
    image = np.full((size + 2 * margin, size + 2 * margin, 3), 240, np.uint8)
    iuv = np.zeros_like(image)
    inside = np.s_[margin : margin + size, margin : margin + size]
    image[inside][on] = painted[on]
    to_side = np.abs(x) * 0.5  # 0 at the nose, 0.5 at the ear
    right = 1 - to_side if not behind else to_side
    u = np.where(x < 0, right, 1 - right)
    labels = np.where(x < 0, 23, 24)
    iuv[inside] = np.where(
        on[..., None], np.stack([labels, u * 255, (0.5 - 0.4 * y) * 255], axis=-1), 0
    )
    return image, iuv


def likeness(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def embedded(image: U8, iuv: U8) -> NDArray[np.float32]:
    face = HeadCrop().embed(image, iuv)
    assert face is not None
    return face


def test_an_embedding_is_512_numbers_of_unit_size() -> None:
    face = embedded(*head(1))
    assert face.shape == (512,)
    assert face.dtype == np.float32
    assert np.mean(face**2) == pytest.approx(1, abs=1e-4)


def test_one_person_is_alike_at_every_size_and_place() -> None:
    face = embedded(*head(1))
    for size, margin in ((24, 3), (80, 30)):
        assert likeness(face, embedded(*head(1, size=size, margin=margin))) > 0.9


def test_people_are_told_apart() -> None:
    faces = [embedded(*head(looks)) for looks in range(8)]
    for i, one in enumerate(faces):
        for other in faces[:i]:
            assert likeness(one, other) < 0.8


def test_what_is_around_the_head_does_not_matter() -> None:
    image, iuv = head(1)
    elsewhere = image.copy()
    elsewhere[iuv[..., 0] == 0] = (10, 200, 30)
    np.testing.assert_array_equal(embedded(elsewhere, iuv), embedded(image, iuv))


def test_a_back_view_has_no_face() -> None:
    assert HeadCrop().embed(*head(1, behind=True)) is None


def test_a_picture_without_a_head_has_no_face() -> None:
    image, iuv = head(1)
    iuv[..., 0] = np.minimum(iuv[..., 0], 2)
    assert HeadCrop().embed(image, iuv) is None


def test_a_tiny_head_has_no_face() -> None:
    image, iuv = head(1)
    assert HeadCrop().embed(image[::8, ::8], iuv[::8, ::8]) is None


def test_a_head_of_one_gray_has_an_embedding() -> None:
    image, iuv = head(1)
    image[:] = 118
    assert np.isfinite(embedded(image, iuv)).all()
