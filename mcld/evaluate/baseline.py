"""Published figures, to stand beside measured ones."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from mcld.dataset.results import RESULT_SIZES
from mcld.errors import SettingsError
from mcld.evaluate.scores import COLUMNS
from mcld.machine.yaml_file import read_yaml

_SHARES = ("ssim", "ssim_256", "face_cosine")

Figures = tuple[str, str, dict[str, float]]
"""Whose, at which size ("256" or "512"), metric -> number."""


def read_baselines(path: Path) -> list[Figures]:
    """The figures of a YAML file: `name: {"256": {psnr: 18.9}}`.

    Raises SettingsError when it cannot be read, says something twice, or names what is not a size,
    a metric or a finite number.
    """
    content = read_yaml(path, "--baseline")
    if not isinstance(content, dict):
        raise SettingsError(f'--baseline {path} must hold `name: {{"256": {{psnr: 18.9}}}}`')
    figures: list[Figures] = []
    for name, sizes in content.items():
        for size, numbers in _check_mapping(path, name, sizes).items():
            if str(size) not in RESULT_SIZES:
                known = " and ".join(RESULT_SIZES)
                raise SettingsError(
                    f"--baseline {path}: {name}: {size} is no size; there are {known}"
                )
            for metric, number in _check_mapping(path, f"{name}, {size}", numbers).items():
                if metric not in COLUMNS:
                    known = ", ".join(COLUMNS)
                    raise SettingsError(
                        f"--baseline {path}: {name}: {metric} is no metric; there are {known}"
                    )
                if not _is_finite(number):
                    raise SettingsError(
                        f"--baseline {path}: {name}: {metric}: {number} is no finite number"
                    )
            above = [m for m in _SHARES if float(numbers.get(m, 0)) > 1]
            if above:
                raise SettingsError(
                    f"--baseline {path}: {name}: {above[0]}: {numbers[above[0]]} is above 1: give"
                    " it as a share, not in percent"
                )
            figures.append((str(name), str(size), {m: float(n) for m, n in numbers.items()}))
    return figures


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
