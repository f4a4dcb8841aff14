"""What each metric of `mcld evaluate` notices: true pictures with faults that are known."""

from __future__ import annotations

import io
import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track

from benchmarks.markdown import print_table
from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import read_image, write_iuv, write_jpeg, write_png
from mcld.dataset.results import result_file
from mcld.dataset.sheet import contact_sheet
from mcld.errors import InputError
from mcld.estimators.texture import extract_texture
from mcld.evaluate.registry import COLUMNS
from mcld.evaluate.request import EvaluationRequest
from mcld.evaluate.run import Evaluator
from mcld.evaluate.scores import SizeScores
from mcld.mannequin.world.people import Subject, draw_subject, is_doll, photograph_subject
from mcld.settings import load_settings
from mcld.surface.parts import HEAD

SIZE = (256, 176)
METRICS = ("all",)
PICTURES = 5
"""Of each person: each is the source of the next one."""
_EDGE = np.ones((7, 7), np.uint8)
"""Around a head, what is exchanged with it, pixels."""

Picture = NDArray[np.uint8]


class _Case(NamedTuple):
    """A pair: whose, from which picture, to which, and who stands in for them."""

    seed: int
    person: int
    other: int
    source: int
    target: int

    def take(self, subject: Subject | None = None, picture: int | None = None) -> Picture:
        """A picture of this person, or of another subject in their place; of the target's pose."""
        picture = self.target if picture is None else picture
        subject = subject or draw_subject(self.seed, self.person)
        return _photograph(subject, self.seed, self.person, picture)[0]

    def swap_clothes(self) -> Picture:
        """The truth in what the other wears, cut as their own clothes are."""
        other = draw_subject(self.seed, self.other)
        own = draw_subject(self.seed, self.person)
        names = ("clothes", "top_fabric", "bottom_fabric", "closure")
        return self.take(replace(own, **{name: getattr(other, name) for name in names}))

    def swap_head(self) -> Picture:
        """The truth with the other's face and hair, in their own colour of skin."""
        own = draw_subject(self.seed, self.person)
        face = replace(draw_subject(self.seed, self.other).face, skin=own.face.skin)
        subjects = (own, replace(own, face=face))
        (image, iuv, _), (swapped, theirs, _) = (
            _photograph(one, self.seed, self.person, self.target) for one in subjects
        )
        head = np.isin(iuv[..., 0], HEAD) | np.isin(theirs[..., 0], HEAD)
        here = cv2.dilate(head.astype(np.uint8), _EDGE)[..., None] > 0
        return np.where(here, swapped, image).astype(np.uint8)


@lru_cache(maxsize=16)
def _photograph(subject: Subject, seed: int, person: int, picture: int) -> tuple[Picture, ...]:
    return photograph_subject(subject, seed, person, picture, SIZE)


def _blur(sigma: float, case: _Case) -> Picture:
    return np.asarray(cv2.GaussianBlur(case.take(), (0, 0), sigma), np.uint8)


def _shift(pixels: int, case: _Case) -> Picture:
    image = case.take()
    moved = np.roll(image, pixels, axis=1)
    moved[:, :pixels] = image[:, :1]
    return moved


def _tint(share: float, case: _Case) -> Picture:
    tinted = case.take() * np.array([1 + share, 1, 1 - share])
    return np.rint(tinted).clip(0, 255).astype(np.uint8)


def _compress(quality: int, case: _Case) -> Picture:
    file = io.BytesIO()
    Image.fromarray(case.take()).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


NONE, REFERENCE = "none", "2 px aside"
FAULTS: dict[str, Callable[[_Case], Picture]] = {
    NONE: _Case.take,
    REFERENCE: partial(_shift, 2),
    "8 px aside": partial(_shift, 8),
    "blur 1 px": partial(_blur, 1),
    "blur 3 px": partial(_blur, 3),
    "JPEG 50": partial(_compress, 50),
    "JPEG 20": partial(_compress, 20),
    "cast 8 %": partial(_tint, 0.08),
    "cast 25 %": partial(_tint, 0.25),
    "other clothes": _Case.swap_clothes,
    "other head": _Case.swap_head,
    "other pose": lambda case: case.take(picture=(case.target + 2) % PICTURES),
    "source copied": lambda case: case.take(picture=case.source),
}
"""What is done to the true picture of a pair."""


def score(out: Path, people: int, seed: int) -> None:
    """Score true pictures with faults, write them and a sheet, print what each metric says.

    First the mean of every number by fault; then, of numbers of single pictures, the share of pairs
    in which it finds the fault worse than the true picture moved by 2 pixels, which nobody would
    call a fault: 50 % is what chance gives. Then a JSON line by fault.

    Raises InputError for fewer than two people.
    """
    if people < 2:
        raise InputError("people wear each other's clothes: give at least 2 with --people")
    layout = DatasetLayout(out / "dataset")
    cases = _write_dataset(layout, people, seed)
    sheet = _write_results(layout, out, cases)
    settings = load_settings(None, [f"evaluate.metrics=[{','.join(METRICS)}]"])
    evaluator = Evaluator(settings, say=_say, on_picture=lambda *_: None)
    scores: dict[str, SizeScores] = {}
    for fault in FAULTS:
        request = EvaluationRequest(fault, layout.root, _name_folder(out, fault))
        scores[fault] = evaluator.score(request).sizes["256"]
    lines = list(_describe(scores))
    columns = [name for name in COLUMNS if name in scores[NONE].values and COLUMNS[name].better]
    rows = [
        [COLUMNS[name].title, *(_format(line["values"].get(name), name) for line in lines)]
        for name in columns
    ]
    print_table([f"{len(cases)} pairs", *FAULTS], rows)
    print()
    worse = [fault for fault in FAULTS if fault not in (NONE, REFERENCE)]
    rows = [
        [COLUMNS[name].title, *(f"{line['worse'][name]:.0%}" for line in lines if line["worse"])]
        for name in columns
        if name in lines[-1]["worse"]
    ]
    print_table([f"worse than {REFERENCE}", *worse], rows)
    print()
    for line in lines:
        print(json.dumps({"measured": "metrics", "pairs": len(cases), **line}))
    print(f"one pair of each person: {sheet}", file=sys.stderr)


def _write_dataset(layout: DatasetLayout, people: int, seed: int) -> list[_Case]:
    """Write people to test with, and as many others to train with; return the pairs."""
    chosen = [index for index in range(4 * people) if not is_doll(index)][: 2 * people]
    tested = chosen[:people]
    for split, indices in (("test", tested), ("train", chosen[people:])):
        for index in track(indices, f"People ({split})", console=Console(stderr=True)):
            for picture in range(PICTURES):
                subject, stem = draw_subject(seed, index), _name(index, picture)
                image, iuv, _ = _photograph(subject, seed, index, picture)
                image_file, iuv_file = layout.image_and_iuv(split, stem)
                write_jpeg(image_file, image)
                write_iuv(iuv_file, iuv)
                write_png(layout.texture(split, stem), extract_texture(read_image(image_file), iuv))
        names = [f"{_name(index, k)}.jpg" for index in indices for k in range(PICTURES)]
        layout.write_names(split, names)
    cases = [
        _Case(seed, index, tested[(k + 1) % people], picture, (picture + 1) % PICTURES)
        for k, index in enumerate(tested)
        for picture in range(PICTURES)
    ]
    pairs = [(_name(case.person, case.source), _name(case.person, case.target)) for case in cases]
    layout.write_pairs("test", [(f"{a}.jpg", f"{b}.jpg") for a, b in pairs])
    return cases


def _write_results(layout: DatasetLayout, out: Path, cases: list[_Case]) -> Path:
    """Write a folder of results by fault, and a sheet of one pair of each person; return that."""
    rows = []
    for case in track(cases, "Faults", console=Console(stderr=True)):
        stems = _name(case.person, case.source), _name(case.person, case.target)
        made = {fault: break_truth(case) for fault, break_truth in FAULTS.items()}
        for fault, picture in made.items():
            write_png(result_file(_name_folder(out, fault), "256", *stems), picture)
        if case.source == 0:
            source = read_image(layout.image("test", stems[0]))
            rows.append([Image.fromarray(one) for one in (source, *made.values())])
    sheet = out / "sheet.png"
    write_png(sheet, contact_sheet(["source", *FAULTS], rows, SIZE[::-1]))
    return sheet


def _name(index: int, picture: int) -> str:
    return f"fashionWOMENMannequinsid{index:08d}{picture:02d}_1front"


def _name_folder(out: Path, fault: str) -> Path:
    return out / fault.replace(" ", "-").replace("-%", "")


def _describe(scores: dict[str, SizeScores]) -> Iterator[dict]:
    """By fault: the means, and how often it is found worse than `REFERENCE`."""
    for fault, found in scores.items():
        worse = {}
        for name, column in COLUMNS.items():
            both = [
                (row[name], scores[REFERENCE].rows[file][name])
                for file, row in found.rows.items()
                if name in row and name in scores[REFERENCE].rows[file]
            ]
            if column.better and both and fault not in (NONE, REFERENCE):
                lower = [column.better * (ours - theirs) for ours, theirs in both]
                worse[name] = sum((gap < 0) + 0.5 * (gap == 0) for gap in lower) / len(both)
        values = {name: value for name, value in found.values.items() if math.isfinite(value)}
        yield {"fault": fault, "values": values, "worse": worse}


def _format(value: float | None, name: str) -> str:
    return "" if value is None else f"{value:.{COLUMNS[name].digits}f}"


def _say(line: str) -> None:
    print(line, file=sys.stderr)
