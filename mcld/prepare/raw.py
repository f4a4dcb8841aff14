"""The raw DeepFashion folder: which pictures it holds, and how they are split.

The published lists and pair tables are copied into the dataset as they are; lines with names that
cannot be are reported and left out. Without them the identities are split by a hash of their names.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import groupby, permutations
from pathlib import Path

from mcld.dataset.layout import (
    SPLITS,
    DatasetLayout,
    check_flat_name,
    flat_name,
    parse_identity,
    parse_outfit,
    read_names,
    read_pairs,
)
from mcld.errors import InputError
from mcld.machine.files import write_text, write_whole

GENDERS = ("MEN", "WOMEN")
RAW_FOLDERS = (".", "img_highres", "img")
JPEG = (".jpg", ".jpeg")
"""How names of JPEG files end."""
PREVIEW_FILE = "prepare-preview.png"
"""A few pictures of a prepared dataset, in its folder."""
_OTHER_FORMATS = (
    *(".png", ".webp", ".heic", ".heif", ".avif", ".jxl", ".bmp", ".gif", ".tif", ".tiff"),
    *(".dng", ".cr2", ".cr3", ".nef", ".arw"),
)
"""Of pictures that are told instead of being passed over in silence."""
TEST_SHARE = 0.1
OWN_SPLIT = "NOT-THE-PAPERS-SPLIT.txt"
PLAIN_NOTE = "PLAIN-FOLDER.txt"
PLAIN_NOTE_TEXT = """\
These lists were made by `mcld prepare` of a plain folder of photos: all are for testing, in pairs
of each photo and the next one's pose.
"""
OWN_SPLIT_NOTE = """\
These lists were made by `mcld prepare`, because none were given: identities are drawn by a hash of
their names, about one in ten for testing. Figures on them cannot stand beside published ones. To
use the published split, run again with --split-dir.
"""


@dataclass
class RawPictures:
    """The raw pictures of a dataset folder."""

    paths: dict[str, Path] = field(default_factory=dict)
    """Flat name -> file."""
    refused: dict[str, str] = field(default_factory=dict)
    """File, relative to the dataset folder -> why it is left out."""
    plain: bool = False
    """Whether it is a plain folder of photos, of any names, each of a person of its own."""


@dataclass
class Lists:
    """What is in each split, as it was given or found."""

    names: dict[str, list[str]]
    """Split -> flat names with '.jpg'."""
    pairs: dict[str, list[tuple[str, str]]]
    """Split -> pairs of flat names."""
    refused: dict[str, str]
    """Line of a list or table -> why it was left out."""
    source: Path | None
    """The folder they were found in; None for a split that is made now."""
    own: bool
    """Whether they are a split of our own, made now or earlier."""
    plain: bool = False
    """Whether they are of a plain folder of photos."""


def find_raw(root: Path) -> RawPictures:
    """All raw pictures below `root`: MEN and WOMEN, there or in img_highres or img.

    What begins with a dot is none: a Mac puts a file ._NAME.jpg beside each NAME.jpg of an archive.

    Raises InputError when a folder cannot be read.
    """
    pictures = RawPictures()
    for parent in RAW_FOLDERS:
        for gender in GENDERS:
            for folder, subfolders, files in os.walk(root / parent / gender, onerror=_refuse):
                subfolders[:] = sorted(name for name in subfolders if name[0] != ".")
                paths = [Path(folder, file) for file in sorted(files) if file[0] != "."]
                jpegs = [path for path in paths if path.suffix.lower() in JPEG]
                for path in jpegs:
                    _add_picture(pictures, path, root, root / parent)
                for path in _find_other_formats(paths, {jpeg.stem for jpeg in jpegs}):
                    kind = path.suffix[1:].upper()
                    pictures.refused[_print(path, root)] = f"is {kind}: save it as JPEG"
    return pictures


def has_raw_folders(root: Path) -> bool:
    """Whether MEN or WOMEN is there."""
    return any((root / p / gender).is_dir() for p in RAW_FOLDERS for gender in GENDERS)


def is_plain(root: Path) -> bool:
    """Whether `root` holds photos itself, and is not laid out as a dataset.

    Once prepared it has a dataset's folders as well; a note of its own among its lists tells.
    """
    if (DatasetLayout(root).list_file("train").parent / PLAIN_NOTE).is_file():
        return True
    laid_out = [root / name for split in SPLITS for name in (split, f"{split}_densepose")]
    if has_raw_folders(root) or any(folder.is_dir() for folder in (*laid_out, root / "split")):
        return False
    return any(map(_is_photo, _list_folder(root)))


def _list_folder(root: Path) -> list[Path]:
    try:
        return sorted(root.iterdir())
    except OSError as error:
        raise InputError(f"cannot read {error.filename}: {error.strerror}") from error


def _is_photo(path: Path) -> bool:
    """Whether a file is named as a picture, and is not what `mcld prepare` wrote."""
    names = path.suffix.lower() in (*JPEG, *_OTHER_FORMATS) and path.name[0] != "."
    return names and path.name != PREVIEW_FILE and path.is_file()


def find_photos(root: Path) -> RawPictures:
    """The photos in a plain folder, of any names. Raises InputError when it cannot be read."""
    pictures = RawPictures(plain=True)
    for path in filter(_is_photo, _list_folder(root)):
        name = f"{path.stem}.jpg"
        try:
            check_flat_name(name)
        except InputError as error:
            pictures.refused[_print(path, root)] = str(error)
            continue
        if name in pictures.paths:
            other = pictures.paths[name].name
            pictures.refused[_print(path, root)] = f"has the same name as {other}"
        else:
            pictures.paths[name] = path
    return pictures


def _find_other_formats(paths: list[Path], jpegs: set[str]) -> list[Path]:
    """The pictures of a folder that are no JPEG, and are not of one: NAME.png or NAME_segment.png.

    jpegs: the stems of its JPEGs.
    """
    return [
        path
        for path in paths
        if path.suffix.lower() in _OTHER_FORMATS
        and not {path.stem, path.stem.rpartition("_")[0]} & jpegs
    ]


def _print(path: Path, root: Path) -> str:
    """A file's path in the dataset folder; of a name that is not UTF-8, the bytes are escaped."""
    return os.fsencode(path.relative_to(root)).decode("utf-8", "backslashreplace")


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise InputError(f"cannot read {error.filename}: {error.strerror}") from error


def _add_picture(pictures: RawPictures, path: Path, root: Path, parent: Path) -> None:
    """Add a JPEG under its flat name, or to the refused; parent: where MEN and WOMEN lie."""
    try:
        name = flat_name(path.relative_to(parent).with_suffix(".jpg").as_posix())
        check_flat_name(name)
        parse_identity(name)
    except InputError:
        pictures.refused[_print(path, root)] = (
            "its path is not GENDER/CATEGORY/id_NUMBER/NN_N_VIEW.jpg"
        )
        return
    if name in pictures.paths:
        other = pictures.paths[name].relative_to(root).as_posix()
        pictures.refused[_print(path, root)] = f"has the same flat name as {other}"
        return
    pictures.paths[name] = path


def find_lists(root: Path, split_dir: Path | None, raw: RawPictures) -> Lists:
    """The published lists and tables, or a split of our own.

    They are looked for in `split_dir` alone when it is given, else in <root>/split and <root>.
    A split of our own that an earlier run left is made again: there may be more pictures now.

    Raises InputError when they are incomplete or cannot be read, or there is nothing to split.
    """
    if raw.plain:
        return _pair_photos(sorted(raw.paths))
    if split_dir and not split_dir.is_dir():
        raise InputError(f"--split-dir {split_dir} is no folder")
    files = [f"{split}.{kind}" for split in SPLITS for kind in ("lst", "csv")]
    partial = None
    for place in [split_dir] if split_dir else [root / "split", root]:
        missing = [file for file in files if not (place / file).is_file()]
        if not split_dir and (place / OWN_SPLIT).exists():
            if not raw.paths and not missing:
                return replace(_read_lists(place), source=None)
            return _split_raw(raw)
        if not missing:
            return _read_lists(place)
        # A run that was killed may have copied some of the lists that lie whole elsewhere.
        if len(missing) < len(files) or split_dir:
            partial = partial or f"{place} lacks {', '.join(missing)}"
    if partial:
        raise InputError(f"{partial}: give a folder with {', '.join(files)}")
    return _split_raw(raw)


def _split_raw(raw: RawPictures) -> Lists:
    """A split of our own; where there is nothing to split, the error says what was left out."""
    try:
        return make_own_split(sorted(raw.paths))
    except InputError as error:
        if not raw.refused:
            raise
        file, reason = next(iter(raw.refused.items()))
        raise InputError(
            f"{error}; files that were left out: {len(raw.refused):,}, such as {file}: {reason}"
        ) from error


def _read_lists(place: Path) -> Lists:
    """The lists and tables in a folder, less the names that are none."""
    own = (place / OWN_SPLIT).exists()
    lists = Lists(names={}, pairs={}, refused={}, source=place, own=own)
    for split in SPLITS:
        kept: dict[str, None] = {}
        for number, name in read_names(place / f"{split}.lst"):
            if _is_flat_name(lists, name, f"{split}.lst, line {number}"):
                kept[name] = None
        lists.names[split] = list(kept)
        lists.pairs[split] = [
            (start, end)
            for number, start, end in read_pairs(place / f"{split}.csv")
            if _is_flat_name(lists, start, f"{split}.csv, line {number}")
            and _is_flat_name(lists, end, f"{split}.csv, line {number}")
        ]
    return lists


def _is_flat_name(lists: Lists, name: str, where: str) -> bool:
    """Whether a name can be a picture's; what cannot is added to the refused lines."""
    try:
        check_flat_name(name)
    except InputError as error:
        lists.refused[where] = str(error)
        return False
    return True


def make_own_split(names: list[str]) -> Lists:
    """A split by identity, about one in ten for testing; it depends on the names alone.

    The pairs are all ordered pairs of pictures of one person in the same clothes. Raises InputError
    when there are fewer than two identities.
    """
    people = sorted(
        {parse_identity(name) for name in names}, key=lambda who: sha256(who.encode()).hexdigest()
    )
    if len(people) < 2:
        raise InputError(
            f"there are pictures of {len(people)} people, and no lists train.lst and test.lst:"
            " give MEN and WOMEN folders with at least 2 people, or --split-dir"
        )
    held_out = set(people[: max(1, round(TEST_SHARE * len(people)))])
    lists = Lists(names={}, pairs={}, refused={}, source=None, own=True)
    for split in SPLITS:
        lists.names[split] = [
            n for n in names if (parse_identity(n) in held_out) == (split == "test")
        ]
        lists.pairs[split] = [
            pair
            for _, same in groupby(sorted(lists.names[split], key=parse_outfit), parse_outfit)
            for pair in permutations(same, 2)
        ]
    return lists


def _pair_photos(names: list[str]) -> Lists:
    """All for testing, each in the pose of the next: no two are known to show one person."""
    pairs = list(zip(names, names[1:] + names[:1], strict=True)) if len(names) > 1 else []
    names_of, pairs_of = {"train": [], "test": names}, {"train": [], "test": pairs}
    return Lists(names_of, pairs_of, {}, None, own=True, plain=True)


def link_or_copy(raw: Path, flat: Path) -> None:
    """Give a raw picture its flat name: a hard link where the file system allows, else a copy.

    Raises MCLDError when the folder cannot be written or the disk is full.
    """
    try:
        flat.parent.mkdir(parents=True, exist_ok=True)
        if not flat.exists() or not flat.samefile(raw):
            os.link(raw.resolve(), flat)
    except OSError:
        with write_whole(flat) as temporary:
            shutil.copyfile(raw, temporary)


def write_lists(layout: DatasetLayout, lists: Lists) -> None:
    """Bring the lists and tables into the dataset, published ones as they are.

    Raises MCLDError when the folder cannot be written or the disk is full.
    """
    note = layout.list_file("train").with_name(OWN_SPLIT)
    if lists.plain:
        write_text(note.with_name(PLAIN_NOTE), PLAIN_NOTE_TEXT)
    elif lists.own:
        write_text(note, OWN_SPLIT_NOTE)  # first: killed after it, a run makes the lists again
    if lists.source is None:
        for split in SPLITS:
            layout.write_names(split, lists.names[split])
            layout.write_pairs(split, lists.pairs[split])
        return
    for split in SPLITS:
        for file in (layout.list_file(split), layout.pairs_file(split)):
            published = lists.source / file.name
            if not file.exists() or file.read_bytes() != published.read_bytes():
                with write_whole(file) as temporary:
                    shutil.copyfile(published, temporary)
    if not lists.own:
        note.unlink(missing_ok=True)
