"""The two UNets: diffusers' own `UNet2DConditionModel` with MCLD's attention processors.

State-dict keys are diffusers' own, plus `….attn2.processor.to_k_ip.weight` and `to_v_ip.weight` in
the denoising UNet, as in the authors' checkpoints.
"""

from __future__ import annotations

import contextlib
import functools
from abc import abstractmethod
from collections.abc import Iterator
from itertools import repeat
from typing import Any, cast

import torch
from diffusers import ModelMixin, UNet2DConditionModel  # noqa: F401 - see MCLDUNet
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.utils.accelerate_utils import apply_forward_hook
from torch import Tensor, nn

from mcld.errors import InputError
from mcld.model.attention import (
    AttentionRecorder,
    DeepFeatures,
    FeatureSelfAttention,
    FocalContext,
    FocalCrossAttention,
    KeysValues,
    LastFeature,
    ReferenceFeatures,
    ReferenceFlows,
    ReferenceSelfAttention,
    SingleTokenCrossAttention,
    split_heads,
)

__all__ = ["DenoisingUNet", "FocalContext", "ReferenceNet"]


class PoseConvIn(nn.Conv2d):
    """A UNet's `conv_in` on [latents ; pose features]: convolves the first, adds the second."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, C + features, h, w] -> [B, features, h, w]."""
        latents, pose_features = x.tensor_split([self.in_channels], dim=1)
        return super().forward(latents) + pose_features


class MCLDUNet(UNet2DConditionModel):
    """What the two UNets of MCLD share: their configuration, and the names of their blocks.

    A saved pipeline names this module, and diffusers looks up here what it can load: ModelMixin.
    """

    # Diffusers reads a model's configuration keys off the signature of its __init__.
    @functools.wraps(UNet2DConditionModel.__init__)  # type: ignore[misc]
    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self.install_processors()

    @abstractmethod
    def install_processors(self) -> None:
        """Replace diffusers' attention processors by MCLD's."""

    def _keep_processors(self, wanted: Any = True, *_: Any, **__: Any) -> None:
        """Refuse what would put other processors in the place of MCLD's; let it be switched off."""
        if wanted not in (None, False):
            raise InputError(
                f"{type(self).__name__} attends in its own way, by PyTorch's fused attention: its"
                " processors cannot be replaced, sliced or given another backend"
            )

    set_attn_processor = _keep_processors
    set_default_attn_processor = _keep_processors
    set_attention_slice = _keep_processors
    set_attention_backend = _keep_processors
    set_use_memory_efficient_attention_xformers = _keep_processors
    set_use_npu_flash_attention = _keep_processors
    set_use_xla_flash_attention = _keep_processors
    load_attn_procs = _keep_processors

    def fuse_qkv_projections(self) -> None:
        """Join the weights of queries, keys and values of self-attention: one product for three.

        For sampling: the joined weights are copies, which training would not see, and which the
        state dict has besides.
        """
        for _, block in self.transformer_blocks():
            block.attn1.fuse_projections()

    def unfuse_qkv_projections(self) -> None:
        """Take them apart again."""
        for _, block in self.transformer_blocks():
            if block.attn1.fused_projections:
                block.attn1.fused_projections = False
                del block.attn1.to_qkv

    def transformer_blocks(self) -> Iterator[tuple[str, BasicTransformerBlock]]:
        """Every transformer block with its name, in the order in which it runs."""
        for stage in ("down_blocks", "mid_block", "up_blocks"):
            for name, module in getattr(self, stage).named_modules(prefix=stage):
                if isinstance(module, BasicTransformerBlock):
                    yield name, module


class ReferenceNet(MCLDUNet):
    """A UNet run once, at timestep 0, on the latents of the texture map (paper, section 3.3)."""

    OUTPUT_LAYERS = ("conv_norm_out.", "conv_out.")
    """How the names of a UNet's weights begin that it does without."""

    def install_processors(self) -> None:
        """Self-attention keeps its input; cross-attention reads one token.

        The output layers go: nothing reads them, and the authors' checkpoints have none.
        """
        self.conv_norm_out = self.conv_act = self.conv_out = None
        blocks = list(self.transformer_blocks())
        for name, block in blocks:
            block.attn1.set_processor(FeatureSelfAttention(name, last=name == blocks[-1][0]))
            block.attn2.set_processor(SingleTokenCrossAttention())

    def forward(self, reference_latents: Tensor, source: Tensor) -> dict[str, Tensor]:
        """The self-attention input (after norm1) of every transformer block.

        Args:
            reference_latents: [B, C, h, w] scaled VAE latents of the texture map.
            source: [B, 1, D] embedding of the source photo.

        Returns:
            block name -> [B, tokens, channels].
        """
        features = ReferenceFeatures()
        with contextlib.suppress(LastFeature):
            super().forward(
                reference_latents,
                reference_latents.new_zeros(len(reference_latents)),
                encoder_hidden_states=source,
                cross_attention_kwargs={"features": features},
            )
        return features.by_block

    def enable_gradient_checkpointing(self, *args: Any, **kwargs: Any) -> None:
        """As diffusers', but for the last block: it is left by LastFeature, nothing to keep."""
        super().enable_gradient_checkpointing(*args, **kwargs)
        self._last_transformer().gradient_checkpointing = False

    def _last_transformer(self) -> Transformer2DModel:
        *_, (last, _) = self.transformer_blocks()
        transformer: Any = self.get_submodule(last.partition(".transformer_blocks.")[0])
        return cast("Transformer2DModel", transformer)

    def unused_parameters(self) -> Iterator[nn.Parameter]:
        """The parameters without a gradient: behind the last feature, and attention to one key."""
        *blocks, (_, tail) = self.transformer_blocks()
        for _, block in blocks:
            for module in (block.norm2, block.attn2.to_q, block.attn2.to_k):
                yield from module.parameters()
        for module in (tail.attn1, tail.norm2, tail.attn2, tail.norm3, tail.ff):
            yield from module.parameters()
        yield from self._last_transformer().proj_out.parameters()


class DenoisingUNet(MCLDUNet):
    """The UNet that denoises, looking at the reference features and the focal conditions."""

    def install_processors(self) -> None:
        """MCLD's self- and cross-attention, and a `conv_in` that adds the pose features."""
        for name, block in self.transformer_blocks():
            block.attn1.set_processor(ReferenceSelfAttention(name))
            block.attn2.set_processor(
                FocalCrossAttention(name, block.attn2.cross_attention_dim, block.attn2.inner_dim)
            )
        conv: nn.Conv2d = self.conv_in  # type: ignore[has-type]
        self.conv_in = PoseConvIn(conv.in_channels, conv.out_channels, kernel_size=3, padding=1)

    def unused_parameters(self) -> Iterator[nn.Parameter]:
        """The parameters that get no gradient: the keys of stages that attend to one embedding."""
        for name, block in self.transformer_blocks():
            if not name.startswith("mid_block"):
                yield from block.attn2.to_k.parameters()

    def finer_grids(self, rows: int, columns: int) -> dict[str, tuple[int, int]]:
        """The transformer blocks above the lowest resolution, and the grids of their tokens.

        rows, columns: of the latents. Empty for a UNet of one resolution.
        """
        lowest = len(self.config.block_out_channels) - 1
        stages = {}
        for halvings in range(lowest):
            grid = -(-rows // 2**halvings), -(-columns // 2**halvings)
            stages[f"down_blocks.{halvings}."] = stages[f"up_blocks.{lowest - halvings}."] = grid
        return {
            name: grid
            for name, _ in self.transformer_blocks()
            for stage, grid in stages.items()
            if name.startswith(stage)
        }

    @contextlib.contextmanager
    def record_attention(self, recorder: AttentionRecorder | None) -> Iterator[None]:
        """While the block lasts, let `recorder`, if any, keep what one picture's attention sees."""
        processors = [
            attn.processor
            for _, block in self.transformer_blocks()
            for attn in (block.attn1, block.attn2)
        ]
        for processor in processors:
            processor.recorder = recorder
        try:
            yield
        finally:
            for processor in processors:
                processor.recorder = None

    @apply_forward_hook  # type: ignore[untyped-decorator]  # to the GPU, should it not be there
    def focal_context(
        self, features: dict[str, Tensor], source: Tensor, texture: Tensor, face_tokens: Tensor
    ) -> FocalContext:
        """Project the conditions of R pictures to the keys and values all denoising steps share.

        Args:
            features: ReferenceNet's, block name -> [R, tokens, channels]; empty for no reference.
            source, texture: [R, 1, D] embeddings.
            face_tokens: [R, N, D].
        """
        contexts = {
            "down_blocks": source,
            "mid_block": torch.cat([source, texture], dim=1),
            "up_blocks": texture,
        }
        reference, aggregated, face = {}, {}, {}
        for name, block in self.transformer_blocks():
            attn, cross = block.attn1, block.attn2
            if name in features:
                reference[name] = KeysValues(
                    split_heads(attn, attn.to_k(features[name])),
                    split_heads(attn, attn.to_v(features[name])),
                )
            context = contexts[name.partition(".")[0]]
            aggregated[name] = KeysValues(
                split_heads(cross, cross.to_k(context)), split_heads(cross, cross.to_v(context))
            )
            face[name] = KeysValues(
                split_heads(cross, cross.processor.to_k_ip(face_tokens)),
                split_heads(cross, cross.processor.to_v_ip(face_tokens)),
            )
        return FocalContext(reference, aggregated, face)

    def forward(
        self,
        latents: Tensor,
        timesteps: Tensor,
        pose_features: Tensor,
        focal: FocalContext,
        flows: ReferenceFlows | None = None,
        deep: DeepFeatures | None = None,
    ) -> Tensor:
        """Predict v for B noisy latents, of which the last R are conditioned on `focal`.

        Args:
            latents: [B, C, h, w] noisy latents.
            timesteps: [B] or scalar, 0..999.
            pose_features: [B, first width, h, w] from the pose guider.
            focal: of R <= B pictures.
            flows: is filled, if given.
            deep: where it holds an earlier step's features, only the layers around them are run;
                else it is filled with this step's.

        Returns:
            [B, C, h, w].
        """
        no_context = latents.new_zeros(len(latents), 1, self.config.cross_attention_dim)
        context = {
            "encoder_hidden_states": no_context,  # the processors read `focal` instead
            "cross_attention_kwargs": {"focal": focal, "flows": flows},
        }
        inputs = torch.cat([latents, pose_features], dim=1)
        if deep is not None:
            return self._forward_around(deep, inputs, timesteps, context)
        return super().forward(inputs, timesteps, **context).sample  # type: ignore[no-any-return]

    def _forward_around(
        self, deep: DeepFeatures, inputs: Tensor, timesteps: Tensor, context: dict[str, Any]
    ) -> Tensor:
        """`forward` in two parts: what fills `deep`, unless it is filled, and the layer after it.

        That layer sees the deep features and, by the outermost skip connection, this step's input.
        """
        emb = self.time_embedding(self.get_time_embed(sample=inputs, timestep=timesteps))
        hidden = self.conv_in(inputs)
        outermost = hidden
        *blocks, last = self.up_blocks
        layers = list(zip(last.resnets, getattr(last, "attentions", repeat(None)), strict=False))
        if deep.hidden_states is None:
            skips: tuple[Tensor, ...] = (outermost,)
            for block in self.down_blocks:
                hidden, outputs = block(hidden, emb, **_attended(block, context))
                skips += outputs
            hidden = self.mid_block(hidden, emb, **context)
            for block in blocks:
                count = len(block.resnets)
                hidden = block(
                    hidden,
                    skips[-count:],
                    emb,
                    upsample_size=skips[-count - 1].shape[2:],
                    **_attended(block, context),
                )
                skips = skips[:-count]
            for layer in layers[:-1]:
                hidden = _run_layer(*layer, hidden, skips[-1], emb, context)
                skips = skips[:-1]
            deep.hidden_states = hidden
        hidden = _run_layer(*layers[-1], deep.hidden_states, outermost, emb, context)
        return self.conv_out(self.conv_act(self.conv_norm_out(hidden)))  # type: ignore[no-any-return]


def _attended(block: nn.Module, context: dict[str, Any]) -> dict[str, Any]:
    """What a block of a UNet is told besides; those without attention take nothing."""
    return context if getattr(block, "has_cross_attention", False) else {}


def _run_layer(
    resnet: nn.Module,
    attention: nn.Module | None,
    hidden: Tensor,
    skip: Tensor,
    emb: Tensor,
    context: dict[str, Any],
) -> Tensor:
    """A layer of an up block."""
    hidden = resnet(torch.cat([hidden, skip], dim=1), emb)
    if attention is not None:
        (hidden,) = attention(hidden, **context, return_dict=False)
    return hidden
