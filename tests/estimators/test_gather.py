"""One texture map of several photos of a person."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from mcld.estimators.gather import (
    View,
    gather_atlases,
    gather_textures,
    measure_face,
    measure_quality,
)
from mcld.estimators.texture import extract_texture
from mcld.mannequin.world import identity, pose, render
from mcld.person.person import Person, gather_person
from mcld.surface.atlas import lay_atlas
from mcld.surface.charts import find_texels, smpl_labels
from mcld.surface.warp import complete_texture

SEED, INDEX, SIZE = 0, 2, (384, 264)


def photograph(view: str, size: tuple[int, int] = SIZE, index: int = INDEX) -> View:
    """A doll, seen from some side."""
    picture = next(k for k in range(40) if pose(SEED, index, k).view == view)
    photo, iuv = render(identity(SEED, index), pose(SEED, index, picture), size)
    return View(photo, iuv, extract_texture(photo, iuv))


@pytest.fixture(scope="module")
def front() -> View:
    return photograph("front")


@pytest.fixture(scope="module")
def back() -> View:
    return photograph("back")


def read_person(view: View, name: str = "a.jpg", face: float = 1.0) -> Person:
    texture = Image.fromarray(view.texture)
    return Person(name, Image.fromarray(view.photo), view.iuv, texture, torch.full((512,), face))


def test_one_photo_alone_is_as_it_was(front):
    assert gather_textures([front]).texture is front.texture
    person = read_person(front)
    assert gather_person([person], pytest.fail) is person
    assert person.choose_view(front.iuv) is person


def test_details_come_from_the_first_photo_that_shows_them_in_the_colours_of_the_map(front, back):
    dark = replace(back, photo=back.photo // 2, texture=back.texture // 2)
    gathered = gather_textures([front, dark])
    assert gathered.gains[1].max() == pytest.approx(1.8)  # as far as light goes
    atlas = gather_atlases([front, dark], gathered.gains)
    own, true = lay_atlas(front.photo, front.iuv), lay_atlas(back.photo, back.iuv)
    seen = own[..., 3] > 0
    alone = seen & (true[..., 3] == 0)
    assert np.array_equal(atlas[alone], own[alone])
    behind = ~seen & (true[..., 3] > 0)
    assert (atlas[behind][:, 3] == 255).all()
    dimmed = np.abs(true[behind][:, :3].astype(int) // 2 - true[behind][:, :3]).mean()
    assert np.abs(atlas[behind][:, :3].astype(int) - true[behind][:, :3]).mean() < 0.5 * dimmed
    best = gather_atlases([dark, front], gather_textures([dark, front]).gains)
    both = seen & (true[..., 3] > 0)  # there either may be the better view
    assert 0.05 < (best[both] == lay_atlas(dark.photo, dark.iuv)[both]).all(axis=-1).mean() < 0.95
    person = gather_person([read_person(front), read_person(back)], lambda _: None)
    assert (person.atlas[..., 3] > 0).sum() > 1.5 * seen.sum()


def test_front_and_back_together_show_what_either_does(front, back):
    gathered = gather_textures([front, back]).texture
    shown = gathered.any(axis=-1)
    either = front.texture.any(axis=-1) | back.texture.any(axis=-1)
    assert np.array_equal(shown, either)
    assert shown.sum() > 1.5 * front.texture.any(axis=-1).sum()
    for view in (front, back):  # what one of them alone sees, and sees well, has its colours
        other = back if view is front else front
        alone = (measure_quality(view) > 0.3) & ~other.texture.any(axis=-1)
        assert alone.sum() > 5000
        off = np.abs(gathered[alone].astype(int) - view.texture[alone])
        assert np.median(off) < 8


def test_a_third_photo_of_the_truth_is_nearer_to_more_photos(front, back):
    """The colours of a turned view, looked up in the completed maps of one to three others."""
    truth, iuv = photograph("turned").photo, photograph("turned").iuv
    body = iuv[..., 0] > 0

    def error(*views: View) -> float:
        whole = complete_texture(gather_textures(views).texture)
        colours = whole.reshape(-1, 3)[find_texels(iuv)]
        return float(np.square(colours[body].astype(float) - truth[body]).mean())

    one, two, three = error(front), error(front, back), error(front, back, photograph("side"))
    assert two < one
    assert three < 0.8 * one


def test_light_of_another_colour_is_matched_to_the_first_photo(front):
    tinted = replace(front, photo=np.rint(front.photo * (0.7, 0.8, 0.9)).astype(np.uint8))
    tinted = replace(tinted, texture=extract_texture(tinted.photo, tinted.iuv))
    gathered = gather_textures([front, tinted])
    assert gathered.difference[0] < 2
    seen = (measure_quality(front) > 0.1) & (front.texture.max(-1) < 245)
    assert np.abs(gathered.texture[seen].astype(int) - front.texture[seen]).mean() < 3


def test_a_photo_in_other_clothes_keeps_its_colours_and_is_said(front):
    other = photograph("front", index=5)
    said: list[str] = []
    gather_person([read_person(front), read_person(other, "dir/b.jpg")], said.append)
    assert len(said) == 1
    assert said[0].startswith("b.jpg shows other colours")
    gather_person([read_person(front), read_person(photograph("turned"))], pytest.fail)


def test_the_nearer_photo_counts_more(front):
    far = photograph("front", (128, 88))
    assert np.median(measure_quality(front)[front.texture.any(-1)]) > 3 * np.median(
        measure_quality(far)[far.texture.any(-1)]
    )
    for views in ([front, far], [far, front]):
        gathered = gather_textures(views).texture
        seen = measure_quality(front) > 0.5
        near = np.abs(gathered[seen].astype(int) - front.texture[seen]).mean()
        assert near < np.abs(gathered[seen].astype(int) - far.texture[seen]).mean() / 2


def test_what_lies_beside_an_edge_of_the_body_counts_little(front):
    quality = measure_quality(front)
    iuv = front.iuv
    body = iuv[..., 0] > 0
    rim = body & ~(np.roll(body, 2, 1) & np.roll(body, -2, 1))
    inside = body & np.roll(body, 12, 1) & np.roll(body, -12, 1)
    torso = np.isin(iuv[..., 0], (1, 2))
    at_rim, at_middle = (
        np.median(quality.ravel()[find_texels(iuv)[where & torso]]) for where in (rim, inside)
    )
    assert at_rim < 0.4 * at_middle
    assert not quality[~front.texture.any(-1)].any()


def test_the_face_is_of_the_photo_that_sees_it_and_the_photo_of_the_first(front, back):
    assert measure_face(front) > 5 * measure_face(back)
    people = [read_person(back, face=1.0), read_person(front, face=2.0)]
    gathered = gather_person(people, pytest.fail)
    assert gathered.face[0] == 2
    assert gathered.photo is people[0].photo
    blind = [people[0], replace(people[1], face=np.zeros(512, np.float32))]
    assert gather_person(blind, pytest.fail).face[0] == 1


def test_the_view_nearest_to_a_pose_is_embedded(front, back):
    gathered = gather_person([read_person(front), read_person(back)], pytest.fail)
    assert gathered.choose_view(back.iuv) is gathered.views[1]
    assert gathered.choose_view(front.iuv) is gathered.views[0]
    sitting = photograph("turned").iuv
    assert gathered.choose_view(sitting) is gathered.views[0]


def test_no_seam_shows_between_two_photos_of_one_surface(front):
    """A front and a turned view: beside each other in the map they differ as neighbours do."""
    turned = photograph("turned")
    gathered = gather_textures([front, turned]).texture.astype(float)
    torso = np.isin(smpl_labels(), (1, 2)) & gathered.any(-1)
    inner = torso & np.roll(torso, 1, 1)
    step = np.abs(gathered - np.roll(gathered, 1, 1)).mean(-1)[inner]
    alone = front.texture.astype(float)
    there = torso & alone.any(-1) & np.roll(alone.any(-1), 1, 1)
    own = np.abs(alone - np.roll(alone, 1, 1)).mean(-1)[there]
    assert step.mean() < 1.5 * own.mean()
