"""IUV maps smoothed over time."""

from itertools import pairwise

import numpy as np

from mcld.mannequin.world import identity, pose, render
from mcld.mannequin.world.map_noise import disturb_map
from mcld.surface.smooth import smooth_maps


def test_what_does_not_move_stays():
    _, iuv = render(identity(0, 1), pose(0, 1, 0), (128, 88))
    assert np.array_equal(smooth_maps([iuv] * 5), iuv)
    assert np.array_equal(smooth_maps([iuv]), iuv)


def test_one_wrong_frame_among_right_ones_does_not_show():
    _, iuv = render(identity(0, 1), pose(0, 1, 0), (128, 88))
    wrong = iuv.copy()
    wrong[40:60, 30:50] = 0
    assert np.array_equal(smooth_maps([iuv, iuv, wrong, iuv, iuv]), iuv)


def test_noise_from_frame_to_frame_becomes_less():
    _, iuv = render(identity(0, 1), pose(0, 1, 0), (128, 88))
    rng = np.random.default_rng(0)
    noisy = [disturb_map(rng, iuv) for _ in range(9)]
    smooth = [smooth_maps(noisy[k - 2 : k + 3]) for k in range(2, 7)]

    def flicker(maps):
        pairs = pairwise(maps)
        return np.mean([np.abs(a.astype(int) - b)[..., 1:].mean() for a, b in pairs])

    assert flicker(smooth) < 0.6 * flicker(noisy[2:7])
    off = [(one[..., 0] != iuv[..., 0]).mean() for one in (*smooth, *noisy[2:7])]
    assert np.mean(off[:5]) < np.mean(off[5:])


def test_an_even_motion_is_left_as_it_is():
    x = np.arange(60)
    maps = []
    for shift in range(5):
        iuv = np.zeros((20, 60, 3), np.uint8)
        iuv[..., 0] = 2
        iuv[..., 1] = 2 * x + 4 * shift
        iuv[..., 2] = 100
        maps.append(iuv)
    assert np.array_equal(smooth_maps(maps), maps[2])
