"""Fill a dataset folder with mannequins: pictures, maps, faces, splits and pairs."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache, partial
from itertools import product
from pathlib import Path

import numpy as np

from mcld.body.shape import UInt8Array
from mcld.dataset.layout import GENERATED_FILE, DatasetLayout, flat_name
from mcld.dataset.pictures import (
    read_image,
    read_iuv,
    write_face,
    write_iuv,
    write_jpeg,
    write_png,
)
from mcld.errors import InputError
from mcld.estimators.head_crop import HeadCrop
from mcld.estimators.pose import PoseEstimator
from mcld.estimators.texture import extract_texture
from mcld.machine.files import remove_unfinished, write_json
from mcld.machine.lock import hold_folder
from mcld.machine.processes import ignore
from mcld.machine.workers import work_in_processes
from mcld.mannequin.world import identity, pose, render
from mcld.mannequin.world.map_noise import disturb_map
from mcld.mannequin.world.people import is_doll, photograph_twice

STYLES = {"people": 3, "dolls": 4}
"""What mannequins look like, and the version of each: raised whenever the same seed would give
other pictures."""

_EXACT, _ESTIMATED = 0.4, 0.12
"""How many maps of people to train on are exact, and how many are estimated; the rest are noisy."""

# DeepFashion's own words for what is seen.
_VIEW_WORDS = {
    "front": "1_front",
    "side": "2_side",
    "back": "3_back",
    "turned": "7_additional",
}
ALONE = "_8alone"
"""The end of the stem of a person before a plain ground, as networks are to paint them."""


@dataclass(frozen=True)
class _World:
    """What decides every byte of the folder; kept in it as mannequins.json."""

    style: str
    maps: str
    version: int
    seed: int
    mannequins: int
    pictures: int
    height: int
    width: int

    def split(self, index: int) -> str:
        """Every tenth person is held out; of fewer than ten, the last."""
        held_out = index % 10 == 9 or (self.mannequins < 10 and index == self.mannequins - 1)
        return "test" if held_out else "train"

    def names(self, index: int) -> list[str]:
        """The flat names of one person's pictures."""
        gender = identity(self.seed, index).body.gender
        folder = f"{gender}/Mannequins/id_{index:08d}"
        views = (pose(self.seed, index, k).view for k in range(self.pictures))
        return [
            flat_name(f"{folder}/{k + 1:02d}_{_VIEW_WORDS[view]}.jpg")
            for k, view in enumerate(views)
        ]

    def names_alone(self, index: int) -> list[str]:
        """Those of the same pictures before a plain ground, which people to train on have."""
        if self.style != "people" or self.split(index) != "train" or is_doll(index):
            return []
        return [f"{name.partition('_')[0]}{ALONE}.jpg" for name in self.names(index)]

    def pairs(self, index: int) -> list[tuple[str, str]]:
        """Sources and targets: each other; of people to train on, themselves, too."""
        names, alone = self.names(index), self.names_alone(index)
        own = self.style == "people" and self.split(index) == "train"
        return [(a, b) for a, b in product(names, alone or names) if own or a != b]


def prepare_mannequins(
    root: Path,
    mannequins: int,
    *,
    seed: int = 0,
    style: str = "people",
    maps: str = "noisy",
    pictures: int = 8,
    size: tuple[int, int] = (256, 176),
    workers: int | None = None,
    on_picture: Callable[[int, int], None] = ignore,
) -> DatasetLayout:
    """Write `mannequins` people of the mannequin world `seed`, prepared, below the folder `root`.

    Each person has `pictures` pictures of size (height, width); all ordered pairs of two pictures
    of one person are listed in split/*.csv, and of people to train on each picture with itself.
    Every tenth person, at least one, is in the test split and nowhere else. `style` is one of
    STYLES: "people" as photos show them, and every fourth a doll, whose maps, but those of the test
    split and with `maps` "exact", are in part noisy or estimated as photos' are; or "dolls", whole
    before a plain ground, with exact maps. People to train on are pictured before a plain ground as
    well, which the pairs lead to. The bytes are a function of the arguments alone, not of `workers`
    (processes; by default one per core). `on_picture` is called with (pictures done, pictures in
    all).

    A run that was broken off goes on where it stopped: files that are there are kept. The lists
    are written last, so a folder with lists is whole.

    Raises InputError when a number is impossible, or when `root` holds other mannequins or anything
    else, or is being prepared by another run.
    """
    if mannequins < 2:
        raise InputError(
            f"{mannequins} mannequins cannot be split into train and test: give 2 or more"
        )
    if style not in STYLES:
        raise InputError(f"there is no style {style!r} of mannequins: give {' or '.join(STYLES)}")
    if pictures < 2 or min(size) < 16 or seed < 0:
        raise InputError(
            f"cannot take {pictures} pictures of {size[0]}x{size[1]} with seed {seed}:"
            " give at least 2 pictures of 16x16 and a seed from 0"
        )
    world = _World(style, maps, STYLES[style], seed, mannequins, pictures, *size)
    _claim(root, world)
    with hold_folder(root):
        remove_unfinished(root)
        total = mannequins * pictures
        unfinished = [i for i in range(mannequins) if not _is_prepared(root, world, i)]
        done = total - pictures * len(unfinished)
        on_picture(done, total)
        work, workers = partial(_prepare_person, root, world), workers or os.cpu_count() or 1
        for _ in work_in_processes(work, unfinished, workers, "the mannequin world"):
            done += pictures
            on_picture(done, total)
        layout = DatasetLayout(root)
        layout.write_record({"pose_estimator": "rendered", "face_embedder": "head_crop"})
        for split in ("train", "test"):
            people = [i for i in range(mannequins) if world.split(i) == split]
            layout.write_names(
                split, (n for i in people for n in (*world.names(i), *world.names_alone(i)))
            )
            layout.write_pairs(split, (pair for i in people for pair in world.pairs(i)))
    return layout


def _claim(root: Path, world: _World) -> None:
    """Make sure that `root` is free or holds this very world, and mark it."""
    mark = root / GENERATED_FILE
    wanted = asdict(world)
    if mark.exists():
        try:
            found = json.loads(mark.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read {mark}: {error}") from error
        if isinstance(found, dict):
            found.setdefault("style", "dolls")  # there was no other
            found.setdefault("maps", "noisy")
        if isinstance(found, dict) and {**found, "version": world.version} == wanted != found:
            raise InputError(
                f"{root} holds mannequins of another version of their world"
                f" ({found.get('version')}, now {world.version}): remove it, or give another folder"
            )
        if found != wanted:
            raise InputError(
                f"{root} holds other mannequins ({_describe(found)}) than asked for"
                f" ({_describe(wanted)}): ask for those, or give another folder"
            )
        return
    if root.exists() and not root.is_dir():
        raise InputError(f"{root} is a file: give a folder")
    if root.exists() and any(not entry.name.startswith(".") for entry in root.iterdir()):
        raise InputError(
            f"{root} already holds files that are no mannequins: give an empty or a new folder"
        )
    write_json(mark, wanted)


def _describe(world: object) -> str:
    """The contents of a mannequins.json, for a message."""
    if not isinstance(world, dict):
        return "unknown"
    return ", ".join(f"{key} {value}" for key, value in world.items())


def _is_prepared(root: Path, world: _World, index: int) -> bool:
    """Whether a person's files are there; who shows no face in some picture is looked at again."""
    layout, split = DatasetLayout(root), world.split(index)
    names = [*world.names(index), *world.names_alone(index)]
    stems = [name.removesuffix(".jpg") for name in names]
    return all(
        layout.is_prepared(split, stem) and layout.face(split, stem).exists() for stem in stems
    )


@cache
def _open_reader() -> PoseEstimator:
    from mcld.estimators.body.estimator import EmbeddedPose  # here, because it loads PyTorch

    return EmbeddedPose()


def _estimate_map(image: UInt8Array) -> UInt8Array | None:
    """The map that a photo would get; None where nobody is found."""
    from mcld.machine.threads import limit_threads

    with limit_threads():  # so that no sum depends on how many there are
        (pose,) = _open_reader().estimate([image])
    return pose.iuv if pose is not None and pose.iuv[..., 0].any() else None


def _take_picture(
    world: _World, index: int, picture: int
) -> tuple[UInt8Array, UInt8Array, UInt8Array]:
    """A picture, the IUV map that goes with it, and the picture before a plain ground."""
    size = world.height, world.width
    if world.style == "dolls":
        image, iuv = render(identity(world.seed, index), pose(world.seed, index, picture), size)
        return image, iuv, image
    image, iuv, alone = photograph_twice(world.seed, index, picture, size)
    rng = np.random.default_rng(np.random.SeedSequence([world.seed, index, 5, picture]))
    kind = rng.random()
    if world.maps == "exact" or world.split(index) == "test" or kind < _EXACT:
        return image, iuv, alone
    if kind < _EXACT + _ESTIMATED:
        estimated = _estimate_map(image)
        if estimated is not None:
            return image, estimated, alone
    noisy = disturb_map(rng, iuv)
    return image, noisy if noisy[..., 0].any() else iuv, alone


def _prepare_person(root: Path, world: _World, index: int) -> None:
    layout, split = DatasetLayout(root), world.split(index)
    names, alone = world.names(index), world.names_alone(index)
    for picture, written in enumerate(zip(names, alone, strict=True) if alone else zip(names)):
        files = [layout.image_and_iuv(split, name.removesuffix(".jpg")) for name in written]
        if all(file.exists() for both in files for file in both):
            continue
        image, iuv, before_ground = _take_picture(world, index, picture)
        for (image_file, iuv_file), pixels in zip(files, (image, before_ground), strict=False):
            write_jpeg(image_file, pixels)
            write_iuv(iuv_file, iuv)
    for name in (*names, *alone):
        stem = name.removesuffix(".jpg")
        image_file, iuv_file = layout.image_and_iuv(split, stem)
        texture_file, face_file = layout.texture(split, stem), layout.face(split, stem)
        if texture_file.exists() and face_file.exists():
            continue
        # As stored: what anyone gets who extracts it again from the files.
        image, iuv = read_image(image_file), read_iuv(iuv_file)
        if not texture_file.exists():
            write_png(texture_file, extract_texture(image, iuv))
        if not face_file.exists() and (face := HeadCrop().embed(image, iuv)) is not None:
            write_face(face_file, face)
