"""Options that several commands share."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from mcld.errors import SettingsError, WeightsError

HOW = "How"
"""Help panel of the options that say how pictures are sampled."""

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="YAML",
        help="Settings file, such as configs/mannequin.yaml.",
        show_default=False,
    ),
]

Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change one setting, such as train.batch_size=8. May be repeated.",
        show_default=False,
    ),
]


def _there(weights: Path | None) -> Path | None:
    if weights is not None and not weights.is_dir():
        what = "is no folder" if weights.exists() else "does not exist"
        raise WeightsError(
            f"--weights {weights} {what}: give a pipeline folder, or one with"
            " the four files of the authors' layout"
        )
    return weights


Weights = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        callback=_there,
        help="A pipeline folder, or one with the four files of the authors' layout."
        " (default: the network that came with mcld)",
        rich_help_panel=HOW,
    ),
]

Seed = Annotated[
    int | None,
    typer.Option(metavar="N", help="Of the starting noise. (default 0)", rich_help_panel=HOW),
]

Steps = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Denoising steps. (default: the weights' own)", rich_help_panel=HOW
    ),
]

Guidance = Annotated[
    float | None,
    typer.Option(
        metavar="X",
        help="How far to follow the conditions; 1: no guidance. (default: the weights' own)",
        rich_help_panel=HOW,
    ),
]

Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="ddim, dpm++, unipc or euler. (default: the weights' own)",
        rich_help_panel=HOW,
    ),
]

Fast = Annotated[
    bool,
    typer.Option(
        "--fast",
        help="Where more steps are asked for, 10 of unipc: half the time of 20.",
        rich_help_panel=HOW,
    ),
]

Size = Annotated[
    str | None,
    typer.Option(
        metavar="HxW",
        help="Height and width the network works at, such as 512x352. (default: as it was trained)",
        rich_help_panel=HOW,
    ),
]

Dtype = Annotated[
    str | None,
    typer.Option(
        metavar="DTYPE",
        help="float32, bfloat16 or float16. (default: bfloat16 on a GPU, else float32)",
        rich_help_panel=HOW,
    ),
]

Device = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Such as cuda:1 or cpu. (default: a GPU where there is one)",
        rich_help_panel=HOW,
    ),
]

Compile = Annotated[
    bool,
    typer.Option(
        "--compile",
        help="Compile the network; pays off over many pictures.",
        rich_help_panel=HOW,
    ),
]

LowMemory = Annotated[
    bool,
    typer.Option(
        "--low-memory",
        help="Bring each network to the GPU only when it is needed; slower.",
        rich_help_panel=HOW,
    ),
]


def overrides_of(flags: Mapping[str, object], sets: list[str] | None) -> list[str]:
    """Flags that were given, as settings, after those of --set: a flag of its own wins."""
    return [*(sets or []), *(f"{key}={value}" for key, value in flags.items() if value is not None)]


def sampling_flags(
    seed: int | None,
    steps: int | None,
    guidance: float | None,
    scheduler: str | None,
    fast: bool,
    size: str | None,
    dtype: str | None,
    device: str | None,
    compile_: bool,
    low_memory: bool,
) -> dict[str, object]:
    """The settings that the options of the help panel `HOW` change."""
    if fast and (steps is not None or scheduler is not None):
        raise SettingsError("--fast chooses --steps and --scheduler: leave them out")
    height, width = _size(size)
    return {
        "sample.seed": seed,
        "sample.num_inference_steps": steps,
        "sample.guidance_scale": guidance,
        "sample.scheduler": scheduler,
        "sample.height": height,
        "sample.width": width,
        "sample.dtype": dtype,
        "sample.device": device,
        "sample.compile": compile_ or None,
        "sample.fast": fast or None,
        "sample.low_memory": low_memory or None,
    }


def _size(text: str | None) -> tuple[str | None, str | None]:
    """Height and width of "HEIGHTxWIDTH"."""
    if text is None:
        return None, None
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if not found or any(int(side) < 8 or int(side) % 8 for side in found.groups()):
        raise SettingsError(
            f"--size {text}: give height and width in pixels, multiples of 8, such as 512x352"
        )
    return found[1], found[2]


def demand(options: Mapping[str, object], what: str) -> None:
    """Raise SettingsError, which begins with `what`, for options that were not given."""
    missing = [name for name, value in options.items() if value is None]
    if missing:
        verb = "are" if len(missing) > 1 else "is"
        raise SettingsError(f"{what}: {' and '.join(missing)} {verb} missing")


def refuse(options: Mapping[str, object], partner: str) -> None:
    """Raise SettingsError for options that were given and go with others only."""
    for name, value in options.items():
        if value not in (None, False):
            raise SettingsError(f"{name} goes with {partner}")
