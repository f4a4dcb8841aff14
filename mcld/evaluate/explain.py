"""What each difference of two protocols does to the numbers of the same pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mcld.evaluate.protocol import Protocol
from mcld.evaluate.registry import COLUMNS
from mcld.evaluate.scores import Scores
from mcld.evaluate.table import format_difference, format_value
from mcld.machine.files import write_json


class Step(NamedTuple):
    """The numbers of a protocol on the way from one to another."""

    field: str
    """What it changed; empty for the first."""
    change: str
    """From what to what."""
    protocol: Protocol
    scores: Scores


def list_protocols_between(first: Protocol, second: Protocol) -> list[tuple[str, str, Protocol]]:
    """(field, change, protocol) from the first to the second, one field after the other."""
    current = first
    steps = [("", "", first)]
    for field in first.list_differences(second):
        before, after = getattr(current, field), getattr(second, field)
        current = current.model_copy(update={field: after, "name": f"{first.name}+{field}"})
        change = " → ".join("none" if value is None else str(value) for value in (before, after))
        steps.append((field, change, current))
    return steps


def explain(first: Protocol, second: Protocol, score: Callable[[Protocol], Scores]) -> list[Step]:
    """Score by each protocol between two; `score` keeps what it knows of pictures."""
    return [
        Step(field, change, protocol, score(protocol))
        for field, change, protocol in list_protocols_between(first, second)
    ]


def build_explanation(
    steps: Sequence[Step], second: Protocol, size: str
) -> tuple[list[str], list[list[str]]]:
    """Titles and cells of one size: the first's numbers, what each step changes, the second's."""
    values = [step.scores.sizes[size].values for step in steps]
    metrics = [m for m, column in COLUMNS.items() if column.better and all(m in v for v in values)]
    titles = [f"{size}", *(COLUMNS[metric].title for metric in metrics)]
    rows = [[steps[0].protocol.name, *(format_value(m, values[0][m]) for m in metrics)]]
    for before, after, step in zip(values, values[1:], steps[1:], strict=False):
        cells = [
            "=" if after[m] == before[m] else format_difference(m, after[m] - before[m])
            for m in metrics  # not by their difference: infinite ones have none
        ]
        rows.append([f"{step.field}: {step.change}", *cells])
    rows.append([second.name, *(format_value(m, values[-1][m]) for m in metrics)])
    return titles, rows


def write_explanation(path: Path, steps: Sequence[Step], second: Protocol) -> None:
    """Write the numbers of each step as JSON. Raises MCLDError when they cannot be written."""
    write_json(path, describe_explanation(steps, second))


def describe_explanation(steps: Sequence[Step], second: Protocol) -> dict[str, Any]:
    """The numbers of each step."""
    first = steps[0].protocol
    return {
        "from": {"name": first.name, "hash": first.hash},
        "to": {"name": second.name, "hash": second.hash},
        "steps": [
            {
                "field": step.field,
                "change": step.change,
                "protocol_hash": step.protocol.hash,
                "values": step.scores.describe()["values"],
            }
            for step in steps
        ],
    }
