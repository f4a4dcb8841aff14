"""What a result wears beside what its source wears."""

import numpy as np
import pytest

from mcld.estimators.texture import extract_texture
from mcld.evaluate.texture_error import compare_textures, unroll
from mcld.mannequin.world import identity, pose, render


def test_the_error_is_over_what_both_show_and_the_share_is_of_what_the_result_shows():
    source, own = np.zeros((2, 512, 512, 3), np.uint8)
    source[:100, :100] = 50
    own[:100, 50:150] = 60, 60, 40
    own[0, 50:] = 0
    found = compare_textures(source, own)
    assert found["texture_share"] == pytest.approx(1 / 2)
    assert found["texture_error"] == pytest.approx(10)
    assert found["texture_psnr"] == pytest.approx(20 * np.log10(255 / 10))


def test_too_little_to_compare_is_only_a_share_and_nothing_is_nothing():
    source, own = np.zeros((2, 512, 512, 3), np.uint8)
    assert compare_textures(source, own) == {}
    own[:20, :20] = 9
    source[:10, :20] = 9
    assert compare_textures(source, own) == {"texture_share": 0.5}


@pytest.mark.parametrize(("size", "rim"), [((256, 176), 2), ((512, 352), 4)])
def test_what_is_behind_somebody_a_pixel_beside_their_map_does_not_count(size, rim):
    image, iuv = render(identity(0, 1), pose(0, 1, 0), size)
    body = iuv[..., 0] > 0
    image[~body] = (255, 0, 255)
    moved = np.roll(image, rim - 1, axis=1)
    both = [texture(moved, iuv).reshape(-1, 3) for texture in (unroll, extract_texture)]
    own, plain = ((pixels == (254, 0, 254)).all(axis=1).sum() for pixels in both)
    assert own == 0 < plain
    assert 0.5 < both[0].any(axis=1).sum() / both[1].any(axis=1).sum() < 1


def test_anothers_clothes_are_told_from_ones_own_in_another_pose():
    def unroll(person: int, stance: int) -> np.ndarray:
        return extract_texture(*render(identity(0, person), pose(0, 1, stance), (256, 176)))

    source = unroll(1, 0)
    own, other = (compare_textures(source, unroll(person, 3)) for person in (1, 3))
    assert own["texture_share"] > 0.2
    assert own["texture_error"] < 0.7 * other["texture_error"]
    assert own["texture_psnr"] > other["texture_psnr"]
