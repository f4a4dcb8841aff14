"""How far the pose of a result is from the one that was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcld.evaluate.metric import BatchMetric, Column, Numbers, PairMetric, Tools
from mcld.machine.files import hash_file

if TYPE_CHECKING:
    from mcld.evaluate.pairs import Batch, Pair


class PoseError(BatchMetric):
    """The target's IUV map beside the one that is estimated from the result."""

    name = "pose"
    columns = (
        Column("pose_iou", "Pose IoU", 1, 4, share=True),
        Column("pose_uv", "Pose UV error", -1, 4),
    )
    text = (
        "the dataset's map of the target against the map that the estimator of"
        " prepare.pose_estimator makes of the result: intersection over union of each part's"
        " pixels, the mean over the parts that the target shows; mean error of U and V, 0..1, where"
        " both have the same label"
    )
    needs = ("target_iuv",)

    def load(self, tools: Tools) -> None:
        """The estimator. Raises MCLDError when it cannot be had."""
        from mcld.estimators.pose import (
            find_densepose_weights,
            open_pose_estimator,
            resolve_pose_estimator,
        )

        options = tools.settings.prepare
        self.estimator = open_pose_estimator(options, str(tools.device))
        chosen = resolve_pose_estimator(options)
        self.options = {"person": options.person, "pose_estimator": chosen}
        if chosen == "embedded":
            self.weights = hash_embedded_reader()
        else:
            path = find_densepose_weights(options)
            self.weights = {path.name: hash_file(path)}

    def measure(self, batch: Batch) -> list[Numbers]:
        """A result without a person has an IoU of 0."""
        from mcld.evaluate.pose_error import compare_maps

        poses = self.estimator.estimate([pair.generated for pair in batch.pairs])
        return [
            compare_maps(pair.target_iuv, pose.iuv if pose else None)
            for pair, pose in zip(batch.pairs, poses, strict=True)
        ]


class Keypoints(PairMetric):
    """PCKh@0.5 of the embedded reader's keypoints, those of the truth being right."""

    name = "keypoints"
    columns = (Column("pckh", "PCKh@0.5", 1, 4, share=True),)
    text = (
        "BlazePose's shoulders, elbows, wrists, hips, knees and ankles in the true picture, those"
        " that are seen, against those in the result: share within half the distance from the"
        " middle of the ears to that of the shoulders"
    )

    def load(self, tools: Tools) -> None:
        """It comes with mcld."""
        from mcld.estimators.body.estimator import EmbeddedPose

        person = tools.settings.prepare.person
        self.reader, self.options = EmbeddedPose(person), {"person": person}
        self.weights = hash_embedded_reader()

    def measure(self, pair: Pair) -> Numbers:
        """Nothing for a truth without a keypoint; 0 for a result without a person."""
        from mcld.evaluate.pose_error import measure_pckh

        truth, generated = (self.reader.read_landmarks(p) for p in (pair.truth, pair.generated))
        share = measure_pckh(truth, generated)
        return {} if share is None else {"pckh": share}


def hash_embedded_reader() -> dict[str, str]:
    """The files of the embedded reader of bodies -> sha256."""
    from importlib.resources import as_file, files

    with as_file(files("mcld.estimators.body") / "weights") as folder:
        paths = sorted(
            path for path in folder.iterdir() if path.suffix in (".onnx", ".safetensors")
        )
        return {path.name: hash_file(path) for path in paths}
