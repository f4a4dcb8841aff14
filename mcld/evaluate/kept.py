"""Numbers of pictures and of sets, kept as they are made, so that none is made twice."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TextIO

from mcld.errors import MCLDError


class Outcome(NamedTuple):
    """What became of a metric of a picture."""

    numbers: Mapping[str, float]
    reason: str = ""
    """Why it has none."""


class KeptOutcomes:
    """The outcomes of a metric by the name of what they are of.

    Each run that adds some does so in a file of its own, NAME.RUN.jsonl in `folder`, a line each. A
    line that was cut short is as if it were not there. Without a folder nothing is kept.

    say: told once when they cannot be written.
    """

    def __init__(self, folder: Path | None, name: str, say: Callable[[str], None]) -> None:
        self.folder, self.name, self.say = folder, name, say
        self._outcomes: dict[str, Outcome] = {}
        self._writing: TextIO | None = None
        for path in sorted(folder.glob(f"{name}.*.jsonl")) if folder else ():
            with suppress(OSError), path.open(encoding="utf-8") as lines:
                for line in lines:
                    with suppress(ValueError, TypeError, AttributeError):
                        of, numbers, reason = json.loads(line)
                        values = {str(key): float(value) for key, value in numbers.items()}
                        self._outcomes[of] = Outcome(values, reason)

    def get(self, of: str) -> Outcome | None:
        """The outcome of something, if it is known."""
        return self._outcomes.get(of)

    def add(self, of: str, outcome: Outcome) -> None:
        """Keep an outcome; `flush` brings it to the disk."""
        self._outcomes[of] = outcome
        if self.folder is None:
            return
        try:
            if self._writing is None:
                self.folder.mkdir(parents=True, exist_ok=True)
                path = self.folder / f"{self.name}.{secrets.token_hex(4)}.jsonl"
                self._writing = path.open("w", encoding="utf-8")
            self._writing.write(json.dumps([of, dict(outcome.numbers), outcome.reason]) + "\n")
        except OSError as error:
            self._give_up(error)

    def flush(self) -> None:
        """Bring what was added to the disk."""
        try:
            if self._writing:
                self._writing.flush()
        except OSError as error:
            self._give_up(error)

    def close(self) -> None:
        """End writing."""
        self.flush()
        if self._writing:
            self._writing.close()
            self._writing = None

    def _give_up(self, error: OSError) -> None:
        reason = MCLDError(f"cannot write in {self.folder}: {error.strerror}")
        self.say(f"{reason}: a run that is broken off will begin anew")
        self.folder = self._writing = None
