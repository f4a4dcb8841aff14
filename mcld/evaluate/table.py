"""Scores side by side: as a table, and compared pair by pair."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mcld.dataset.results import RESULT_SIZES
from mcld.evaluate.baseline import Figures
from mcld.evaluate.registry import COLUMNS
from mcld.evaluate.scores import Scores
from mcld.machine.files import write_json

ARROWS = {1: " ↑", -1: " ↓", 0: ""}
RESAMPLES = 2000
CONFIDENCE = 0.95


def build_table(
    results: Sequence[Scores], baselines: Sequence[Figures]
) -> tuple[list[str], list[list[str]]]:
    """Titles and cells: a column for each results, measured ones first; a row for each number.

    A metric that nobody has at a size gets no row.
    """
    figures = [
        Figures(scores.name, size, at_size.values)
        for scores in results
        for size, at_size in scores.sizes.items()
    ]
    figures += baselines
    values = {(column.name, column.size): column.numbers for column in figures}
    names = list(dict.fromkeys(column.name for column in figures))
    rows = []
    for size in RESULT_SIZES:
        for metric, column in COLUMNS.items():
            numbers = [values.get((name, size), {}).get(metric) for name in names]
            if any(number is not None for number in numbers):
                title = f"{column.title}{ARROWS[column.better]}"
                rows.append([title, size, *(format_value(metric, number) for number in numbers)])
    return ["metric", "size", *names], rows


def format_value(metric: str, value: float | None) -> str:
    """A number with the digits of its metric; a dash for none."""
    return "–" if value is None else f"{value:.{COLUMNS[metric].digits}f}"


def format_difference(metric: str, value: float) -> str:
    """A difference with its sign and the digits of its metric."""
    return f"{value:+.{COLUMNS[metric].digits}f}"


class Difference(NamedTuple):
    """How the second of two results differs from the first, over the pairs that both have."""

    metric: str
    mean: float
    low: float
    high: float
    """The confidence interval of the mean, from 2,000 bootstrap samples of the pairs, which are
    taken as independent."""
    pairs: int

    @property
    def verdict(self) -> str:
        """Better, worse, or not significant, by the interval."""
        if self.low <= 0 <= self.high:
            return "not significant"
        return "better" if self.mean * COLUMNS[self.metric].better > 0 else "worse"


class Comparison(NamedTuple):
    """Two results at a size, pair by pair: `second` minus `first`."""

    first: str
    second: str
    size: str
    differences: list[Difference]


def compare_results(results: Sequence[Scores]) -> list[Comparison]:
    """At each size, all results against the first that have it."""
    comparisons: list[Comparison] = []
    for size in RESULT_SIZES:
        at_size = [scores for scores in results if size in scores.sizes]
        comparisons += [
            Comparison(at_size[0].name, other.name, size, differences)
            for other in at_size[1:]
            if (differences := compare_pairs(at_size[0], other, size))
        ]
    return comparisons


def write_comparisons(path: Path, comparisons: Sequence[Comparison]) -> None:
    """Write differences.json. Raises MCLDError when it cannot be written."""
    content = {
        "intervals": f"{CONFIDENCE:.0%}, of the mean, from {RESAMPLES:,} bootstrap samples of the"
        " pairs, which are taken as independent",
        "differences": describe_comparisons(comparisons),
    }
    write_json(path, content)


def describe_comparisons(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """As JSON has them: one entry for each metric of two results at a size."""
    return [
        {
            "first": comparison.first,
            "second": comparison.second,
            "size": comparison.size,
            **difference._asdict(),
            "verdict": difference.verdict,
        }
        for comparison in comparisons
        for difference in comparison.differences
    ]


def compare_pairs(first: Scores, second: Scores, size: str) -> list[Difference]:
    """The mean paired difference, second minus first, of every metric of single pictures."""
    a, b = first.sizes[size].rows, second.sizes[size].rows
    differences = []
    for metric, column in COLUMNS.items():
        both = [
            (a[name][metric], b[name][metric])
            for name in sorted(a.keys() & b.keys())
            if metric in a[name] and metric in b[name]
        ]
        steps = np.array([y - x for x, y in both if math.isfinite(x) and math.isfinite(y)])
        if not column.per_picture or len(steps) < 2:
            continue
        low, high = bootstrap_mean(steps)
        differences.append(Difference(metric, float(steps.mean()), low, high, len(steps)))
    return differences


def bootstrap_mean(values: NDArray[np.float64]) -> tuple[float, float]:
    """The confidence interval of the mean of two or more values, from 2,000 bootstrap samples."""
    from scipy.stats import bootstrap  # here, because it loads much and few ask for intervals

    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    low, high = bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=100,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(low), float(high)
