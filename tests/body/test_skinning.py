"""The body that can be differentiated is the body that is drawn."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from mcld.body.parameters import read_gallery
from mcld.body.shape import find_normals, plain_shape, pose_vertices
from mcld.body.skinning import GIRTHS, PLAIN, BodyVector, SkinnedBody, make_rotations, make_shape


@pytest.mark.parametrize("name", ["standing", "waving", "sitting"])
def test_it_poses_as_the_renderers_body_does(name):
    given = read_gallery(name)
    shape = PLAIN.copy()
    shape[:3] = 1.0, -0.7, 0.5
    shape[-len(GIRTHS) :] += 0.03
    turn = np.array([0.2, 0.9, -0.1])
    drawn = Rotation.from_rotvec(turn).apply(pose_vertices(make_shape(shape), given.rotations))
    which = np.arange(0, len(drawn), 7)
    body = BodyVector(
        torch.from_numpy(given.rotations.astype(float)),
        torch.from_numpy(turn),
        torch.from_numpy(shape),
        torch.zeros(1),
        torch.zeros(2),
    )
    posed, normals, _ = SkinnedBody(which).pose(body)
    off = np.linalg.norm(posed.numpy() - drawn[which], axis=1)
    assert off.mean() < 0.002  # metres
    assert np.quantile(off, 0.99) < 0.01
    turned = find_normals(drawn)[which]
    assert np.quantile((normals.numpy() * turned).sum(1), 0.05) > 0.9


def test_its_plain_figure_is_the_plain_one():
    assert make_shape(PLAIN) == plain_shape()


def test_turns_are_rotations_and_smooth_at_none():
    turns = torch.tensor([[0, 0, 0], [0.3, -1.2, 2.0]], dtype=torch.float64)
    expected = Rotation.from_rotvec(turns.numpy()).as_matrix()
    assert np.allclose(make_rotations(turns), expected)
    slopes = torch.func.jacfwd(make_rotations)(turns[:1])
    assert slopes.isfinite().all()
    assert slopes[0, 2, 1, 0, 0] == 1
