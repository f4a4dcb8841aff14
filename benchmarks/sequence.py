"""How steady a sequence is: people who move, beside the truth, which can be rendered."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.progress import track
from scipy.spatial.transform import Rotation

from benchmarks.mannequin import score_picture
from benchmarks.markdown import print_table
from mcld.body.parameters import find_motion, read_motion
from mcld.estimators.head_crop import HeadCrop
from mcld.estimators.texture import extract_texture
from mcld.evaluate.sequence import SurfaceChange
from mcld.mannequin.world import identity, pose, render
from mcld.mannequin.world.map_noise import disturb_map
from mcld.networks.folders import load_pipeline
from mcld.networks.places import EMBEDDED
from mcld.person.person import Person
from mcld.pipeline import MCLDPipeline
from mcld.sampling.background import find_behind, finish_pictures
from mcld.sampling.inputs import read_inputs
from mcld.sampling.paint import as_images, paint
from mcld.sampling_options import SamplingOptions
from mcld.surface.smooth import smooth_maps

SIZE = (384, 264)
SEED = 5
"""Of a world that nothing was trained on."""
MOTIONS = ("walk", "turn", "catwalk")
"""Of those that come along: each doll does the next."""

Frames = list[np.ndarray]


def score(people: int, count: int, weights: Path | None) -> None:
    """Print how near to the truth, and how steady, the frames of moving dolls are.

    All in levels of 255: the warping error is the mean difference of the same place of the surface
    in two frames that follow each other, along the true flow, and is told less the truth's own as
    well; the deviation is that of a place's colour over all frames; flicker is the mean difference
    of what is around the body, where nothing moves. Truth and maps are rendered.
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
        scores.setdefault("the truth", []).append([np.inf, 1.0, *_measure(truth, maps), 0.0])
        for name, change in kinds.items():
            given, seeds = change(maps)
            begun = perf_counter()
            made = _paint(pipeline, person, given, options, seeds)
            seconds = (perf_counter() - begun) / count
            near = [score_picture(*one) for one in zip(made, truth, maps, strict=True)]
            means = [float(np.mean([one[key] for one in near])) for key in ("psnr_body", "ssim")]
            scores.setdefault(name, []).append([*means, *_measure(made, maps), seconds])
    rows, own = [], np.mean(scores["the truth"], axis=0)[2]
    for name, numbers in scores.items():
        body, ssim, *steady, seconds = np.mean(numbers, axis=0)
        told = "" if np.isinf(body) else f"{body:.2f}"
        levels = [f"{one:.2f}" for one in (steady[0], steady[0] - own, *steady[1:])]
        rows.append([name, told, f"{ssim:.3f}", *levels, f"{seconds:.2f}"])
    columns = ["PSNR on the body (dB)", "SSIM", "warping error", "less the truth's", "deviation"]
    columns += ["flicker around", "s/frame"]
    print_table([f"{people} dolls, {count} frames each", *columns], rows)


def _move(index: int, count: int) -> tuple[Person, Frames, Frames]:
    """A doll as source, and the frames and maps of one of the motions that come along."""
    someone, first = identity(SEED, index), pose(SEED, index, 0)
    photo, iuv = render(someone, first, SIZE)
    face = HeadCrop().embed(photo, iuv)
    person = Person(
        str(index),
        Image.fromarray(photo),
        iuv,
        Image.fromarray(extract_texture(photo, iuv)),
        torch.zeros(512) if face is None else torch.from_numpy(face),
    )
    motion = read_motion(find_motion(Path(MOTIONS[index % len(MOTIONS)])))
    frames = []
    for body in motion.bodies[:count]:
        rotations = tuple(map(tuple, body.rotations.tolist()))
        ahead = Rotation.from_rotvec(body.orientation).apply([0, 0, 1])
        turn = float(np.arctan2(ahead[0], ahead[2]))
        frames.append(render(someone, replace(first, rotations=rotations, turn=turn), SIZE))
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


def _measure(frames: Frames, maps: Frames) -> list[float]:
    """Warping error and deviation on the surface, and flicker around the body."""
    surface = SurfaceChange()
    for frame, iuv in zip(frames, maps, strict=True):
        surface.add(frame, iuv)
    bodies = np.any([iuv[..., 0] > 0 for iuv in maps], axis=0)
    grown = np.asarray(Image.fromarray(bodies).resize((33, 48)).resize(bodies.shape[::-1]))
    around = ~(bodies | grown)
    steps = [np.abs(a.astype(int) - b)[around].mean() for a, b in pairwise(frames)]
    return [surface.warping_error or 0.0, surface.deviation or 0.0, float(np.mean(steps))]
