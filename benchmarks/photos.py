"""A network on real photos: in their own poses, where they are the truth, and in each other's."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image, ImageOps
from rich.console import Console
from rich.progress import track

from benchmarks.body import find_map, list_photos
from benchmarks.edit import score_region
from benchmarks.mannequin import encode, paste_texture, repaint
from benchmarks.markdown import print_table
from mcld.dataset.pictures import colour_iuv, read_image, write_iuv, write_png
from mcld.dataset.poses import frame_pose
from mcld.dataset.sheet import contact_sheet
from mcld.errors import InputError
from mcld.machine.files import write_json
from mcld.networks.places import read_face_embedder
from mcld.person.person import Person
from mcld.person.reader import PersonReader
from mcld.sampling.device import choose_device
from mcld.sampling.open import OpenPipeline, open_pipeline
from mcld.settings import load_settings

METHODS = ("mcld", "network alone", "pasted texture")
FIGURES = ("psnr_inside", "ssim_inside", "psnr_outside", "ssim_outside")
COLUMNS = {
    "mcld, inside": ("mcld", 0),
    "pasted, inside": ("pasted texture", 0),
    "mcld, outside": ("mcld", 2),
    "network alone, outside": ("network alone", 2),
    "pasted, outside": ("pasted texture", 2),
}
"""Of the table: the method, and where its two figures begin."""
CELL = (224, 288)


def score(folder: Path, out: Path, weights: Path | None) -> None:
    """Repaint the people of a folder of photos; write the scores and a sheet, print the scores.

    PSNR and SSIM (Gaussian window, sigma 1.5) inside the silhouette of each photo's map and outside
    of it, in the photo's own pose, at the size that the network samples at; mean over photos. On
    the sheet everybody is in everybody's pose, at the size of their photo.

    Raises InputError for a folder in which nobody is found.
    """
    settings = load_settings(None, ["prepare.pose_estimator=embedded"])
    device = choose_device(settings.sample)
    embedder = read_face_embedder(weights, settings)
    reader = PersonReader(settings.prepare, str(device), _say, embedder)
    people, maps = {}, {}
    for photo in list_photos(folder):
        try:
            people[photo.name], maps[photo.name] = _read_person(reader, photo)
        except InputError as error:
            _say(f"Left out: {error}")
    if not people:
        raise InputError(f"{folder} holds no photo of a person")
    opened = open_pipeline(weights, settings, device, _say)
    scores = {name: _score_own_pose(opened, person) for name, person in people.items()}
    means = np.mean(list(scores.values()), axis=0)
    rows = [[f"{name}, {maps[name]} map", *_format(one)] for name, one in scores.items()]
    print_table(
        ["PSNR (dB) / SSIM", *COLUMNS], [*rows, [f"mean of {len(people)}", *_format(means)]]
    )
    figures = {name: {"map": maps[name], **_name_figures(one)} for name, one in scores.items()}
    write_json(out / "scores.json", {"photos": figures, "mean": _name_figures(means)})
    sheet = out / "sheet.png"
    write_png(sheet, contact_sheet(["source", *people], [*_draw_rows(opened, people)], CELL))
    print(f"the figures: {out / 'scores.json'}\neverybody in everybody's pose: {sheet}")


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _read_person(reader: PersonReader, photo: Path) -> tuple[Person, str]:
    """The person of a photo, and whether the map was given or is the embedded reader's."""
    iuv = find_map(photo, read_image(photo).shape)
    if iuv is None:
        return reader.person(photo), "embedded"
    with TemporaryDirectory() as folder:  # the reader takes files, in this project's own order
        own = Path(folder) / "map.png"
        write_iuv(own, iuv)
        return reader.person(photo, own), "given"


def _score_own_pose(opened: OpenPipeline, person: Person) -> list[list[float]]:
    """The figures of every method, [METHODS][FIGURES]."""
    options = opened.options
    size = options.width, options.height
    # The map is not blended, whatever the network was trained on: texels are looked up in it.
    iuv = np.asarray(Image.fromarray(person.iuv).resize(size, Image.Resampling.NEAREST))
    laid = replace(person, photo=person.photo.resize(size, Image.Resampling.BICUBIC))
    truth = np.asarray(laid.photo)
    conditions = encode(opened.pipeline, person, person.iuv, options)
    pictures = (
        repaint(opened.pipeline, conditions, laid, person.iuv, options),
        repaint(opened.pipeline, conditions, laid, person.iuv, replace(options, keep="nothing")),
        paste_texture(np.asarray(person.texture), iuv, truth),
    )
    return [score_region(np.asarray(picture), truth, iuv[..., 0] > 0) for picture in pictures]


def _format(scores: list[list[float]]) -> list[str]:
    found = dict(zip(METHODS, scores, strict=True))
    pairs = (found[method][first : first + 2] for method, first in COLUMNS.values())
    return [f"{psnr:.2f} / {ssim:.3f}" for psnr, ssim in pairs]


def _name_figures(scores: list[list[float]]) -> dict[str, dict[str, float]]:
    return {
        method: dict(zip(FIGURES, map(float, numbers), strict=True))
        for method, numbers in zip(METHODS, scores, strict=True)
    }


def _draw_rows(opened: OpenPipeline, people: dict[str, Person]) -> Iterator[list[Image.Image]]:
    """Photos and maps of the poses, then everybody in each of them."""
    photos = [person.photo for person in people.values()]
    blank = Image.new("RGB", CELL, "white")
    yield [blank, *photos]
    yield [blank, *(Image.fromarray(colour_iuv(person.iuv)) for person in people.values())]
    for person in track(people.values(), "Sampling", console=Console(stderr=True)):
        row = [person.photo]
        for goal in people.values():
            iuv = frame_pose(goal.iuv, person.photo.size)
            conditions = encode(opened.pipeline, person, iuv, opened.options)
            made = repaint(opened.pipeline, conditions, person, iuv, opened.options)
            row.append(ImageOps.contain(made, CELL))
        yield row
