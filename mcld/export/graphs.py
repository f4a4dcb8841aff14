"""The four graphs of a pipeline: what runs once for a person, once for a pose, and at every step.

Each is a module whose inputs and outputs are tensors with names; its parts have the pipeline's
names, and so have its weights.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from mcld.conditions import FocalConditions, scale_iuv
from mcld.model import ReferenceNet
from mcld.model.attention import FocalContext, KeysValues
from mcld.pipeline import MCLDPipeline
from mcld.sampling_options import SamplingOptions


class Encode(nn.Module):
    """Person -> the keys and values that all steps share, as `list_focal_names` names them."""

    inputs = ("source", "texture", "reference", "face")

    def __init__(self, pipeline: MCLDPipeline) -> None:
        super().__init__()
        self.pipeline = pipeline
        self.outputs = list_focal_names(pipeline)
        self.vae, self.image_encoder = pipeline.vae, pipeline.image_encoder
        self.denoising_unet, self.reference_unet = pipeline.denoising_unet, pipeline.reference_unet
        self.image_projector = pipeline.image_projector

    def forward(
        self, source: Tensor, texture: Tensor, reference: Tensor, face: Tensor
    ) -> list[Tensor]:
        """The fields of `PipelineInputs` of these names, [1, ...] float32."""
        conditions = FocalConditions(
            source=self.pipeline.embed(source),
            texture=self.pipeline.embed(texture),
            reference_latents=self.pipeline.encode_moments(reference)[0],
            face=face,
            pose=reference,  # which has no part in this
        )
        kept = conditions.keep(self.pipeline.config.focal_conditions)
        return _flatten(self.pipeline.network.encode(kept))


class GuidePose(nn.Module):
    """Pose -> the features that all steps share; unconditional ones, if any, come first."""

    outputs = ("pose_features",)

    def __init__(
        self, pipeline: MCLDPipeline, options: SamplingOptions, *, sees_texture: bool
    ) -> None:
        super().__init__()
        self.pipeline, self.options = pipeline, options
        self.inputs = ("pose", "warped") if sees_texture else ("pose",)
        self.pose_guider = pipeline.pose_guider

    def forward(self, pose: Tensor, warped: Tensor | None = None) -> Tensor:
        """`pose` and `warped` of `PipelineInputs`, [1, 3, H, W] uint8."""
        nothing = torch.zeros(1, 0)
        conditions = FocalConditions(
            *(nothing, nothing, nothing, nothing),
            pose=scale_iuv(pose),
            warped=None if warped is None else warped.float() / 255,
        )
        kept = conditions.keep(self.pipeline.config.focal_conditions)
        return self.pipeline.network.guide_pose(kept, self.options.guidance_scale)


class Denoise(nn.Module):
    """Noisy latents -> the predicted v, guided as the options say."""

    outputs = ("prediction",)

    def __init__(self, pipeline: MCLDPipeline, options: SamplingOptions) -> None:
        super().__init__()
        self.pipeline, self.options = pipeline, options
        self.names = list_focal_names(pipeline)
        self.inputs = ("latents", "timestep", "pose_features", *self.names)
        self.denoising_unet = pipeline.denoising_unet

    def forward(
        self, latents: Tensor, timestep: Tensor, pose_features: Tensor, *focal: Tensor
    ) -> Tensor:
        """[1, C, h, w] float32, [] int64 0..999, the others as the first two graphs make them."""
        context = _unflatten(self.names, focal)
        return self.pipeline.network.predict_guided(
            latents, timestep, pose_features, context, self.options.guidance_scale
        )


class Decode(nn.Module):
    """Latents -> pictures."""

    outputs = ("picture",)

    def __init__(self, pipeline: MCLDPipeline) -> None:
        super().__init__()
        self.pipeline = pipeline
        self.vae, self.refiner = pipeline.vae, pipeline.refiner
        finer = () if pipeline.refiner is None else ("fine_pose", "fine_warped")
        self.inputs = ("latents", *finer)

    def forward(
        self, latents: Tensor, fine_pose: Tensor | None = None, fine_warped: Tensor | None = None
    ) -> Tensor:
        """[1, C, h, w] float32 latents, and the fields of `PipelineInputs` of these names, uint8.

        Returns [1, 3, H, W] float32, 0..1.
        """
        nothing = torch.zeros(1, 0)
        conditions = FocalConditions(
            *(nothing, nothing, nothing, nothing),
            pose=latents,  # which has no part in this
            fine_pose=None if fine_pose is None else scale_iuv(fine_pose),
            fine_warped=None if fine_warped is None else fine_warped.float() / 255,
        )
        kept = conditions.keep(self.pipeline.config.focal_conditions)
        return self.pipeline.decode(latents, kept)


@contextmanager
def run_to_the_end(reference_unet: ReferenceNet) -> Iterator[None]:
    """Let ReferenceNet return in the block: it is left by an exception, which tracing minds.

    What it computes for nobody is no part of a graph.
    """
    *_, (_, last) = reference_unet.transformer_blocks()
    last.attn1.processor.last = False
    reference_unet.conv_out = nn.Identity()  # type: ignore[assignment]
    try:
        yield
    finally:
        last.attn1.processor.last = True
        reference_unet.conv_out = None


Graph = Encode | GuidePose | Denoise | Decode


def list_focal_names(pipeline: MCLDPipeline) -> tuple[str, ...]:
    """What the tensors of a `FocalContext` are called, such as "face.mid_block...keys"."""
    blocks = [name for name, _ in pipeline.denoising_unet.transformer_blocks()]
    return tuple(
        f"{part}.{block}.{kind}"
        for part in ("reference", "aggregated", "face")
        for block in blocks
        for kind in ("keys", "values")
    )


def _flatten(context: FocalContext) -> list[Tensor]:
    parts = context.reference, context.aggregated, context.face
    return [t for part in parts for both in part.values() for t in (both.keys, both.values)]


def _unflatten(names: Sequence[str], tensors: Sequence[Tensor]) -> FocalContext:
    parts: dict[str, dict[str, KeysValues]] = {"reference": {}, "aggregated": {}, "face": {}}
    for name, keys, values in zip(names[::2], tensors[::2], tensors[1::2], strict=True):
        part, _, block = name.removesuffix(".keys").partition(".")
        parts[part][block] = KeysValues(keys, values)
    return FocalContext(**parts)
