"""The dataset folder: where each picture, pose, texture and face lies, and which pairs there are.

<root>/{train,test}/NAME.jpg             the pictures
<root>/{train,test}_densepose/NAME.png   their IUV maps
<root>/{train,test}_texture/NAME.png     their texture maps
<root>/{train,test}_face/NAME.npy        their face embeddings, where a face was found
<root>/split/{train,test}.lst            the names, one a line
<root>/split/{train,test}.csv            the pairs, header `from,to`
<root>/prepared.json                     which estimators made the maps and the embeddings
<root>/GATHERED.txt                      whether sources are gathered when a split is sampled
"""

import csv
import json
import logging
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Self

from mcld.errors import InputError
from mcld.machine.files import write_json, write_text, write_whole
from mcld.machine.processes import is_main

SPLITS = ("train", "test")
RECORD_FILE = "prepared.json"
GENERATED_FILE = "mannequins.json"
"""Which generated people a folder holds, if it holds any."""
GATHERED_FILE = "GATHERED.txt"
GATHERED_TEXT = """\
Of a person's pictures in the same clothes all but the target are gathered into the texture map of
a pair's source, whenever a split of this folder is sampled: `mcld prepare --gather`. --no-gather,
or to delete this file, takes it back.
"""
LONGEST_NAME = 240
"""Bytes in a flat name: file systems take 255, some fewer."""
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""What would break a list of names, one a line, or is no text."""


def flat_name(path: str) -> str:
    """The one-folder name of a raw DeepFashion picture.

    `WOMEN/Tees_Tanks/id_00007838/05_7_additional.jpg` becomes
    `fashionWOMENTees_Tanksid0000783805_7additional.jpg`: gender and category as they are, the
    identity without '_', then the file name with only its first '_' kept.

    `path` is relative, with '/' between gender, category, identity and file. Raises InputError for
    anything else.
    """
    parts = PurePosixPath(path).parts
    if len(parts) != 4 or parts[0] == "/" or "_" not in parts[3]:
        raise InputError(
            f"{path!r} is not a raw DeepFashion path: give GENDER/CATEGORY/id_NUMBER/NN_N_VIEW.jpg"
        )
    gender, category, identity, file = parts
    first, rest = file.split("_", maxsplit=1)
    return f"fashion{gender}{category}{identity.replace('_', '')}{first}_{rest.replace('_', '')}"


def parse_identity(name: str) -> str:
    """The person in a flat name: all of it up to the eight digits of the identity.

    Raises InputError when there are none.
    """
    found = re.match(r".*?id\d{8}", name)
    if not found:
        raise InputError(f"{name!r} names no identity: a flat name holds 'id' and eight digits")
    return found[0]


def parse_outfit(name: str) -> str:
    """The person and the clothes in a flat name: all of it up to its first '_' after the identity.

    Raises InputError when it names no identity.
    """
    identity = parse_identity(name)
    return identity + name[len(identity) :].partition("_")[0]


def check_flat_name(name: str) -> None:
    """Raise InputError for what cannot be the name of a picture directly in a split's folder."""
    if len(name.encode("utf-8", "surrogatepass")) > LONGEST_NAME:
        raise InputError(f"{name[:40]!r}… is no flat name: it has more than {LONGEST_NAME} bytes")
    if "/" in name or "\\" in name:
        raise InputError(f"{name!r} is no flat name: a name must not lead to another folder")
    if _CONTROL.search(name):
        raise InputError(f"{name!r} is no flat name: it holds a control character")
    if not name.endswith(".jpg"):
        raise InputError(f"{name!r} is no flat name: it must end in .jpg")
    if name.startswith("."):
        raise InputError(f"{name!r} is no flat name: what begins with a dot is no picture")


def is_flat_name(name: str) -> bool:
    """Whether `name` can be the name of a picture directly in a split's folder."""
    try:
        check_flat_name(name)
    except InputError:
        return False
    return True


@dataclass(frozen=True)
class DatasetLayout:
    """Paths below the dataset folder `root`; a stem is a flat name without '.jpg'."""

    root: Path

    def image(self, split: str, stem: str) -> Path:
        """The picture, RGB JPEG."""
        return self.root / split / f"{stem}.jpg"

    def densepose(self, split: str, stem: str) -> Path:
        """The picture's IUV map, a PNG of the same size."""
        return self.root / f"{split}_densepose" / f"{stem}.png"

    def image_and_iuv(self, split: str, stem: str) -> tuple[Path, Path]:
        """The picture and its IUV map."""
        return self.image(split, stem), self.densepose(split, stem)

    def texture(self, split: str, stem: str) -> Path:
        """The picture's texture map, a 512x512 RGB PNG in the SMPL layout."""
        return self.root / f"{split}_texture" / f"{stem}.png"

    def face(self, split: str, stem: str) -> Path:
        """The picture's face embedding, float32 [512]; absent when no face was found."""
        return self.root / f"{split}_face" / f"{stem}.npy"

    def list_file(self, split: str) -> Path:
        """The list of the split's names."""
        return self.root / "split" / f"{split}.lst"

    def pairs_file(self, split: str) -> Path:
        """The table of the split's pairs."""
        return self.root / "split" / f"{split}.csv"

    def read_record(self) -> dict[str, str | int]:
        """Which estimators made the maps and the embeddings, as far as it is known."""
        try:
            record = json.loads((self.root / RECORD_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}

    def write_record(self, record: Mapping[str, str | int]) -> None:
        """Keep which estimators made what. Raises MCLDError when it cannot be written."""
        if record != self.read_record():
            write_json(self.root / RECORD_FILE, record)

    @property
    def face_embedder(self) -> str:
        """What made the face embeddings, as `MCLDPipeline` names it."""
        return str(self.read_record().get("face_embedder", "arcface"))

    @property
    def is_gathered(self) -> bool:
        """Whether a split's sources get texture maps that are gathered from all of their pictures.

        `mcld.dataset.views` tells which these are.
        """
        return (self.root / GATHERED_FILE).exists()

    def set_gathered(self, wanted: bool) -> None:
        """Keep whether they do. Raises MCLDError when that cannot be written."""
        file = self.root / GATHERED_FILE
        if wanted:
            write_text(file, GATHERED_TEXT)
        else:
            file.unlink(missing_ok=True)

    def names(self, split: str) -> list[str]:
        """The flat names of a split, with '.jpg', in the order of its list.

        A line that is no flat name is left out, so that none leads out of the folder; `mcld
        prepare` reports it. Raises InputError when the list is missing or is not text.
        """
        return [name for _, name in read_names(self.list_file(split)) if is_flat_name(name)]

    def is_prepared(self, split: str, stem: str) -> bool:
        """Whether a picture has all that the network needs; a face it may lack."""
        return all(
            path.exists()
            for path in (
                self.image(split, stem),
                self.densepose(split, stem),
                self.texture(split, stem),
            )
        )

    def pairs(self, split: str) -> list[tuple[str, str]]:
        """The (from, to) flat names of a split's pairs, in the order of its table.

        A pair that is not of flat names is left out, and said to be in a line. Raises InputError
        when the table is missing, has no `from` and `to` columns, or no such pair.
        """
        path = self.pairs_file(split)
        rows = read_pairs(path)
        pairs = [
            (start, end) for _, start, end in rows if is_flat_name(start) and is_flat_name(end)
        ]
        if len(pairs) < len(rows):
            line = next(n for n, *pair in rows if not all(map(is_flat_name, pair)))
            left_out = (
                f"{path}: {len(rows) - len(pairs):,} of {len(rows):,} rows are no pair of flat"
            )
            left_out += f" names ending in .jpg, such as that on line {line}"
            if not pairs:
                raise InputError(left_out)
            _say_once(f"{left_out}: they are left out")
        return pairs

    def write_names(self, split: str, names: Iterable[str]) -> None:
        """Write the list of a split: flat names with '.jpg', one a line."""
        write_text(self.list_file(split), "".join(f"{name}\n" for name in names))

    def write_pairs(self, split: str, pairs: Iterable[tuple[str, str]]) -> None:
        """Write the table of a split: (from, to) flat names with '.jpg'."""
        with (
            write_whole(self.pairs_file(split)) as path,
            path.open("w", encoding="utf-8", newline="") as file,
        ):
            table = csv.writer(file, lineterminator="\n")
            table.writerow(("from", "to"))
            table.writerows(pairs)

    @classmethod
    def beside(cls, image: Path) -> tuple[Self, str, str] | None:
        """The prepared dataset a picture lies in, with the picture's split and stem; else None.

        A picture lies in a dataset when its folder is called after a split and the folder of that
        split's IUV maps stands beside it. Of a link, that is where the link lies, or else where it
        leads.
        """
        for path in dict.fromkeys((Path(os.path.abspath(image)), image.resolve())):  # noqa: PTH100
            folder = path.parent
            layout = cls(folder.parent)
            if folder.name not in SPLITS or path.suffix.lower() != ".jpg":
                continue
            if layout.densepose(folder.name, path.stem).parent.is_dir():
                return layout, folder.name, path.stem
        return None


@cache
def _say_once(line: str) -> None:
    """On standard error, in the process that speaks."""
    if is_main():
        logging.getLogger("mcld").warning(line)


def list_files(picture: Path) -> list[Path]:
    """The files that a person or a pose is read from: the picture, and what lies beside it."""
    found = DatasetLayout.beside(picture)
    if found is None:  # of "FILE#ROW", the file
        name = picture.name.partition("#")[0]
        return [picture if picture.exists() or not name else picture.with_name(name)]
    layout, *where = found
    beside = [layout.densepose(*where), layout.texture(*where), layout.face(*where)]
    return [picture, *(file for file in beside if file.exists())]


def read_names(path: Path) -> list[tuple[int, str]]:
    """The entries of a list, one a line, whatever they name: (line, name).

    Raises InputError when the list is missing or is not text.
    """
    return [(number, line.strip()) for number, line in _read_lines(path)]


def read_pairs(path: Path) -> list[tuple[int, str, str]]:
    """The rows of a table with the columns `from` and `to`, whatever they name: (line, from, to).

    Columns are separated by commas, semicolons or tabs, as the first line is. They may be in any
    order and case, quoted, with spaces around, among others. A row that lacks a name has '' for it.

    Raises InputError when the table is missing, is not text, or has no such columns.
    """
    lines = _read_lines(path)
    number, first = lines[0] if lines else (1, "")
    for delimiter in _DELIMITERS:
        columns = [column.lower() for column in _split_row(first, delimiter)]
        if columns.count("from") == columns.count("to") == 1:
            break
    else:
        raise InputError(
            f"{path}, line {number}: {first[:80]!r} is not the first line of a table of pairs:"
            " give from,to"
        )
    start, end = columns.index("from"), columns.index("to")
    pairs = []
    for number, line in lines[1:]:
        row = _split_row(line, delimiter)
        if any(row):  # spreadsheets end with rows of commas alone
            row += [""] * len(columns)
            pairs.append((number, row[start], row[end]))
    return pairs


_DELIMITERS = (",", ";", "\t")


def _split_row(line: str, delimiter: str) -> list[str]:
    """The fields of one line of a table, without the spaces around them."""
    try:
        row = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:  # too long to be names
        return [line]
    return [field.strip() for field in row]


def _read_lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a text file, numbered from 1, that are neither blank nor comments (#).

    Raises InputError when it is missing or is not text.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise InputError(
            f"{path} is missing: prepare the dataset first, see `mcld prepare --help`"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text in UTF-8: save it so") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    return [
        (number, line)
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
