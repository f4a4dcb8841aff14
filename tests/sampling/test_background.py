"""What lies behind the person of a photo stays, in a new pose."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from mcld.body.parameters import read_gallery
from mcld.body.pose_map import draw_pose_map
from mcld.mannequin.world import identity, pose, render
from mcld.person.person import Person
from mcld.sampling.background import cut_out, finish_pictures, remove_person
from mcld.sampling_options import SamplingOptions

SIZE = (256, 176)
OPTIONS = SamplingOptions(
    1, 1.0, *SIZE, "float32", [], "texture", "nearest", 8, "background", "", {}
)


def photograph(ground: np.ndarray, picture: int = 0) -> Person:
    """Somebody before a ground, uint8 [H, W, 3]."""
    image, iuv = render(identity(0, 0), pose(0, 0, picture), SIZE)
    photo = np.where(iuv[..., :1] > 0, image, ground).astype(np.uint8)
    return Person("me", Image.fromarray(photo), iuv, Image.new("RGB", (512, 512)), torch.zeros(512))


def paint(person: Person) -> Image.Image:
    """The same person as a network may paint them: before a pale ground of its own."""
    pale = np.broadcast_to(np.array([225, 230, 235], np.uint8), (*SIZE, 3))
    return Image.fromarray(
        np.where(person.iuv[..., :1] > 0, np.asarray(person.photo), pale).astype(np.uint8)
    )


def finish(picture, person, iuv, options=OPTIONS) -> Image.Image:
    (finished,) = finish_pictures([picture], person, iuv, options)
    return finished


def draw_wall() -> np.ndarray:
    """Bright above, dark below, and a stripe along one side."""
    wall = np.full((*SIZE, 3), (150, 90, 60), np.uint8)
    wall[180:] = 40, 45, 50
    wall[:, :12] = 20, 120, 30
    return wall


@pytest.mark.parametrize("ground", ["plain", "wall"])
def test_a_figure_stands_before_what_was_behind_the_person(ground):
    wall = draw_wall() if ground == "wall" else np.full((*SIZE, 3), (30, 40, 90), np.uint8)
    source, goal = photograph(wall), photograph(wall, 3)
    finished = np.asarray(finish(paint(goal), source, goal.iuv)).astype(int)
    truth = np.asarray(goal.photo).astype(int)
    body = goal.iuv[..., 0] > 0
    assert np.abs(finished - truth)[body].mean() < 6
    off = np.abs(finished - truth)[~body].mean(-1)
    assert off.mean() < (2 if ground == "plain" else 5)
    edge = cv2.dilate(body.astype(np.uint8), np.ones((7, 7))) > 0  # which is soft
    hidden = (source.iuv[..., 0] > 0) & ~edge
    assert np.abs(finished - truth)[hidden].mean() < (4 if ground == "plain" else 20)


def test_nothing_of_the_networks_own_ground_is_left_around_the_figure():
    dark = np.full((*SIZE, 3), 20, np.uint8)
    source, goal = photograph(dark), photograph(dark, 3)
    finished = np.asarray(finish(paint(goal), source, goal.iuv))
    body = (goal.iuv[..., 0] > 0).astype(np.uint8)
    ring = cv2.dilate(body, np.ones((7, 7))) > body
    assert (finished[ring].min(-1) > 150).mean() < 0.02


def test_what_the_person_hides_goes_over_smoothly_from_its_surroundings():
    slope = np.linspace(60, 180, SIZE[1])[None, :, None].repeat(SIZE[0], 0).repeat(3, 2)
    person = photograph(slope.astype(np.uint8))
    without = np.asarray(remove_person(person.photo, person.iuv), float)
    assert np.abs(without - slope).max() < 30
    assert np.abs(without - slope).mean() < 5


def test_hair_and_skirts_beside_the_map_belong_to_the_figure():
    person = photograph(np.zeros((*SIZE, 3), np.uint8))
    picture = np.array(paint(person))
    edge = np.flatnonzero(person.iuv[..., 0].any(0))[-1]
    row = np.flatnonzero(person.iuv[:, edge, 0])[0]
    picture[row - 3 : row + 3, edge : edge + 5] = 30
    found = cut_out(Image.fromarray(picture), person.iuv)
    assert found is not None
    share = np.asarray(found[1])
    assert share[row, edge + 3] > 150
    assert share[row, edge + 15] < 13


def test_without_it_the_picture_is_the_networks():
    person = photograph(draw_wall())
    options = replace(OPTIONS, keep="nothing")
    painted = paint(person).resize((88, 128))
    finished = finish(painted, person, person.iuv, options)
    expected = painted.resize(person.photo.size, Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(np.asarray(finished), np.asarray(expected))


def test_of_another_shape_and_size_it_fits_as_well():
    person = photograph(draw_wall())
    large = replace(person, photo=person.photo.resize((352, 512)))
    pose_map = draw_pose_map(read_gallery("arms-up"))
    finished = finish(paint(person), large, pose_map)
    assert finished.size == (352, 512)
    off = np.asarray(finished)[:40, :10].astype(int) - (20, 120, 30)
    assert np.abs(off).max() < 13


@pytest.mark.parametrize("size", [(2816, 2112), (800, 1164), (1000, 700), (44, 64), (176, 256)])
def test_of_photos_of_every_size_the_person_is_taken_away(size):
    dark = np.full((*SIZE, 3), 20, np.uint8)
    person = photograph(dark)
    photo = person.photo.resize(size, Image.Resampling.NEAREST)
    without = remove_person(photo, person.iuv)
    assert without is not None
    assert without.size == size
    assert np.asarray(without).max() < 30


def test_an_edge_of_the_grounds_own_colour_gets_no_rim():
    grey = np.full((*SIZE, 3), 200, np.uint8)
    person = photograph(grey)
    flat = np.where(person.iuv[..., :1] > 0, 190, 225).repeat(3, 2).astype(np.uint8)
    large = replace(person, photo=person.photo.resize((1056, 1536)))
    finished = np.asarray(finish(Image.fromarray(flat), large, person.iuv)).astype(int)
    assert finished.min() >= 185
    assert finished.max() <= 207


@pytest.mark.parametrize("shown", ["nobody", "a speck", "nothing but the person"])
def test_where_there_is_no_ground_or_no_figure_the_picture_is_the_networks(shown):
    person = photograph(draw_wall())
    iuv = person.iuv
    if shown == "nothing but the person":
        person = replace(person, iuv=np.full_like(iuv, 2))
    else:
        iuv = np.zeros((2560, 1760, 3), np.uint8)
        iuv[3:5, 3:5] = 2 * (shown == "a speck")
    painted = paint(person)
    np.testing.assert_array_equal(np.asarray(finish(painted, person, iuv)), np.asarray(painted))
