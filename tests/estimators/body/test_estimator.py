"""The embedded reader of bodies: people in photos, and what shows nobody."""

from functools import cache

import cv2
import numpy as np
import pytest
from skimage import data

from mcld.estimators.body.estimator import EmbeddedPose
from mcld.estimators.body.frame import Frame, choose_frame
from mcld.estimators.body.landmarks import (
    Crop,
    LandmarkReader,
    crop_again,
    crop_around,
    list_views,
)
from mcld.mannequin.body_data import make_example, take_picture
from mcld.mannequin.world import identity, pose, render


@cache
def estimator(person: str | int = "confident") -> EmbeddedPose:
    return EmbeddedPose(person)


@cache
def reader() -> LandmarkReader:
    return LandmarkReader()


@cache
def astronaut() -> np.ndarray:
    """A half figure that scikit-image brings along, 512x512."""
    return np.ascontiguousarray(data.astronaut())


def estimate(image: np.ndarray) -> np.ndarray:
    (found,) = estimator().estimate([image])
    assert found is not None
    assert found.people == 1
    assert found.iuv.shape == image.shape
    return found.iuv


def test_a_photo_of_a_person_has_landmarks_where_they_are():
    (person,) = reader().find_people(astronaut(), list_views((512, 512))[0])
    crop = crop_around(person.hip, person.reach)
    found = reader().read(astronaut(), crop_again(crop, reader().read(astronaut(), crop)))
    assert found.score > 0.9
    x, y, _ = found.places.T
    assert x[11] > x[12]  # her left shoulder is on the right
    assert y[0] < y[11] < y[23]
    assert found.visibility[0] > 0.9


def test_landmarks_lie_in_pixels_of_the_photo_and_it_is_told_which_lie_in_it():
    found = estimator().read_landmarks(astronaut())
    nose, left_ear, right_ear, left_ankle = 0, 7, 8, 27
    x, y = found.places[nose]
    assert 190 < x < 270
    assert 90 < y < 170  # as scikit-image's astronaut has it
    assert found.places[right_ear, 0] < x < found.places[left_ear, 0]
    assert found.inside[[nose, left_ear, right_ear]].all()
    assert not found.inside[left_ankle]  # it is a half figure
    assert found.places[left_ankle, 1] > 512
    large = estimator().read_landmarks(cv2.resize(astronaut(), (1024, 1024)))
    assert np.abs(large.places[nose] - 2 * found.places[nose]).max() < 10
    assert estimator().read_landmarks(np.full((64, 64, 3), 90, np.uint8)) is None


def test_who_is_small_in_a_wide_photo_is_found_at_a_nearer_look():
    photo = np.full((400, 1600, 3), 128, np.uint8)
    photo[200:290, 300:390] = cv2.resize(astronaut(), (90, 90), interpolation=cv2.INTER_AREA)
    whole, *_ = list_views(photo.shape[:2])
    assert not reader().find_people(photo, whole)
    body = estimate(photo)[..., 0] > 0
    assert body.sum() > 2000
    assert body[200:290, 300:390].sum() > 0.9 * body.sum()


def test_a_picture_of_a_few_pixels_shows_nobody():
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    assert estimator().estimate([noise]) == [None]


def test_people_are_looked_for_from_further_away_and_nearer():
    whole, further, *nearer = list_views((300, 900))
    assert (whole.size, further.size) == (900, 1350)
    assert [(*crop.centre, crop.size) for crop in nearer] == [
        (150, 150, 300),
        (450, 150, 300),
        (750, 150, 300),
    ]


def test_a_photo_becomes_a_map_of_its_own_size():
    iuv = estimate(astronaut())
    labels = iuv[..., 0]
    assert labels[100, 225] in (23, 24)  # the face
    assert labels[300, 230] == 2  # the chest
    assert not labels[:100, :100].any()  # the flag behind her
    both = np.isin(labels, (23, 24))
    assert 0.02 < both.mean() < 0.2
    u = iuv[..., 1].astype(float)
    torso = (labels[1:] == 2) & (labels[:-1] == 2)
    steps = np.abs(np.diff(u, axis=0))[torso]
    assert steps.max() < 12  # smooth


@pytest.mark.parametrize(
    ("picture", "least"),
    [(0, 0.85), (2, 0.8), (4, 0.6)],  # from the side one leg is taken for the other
    ids=["front", "back", "side"],
)
def test_the_map_of_a_mannequin_is_nearly_the_true_one(picture, least):
    image, truth = render(identity(4, 1), pose(4, 1, picture), (512, 352))
    iuv = estimate(image)
    both = (iuv[..., 0] > 0) & (truth[..., 0] > 0)
    either = (iuv[..., 0] > 0) | (truth[..., 0] > 0)
    right = both & (iuv[..., 0] == truth[..., 0])
    assert both.sum() > 0.85 * either.sum()
    assert right.sum() > least * both.sum()
    off = np.abs(iuv[right].astype(float) - truth[right])[:, 1:].mean() / 255
    assert off < 0.1


def test_a_large_photo_is_read_smaller_and_its_map_is_as_large():
    iuv = estimate(astronaut())
    twice = estimate(np.repeat(np.repeat(astronaut(), 5, 0), 5, 1))  # read smaller
    assert (twice[2::5, 2::5, 0] == iuv[..., 0]).mean() > 0.95


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((1, 3000, 3), np.uint8),
        np.full((300, 200, 3), 255, np.uint8),
        np.random.default_rng(0).integers(0, 256, (240, 320, 3)).astype(np.uint8),
        np.repeat(data.coins()[..., None], 3, 2),
    ],
    ids=["tiny", "a line", "white", "noise", "coins"],
)
def test_what_shows_nobody_gives_none(image):
    assert estimator().estimate([image]) == [None]


def test_of_two_people_the_larger_counts_or_the_one_that_is_named():
    far, _ = render(identity(4, 1), pose(4, 1, 0), (256, 176))
    near, _ = render(identity(4, 2), pose(4, 2, 0), (512, 352))
    image = np.full((512, 600, 3), 235, np.uint8)
    image[200:456, 20:196] = far
    image[:, 230:582] = near
    (first,) = estimator().estimate([image])
    (second,) = estimator(2).estimate([image])
    assert first.people == second.people == 2
    assert np.nonzero(first.iuv[..., 0])[1].mean() > 300
    assert np.nonzero(second.iuv[..., 0])[1].mean() < 230
    assert estimator(3).estimate([image]) == [None]


def test_a_crop_leads_into_the_photo_and_back():
    crop = Crop(np.array([50, 40], np.float32), 30.0, 0.4)
    image = np.zeros((100, 120, 3), np.uint8)
    image[30:50, 40:60] = 255
    cut = crop.cut(image, 64)
    places = crop.place_pixels(64)
    inside = (np.abs(places - (50, 40)) < 9).all(-1)
    assert cut[inside].min() > 200
    outside = (np.abs(places - (50, 40)) > 11).any(-1)
    assert cut[outside].max() < 60
    assert np.allclose(places.mean((0, 1)), crop.centre)
    frame = Frame(0.25, 0.25, 0.5).in_photo(crop)
    assert np.allclose(frame.centre, crop.centre)
    assert frame.size == 15


def test_examples_to_learn_from_are_a_function_of_their_numbers():
    one, other = (make_example(3, 7, reader()) for _ in range(2))
    assert one is not None
    assert np.array_equal(one.iuv, other.iuv)
    assert np.array_equal(one.landmarks.places, other.landmarks.places)
    seen = one.landmarks.silhouette > 0.5
    assert (seen & (one.iuv[..., 0] > 0)).sum() > 0.5 * seen.sum()
    frame = choose_frame(one.landmarks, one.inside)
    assert 0 < frame.size < 2


def test_pictures_to_learn_from_are_of_all_views_and_of_clothes_wider_than_the_body():
    labels = [take_picture(np.random.default_rng(k), 1, k)[1][..., 0] for k in range(12)]
    front, back = (sum((one == label).any() for one in labels) for label in (2, 1))
    assert front > 4
    assert back > 4
    wide = [(np.isin(one, (7, 8, 9, 10)).sum(1) / max(one.shape)).max() for one in labels]
    assert max(wide) > 1.5 * np.median(wide)
