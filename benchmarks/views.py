"""What more photos of a person bring: one to four of them, gathered into one texture map."""

from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from benchmarks.mannequin import (
    COLUMNS,
    Scores,
    average_scores,
    encode,
    format_scores,
    list_people,
    paste_texture,
    repaint,
    score_picture,
)
from benchmarks.markdown import print_table
from mcld.dataset.layout import DatasetLayout
from mcld.machine.processes import ignore
from mcld.networks.folders import load_pipeline
from mcld.networks.places import EMBEDDED
from mcld.person.person import Person, gather_person
from mcld.person.prepared import read_prepared
from mcld.surface.charts import smpl_labels

MOST = 4


def score(dataset: Path, weights: Path | None) -> None:
    """Print the scores of people of a mannequin folder, repainted from 1 to 4 of their pictures.

    Each is shown in the pose of the last picture that the folder has of them. The first of the
    others is the source; then comes, again and again, the one that shows the most of what those
    before it do not.
    """
    pipeline = load_pipeline(weights or EMBEDDED)
    options = pipeline.resolve_options()
    layout = DatasetLayout(dataset)
    people = [one for one in list_people(layout) if len(one[1]) > 1]
    scores: dict[tuple[int, str], list[Scores]] = {}
    shown: dict[int, list[float]] = {}
    body = smpl_labels() > 0
    for split, names in track(people, "Sampling", console=Console(stderr=True)):
        *others, goal = (read_prepared(layout, split, Path(name).stem) for name in names)
        truth = np.asarray(goal.photo)
        views = _order(others)
        for count in range(1, min(MOST, len(views)) + 1):
            person = gather_person(views[:count], ignore)
            texture = np.asarray(person.texture)
            shown.setdefault(count, []).append(float(texture[body].any(axis=-1).mean()))
            conditions = encode(pipeline, person, goal.iuv, options)
            made = repaint(pipeline, conditions, person, goal.iuv, options)
            pasted = paste_texture(texture, goal.iuv, np.asarray(person.photo))
            for method, picture in (("mcld", np.asarray(made)), ("pasted", pasted)):
                one = score_picture(picture, truth, goal.iuv)
                scores.setdefault((count, method), []).append(one)
    rows = [
        [
            f"{count}, {method}",
            f"{100 * np.mean(shown[count]):.0f} %",
            *format_scores(average_scores(values)),
        ]
        for (count, method), values in sorted(scores.items())
    ]
    titles = [title for title, _ in COLUMNS.values()]
    print_table([f"photos, of {len(people)} people", "body shown", *titles], rows)


def _order(others: list[Person]) -> list[Person]:
    """The first, then always that which adds the most to the texels shown."""
    left = {k: np.asarray(person.texture).any(axis=-1) for k, person in enumerate(others)}
    chosen, seen = [others[0]], left.pop(0)
    while left:
        best = max(left, key=lambda k: (left[k] & ~seen).sum())
        seen = seen | left.pop(best)
        chosen.append(others[best])
    return chosen
