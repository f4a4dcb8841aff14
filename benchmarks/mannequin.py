"""The embedded network on people it has never seen, beside two baselines that need no network."""

from itertools import groupby, permutations
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

from mcld.conditions import FocalConditions
from mcld.dataset.layout import DatasetLayout, parse_identity
from mcld.dataset.pictures import colour_iuv, write_png
from mcld.dataset.sheet import contact_sheet
from mcld.machine.files import write_json
from mcld.mannequin.prepare import ALONE
from mcld.networks.folders import load_pipeline
from mcld.networks.places import EMBEDDED
from mcld.person.person import Person
from mcld.person.prepared import read_prepared
from mcld.pipeline import MCLDPipeline
from mcld.sampling.background import finish_pictures
from mcld.sampling.inputs import read_inputs
from mcld.sampling.paint import as_images, paint
from mcld.sampling_options import SamplingOptions
from mcld.surface.parts import HEAD
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
    PSNR on the body of the target's map and around it as well, on its head where it shows one, and
    by how many levels of 255 what is around the body is too bright.
    """
    pipeline = load_pipeline(weights or EMBEDDED)
    options = pipeline.resolve_options(num_inference_steps=steps, guidance_scale=guidance)
    layout = DatasetLayout(dataset)
    chosen = choose_pairs(layout, pairs)
    scores: dict[str, list[Scores]] = {method: [] for method in METHODS}
    rows: dict[str, tuple[bool, list[np.ndarray]]] = {}
    for split, name_from, name_to in track(chosen, "Sampling", console=Console(stderr=True)):
        source, target = Path(name_from).stem, Path(name_to).stem
        made, row, iuv = _one_pair(pipeline, options, layout, split, source, target)
        truth = row[-1]
        for method, picture in made.items():
            scores[method].append(score_picture(picture, truth, iuv))
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
    means = {method: average_scores(values) for method, values in scores.items()}
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
    """The pictures of every method, a row of the sheet, which ends in the truth, and its map."""
    person, goal = read_prepared(layout, split, source), read_prepared(layout, split, target)
    iuv, truth = goal.iuv, np.asarray(goal.photo)
    conditions = encode(pipeline, person, iuv, options)
    made = np.asarray(repaint(pipeline, conditions, person, iuv, options))
    photo = np.asarray(person.photo)
    pasted = paste_texture(np.asarray(person.texture), iuv, photo)
    pictures = dict(zip(METHODS, (made, pasted, photo), strict=True))
    unrolled = np.asarray(person.texture.resize(truth.shape[1::-1]))
    row = [photo, unrolled, colour_iuv(iuv), pasted, made, truth]
    return pictures, row, iuv


@torch.no_grad()
def encode(
    pipeline: MCLDPipeline, person: Person, iuv: np.ndarray, options: SamplingOptions
) -> FocalConditions:
    """What the network gets of a person and a pose, uint8 [H, W, 3] (I, U, V)."""
    return pipeline.conditions(read_inputs(pipeline, [person], iuv, options))


def repaint(
    pipeline: MCLDPipeline,
    conditions: FocalConditions,
    person: Person,
    iuv: np.ndarray,
    options: SamplingOptions,
) -> Image.Image:
    """The picture of seed 0, finished, at the size of the person's photo."""
    pictures = as_images(paint(pipeline, conditions, options, [0]))
    (finished,) = finish_pictures(pictures, person, iuv, options)
    return finished


def paste_texture(texture: np.ndarray, iuv: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """Look every body pixel of the target up in the source's texture map.

    Around the body is the colour of the photo's corner; where the texture map has a hole, its mean.
    """
    seen = texture.any(axis=-1)
    filled = np.where(seen[..., None], texture, texture[seen].mean(axis=0).astype(np.uint8))
    return np.where(iuv[..., :1] > 0, warp_texture(iuv, filled), photo[0, 0]).astype(np.uint8)


Scores = dict[str, float | None]
"""The numbers of `COLUMNS`; None of a head that is not seen."""


def score_picture(picture: np.ndarray, truth: np.ndarray, iuv: np.ndarray) -> Scores:
    """Score a picture, uint8 [H, W, 3] RGB; iuv: of the truth, as high and wide."""
    body, head = iuv[..., 0] > 0, np.isin(iuv[..., 0], HEAD)
    a, b = (
        torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
        for image in (picture, truth)
    )
    off = picture.astype(float) - truth
    return {
        "psnr": float(peak_signal_noise_ratio(a, b, data_range=1.0)),
        "ssim": float(structural_similarity_index_measure(a, b, data_range=1.0)),
        "psnr_body": _psnr(off[body]),
        "psnr_head": _psnr(off[head]) if head.any() else None,
        "psnr_around": _psnr(off[~body]),
        "levels_around": float(off[~body].mean()),
    }


def average_scores(scores: list[Scores]) -> Scores:
    """The mean of each column, over the pairs that have the number."""
    columns = {name: [s[name] for s in scores if s[name] is not None] for name in COLUMNS}
    return {name: float(np.mean(found)) if found else None for name, found in columns.items()}


def format_scores(scores: Scores) -> list[str]:
    """In the order of `COLUMNS`, as tables show them."""
    shown = ((scores[name], digits) for name, (_, digits) in COLUMNS.items())
    return ["" if number is None else f"{number:{digits}}" for number, digits in shown]


def _psnr(off: np.ndarray) -> float:
    """In dB, of differences on 0..255."""
    return float(20 * np.log10(255 / max(np.sqrt(np.square(off).mean()), 1e-6)))


def list_people(layout: DatasetLayout) -> list[tuple[str, list[str]]]:
    """Of each person the split, and the names of the pictures before their own wall."""
    return [
        (split, list(names))
        for split in ("train", "test")
        for _, names in groupby(
            (n for n in layout.names(split) if not n.endswith(f"{ALONE}.jpg")), parse_identity
        )
    ]


def choose_pairs(layout: DatasetLayout, count: int) -> list[tuple[str, str, str]]:
    """`count` of (split, from, to) drawn evenly at random, the same every time."""
    pairs = [
        (split, *pair) for split, names in list_people(layout) for pair in permutations(names, 2)
    ]
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
    "psnr_body": ("body", ".2f"),
    "psnr_head": ("head", ".2f"),
    "psnr_around": ("around", ".2f"),
    "levels_around": ("too bright by", "+.1f"),
}


def _print(means: dict[str, Scores], pairs: int) -> None:
    table = Table(title=f"{pairs} pairs of people never seen in training")
    table.add_column("")
    for title, _ in COLUMNS.values():
        table.add_column(title, justify="right")
    for method, numbers in means.items():
        table.add_row(method, *format_scores(numbers))
    Console().print(table)
