"""A body is posed by dragging its joints."""

import numpy as np
import pytest

from mcld.body.parameters import read_body, read_gallery
from mcld.body.posing import HANDLES, NAMES, drag_joint, find_joints, mirror_body, pack_body
from mcld.errors import SettingsError

BENT = ["L_Wrist", "R_Wrist", "L_Ankle", "R_Ankle"]


def place(body, name):
    return find_joints(body).places[NAMES.index(name)]


def lengths(body):
    places = find_joints(body).places
    return np.linalg.norm(places[:, None] - places[None], axis=-1)[BONES]


BONES = tuple(
    np.array([NAMES.index(name) for name in names])
    for names in zip(
        ("L_Shoulder", "L_Elbow"), ("L_Elbow", "L_Wrist"), ("R_Hip", "R_Knee"),
        ("R_Knee", "R_Ankle"), ("Neck", "Head"), strict=True,
    )
)  # fmt: skip


@pytest.mark.parametrize("handle", BENT)
@pytest.mark.parametrize("start", ["walking", "arms-out", "sitting"])
def test_a_hand_and_a_foot_go_where_they_are_dragged(start, handle):
    body = read_gallery(start)
    root = place(body, {"W": "Shoulder", "A": "Hip"}[handle[2]].join([handle[:2], ""]))
    target = root + 0.6 * (place(body, handle) - root) + np.array([0.03, 0.05, 0.08])
    dragged = drag_joint(body, handle, target)
    assert np.allclose(place(dragged, handle), target, atol=1e-6)


@pytest.mark.parametrize("handle", HANDLES)
def test_bones_keep_their_lengths(handle):
    body = read_gallery("contrapposto")
    dragged = drag_joint(body, handle, place(body, handle) + np.array([0.2, -0.1, 0.3]))
    assert np.allclose(lengths(dragged), lengths(body), atol=1e-9)
    assert not np.allclose(dragged.rotations, body.rotations)


@pytest.mark.parametrize("handle", HANDLES)
def test_what_is_dragged_nowhere_stays(handle):
    body = read_gallery("walking")
    same = drag_joint(body, handle, place(body, handle))
    assert np.allclose(find_joints(same).places, find_joints(body).places, atol=1e-5)


def test_what_is_out_of_reach_is_pointed_at():
    body = read_gallery("standing")
    shoulder = place(body, "L_Shoulder")
    far = shoulder + np.array([0.0, 3.0, 0.5])
    pointing = place(drag_joint(body, "L_Wrist", far), "L_Wrist") - shoulder
    wanted = far - shoulder
    cosine = pointing @ wanted / np.linalg.norm(pointing) / np.linalg.norm(wanted)
    assert cosine > 0.9999
    assert np.linalg.norm(pointing) > 0.49  # the arm is straight


def test_a_straight_knee_bends_ahead_and_a_straight_elbow_too():
    straight = read_gallery("standing")
    straight = straight._replace(rotations=np.zeros_like(straight.rotations))
    hip = place(straight, "L_Hip")
    raised = drag_joint(straight, "L_Ankle", hip + np.array([0.02, -0.45, 0.0]))
    knee, ankle = place(raised, "L_Knee") - hip, place(raised, "L_Ankle") - hip
    assert knee[2] > ankle[2] + 0.1
    shoulder = place(straight, "L_Shoulder")
    bent = drag_joint(straight, "L_Wrist", shoulder + np.array([0.3, 0.0, 0.2]))
    elbow, wrist = place(bent, "L_Elbow") - shoulder, place(bent, "L_Wrist") - shoulder
    beside = elbow - wrist * (elbow @ wrist) / (wrist @ wrist)
    assert beside[2] < 0  # it stands out behind


def test_mirrored_twice_it_is_as_it_was_and_once_its_sides_are_swapped():
    body = read_gallery("waving")
    once = mirror_body(body)
    assert np.array_equal(mirror_body(once).rotations, body.rotations)
    across = find_joints(body).places * (-1, 1, 1)
    swapped = find_joints(once).places[NAMES.index("L_Wrist")]
    assert np.linalg.norm(swapped - across[NAMES.index("R_Wrist")]) < 0.05  # of two arms alike


def test_a_saved_body_is_read_as_it_was(tmp_path):
    body = read_gallery("half-turned")._replace(betas=np.full(10, 0.5, np.float32))
    (tmp_path / "own.npz").write_bytes(pack_body(body))
    read = read_body(tmp_path / "own.npz")
    assert np.allclose(read.rotations, body.rotations)
    assert np.allclose(read.orientation, body.orientation, atol=1e-6)
    assert np.allclose(read.betas, 0.5)


def test_another_joint_cannot_be_dragged():
    with pytest.raises(SettingsError, match="there is no joint 'Pelvis' to drag: there are Head,"):
        drag_joint(read_gallery("standing"), "Pelvis", np.zeros(3))
