"""How the pictures of a folder of results are named, here and in other projects."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mcld.dataset.results import RESULT_SIZES
from mcld.errors import InputError, SettingsError

_PICTURES = (".png", ".jpg", ".jpeg")
_SIZE_NAME = re.compile(r"(?<!\d)(256|512)(?!\d)")


class PairNames(NamedTuple):
    """Stems of the two photos of a pair in the dataset."""

    source: str
    target: str


@dataclass(frozen=True)
class Layout:
    """How a project names the pictures of pairs.

    A name is PREFIX FROM SEPARATOR TO SUFFIX and an extension. FROM and TO are names of photos in
    any spelling: flat (fashionWOMENDressesid0000000202_1front) or DeepFashion's own
    (WOMEN/Dresses/id_00000002/02_1_front), with or without .jpg, with any signs between words.
    """

    name: str
    separators: tuple[str, ...]
    read_from: str
    """Where the naming was read."""
    prefix: str = ""
    suffixes: tuple[str, ...] = ("",)
    reversed: bool = False
    """Whether TO comes first."""
    panels: int = 1
    """Pictures side by side in a file; 0: as many as fit."""
    panel: int = -1
    """Which of them is the result, from 0, or from the end from -1."""

    def split(self, name: str) -> Iterator[tuple[str, str]]:
        """Every way to read a name, without extension, as FROM and TO."""
        for suffix in sorted(self.suffixes, key=len, reverse=True):
            if not (name.startswith(self.prefix) and name.endswith(suffix)):
                continue
            middle = name[len(self.prefix) : len(name) - len(suffix)]
            for separator in self.separators:
                for found in re.finditer(f"(?={re.escape(separator)})", middle):
                    first, second = middle[: found.start()], middle[found.start() :]
                    second = second[len(separator) :]
                    yield (second, first) if self.reversed else (first, second)


_USUAL = ("_2_", "_to_", ".jpg___", ".png___", "___")
LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout("mcld", ("_2_",), "mcld sample; jqliu09/mcld, evaluate.py: folders 256/ and 512/"),
        Layout(
            "cfld",
            ("_2_", "_to_"),
            "YanzuoLu/CFLD, README.md: PNGs of 176x256 and 352x512; no code there names them",
            suffixes=("", "_vis"),
        ),
        Layout("pidm", ("_2_",), "ankanbhunia/PIDM, utils/gen.py", suffixes=("_vis", "")),
        Layout(
            "nted",
            ("_2_",),
            "RenYurui/Neural-Texture-Extraction-Distribution, data/fashion_data.py",
            suffixes=("_vis",),
        ),
        Layout(
            "gfla",
            ("_2_",),
            "RenYurui/Global-Flow-Local-Attention, model/pose_model.py and base_model.py",
            suffixes=("_vis",),
        ),
        Layout(
            "dptn",
            ("_2_",),
            "PangzeCheung/Dual-task-Pose-Transformer-Network, models/base_model.py",
            suffixes=("_vis",),
        ),
        Layout(
            "patn",
            (".jpg___", "___"),
            "tengteng95/Pose-Transfer, tool/getMetrics_fashion.py and crop_fashion.py",
            suffixes=("_vis", ".jpg_vis"),
            panels=5,
        ),
        Layout("pcdms", ("_to_",), "tencent-ailab/PCDMs, stage3_batchtest_refined_model.py"),
        Layout(
            "leffa",
            _USUAL,
            "nowhere: franciszzj/Leffa and VtonEval publish no pose-transfer results",
            suffixes=("", "_vis"),
        ),
        Layout("flat", _USUAL, "any of these namings, in one folder", suffixes=("", "_vis")),
        Layout(
            "side-by-side",
            _USUAL,
            "any of these namings, in one folder; the result stands beside its source and others",
            suffixes=("", "_vis"),
            panels=0,
        ),
    )
}
MCLD = LAYOUTS["mcld"]


def find_layout(name: str, panel: int | None = None) -> Layout:
    """The layout of a name.

    panel: which picture of a file is the result, from 1, or from the end from -1.

    Raises SettingsError for one that is not known, and a panel where there are none.
    """
    if name not in LAYOUTS:
        raise SettingsError(f"--layout {name}: there are {', '.join(LAYOUTS)}; or give --pattern")
    layout = LAYOUTS[name]
    if panel is None:
        return layout
    if layout.panels == 1 or panel == 0:
        raise SettingsError(
            f"--panel {panel}: give the number of a picture, from 1, or from the end from -1, with"
            " --layout side-by-side"
        )
    return Layout(**{**vars(layout), "panel": panel - 1 if panel > 0 else panel})


def parse_pattern(pattern: str) -> Layout:
    """The layout of names such as '{from}_to_{to}.png'.

    Raises SettingsError for what has not both, once each, with something between them.
    """
    found = re.fullmatch(r"(.*)\{(from|to)\}(.+)\{(from|to)\}(.*)", pattern)
    if not found or pattern.count("{from}") != 1 or pattern.count("{to}") != 1:
        raise SettingsError(
            f"--pattern {pattern}: give {{from}} and {{to}}: '{{from}}_2_{{to}}.png'"
        )
    suffix = found[5]
    for extension in _PICTURES:
        suffix = suffix.removesuffix(extension)
    read_from = f"--pattern {pattern}"
    return Layout(read_from, (found[3],), read_from, found[1], (suffix,), reversed=found[2] == "to")


def plain(name: str) -> str:
    """What all spellings of a photo's name have in common.

    That is its letters and digits from WOMEN or MEN on; of a name without DeepFashion's identity,
    all of them.
    """
    name = re.sub(r"\.(jpe?g|png)$", "", name.lower())
    found = re.fullmatch(r"(?:.*(?:fashion|[^a-z]))?((?:wo)?men.*id_?\d{8}.*)", name)
    return re.sub(r"[^a-z0-9]", "", found[1] if found else name)


@dataclass(frozen=True)
class ResultFile:
    """A file that holds the result of a pair."""

    path: Path
    layout: Layout = MCLD


class Found(NamedTuple):
    """What lies in a folder of results."""

    files: dict[str, dict[PairNames, ResultFile]]
    """Size, "256" or "512" -> pair -> its file."""
    others: dict[str, list[str]]
    """Size, or "" where it is not known -> files that belong to no pair."""


def find_results(folder: Path, layout: Layout, pairs: list[PairNames]) -> Found:
    """Look for the results of pairs in a folder and those below it.

    A file's size is that of the last folder whose name has 256 or 512, where some file beside it is
    as high as that, or else that of its pixels. A file of a pair that has neither, because it is of
    another size or cannot be read, stands at a size at which the pair has no other: whoever reads
    it says what is wrong. With others at all sizes it belongs to no pair.

    Raises InputError when the folder cannot be read, or holds two files of one pair and size.
    """
    spelled = _spell(pairs)
    files: dict[str, dict[PairNames, ResultFile]] = {}
    others: dict[str, list[str]] = {}
    unsized: list[tuple[PairNames, Path]] = []
    for path, size in _find_sizes(folder):
        names = _match(path.relative_to(folder), layout, spelled)
        if names is None:
            others.setdefault(size or "", []).append(str(path.relative_to(folder)))
            continue
        if size is None:
            unsized.append((names, path))
            continue
        of_size = files.setdefault(size, {})
        if names in of_size:
            raise InputError(
                f"{of_size[names].path} and {path} are both the result of one pair at {size}: give"
                " the folder of one of them"
            )
        of_size[names] = ResultFile(path, layout)
    sizes = sorted(files) or list(RESULT_SIZES)[:1]
    for names, path in unsized:
        size = next((size for size in sizes if names not in files.get(size, {})), None)
        if size is None:
            others.setdefault("", []).append(str(path.relative_to(folder)))
        else:
            files.setdefault(size, {})[names] = ResultFile(path, layout)
    return Found(dict(sorted(files.items())), others)


def _spell(pairs: list[PairNames]) -> dict[tuple[str, str], PairNames]:
    """The pairs by what all spellings of their names have in common."""
    spelled = {(plain(names.source), plain(names.target)): names for names in pairs}
    if len(spelled) == len(pairs):
        return spelled
    return {(names.source, names.target): names for names in pairs}


def _match(
    path: Path, layout: Layout, spelled: dict[tuple[str, str], PairNames]
) -> PairNames | None:
    """The pair that a file belongs to, by its name, or by that of its folders with it."""
    whole = path.with_suffix("").as_posix()
    for name in dict.fromkeys((path.stem, whole)):
        for source, target in layout.split(name):
            for key in ((source, target), (plain(source), plain(target))):
                if key in spelled:
                    return spelled[key]
    return None


def _list_pictures(folder: Path) -> Iterator[Path]:
    """The pictures below a folder, without those that are hidden."""
    try:
        if not folder.is_dir():
            raise InputError(f"{folder} is no folder")
        for path in sorted(folder.rglob("*")):
            hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
            if path.suffix.lower() in _PICTURES and not hidden:
                yield path
    except OSError as error:
        raise InputError(f"{folder} cannot be listed: {error.strerror}") from error


def _find_sizes(folder: Path) -> Iterator[tuple[Path, str | None]]:
    """The pictures below a folder, and the size that each is of."""
    sizes = {shape[0]: size for size, shape in RESULT_SIZES.items()}
    measured = {path: sizes.get(_read_height(path)) for path in _list_pictures(folder)}
    named = {path: _find_named_size(path.relative_to(folder)) for path in measured}
    # Else it is the number of an epoch, or of something else.
    meant = {path.parent for path, size in measured.items() if size and size == named[path]}
    for path, size in measured.items():
        yield path, named[path] if path.parent in meant or size is None else size


def _read_height(path: Path) -> int:
    """Of a picture, pixels; 0 where it cannot be read."""
    from PIL import Image

    unreadable = OSError, ValueError, SyntaxError, Image.DecompressionBombError
    with suppress(*unreadable), Image.open(path) as picture:
        return picture.height
    return 0


def _find_named_size(path: Path) -> str | None:
    """The size that the last folder with a number names."""
    for part in reversed(path.parts[:-1]):
        if len(named := set(_SIZE_NAME.findall(part))) == 1:
            return str(named.pop())
    return None
