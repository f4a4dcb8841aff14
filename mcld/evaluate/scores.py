"""The scores of one folder of results."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mcld.dataset.results import RESULT_SIZES
from mcld.evaluate.layouts import MCLD
from mcld.evaluate.metric import SetMetric
from mcld.evaluate.protocol import Protocol
from mcld.evaluate.registry import COLUMNS, METRICS
from mcld.evaluate.request import EvaluationRequest
from mcld.machine.files import write_json, write_text

_MODULES = ("torch", "torchvision", "numpy")
_NAMED_OTHERS = 3
_NAMED_REFUSALS = 5
"""Pictures of one size that are named one by one."""


@dataclass
class SizeScores:
    """The scores at one size of the pictures."""

    listed: int
    """Pairs that there should be pictures of."""
    rows: dict[str, dict[str, float]] = field(default_factory=dict)
    """File name -> metric -> number; a metric that a picture does not have is absent."""
    values: dict[str, float] = field(default_factory=dict)
    """Metric -> number over all pictures."""
    missing: list[str] = field(default_factory=list)
    """Files that are listed and not there."""
    refused: dict[str, str] = field(default_factory=dict)
    """File -> why it, or one number of it, is not counted."""
    others: list[str] = field(default_factory=list)
    """Files that belong to no pair."""
    files: dict[str, Path] = field(default_factory=dict)
    """Name of a result -> its file."""
    enlarged: int = 0
    """True pictures that were smaller than this size."""
    training: dict[str, int] | None = None
    """Of FID: how many training pictures are listed, used, and of the latter enlarged."""
    unread: dict[str, str] = field(default_factory=dict)
    """Training picture that cannot be read -> why; empty when the statistics were kept before."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Metric -> why it was not measured."""

    def summarise(self) -> None:
        """Count and average the rows: each metric's mean is over the pictures that have it."""
        self.values["pairs"] = len(self.rows)
        for name, column in COLUMNS.items():
            numbers = [row[name] for row in self.rows.values() if name in row]
            if column.per_picture and numbers:
                self.values[name] = math.fsum(numbers) / len(numbers)

    def count_pictures(self) -> dict[str, Any]:
        """How many pictures there should be, are, and count.

        "scored_by" has the metrics that some of the scored ones lack.
        """
        scored_by = Counter(metric for row in self.rows.values() for metric in row)
        counts: dict[str, Any] = {
            "listed": self.listed,
            "scored": len(self.rows),
            "missing": len(self.missing),
            "not_counted_in_full": len(self.refused),
            "extra": len(self.others),
            "truths_enlarged": self.enlarged,
            "scored_by": {m: n for m in COLUMNS if 0 < (n := scored_by[m]) < len(self.rows)},
        }
        return counts if self.training is None else {**counts, "training": self.training}


@dataclass
class Scores:
    """The scores of one folder of results."""

    request: EvaluationRequest
    protocol: Protocol = field(default_factory=Protocol)
    device: str = "cpu"
    """Of the networks."""
    weights: dict[str, dict[str, str]] = field(default_factory=dict)
    """Metric -> the files of its network -> sha256."""
    sizes: dict[str, SizeScores] = field(default_factory=dict)
    """By the folder's name, "256" or "512"; a size that has no folder is absent."""

    @property
    def name(self) -> str:
        """What the results are called."""
        return self.request.name

    def list_measured(self) -> list[str]:
        """The metrics of which there is a number, as `evaluate.metrics` calls them."""
        columns = {name for scores in self.sizes.values() for name in scores.values}
        return [
            name for name, metric in METRICS.items() if columns & {c.name for c in metric.columns}
        ]

    def describe_protocol(self) -> dict[str, str]:
        """How each number that was measured was made, in words."""
        truth = f"the target's JPEG, {self.protocol.describe_photos()}"
        if path := self.request.truth_path:
            truth = f"the pictures in {path}; those of another size "
            truth += self.protocol.describe_photos()
        protocol = {"dataset": str(self.request.dataset), "truth": truth}
        if results := self.protocol.describe_results():
            protocol["results"] = results
        if self.request.layout is not MCLD:
            protocol["layout"] = f"{self.request.layout.name}: {self.request.layout.read_from}"
        for metric in self.list_measured():
            text = METRICS[metric].describe(self.protocol)
            protocol[metric] = "; ".join([text, *self._list_foreign_weights(metric)])
        return protocol

    def _list_foreign_weights(self, metric: str) -> list[str]:
        """A line for each file that is not torchvision's: its name says how its sha256 begins."""
        return [
            f"the sha256 of {file} begins with {sha256[:8]}: these are not torchvision's weights"
            for file, sha256 in self.weights.get(metric, {}).items()
            if file.endswith(".pth") and not sha256.startswith(file[:-4].rpartition("-")[2])
        ]

    def list_versions(self) -> dict[str, str]:
        """The libraries that made the numbers."""
        modules = {name: name for name in ("mcld", *_MODULES)} | {"pillow": "PIL", "opencv": "cv2"}
        for metric in self.list_measured():
            modules |= {name: name for name in METRICS[metric].packages}
        return {name: _find_version(name, module) for name, module in modules.items()}

    def list_problems(self) -> list[str]:
        """What a strict run fails for, in words."""
        where: dict[tuple[str, str], list[str]] = {}
        for folder, scores in self.sizes.items():
            for metric, reason in scores.left_out.items():
                where.setdefault((metric, reason), []).append(folder)
        left_out = [
            f"{self.name}/{' and '.join(folders)}: {metric} is left out: {reason}"
            for (metric, reason), folders in where.items()
        ]
        return [*left_out, *self.list_uncounted()]

    def list_uncounted(self) -> list[str]:
        """Which pictures do not count that should, and which weights should not, in words."""
        lines = [
            f"{self.name}: there is no folder {folder}/: nothing is scored at {width}x{height}"
            if self.request.layout is MCLD
            else f"{self.name}: there are no pictures of {width}x{height}"
            for folder, (height, width) in RESULT_SIZES.items()
            if folder not in self.sizes
        ]
        lines += [
            f"{self.name}: {metric} is no published one: {reason}"
            for metric in self.list_measured()
            for reason in self._list_foreign_weights(metric)
        ]
        real = self.protocol.real_name
        for folder, scores in self.sizes.items():
            where = f"{self.name}/{folder}"
            if scores.missing:
                lines.append(
                    f"{where}: {len(scores.missing):,} of {scores.listed:,} pairs have no picture,"
                    f" such as {scores.missing[0]}"
                )
            for name, reason in list(scores.refused.items())[:_NAMED_REFUSALS]:
                path = scores.files.get(name, Path(name))
                lines.append(f"{where}/{name}: {reason.removeprefix(f'{path} ')}")
            if len(scores.refused) > _NAMED_REFUSALS:
                lines.append(
                    f"{where}: {len(scores.refused) - _NAMED_REFUSALS:,} more pictures could not be"
                    " scored, or not by every metric: metrics.json names them"
                )
            if scores.training and scores.training["used"] < scores.training["listed"]:
                lines.append(
                    f"{where}: {scores.training['listed'] - scores.training['used']:,} of"
                    f" {scores.training['listed']:,} {real} pictures are missing or cannot be read:"
                    " what is compared with them goes without these"
                )
            if scores.unread:
                reason = next(iter(scores.unread.values()))
                lines.append(
                    f"{where}: {len(scores.unread):,} {real} pictures cannot be read; mend or"
                    f" remove them: {reason}"
                )
        return lines

    def list_notes(self) -> list[str]:
        """What is all right but must be known, in words."""
        lines = []
        for folder, scores in self.sizes.items():
            where = f"{self.name}/{folder}"
            if scores.others:
                examples = ", ".join(scores.others[:_NAMED_OTHERS])
                lines.append(
                    f"{where}: files that belong to no pair and are ignored:"
                    f" {len(scores.others):,}, such as {examples}"
                )
            used = scores.training["used"] if scores.training else 0
            for name in self.list_measured():
                metric = METRICS[name]
                measured = any(column.name in scores.values for column in metric.columns)
                if issubclass(metric, SetMetric) and measured:
                    notes = metric.list_notes(len(scores.rows), used, self.protocol)
                    lines += [f"{where}: {note}" for note in notes]
            rows = scores.rows.values()
            lines += [
                f"{where}: {equal:,} pictures have nothing but equal pixels, which makes the mean"
                f" {column.title} infinite; differences and distributions go without them"
                for name, column in COLUMNS.items()
                if (equal := sum(math.isinf(row.get(name, 0)) for row in rows))
            ]
            lines += [
                f"{where}: {COLUMNS[metric].title} is the mean of {number:,} of the pictures"
                for metric, number in scores.count_pictures()["scored_by"].items()
                if not metric.startswith("face")  # whose count has a row of its own
            ]
            training = scores.training["enlarged"] if scores.training else 0
            small = [
                f"{number:,} {kind} pictures"
                for number, kind in ((scores.enlarged, "true"), (training, self.protocol.real_name))
                if number
            ]
            if small:
                height, width = RESULT_SIZES[folder]
                lines.append(
                    f"{where}: {' and '.join(small)} are smaller than {width}x{height} and were"
                    " enlarged"
                )
        return lines

    def write(self, folder: Path) -> None:
        """Write metrics.json and per_image.csv, each whole. Raises MCLDError when it cannot."""
        write_json(folder / "metrics.json", self.describe())
        measured = {n for s in self.sizes.values() for n in s.values}
        names = [n for n, c in COLUMNS.items() if c.per_picture and n in measured]
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["size", "file", *names])
        for size, scores in self.sizes.items():
            for file, row in sorted(scores.rows.items()):
                writer.writerow([size, file, *(row.get(name, "") for name in names)])
        write_text(folder / "per_image.csv", table.getvalue())

    def describe(self) -> dict[str, Any]:
        """The numbers and how they were made, as metrics.json has them."""
        return {
            "results": self.name,
            "results_path": str(self.request.save_path),
            "dataset": str(self.request.dataset),
            "values": {
                size: {name: _to_json(value) for name, value in scores.values.items()}
                for size, scores in self.sizes.items()
            },
            "counts": {size: scores.count_pictures() for size, scores in self.sizes.items()},
            "missing": {size: scores.missing for size, scores in self.sizes.items()},
            "refused": {size: scores.refused for size, scores in self.sizes.items()},
            "unread_training": {size: s.unread for size, s in self.sizes.items() if s.unread},
            "left_out": {size: scores.left_out for size, scores in self.sizes.items()},
            "unmatched": {size: s.others for size, s in self.sizes.items() if s.others},
            "layout": self.request.layout.name,
            "protocol_name": self.protocol.name,
            "protocol_hash": self.protocol.hash,
            "protocol_definition": self.protocol.definition,
            "protocol": self.describe_protocol(),
            "device": self.device,
            "weights_sha256": {m: w for m, w in self.weights.items() if m in self.list_measured()},
            "versions": self.list_versions(),
        }


def _find_version(name: str, module: str) -> str:
    """Of a library; some have no __version__, and some are installed under another name."""
    return str(getattr(import_module(module), "__version__", None) or version(name))


def _to_json(value: float) -> float | str:
    """A number for JSON, which lacks infinity, the PSNR of equal pictures: that is a string."""
    return value if math.isfinite(value) else str(value)
