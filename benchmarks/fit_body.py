"""How near a pose in another's proportions is to the truth, which of mannequins is known."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.body import compare

if TYPE_CHECKING:
    from mcld.body.shape import BodyShape

_SIZE = (512, 352)
_NAMES = ("silhouette IoU", "labels", "U", "V")
_COLUMNS = ("source", "pose", "pose of the source: truth", "with --fit-body")


def measure(people: int, out: Path | None) -> Iterator[tuple[str, float]]:
    """Of pairs of builds: agreement with the true map, of the pose as it is and drawn anew.

    The true body stands where the drawn one does: as it best covers the map of the pose.

    out: a sheet of the maps.
    """
    from mcld.body.fit import draw_fitted_map, fit_body
    from mcld.body.render import render_map
    from mcld.body.shape import draw_body_shape, pose_vertices
    from mcld.dataset.pictures import colour_iuv, write_png
    from mcld.dataset.sheet import contact_sheet
    from mcld.mannequin.world import pose

    rng = np.random.default_rng(0)

    def draw_build() -> BodyShape:
        betas = tuple(np.clip(rng.normal(0, 1.2, 10), -2.5, 2.5).tolist())
        return replace(draw_body_shape(rng), betas=betas, head=float(rng.uniform(1, 1.75)))

    fit_body(_stand(draw_build()), "")  # the first loads much
    before, after, seconds, rows = [], [], [], []
    for k in range(people):
        driver, source = draw_build(), draw_build()
        stance, other = (pose(0, 2 * k + j, int(rng.integers(8))) for j in range(2))
        rotations = stance.rotation_array()
        given = render_map(pose_vertices(driver, rotations), stance, *_SIZE)
        own = render_map(pose_vertices(source, other.rotation_array()), other, *_SIZE)
        start = time.perf_counter()
        fitted = fit_body(given, "pose")
        drawn = draw_fitted_map(fitted, fit_body(own, "source").shape)
        seconds.append(time.perf_counter() - start)
        turn = np.array([0, stance.turn, 0], np.float32)
        known = fitted._replace(shape=driver, rotations=rotations, orientation=turn)
        truth = draw_fitted_map(known, source)
        before.append(compare(truth, given))
        after.append(compare(truth, drawn))
        if out is not None:
            rows.append([Image.fromarray(colour_iuv(m)) for m in (own, given, truth, drawn)])
    for what, figures in (("pose as it is", before), ("drawn anew", after)):
        for name, value in zip(_NAMES, np.mean(figures, 0), strict=True):
            yield f"{what}: {name}", round(float(value), 3)
    yield "s, both fits", round(float(np.median(seconds)), 2)
    if out is not None:
        write_png(out, contact_sheet([*_COLUMNS], rows, (220, 320)))


def _stand(shape: BodyShape) -> NDArray[np.uint8]:
    from mcld.body.parameters import read_gallery
    from mcld.body.pose_map import draw_pose_map

    return draw_pose_map(read_gallery("standing"), shape=shape)
