"""The steps of a run as a table: log.csv in its output folder."""

import csv
import io
import time
from pathlib import Path

from mcld.errors import MCLDError
from mcld.machine.files import write_text
from mcld.train.report import TrainReport

LOG_FILE = "log.csv"
COLUMNS = (
    "images",
    "loss",
    "gradient_norm",
    "learning_rate",
    "images_per_second",
    "correspondence",
)


class StepLog:
    """A row a step, on disk when it is written.

    Args:
        folder: of the run.
        images: seen before. Rows of later steps, which are taken again, are dropped.

    Raises MCLDError when the table cannot be written.
    """

    def __init__(self, folder: Path, images: int) -> None:
        self.path = folder / LOG_FILE
        self.images = images
        self.time = time.monotonic()
        write_text(self.path, _table([COLUMNS, *self._read_rows()]))

    def _read_rows(self) -> list[list[str]]:
        """The rows of the steps before. What is no row, of a run that was killed, is left out."""
        if not self.images or not self.path.is_file():
            return []
        text = self.path.read_text(encoding="utf-8", errors="replace")
        header, *rows = [*csv.reader(text.splitlines())] or [[]]
        return [
            [*row, *[""] * (len(COLUMNS) - len(row))]  # of a version with fewer columns
            for row in rows
            if len(row) == len(header) and row[0].isdecimal() and int(row[0]) <= self.images
        ]

    def write(self, step: TrainReport) -> None:
        """Add a row. Raises MCLDError when it cannot be written or the disk is full."""
        now = time.monotonic()
        pace = (step.images - self.images) / max(now - self.time, 1e-9)
        self.images, self.time = step.images, now
        row = (
            step.images,
            step.loss,
            step.gradient_norm,
            step.learning_rate,
            f"{pace:.4g}",
            step.correspondence,
        )
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(_table([row]))
        except OSError as error:
            raise MCLDError(f"cannot write {self.path}: {error.strerror or error}") from error


def _table(rows: list[tuple[object, ...] | list[str] | tuple[str, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
