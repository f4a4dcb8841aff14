"""What each focal condition is worth to a network that has them all: one left out in turn."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from benchmarks.mannequin import (
    COLUMNS,
    Scores,
    average_scores,
    choose_pairs,
    encode,
    format_scores,
    repaint,
    score_picture,
)
from benchmarks.markdown import print_table
from mcld.conditions import FocalConditions
from mcld.dataset.layout import DatasetLayout
from mcld.networks.folders import load_pipeline
from mcld.networks.places import EMBEDDED
from mcld.person.prepared import read_prepared

CONDITIONS = {
    "source": "source embedding",
    "texture": "texture embedding",
    "face": "face embedding",
    "reference_latents": "reference latents",
}
"""Fields of `FocalConditions` that are left out, and what tables call them; the warped texture,
which more than one field holds, comes after them."""


def score(dataset: Path, pairs: int, weights: Path | None) -> None:
    """Print the scores of pairs of a mannequin folder, with all conditions and without each.

    Zeros stand in for what is left out, as they do in ablations; but nothing is trained anew. The
    warped texture is left out of the pose guider and of the refiner.
    """
    pipeline = load_pipeline(weights or EMBEDDED)
    options = pipeline.resolve_options()
    layout = DatasetLayout(dataset)
    chosen = choose_pairs(layout, pairs)
    scores: dict[str, list[Scores]] = {}
    for split, *names in track(chosen, "Sampling", console=Console(stderr=True)):
        person, goal = (read_prepared(layout, split, Path(name).stem) for name in names)
        every = encode(pipeline, person, goal.iuv, options)
        for left_out, conditions in _leave_out_each(every).items():
            made = np.asarray(repaint(pipeline, conditions, person, goal.iuv, options))
            one = score_picture(made, np.asarray(goal.photo), goal.iuv)
            scores.setdefault(left_out, []).append(one)
    rows = [[name, *format_scores(average_scores(values))] for name, values in scores.items()]
    print_table([f"{len(chosen)} pairs", *(title for title, _ in COLUMNS.values())], rows)


def _leave_out_each(every: FocalConditions) -> dict[str, FocalConditions]:
    """All conditions, and those without each that the network has."""
    without = {
        name: replace(every, **{field: torch.zeros_like(getattr(every, field))})
        for field, name in CONDITIONS.items()
    }
    if every.warped is not None:
        without["warped texture"] = every.drop_warped(len(every.pose))
    return {"all conditions": every, **{f"without {name}": c for name, c in without.items()}}
