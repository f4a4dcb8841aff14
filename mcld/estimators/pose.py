"""The pose focus: the estimators that make an IUV map of a photo, and whether they can run here.

Light: PyTorch and numpy are loaded by the estimator that is opened.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from mcld.errors import MCLDError, SettingsError, WeightsError
from mcld.licences import LICENCES
from mcld.settings import PrepareSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HOW_TO_INSTALL = (
    "git clone https://github.com/facebookresearch/detectron2"
    " && pip install --no-build-isolation ./detectron2"
    " && pip install --no-build-isolation --no-deps ./detectron2/projects/DensePose"
    " && pip install av"
)


GPU_BATCH = 8
"""Photos that a GPU estimates the poses of at once."""


class EstimatedPose(NamedTuple):
    """The pose of the person that counts in a photo."""

    iuv: NDArray[np.uint8]
    """IUV map, uint8 [H, W, 3] (I, U, V): I the part label 0..24, U and V floor(255 u),
    floor(255 v)."""
    people: int
    """How many the photo shows."""
    confidence: float = 1.0
    """How sure the estimator is that the map is right, 0..1, where it can tell."""


class PoseEstimator(Protocol):
    """What makes IUV maps of photos."""

    def estimate(self, images: Iterable[NDArray[np.uint8]]) -> list[EstimatedPose | None]:
        """The pose of the person that counts in each photo, uint8 [H, W, 3] RGB.

        None for a photo that does not show that person. Raises MCLDError when the device fails,
        which other photos would not change.
        """


def resolve_pose_estimator(options: PrepareSettings) -> str:
    """The estimator of `prepare.pose_estimator`, "auto" made one of the others.

    Raises WeightsError for weights that are named and not there.
    """
    if options.pose_estimator != "auto":
        return options.pose_estimator
    try:
        find_densepose_weights(options)
    except WeightsError:
        if "densepose_weights" in options.model_fields_set:
            raise
        return "embedded"
    return "densepose"


def open_pose_estimator(options: PrepareSettings, device: str) -> PoseEstimator:
    """Load the estimator of `prepare.pose_estimator`; device: such as "cuda:0" or "cpu".

    Raises as `check_pose_estimator`, WeightsError when the weights are damaged or of another
    network, MCLDError when it does not work here.
    """
    check_pose_estimator(options)
    chosen = resolve_pose_estimator(options)
    if chosen == "embedded":
        from mcld.estimators.body.estimator import EmbeddedPose

        return EmbeddedPose(options.person)
    weights = find_densepose_weights(options)
    if chosen == "detectron2":
        from mcld.estimators.detectron2 import Detectron2DensePose

        return Detectron2DensePose(weights, device, options.person)
    from mcld.estimators.densepose.estimator import DensePose

    return DensePose(weights, device, options.person)


def check_pose_estimator(options: PrepareSettings) -> None:
    """Raise SettingsError, MCLDError or WeightsError when no pose can be estimated here.

    Each says what to do.
    """
    if options.pose_estimator == "precomputed":
        raise SettingsError(
            "prepare.pose_estimator=precomputed estimates none: give a map, or another estimator"
        )
    if resolve_pose_estimator(options) == "embedded":
        return
    if options.pose_estimator == "detectron2":
        check_detectron2()
    find_densepose_weights(options)


def name_densepose_files(options: PrepareSettings) -> list[Path]:
    """Where the weights may be: as `prepare.densepose_weights` has it, or converted beside it.

    The first is a name for the file as it is published. Raises SettingsError for no name at all.
    """
    path = options.densepose_weights
    if not path.name:
        raise SettingsError(f"prepare.densepose_weights={path} names no file")
    published = path.with_suffix(".pkl") if path.suffix == ".safetensors" else path
    return [published, path.with_suffix(".safetensors")]


def find_densepose_weights(options: PrepareSettings) -> Path:
    """The file as it is named, or the first of these that is there.

    Raises WeightsError, with what to do, when there is none, and under `prepare.commercial`.
    """
    if options.commercial:
        LICENCES["densepose"].check_commercial()
    named = options.densepose_weights
    for file in (named, *name_densepose_files(options)):
        with suppress(PermissionError):  # of a folder that may not be entered
            if file.is_file():
                return file
            if file == named and file.is_dir():
                raise WeightsError(f"prepare.densepose_weights={named} is a folder: name a file")
    raise WeightsError(
        f"the DensePose weights {named} are missing:"
        " mcld weights download densepose, or name them with --set prepare.densepose_weights=PATH"
    )


def check_detectron2() -> None:
    """Raise MCLDError, with what to do, when detectron2 or its DensePose is not installed."""
    for module in ("detectron2", "densepose"):
        if importlib.util.find_spec(module) is None:
            raise MCLDError(
                f"{module} is not installed, and is not on PyPI: {HOW_TO_INSTALL}; or leave out"
                " --pose-estimator detectron2, for DensePose without it"
            )
