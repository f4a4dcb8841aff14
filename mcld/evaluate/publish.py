"""The table of scores as papers, pages and spreadsheets take it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mcld.dataset.results import RESULT_SIZES
from mcld.evaluate.baseline import Figures
from mcld.evaluate.registry import COLUMNS
from mcld.evaluate.scores import Scores
from mcld.evaluate.styles import Style
from mcld.evaluate.table import ARROWS, bootstrap_mean, format_value

_LATEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}
_MARKDOWN = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_{}[]<>|#"})


class Cell(NamedTuple):
    """One number of one row of results at a size."""

    value: float
    interval: tuple[float, float] | None = None
    """The 95 % bootstrap interval of a mean over pictures."""
    rank: int = 0
    """1 of the best number of its column, 2 of the second, 0 of others."""


class Table(NamedTuple):
    """Rows of results, columns of metrics."""

    columns: list[tuple[str, str]]
    """(size, metric)."""
    rows: dict[str, dict[tuple[str, str], Cell]]
    """By whose they are."""
    made_by: str
    """The protocol."""
    published: frozenset[str]
    """Names of rows that others have printed."""
    incomplete: list[str]
    """Whose numbers are not of all pairs, and of how many they are."""


def gather_table(results: Sequence[Scores], baselines: Sequence[Figures]) -> Table:
    """The numbers of results, with intervals, and published ones."""
    rows: dict[str, dict[tuple[str, str], Cell]] = {}
    for published in baselines:
        row = rows.setdefault(published.name, {})
        row |= {
            (published.size, metric): Cell(value) for metric, value in published.numbers.items()
        }
    for scores in results:
        rows[scores.name] = {
            (size, metric): Cell(value, _find_interval(scores, size, metric))
            for size, at_size in scores.sizes.items()
            for metric, value in at_size.values.items()
        }
    columns = [
        (size, metric)
        for size in RESULT_SIZES
        for metric in COLUMNS
        if any((size, metric) in row for row in rows.values())
    ]
    for column in columns:
        _rank(rows, column)
    protocols = {f"{scores.protocol.name} ({scores.protocol.hash})" for scores in results}
    elsewhere = frozenset(figures.name for figures in baselines)
    incomplete = [
        f"{scores.name} at {size}: {len(at_size.rows):,} of {at_size.listed:,}"
        for scores in results
        for size, at_size in scores.sizes.items()
        if len(at_size.rows) < at_size.listed
    ]
    return Table(columns, rows, ", ".join(sorted(protocols)), elsewhere, incomplete)


def _find_interval(scores: Scores, size: str, metric: str) -> tuple[float, float] | None:
    if not COLUMNS[metric].per_picture:
        return None
    numbers = [row[metric] for row in scores.sizes[size].rows.values() if metric in row]
    values = np.array([number for number in numbers if math.isfinite(number)])
    return bootstrap_mean(values) if len(values) == len(numbers) > 1 else None


def _rank(rows: dict[str, dict[tuple[str, str], Cell]], column: tuple[str, str]) -> None:
    """Mark the best and the second of a column, by what is printed of them."""
    better, digits = COLUMNS[column[1]].better, COLUMNS[column[1]].digits
    printed = {
        name: round(row[column].value, digits) for name, row in rows.items() if column in row
    }
    order = sorted(set(printed.values()), key=lambda value: -better * value)
    if not better or len(printed) < 2:
        return
    for name, value in printed.items():
        rank = order.index(value) + 1
        rows[name][column] = rows[name][column]._replace(rank=rank if rank < 3 else 0)


def write_table(table: Table, style: Style) -> str:
    """The text of a table, with a line break at its end.

    latex: for booktabs; best numbers are bold and second ones underlined, intervals in brackets.
    csv: a line each number, counts too.
    """
    if style == "csv":
        return _write_csv(table)
    measured = [column for column in table.columns if COLUMNS[column[1]].better]
    table = table._replace(columns=measured)
    return _write_latex(table) if style == "latex" else _write_markdown(table)


def _write_csv(table: Table) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "size", "metric", "value", "low", "high"])
    for name, row in table.rows.items():
        for size, metric in table.columns:
            if (size, metric) in row:
                cell = row[size, metric]
                writer.writerow([name, size, metric, cell.value, *(cell.interval or ("", ""))])
    return text.getvalue()


def _write_markdown(table: Table) -> str:
    head = [f"{COLUMNS[m].title}{ARROWS[COLUMNS[m].better]}, {size}" for size, m in table.columns]
    lines = [["", *head], ["---", *["---:"] * len(head)]]
    marks = {0: "{}", 1: "**{}**", 2: "<ins>{}</ins>"}
    for name, row in table.rows.items():
        cells = [
            _write_cell(row.get(column), column, marks, "–", " [{}, {}]")
            for column in table.columns
        ]
        lines.append([name.translate(_MARKDOWN) + "†" * (name in table.published), *cells])
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{text}\n\n{_tell_making(table)}\n"


def _write_latex(table: Table) -> str:
    sizes = list(dict.fromkeys(size for size, _ in table.columns))
    counts = {size: sum(s == size for s, _ in table.columns) for size in sizes}
    groups, rules, start = [], [], 2
    for size in sizes:
        (height, width), end = RESULT_SIZES[size], start + counts[size] - 1
        groups.append(rf"\multicolumn{{{counts[size]}}}{{c}}{{${width}\times{height}$}}")
        rules.append(rf"\cmidrule(lr){{{start}-{end}}}")
        start = end + 1
    arrows = {1: r" $\uparrow$", -1: r" $\downarrow$"}
    titles = [_escape(COLUMNS[m].title) + arrows[COLUMNS[m].better] for _, m in table.columns]
    marks = {0: "{}", 1: r"\textbf{{{}}}", 2: r"\underline{{{}}}"}
    interval = r" {{\scriptsize [{}, {}]}}"
    rows = [
        [
            _escape(name) + r"$^\dagger$" * (name in table.published),
            *(_write_cell(row.get(c), c, marks, "--", interval) for c in table.columns),
        ]
        for name, row in table.rows.items()
    ]
    lines = [
        "% " + _tell_making(table).replace("\n", " "),
        r"% \usepackage{booktabs}",
        rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
        r"\toprule",
        " & ".join(["", *groups]) + r" \\",
        " ".join(rules),
        " & ".join(["", *titles]) + r" \\",
        r"\midrule",
        *(" & ".join(row) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _write_cell(
    cell: Cell | None, column: tuple[str, str], marks: dict[int, str], none: str, interval: str
) -> str:
    if cell is None:
        return none
    text = marks[cell.rank].format(format_value(column[1], cell.value))
    if cell.interval is not None:
        text += interval.format(*(format_value(column[1], end) for end in cell.interval))
    return text


def _tell_making(table: Table) -> str:
    made = f"Protocol of mcld evaluate: {table.made_by}. " if table.made_by else ""
    printed = " †: as printed elsewhere, not measured here." if table.published else ""
    partial = f" Not of all pairs: {'; '.join(table.incomplete)}." if table.incomplete else ""
    return f"{made}In brackets: 95 % bootstrap intervals of means over pictures.{printed}{partial}"


def _escape(text: str) -> str:
    """A text as LaTeX prints it."""
    return "".join(_LATEX.get(sign, sign) for sign in text)
