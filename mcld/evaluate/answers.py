"""The answers of people to a study, scored.

Shares are those of the field's user studies (docs/studies.md), with 95 % confidence intervals.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError

from mcld.errors import InputError
from mcld.evaluate.study_key import KEY_FILE, SUMMARY_FILE, StudyKey
from mcld.machine.files import write_json

RESAMPLES = 2000
_Z = 1.959964
"""Of 95 %."""
Marks = NDArray[np.bool_]
"""bool [participants, pictures or comparisons]: what is counted."""


class Judgement(BaseModel):
    """What somebody took one picture for."""

    picture: str
    answer: Literal["real", "generated"]
    seconds: float = Field(ge=0, allow_inf_nan=False)


class Choice(BaseModel):
    """Which of two pictures somebody found better."""

    comparison: str
    left: str
    """The picture that stood on the left."""
    answer: str
    """The picture that was taken."""
    seconds: float = Field(ge=0, allow_inf_nan=False)


class Answers(BaseModel):
    """One participant's, as the page saves them, in the order in which they were asked."""

    study: str
    participant: str = Field(min_length=1, pattern=r"\S")
    seed: int
    """Of the order, made of the study and the participant."""
    judged: list[Judgement]
    compared: list[Choice]


class Share(NamedTuple):
    """A share of answers."""

    measure: Literal["R2G", "G2R", "Jab", "preferred"]
    method: str | None
    """Whose pictures it is about; None for photos."""
    other: str | None
    """With "preferred", the method it was preferred to."""
    value: float
    low: float
    high: float
    """The 95 % confidence interval."""
    interval: Literal["bootstrap", "Wilson"]
    answers: int

    @property
    def title(self) -> str:
        """What it is, in a table."""
        parts = [self.measure, self.method, self.other and f"to {self.other}"]
        if self.measure == "preferred":
            return f"{self.method} preferred to {self.other}"
        return " ".join(filter(None, parts))


@dataclass(frozen=True)
class StudyScores:
    """What came of a study."""

    key: StudyKey
    participants: list[str]
    shares: list[Share]
    seconds: dict[str, float]
    """Median time of an answer, of "judged" and "compared"."""
    agreement: dict[str, float | None]
    """Fleiss' kappa of "judged" and "compared"; None where it is not defined."""
    left: float | None
    """How often the picture on the left was taken; None without comparisons."""
    refused: list[str]
    """Files that do not count, and why."""

    def list_notes(self) -> list[str]:
        """What to know of the shares, in words."""
        people = len(self.participants)
        counted = f"{people} participants" if people > 1 else "1 participant"
        lines = [f"{counted} counted; files that are not: {len(self.refused)}"]
        for what, doing in (("judged", "a picture"), ("compared", "a comparison")):
            if what not in self.seconds:
                continue
            kappa = self.agreement[what]
            told = "not defined" if kappa is None else f"{kappa:.2f}"
            time = f"median time {self.seconds[what]:.1f} s"
            lines.append(f"Of {doing}: {time}; agreement, Fleiss' kappa: {told}")
        if self.left is not None:
            lines.append(
                f"Of the comparisons, the picture on the left was taken in {self.left:.1%}"
            )
        kinds = {share.interval for share in self.shares}
        if "bootstrap" in kinds:
            lines.append(
                f"Intervals: bootstrap over participants and pictures, {RESAMPLES:,} samples"
                + (", and Wilson's where all answers are alike" if "Wilson" in kinds else "")
            )
        else:
            lines.append("Intervals: Wilson's, of as many answers as pictures")
        return lines

    def describe(self) -> dict[str, Any]:
        """As answers.json has it."""
        return {
            "study": self.key.study,
            "methods": self.key.methods,
            "participants": self.participants,
            "answers": {
                "judged": len(self.key.judged) * len(self.participants),
                "compared": len(self.key.compared) * len(self.participants),
            },
            "confidence": 0.95,
            "resamples": RESAMPLES,
            "shares": [share._asdict() for share in self.shares],
            "median_seconds": self.seconds,
            "fleiss_kappa": self.agreement,
            "left": self.left,
            "refused": self.refused,
        }

    def write(self, folder: Path) -> Path:
        """Write answers.json; return its path. Raises MCLDError when it cannot be written."""
        write_json(folder / SUMMARY_FILE, self.describe())
        return folder / SUMMARY_FILE


def read_answers(folder: Path, key: StudyKey) -> tuple[list[Answers], list[str]]:
    """The answers to a study in a folder, and of each JSON file that does not count, why.

    Raises InputError when the folder cannot be listed.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".json")
    except OSError as error:
        raise InputError(f"--answers {folder} cannot be listed: {error.strerror}") from error
    found: dict[str, Answers] = {}
    files: dict[str, Path] = {}
    refused = []
    for path in paths:
        if path.name.startswith(".") or path.name in (KEY_FILE, SUMMARY_FILE):
            continue
        try:
            answers = Answers.model_validate_json(path.read_bytes())
            _check(answers, key)
        except OSError as error:
            refused.append(f"{path.name}: cannot be read: {error.strerror}")
        except ValidationError as error:
            first = error.errors()[0]
            where = "".join(f"{part}: " for part in first["loc"])
            refused.append(f"{path.name}: damaged, or no answers: {where}{first['msg']}")
        except InputError as error:
            refused.append(f"{path.name}: {error}")
        else:
            who = answers.participant
            if who in found:
                what = "the same answers as" if found[who] == answers else "other answers than"
                refused.append(f"{path.name}: participant {who} again, {what} {files[who].name}")
            else:
                found[who], files[who] = answers, path
    return list(found.values()), refused


def _check(answers: Answers, key: StudyKey) -> None:
    """Raise InputError for answers that are not to all that the study asks, each once."""
    if answers.study != key.study:
        raise InputError(f"answers to study {answers.study}, not {key.study}")
    for what, asked, given in (
        ("pictures", key.judged, [answer.picture for answer in answers.judged]),
        ("comparisons", key.compared, [answer.comparison for answer in answers.compared]),
    ):
        if sorted(asked) != sorted(given):
            count = len(set(asked) & set(given))
            raise InputError(f"damaged: answers to {count} of {len(asked)} {what}, each once")
    for answer in answers.compared:
        if not {answer.left, answer.answer} <= set(key.compared[answer.comparison]):
            raise InputError(f"damaged: comparison {answer.comparison} has other pictures")


def score_answers(
    key: StudyKey, answers: Sequence[Answers], refused: Sequence[str] = ()
) -> StudyScores:
    """The shares of all participants' answers, with intervals.

    Raises InputError when there are no answers.
    """
    if not answers:
        reason = ": no file counts" if refused else ""
        raise InputError(f"there are no answers to study {key.study}{reason}")
    called_real = np.array(
        [
            [{j.picture: j.answer for j in each.judged}[name] == "real" for name in key.judged]
            for each in answers
        ]
    )
    took_first = np.array(
        [
            [
                {c.comparison: c.answer for c in each.compared}[name] == first
                for name, (first, _) in key.compared.items()
            ]
            for each in answers
        ]
    )
    times = {
        "judged": [answer.seconds for each in answers for answer in each.judged],
        "compared": [answer.seconds for each in answers for answer in each.compared],
    }
    lefts = [choice.left == choice.answer for each in answers for choice in each.compared]
    agreement = {"judged": measure_agreement(called_real)}
    if key.compared:
        agreement["compared"] = measure_agreement(took_first)
    return StudyScores(
        key,
        [each.participant for each in answers],
        [*_score_judged(key, called_real), *_score_compared(key, took_first)],
        {what: median(some) for what, some in times.items() if some},
        agreement,
        sum(lefts) / len(lefts) if lefts else None,
        list(refused),
    )


def _score_judged(key: StudyKey, called_real: Marks) -> Iterator[Share]:
    """R2G, and each method's G2R."""
    of_picture = [key.pictures[name].method for name in key.judged]
    for method in (None, *key.methods):
        marks = called_real[:, [other == method for other in of_picture]]
        if method is None:
            yield _make_share("R2G", None, None, ~marks)
        else:
            yield _make_share("G2R", method, None, marks)


def _score_compared(key: StudyKey, took_first: Marks) -> Iterator[Share]:
    """Each method's Jab, and how often each is preferred to each."""
    if not key.compared:
        return
    sides = [[key.pictures[name].method for name in pictures] for pictures in key.compared.values()]
    for method in key.methods:
        yield _make_share("Jab", method, None, _find_taken(sides, took_first, {method}, method))
    if len(key.methods) < 3:
        return
    for method, other in combinations(key.methods, 2):
        marks = _find_taken(sides, took_first, {method, other}, method)
        if marks.size:
            yield _make_share("preferred", method, other, marks)


def _find_taken(
    sides: list[list[str | None]], took_first: Marks, among: set[str], method: str
) -> Marks:
    """In the comparisons of certain methods, whether one of them was taken."""
    columns = [k for k, both in enumerate(sides) if among <= set(both)]
    is_first = np.array([sides[k][0] == method for k in columns], bool)
    return np.asarray(took_first[:, columns] == is_first)


def _make_share(
    measure: Literal["R2G", "G2R", "Jab", "preferred"],
    method: str | None,
    other: str | None,
    marks: Marks,
) -> Share:
    low, high, interval = find_interval(marks)
    return Share(measure, method, other, float(marks.mean()), low, high, interval, marks.size)


def find_interval(marks: Marks) -> tuple[float, float, Literal["bootstrap", "Wilson"]]:
    """The 95 % confidence interval of a share, and how it was found.

    That is the percentile bootstrap over participants and items at once, each drawn with
    replacement: answers of one participant, and answers to one picture, are not independent. Where
    there is one participant or one item, or where all answers are alike, there is nothing to draw
    from, and it is Wilson's of as many answers as there are items, or participants where there is
    one item.
    """
    participants, items = marks.shape
    share = marks.mean()
    if min(participants, items) == 1 or share in (0, 1):
        return *_find_wilson(float(share), items if items > 1 else participants), "Wilson"
    random = np.random.default_rng(0)
    who = random.multinomial(participants, np.full(participants, 1 / participants), RESAMPLES)
    what = random.multinomial(items, np.full(items, 1 / items), RESAMPLES)
    shares = ((who @ marks) * what).sum(1) / marks.size
    low, high = np.quantile(shares, [0.025, 0.975])
    return float(low), float(high), "bootstrap"


def _find_wilson(share: float, count: int) -> tuple[float, float]:
    """Wilson's score interval of a share of independent answers."""
    scale = 1 + _Z**2 / count
    middle = (share + _Z**2 / (2 * count)) / scale
    half = _Z / scale * (share * (1 - share) / count + _Z**2 / (4 * count**2)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def measure_agreement(marks: Marks) -> float | None:
    """Fleiss' kappa of participants who answered all items, each in one of two ways.

    None for a single participant, and where all answers are alike.
    """
    participants = len(marks)
    if participants < 2 or np.ptp(marks.astype(int)) == 0:
        return None
    first = marks.sum(0)
    second = participants - first
    same = (first * (first - 1) + second * (second - 1)) / (participants * (participants - 1))
    share = marks.mean()
    chance = share**2 + (1 - share) ** 2
    return float((same.mean() - chance) / (1 - chance))
