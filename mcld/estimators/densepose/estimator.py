"""DensePose as the house uses it: photos in, IUV maps out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from mcld.errors import MCLDError
from mcld.estimators.densepose.boxes import Detections, scale_boxes
from mcld.estimators.densepose.iuv import make_iuv
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
from mcld.estimators.pose import EstimatedPose


class _Chosen(NamedTuple):
    """The person that counts in a photo."""

    resized: Tensor
    """Box, (left, top, right, bottom) in pixels of the resized photo."""
    box: list[float]
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
    they do not fit into the GPU's memory.
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
        with self._explain_failure():
            self.network = load_network(weights).to(self._device)
        self._person = person
        self._short, self._long = short, long

    def estimate(self, images: list[NDArray[np.uint8]]) -> list[EstimatedPose | None]:
        """The pose of the person that counts in each photo, uint8 [H, W, 3] RGB.

        None for a photo that does not show that person. Photos that are resized to one size run as
        one batch. Raises MCLDError when the GPU fails, which other photos would not change.
        """
        batches: dict[tuple[int, int], list[int]] = {}
        for k, image in enumerate(images):
            batches.setdefault(self._choose_size(image), []).append(k)
        poses: list[EstimatedPose | None] = [None] * len(images)
        with torch.inference_mode(), self._explain_failure(), self._half_precision():
            for size, rows in batches.items():
                for k, pose in zip(rows, self._run([images[k] for k in rows], size), strict=True):
                    poses[k] = pose
        return poses

    def _run(
        self, images: list[NDArray[np.uint8]], size: tuple[int, int]
    ) -> list[EstimatedPose | None]:
        """The poses of photos that are resized to one size."""
        pixels = normalise([resize_photo(image, size) for image in images], self._device)
        features = self.network.extract_features(pixels)
        people = {
            k: person
            for k, found in enumerate(self.network.detect(features, size))
            if (person := self._choose(found, size, images[k].shape))
        }
        poses: list[EstimatedPose | None] = [None] * len(images)
        if people:
            rois = torch.stack([pad(p.resized, (1, 0), value=k) for k, p in people.items()])
            maps = self.network.describe_body(features, rois)
            for (k, person), own in zip(people.items(), maps, strict=True):
                iuv = make_iuv(own, person.box, images[k].shape)
                poses[k] = EstimatedPose(iuv, person.people)
        return poses

    def _choose(
        self, found: Detections, size: tuple[int, int], shape: tuple[int, ...]
    ) -> _Chosen | None:
        """The person that counts, of those that the photo's edge does not cut to nothing."""
        boxes = scale_boxes(found.boxes, size, (shape[0], shape[1]))
        seen = have_area(boxes)
        boxes, scores = boxes[seen], found.scores[seen].cpu().numpy()
        if not len(scores):
            return None
        row = choose_person(boxes.cpu().numpy(), scores, self._person)
        if row is None:
            return None
        return _Chosen(found.boxes[seen][row], boxes[row].tolist(), count_people(scores))

    def _choose_size(self, image: NDArray[np.uint8]) -> tuple[int, int]:
        height, width, _ = image.shape
        return choose_size(height, width, self._short, self._long)

    def _half_precision(self) -> torch.autocast:
        return torch.autocast(self._device.type, torch.float16, enabled=self._device.type == "cuda")

    @contextmanager
    def _explain_failure(self) -> Iterator[None]:
        """Turn a failure of the GPU into an MCLDError."""
        try:
            yield
        except RuntimeError as error:
            if self._device.type == "cpu":
                raise
            reason = str(error).partition("\n")[0]
            raise MCLDError(f"DensePose failed on {self._device}: {reason}") from error
