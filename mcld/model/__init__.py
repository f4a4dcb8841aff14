"""The network of MCLD: two diffusers UNets, a pose guider and an image projector."""

from mcld.model.network import MCLD
from mcld.model.pose_guider import PoseGuider
from mcld.model.projector import ImageProjector
from mcld.model.unets import DenoisingUNet, FocalContext, ReferenceNet

__all__ = [
    "MCLD",
    "DenoisingUNet",
    "FocalContext",
    "ImageProjector",
    "PoseGuider",
    "ReferenceNet",
]
