"""Published figures, to stand beside measured ones."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

from mcld.dataset.results import RESULT_SIZES
from mcld.errors import SettingsError
from mcld.evaluate.registry import COLUMNS
from mcld.machine.yaml_file import read_yaml


class Figures(NamedTuple):
    """The numbers of one table's column at one size."""

    name: str
    """Whose."""
    size: str
    """"256" or "512"."""
    numbers: dict[str, float]
    """Metric -> number."""
    source: str = ""
    """Where they were published."""


def read_baselines(path: Path) -> list[Figures]:
    """The figures of a YAML file: `name: {source: where, "256": {psnr: 18.9}}`.

    Raises SettingsError when it cannot be read, says something twice, or names what is not a size,
    a metric or a finite number.
    """
    content = read_yaml(path, "--baseline")
    if not isinstance(content, dict):
        raise SettingsError(f'--baseline {path} must hold `name: {{"256": {{psnr: 18.9}}}}`')
    figures: list[Figures] = []
    for name, given in content.items():
        sizes = dict(_check_mapping(path, name, given))
        source = sizes.pop("source", None) or ""
        if not isinstance(source, str):
            raise SettingsError(f"--baseline {path}: {name}: source: give a text")
        for size, numbers in _check_mapping(path, name, sizes).items():
            if str(size) not in RESULT_SIZES:
                known = " and ".join(RESULT_SIZES)
                raise SettingsError(
                    f"--baseline {path}: {name}: {size} is no size; there are {known}"
                )
            checked = _read_numbers(path, name, _check_mapping(path, f"{name}, {size}", numbers))
            figures.append(Figures(str(name), str(size), checked, source))
    return figures


def _read_numbers(path: Path, name: str, numbers: dict[Any, Any]) -> dict[str, float]:
    for metric, number in numbers.items():
        if metric not in COLUMNS:
            known = ", ".join(COLUMNS)
            raise SettingsError(
                f"--baseline {path}: {name}: {metric} is no metric; there are {known}"
            )
        if not _is_finite(number):
            raise SettingsError(
                f"--baseline {path}: {name}: {metric}: {number} is no finite number"
            )
    above = [m for m, number in numbers.items() if COLUMNS[m].share and float(number) > 1]
    if above:
        raise SettingsError(
            f"--baseline {path}: {name}: {above[0]}: {numbers[above[0]]} is above 1: give"
            " it as a share, not in percent"
        )
    return {metric: float(number) for metric, number in numbers.items()}


def _is_finite(number: object) -> bool:
    try:
        return isinstance(number, str) and math.isfinite(float(number))
    except ValueError:
        return False


def _check_mapping(path: Path, where: str, value: object) -> dict[Any, Any]:
    if not isinstance(value, dict) or not value:
        raise SettingsError(
            f'--baseline {path}: {where}: give `name: {{"256": {{psnr: 18.9}}}}`, not {value!r}'
        )
    return value
