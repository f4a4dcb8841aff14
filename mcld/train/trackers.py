"""Where a run is written down: TensorBoard, Weights & Biases, MLflow, and a record of its own."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from accelerate import Accelerator

import mcld
from mcld.dataset.pictures import read_image
from mcld.errors import SettingsError, WeightsError
from mcld.settings import Settings

RECORD_FILE = "training.yaml"
_FIXED = ("train.optimizer", "train.frozen", "train.post_hoc_ema")
"""What a run cannot change once it is begun, besides `model` and `mannequin`.

Its checkpoints are of that kind.
"""
_FREE = ("mannequin.patches",)
"""What it may change in those groups."""
_PAST = ("train.start_from", "train.pretrained", "train.output")
"""What no longer matters then."""
_LIBRARIES = ("torch", "diffusers", "transformers", "accelerate")


def make_record(settings: Settings) -> dict[str, Any]:
    """What training.yaml holds: the resolved settings, the versions, the commit of a checkout."""
    return {
        "mcld": mcld.__version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in _LIBRARIES},
        "settings": settings.model_dump(mode="json"),
    }


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write training.yaml beside weights."""
    (folder / RECORD_FILE).write_text(yaml.safe_dump(dict(record), sort_keys=False), "utf-8")


def read_record(folder: Path) -> dict[str, Any]:
    """Read training.yaml back. Raises WeightsError when it is missing or damaged."""
    path = folder / RECORD_FILE
    try:
        record = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise WeightsError(f"{path} cannot be read: {error}") from error
    if not isinstance(record, dict) or not isinstance(record.get("settings"), dict):
        raise WeightsError(f"{path} is no record of a training")
    return record


def check_resumed(folder: Path, settings: Settings) -> str | None:
    """In a line, the settings that differ from the record in `folder`; None when none do.

    What the record lacks did not exist when the run was begun: it was as it is by default.

    Raises SettingsError when the network would have to be another one.
    """
    try:
        record = yaml.safe_load((folder / RECORD_FILE).read_text(encoding="utf-8"))["settings"]
        groups = ("model", "mannequin", "scheduler", "train")
        recorded = {name: dict(record.get(name) or {}) for name in groups}
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        return None  # there is nothing to compare with
    now = settings.model_dump(mode="json")
    changed = {
        f"{group}.{name}": f"{then} -> {now[group][name]}"
        for group, fields in recorded.items()
        for name, default in type(getattr(settings, group))().model_dump(mode="json").items()
        if (then := fields.get(name, default)) != now[group][name]
        and f"{group}.{name}" not in _PAST
    }
    for name, change in changed.items():
        fixed = name.startswith(("model.", "mannequin.")) and name not in _FREE
        if fixed or name in _FIXED:
            raise SettingsError(
                f"{name} cannot change while a network is trained: {change}; set it back, or train"
                " further in a new train.output, with train.start_from"
            )
    listed = ", ".join(f"{name} {change}" for name, change in changed.items())
    return f"other settings than this run was begun with: {listed}" if changed else None


def _commit() -> str | None:
    """The commit of the checkout that mcld runs from, if it is one."""
    checkout = Path(mcld.__file__).parents[1]
    if not (checkout / ".git").exists():  # or it would be that of the project around it
        return None
    command = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


def start_trackers(accelerator: Accelerator, settings: Settings) -> None:
    """Start the trackers of `train.trackers`; what they keep on this machine is in the output."""
    flat = {
        f"{group}.{name}": value if isinstance(value, int | float) else str(value)
        for group, fields in settings.model_dump(mode="json").items()
        for name, value in fields.items()
    }
    folder = str(settings.train.output)
    accelerator.init_trackers("mcld", flat, init_kwargs={"wandb": {"dir": folder}})


def log_validation(
    accelerator: Accelerator, images: int, path: Path, psnr: float, ssim: float
) -> None:
    """Log a validation sheet, a PNG, and its scores, in the main process."""
    accelerator.log({"validation/psnr": psnr, "validation/ssim": ssim}, step=images)
    pictures: dict[str, Any] = {"validation": read_image(path)[None]}
    for tracker in accelerator.trackers:
        if tracker.name == "mlflow":
            tracker.log_artifact(str(path))
        else:
            options = {"dataformats": "NHWC"} if tracker.name == "tensorboard" else {}
            tracker.log_images(pictures, step=images, **options)
