"""The four trainable parts of MCLD as one module."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mcld.conditions import FocalConditions
from mcld.model.attention import DeepFeatures, ReferenceFlows
from mcld.model.pose_guider import PoseGuider
from mcld.model.projector import ImageProjector
from mcld.model.unets import DenoisingUNet, FocalContext, ReferenceNet


class MCLD(nn.Module):
    """Conditions and noisy latents in, predicted v out (paper, figure 2).

    `encode` is run once per picture, `denoising_unet` at every step. Training runs both at once
    through `forward`, so that one wrapper (DDP, FSDP, compile) holds the whole computation.
    """

    def __init__(
        self,
        denoising_unet: DenoisingUNet,
        reference_unet: ReferenceNet,
        pose_guider: PoseGuider,
        image_projector: ImageProjector,
    ) -> None:
        super().__init__()
        self.denoising_unet = denoising_unet
        self.reference_unet = reference_unet
        self.pose_guider = pose_guider
        self.image_projector = image_projector
        self.gradient_checkpointing = False

    def enable_gradient_checkpointing(self) -> None:
        """Keep few activations for the backward pass, which computes them again."""
        self.gradient_checkpointing = True
        self.denoising_unet.enable_gradient_checkpointing()
        self.reference_unet.enable_gradient_checkpointing()

    def encode(self, conditions: FocalConditions) -> FocalContext:
        """Everything but the pose, as the keys and values that all denoising steps share."""
        return self.denoising_unet.focal_context(  # type: ignore[no-any-return]
            self.reference_unet(conditions.reference_latents, conditions.source),
            conditions.source,
            conditions.texture,
            self.image_projector(conditions.face),
        )

    def forward(
        self,
        latents: Tensor,
        timesteps: Tensor,
        conditions: FocalConditions,
        dropped: int = 0,
        flows: ReferenceFlows | None = None,
    ) -> Tensor:
        """Predict v for a training batch.

        Args:
            latents: [B, C, h, w] noisy latents.
            timesteps: [B], 0..999.
            conditions: of the B samples.
            dropped: the first `dropped` samples lose all but `conditions.pose`, exactly as the
                unconditional branch of guided sampling does.
            flows: is filled with where the others look in the reference, if given.

        Returns:
            [B, C, h, w].
        """
        kept = conditions[dropped:]
        looked_at = conditions.drop_warped(dropped)
        if self.gradient_checkpointing:
            pose_features = checkpoint(
                self.pose_guider, looked_at.pose, looked_at.warped, use_reentrant=False
            )
        else:
            pose_features = self.pose_guider(looked_at.pose, looked_at.warped)
        return self.denoising_unet(  # type: ignore[no-any-return]
            latents, timesteps, pose_features, self.encode(kept), flows
        )

    def guide_pose(self, conditions: FocalConditions, guidance_scale: float) -> Tensor:
        """The pose features of every step of guided sampling.

        Of B pictures [B, first width, h, w] at scale 1, which is no guidance, else [2B, ...], the
        unconditional ones first: nothing is warped onto their poses.
        """
        conditional = self.pose_guider(conditions.pose, conditions.warped)
        if guidance_scale == 1:
            return conditional  # type: ignore[no-any-return]
        unconditional = conditional
        if conditions.warped is not None:
            nothing = conditions.drop_warped(len(conditions.pose)).warped
            unconditional = self.pose_guider(conditions.pose, nothing)
        return torch.cat([unconditional, conditional])

    def predict_guided(
        self,
        latents: Tensor,
        timestep: Tensor,
        pose_features: Tensor,
        focal: FocalContext,
        guidance_scale: float,
        deep: DeepFeatures | None = None,
    ) -> Tensor:
        """Classifier-free guidance: v_u + s (v_c - v_u). At scale 1 the first is not computed.

        Args:
            latents: [B, C, h, w]; timestep: scalar; pose_features: as `guide_pose` gives them, or
            more: of 2B at scale 1 the last B count; focal: of the B pictures; guidance_scale: s >=
            1; deep: as `DenoisingUNet.forward` has it.
        """
        if guidance_scale == 1:
            of_pictures = pose_features[-len(latents) :]
            return self.denoising_unet(latents, timestep, of_pictures, focal, deep=deep)  # type: ignore[no-any-return]
        unconditional, conditional = self.denoising_unet(
            torch.cat([latents, latents]), timestep, pose_features, focal, deep=deep
        ).chunk(2)
        return unconditional + guidance_scale * (conditional - unconditional)  # type: ignore[no-any-return]
