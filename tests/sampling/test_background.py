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
from mcld.person import Person
from mcld.pipeline import SamplingOptions
from mcld.sampling.background import cut_out, finish_picture, remove_person

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
    finished = np.asarray(finish_picture(paint(goal), source, goal.iuv, OPTIONS)).astype(int)
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
    finished = np.asarray(finish_picture(paint(goal), source, goal.iuv, OPTIONS))
    body = (goal.iuv[..., 0] > 0).astype(np.uint8)
    ring = cv2.dilate(body, np.ones((7, 7))) > body
    assert (finished[ring].min(-1) > 150).mean() < 0.02


def test_what_the_person_hides_goes_over_smoothly_from_its_surroundings():
    slope = np.linspace(60, 180, SIZE[1])[None, :, None].repeat(SIZE[0], 0).repeat(3, 2)
    person = photograph(slope.astype(np.uint8))
    without = remove_person(np.asarray(person.photo), person.iuv)
    assert np.abs(without - slope).max() < 30
    assert np.abs(without - slope).mean() < 5


def test_hair_and_skirts_beside_the_map_belong_to_the_figure():
    person = photograph(np.zeros((*SIZE, 3), np.uint8))
    picture = np.asarray(paint(person)).astype(np.float32)
    edge = np.flatnonzero(person.iuv[..., 0].any(0))[-1]
    row = np.flatnonzero(person.iuv[:, edge, 0])[0]
    picture[row - 3 : row + 3, edge : edge + 5] = 30
    share, _ = cut_out(picture, person.iuv)
    assert share[row, edge + 3] > 0.6
    assert share[row, edge + 15] < 0.05


def test_without_it_the_picture_is_the_networks():
    person = photograph(draw_wall())
    options = replace(OPTIONS, keep="nothing")
    painted = paint(person).resize((88, 128))
    finished = finish_picture(painted, person, person.iuv, options)
    expected = painted.resize(person.photo.size, Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(np.asarray(finished), np.asarray(expected))


def test_of_another_shape_and_size_it_fits_as_well():
    person = photograph(draw_wall())
    large = replace(person, photo=person.photo.resize((352, 512)))
    pose_map = draw_pose_map(read_gallery("arms-up"))
    finished = finish_picture(paint(person), large, pose_map, OPTIONS)
    assert finished.size == (352, 512)
