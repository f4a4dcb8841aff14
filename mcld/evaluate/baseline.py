"""Published figures, to stand beside measured ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import yaml

from mcld.dataset.results import RESULT_SIZES
from mcld.errors import SettingsError
from mcld.evaluate.scores import COLUMNS

if TYPE_CHECKING:
    from pathlib import Path


class _Loader(yaml.SafeLoader):
    """YAML without repeated keys, of which others take the last: 256 and "256" are one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    where = f"line {key.start_mark.line + 1}"
                    raise yaml.YAMLError(f"{where}: {key.value} is given twice")
                seen.add(key.value)
        return super().construct_mapping(node, deep)


Figures = tuple[str, str, dict[str, float]]
"""Whose, at which size ("256" or "512"), metric -> number."""


def read_baselines(path: Path) -> list[Figures]:
    """The figures of a YAML file: `name: {"256": {psnr: 18.9}}`.

    Raises SettingsError when it cannot be read, says something twice, or names what is not a size,
    a metric or a finite number.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a safe one
    except OSError as error:
        raise SettingsError(f"--baseline {path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise SettingsError(f"--baseline {path} cannot be read: {reason}") from error
    if not isinstance(content, dict):
        raise SettingsError(f'--baseline {path} must hold `name: {{"256": {{psnr: 18.9}}}}`')
    figures: list[Figures] = []
    for name, sizes in content.items():
        for size, numbers in _mapping(path, name, sizes).items():
            if str(size) not in RESULT_SIZES:
                known = " and ".join(RESULT_SIZES)
                raise SettingsError(
                    f"--baseline {path}: {name}: {size} is no size; there are {known}"
                )
            for metric, number in _mapping(path, f"{name}, {size}", numbers).items():
                if metric not in COLUMNS:
                    known = ", ".join(COLUMNS)
                    raise SettingsError(
                        f"--baseline {path}: {name}: {metric} is no metric; there are {known}"
                    )
                whole = isinstance(number, int) and not isinstance(number, bool)
                if not whole and not (isinstance(number, float) and math.isfinite(number)):
                    raise SettingsError(
                        f"--baseline {path}: {name}: {metric}: {number} is no finite number"
                    )
            figures.append((str(name), str(size), {m: float(n) for m, n in numbers.items()}))
    return figures


def _mapping(path: Path, where: str, value: object) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise SettingsError(
            f'--baseline {path}: {where}: give `name: {{"256": {{psnr: 18.9}}}}`, not {value!r}'
        )
    return value
