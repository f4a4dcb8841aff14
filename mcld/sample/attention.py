"""Where the network looks while it paints: softmax probabilities as heat maps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from mcld.machine.files import write_whole
from mcld.machine.provenance import Provenance
from mcld.model.attention import AttentionRecorder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STAGES = {"down": "down_blocks", "mid": "mid_block", "up": "up_blocks"}
_EMBEDDINGS = {"down": ("source",), "mid": ("source", "texture"), "up": ("texture",)}
COLUMNS = (
    "source embedding",
    "texture embedding",
    "face: strongest token",
    "to ReferenceNet",
    "where in its input",
)
KINDS = (COLUMNS[:2], *((name,) for name in COLUMNS[2:]))
"""Columns that share a scale: both embeddings are shares of one, 0 to 1."""
_WIDTH, _MARGINS = 7.0, 0.9
"""Of the sheet and of all but the pictures in it, inches; 7 is the width of a paper's text."""
_POINTS, _DPI = 7, 300
_NOTHING = "not read\nin this stage"


def average_maps(
    recorder: AttentionRecorder, latents: tuple[int, int]
) -> dict[str, dict[str, NDArray[np.float32]]]:
    """Stage -> column -> probabilities as a map [h, w] of the latents' size, mean over the blocks.

    source, texture embedding: of the one softmax over both; where a stage has one of them alone
    that is 1. Face: the largest of the face tokens' probabilities, for all of them sum to 1.
    To ReferenceNet: how much of a place's self-attention goes to reference tokens. Where in its
    input: how much of all self-attention a place of what ReferenceNet sees gets, times the number
    of such places, so that stages of different sizes compare; the mean over the places is the share
    that goes to ReferenceNet at all.

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
                found["where in its input"].append(
                    _as_map(seen.mean(dim=0) * seen.shape[1], latents)
                )
        maps[stage] = {name: np.mean(all_, axis=0) for name, all_ in found.items() if all_}
    return maps


def draw_attention_sheet(
    recorder: AttentionRecorder,
    latents: tuple[int, int],
    picture: Image.Image,
    reference: Image.Image,
) -> Figure:
    """Draw the heat maps of all stages, a row a stage, as wide as a paper's text.

    All maps of a kind share a scale that begins at 0, with its colour bar below them. Beside them
    stand the picture and `reference`, which ReferenceNet sees: the texture map or the source.
    """
    from matplotlib.figure import Figure

    maps = average_maps(recorder, latents)
    columns = len(COLUMNS) + 1
    cell = (_WIDTH - _MARGINS) / columns
    height = len(maps) * cell * picture.height / picture.width + _MARGINS
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    axes = figure.subplots(len(maps), columns)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[], anchor="N")
        axis.spines[:].set_visible(False)
    for axis, shown, title in zip(
        axes[:, 0], (picture, reference), ("picture", "ReferenceNet's input"), strict=False
    ):
        axis.imshow(shown)
        axis.set_title(title, fontsize=_POINTS)
    for axis, stage in zip(axes[:, 1], maps, strict=True):
        axis.set_ylabel(stage, fontsize=_POINTS)
    for kind in KINDS:
        of_kind = [m[name] for m in maps.values() for name in kind if name in m]
        top = 1.0 if len(kind) > 1 else float(np.max(of_kind))
        places = [1 + COLUMNS.index(name) for name in kind]
        for column, name in zip(places, kind, strict=True):
            axes[0, column].set_title(name, fontsize=_POINTS)
            seen_in = reference if name == COLUMNS[-1] else picture
            for axis, of_stage in zip(axes[:, column], maps.values(), strict=True):
                if name in of_stage:
                    heat = axis.imshow(of_stage[name], vmin=0, vmax=top, interpolation="nearest")
                    axis.set_aspect(_stretch(of_stage[name], seen_in))
                else:
                    axis.text(0.5, 0.5, _NOTHING, ha="center", va="center", fontsize=_POINTS)
        bar = figure.colorbar(
            heat, ax=axes[:, places], location="bottom", pad=0.02, panchor=(0.5, 1.0)
        )
        bar.set_label("density" if name == COLUMNS[-1] else "probability", fontsize=_POINTS - 1)
        bar.ax.tick_params(labelsize=_POINTS - 1)
    return figure


def write_attention_sheet(path: Path, sheet: Figure, provenance: Provenance) -> None:
    """Write a sheet in the format that the file's name ends in: PNG, PDF or SVG.

    PDF and SVG have fields of their own for how the picture was made. Raises MCLDError when the
    file cannot be written.
    """
    from matplotlib import rc_context

    # Fonts of type 42, since many publishers take none of matplotlib's usual type 3.
    with rc_context({"pdf.fonttype": 42, "svg.hashsalt": "mcld"}), write_whole(path) as file:
        sheet.savefig(file, dpi=_DPI, metadata=_metadata(path.suffix, provenance))
        provenance.sign(file, path.name)


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


def _stretch(values: NDArray[np.float32], seen_in: Image.Image) -> float:
    """Height of a place of a map over its width, where the map is laid over the whole picture."""
    rows, columns = values.shape
    return float(seen_in.height / rows / (seen_in.width / columns))


def _metadata(suffix: str, provenance: Provenance) -> dict[str, str | None]:
    text = provenance.text
    if suffix == ".pdf":
        fields = {"Creator": "Software", "Subject": "Comment", "Keywords": "mcld"}
        return {"CreationDate": None, **{field: text[name] for field, name in fields.items()}}
    if suffix == ".svg":
        description = f"{text['Comment']} {text['mcld']}"
        return {"Date": None, "Creator": text["Software"], "Description": description}
    return {**provenance.make_png_text()}
