"""The parts of the body: DensePose's labels, and where they lie in an IUV map."""

import numpy as np
from numpy.typing import NDArray

PARTS = 24
"""Part labels are 1 to 24; 0 is the background."""
TORSO, HANDS, FEET, LEGS = (1, 2), (3, 4), (5, 6), tuple(range(7, 15))
ARMS, HEAD = tuple(range(15, 23)), (23, 24)
"""Part labels of groups of parts."""
RIGHT_HEAD, LEFT_HEAD = HEAD
CHAINS = ((TORSO,), (LEGS[:4], LEGS[4:]), (ARMS[:4], ARMS[4:]))
"""What the body's rings go around, each from its upper end: trunk, thighs and shins, upper and
lower arms."""


def head_box(iuv: NDArray[np.uint8]) -> tuple[slice, slice] | None:
    """The rows and columns of the smallest box around the head; None where no head is seen.

    iuv: uint8 [H, W, 3] (I, U, V).
    """
    head = np.isin(iuv[..., 0], HEAD)
    if not head.any():
        return None
    rows, columns = np.flatnonzero(head.any(axis=1)), np.flatnonzero(head.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
