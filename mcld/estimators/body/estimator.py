"""The reader of bodies that comes with mcld: photos in, IUV maps out, nothing to download."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.resources import as_file, files

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from mcld.estimators.body.frame import choose_frame, frame_body, frame_keypoints, paint_map
from mcld.estimators.body.keypoints import Keypoints, lay_canvas
from mcld.estimators.body.landmarks import (
    CROP_SIZE,
    Crop,
    FoundPerson,
    LandmarkReader,
    Landmarks,
    crop_again,
    crop_around,
)
from mcld.estimators.body.network import BodyNetwork
from mcld.estimators.people import choose_person, count_people
from mcld.estimators.pose import EstimatedPose

_LONGEST = 2048
"""Pixels of a photo's longer side, from which on it is read smaller."""
_LEAST_SCORE = 0.5
_TIGHTER = 3
"""Power of the silhouette: in photos BlazePose's runs around the clothes, DensePose's within."""


class EmbeddedPose:
    """BlazePose's landmarks and silhouette, and a small network that makes an IUV map of them.

    person: who counts where a photo shows several, as in `choose_person`; the larger somebody is,
    the surer.
    """

    def __init__(self, person: str | int = "confident") -> None:
        self._reader = LandmarkReader()
        self._network = load_body_network()
        self._person = person

    def estimate(self, images: Iterable[NDArray[np.uint8]]) -> list[EstimatedPose | None]:
        """The pose of the person that counts in each photo, uint8 [H, W, 3] RGB.

        None for a photo that does not show that person.
        """
        return [self._estimate_one(image) for image in images]

    def _estimate_one(self, image: NDArray[np.uint8]) -> EstimatedPose | None:
        height, width, _ = image.shape
        if (longest := max(height, width)) > _LONGEST:
            factor = _LONGEST / longest
            small = (max(round(width * factor), 1), max(round(height * factor), 1))
            image = np.asarray(cv2.resize(image, small, interpolation=cv2.INTER_AREA), np.uint8)
        people = self._reader.find_people(image)
        if not people:
            return None
        sizes = np.array([_measure(person) for person in people], np.float32)
        order = np.argsort(-sizes)
        people, sizes = [people[k] for k in order], sizes[order] / sizes.max()
        boxes = np.stack([person.box for person in people])
        row = choose_person(boxes, sizes, self._person)
        iuv = None if row is None else self._read(image, people[row])
        if iuv is None:
            return None
        if longest > _LONGEST:
            whole = cv2.resize(iuv, (width, height), interpolation=cv2.INTER_NEAREST)
            iuv = np.asarray(whole, np.uint8)
        return EstimatedPose(iuv, count_people(sizes))

    def _read(self, image: NDArray[np.uint8], person: FoundPerson) -> NDArray[np.uint8] | None:
        read = read_landmarks(self._reader, image, person)
        return None if read is None else self._draw(*read, image.shape[:2])

    def _draw(
        self, found: Landmarks, crop: Crop, shape: tuple[int, int]
    ) -> NDArray[np.uint8] | None:
        inside = crop.find_inside(shape, CROP_SIZE)
        frame = choose_frame(found, inside)
        if frame is None:
            return None
        tight = found._replace(silhouette=found.silhouette**_TIGHTER)
        with torch.inference_mode():
            maps = self._network(frame_body(tight, inside, frame))
            return paint_map(maps, frame.in_photo(crop), shape)


def draw_keypoints(keypoints: Keypoints) -> NDArray[np.uint8]:
    """The IUV map of a person of whom only keypoints are known, uint8 [H, W, 3]."""
    places, shape = lay_canvas(keypoints)
    body, square = frame_keypoints(places, keypoints.known, shape)
    with torch.inference_mode():
        return paint_map(load_body_network()(body), square, shape)


@cache
def load_body_network() -> BodyNetwork:
    """The trained network, on the CPU."""
    network = BodyNetwork()
    with as_file(files("mcld.estimators.body") / "weights" / "iuv.safetensors") as path:
        network.load_state_dict(load_file(path))
    return network.float().eval()


def read_landmarks(
    reader: LandmarkReader, image: NDArray[np.uint8], person: FoundPerson
) -> tuple[Landmarks, Crop] | None:
    """The landmarks of somebody in a photo, and the crop they were found in; None for nobody."""
    crop = crop_around(person.hip, person.reach)
    for _ in range(2):  # the first crop places the second
        if not _is_usable(crop):
            return None
        found = reader.read(image, crop)
        if found.score < _LEAST_SCORE:
            return None
        last, crop = crop, crop_again(crop, found)
    return found, last


def _measure(person: FoundPerson) -> float:
    return float(np.linalg.norm(person.reach - person.hip))


def _is_usable(crop: Crop) -> bool:
    return bool(np.isfinite([*crop.centre, crop.size, crop.turn]).all() and 2 < crop.size < 1e5)
