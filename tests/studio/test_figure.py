"""The figure that is posed by hand."""

import numpy as np
import pytest

from mcld.body.parameters import read_gallery
from mcld.body.pose_map import draw_pose_map
from mcld.studio.figure import SIZE, Drag, View, bake_view, drag, draw, frame


@pytest.mark.parametrize("view", [View(), View(40, 15)])
@pytest.mark.parametrize("handle", ["L_Wrist", "R_Ankle"])
def test_a_joint_comes_to_where_the_pointer_is(view, handle):
    body = read_gallery("walking")
    camera = frame(body, view)
    x, y, _ = draw(body, view, camera).joints[handle]
    dragged = drag(body, view, camera, Drag(handle, x + 0.03, y - 0.05))
    now = draw(dragged, view, camera).joints[handle]
    assert np.allclose(now[:2], (x + 0.03, y - 0.05), atol=0.005)


def test_depth_moves_a_joint_towards_the_camera_alone():
    body = read_gallery("standing")
    camera = frame(body, View())
    x, y, z = draw(body, View(), camera).joints["R_Wrist"]
    nearer = drag(body, View(), camera, Drag("R_Wrist", x, y - 0.1, z + 0.15))
    assert np.allclose(
        draw(nearer, View(), camera).joints["R_Wrist"], (x, y - 0.1, z + 0.15), atol=5e-3
    )


def test_a_knee_that_is_raised_comes_forward_whichever_way_it_stood():
    body = read_gallery("walking")
    x, y, _ = draw(body, View()).joints["R_Knee"]
    raised = drag(body, View(), None, Drag("R_Knee", x, y - 0.15))
    drawn = draw(raised, View())
    assert drawn.joints["R_Knee"][2] > drawn.joints["R_Hip"][2] + 0.1


def test_it_is_framed_as_a_pose_map_is():
    body = read_gallery("arms-up")
    plain = draw(body, View()).picture
    ground = np.abs(plain.astype(int) - plain[0, 0]).max(-1) < 6
    iuv = draw_pose_map(body)[1::2, 1::2]
    assert iuv.shape[:2] == SIZE
    assert (ground == (iuv[..., 0] == 0)).mean() > 0.985


def test_a_baked_view_is_seen_from_the_front_as_it_was_seen():
    body, view = read_gallery("walking"), View(60, 20)
    turned, baked = draw(body, view), draw(bake_view(body, view), View())
    assert np.abs(turned.picture.astype(int) - baked.picture).mean() < 0.5


def test_it_wears_a_texture_where_that_shows_something():
    body = read_gallery("standing")
    red = np.zeros((512, 512, 3), np.uint8)
    plain, bare = (draw(body, View(), None, t).picture for t in (None, red))
    assert np.array_equal(plain, bare)
    red[..., 0] = 200
    worn = draw(body, View(), None, red).picture.astype(int)
    changed = (worn != plain).any(-1)
    assert changed.mean() > 0.1
    assert (worn[changed][:, 0] > worn[changed][:, 1] + 60).mean() > 0.95
