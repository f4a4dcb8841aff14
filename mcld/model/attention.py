"""Attention processors: what MCLD adds inside the transformer blocks of its two UNets.

Shape suffixes: B samples, R of them conditioned, T own tokens, S reference tokens, H heads, E width
of a head. In a batch of B samples with a context of R <= B rows, the **last** R samples are
conditioned and the first B - R are not: that is the order [unconditional ; conditional] of guided
sampling, and the only definition of "unconditional" in the project.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn
from torch.nn import functional

FACE_SCALE = 0.5
"""Weight of the face tokens' attention beside the source's and texture's (the authors' value)."""


@dataclass(frozen=True)
class KeysValues:
    """Projected keys and values of one attention layer, each [R, H, tokens, E]."""

    keys: Tensor
    values: Tensor

    def expand(self, rows: int) -> KeysValues:
        """Those of one picture, for so many."""
        return KeysValues(*(part.expand(rows, -1, -1, -1) for part in (self.keys, self.values)))


@dataclass(frozen=True)
class FocalContext:
    """Everything in the focal conditions that the denoising steps of R pictures share.

    Keyed by the name of the transformer block ("mid_block.attentions.0.transformer_blocks.0"), as
    `DenoisingUNet.focal_context` fills it once per picture.
    """

    reference: dict[str, KeysValues]
    """Of ReferenceNet's features, for self-attention; a block that is absent attends to itself."""
    aggregated: dict[str, KeysValues]
    """Of source and texture embeddings, chosen by stage."""
    face: dict[str, KeysValues]
    """Of the face tokens."""

    def expand(self, rows: int) -> FocalContext:
        """That of one picture, for so many; nothing is copied."""
        return FocalContext(
            *(
                {name: one.expand(rows) for name, one in part.items()}
                for part in (self.reference, self.aggregated, self.face)
            )
        )


@dataclass
class DeepFeatures:
    """What the deep layers of the denoising UNet made of a step, for steps that follow to share.

    DeepCache (arXiv 2312.00858): between two steps, what changes least lies deepest.
    """

    hidden_states: Tensor | None = None
    """[B, channels, h, w] what the last layer gets from below; None before the first step."""

    def clone_in_place(self) -> None:
        """Hold them in memory of their own: a compiled network may write over its outputs."""
        if self.hidden_states is not None:
            self.hidden_states = self.hidden_states.clone()


def split_heads(attn: Attention, tokens: Tensor) -> Tensor:
    """[B, T, H * E] -> [B, H, T, E]."""
    batch, length, inner_dim = tokens.shape
    return tokens.view(batch, length, attn.heads, inner_dim // attn.heads).transpose(1, 2)


def project_qkv(attn: Attention, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of self-attention, each [B, H, T, E], of [B, T, channels].

    By one product where `MCLDUNet.fuse_qkv_projections` has joined their weights.
    """
    if attn.fused_projections:
        queries, keys, values = attn.to_qkv(tokens).chunk(3, dim=-1)
    else:
        queries, keys, values = attn.to_q(tokens), attn.to_k(tokens), attn.to_v(tokens)
    return split_heads(attn, queries), split_heads(attn, keys), split_heads(attn, values)


def merge_heads(attended: Tensor) -> Tensor:
    """[B, H, T, E] -> [B, T, H * E]."""
    return attended.transpose(1, 2).flatten(2)


def project_out(attn: Attention, merged: Tensor) -> Tensor:
    """The layer's output projection and dropout, [B, T, H * E] -> [B, T, channels]."""
    linear, dropout = attn.to_out
    return dropout(linear(merged))  # type: ignore[no-any-return]


class AttentionRecorder:
    """Keeps the softmax probabilities of one picture's attention, averaged over heads and calls.

    Keyed by the name of the transformer block; T own tokens of the picture, S reference tokens,
    K embeddings (source; source and texture; texture, by stage), N face tokens. Reference keys make
    a softmax together with the picture's own, the embeddings one of their own, the face tokens too.
    """

    def __init__(self) -> None:
        self.reference: dict[str, Tensor] = {}
        """[T, S]: how much each token looks at each reference token; the rest is at the picture."""
        self.aggregated: dict[str, Tensor] = {}
        """[T, K], rows that sum to 1."""
        self.face: dict[str, Tensor] = {}
        """[T, N], rows that sum to 1."""
        self._calls: dict[tuple[int, str], int] = {}

    def add(
        self, kept: dict[str, Tensor], block: str, queries: Tensor, keys: Tensor, own: int = 0
    ) -> None:
        """Add a call's probabilities of [1, H, T, E] queries and [1, H, own + S, E] keys."""
        scores = queries.float() @ keys.float().transpose(-1, -2) * queries.shape[-1] ** -0.5
        seen = scores.softmax(dim=-1)[0, :, :, own:].mean(dim=0).cpu()
        calls = self._calls.get((id(kept), block), 0) + 1
        self._calls[id(kept), block] = calls
        kept[block] = seen if calls == 1 else kept[block] + (seen - kept[block]) / calls


def token_places(rows: int, columns: int) -> Tensor:
    """The middles of a grid's cells, row by row: [rows * columns, 2], x and y in -1..1."""
    y, x = ((2 * torch.arange(side) + 1) / side - 1 for side in (rows, columns))
    return torch.stack([x.repeat(rows), y.repeat_interleave(columns)], dim=-1)


class ReferenceFlows:
    """Where each own token looks in the reference: Leffa's flow, by which training can be told.

    A forward pass that is given one leaves in it the mean place that attention to the reference
    tokens alone looks at, over all heads. It goes in as an argument: under gradient checkpointing a
    block runs a second time, in the backward pass, and has to find it again.

    Args:
        grids: name of a transformer block -> rows and columns of its reference tokens; others leave
            nothing.
    """

    def __init__(self, grids: dict[str, tuple[int, int]]) -> None:
        self.grids = grids
        self.by_block: dict[str, Tensor] = {}
        """[R, T, 2], x and y in -1..1 of the reference's width and height."""

    def add(self, block: str, queries: Tensor, keys: Tensor) -> None:
        """Add a block's flow, of [R, H, T, E] queries and [R, H, S, E] keys of the reference."""
        if block not in self.grids:
            return
        # Attention whose values are places is the flow. Padded to the width of the keys, it is left
        # to the fused kernels, and no map of T x S is ever held.
        places = token_places(*self.grids[block]).to(keys)
        values = functional.pad(places, (0, keys.shape[-1] - 2)).expand_as(keys)
        seen = functional.scaled_dot_product_attention(queries, keys, values)
        self.by_block.setdefault(block, seen[..., :2].mean(dim=1))


class ReferenceSelfAttention:
    """Self-attention of the denoising UNet: keys and values over [own tokens ; reference tokens].

    Paper, section 3.3, after Hu et al., Animate Anyone. Unconditional rows see their own tokens.
    """

    def __init__(self, block: str) -> None:
        self.block = block
        self.recorder: AttentionRecorder | None = None

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        *,
        focal: FocalContext,
        flows: ReferenceFlows | None = None,
        **_: object,
    ) -> Tensor:
        """[B, T, channels] -> the same shape. Diffusers' other arguments do not occur here."""
        q_BHTE, k_BHTE, v_BHTE = project_qkv(attn, hidden_states)
        reference = focal.reference.get(self.block)
        if reference is None:
            attended = functional.scaled_dot_product_attention(q_BHTE, k_BHTE, v_BHTE)
            return project_out(attn, merge_heads(attended))
        rows = len(hidden_states) - len(reference.keys)
        keys = torch.cat([k_BHTE[rows:], reference.keys], dim=2)
        conditioned = functional.scaled_dot_product_attention(
            q_BHTE[rows:], keys, torch.cat([v_BHTE[rows:], reference.values], dim=2)
        )
        if self.recorder is not None:
            own = k_BHTE.shape[2]
            self.recorder.add(self.recorder.reference, self.block, q_BHTE[rows:], keys, own)
        if flows is not None:
            flows.add(self.block, q_BHTE[rows:], reference.keys)
        if rows:
            alone = functional.scaled_dot_product_attention(
                q_BHTE[:rows], k_BHTE[:rows], v_BHTE[:rows]
            )
            conditioned = torch.cat([alone, conditioned])
        return project_out(attn, merge_heads(conditioned))


class FocalCrossAttention(nn.Module):
    """Multi-focal condition aggregation (paper, section 3.3): cross-attention with two sources.

        out = to_out(attention(q, k(c), v(c)) + 0.5 attention(q, k_face(f), v_face(f)))

    c is the source embedding on the way down, source and texture in the middle, texture on the way
    up; f are the face tokens. The projections of c are the layer's own, those of f live here.
    Unconditional rows have zeros for all of them, and since no projection has a bias, what they
    attend to is zero.
    """

    def __init__(self, block: str, cross_attention_dim: int, inner_dim: int) -> None:
        super().__init__()
        self.block = block
        self.to_k_ip = nn.Linear(cross_attention_dim, inner_dim, bias=False)
        self.to_v_ip = nn.Linear(cross_attention_dim, inner_dim, bias=False)
        self.recorder: AttentionRecorder | None = None

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        *,
        focal: FocalContext,
        flows: ReferenceFlows | None = None,  # noqa: ARG002 - passed to every layer
        **_: object,
    ) -> Tensor:
        """[B, T, channels] -> the same shape. Diffusers' other arguments do not occur here."""
        aggregated, face = focal.aggregated[self.block], focal.face[self.block]
        rows = len(hidden_states) - len(face.keys)
        q_RHTE = split_heads(attn, attn.to_q(hidden_states[rows:]))
        if aggregated.keys.shape[2] == 1:  # the softmax over one key is 1
            attended = aggregated.values.expand_as(q_RHTE)
        else:
            attended = functional.scaled_dot_product_attention(
                q_RHTE, aggregated.keys, aggregated.values
            )
        attended = attended + FACE_SCALE * functional.scaled_dot_product_attention(
            q_RHTE, face.keys, face.values
        )
        if self.recorder is not None:
            self.recorder.add(self.recorder.aggregated, self.block, q_RHTE, aggregated.keys)
            self.recorder.add(self.recorder.face, self.block, q_RHTE, face.keys)
        merged = merge_heads(attended)
        if rows:
            merged = torch.cat([merged.new_zeros(rows, *merged.shape[1:]), merged])
        return project_out(attn, merged)


@dataclass(frozen=True)
class ReferenceFeatures:
    """What ReferenceNet's blocks leave behind.

    No dictionary: the hooks of offloading would hand a copy of it to the blocks.
    """

    by_block: dict[str, Tensor] = field(default_factory=dict)
    """Name of a transformer block -> the input of its self-attention, [B, T, channels]."""


class LastFeature(Exception):  # noqa: N818 - a signal, not an error
    """Raised inside ReferenceNet when its last feature is known: nothing after it is used."""


class FeatureSelfAttention:
    """Self-attention of ReferenceNet; leaves its input in `features` under its block's name.

    Under gradient checkpointing a block runs a second time, in the backward pass: its first input
    stays.
    """

    def __init__(self, block: str, last: bool) -> None:
        self.block = block
        self.last = last

    def __call__(
        self, attn: Attention, hidden_states: Tensor, *, features: ReferenceFeatures, **_: object
    ) -> Tensor:
        """[B, T, channels] -> the same shape. Raises LastFeature instead in the last block."""
        features.by_block.setdefault(self.block, hidden_states)
        if self.last:
            raise LastFeature
        q_BHTE, k_BHTE, v_BHTE = project_qkv(attn, hidden_states)
        attended = functional.scaled_dot_product_attention(q_BHTE, k_BHTE, v_BHTE)
        return project_out(attn, merge_heads(attended))


class SingleTokenCrossAttention:
    """ReferenceNet's cross-attention to one token, the source embedding: simply its value."""

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        *,
        features: ReferenceFeatures,  # noqa: ARG002 - passed to every layer
        **_: object,
    ) -> Tensor:
        """[B, T, channels] hidden states and [B, 1, D] context -> [B, T, channels]."""
        value = project_out(attn, attn.to_v(encoder_hidden_states))
        return value.expand(-1, hidden_states.shape[1], -1)
