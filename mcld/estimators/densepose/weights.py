"""DensePose's published weights, model_final_844d15.pkl, as our network has them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from mcld.errors import WeightsError
from mcld.estimators.densepose.backbone import fold_norms
from mcld.estimators.densepose.network import DensePoseRCNN
from mcld.estimators.densepose.pickle_file import PickledArray, read_pickle
from mcld.machine.tensor_files import check_keys, read_state_dict

_CONSTANT = re.compile(
    r"pixel_(mean|std)|proposal_generator\.anchor_generator\.cell_anchors\.[0-4]"
)
"""Keys of constants that published files hold besides."""


def load_network(path: Path) -> DensePoseRCNN:
    """The network on the CPU, float32, its frozen norms folded into its convolutions.

    Raises WeightsError as `read_weights` does.
    """
    weights = read_weights(path)
    network = _make_empty()
    network.load_state_dict(
        {key: weights[_detectron2_key(key)].float() for key in network.state_dict()}, assign=True
    )
    fold_norms(network.backbone.body)
    return network.requires_grad_(False).eval().to(memory_format=torch.channels_last)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Detectron2's key -> the tensor, all that the network has and no others, on the CPU.

    path: the published .pkl, or what `mcld weights convert densepose` made of it. No code in it is
    run. Running statistics that are missing are 0 and 1. Raises WeightsError when the file is
    missing, damaged, or of another network.
    """
    _check_kind(path)
    found: Mapping[str, Tensor | PickledArray]
    found = read_state_dict(path) if path.suffix == ".safetensors" else read_pickle(path)
    wanted = {_detectron2_key(key): t.shape for key, t in _make_empty().state_dict().items()}
    weights = {key: found[key] for key in found if not _CONSTANT.fullmatch(key)}
    for key, shape in wanted.items():
        if key.endswith(("running_mean", "running_var")) and key not in weights:
            weights[key] = torch.full(shape, float(key.endswith("running_var")))
    check_keys(path, weights, wanted)
    return {key: _check_tensor(path, key, weights[key]) for key in wanted}


def _check_kind(path: Path) -> None:
    """Raise WeightsError for a file that is named as another kind than it is."""
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error
    converted = path.suffix == ".safetensors"
    if head.startswith(b"PK"):
        raise WeightsError(f"{path} is a zip, as torch.save writes: give the published .pkl")
    if head[8:] == b"{" and not converted:
        raise WeightsError(f"{path} holds safetensors: name it .safetensors")
    if head[8:] != b"{" and head.startswith(b"\x80") and converted:
        raise WeightsError(f"{path} holds a pickle: name it .pkl")


def _check_tensor(path: Path, key: str, value: Tensor | PickledArray) -> Tensor:
    """A tensor of real numbers. Raises WeightsError for what is none."""
    try:
        tensor = value if isinstance(value, Tensor) else torch.from_numpy(value.build())
    except (ValueError, MemoryError) as error:
        raise WeightsError(f"{path} is damaged, {key}: {error}") from error
    if not tensor.is_floating_point():
        raise WeightsError(f"{path} is of another network: its {key} is {tensor.dtype}")
    if not tensor.isfinite().all():
        raise WeightsError(f"{path} is damaged: its {key} holds values that are no numbers")
    return tensor


def _make_empty() -> DensePoseRCNN:
    with torch.device("meta"):
        return DensePoseRCNN()


_NAMES: tuple[tuple[str, str, int], ...] = (
    (r"backbone\.body\.layer(\d)\.", "backbone.bottom_up.res{}.", 1),
    (r"backbone\.body\.", "backbone.bottom_up.stem.", 0),
    (r"\.bn(\d)\.", ".conv{}.norm.", 0),
    (r"\.downsample\.0\.", ".shortcut.", 0),
    (r"\.downsample\.1\.", ".shortcut.norm.", 0),
    (r"\.fpn\.inner_blocks\.(\d)\.0\.", ".fpn_lateral{}.", 2),
    (r"\.fpn\.layer_blocks\.(\d)\.0\.", ".fpn_output{}.", 2),
    (r"^proposals\.head\.conv\.0\.0\.", "proposal_generator.rpn_head.conv.", 0),
    (r"^proposals\.head\.cls_logits\.", "proposal_generator.rpn_head.objectness_logits.", 0),
    (r"^proposals\.head\.bbox_pred\.", "proposal_generator.rpn_head.anchor_deltas.", 0),
    (r"^box_head\.layers\.fc(\d)\.", "roi_heads.box_head.fc{}.", -5),
    (r"^box_head\.", "roi_heads.box_predictor.", 0),
    (r"^dense_head\.decoder\.levels\.(\d)\.(\d)\.0\.", "roi_heads.decoder.p{}.\\2.", 2),
    (r"^dense_head\.decoder\.", "roi_heads.decoder.", 0),
    (r"^dense_head\.aspp\.branches\.", "roi_heads.densepose_head.ASPP.convs.", 0),
    (r"^dense_head\.aspp\.project\.", "roi_heads.densepose_head.ASPP.project.0.", 0),
    (r"^dense_head\.layers\.(\d)\.0\.", "roi_heads.densepose_head.body_conv_fcn{}.", 1),
    (r"^dense_head\.layers\.(\d)\.1\.", "roi_heads.densepose_head.body_conv_fcn{}.norm.", 1),
    (r"^dense_head\.predictors\.(\w+)\.", r"roi_heads.densepose_predictor.\1_lowres.", 0),
)
"""Of a tensor of our network, what is called otherwise in the published file, in this order: ours,
theirs, and what is added to the first number for {}."""


def _detectron2_key(key: str) -> str:
    """What the published file calls a tensor of our network."""
    for ours, theirs, shift in _NAMES:
        if found := re.search(ours, key):
            number = int(found[1]) + shift if "{}" in theirs else 0
            key = re.sub(ours, theirs.format(number), key)
    return key
