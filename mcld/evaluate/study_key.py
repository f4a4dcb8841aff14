"""The key to a study with people: what each of its pictures is."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from mcld.errors import InputError, SettingsError

KEY_FILE, PAGE_FILE, SUMMARY_FILE = "study.json", "study.html", "answers.json"


class ShownPicture(BaseModel):
    """A picture that people judge."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str | None
    """Whose result it is; None of a photo."""
    source: str | None
    """Stem of the source in the dataset; None of a photo."""
    target: str
    """Stem of the true picture, or of the photo."""


class StudyKey(BaseModel):
    """What a page does not tell: it knows its pictures by ids that mean nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    study: str = ""
    """What tells the study from others, 12 hex digits: by everything here and every pixel shown."""
    made_by: str
    seed: int
    seconds: float | None
    """How long a picture is shown that is to be told real or generated; None: until it is."""
    size: str
    """Of the results: "256" or "512"."""
    dataset: str
    protocol_name: str
    protocol_hash: str
    methods: dict[str, str]
    """Their names, and the folders of their results."""
    pictures: dict[str, ShownPicture]
    """By id."""
    judged: list[str]
    """Ids of the pictures that are to be told real or generated."""
    compared: dict[str, tuple[str, str]]
    """Id of a comparison -> ids of its two pictures, of one pair and two methods."""

    def identify(self, pixels: str) -> StudyKey:
        """The same key with its `study`. pixels: a hash of all pictures shown."""
        content = json.dumps([self.model_dump(exclude={"study"}), pixels], sort_keys=True)
        return self.model_copy(update={"study": hashlib.sha256(content.encode()).hexdigest()[:12]})


def read_key(folder: Path) -> StudyKey:
    """Read study.json. Raises SettingsError where there is none, InputError for a damaged one."""
    path = folder / KEY_FILE
    try:
        return StudyKey.model_validate_json(path.read_bytes())
    except OSError as error:
        raise SettingsError(
            f"--study {folder}: {KEY_FILE} cannot be read ({error.strerror}): it is written beside"
            f" {PAGE_FILE}, with --results"
        ) from error
    except ValidationError as error:
        raise InputError(f"{path} is damaged: {error.errors()[0]['msg']}") from error
