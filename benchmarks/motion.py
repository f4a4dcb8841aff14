"""How steady a sequence is: people who move, beside the truth, which can be rendered."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.progress import track

from benchmarks.mannequin import score_picture
from benchmarks.markdown import print_table
from mcld.estimators.head_crop import HeadCrop
from mcld.estimators.texture import extract_texture
from mcld.mannequin.world import identity, pose, render
from mcld.mannequin.world.map_noise import disturb_map
from mcld.networks.folders import EMBEDDED, load_pipeline
from mcld.person import Person
from mcld.pipeline import MCLDPipeline, SamplingOptions
from mcld.sampling.background import find_behind, finish_pictures
from mcld.sampling.paint import as_images, paint, read_inputs
from mcld.surface.charts import TEXTURE_SIZE, find_texels
from mcld.surface.smooth import smooth_maps

SIZE = (384, 264)
SEED = 5
"""Of a world that nothing was trained on."""

Frames = list[np.ndarray]


def score(people: int, count: int, weights: Path | None) -> None:
    """Print how near to the truth, and how steady, the frames of moving dolls are.

    Flicker is the mean difference of two frames that follow each other, in levels of 255: around
    the body, where nothing moves; and on its surface, of the same texel in both.
    """
    pipeline = load_pipeline(weights or EMBEDDED)
    options = pipeline.resolve_options()
    kinds: dict[str, Callable[[Frames], tuple[Frames, list[int]]]] = {
        "exact maps": lambda maps: (maps, [0] * count),
        "exact maps, another seed each frame": lambda maps: (maps, list(range(count))),
        "noisy maps": lambda maps: (_disturb(maps), [0] * count),
        "noisy maps, smoothed": lambda maps: (_smooth(_disturb(maps)), [0] * count),
    }
    scores: dict[str, list[list[float]]] = {}
    for index in track(range(people), "Sampling", console=Console(stderr=True)):
        person, truth, maps = _move(index, count)
        scores.setdefault("the truth", []).append([np.inf, 1.0, *_measure(truth, maps, maps)])
        for name, change in kinds.items():
            given, seeds = change(maps)
            made = _paint(pipeline, person, given, options, seeds)
            near = [score_picture(*one) for one in zip(made, truth, maps, strict=True)]
            means = [float(np.mean([one[key] for one in near])) for key in ("psnr_body", "ssim")]
            scores.setdefault(name, []).append([*means, *_measure(made, maps, maps)])
    rows = []
    for name, numbers in scores.items():
        body, ssim, around, surface = np.mean(numbers, axis=0)
        told = "" if np.isinf(body) else f"{body:.2f}"
        rows.append([name, told, f"{ssim:.3f}", f"{around:.2f}", f"{surface:.2f}"])
    columns = ["PSNR on the body (dB)", "SSIM", "flicker around", "flicker on the surface"]
    print_table([f"{people} dolls, {count} frames each", *columns], rows)


def _move(index: int, count: int) -> tuple[Person, Frames, Frames]:
    """A doll as source, and the frames and maps of their way from one pose to another."""
    someone = identity(SEED, index)
    first, last = pose(SEED, index, 0), pose(SEED, index, 1)
    photo, iuv = render(someone, first, SIZE)
    face = HeadCrop().embed(photo, iuv)
    person = Person(
        str(index),
        Image.fromarray(photo),
        iuv,
        Image.fromarray(extract_texture(photo, iuv)),
        torch.zeros(512) if face is None else torch.from_numpy(face),
    )
    frames = []
    for share in np.linspace(0, 1, count):
        rotations = first.rotation_array() * (1 - share) + last.rotation_array() * share
        between = replace(
            first,
            rotations=tuple(map(tuple, rotations.tolist())),
            turn=first.turn * (1 - share) + last.turn * share,
        )
        frames.append(render(someone, between, SIZE))
    return person, [image for image, _ in frames], [iuv for _, iuv in frames]


def _disturb(maps: Frames) -> Frames:
    rng = np.random.default_rng(0)
    return [disturb_map(rng, iuv) for iuv in maps]


def _smooth(maps: Frames, reach: int = 2) -> Frames:
    smooth = []
    for k in range(len(maps)):
        near = min(reach, k, len(maps) - 1 - k)
        smooth.append(smooth_maps(maps[k - near : k + near + 1]))
    return smooth


@torch.no_grad()
def _paint(
    pipeline: MCLDPipeline,
    person: Person,
    maps: Frames,
    options: SamplingOptions,
    seeds: list[int],
) -> Frames:
    behind, made = find_behind(person, options), []
    for iuv, seed in zip(maps, seeds, strict=True):
        conditions = pipeline.conditions(read_inputs(pipeline, [person], iuv, options))
        pictures = as_images(paint(pipeline, conditions, options, [seed]))
        made += map(np.asarray, finish_pictures(pictures, person, iuv, options, behind))
    return made


def _measure(frames: Frames, maps: Frames, truth: Frames) -> list[float]:
    """Flicker around the body and on its surface."""
    bodies = np.any([iuv[..., 0] > 0 for iuv in truth], axis=0)
    grown = np.asarray(Image.fromarray(bodies).resize((33, 48)).resize(bodies.shape[::-1]))
    around = ~(bodies | grown)
    steps = [np.abs(a.astype(int) - b)[around].mean() for a, b in pairwise(frames)]
    unrolled = [_unroll(*one) for one in zip(frames, maps, strict=True)]
    surface = []
    for (a, seen_a), (b, seen_b) in pairwise(unrolled):
        both = seen_a & seen_b
        surface.append(np.abs(a[both] - b[both]).mean())
    return [float(np.mean(steps)), float(np.mean(surface))]


def _unroll(frame: np.ndarray, iuv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean colour of each texel that a frame shows, and which these are."""
    body = iuv[..., 0] > 0
    texels, size = find_texels(iuv)[body] // 4, TEXTURE_SIZE**2 // 4  # of four texels each
    number = np.bincount(texels, minlength=size)
    sums = [np.bincount(texels, frame[body][:, c], size) for c in range(3)]
    return np.stack(sums, -1) / np.maximum(number, 1)[:, None], number > 0
