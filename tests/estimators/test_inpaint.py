"""Telea's inpainting against OpenCV's."""

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mcld.estimators.inpaint import inpaint


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.floats(0.02, 0.9))
def test_holes_are_filled_as_opencv_fills_them(seed: int, share: float) -> None:
    draw = np.random.default_rng(seed)
    picture = cv2.resize(
        draw.integers(0, 255, (5, 6, 3)).astype(np.uint8), (60, 50), interpolation=cv2.INTER_CUBIC
    )
    holes = draw.random((50, 60)) < share
    holes[:3] = holes[-3:] = holes[:, :3] = holes[:, -3:] = False  # OpenCV leaves out the rim
    assert holes.any()
    filled = picture.copy()
    filled[holes] = 0
    inpaint(filled, holes, np.ones_like(holes))
    theirs = picture.copy()
    theirs[holes] = 0
    theirs = cv2.inpaint(theirs, holes.astype(np.uint8), 3, cv2.INPAINT_TELEA)
    away = np.abs(filled.astype(int) - theirs).max(axis=-1)
    assert away[~holes].max() == 0
    assert (away[holes] <= 3).mean() > 0.95


def test_what_is_out_of_reach_stays_as_it_is() -> None:
    picture = np.full((20, 20, 3), 7, np.uint8)
    holes = np.zeros((20, 20), bool)
    holes[5:15, 5:15] = True
    reach = np.zeros_like(holes)
    reach[:, :10] = True
    picture[holes] = 99
    inpaint(picture, holes, reach)
    assert (picture[5:15, 10:15] == 99).all()
    assert (abs(picture[5:15, 5:10].astype(int) - 7) <= 2).all()
