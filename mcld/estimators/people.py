"""Which of several people in a photo counts."""

import numpy as np
from numpy.typing import NDArray

_SHARE = 0.5
"""Share of the highest score, from which on another box counts as a person, not as a guess."""


def count_people(scores: NDArray[np.float32]) -> int:
    """How many of the boxes are people, at least half as probable as the first.

    scores: [P], probabilities, the highest first; P is at least 1.
    """
    return int((scores >= _SHARE * scores[0]).sum())


def explain_absence(person: str | int) -> str:
    """Why nobody counts, such as "no person was found"; person: as for `choose_person`."""
    if isinstance(person, int) and person > 1:
        return f"fewer than {person} people were found"
    return "no person was found"


def choose_person(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], person: str | int
) -> int | None:
    """The row of the person that counts; None where there are fewer.

    boxes: [P, 4], (left, top, right, bottom). scores: as for `count_people`. person: as in
    `prepare.person`: "confident", the first; "largest", of those that `count_people` counts; or the
    number of one, from 1, which says nothing where only one is counted.
    """
    count = count_people(scores)
    if person == "largest":
        width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
        return int((width * height)[:count].argmax())
    row = person - 1 if isinstance(person, int) and count > 1 else 0
    return row if row < count else None
