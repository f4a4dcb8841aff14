"""The training loss (paper, section 3.4; min-SNR weights after Hang et al., 2303.09556)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from mcld.surface.parts import HEAD


def min_snr_weights(alphas_cumprod: Tensor, timesteps: Tensor, gamma: float) -> Tensor:
    """min(s, gamma) / s with s = (alpha / sigma)^2 + 1, the form for v-prediction.

    Args:
        alphas_cumprod: [1000], alpha^2 of each timestep.
        timesteps: [B].
        gamma: cap on s; the paper's 5.

    Returns:
        [B] float32 weights in 0..1.
    """
    alpha_squared = alphas_cumprod.float()[timesteps]
    s = alpha_squared / (1 - alpha_squared) + 1
    return s.clamp(max=gamma) / s


def face_mask(part_labels: Tensor, size: tuple[int, int]) -> Tensor:
    """[B, H, W] part labels 0..24 -> [B, 1, h, w] mask of the head, nearest-resized to `size`."""
    head = torch.isin(part_labels, torch.tensor(HEAD, device=part_labels.device))
    return functional.interpolate(head[:, None].float(), size=size, mode="nearest")


def mcld_loss(prediction: Tensor, target: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """Squared error, weighted on the face, averaged over each sample and weighted by timestep.

    Args:
        prediction, target: [B, C, h, w], predicted and true v.
        mask: [B, 1, h, w], on the face the weight of the face loss (the paper's: 1), 0 elsewhere.
        weights: [B].

    Returns:
        [B] float32 loss per sample; its mean is what training minimises.
    """
    squared = (prediction.float() - target.float()) ** 2
    return (squared * (1 + mask)).mean(dim=(1, 2, 3)) * weights
