"""The report: one HTML file that needs nothing beside it."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import colour_iuv, read_image, read_iuv
from mcld.dataset.results import RESULT_SIZES
from mcld.errors import InputError
from mcld.evaluate.baseline import Figures
from mcld.evaluate.registry import COLUMNS
from mcld.evaluate.scores import Scores
from mcld.evaluate.table import Comparison, build_table, format_difference, format_value
from mcld.machine.files import write_text

GALLERY_PAIRS = 2
"""Pairs shown of the best, of the median and of the worst."""
BINS = 32
_HEIGHT = 224
_WIDE, _HIGH = 320, 120
"""Of a histogram, in the units of its SVG."""
_COLOURS = ("#2a6f97", "#c1666b", "#5b8e7d", "#b08968", "#6d597a", "#8d99ae")


def write_report(
    path: Path,
    results: Sequence[Scores],
    baselines: Sequence[Figures],
    comparisons: Sequence[Comparison],
) -> Path:
    """Write the report of one or several results; return its path.

    It shows the table, the distribution of every metric, paired differences, and the best, median
    and worst pairs of the first results by every metric.

    Raises MCLDError when it cannot be written.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    titles, cells = build_table(results, baselines)
    page = environment.get_template("report.html.jinja").render(
        versions={name: v for scores in results for name, v in scores.list_versions().items()},
        date=datetime.now().astimezone().date().isoformat(),
        requests=[s.request for s in results],
        protocols=list({s.protocol.hash: s.protocol for s in results}.values()),
        titles=titles,
        cells=cells,
        sources={figures.name: figures.source for figures in baselines if figures.source},
        problems=[problem for scores in results for problem in scores.list_problems()],
        notes=[note for scores in results for note in scores.list_notes()],
        protocol=_describe_protocols(results),
        names=list(zip((s.name for s in results), cycle(_COLOURS), strict=False)),
        histograms=list(_draw_histograms(results)),
        comparisons=comparisons,
        columns=COLUMNS,
        format_difference=format_difference,
        galleries=list(_choose_pairs(results)),
    )
    write_text(path, page)
    return path


def _describe_protocols(results: Sequence[Scores]) -> dict[str, str]:
    """How the numbers were made; what does not hold of all results with the names of its own."""
    told: dict[str, dict[str, list[str]]] = {}
    for scores in results:
        for what, text in scores.describe_protocol().items():
            told.setdefault(what, {}).setdefault(text, []).append(scores.name)
    return {
        what if len(names) == len(results) else f"{what} of {', '.join(names)}": text
        for what, texts in told.items()
        for text, names in texts.items()
    }


def _draw_histograms(results: Sequence[Scores]) -> Iterator[dict[str, Any]]:
    """Of every metric at every size: title, ends of the axis, and one outline for each results."""
    for size in RESULT_SIZES:
        at_size = [
            (s, c) for s, c in zip(results, cycle(_COLOURS), strict=False) if size in s.sizes
        ]
        for metric, column in COLUMNS.items():
            numbers = [
                [
                    v
                    for row in s.sizes[size].rows.values()
                    if math.isfinite(v := row.get(metric, math.nan))
                ]
                for s, _ in at_size
            ]
            values = [v for some in numbers for v in some]
            if not column.per_picture or len(values) < 2:
                continue
            low, high = min(values), max(values)
            edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
            shares = [np.histogram(some, edges)[0] / max(len(some), 1) for some in numbers]
            top = max(share.max() for share in shares)
            yield {
                "title": f"{column.title}, {size}",
                "low": format_value(metric, low),
                "high": format_value(metric, high),
                "outlines": [
                    (_draw_outline(share / top), colour)
                    for share, (_, colour) in zip(shares, at_size, strict=True)
                ],
            }


def _draw_outline(heights: np.ndarray[Any, Any]) -> str:
    """The steps of a histogram as the points of an SVG polygon; heights: 0..1."""
    x = np.repeat(np.linspace(0, _WIDE, len(heights) + 1), 2)
    y = np.concatenate([[0], np.repeat(heights, 2), [0]])
    return " ".join(f"{a:.1f},{_HIGH * (1 - b):.1f}" for a, b in zip(x, y, strict=True))


def _choose_pairs(results: Sequence[Scores]) -> Iterator[dict[str, Any]]:
    """The best, median and worst pairs of the first results, smallest size, by every metric."""
    size = next(size for size, at_size in results[0].sizes.items() if at_size.rows)
    rows = results[0].sizes[size].rows
    thumbnail = cache(_thumbnail)
    for metric, column in COLUMNS.items():
        names = [name for name in rows if metric in rows[name]]
        if not column.per_picture or not names:
            continue
        names.sort(key=lambda name: rows[name][metric] * column.better, reverse=True)
        middle = max((len(names) - GALLERY_PAIRS) // 2, 0)
        groups = {
            "best": names[:GALLERY_PAIRS],
            "median": names[middle : middle + GALLERY_PAIRS],
            "worst": names[-GALLERY_PAIRS:],
        }
        pairs = []
        for group, chosen in groups.items():
            for name in chosen:
                pictures = _show_pictures(name, size, metric, results, thumbnail)
                number = format_value(metric, rows[name][metric])
                pairs.append({"group": group, "name": name, "number": number, "pictures": pictures})
        by = f" of {results[0].name}" if len(results) > 1 else ""
        yield {"title": f"{column.title}, {size}: best, median, worst{by}", "pairs": pairs}


def _show_pictures(
    name: str,
    size: str,
    metric: str,
    results: Sequence[Scores],
    thumbnail: Callable[[Path, bool], str | None],
) -> list[tuple[str, str | None]]:
    """(what it is, the picture as a data URL, or None): source, pose, generated ones, truth."""
    source, _, target = Path(name).stem.partition("_2_")
    request = results[0].request
    layout = DatasetLayout(request.dataset)
    generated = []
    for scores in results:
        number = scores.sizes[size].rows.get(name, {}).get(metric) if size in scores.sizes else None
        caption = scores.name
        if len(results) > 1:
            caption = f"{scores.name} {format_value(metric, number)}"
        file = scores.sizes[size].files.get(name) if size in scores.sizes else None
        generated.append((caption, thumbnail(file, False) if file else None))
    return [
        ("source", thumbnail(layout.image("test", source), False)),
        ("pose", thumbnail(layout.densepose("test", target), True)),
        *generated,
        ("truth", thumbnail(request.find_truth(size, name, target), False)),
    ]


def _thumbnail(path: Path, iuv: bool) -> str | None:
    """A picture as a data URL; None when it is not there."""
    try:
        pixels = colour_iuv(read_iuv(path)) if iuv else read_image(path)
    except InputError:
        return None
    picture = Image.fromarray(pixels)
    picture = picture.resize((round(picture.width * _HEIGHT / picture.height), _HEIGHT))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
