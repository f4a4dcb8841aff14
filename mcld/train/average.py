"""Averages of any length, made of the snapshots that a run has left: `mcld weights average`."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from mcld.errors import WeightsError
from mcld.machine.tensor_files import check_keys, explain_unreadable
from mcld.networks.folders import load_pipeline
from mcld.train.finish import round_weights, write_pipeline
from mcld.train.finite import check_weights
from mcld.train.post_hoc_ema import fit_profile
from mcld.train.snapshots import Snapshot
from mcld.train.trackers import read_record

MAX_ERROR = 0.1
"""Of a profile that still counts as that of a width, as `fit_profile` has it."""


def profile_errors(snapshots: Sequence[Snapshot], widths: Sequence[float]) -> dict[float, float]:
    """Width -> the error of its profile as the snapshots make it: 0 is exact."""
    return {width: fit_profile(snapshots, width)[1] for width in widths}


def average_snapshots(
    run: Path,
    snapshots: Sequence[Snapshot],
    targets: Mapping[float, Path],
    count: Callable[[int, int], None],
) -> None:
    """Write pipeline folders whose networks are averages, at the time of the newest snapshot.

    What is not trained is that of `run/start`, and so is the precision, `train.save_dtype`. One
    tensor of one snapshot is in memory at a time, beside the network.

    Args:
        run: the output folder of the run.
        snapshots: its, as `check_average` has them.
        targets: relative width -> its new folder.
        count: told how many tensors of the snapshots are read, and of how many.

    Raises WeightsError for a width that the snapshots do not make, before anything is read, and for
    snapshots that are damaged, of another network or not finite; MCLDError where a folder cannot be
    written.
    """
    errors = profile_errors(snapshots, list(targets))
    for width, error in errors.items():
        if error > MAX_ERROR:
            raise WeightsError(
                f"the {len(snapshots)} snapshots in {run} do not make the width {width}: its"
                f" profile would be off by {error:.0%}; `mcld weights average {run}` lists what"
                " they make"
            )
    start = run / "start"
    record = read_record(start)
    pipeline = load_pipeline(start)
    parameters = dict(pipeline.network.named_parameters())
    with ExitStack() as stack:
        files = [stack.enter_context(_open_snapshot(snapshot.path)) for snapshot in snapshots]
        trained = sorted(files[-1].keys())
        wanted = {key: tuple(parameters[key].shape) for key in trained if key in parameters}
        for snapshot, file in zip(snapshots, files, strict=True):
            shapes = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
            tensors = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
            check_keys(snapshot.path, tensors, wanted)
        for row, (width, target) in enumerate(targets.items()):
            factors, error = fit_profile(snapshots, width)
            for done, key in enumerate(trained, 1):
                average = torch.zeros(wanted[key], dtype=torch.float64)
                for factor, file in zip(factors.tolist(), files, strict=True):
                    average.add_(file.get_tensor(key), alpha=factor)
                parameters[key].data.copy_(average)
                count(row * len(trained) + done, len(targets) * len(trained))
            check_weights(pipeline, f"the snapshots in {run}")
            round_weights(pipeline, record["settings"]["train"]["save_dtype"])
            how = {"width": width, "images": snapshots[-1].images, "profile_error": error}
            write_pipeline(pipeline, target, {**record, "post_hoc_ema": how})


def _open_snapshot(path: Path) -> Any:
    """A snapshot, of which nothing is read yet, as a context; raises WeightsError for damage."""
    try:
        return safe_open(path, "pt")
    except (OSError, SafetensorError) as error:
        raise WeightsError(explain_unreadable(path, error)) from error
