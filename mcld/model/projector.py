"""The image projector: one face embedding becomes the tokens that cross-attention reads.

A perceiver resampler (Alayrac et al., Flamingo, section 3.1), as IP-Adapter uses it: learnt query
tokens attend, layer by layer, to the projected embedding and to themselves.
"""

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional

from mcld.settings import ModelSettings


class PerceiverAttention(nn.Module):
    """Queries from the latent tokens; keys and values from [input ; latent tokens]."""

    def __init__(self, dim: int, dim_head: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.to_q = nn.Linear(dim, dim_head * heads, bias=False)
        self.to_kv = nn.Linear(dim, dim_head * heads * 2, bias=False)
        self.to_out = nn.Linear(dim_head * heads, dim, bias=False)

    def forward(self, x: Tensor, latents: Tensor) -> Tensor:
        """[B, M, dim] input, [B, N, dim] latent tokens -> [B, N, dim]."""
        x, latents = self.norm1(x), self.norm2(latents)
        keys, values = self.to_kv(torch.cat([x, latents], dim=1)).chunk(2, dim=-1)
        q_BHNE, k_BHME, v_BHME = (
            tokens.unflatten(-1, (self.heads, tokens.shape[-1] // self.heads)).transpose(1, 2)
            for tokens in (self.to_q(latents), keys, values)
        )
        attended = functional.scaled_dot_product_attention(q_BHNE, k_BHME, v_BHME)
        return self.to_out(attended.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class ImageProjector(ModelMixin, ConfigMixin):
    """Face embedding -> face tokens.

    Args:
        dim: width of the latent tokens.
        depth: number of layers, each attention and feed-forward.
        dim_head, heads: shape of the attention.
        num_queries: N, the number of face tokens.
        embedding_dim: numbers in a face embedding.
        output_dim: D, the UNets' cross-attention width.
        ff_mult: hidden width of the feed-forward, in multiples of `dim`.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        dim: int = 1280,
        depth: int = 4,
        dim_head: int = 64,
        heads: int = 20,
        num_queries: int = 16,
        embedding_dim: int = 512,
        output_dim: int = 768,
        ff_mult: int = 4,
    ) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.randn(1, num_queries, dim) * dim**-0.5)
        self.proj_in = nn.Linear(embedding_dim, dim)
        self.proj_out = nn.Linear(dim, output_dim)
        self.norm_out = nn.LayerNorm(output_dim)
        self.layers = nn.ModuleList(
            nn.ModuleList(
                [
                    PerceiverAttention(dim, dim_head, heads),
                    nn.Sequential(
                        nn.LayerNorm(dim),
                        nn.Linear(dim, dim * ff_mult, bias=False),
                        nn.GELU(),
                        nn.Linear(dim * ff_mult, dim, bias=False),
                    ),
                ]
            )
            for _ in range(depth)
        )

    def forward(self, face: Tensor) -> Tensor:
        """[B, embedding_dim] face embeddings -> [B, N, output_dim] face tokens."""
        latents = self.latents.expand(len(face), -1, -1)
        x = self.proj_in(face[:, None])
        for attention, feed_forward in self.layers:  # type: ignore[misc]
            latents = attention(x, latents) + latents  # type: ignore[has-type]
            latents = feed_forward(latents) + latents  # type: ignore[has-type]
        return self.norm_out(self.proj_out(latents))  # type: ignore[no-any-return]


def new_image_projector(model: ModelSettings, width: int) -> ImageProjector:
    """An image projector with random weights, whose tokens have `width` numbers, the UNets' D."""
    projector: ImageProjector = ImageProjector(
        dim=model.projector_dim,
        depth=model.projector_depth,
        dim_head=model.projector_dim // model.projector_heads,
        heads=model.projector_heads,
        output_dim=width,
    )
    return projector
