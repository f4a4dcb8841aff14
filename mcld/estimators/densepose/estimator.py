"""DensePose as the house uses it: photos in, IUV maps out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mcld.errors import MCLDError, WeightsError
from mcld.estimators.densepose.boxes import Detections, scale_boxes
from mcld.estimators.densepose.iuv import make_iuv
from mcld.estimators.densepose.network import DensePoseRCNN
from mcld.estimators.densepose.proposals import have_area
from mcld.estimators.densepose.transform import (
    LONG,
    SHORT,
    choose_size,
    normalise,
    resize_photo,
)
from mcld.estimators.densepose.weights import load_network
from mcld.estimators.people import choose_person, count_people
from mcld.estimators.pose import GPU_BATCH, EstimatedPose
from mcld.machine.accelerator import is_discrete, is_failure, ran_out_of_memory


class _Photo(NamedTuple):
    place: int
    """Which of the photos it is."""
    resized: NDArray[np.uint8]
    """[H', W', 3] BGR."""
    shape: tuple[int, int]
    """Its own height and width."""


class _Person(NamedTuple):
    """The person that counts in a photo."""

    box: Tensor
    """(left, top, right, bottom) in pixels of the resized photo."""
    in_photo: list[float]
    """The same in pixels of the photo."""
    people: int
    """How many people the photo shows."""


class DensePose:
    """DensePose R_101_FPN_DL_s1x, the estimator of the paper, on PyTorch alone.

    On a GPU it runs in half precision. The dense head runs for the person that counts, not for all.

    Args:
        weights: model_final_844d15.pkl, or the same as .safetensors.
        device: such as "cuda:0" or "cpu".
        person: who counts where a photo shows several, as in `choose_person`.
        short, long: pixels that a photo's shorter side is resized to, and its longer one at most.

    Raises WeightsError when the weights are missing, damaged or of another network, MCLDError when
    there is no such device or they do not fit into its memory.
    """

    def __init__(
        self,
        weights: Path,
        device: str,
        person: str | int = "confident",
        short: int = SHORT,
        long: int = LONG,
    ) -> None:
        self._device = torch.device(device)
        network = load_network(weights)
        with self._explain_failure():
            self.network = self._place(network)
        self._person = person
        self._short, self._long = short, long

    def _place(self, network: DensePoseRCNN) -> DensePoseRCNN:
        """The network on the device. Raises MCLDError when there is no such device."""
        try:
            return network.to(self._device)
        except (AssertionError, RuntimeError) as error:  # as PyTorch says it
            if ran_out_of_memory(error):
                raise
            reason = str(error).partition("\n")[0]
            raise MCLDError(f"{self._device} cannot be used here: {reason}") from error

    def estimate(self, images: Iterable[NDArray[np.uint8]]) -> list[EstimatedPose | None]:
        """The pose of the person that counts in each photo, uint8 [H, W, 3] RGB.

        None for a photo that does not show that person. Photos that are resized to one size run
        together, up to `GPU_BATCH`; a photo is let go as soon as it is resized. Raises MCLDError
        when the GPU fails, or the weights are beyond use, which other photos would not change.
        """
        batches: dict[tuple[int, int], list[_Photo]] = {}
        count = 0
        for image in images:
            height, width, _ = image.shape
            size = choose_size(height, width, self._short, self._long)
            photo = _Photo(count, resize_photo(image, size), (height, width))
            batches.setdefault(size, []).append(photo)
            count += 1
        poses: list[EstimatedPose | None] = [None] * count
        for photos in batches.values():
            for start in range(0, len(photos), GPU_BATCH):
                batch = photos[start : start + GPU_BATCH]
                with torch.inference_mode(), self._explain_failure():
                    for photo, pose in zip(batch, self._run(batch), strict=True):
                        poses[photo.place] = pose
        return poses

    def _run(self, photos: list[_Photo]) -> list[EstimatedPose | None]:
        """The poses of photos of one size; of half of them after the other where memory is short.

        In half precision where that is fast, unless values become too large for it.
        """
        try:
            try:
                with self._half_precision():
                    return self._estimate_batch(photos)
            except FloatingPointError:
                return self._estimate_batch(photos)
        except RuntimeError as error:
            if len(photos) == 1 or not ran_out_of_memory(error):
                raise
        middle = len(photos) // 2
        return self._run(photos[:middle]) + self._run(photos[middle:])

    def _estimate_batch(self, photos: list[_Photo]) -> list[EstimatedPose | None]:
        pixels = normalise([photo.resized for photo in photos], self._device)
        features = self.network.extract_features(pixels)
        height, width, _ = photos[0].resized.shape
        found = self.network.detect(features, (height, width))
        people = [self._choose(one, photo) for one, photo in zip(found, photos, strict=True)]
        boxes = [torch.cat([p.box.new_tensor([k]), p.box]) for k, p in enumerate(people) if p]
        maps = iter(self.network.describe_body(features, torch.stack(boxes)) if boxes else ())
        return [
            EstimatedPose(make_iuv(next(maps), person.in_photo, photo.shape), person.people)
            if person
            else None
            for person, photo in zip(people, photos, strict=True)
        ]

    def _choose(self, found: Detections, photo: _Photo) -> _Person | None:
        """The person that counts, of those that the photo's edge does not cut to nothing."""
        height, width, _ = photo.resized.shape
        boxes = scale_boxes(found.boxes, (height, width), photo.shape)
        seen = have_area(boxes)
        boxes, scores = boxes[seen], found.scores[seen].cpu().numpy()
        if not len(scores):
            return None
        row = choose_person(boxes.cpu().numpy(), scores, self._person)
        if row is None:
            return None
        return _Person(found.boxes[seen][row], boxes[row].tolist(), count_people(scores))

    def _half_precision(self) -> torch.autocast:
        return torch.autocast(self._device.type, torch.float16, enabled=is_discrete(self._device))

    @contextmanager
    def _explain_failure(self) -> Iterator[None]:
        """Turn a failure of the GPU, or of weights beyond all precision, into an MCLDError."""
        try:
            yield
        except FloatingPointError as error:
            raise WeightsError(
                "DensePose's weights are damaged: what they compute is beyond all range"
            ) from error
        except RuntimeError as error:
            if ran_out_of_memory(error):
                raise MCLDError(
                    f"DensePose does not fit into the memory of {self._device} beside what is"
                    " there: run on the CPU"
                ) from error
            if not is_failure(error):
                raise
            reason = str(error).partition("\n")[0]
            raise MCLDError(f"DensePose failed on {self._device}: {reason}") from error
