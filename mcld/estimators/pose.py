"""The pose focus: a DensePose IUV map of the most prominent person in a photo."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcld.errors import MCLDError, WeightsError
from mcld.machine.file_kind import describe_content

HOW_TO_INSTALL = (
    "git clone https://github.com/facebookresearch/detectron2"
    " && pip install --no-build-isolation ./detectron2"
    " && pip install --no-build-isolation --no-deps ./detectron2/projects/DensePose"
    " && pip install av"
)


class DensePose:
    """DensePose R_101_FPN_DL_s1x through detectron2, the estimator of the paper.

    weights: model_final_844d15.pkl. device: such as "cuda:0" or "cpu".

    Raises MCLDError when detectron2 or its DensePose project is not installed, WeightsError when
    the weights are missing or belong to another network.
    """

    def __init__(self, weights: Path, device: str) -> None:
        check_densepose(weights)
        try:
            from densepose import add_densepose_config
            from densepose.converters import ToChartResultConverter
            from detectron2.config import get_cfg
            from detectron2.engine.defaults import DefaultPredictor
        except ImportError as error:
            raise MCLDError(f"detectron2 does not work here: {_explain_import(error)}") from error

        # The checkpointer logs every weight by name.
        logging.getLogger("fvcore").setLevel(logging.ERROR)
        logging.getLogger("detectron2").setLevel(logging.ERROR)
        config = get_cfg()
        add_densepose_config(config)
        config.merge_from_list([item for pair in _R_101_FPN_DL_S1X.items() for item in pair])
        config.MODEL.WEIGHTS = str(weights)
        config.MODEL.DEVICE = device
        try:
            self._predictor = DefaultPredictor(config)
        except Exception as error:  # whatever a damaged pickle makes of itself
            what = describe_content(weights) or f"cannot be loaded: {error}"
            raise WeightsError(f"{weights} {what}") from error
        self._converter = ToChartResultConverter

    def estimate(self, image: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
        """The IUV map of the most confident person in a photo, or None when there is no person.

        image: uint8 [H, W, 3] RGB. Returns uint8 [H, W, 3] (I, U, V): I the part label 0..24,
        U and V floor(255 u), floor(255 v).

        Raises MCLDError when the GPU fails, which the next photo would not change.
        """
        bgr = np.ascontiguousarray(image[..., ::-1])
        try:
            instances = self._predictor(bgr)["instances"]
        except RuntimeError as error:
            if "CUDA" not in str(error):
                raise
            raise MCLDError(f"DensePose failed on the GPU: {error}") from error
        if not len(instances):
            return None
        best = int(instances.scores.argmax())
        boxes = instances.pred_boxes[[best]]
        chart = self._converter.convert(instances.pred_densepose[[best]], boxes)
        return chart_to_iuv(
            chart.labels.cpu().numpy(),
            chart.uv.cpu().numpy(),
            boxes.tensor[0].tolist(),
            image.shape,
        )


def chart_to_iuv(
    labels: NDArray[Any], uv: NDArray[np.float32], box: list[float], shape: tuple[int, ...]
) -> NDArray[np.uint8]:
    """Lay DensePose's answer for one box into an empty IUV map of the photo's size.

    labels: [h, w] part labels 0..24. uv: [2, h, w] in 0..1. box: (left, top, right, bottom) in
    pixels, of which whole pixels are taken. shape: (H, W, ...) of the photo.
    """
    iuv = np.zeros((*shape[:2], 3), np.uint8)
    left, top = max(int(box[0]), 0), max(int(box[1]), 0)
    height = min(labels.shape[0], shape[0] - top)
    width = min(labels.shape[1], shape[1] - left)
    target = iuv[top : top + height, left : left + width]
    target[..., 0] = labels[:height, :width]
    target[..., 1:] = (np.clip(uv, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)[:height, :width]
    target[target[..., 0] == 0] = 0
    return iuv


def check_densepose(weights: Path) -> None:
    """Raise MCLDError or WeightsError, with what to do, when DensePose cannot run here."""
    for module in ("detectron2", "densepose"):
        if importlib.util.find_spec(module) is None:
            raise MCLDError(f"{module} is not installed, and is not on PyPI: {HOW_TO_INSTALL}")
    if not weights.is_file():
        raise WeightsError(
            f"the DensePose weights {weights} are missing: mcld weights download densepose,"
            " or name them with --set prepare.densepose_weights=PATH"
        )


def _explain_import(error: ImportError) -> str:
    """What to do about an import of detectron2 or DensePose that failed."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"it needs the package {error.name}: pip install {error.name}"
    return f"{error}; build it again for this PyTorch: {HOW_TO_INSTALL}"


# What DensePose's R_101_FPN_DL_s1x is, where it differs from detectron2's defaults.
_R_101_FPN_DL_S1X = {
    "MODEL.META_ARCHITECTURE": "GeneralizedRCNN",
    "MODEL.BACKBONE.NAME": "build_resnet_fpn_backbone",
    "MODEL.RESNETS.DEPTH": 101,
    "MODEL.RESNETS.OUT_FEATURES": ["res2", "res3", "res4", "res5"],
    "MODEL.FPN.IN_FEATURES": ["res2", "res3", "res4", "res5"],
    "MODEL.ANCHOR_GENERATOR.SIZES": [[32], [64], [128], [256], [512]],
    "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS": [[0.5, 1.0, 2.0]],
    "MODEL.RPN.IN_FEATURES": ["p2", "p3", "p4", "p5", "p6"],
    "MODEL.RPN.PRE_NMS_TOPK_TEST": 1000,
    "MODEL.RPN.POST_NMS_TOPK_TEST": 1000,
    "MODEL.DENSEPOSE_ON": True,
    "MODEL.ROI_HEADS.NAME": "DensePoseROIHeads",
    "MODEL.ROI_HEADS.IN_FEATURES": ["p2", "p3", "p4", "p5"],
    "MODEL.ROI_HEADS.NUM_CLASSES": 1,
    "MODEL.ROI_BOX_HEAD.NAME": "FastRCNNConvFCHead",
    "MODEL.ROI_BOX_HEAD.NUM_FC": 2,
    "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION": 7,
    "MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO": 2,
    "MODEL.ROI_BOX_HEAD.POOLER_TYPE": "ROIAlign",
    "MODEL.ROI_DENSEPOSE_HEAD.NAME": "DensePoseDeepLabHead",
    "MODEL.ROI_DENSEPOSE_HEAD.POOLER_TYPE": "ROIAlign",
    "MODEL.ROI_DENSEPOSE_HEAD.NUM_COARSE_SEGM_CHANNELS": 2,
    "DATASETS.TEST": (),
}
