"""People as photos show them: what is drawn, where its labels lie, what is the same in a series."""

from dataclasses import replace

import numpy as np
import pytest

from mcld.body.pose import JOINTS
from mcld.body.render import find_seen_vertices, render_placed_map
from mcld.body.shape import find_normals, load_skin, plain_shape, pose_vertices
from mcld.mannequin.world import identity, people, pose, render
from mcld.mannequin.world.fabrics import Fabric, lay_fabric
from mcld.mannequin.world.figures import (
    Looseness,
    Skirt,
    find_smooth_normals,
    loosen,
    put_on_skirt,
    see,
    vary_pose,
)
from mcld.mannequin.world.map_noise import disturb_map
from mcld.mannequin.world.people import DOLLS, draw_subject, photograph
from mcld.mannequin.world.scenes import CROPS, Lighting, draw_wall, frame, paint_wall
from mcld.surface.parts import FEET, HEAD, LEGS

SMALL = (128, 88)


def test_the_same_numbers_give_the_same_bytes() -> None:
    first = photograph(3, 5, 1, SMALL)
    people.draw_subject.cache_clear()
    people.paint_subject.cache_clear()
    second = photograph(3, 5, 1, SMALL)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(first[0], photograph(4, 5, 1, SMALL)[0])


def test_every_fourth_is_a_doll() -> None:
    doll = DOLLS - 1
    expected = render(identity(3, doll), pose(3, doll, 1), SMALL)
    assert all(
        np.array_equal(a, b) for a, b in zip(photograph(3, doll, 1, SMALL), expected, strict=True)
    )


def test_the_map_shows_the_person_and_the_wall_is_behind_in_all_pictures() -> None:
    index = next(i for i in range(50) if not draw_subject(0, i).shadow and i % DOLLS != DOLLS - 1)
    someone = draw_subject(0, index)
    wall = paint_wall(someone.wall, *SMALL) * np.array(someone.gain) * 255
    for picture in range(3):
        image, iuv = photograph(0, index, picture, SMALL)
        far = np.abs(image - np.clip(wall, 0, 255)).mean(-1)
        body = iuv[..., 0] > 0
        inside = body & np.roll(body, 2, 0) & np.roll(body, -2, 0) & np.roll(body, 2, 1)
        outside = ~(body | np.roll(body, 2, 0) | np.roll(body, -2, 0) | np.roll(body, 2, 1))
        outside &= ~np.roll(body, -2, 1)
        assert np.median(far[outside]) < 6
        assert np.median(far[inside]) > 3 * np.median(far[outside])


def test_pictures_are_cut_as_photos_are() -> None:
    bodies = pose_vertices(plain_shape(), pose(0, 0, 0).rotation_array())
    rng = np.random.default_rng(0)
    shown = {}
    for crop in CROPS:
        placed = frame(rng, see(bodies, 0.0, 0.0, 0.0, 5.0), crop, 100, 70)
        shown[crop] = np.mean((placed[:, 1] > 0) & (placed[:, 1] < 100))
        assert placed[:, 1].min() < 30
    assert shown["whole"] == 1
    assert shown["portrait"] < shown["hip"] < shown["knee"] < 1
    assert shown["headless"] < 1


def test_heads_are_of_natural_size() -> None:
    for index in range(4):
        person = draw_subject(0, index)
        vertices = pose_vertices(person.body, pose(0, index, 0).rotation_array())
        seen = see(vertices, 0.0, 0.0, 0.0, 10.0)
        placed = frame(np.random.default_rng(0), seen, "whole", 256, 176)

        iuv = render_placed_map(placed, 256, 176)
        rows = np.nonzero(np.isin(iuv[..., 0], HEAD))[0]
        assert np.ptp(rows) < 0.22 * np.ptp(placed[:, 1])


def test_a_skirt_closes_the_gap_between_the_legs() -> None:
    apart = next(p for p in (pose(0, i, 0) for i in range(99)) if p.name == "legs apart")
    vertices = pose_vertices(plain_shape(), apart.rotation_array())

    def count_gap(body: np.ndarray) -> int:
        placed = frame(np.random.default_rng(0), see(body, 0.0, 0.0, 0.0, 9.0), "whole", 256, 176)
        labels = render_placed_map(placed, 256, 176)[..., 0]
        spans = [np.flatnonzero(np.isin(row, (7, 8, 9, 10))) for row in labels]
        between = [row[s[0] : s[-1]] for row, s in zip(labels, spans, strict=True) if len(s)]
        return sum(int((row == 0).sum()) for row in between)

    assert count_gap(vertices) > 200
    assert count_gap(put_on_skirt(vertices, Skirt(1.6, 0.25))) < 20


def test_loose_clothes_are_wider_than_the_body() -> None:
    body = pose_vertices(plain_shape(), pose(0, 0, 0).rotation_array())
    loose = loosen(body, Looseness(trunk=0.03, arms=0.02, legs=0.04, head=0.0))
    far = np.linalg.norm(loose - body, axis=1)
    assert far.max() == pytest.approx(0.04, rel=0.01)
    assert np.median(far) > 0.01


def test_normals_run_smoothly_over_joints() -> None:
    body = load_skin()
    seen = np.isin(np.arange(len(body.canonical)), find_seen_vertices())
    edges = body.faces[:, :2][seen[body.faces[:, :2]].all(1)]
    edges = edges[np.abs(body.canonical[edges[:, 0], 1] + 0.83) < 0.06]  # at the knees

    def measure_turns(normals: np.ndarray) -> float:
        unit = normals / np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-9)
        return float(np.mean(1 - (unit[edges[:, 0]] * unit[edges[:, 1]]).sum(1)))

    smooth, rough = find_smooth_normals(body.canonical), find_normals(body.canonical)
    assert measure_turns(smooth) < 0.8 * measure_turns(rough)


def test_fabrics_lie_on_the_garment_alone() -> None:
    coverage = np.zeros((24, 128, 128), np.float32)
    coverage[1, :100] = 1
    red, blue = (0.8, 0.1, 0.1), (0.1, 0.1, 0.8)
    for fabric in (
        Fabric("knit", "", (red, blue, red), 0.2, "", 1),
        Fabric("denim", "", (red, blue, red), 0.2, "", 1),
        Fabric("smooth", "flowers", (red, blue, red), 0.2, "", 1),
        Fabric("smooth", "camouflage", (red, blue, red), 0.2, "", 1),
        Fabric("smooth", "lace", (red, blue, red), 0.2, "", 1),
        Fabric("smooth", "", (red, blue, red), 0.2, "MCLD", 1),
    ):
        charts = np.full((24, 128, 128, 3), 0.5, np.float32)
        lay_fabric(charts, ["torso"], coverage, fabric, red)
        changed = np.abs(charts - 0.5).max(-1) > 0.06
        assert changed[1, :100].mean() > 0.02, fabric
        assert not changed[1, 100:].any()
        assert not changed[0].any()


def test_light_falls_from_its_side() -> None:
    lamp = (((1.0, 0.0, 0.0), (0.5, 0.5, 0.5)),)
    light = Lighting(lamp, (0.4, 0.4, 0.4), (0.2, 0.2, 0.2), np.zeros((1, 8), np.float32))
    paint = np.full((3, 5), 0.5, np.float32)
    normals = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0]], np.float32)
    lit, shaded, above = light(paint, normals, np.full((3, 3), -1, np.float32)).mean(-1)
    assert lit > above > shaded > 0


def test_walls_are_of_all_kinds_and_in_range() -> None:
    rng = np.random.default_rng(0)
    kinds = set()
    for _ in range(60):
        wall = draw_wall(rng)
        picture = paint_wall(wall, 32, 22)
        assert picture.shape == (32, 22, 3)
        assert picture.min() >= 0
        assert picture.max() <= 1
        kinds.add(wall.kind)
    assert len(kinds) == 7


def test_poses_vary_around_those_of_the_library() -> None:
    stance = pose(0, 0, 0)
    rng = np.random.default_rng(1)
    varied = np.degrees([vary_pose(rng, stance).rotation_array() for _ in range(40)])
    off = np.abs(varied - np.degrees(stance.rotation_array())).max(-1)
    spine, arms = JOINTS.index("Spine2"), JOINTS.index("L_Elbow")
    assert 0 < off[:, spine].max() < 20
    assert off[:, arms].max() > 60


@pytest.mark.parametrize("size", [(16, 16), (128, 96), (256, 32), (32, 256)])
def test_somebody_is_seen_in_every_picture(size: tuple[int, int]) -> None:
    for index in range(12):
        image, iuv = photograph(1, index, index, size)
        assert image.shape == iuv.shape == (*size, 3)
        assert iuv[..., 0].any()


def test_portraits_are_of_heads_whatever_the_arms_do() -> None:
    lifted = next(p for p in (pose(0, i, 0) for i in range(99)) if p.name == "arms up")
    bodies = pose_vertices(plain_shape(), lifted.rotation_array())
    seen = see(bodies, 0.0, 0.0, 0.0, 9.0)
    shares = {}
    for crop in ("portrait", "headless"):
        placed = frame(np.random.default_rng(0), seen, crop, 128, 88)
        shares[crop] = np.isin(render_placed_map(placed, 128, 88)[..., 0], HEAD).mean()
    assert shares["portrait"] > 0.06
    assert shares["headless"] < 0.3 * shares["portrait"]


def test_a_noisy_map_is_near_the_exact_one_and_still_a_map() -> None:
    _, iuv = render(identity(0, 0), pose(0, 0, 0))
    body = iuv[..., 0] > 0
    for seed in range(8):
        noisy = disturb_map(np.random.default_rng(seed), iuv)
        seen = noisy[..., 0] > 0
        assert noisy[..., 0].max() <= 24
        assert not noisy[~seen].any()
        assert (seen & body).sum() / (seen | body).sum() > 0.75
        both = seen & body
        assert (noisy[both, 0] == iuv[both, 0]).mean() > 0.7
        assert not np.array_equal(noisy, iuv)


def test_what_a_person_wears_can_be_changed_alone() -> None:
    someone = draw_subject(0, 0)
    bare = replace(someone, clothes=replace(someone.clothes, sleeve=0.0), skirt=None)
    dressed = replace(bare, clothes=replace(bare.clothes, sleeve=1.0))
    one, other = people.paint_subject(bare), people.paint_subject(dressed)
    lower_arms = [18, 19, 20, 21]
    assert (one[lower_arms] != other[lower_arms]).any()
    legs = [k - 1 for k in (*LEGS, *FEET)]
    assert np.array_equal(one[legs], other[legs])
