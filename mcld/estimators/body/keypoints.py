"""Poses in files of keypoints, as the older projects of the field store them.

OpenPose's JSON (BODY_25, BODY_18), COCO's (17 keypoints), lists of them, and the annotation tables
of Pose Transfer and its successors: `name:keypoints_y:keypoints_x`, 18 numbers each, -1 for what is
not seen.
"""

from __future__ import annotations

import ast
import csv
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mcld.errors import InputError
from mcld.estimators.body import LANDMARKS

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


_PORTRAIT = (1024, 704)
"""Height and width that stand in for those of an unknown picture."""
_SHARES = 2.0
"""Coordinates below this are shares of the picture: some lie a little beyond it."""
_SMALLEST = 4.0
"""Pixels between keypoints, at least."""


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
    if not name:
        raise InputError(f"{path} names no file of keypoints")
    file = path.with_name(name)
    text = _read_text(file)
    if file.suffix.lower() == ".csv":
        return _from_points(path, _read_row(file, text, row), None)
    try:
        people = [(n, size) for n, size in _find_people(json.loads(text)) if n]
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} is no JSON: {error}") from error
    if not people:
        raise InputError(
            f"{file} holds no keypoints: give OpenPose's JSON (people, pose_keypoints_2d) or COCO's"
            " (keypoints)"
        )
    found, reasons = [], []
    for points, size in people:
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


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"{file} does not exist") from error
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file} holds no keypoints: it is no text") from error


def _measure(keypoints: Keypoints) -> float:
    return float(np.ptp(keypoints.places[keypoints.known], axis=0).max())


def _find_people(content: Any) -> list[tuple[Any, tuple[int, int] | None]]:
    """The numbers of each person, in any of the forms, and the size of their picture."""
    if isinstance(content, dict):
        images = {
            image.get("id"): image for image in content.get("images") or () if _is_dict(image)
        }
        for key in ("people", "annotations"):
            if isinstance(content.get(key), list):
                people = filter(_is_dict, content[key])
                return [
                    (_find_numbers(one), _find_size(images.get(one.get("image_id"), content)))
                    for one in people
                ]
        return [(_find_numbers(content), _find_size(content))]
    if isinstance(content, list) and content:
        if all(map(_is_dict, content)):
            return [person for one in content for person in _find_people(one)]
        return [(content, None)]
    return []


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)


def _find_numbers(person: dict[str, Any]) -> Any:
    keys = ("pose_keypoints_2d", "pose_keypoints", "keypoints")
    return next((person[key] for key in keys if person.get(key)), None)


def _find_size(picture: dict[str, Any]) -> tuple[int, int] | None:
    """Height and width, as editors of poses and COCO's files write them."""
    for keys in (("canvas_height", "canvas_width"), ("height", "width")):
        height, width = map(picture.get, keys)
        if all(isinstance(n, int | float) and 8 <= n <= 16_384 for n in (height, width)):
            return int(height), int(width)  # type: ignore[arg-type]
    return None


def _read_row(file: Path, text: str, row: str) -> list[list[float]]:
    """The points [18][x, y, confidence] of a row of an annotation table."""
    delimiter = ":" if ":" in text.partition("\n")[0] else ","
    try:
        rows = list(csv.DictReader(text.splitlines(), delimiter=delimiter))
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
        y, x = (
            ast.literal_eval(str(chosen[key]).strip()) for key in ("keypoints_y", "keypoints_x")
        )
        return [[float(a), float(b), float(a >= 0 and b >= 0)] for a, b in zip(x, y, strict=True)]
    except (ValueError, SyntaxError, TypeError, ArithmeticError, MemoryError) as error:
        raise InputError(f"{file}: the keypoints of {chosen['name']!r} are no numbers") from error


def _from_points(path: Path, points: Any, size: tuple[int, int] | None) -> Keypoints:
    try:
        numbers = np.array(points, np.float64)
    except (ValueError, TypeError, OverflowError) as error:
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
    if np.abs(places[known]).max() < _SHARES:  # of the picture, not pixels
        height, width = size or _PORTRAIT
        places *= (width, height)
    if np.ptp(places[known], axis=0).max() < _SMALLEST:
        raise InputError(f"{path}: all keypoints lie in one place")
    return Keypoints(places, known, size)


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
