"""Texture maps warped onto the body of an IUV map."""

import numpy as np
import pytest

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import read_image, read_iuv
from mcld.estimators.texture import extract_texture
from mcld.mannequin.world import identity, pose, render
from mcld.surface.charts import find_texels, smpl_inner, smpl_labels, smpl_rings
from mcld.surface.parts import ARMS, CHAINS, FEET, HEAD, LEGS, TORSO
from mcld.surface.warp import complete_texture, warp_texture


@pytest.fixture
def iuv(dataset: DatasetLayout) -> np.ndarray:
    return read_iuv(dataset.densepose("train", dataset.names("train")[0].removesuffix(".jpg")))


def test_a_map_warped_back_onto_its_own_pose_is_the_photo(dataset: DatasetLayout, iuv):
    stem = dataset.names("train")[0].removesuffix(".jpg")
    photo = read_image(dataset.image("train", stem)).astype(int)
    shown = warp_texture(iuv, read_image(dataset.texture("train", stem)))
    body = iuv[..., 0] > 0
    assert not shown[~body].any()
    seen = body & shown.any(axis=-1)
    assert seen.sum() > 0.9 * body.sum()
    assert np.median(np.abs(shown[seen] - photo[seen])) <= 2


def test_borders_that_are_darker_than_their_inside_are_mended(iuv):
    labels = smpl_labels()
    whole = np.where(labels[..., None] > 0, 200, 0).astype(np.uint8).repeat(3, 2)
    border = smpl_inner() != np.arange(labels.size).reshape(labels.shape)
    dark = np.where(border[..., None], whole // 2, whole)
    body = iuv[..., 0] > 0
    assert (warp_texture(iuv, dark)[body] == 200).mean() < 0.9
    assert (warp_texture(iuv, complete_texture(dark))[body] == 200).mean() > 0.99
    light = 255 - dark
    light[labels == 0] = 0
    assert np.array_equal(complete_texture(light), light)  # lighter ones stay, and what is seen


def test_the_side_of_a_head_that_is_seen_stands_in_for_the_other(iuv):
    labels = smpl_labels()
    one_side = np.where(labels[..., None] == 23, 200, 0).astype(np.uint8).repeat(3, 2)
    pose = iuv.copy()
    pose[:8, :, 0], pose[8:16, :, 0], pose[16:24, :, 0] = 23, 24, 16
    shown = warp_texture(pose, complete_texture(one_side)).any(axis=-1)
    assert shown[:8].mean() > 0.9
    assert shown[8:16].mean() > 0.9
    assert not shown[16:24].any()
    assert not warp_texture(pose, one_side)[8:16].any()


def test_trousers_and_sleeves_go_around_and_on(iuv):
    """A front on which shirt, trousers and shins have a colour each, seen to the knees."""
    labels, rings = smpl_labels(), smpl_rings()
    texture = np.zeros((512, 512, 3), np.uint8)
    texture[labels == 2] = (200, 40, 40)
    texture[np.isin(labels, (9, 10))] = (40, 40, 200)
    texture[np.isin(labels, (17, 18, 21))] = (90, 160, 90)
    texture[np.isin(labels, FEET)] = (10, 20, 30)
    whole = complete_texture(texture)
    for parts, colour in ((TORSO, (200, 40, 40)), (LEGS, (40, 40, 200)), (ARMS, (90, 160, 90))):
        here = np.isin(labels, parts)
        off = np.abs(whole[here].astype(int) - colour).max(axis=-1)
        assert (off <= 1).mean() > 0.98, parts
    assert np.array_equal(whole[texture.any(-1)], texture[texture.any(-1)])
    assert not whole[(rings < 0) & ~np.isin(labels, FEET)].any()
    # Of two colours one below the other each stays at its height.
    half = texture.copy()
    half[(labels == 9) & (rings % 65 > 32)] = (250, 200, 10)
    half[labels == 10] = 0
    around = complete_texture(half)
    low = (labels == 10) & (rings % 65 > 40)
    high = (labels == 10) & (rings % 65 < 24)
    assert np.abs(around[low].astype(int) - (250, 200, 10)).max(axis=-1).mean() < 3
    assert np.abs(around[high].astype(int) - (40, 40, 200)).max(axis=-1).mean() < 3


def test_what_nothing_tells_of_stays_open():
    nothing = np.zeros((512, 512, 3), np.uint8)
    assert not complete_texture(nothing).any()
    arms = np.where(np.isin(smpl_labels(), ARMS)[..., None], 90, 0).astype(np.uint8).repeat(3, 2)
    whole = complete_texture(arms)
    assert np.array_equal(whole, arms)


def test_rings_are_counted_downwards_and_both_sides_share_them():
    labels, rings = smpl_labels(), smpl_rings()
    assert set(labels[rings >= 0]) == {
        part for chain in CHAINS for parts in chain for part in parts
    }
    assert rings.max() == 65 * sum(map(len, CHAINS)) - 1
    for left, right in ((9, 10), (13, 14), (17, 18)):
        spans = [np.quantile(rings[labels == part], (0.02, 0.98)) for part in (left, right)]
        assert np.abs(spans[0] - spans[1]).max() <= 3


def test_a_guess_is_nearer_to_the_truth_than_the_mean_colour(dataset: DatasetLayout):
    """Of every pair of the test people, where the source does not show the target's body."""
    errors = []
    for source, target in dataset.pairs("test"):
        texture = read_image(dataset.texture("test", source.removesuffix(".jpg")))
        stem = target.removesuffix(".jpg")
        iuv = read_iuv(dataset.densepose("test", stem))
        photo = read_image(dataset.image("test", stem)).astype(float)
        texels = find_texels(iuv)
        around = (iuv[..., 0] > 0) & (smpl_rings().ravel()[texels] >= 0)
        unseen = around & ~texture.reshape(-1, 3)[texels].any(axis=-1)
        guess = complete_texture(texture).reshape(-1, 3)[texels]
        mean = texture[texture.any(axis=-1)].mean(axis=0)
        errors.append([np.square(one - photo)[unseen].mean() for one in (guess, mean)])
    ours, means = np.mean(errors, axis=0)
    assert ours < 0.5 * means


def test_who_is_seen_from_the_front_has_their_hair_behind_too():
    """Dolls with hair, whose back of the head is looked up in the map of a view of the face."""
    nearer = []
    for index in range(12):
        views = {pose(0, index, k).view: k for k in range(8)}
        front, back = (
            render(identity(0, index), pose(0, index, views[v]), (256, 176))
            for v in ("front", "back")
        )
        if identity(0, index).face.style == "bald":
            continue
        whole = complete_texture(extract_texture(*front)).reshape(-1, 3)
        texels = find_texels(back[1])
        # Well above the neck
        behind = np.isin(back[1][..., 0], HEAD) & (back[1][..., 2] > 130)
        hair = np.median(back[0][behind], axis=0)
        guess = np.median(whole[texels[behind]], axis=0)
        nearer.append(np.linalg.norm(guess - hair) < np.linalg.norm(guess - _find_skin(front)))
    assert len(nearer) > 6
    assert np.mean(nearer) > 0.8


def _find_skin(view: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    photo, iuv = view
    low = np.isin(iuv[..., 0], HEAD) & (iuv[..., 2] > 95) & (iuv[..., 2] < 115)
    return np.median(photo[low], axis=0)


def test_legs_that_are_not_seen_are_dressed_as_the_trunk_ends():
    labels, rings = smpl_labels(), smpl_rings()
    texture = np.zeros((512, 512, 3), np.uint8)
    texture[labels == 2] = (200, 40, 40)
    texture[(labels == 2) & (rings > 50)] = (30, 60, 90)
    whole = complete_texture(texture)
    legs, arms = np.isin(labels, LEGS), np.isin(labels, ARMS)
    assert np.abs(whole[legs].astype(int) - (30, 60, 90)).max() <= 2
    assert np.abs(whole[arms].astype(int) - (200, 40, 40)).max() <= 2
