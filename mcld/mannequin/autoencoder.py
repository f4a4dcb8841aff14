"""A small autoencoder behind AutoencoderKL's interface: principal components of image patches.

The embedded model's latents. The components of 8x8 patches are known in closed form from a few
hundred pictures, where a convolutional encoder would have to be trained for hours. What they lose
is in part put back by a few convolutions over neighbouring patches, which also learn to decode
latents that a denoising network got slightly wrong: edges sharp, flat areas flat.
"""

from __future__ import annotations

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.autoencoders.vae import (
    AutoencoderMixin,
    DecoderOutput,
    DiagonalGaussianDistribution,
)
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from diffusers.utils.accelerate_utils import apply_forward_hook
from torch import Tensor, nn
from torch.nn import functional

LOG_VARIANCE = -30.0
"""Of the latent distribution: the encoding is certain, so every sample of it is its mean."""
REFINEMENT_BLOCKS = 2


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside the identity, [B, C, h, w] -> the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] -> the same shape."""
        return x + self.convolutions(x)  # type: ignore[no-any-return]


class PatchAutoencoder(ModelMixin, AutoencoderMixin, ConfigMixin):
    """Patches of 8x8 RGB pixels <-> `latent_channels` numbers each.

    Args:
        latent_channels: principal components kept, at most 192.
        patch_size: pixels along a patch's side.
        decoder_channels: width of the convolutions that refine what the components decode to.
        scaling_factor: what latents are multiplied by after encoding, as in AutoencoderKL.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        latent_channels: int = 24,
        patch_size: int = 8,
        decoder_channels: int = 80,
        scaling_factor: float = 1.0,  # noqa: ARG002
    ) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(3, latent_channels, patch_size, stride=patch_size)
        self.decoder = nn.ConvTranspose2d(latent_channels, 3, patch_size, stride=patch_size)
        last = nn.Conv2d(decoder_channels, 3 * patch_size**2, 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        self.refinement = nn.Sequential(
            nn.Conv2d(latent_channels, decoder_channels, 3, padding=1),
            *(ResidualBlock(decoder_channels) for _ in range(REFINEMENT_BLOCKS)),
            nn.SiLU(),
            last,
            nn.PixelShuffle(patch_size),
        )

    @torch.no_grad()
    def fit(self, images: Tensor) -> None:
        """Set the linear weights from the patches of `images`, [N, 3, H, W] in -1..1.

        Component k is divided by the square root of its standard deviation: halfway between
        principal coordinates, whose first would drown the rest in the loss, and white ones, whose
        last would count as much as the first. A common factor makes the mean variance 1.
        """
        size = self.config.patch_size
        patches = (
            functional.unfold(images, size, stride=size).transpose(1, 2).flatten(0, 1).double()
        )
        # One mean a channel, for the decoder's bias is one number a channel.
        mean = patches.mean(dim=0).view(3, -1).mean(dim=1)
        patches -= mean.repeat_interleave(size**2)
        variances, components = torch.linalg.eigh(patches.T @ patches / len(patches))
        variances = variances.flip(0)[: self.config.latent_channels].clamp(min=1e-8)
        components = components.flip(1)[:, : self.config.latent_channels].T  # [latent, 3 * 8 * 8]
        scale = variances**-0.25
        scale = scale / (variances * scale**2).mean().sqrt()
        shape = self.encoder.weight.shape
        encode, decode = components * scale[:, None], components / scale[:, None]
        self.encoder.weight.copy_(encode.reshape(shape))
        self.encoder.bias.copy_(-encode @ mean.repeat_interleave(size**2))  # type: ignore[union-attr]
        self.decoder.weight.copy_(decode.reshape(shape))
        self.decoder.bias.copy_(mean)  # type: ignore[union-attr]

    @apply_forward_hook  # type: ignore[untyped-decorator]
    def encode(self, x: Tensor, return_dict: bool = True) -> AutoencoderKLOutput:
        """[B, 3, H, W] in -1..1 -> an output whose `latent_dist` is of [B, C, H/8, W/8]."""
        mean = self.encoder(x)
        moments = torch.cat([mean, torch.full_like(mean, LOG_VARIANCE)], dim=1)
        posterior = DiagonalGaussianDistribution(moments)
        return AutoencoderKLOutput(latent_dist=posterior) if return_dict else (posterior,)

    @apply_forward_hook  # type: ignore[untyped-decorator]
    def decode(self, z: Tensor, return_dict: bool = True) -> DecoderOutput:
        """[B, C, H/8, W/8] -> an output whose `sample` is [B, 3, H, W], about -1..1."""
        sample = self.decoder(z) + self.refinement(z)
        return DecoderOutput(sample=sample) if return_dict else (sample,)
