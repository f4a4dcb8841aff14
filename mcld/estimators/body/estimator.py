"""The reader of bodies that comes with mcld: photos in, IUV maps out, nothing to download."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mcld.errors import InputError
from mcld.estimators.body.frame import (
    BodyInput,
    BodyMaps,
    choose_frame,
    frame_body,
    frame_keypoints,
    paint_map,
)
from mcld.estimators.body.keypoints import Keypoints, lay_canvas
from mcld.estimators.body.landmarks import (
    CROP_SIZE,
    Crop,
    LandmarkReader,
    Landmarks,
    PhotoLandmarks,
    list_views,
    read_landmarks,
)
from mcld.estimators.people import choose_person, count_people
from mcld.estimators.pose import EstimatedPose
from mcld.machine.onnx import open_session

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_LONGEST = 2048
"""Pixels of a photo's longer side, from which on it is read smaller."""
_SMALLEST = 16
"""Pixels of a photo's shorter side, below which it shows nobody who could be told."""
_TIGHTER = 3
"""Power of the silhouette: in photos BlazePose's runs around the clothes, DensePose's within."""


_MOST_PEOPLE = 16
"""Whose landmarks are read, of one photo."""


class _Person(NamedTuple):
    """Somebody in a photo."""

    box: NDArray[np.float32]
    """(left, top, right, bottom), pixels."""
    size: float
    """From the hips to above the head, pixels."""
    landmarks: Landmarks
    crop: Crop


class EmbeddedPose:
    """BlazePose's landmarks and silhouette, and a small network that makes an IUV map of them.

    person: who counts where a photo shows several, as in `choose_person`; the larger somebody is,
    the surer.
    """

    def __init__(self, person: str | int = "confident") -> None:
        self._reader = LandmarkReader()
        self._person = person

    def estimate(self, images: Iterable[NDArray[np.uint8]]) -> list[EstimatedPose | None]:
        """The pose of the person that counts in each photo, uint8 [H, W, 3] RGB.

        None for a photo that does not show that person.
        """
        return [self._estimate_one(image) for image in images]

    def read_landmarks(self, image: NDArray[np.uint8]) -> PhotoLandmarks | None:
        """The landmarks of the person that counts in a photo, uint8 [H, W, 3] RGB.

        None for a photo that does not show that person.
        """
        height, width, _ = image.shape
        person, _ = self._choose_person(image)
        if person is None:
            return None
        to_photo = person.crop.to_photo()
        places = person.landmarks.places[:, :2] @ to_photo[:, :2].T + to_photo[:, 2]
        x, y = places.T
        inside = np.asarray((x >= 0) & (y >= 0) & (x < width) & (y < height), bool)
        return PhotoLandmarks(places.astype(np.float32), person.landmarks.visibility, inside)

    def _estimate_one(self, image: NDArray[np.uint8]) -> EstimatedPose | None:
        height, width, _ = image.shape
        if (longest := max(height, width)) > _LONGEST:
            factor = _LONGEST / longest
            small = (max(round(width * factor), 1), max(round(height * factor), 1))
            image = np.asarray(cv2.resize(image, small, interpolation=cv2.INTER_AREA), np.uint8)
        person, count = self._choose_person(image)
        iuv = None if person is None else self._draw(person, image.shape[:2])
        if person is None or iuv is None:
            return None
        if longest > _LONGEST:
            whole = cv2.resize(iuv, (width, height), interpolation=cv2.INTER_NEAREST)
            iuv = np.asarray(whole, np.uint8)
        return EstimatedPose(iuv, count, person.landmarks.score)

    def _choose_person(self, image: NDArray[np.uint8]) -> tuple[_Person | None, int]:
        """The person that counts, if there is one, and how many are counted."""
        people = self._find_people(image) if min(image.shape[:2]) >= _SMALLEST else []
        if not people:
            return None, 0
        sizes = np.array([person.size for person in people], np.float32) / people[0].size
        boxes = np.stack([person.box for person in people])
        row = choose_person(boxes, sizes, self._person)
        return None if row is None else people[row], count_people(sizes)

    def _find_people(self, image: NDArray[np.uint8]) -> list[_Person]:
        """Those whose landmarks are found, the largest first."""
        for view in list_views(image.shape[:2]):
            people = []
            for person in self._reader.find_people(image, view)[:_MOST_PEOPLE]:
                read = read_landmarks(self._reader, image, person)
                if read is not None:
                    size = float(np.linalg.norm(person.reach - person.hip))
                    people.append(_Person(person.box, size, *read))
            if people:
                return sorted(people, key=lambda person: -person.size)
        return []

    def _draw(self, person: _Person, shape: tuple[int, int]) -> NDArray[np.uint8] | None:
        found, crop = person.landmarks, person.crop
        inside = crop.find_inside(shape, CROP_SIZE)
        frame = choose_frame(found, inside)
        if frame is None:
            return None
        tight = found._replace(silhouette=found.silhouette**_TIGHTER)
        maps = read_maps(frame_body(tight, inside, frame))
        return paint_map(maps, frame.in_photo(crop), shape)


def draw_keypoints(keypoints: Keypoints) -> NDArray[np.uint8]:
    """The IUV map of a person of whom only keypoints are known, uint8 [H, W, 3].

    What the network makes of them, which a body of usual build is fitted to, and to the keypoints.
    """
    from mcld.body.fit import draw_fitted_map, fit_body  # here, because it loads much

    places, shape = lay_canvas(keypoints)
    body, square = frame_keypoints(places, keypoints.known, shape)
    iuv = paint_map(read_maps(body), square, shape)
    joints = {name: places[k] for k, name in _JOINTS.items() if keypoints.known[k]}
    try:
        fitted = fit_body(iuv, "", joints)
    except InputError:  # there is too little of a body: a head, or a leg
        return iuv
    drawn = draw_fitted_map(fitted, fitted.shape)
    whole = cv2.resize(drawn, shape[::-1], interpolation=cv2.INTER_NEAREST)
    return np.asarray(whole, np.uint8)


_JOINTS = {
    2 * pair + side + 11: f"{'LR'[side]}_{name}"
    for pair, name in enumerate(("Shoulder", "Elbow", "Wrist", "", "", "", "Hip", "Knee", "Ankle"))
    if name
    for side in range(2)
}
"""Landmarks of BlazePose that are joints of a body."""


def read_maps(body: BodyInput) -> BodyMaps:
    """What the network says of one body, on the CPU. Raises as `open_session` does."""
    labels, uv = _open_network().run(["labels", "uv"], body._asdict())
    return BodyMaps(labels, uv)


@cache
def _open_network() -> InferenceSession:
    return open_session((files("mcld.estimators.body") / "weights" / "iuv.onnx").read_bytes())
