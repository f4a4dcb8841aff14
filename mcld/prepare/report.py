"""The result of preparing a dataset: for the screen, and as prepare-report.json."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mcld.machine.files import write_text

REPORT_FILE = "prepare-report.json"


@dataclass
class StageReport:
    """One stage: every listed picture is done, skipped (it was there already) or failed."""

    name: str
    listed: int
    done: int = 0
    skipped: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    """Picture, such as train/NAME.jpg -> why."""


@dataclass
class PrepareReport:
    """The stages of a run, and what was left out before them."""

    stages: list[StageReport]
    papers_split: bool
    """False for a split of our own."""
    refused_lines: dict[str, str]
    """Line of a list or a table -> why it was left out."""
    refused_files: dict[str, str]
    """Raw file -> why it was left out."""
    estimators: dict[str, str | int] = field(default_factory=dict)
    """What made the maps and the embeddings: `DatasetLayout.read_record`."""
    plain: bool = False
    """Whether it is of a plain folder of photos."""
    limit: int | None = None
    """Of the run: only so many pictures of each split were looked at."""

    @property
    def failures(self) -> int:
        """How often a picture failed a stage, and lines and files that were left out."""
        failed = sum(len(stage.failed) for stage in self.stages)
        return failed + len(self.refused_lines) + len(self.refused_files)

    def count_reasons(self) -> list[tuple[str, str, int]]:
        """(stage, reason, how many), the most frequent first; numbers and names are left out."""
        counts = Counter(
            (stage.name, _generalise(reason, picture))
            for stage in self.stages
            for picture, reason in stage.failed.items()
        )
        counts.update(("lists", _generalise(reason, "")) for reason in self.refused_lines.values())
        counts.update(("raw", _generalise(reason, "")) for reason in self.refused_files.values())
        return [(stage, reason, count) for (stage, reason), count in counts.most_common()]

    def describe(self) -> dict[str, Any]:
        """What came of the run, as JSON has it."""
        return {
            "papers_split": self.papers_split,
            "estimators": self.estimators,
            "failures": self.failures,
            "stages": {stage.name: asdict(stage) for stage in self.stages},
        }

    def write(self, root: Path) -> Path:
        """Write prepare-report.json: how far the folder is in the stages and pictures of this run.

        What was done before counts like what was done now, so that a run that was broken off and
        gone on with leaves the same report as one clean run.
        """
        path = root / REPORT_FILE
        content = {
            "papers_split": self.papers_split,
            "limit": self.limit,
            "estimators": self.estimators,
            "stages": {
                stage.name: {
                    "listed": stage.listed,
                    "ready": stage.listed - len(stage.failed),
                    "failed": dict(sorted(stage.failed.items())),
                }
                for stage in self.stages
            },
            "refused_lines": self.refused_lines,
            "refused_files": dict(sorted(self.refused_files.items())),
        }
        write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
        return path


def _generalise(reason: str, picture: str) -> str:
    """A reason without names of files and without numbers, so that like reasons are equal."""
    stem = picture.rpartition("/")[2].removesuffix(".jpg")
    if stem:
        reason = reason.replace(stem, "…")
    # The form that paths must have is no path.
    names = r"(GENDER/\S+)|(?:\S+/)+\S*\.\w+|'[^']*'|\S+/(?=…)"
    reason = re.sub(names, lambda found: found[1] or "…", reason).replace("……", "…")
    return re.sub(r"\d+", "N", reason)
