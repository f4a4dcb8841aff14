"""DensePose through detectron2 and its DensePose project, where they are installed."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mcld.errors import MCLDError
from mcld.estimators.densepose.iuv import lay_chart
from mcld.estimators.densepose.weights import read_weights
from mcld.estimators.people import choose_person, count_people
from mcld.estimators.pose import HOW_TO_INSTALL, EstimatedPose, check_detectron2
from mcld.machine.accelerator import is_failure


class Detectron2DensePose:
    """The same network with the same weights as `DensePose`, by the code of its authors.

    Args and raises: as for `DensePose`; MCLDError, too, when detectron2 does not work here.
    """

    def __init__(self, weights: Path, device: str, person: str | int = "confident") -> None:
        check_detectron2()
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
        config.MODEL.WEIGHTS = ""  # which its own reader would unpickle, whatever that runs
        config.MODEL.DEVICE = device
        self._predictor = DefaultPredictor(config)
        self._predictor.model.load_state_dict(read_weights(weights))
        self._converter = ToChartResultConverter
        self._person = person

    def estimate(self, images: Iterable[NDArray[np.uint8]]) -> list[EstimatedPose | None]:
        """As `DensePose.estimate`; one photo after the other."""
        return [self._estimate_one(image) for image in images]

    def _estimate_one(self, image: NDArray[np.uint8]) -> EstimatedPose | None:
        try:
            instances = self._predictor(np.ascontiguousarray(image[..., ::-1]))["instances"]
        except RuntimeError as error:
            if not is_failure(error):
                raise
            raise MCLDError(f"DensePose failed on the GPU: {error}") from error
        if not len(instances):
            return None
        scores = instances.scores.cpu().numpy()
        row = choose_person(instances.pred_boxes.tensor.cpu().numpy(), scores, self._person)
        if row is None:
            return None
        boxes = instances.pred_boxes[[row]]
        chart = self._converter.convert(instances.pred_densepose[[row]], boxes)
        iuv = torch.cat([chart.labels[None], (chart.uv.clamp(0, 1) * 255).to(torch.uint8)])
        laid = lay_chart(
            iuv.to(torch.uint8).permute(1, 2, 0).cpu().numpy(),
            boxes.tensor[0].tolist(),
            image.shape,
        )
        return EstimatedPose(laid, count_people(scores))


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
