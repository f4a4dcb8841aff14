"""Where the network looks while it paints: softmax probabilities as heat maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from mcld.dataset.sheet import contact_sheet
from mcld.machine.files import write_whole
from mcld.model.attention import AttentionRecorder

STAGES = {"down": "down_blocks", "mid": "mid_block", "up": "up_blocks"}
_EMBEDDINGS = {"down": ("source",), "mid": ("source", "texture"), "up": ("texture",)}
_CELL = (192, 264)
_OPACITY = 0.65
COLUMNS = (
    "source embedding",
    "texture embedding",
    "face: strongest token",
    "to ReferenceNet",
    "where in its input",
)


def average_maps(
    recorder: AttentionRecorder, latents: tuple[int, int]
) -> dict[str, dict[str, NDArray[np.float32]]]:
    """Stage -> column -> probabilities as a map [h, w] of the latents' size, mean over the blocks.

    source, texture embedding: of the one softmax over both; where a stage has one of them alone
    that is 1. Face: the largest of the face tokens' probabilities, for all of them sum to 1.
    To ReferenceNet: how much of a place's self-attention goes to reference tokens. Where in its
    input: how much of all self-attention a place of what ReferenceNet sees gets.

    latents: (height, width).
    """
    maps: dict[str, dict[str, NDArray[np.float32]]] = {}
    for stage, prefix in STAGES.items():
        found: dict[str, list[NDArray[np.float32]]] = {name: [] for name in COLUMNS}
        for block, seen in recorder.aggregated.items():
            if block.startswith(prefix):
                for k, embedding in enumerate(_EMBEDDINGS[stage]):
                    found[f"{embedding} embedding"].append(_as_map(seen[:, k], latents))
                face = recorder.face[block].amax(dim=1)
                found["face: strongest token"].append(_as_map(face, latents))
        for block, seen in recorder.reference.items():
            if block.startswith(prefix):
                found["to ReferenceNet"].append(_as_map(seen.sum(dim=1), latents))
                found["where in its input"].append(_as_map(seen.mean(dim=0), latents))
        maps[stage] = {name: np.mean(all_, axis=0) for name, all_ in found.items() if all_}
    return maps


def draw_attention_sheet(
    recorder: AttentionRecorder,
    latents: tuple[int, int],
    picture: Image.Image,
    reference: Image.Image,
) -> NDArray[np.uint8]:
    """Heat maps of all stages, uint8 [H, W, 3] RGB; a row a stage.

    They lie over the picture, or over `reference`, which ReferenceNet sees: the texture map or the
    source. Every map has its own scale, which is written below it.
    """
    rows = []
    for stage, maps in average_maps(recorder, latents).items():
        row = []
        for name in COLUMNS:
            below = reference if name == COLUMNS[-1] else picture
            row.append(_draw_heat(maps[name], below) if name in maps else _draw_nothing())
        rows.append([_draw_name(stage), *row])
    return contact_sheet(("stage", *COLUMNS), rows, _CELL)


def write_attention(path: Path, recorder: AttentionRecorder) -> None:
    """Write the probabilities of every block as float32 .npz: reference, aggregated and face."""
    arrays = {
        f"{kind}/{block}": seen.numpy()
        for kind in ("reference", "aggregated", "face")
        for block, seen in getattr(recorder, kind).items()
    }
    with write_whole(path) as file:
        np.savez_compressed(file, **arrays)


def _as_map(values: Tensor, latents: tuple[int, int]) -> NDArray[np.float32]:
    """[T] values of a block's tokens -> [h, w]; each level of the UNet halves, rounding up."""
    import cv2

    height, width = latents
    while height * width > len(values):
        height, width = -(-height // 2), -(-width // 2)
    grid = values.numpy().reshape(height, width)
    return np.asarray(cv2.resize(grid, latents[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def _draw_heat(values: NDArray[np.float32], below: Image.Image) -> Image.Image:
    import cv2

    lowest, highest = float(values.min()), float(values.max())
    share = (values - lowest) / max(highest - lowest, 1e-6)
    colours = cv2.applyColorMap((share * 255).round().astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    heat = Image.fromarray(np.ascontiguousarray(colours[..., ::-1]))
    grey = below.convert("L").convert("RGB")
    grey = grey.resize((_CELL[0], round(_CELL[0] * below.height / below.width)))
    mixed = Image.blend(grey, heat.resize(grey.size, Image.Resampling.BICUBIC), _OPACITY)
    flat = highest - lowest < 1e-6
    return _add_caption(mixed, f"{highest:.3g}" if flat else f"{lowest:.3g} to {highest:.3g}")


def _add_caption(picture: Image.Image, caption: str) -> Image.Image:
    sheet = Image.new("RGB", (picture.width, picture.height + 16), "white")
    sheet.paste(picture)
    draw = ImageDraw.Draw(sheet)
    draw.text((picture.width / 2, picture.height + 8), caption, "black", anchor="mm")
    return sheet


def _draw_name(stage: str) -> Image.Image:
    cell = Image.new("RGB", _CELL, "white")
    ImageDraw.Draw(cell).text((_CELL[0] / 2, _CELL[1] / 2), stage, "black", anchor="mm")
    return cell


def _draw_nothing() -> Image.Image:
    cell = Image.new("RGB", _CELL, "white")
    text = "not read in this stage"
    ImageDraw.Draw(cell).text((_CELL[0] / 2, _CELL[1] / 2), text, "grey", anchor="mm")
    return cell
