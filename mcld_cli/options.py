"""Options that several commands share."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

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


def overrides_of(flags: Mapping[str, object], sets: list[str] | None) -> list[str]:
    """Flags that were given, as settings, after those of --set: a flag of its own wins."""
    return [*(sets or []), *(f"{key}={value}" for key, value in flags.items() if value is not None)]
