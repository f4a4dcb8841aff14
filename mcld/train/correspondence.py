"""The loss on where attention looks in the texture map: Leffa's, with a flow that is known.

Zhou et al., "Learning Flow Fields in Attention for Controllable Person Image Generation", CVPR 2025
(2412.08486), take the mean place that a target token's attention looks at in the reference for a
flow, and warp the reference's pixels along it to compare them with the target's. Here the reference
is the texture map, and the IUV map says of each target pixel which texel it shows: the flow itself
is compared. And where theirs counts small timesteps alone, at which attention can find the flow in
what it sees, ours counts all: the network sees the IUV map at any noise, and one that is sampled in
few steps has to look colours up in pure noise.
"""

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from mcld.model.attention import ReferenceFlows
from mcld.surface.charts import TEXTURE_SIZE, locate_uv, smpl_scatter
from mcld.surface.parts import PARTS


def correspondence_error(flows: ReferenceFlows, pose: Tensor, shown: Tensor) -> Tensor:
    """The squared distance of flows from the truth, averaged over tokens, then over blocks.

    A token counts where the pixel in its middle is on the body, and the texture map shows it. The
    samples whose conditions are dropped have no flow, and an error of 0.

    Args:
        flows: of the last R samples.
        pose: [B, 3, H, W] uint8 IUV maps of the targets, (I, U, V).
        shown: [B, H, W] bool, of the pixels that the sources' texture maps show.

    Returns:
        [B] float32, on the scale of a texture map from -1 to 1: 0..8.
    """
    dropped = len(pose) - min(len(flow) for flow in flows.by_block.values())
    counted = _is_told(pose[dropped:, 0]) & shown[dropped:]
    errors = []
    for block, flow in flows.by_block.items():
        grid = flows.grids[block]
        places = texel_places(_pick_middles(pose[dropped:], grid)).flatten(1, 2)
        counts = _pick_middles(counted[:, None], grid).flatten(1)
        squared = (flow.float() - places).square().sum(dim=-1) * counts
        errors.append(squared.sum(dim=1) / counts.sum(dim=1).clamp(min=1))
    return functional.pad(torch.stack(errors).mean(dim=0), (dropped, 0))


def texel_places(pose: Tensor) -> Tensor:
    """Where the texture map holds what each pixel of IUV maps shows.

    pose: [B, 3, h, w] uint8 (I, U, V). Returns [B, h, w, 2] float32, x and y of the middles of
    texels on a map from -1 to 1; where there is no body they mean nothing.
    """
    part, u, v = pose.long().unbind(dim=1)
    texels = _scatter_table(pose.device)[(part.clamp(1, PARTS) - 1, *locate_uv(u, v))]
    places = torch.stack([texels % TEXTURE_SIZE, texels // TEXTURE_SIZE], dim=-1)
    return (2 * places + 1) / TEXTURE_SIZE - 1


@cache
def _scatter_table(device: torch.device) -> Tensor:
    return torch.tensor(smpl_scatter(), device=device)


def _pick_middles(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    """The pixels in the middles of a grid's cells: [B, C, H, W] -> [B, C, rows, columns]."""
    (rows, columns), (height, width) = grid, maps.shape[-2:]
    y, x = (
        (2 * torch.arange(cells, device=maps.device) + 1) * side // (2 * cells)
        for cells, side in ((rows, height), (columns, width))
    )
    return maps[:, :, y[:, None], x]


def _is_told(labels: Tensor) -> Tensor:
    """Where a label is sure, [B, H, W] uint8 -> bool: resizing blends it with its neighbours'."""
    padded = functional.pad(labels[:, None].float(), (1, 1, 1, 1), mode="replicate")
    largest = functional.max_pool2d(padded, 3, stride=1)[:, 0]
    least = -functional.max_pool2d(-padded, 3, stride=1)[:, 0]
    return (labels > 0) & (largest == least)
