"""What came of scoring one folder of results."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from mcld.files import written_whole

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Column:
    """One number of a table."""

    title: str
    better: int
    """1 where more is better, -1 where less is, 0 for a mere count."""
    digits: int
    per_picture: bool = True


COLUMNS = {
    "pairs": Column("Pairs scored", 0, 0, per_picture=False),
    "psnr": Column("PSNR", 1, 2),
    "ssim": Column("SSIM", 1, 4),
    "ssim_256": Column("SSIM-256", 1, 4),
    "lpips": Column("LPIPS", -1, 4),
    "fid": Column("FID", -1, 3, per_picture=False),
    "face_cosine": Column("Face cosine", 1, 4),
    "face_distance": Column("Face distance", -1, 3),
    "faces": Column("Pairs with both faces", 0, 0, per_picture=False),
}
"""Every number that can be in a table, in its order."""

PROTOCOL = {
    "truth": "the target's JPEG, resized with Pillow, bicubically with antialiasing, 8 bits",
    "psnr": "data range 1, of each picture; the mean",
    "ssim": "uniform 51x51 windows, data range 1, sample covariance, per channel, whole windows"
    " only (scikit-image with win_size=51)",
    "ssim_256": "0..255, Gaussian windows of sigma 1.5, population covariance, data range: the"
    " generated picture's largest value minus its smallest (scikit-image)",
    "lpips": "version 0.1 on AlexNet, inputs in -1..1",
    "fid": "all training pictures, resized likewise, against the generated ones; 2048 pooled"
    " features of torchvision's Inception v3 (IMAGENET1K_V1), inputs bilinearly resized to 299x299"
    " without antialiasing: as pose-transfer papers report it, not pytorch-fid",
    "face": "insightface's buffalo_s, the largest face of the 176x256 pictures, looked for at"
    " 512x352; mean cosine and mean Euclidean distance of the raw embeddings, over pairs with both"
    " faces",
}
"""How each number is made, in words."""


@dataclass
class SizeScores:
    """The scores at one size of the pictures."""

    size: tuple[int, int]
    """(height, width)."""
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
    extra: int = 0
    """Files that no pair asks for."""

    def summarise(self) -> None:
        """Count and average the rows: each metric's mean is over the pictures that have it."""
        self.values["pairs"] = len(self.rows)
        for name, column in COLUMNS.items():
            numbers = [row[name] for row in self.rows.values() if name in row]
            if column.per_picture and numbers:
                self.values[name] = math.fsum(numbers) / len(numbers)
        if any("face_cosine" in row for row in self.rows.values()):
            self.values["faces"] = sum("face_cosine" in row for row in self.rows.values())


@dataclass
class Scores:
    """The scores of one folder of results."""

    name: str
    save_path: Path
    sizes: dict[str, SizeScores]
    """By the folder's name, "256" or "512"."""
    left_out: dict[str, str]
    """Metric -> why it was not measured."""
    truth_path: Path | None = None
    """Where the true pictures came from, if not from the dataset."""

    @property
    def protocol(self) -> dict[str, str]:
        """How each number was made, in words."""
        if self.truth_path is None:
            return PROTOCOL
        truth = f"the pictures in {self.truth_path}; those of another size resized bicubically"
        return {**PROTOCOL, "truth": truth}

    def numbers(self, size: str, metric: str) -> list[float]:
        """What single pictures got, of those that have it."""
        return [row[metric] for row in self.sizes[size].rows.values() if metric in row]

    def problems(self) -> list[str]:
        """What a strict run fails for, in words."""
        left_out = [f"{metric} is left out: {reason}" for metric, reason in self.left_out.items()]
        return [*left_out, *self.uncounted()]

    def uncounted(self) -> list[str]:
        """Which pictures do not count, in words."""
        found = []
        for folder, scores in self.sizes.items():
            where = f"{self.name}/{folder}"
            if scores.missing:
                found.append(
                    f"{where}: {len(scores.missing):,} of {scores.listed:,} pairs have no picture,"
                    f" such as {scores.missing[0]}"
                )
            if scores.refused:
                name, reason = next(iter(scores.refused.items()))
                found.append(
                    f"{where}: {len(scores.refused):,} of the pictures could not be scored, or not"
                    f" by every metric (metrics.json names all); the first, {name}:"
                    f" {reason.replace(f'{self.save_path / folder / name} ', 'it ')}"
                )
            if scores.extra:
                found.append(
                    f"{where}: files that belong to no pair and are ignored: {scores.extra:,}"
                )
        return found

    def write(self, folder: Path) -> None:
        """Write metrics.json and per_image.csv, each whole."""
        measured = {n for s in self.sizes.values() for n in s.values}
        content: dict[str, Any] = {
            "results": self.name,
            "values": {
                size: {name: _plain(value) for name, value in scores.values.items()}
                for size, scores in self.sizes.items()
            },
            "counts": {
                size: {
                    "listed": scores.listed,
                    "scored": len(scores.rows),
                    "missing": len(scores.missing),
                    "not_counted_in_full": len(scores.refused),
                    "extra": scores.extra,
                }
                for size, scores in self.sizes.items()
            },
            "missing": {size: scores.missing for size, scores in self.sizes.items()},
            "refused": {size: scores.refused for size, scores in self.sizes.items()},
            "left_out": self.left_out,
            "protocol": {
                name: text
                for name, text in self.protocol.items()
                if name in ("truth", *measured) or (name == "face" and "faces" in measured)
            },
            "versions": {
                package: version(package)
                for package in ("mcld", "torch", "torchvision", "torchmetrics", "pillow", "numpy")
            },
        }
        with written_whole(folder / "metrics.json") as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        names = [n for n, c in COLUMNS.items() if c.per_picture and n in measured]
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["size", "file", *names])
        for size, scores in self.sizes.items():
            for file, row in sorted(scores.rows.items()):
                writer.writerow([size, file, *(row.get(name, "") for name in names)])
        with written_whole(folder / "per_image.csv") as temporary:
            temporary.write_text(table.getvalue(), encoding="utf-8")


def _plain(value: float) -> float | str:
    """A number as JSON has it; equal pictures have an infinite PSNR, which it has not."""
    return value if math.isfinite(value) else str(value)
