"""The snapshots of a run's averages on disk, and what of averaging them can be refused at once.

<output>/snapshots/<images seen, 9 digits or more>-<relative width>.safetensors
"""

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from mcld.dataset.outputs import check_outputs
from mcld.errors import SettingsError, WeightsError
from mcld.settings import NARROWEST, WIDEST

MIN_SNAPSHOTS = 4
"""Times of a run at which snapshots must be taken at least."""


class Snapshot(NamedTuple):
    """The averaged weights of a run, at a time and of a width."""

    images: int
    """Pictures that the run had seen."""
    width: float
    """The standard deviation of the average's profile, as a share of the run until then."""
    path: Path


def name_snapshot(output: Path, images: int, width: float) -> Path:
    """The file of a snapshot."""
    return output / "snapshots" / f"{images:09d}-{width}.safetensors"


def find_snapshots(output: Path) -> list[Snapshot]:
    """The snapshots of a run, oldest first."""
    paths = (output / "snapshots").glob("*.safetensors")
    matched = [(path, re.fullmatch(r"(\d{9,})-(0\.\d+)", path.stem)) for path in paths]
    return sorted(Snapshot(int(m[1]), float(m[2]), path) for path, m in matched if m)


def remove_newer_snapshots(output: Path, images: int) -> None:
    """Remove the snapshots that a run which goes on after `images` pictures takes again."""
    for snapshot in find_snapshots(output):
        if snapshot.images > images:
            snapshot.path.unlink()


def check_average(run: Path, widths: Iterable[float], out: Path | None) -> list[Snapshot]:
    """The snapshots of the output folder `run`, to be averaged to `widths`, into the folder `out`.

    Raises SettingsError for a width that is none, and for an `out` that cannot be; WeightsError for
    a `run` without snapshots; MCLDError where nothing can be written.
    """
    for width in widths:
        if math.isnan(width) or not NARROWEST <= width <= WIDEST:
            raise SettingsError(
                f"--width {width}: give a share of the run, from {NARROWEST} to {WIDEST}"
            )
    if not (run / "start" / "model_index.json").is_file():
        lacks = "has no start/" if run.is_dir() else "does not exist"
        raise WeightsError(
            f"{run} {lacks}: give the output folder of a training (train.output), or of one stage"
            " of a recipe"
        )
    snapshots = find_snapshots(run)
    if not snapshots:
        raise WeightsError(
            f"{run} holds no snapshots: they are taken in training, with"
            " train.post_hoc_ema=[0.05, 0.1]"
        )
    if out is not None:
        if out.exists():
            raise SettingsError(f"{out} exists already: give the name of a new folder")
        check_outputs("--out", [out])
    return snapshots
