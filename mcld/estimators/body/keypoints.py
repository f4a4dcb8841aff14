"""Poses in files of keypoints, as the older projects of the field store them.

OpenPose's JSON (BODY_25, BODY_18), COCO's (17 keypoints), lists of them, and the annotation tables
of Pose Transfer and its successors: `name:keypoints_y:keypoints_x`, 18 numbers each, -1 for what is
not seen.
"""

from __future__ import annotations

import ast
import csv
import json
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mcld.errors import InputError
from mcld.estimators.body.landmarks import LANDMARKS

_BODY_18 = (0, None, 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7)
_LAYOUTS: dict[int, tuple[int | None, ...]] = {
    17: (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28),
    18: _BODY_18,
    25: (
        *_BODY_18[:8],
        *(None, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7),
        *(31, None, 29, 32, None, 30),
    ),
    LANDMARKS: tuple(range(LANDMARKS)),
}
"""Keypoints of a person -> which of BlazePose's landmarks each is; None: it has none."""
_LEAST = 4
"""Keypoints that tell a pose, at least."""
_MOST = 100_000
"""Rows of a table that are looked at, at most."""


class Keypoints(NamedTuple):
    """The keypoints of one person."""

    places: NDArray[np.float32]
    """[33, 2] (x, y) in pixels, of BlazePose's landmarks."""
    known: NDArray[np.bool_]
    """[33] which of them the file has."""
    size: tuple[int, int] | None
    """Height and width of the picture they were found in, where the file tells."""


def is_keypoints(path: Path) -> bool:
    """Whether a file is named as one of keypoints: NAME.json, NAME.csv or NAME.csv#ROW."""
    return path.name.partition("#")[0].lower().endswith((".json", ".csv"))


def read_keypoints(path: Path, person: str | int = "confident") -> Keypoints:
    """Read one person's keypoints.

    path: of a table, "TABLE.csv#NAME" names the row. person: who counts of several, as in
    `choose_person`; the larger, the surer.

    Raises InputError for what is no file of keypoints, or has too few of them.
    """
    name, _, row = path.name.partition("#")
    file = path.with_name(name)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"{file} does not exist") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: it is no text") from error
    if file.suffix.lower() == ".csv":
        return _from_points(path, _read_row(file, text, row), None)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} is no JSON: {error}") from error
    people = [p for p in _find_people(content) if p is not None]
    if not people:
        raise InputError(
            f"{file} holds no keypoints: give OpenPose's JSON (people, pose_keypoints_2d) or COCO's"
            " (keypoints)"
        )
    size = _find_size(content)
    found, reasons = [], []
    for points in people:
        try:
            found.append(_from_points(path, points, size))
        except InputError as error:
            reasons.append(error)
    if not found:
        raise reasons[0]
    found.sort(key=_measure, reverse=True)
    number = person if isinstance(person, int) and len(found) > 1 else 1
    if number > len(found):
        raise InputError(f"{file} has no person {number}: it has {len(found)}")
    return found[number - 1]


def _measure(keypoints: Keypoints) -> float:
    return float(np.ptp(keypoints.places[keypoints.known], axis=0).max())


def _find_people(content: Any) -> list[Any]:
    """The numbers of each person in any of the forms."""
    if isinstance(content, dict):
        for key in ("people", "annotations"):
            if isinstance(content.get(key), list):
                return [_find_numbers(one) for one in content[key]]
        return [_find_numbers(content)]
    if isinstance(content, list) and content:
        if all(isinstance(one, dict) for one in content):
            return [person for one in content for person in _find_people(one)]
        return [content]
    return []


def _find_numbers(person: Any) -> Any:
    if isinstance(person, dict):
        for key in ("pose_keypoints_2d", "pose_keypoints", "keypoints"):
            if person.get(key):
                return person[key]
    return None


def _find_size(content: Any) -> tuple[int, int] | None:
    """Of the picture, as editors of poses and COCO's files write it."""
    if isinstance(content, list):
        content = content[0] if content else None
    images = content.get("images") if isinstance(content, dict) else None
    for one in (content, images[0] if isinstance(images, list) and images else None):
        if isinstance(one, dict):
            for high, wide in (("canvas_height", "canvas_width"), ("height", "width")):
                numbers = one.get(high), one.get(wide)
                if all(isinstance(n, int | float) and 8 <= n <= 16_384 for n in numbers):
                    return int(numbers[0]), int(numbers[1])  # type: ignore[arg-type]
    return None


def _read_row(file: Path, text: str, row: str) -> list[list[float]]:
    """The points [18][x, y, confidence] of a row of an annotation table."""
    delimiter = ":" if ":" in text.partition("\n")[0] else ","
    try:
        rows = list(islice(csv.DictReader(text.splitlines(), delimiter=delimiter), _MOST))
    except csv.Error as error:
        raise InputError(f"{file} is no table: {error}") from error
    if not rows or not {"name", "keypoints_y", "keypoints_x"} <= rows[0].keys():
        raise InputError(
            f"{file} is no table of keypoints: its first line must be name:keypoints_y:keypoints_x"
        )
    if not row and len(rows) > 1:
        raise InputError(
            f"{file} has {len(rows):,} rows: name one, as {file.name}#{rows[0]['name']}"
        )
    chosen = next((r for r in rows if not row or r["name"] == row), None)
    if chosen is None:
        raise InputError(f"{file} has no row {row!r}; its first is {rows[0]['name']!r}")
    try:
        y, x = (ast.literal_eval(chosen[key].strip()) for key in ("keypoints_y", "keypoints_x"))
        return [[float(a), float(b), float(a >= 0 and b >= 0)] for a, b in zip(x, y, strict=True)]
    except (ValueError, SyntaxError, TypeError, AttributeError, MemoryError) as error:
        raise InputError(f"{file}: the keypoints of {chosen['name']!r} are no numbers") from error


def _from_points(path: Path, points: Any, size: tuple[int, int] | None) -> Keypoints:
    try:
        numbers = np.array(points, np.float64)
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: the keypoints are no numbers") from error
    if numbers.ndim == 1 and numbers.size % 3 == 0:
        numbers = numbers.reshape(-1, 3)
    if numbers.ndim != 2 or numbers.shape[1] not in (2, 3) or len(numbers) not in _LAYOUTS:
        raise InputError(
            f"{path}: a person has 17 (COCO), 18 or 25 (OpenPose) keypoints of x, y and confidence,"
            f" not numbers of shape {'x'.join(map(str, numbers.shape))}"
        )
    seen = np.isfinite(numbers).all(1) & (numbers[:, :2] != 0).any(1)
    seen &= numbers[:, 2] > 0 if numbers.shape[1] == 3 else True
    seen &= (np.abs(numbers[:, :2]) < 1e5).all(1)
    places = np.zeros((LANDMARKS, 2), np.float32)
    known = np.zeros(LANDMARKS, bool)
    for (x, y, *_), is_seen, place in zip(numbers, seen, _LAYOUTS[len(numbers)], strict=True):
        if is_seen and place is not None:
            places[place], known[place] = (x, y), True
    if known.sum() < _LEAST:
        raise InputError(
            f"{path}: {int(known.sum())} keypoints are seen; a pose takes at least {_LEAST}"
        )
    spread = np.ptp(places[known], axis=0).max()
    if places[known].max() <= 1 and places[known].min() >= 0:  # shares of the picture
        height, width = size or _PORTRAIT
        places *= (width, height)
    elif spread < 4:
        raise InputError(f"{path}: all keypoints lie in one place")
    return Keypoints(places, known, size)


_PORTRAIT = (1024, 704)
"""Height and width that stand in for those of an unknown picture."""


def lay_canvas(keypoints: Keypoints) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """The places [33, 2] in a picture, and its height and width.

    Where the file tells no size, the person is laid into an upright picture.
    """
    if keypoints.size is not None:
        return keypoints.places, keypoints.size
    height, width = _PORTRAIT
    low = keypoints.places[keypoints.known].min(0)
    high = keypoints.places[keypoints.known].max(0)
    scale = min(0.8 * height / max(high[1] - low[1], 1), 0.8 * width / max(high[0] - low[0], 1))
    middle = np.array([width, height]) / 2 + (0, 0.03 * height)
    places = (keypoints.places - (low + high) / 2) * scale + middle
    return places.astype(np.float32), _PORTRAIT
