"""What a run is asked to do, looked at before anything is made and before torch is imported."""

import os
import re
import shlex
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.outputs import find_dataset
from mcld.errors import InputError, MCLDError, SettingsError, WeightsError
from mcld.machine.processes import runs_on_cpu
from mcld.settings import TrainSettings
from mcld.train.snapshots import MIN_SNAPSHOTS

WRITTEN = (
    "start",
    "checkpoints",
    "snapshots",
    "pipeline",
    "adapting",
    "adapted",
    "weights",
    "validation",
    "logs",
)
"""Folders of a run, in its output folder."""
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where PyTorch's processes hand over what they load
LITTLE_SHARED_MEMORY = (
    "give more, with docker's --shm-size=1g or --ipc=host, or set train.workers=0"
)
_PACKAGES = {
    "tensorboard": ("tensorboard", "tensorboardX"),
    "wandb": ("wandb",),
    "mlflow": ("mlflow",),
}
"""Tracker -> packages that bring it, any one of them."""
_BEGIN = (
    "to begin with a world of generated people: `mcld prepare dataset/mannequin --mannequins 40`,"
    " then `mcld train --config configs/mannequin.yaml`"
)


def checkpoints(output: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    folder = output / "checkpoints"
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if re.fullmatch(r"\d{9}", path.name))


def describe_saved(output: Path) -> str:
    """When a run was interrupted, by what is saved of it, and how to go on, in words."""
    if saved := checkpoints(output):
        pictures = int(saved[-1].name)
        return f"after {pictures:,} pictures that are saved in {output}: go on with --resume"
    return (
        "before the first checkpoint: the pictures that were encoded are kept, and the same command"
        " begins again"
    )


def check_run(options: TrainSettings, *, processes: int, resume: bool) -> None:
    """Raise an MCLDError for a run that cannot be meant, or cannot be done on this machine.

    processes: in which it will run.
    """
    check_inputs(options)
    earlier = checkpoints(options.output)
    if earlier and not resume:
        raise SettingsError(
            f"{options.output} holds checkpoints already: add --resume to go on from"
            f" {earlier[-1].name}, or set train.output to a new folder"
        )
    if resume and not earlier:
        raise SettingsError(f"{options.output} holds no checkpoint: leave --resume out")
    check_machine(options, processes)
    if not resume:
        check_start(options)
    check_folders(options, options.output, resume=resume)


def check_inputs(options: TrainSettings) -> None:
    """Raise InputError when there is no dataset, or no pair of it can be trained on."""
    layout = DatasetLayout(options.dataset)
    if not layout.list_file("train").exists():
        raise InputError(
            f"{layout.list_file('train')} is missing: prepare the dataset first, see `mcld prepare"
            f" --help`, or set train.dataset; {_BEGIN}"
        )
    pairs = layout.pairs("train")
    if not any(all(layout.is_prepared("train", Path(n).stem) for n in pair) for pair in pairs):
        raise _explain_no_pair(layout)


def check_start(options: TrainSettings) -> None:
    """Raise WeightsError when what training starts from is not there."""
    if options.start_from:
        if not (options.start_from / "model_index.json").is_file():
            lacks = "has no model_index.json" if options.start_from.is_dir() else "does not exist"
            raise WeightsError(
                f"{options.start_from} (train.start_from) is no pipeline folder: it {lacks}; give"
                " the `pipeline` folder that `mcld train` wrote"
            )
    elif options.pretrained and not options.pretrained.is_dir():
        raise WeightsError(
            f"{options.pretrained} (train.pretrained) does not exist: mcld weights download unet"
            " vae image-encoder controlnet; or train a small new network: --config"
            " configs/mannequin.yaml"
        )


def check_machine(options: TrainSettings, processes: int) -> None:
    """Raise SettingsError or MCLDError for what this machine, or a number of processes, cannot do.

    processes: in which the run will be.
    """
    batch = options.batch_size * options.accumulation * processes
    if options.images < batch:
        raise SettingsError(
            f"train.images, {options.images}, is less than one batch, {batch}: raise it,"
            " or lower train.batch_size"
        )
    if options.post_hoc_ema and options.images < MIN_SNAPSHOTS * options.snapshot_every:
        raise SettingsError(
            f"train.snapshot_every, {options.snapshot_every}, leaves less than {MIN_SNAPSHOTS}"
            f" times to take snapshots at in train.images, {options.images}: lower it"
        )
    for tracker in options.trackers:
        if not any(find_spec(package) for package in _PACKAGES[tracker]):
            raise SettingsError(
                f"train.trackers: {tracker} is not installed: pip install {tracker}, or leave it"
                " out"
            )
    if options.correspondence and options.compile:
        raise SettingsError(
            "train.correspondence is not trained with where the network is compiled: set it to 0,"
            " or train.compile to false"
        )
    if options.optimizer == "adamw8bit" and not find_spec("bitsandbytes"):
        raise SettingsError(
            "train.optimizer=adamw8bit needs the package bitsandbytes: pip install bitsandbytes,"
            " or set it to adamw"
        )
    launched = int(os.environ.get("LOCAL_WORLD_SIZE", "0"))  # of several machines, this one's
    check_shared_memory(options, launched or processes)
    if options.precision == "fp16" and runs_on_cpu():  # the only question that torch must answer
        raise SettingsError(
            "train.precision=fp16 needs a GPU, and there is none here: set it to bf16 or no"
        )


def check_shared_memory(options: TrainSettings, processes: int) -> None:
    """Raise MCLDError when what loads pictures would fill the shared memory with a few batches.

    processes: of this machine that are still to begin.
    """
    if not options.workers or not SHARED_MEMORY.is_dir():
        return
    maps = 3 * options.height * options.width  # the most of a sample, whatever the network is
    ahead = 2 * options.workers + 1  # batches: two that each process loads, one that is used
    needed, free = (
        maps * options.batch_size * ahead * processes,
        shutil.disk_usage(SHARED_MEMORY).free,
    )
    if free < needed:
        raise MCLDError(
            f"{SHARED_MEMORY} has {free / 1e6:,.1f} MB free, where what train.workers="
            f"{options.workers} load needs {needed / 1e6:,.1f} MB: {LITTLE_SHARED_MEMORY}"
        )


def check_folders(options: TrainSettings, output: Path, *, resume: bool = False) -> None:
    """Raise SettingsError where a run would write into, or over, what it reads.

    output: its folder, or that of a recipe. resume: the start is made already, and is read no more.
    """
    inputs = {options.dataset: "train.dataset"}
    if not resume and options.start_from:
        inputs[options.start_from] = "train.start_from"
    if not resume and options.pretrained and not options.start_from:
        inputs[options.pretrained] = "train.pretrained"
    for name, written in (("train.output", output), ("train.cache", options.cache)):
        if written is None:
            continue
        if root := find_dataset(written):
            raise SettingsError(
                f"{name}, {written}, lies among the files of the prepared dataset {root}: set it to"
                " another folder"
            )
        for folder, what in inputs.items():
            if what != "train.dataset" and _is_within(written, folder):
                raise SettingsError(
                    f"{name}, {written}, is in {folder}, {what}, which is read: set it to another"
                    " folder"
                )
    for folder, what in inputs.items():
        if any(_is_within(folder, output / part) for part in WRITTEN):
            raise SettingsError(
                f"train.output, {output}: {folder}, {what}, would be written over: set it to"
                " another folder"
            )


def _is_within(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def find_pairs(
    layout: DatasetLayout, say: Callable[[str], None]
) -> tuple[list[str], list[tuple[int, int]]]:
    """The stems of the prepared training pictures, and the pairs as rows of them.

    Raises InputError when there is no pair.
    """
    listed = [name.removesuffix(".jpg") for name in layout.names("train")]
    stems = [stem for stem in listed if layout.is_prepared("train", stem)]
    row = {f"{stem}.jpg": k for k, stem in enumerate(stems)}
    wanted = layout.pairs("train")
    pairs = [(row[a], row[b]) for a, b in wanted if a in row and b in row]
    if len(stems) < len(listed):
        say(
            f"left out, because they are not prepared: {len(listed) - len(stems):,} of"
            f" {len(listed):,} listed pictures, and {len(wanted) - len(pairs):,} of"
            f" {len(wanted):,} pairs"
        )
    if not pairs:
        raise _explain_no_pair(layout)
    return stems, pairs


def _explain_no_pair(layout: DatasetLayout) -> InputError:
    return InputError(
        f"{layout.pairs_file('train')} names no pair of prepared pictures: run `mcld prepare"
        f" {shlex.quote(str(layout.root))}` to the end"
    )
