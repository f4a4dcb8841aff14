"""Edits of people never seen in training, beside the truth that the mannequin world can render."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torchmetrics.functional.image import structural_similarity_index_measure

from benchmarks.mannequin import paste_texture
from mcld.body.render import render
from mcld.body.shape import pose_vertices
from mcld.dataset.pictures import write_png
from mcld.dataset.sheet import contact_sheet
from mcld.edit.edits import Edits, edit, edit_person
from mcld.edit.texture import GROUPS, shows
from mcld.errors import InputError
from mcld.estimators.head_crop import HeadCrop
from mcld.estimators.texture import extract_texture
from mcld.machine.files import write_whole
from mcld.mannequin.world import Identity, Pose, identity, pose
from mcld.mannequin.world.atlas import paint
from mcld.networks.folders import load_pipeline
from mcld.networks.places import EMBEDDED
from mcld.person.person import Person
from mcld.surface.parts import PARTS

KINDS = {
    "upper": ("upper",),
    "lower": ("lower",),
    "clothes": ("upper", "lower", "feet"),
    "recolor": ("upper",),
    "face": ("head",),
    "pose": (),
}
"""What is edited -> the groups of parts that are."""
METHODS = (
    "edit",
    "edit, network alone",
    "edited texture pasted",
    "the source photo itself",
    "no edit",
    "no edit, network alone",
)
SIZE = (256, 176)
_FIGURES = ("psnr", "ssim", "psnr_outside", "ssim_outside")
VIEWS = 5
"""Poses that people are taken in, by turns."""


@dataclass(frozen=True)
class _Case:
    """One edit, and what should come of it."""

    kind: str
    source: Person
    donor: Person
    edits: Edits
    truth: np.ndarray
    iuv: np.ndarray
    """The map of the truth, whose pose the result has."""


def report(out: Path, people: int, seed: int, weights: Path | None, strength: float | None) -> None:
    """Edit pictures of people, write the figures and a sheet, print the scores.

    PSNR and SSIM (Gaussian window, sigma 1.5) against the truth, over the edited region and over
    the rest of the picture, mean over edits. The edited region is the parts that are edited, and
    the whole body for another pose.

    Raises InputError for fewer than two people.
    """
    if people < 2:
        raise InputError("people are edited from each other: give at least 2 with --people")
    pipeline = load_pipeline(weights or EMBEDDED)

    def made(source, edits, strength=strength):
        (picture,) = edit(pipeline, source, edits, strength=strength)
        return np.asarray(picture)

    scores: dict[tuple[str, str], list] = {}
    rows = {}
    cases = _cases(seed, people)
    for case in track(cases, "Editing", console=Console(stderr=True)):
        person = edit_person(case.source, case.edits)
        photo = np.asarray(case.source.photo)
        pasted = paste_texture(np.asarray(person.texture), case.iuv, photo)
        nothing = Edits(pose=case.edits.pose)
        tried = (
            made(case.source, case.edits),
            made(case.source, case.edits, 1.0),
            pasted,
            photo,
            made(case.source, nothing),
            made(case.source, nothing, 1.0),
        )
        pictures = dict(zip(METHODS, tried, strict=True))
        region = _region(case)
        for method, picture in pictures.items():
            scores.setdefault((case.kind, method), []).append(
                score_region(picture, case.truth, region)
            )
        unrolled = person.texture.resize(SIZE[::-1])
        rows.setdefault(
            case.kind, [photo, case.donor.photo, unrolled, pasted, pictures["edit"], case.truth]
        )
    means = {key: np.mean(values, axis=0) for key, values in scores.items()}
    counts = {kind: len(scores[kind, "edit"]) for kind in KINDS}
    _print(means, counts)
    figures = [
        {
            "kind": kind,
            "method": method,
            "edits": counts[kind],
            **dict(zip(_FIGURES, map(float, mean), strict=True)),
        }
        for (kind, method), mean in means.items()
    ]
    with write_whole(out / "scores.json") as path:
        path.write_text(json.dumps({"seed": seed, "figures": figures}, indent=2) + "\n")
    columns = ("source", "donor", "edited texture", "pasted", "mcld", "truth")
    pictures = [
        [p if isinstance(p, Image.Image) else Image.fromarray(p) for p in rows[kind]]
        for kind in KINDS
    ]
    sheet = out / "sheet.png"
    write_png(sheet, contact_sheet(columns, pictures, SIZE[::-1]))
    print(f"the figures: {out / 'scores.json'}\none edit of each kind: {sheet}")


def _cases(seed: int, people: int) -> list[_Case]:
    """Every kind of edit for each of some people, from the next one; the world's test people."""
    taken = [_taken(seed, 10 * k + 9, k % VIEWS) for k in range(people)]
    cases = []
    for k, (who, stance, source) in enumerate(taken):
        other, other_stance, donor = taken[(k + 1) % people]
        for kind, groups in KINDS.items():
            shown = all(shows(np.asarray(donor.texture), group) for group in groups)
            if not shown or (kind == "face" and not donor.has_face):
                continue
            stance_now = other_stance if kind == "pose" else stance
            truth, iuv = _picture(who, stance_now, _atlas(who, other, kind))
            if kind == "pose":
                edits = Edits(pose=iuv)  # of this body: another's would change the figure, too
            elif kind == "face":
                edits = Edits(face=donor)
            elif kind == "recolor":
                red, green, blue = (round(255 * c) for c in other.clothes.top)
                edits = Edits(recolor={"upper": (red, green, blue)})
            else:
                edits = Edits(garments=dict.fromkeys(groups, donor))
            cases.append(_Case(kind, source, donor, edits, truth, iuv))
    if {case.kind for case in cases} != set(KINDS):
        raise InputError(f"{people} people give no edit of some kind: give more")
    return cases


def _atlas(who: Identity, other: Identity, kind: str) -> np.ndarray:
    """What the edited person's skin is painted with.

    The donor's charts for the parts that are edited; for all clothes, the person dressed anew; for
    another colour, their own top with the main colour of the donor's.
    """
    if kind == "clothes":
        return paint(who.face, other.clothes)
    if kind == "recolor":
        return paint(who.face, replace(who.clothes, top=other.clothes.top))
    own, others = paint(who.face, who.clothes), paint(other.face, other.clothes)
    labels = [label for group in KINDS[kind] for label in GROUPS[group]]
    brought = np.isin(np.arange(1, PARTS + 1), labels)
    return np.where(brought[:, None, None, None], others, own)


def _taken(seed: int, index: int, picture: int) -> tuple[Identity, Pose, Person]:
    who, stance = identity(seed, index), pose(seed, index, picture)
    image, iuv = _picture(who, stance, paint(who.face, who.clothes))
    face = HeadCrop().embed(image, iuv)
    embedding = torch.zeros(512) if face is None else torch.from_numpy(face)
    texture = Image.fromarray(extract_texture(image, iuv))
    person = Person(f"person {index}", Image.fromarray(image), iuv, texture, embedding)
    return who, stance, person


def _picture(who: Identity, stance: Pose, atlas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    vertices = pose_vertices(who.body, stance.rotation_array())
    return render(vertices, atlas, who.background, stance, *SIZE)


def _region(case: _Case) -> np.ndarray:
    labels = [label for group in KINDS[case.kind] for label in GROUPS[group]]
    return np.isin(case.iuv[..., 0], labels) if labels else case.iuv[..., 0] > 0


def score_region(picture: np.ndarray, truth: np.ndarray, region: np.ndarray) -> list[float]:
    """PSNR and SSIM inside the region, bool [H, W], then outside."""
    a, b = (
        torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].double() / 255
        for image in (picture, truth)
    )
    _, similarity = structural_similarity_index_measure(
        a, b, data_range=1.0, return_full_image=True
    )
    similarity, error = similarity[0].mean(dim=0).numpy(), ((a - b) ** 2)[0].mean(dim=0).numpy()
    found = []
    for where in (region, ~region):
        psnr = -10 * np.log10(max(error[where].mean(), 1e-6))  # alike in nearly all: 60 dB
        found += [float(psnr), float(similarity[where].mean())]
    return found


def _print(means: dict, counts: dict[str, int]) -> None:
    table = Table(title="Edits of people never seen in training")
    for name, justify in (("edit", "left"), ("", "left"), ("PSNR", "right"), ("SSIM", "right")):
        table.add_column(name, justify=justify)
    table.add_column("outside", justify="right")
    table.add_column("", justify="right")
    for kind, count in counts.items():
        for method in METHODS:
            numbers = means[kind, method]
            cells = [f"{x:.2f}" if k % 2 == 0 else f"{x:.3f}" for k, x in enumerate(numbers)]
            first = f"{kind} ({count})" if method == METHODS[0] else ""
            table.add_row(first, method, *cells, end_section=method == METHODS[-1])
    Console().print(table)
