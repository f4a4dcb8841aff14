"""The embedded network on people it has never seen, beside two baselines that need no network."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

from mcld.dataset.layout import DatasetLayout, parse_identity
from mcld.dataset.pictures import colour_iuv, write_png
from mcld.dataset.sheet import contact_sheet
from mcld.machine.files import write_json
from mcld.networks.folders import EMBEDDED, load_pipeline
from mcld.person import read_prepared
from mcld.pipeline import MCLDPipeline, SamplingOptions
from mcld.sampling.background import finish_pictures
from mcld.sampling.paint import as_images, paint, read_inputs
from mcld.surface.warp import warp_texture

METHODS = ("mcld", "pasted texture", "source photo")
SHEET_ROWS = 6
BEHIND = "back"
"""The end of the stem of a picture from behind."""


def score(
    dataset: Path,
    out: Path,
    pairs: int,
    weights: Path | None = None,
    steps: int | None = None,
    guidance: float | None = None,
) -> None:
    """Sample pairs of a mannequin folder, write the pictures and a sheet, print the scores.

    PSNR and SSIM (Gaussian window, sigma 1.5) at the folder's own picture size, mean over pairs;
    PSNR on the body of the target's map and around it as well, and by how many levels of 255 what
    is around the body is too bright.
    """
    pipeline = load_pipeline(weights or EMBEDDED)
    options = pipeline.resolve_options(num_inference_steps=steps, guidance_scale=guidance)
    layout = DatasetLayout(dataset)
    chosen = _spread([(s, *p) for s in ("train", "test") for p in layout.pairs(s)], pairs)
    scores: dict[str, list[dict[str, float]]] = {method: [] for method in METHODS}
    rows: dict[str, tuple[bool, list[np.ndarray]]] = {}
    for split, name_from, name_to in track(chosen, "Sampling", console=Console(stderr=True)):
        source, target = Path(name_from).stem, Path(name_to).stem
        made, row, body = _one_pair(pipeline, options, layout, split, source, target)
        truth = row[-1]
        for method, picture in made.items():
            scores[method].append(_score_picture(picture, truth, body))
        write_png(out / f"{source}_2_{target}.png", made["mcld"])
        behind, person = (
            source.endswith(BEHIND) or target.endswith(BEHIND),
            parse_identity(name_from),
        )
        # Of each person the first pair without a view from behind, if there is one.
        if person not in rows or behind < rows[person][0]:
            rows[person] = behind, row
    sheet = out / "sheet.png"
    write_png(sheet, _sheet([row for _, row in rows.values()][:SHEET_ROWS]))
    means = {
        method: {name: float(np.mean([score[name] for score in values])) for name in COLUMNS}
        for method, values in scores.items()
    }
    _print(means, len(chosen))
    write_json(out / "scores.json", {"pairs": len(chosen), **means})
    print(f"{len(chosen)} pictures in {out}\nside by side: {sheet}")


def _one_pair(
    pipeline: MCLDPipeline,
    options: SamplingOptions,
    layout: DatasetLayout,
    split: str,
    source: str,
    target: str,
) -> tuple[dict[str, np.ndarray], list[np.ndarray], np.ndarray]:
    """The pictures of every method, a row of the sheet, which ends in the truth, and the body."""
    person, goal = read_prepared(layout, split, source), read_prepared(layout, split, target)
    iuv, truth = goal.iuv, np.asarray(goal.photo)
    with torch.no_grad():
        conditions = pipeline.conditions(read_inputs(pipeline, [person], iuv, options))
    (made,) = as_images(paint(pipeline, conditions, options, [0]))
    (made,) = finish_pictures([made], person, iuv, options)
    photo = np.asarray(person.photo)
    pasted = paste_texture(np.asarray(person.texture), iuv, photo)
    pictures = dict(zip(METHODS, (np.asarray(made), pasted, photo), strict=True))
    unrolled = np.asarray(person.texture.resize(truth.shape[1::-1]))
    row = [photo, unrolled, colour_iuv(iuv), pasted, np.asarray(made), truth]
    return pictures, row, iuv[..., 0] > 0


def paste_texture(texture: np.ndarray, iuv: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """Look every body pixel of the target up in the source's texture map.

    Around the body is the colour of the photo's corner; where the texture map has a hole, its mean.
    """
    seen = texture.any(axis=-1)
    filled = np.where(seen[..., None], texture, texture[seen].mean(axis=0).astype(np.uint8))
    return np.where(iuv[..., :1] > 0, warp_texture(iuv, filled), photo[0, 0]).astype(np.uint8)


def _score_picture(picture: np.ndarray, truth: np.ndarray, body: np.ndarray) -> dict[str, float]:
    """The numbers of `COLUMNS`; body: bool [H, W]."""
    a, b = (
        torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
        for image in (picture, truth)
    )
    off = picture.astype(float) - truth
    return {
        "psnr": float(peak_signal_noise_ratio(a, b, data_range=1.0)),
        "ssim": float(structural_similarity_index_measure(a, b, data_range=1.0)),
        "psnr_body": _psnr(off[body]),
        "psnr_around": _psnr(off[~body]),
        "levels_around": float(off[~body].mean()),
    }


def _psnr(off: np.ndarray) -> float:
    """In dB, of differences on 0..255."""
    return float(20 * np.log10(255 / max(np.sqrt(np.square(off).mean()), 1e-6)))


def _spread(pairs: list, count: int) -> list:
    """`count` pairs drawn evenly at random, the same every time."""
    order = np.random.default_rng(0).permutation(len(pairs))[:count]
    return [pairs[k] for k in order]


def _sheet(rows: list[list[np.ndarray]]) -> np.ndarray:
    """Rows of pictures under the names of their columns."""
    height, width = rows[0][-1].shape[:2]
    columns = ("source", "texture", "pose", "pasted", "mcld", "truth")
    pictures = [[Image.fromarray(picture) for picture in row] for row in rows]
    return contact_sheet(columns, pictures, (width, height))


COLUMNS = {
    "psnr": ("PSNR (dB)", ".2f"),
    "ssim": ("SSIM", ".3f"),
    "psnr_body": ("on the body", ".2f"),
    "psnr_around": ("around it", ".2f"),
    "levels_around": ("too bright by", "+.1f"),
}


def _print(means: dict[str, dict[str, float]], pairs: int) -> None:
    table = Table(title=f"{pairs} pairs of people never seen in training")
    table.add_column("")
    for title, _ in COLUMNS.values():
        table.add_column(title, justify="right")
    for method, numbers in means.items():
        table.add_row(method, *(f"{numbers[n]:{digits}}" for n, (_, digits) in COLUMNS.items()))
    Console().print(table)
