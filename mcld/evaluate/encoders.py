"""Networks that make a vector of a picture: DINOv2 and CLIP, as transformers loads them."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import CLIPVisionModelWithProjection, Dinov2Model

from mcld.errors import WeightsError
from mcld.evaluate.networks import check_finite, without_tf32
from mcld.licences import LICENCES
from mcld.machine.files import hash_file
from mcld.machine.tensor_files import explain_unreadable
from mcld.networks.names import CLIP, DINOV2, Pretrained
from mcld.networks.stable_diffusion import align_weights, find_weights
from mcld.settings import Settings

_UInt8Array = NDArray[np.uint8]


class Encoder(nn.Module, ABC):
    """What makes a vector of a picture.

    Pictures are resized to a square by Pillow, bicubically with antialiasing, to 8 bits, and
    nothing is cut off: a person's head and feet are at the ends of the longer side.

    Raises WeightsError when the network is missing or damaged, or, under `prepare.commercial`, may
    not be used.
    """

    source: Pretrained
    kind: Any
    """Class of transformers."""
    size: str
    """The name of the vector's length in its configuration."""
    width: int
    """The vector's length."""
    side: int
    """Of the square, pixels."""
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    """Of each channel in 0..1, by which it is normalised."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        if settings.prepare.commercial:
            LICENCES[self.source.name].check_commercial()
        self.file = find_weights(settings.sample.pretrained, self.source)
        self.network, self.sha256 = _load(self.kind, self.source, self.file), hash_file(self.file)
        if (width := getattr(self.network.config, self.size)) != self.width:
            raise WeightsError(
                f"{self.file} is not {self.source.repository}: it gives vectors of {width} numbers,"
                f" not {self.width}"
            )
        self.eval()

    @torch.no_grad()
    def forward(self, pictures: Sequence[_UInt8Array]) -> Tensor:
        """B pictures, uint8 [H, W, 3] RGB of any sizes -> float32 [B, D].

        Raises WeightsError when a number is not finite.
        """
        device = next(self.parameters()).device
        square, bicubic = (self.side, self.side), Image.Resampling.BICUBIC
        resized = [np.asarray(Image.fromarray(p).resize(square, bicubic)) for p in pictures]
        pixels = torch.from_numpy(np.stack(resized)).to(device).permute(0, 3, 1, 2).float() / 255
        mean, deviation = (
            torch.tensor(values, device=device).view(3, 1, 1)
            for values in (self.mean, self.deviation)
        )
        with without_tf32():
            vectors = self._embed((pixels - mean) / deviation)
        check_finite(vectors, self.file)
        return vectors

    @abstractmethod
    def _embed(self, pixels: Tensor) -> Tensor:
        """Normalised pixels [B, 3, side, side] -> [B, width]."""


class Dino(Encoder):
    """DINOv2 ViT-L/14 (Oquab et al., 2023): the class token after the last layer norm, [B, 1024].

    Pictures of 224x224, as Stein et al. (2023) take them for their Fréchet distance; facebook's
    dinov2-large on the Hub.
    """

    source, kind, size, width = DINOV2, Dinov2Model, "hidden_size", 1024
    side = 224
    mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

    def _embed(self, pixels: Tensor) -> Tensor:
        vectors: Tensor = self.network(pixels).pooler_output
        return vectors


class Clip(Encoder):
    """CLIP ViT-L/14 at 336 pixels (Radford et al., 2021): image embeddings [B, 768] of norm 1.

    openai's clip-vit-large-patch14-336 on the Hub.
    """

    source, kind, size, width = CLIP, CLIPVisionModelWithProjection, "projection_dim", 768
    side = 336
    mean = (0.48145466, 0.4578275, 0.40821073)
    deviation = (0.26862954, 0.26130258, 0.27577711)

    def _embed(self, pixels: Tensor) -> Tensor:
        return nn.functional.normalize(self.network(pixels).image_embeds)


_shared: WeakValueDictionary[tuple[type[Encoder], Path, torch.device], Encoder] = (
    WeakValueDictionary()
)


def share_encoder(kind: type[Encoder], settings: Settings, device: torch.device) -> Encoder:
    """An encoder on a device, the same one for all metrics that use it at a time.

    Raises as the encoder.
    """
    key = kind, settings.sample.pretrained, device
    if (encoder := _shared.get(key)) is None:
        _shared[key] = encoder = kind(settings).to(device)
    return encoder


def _load(kind: Any, source: Pretrained, file: Path) -> Any:
    """The network of a file that has all its weights."""
    log = logging.getLogger("transformers")
    level = log.level
    log.setLevel(logging.ERROR)  # it lists what a file holds beside, such as CLIP's text encoder
    try:
        network, told = kind.from_pretrained(
            file.parent, local_files_only=True, output_loading_info=True, dtype=torch.float32
        )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise WeightsError(explain_unreadable(file.parent, error)) from error
    finally:
        log.setLevel(level)
    absent = sorted(told["missing_keys"]) + sorted(key for key, *_ in told["mismatched_keys"])
    if absent:
        raise WeightsError(
            f"{file} is not {source.repository}: {len(absent)} tensors are not there, or not of"
            f" that shape, such as {absent[0]}"
        )
    align_weights(network)
    return network
