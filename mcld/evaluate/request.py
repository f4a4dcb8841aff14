"""What is to be scored, and which of its files there are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.results import RESULT_SIZES, SETTINGS_FILE, result_name
from mcld.errors import InputError
from mcld.evaluate.layouts import MCLD, Layout, PairNames, ResultFile, find_results


@dataclass(frozen=True)
class EvaluationRequest:
    """What to score."""

    name: str
    """What the results are called in tables."""
    dataset: Path
    """Its test pairs say which pictures there should be, and its JPEGs are the truth."""
    save_path: Path
    """A folder of results."""
    truth_path: Path | None = None
    """A folder of true pictures with the names of the results, instead of the dataset's; it may
    have folders 256 and 512 as the results do."""
    layout: Layout = MCLD
    """How the results are named."""

    def find_truth(self, folder: str, name: str, target: str) -> Path:
        """The true picture of a result. folder: 256 or 512; target: its stem in the dataset."""
        if self.truth_path is None:
            return DatasetLayout(self.dataset).image("test", target)
        return self.find_truths(folder) / name

    def find_truths(self, folder: str) -> Path:
        """Where the true pictures of a size lie; only with a `truth_path`."""
        assert self.truth_path is not None
        own = self.truth_path / folder
        return own if own.is_dir() else self.truth_path


@dataclass(frozen=True)
class Listing:
    """The results of one size."""

    pairs: dict[str, PairNames]
    """Those that there should be, by the names that `mcld sample` would give them."""
    files: dict[str, ResultFile]
    """Those that there are, by these names."""
    others: list[str]
    """Files that belong to no pair."""

    @property
    def present(self) -> list[str]:
        """Names of `pairs` with a file."""
        return [name for name in self.pairs if name in self.files]

    @property
    def missing(self) -> list[str]:
        """Names of `pairs` without a file."""
        return [name for name in self.pairs if name not in self.files]


def list_results(request: EvaluationRequest) -> dict[str, Listing]:
    """List a folder of results, by size, "256" or "512".

    A size without a single picture is all missing. Raises InputError when no size has one, when the
    results are of another split, and when it is not known which pictures there should be.
    """
    if request.layout is not MCLD:
        return _list_foreign(request)
    path = request.save_path
    _check_split(request)
    folders = [name for name in RESULT_SIZES if (path / name).is_dir()]
    if not folders:
        reason = "is no folder" if not path.is_dir() else "has neither 256/ nor 512/"
        raise InputError(
            f"{path} {reason}: `mcld sample --split test` fills one; results that are named"
            " otherwise need --layout"
        )
    listings = {}
    for folder in folders:
        pairs = list_pairs(request, folder)
        names = _list_files(path / folder)
        files = {name: ResultFile(path / folder / name) for name in pairs if name in names}
        listings[folder] = Listing(pairs, files, sorted(names - pairs.keys()))
    if not any(listing.files for listing in listings.values()):
        raise InputError(
            f"{' and '.join(str(path / folder) for folder in folders)}: no picture of a test pair"
            f" of {request.truth_path or request.dataset} there"
        )
    return listings


def _list_foreign(request: EvaluationRequest) -> dict[str, Listing]:
    """The results of another project; files of unknown size count as others of the first size."""
    pairs = list_pairs(request, next(iter(RESULT_SIZES)))
    found = find_results(request.save_path, request.layout, list(pairs.values()))
    if not found.files:
        others = [name for names in found.others.values() for name in names]
        examples = f", such as {others[0]}" if others else ""
        raise InputError(
            f"{request.save_path}: none of {len(others):,} pictures there{examples}, is that of a"
            f" test pair of {request.dataset}, by the names of --layout {request.layout.name}"
        )
    sizes = list(found.files)
    listings = {}
    for size, files in found.files.items():
        others = found.others.get(size, [])
        others += found.others.get("", []) if size == sizes[0] else []
        named = {result_name(*names): file for names, file in files.items()}
        listings[size] = Listing(pairs, named, others)
    return listings


def list_pairs(request: EvaluationRequest, folder: str) -> dict[str, PairNames]:
    """The results that there should be at a size, by their file names.

    Raises InputError when there are none.
    """
    if request.truth_path is not None and request.layout is not MCLD:
        raise InputError("--gt-path needs results with the names of its pictures: --layout mcld")
    if request.truth_path is not None:
        if not request.truth_path.is_dir():
            raise InputError(f"--gt-path {request.truth_path} is no folder")
        truths = request.find_truths(folder)
        names = sorted(name for name in _list_files(truths) if name.endswith(".png"))
        if not names:
            raise InputError(f"{truths} holds no PNG")
        parts = {name: Path(name).stem.partition("_2_") for name in names}
        return {name: PairNames(source, target) for name, (source, _, target) in parts.items()}
    layout = DatasetLayout(request.dataset)
    table = layout.pairs_file("test")
    if not table.is_file():
        raise InputError(f"{table} is missing: give --dataset, a folder that `mcld prepare` filled")
    pairs = layout.pairs("test")
    stems = [PairNames(Path(a).stem, Path(b).stem) for a, b in pairs]
    listed = {result_name(*names): names for names in stems}
    if not listed:
        raise InputError(f"{table} names no pair")
    return listed


def _list_files(folder: Path) -> set[str]:
    """The files of a folder, without those that are hidden: unfinished, or a Mac's ._NAME.png."""
    try:
        return {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    except OSError as error:
        raise InputError(f"{folder} cannot be listed: {error.strerror}") from error


def _check_split(request: EvaluationRequest) -> None:
    """Raise InputError when the results say that they are of another split."""
    try:
        split = json.loads((request.save_path / SETTINGS_FILE).read_text(encoding="utf-8"))["split"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if split != "test" and request.truth_path is None:
        raise InputError(
            f"{request.save_path} holds pictures of the {split} split, and test pairs are scored:"
            " sample --split test, or give --gt-path"
        )
