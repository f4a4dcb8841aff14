"""Where pictures go: nowhere that is an input; and what tells inputs apart."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from mcld.dataset.layout import SPLITS, DatasetLayout, list_files
from mcld.errors import SettingsError
from mcld.machine.files import check_writable, hash_file

_OWN_FOLDERS = {
    "split",
    *(split + suffix for split in SPLITS for suffix in ("", "_densepose", "_texture", "_face")),
}


def check_outputs(option: str, outputs: Iterable[Path], inputs: Iterable[Path] = ()) -> None:
    """Refuse files and folders that must not be written, before anything is computed.

    option: what named them, such as --out. inputs: what is read; of a picture of a prepared
    dataset, what lies beside it as well.

    Raises SettingsError for an output that is an input, or lies in a prepared dataset's own
    folders, and MCLDError where it cannot be written.
    """
    read = {file for given in inputs for file in list_files(given)}
    resolved = {file.resolve() for file in read}
    alike: dict[str, list[Path]] = {}
    for file in read:
        alike.setdefault(file.name.lower(), []).append(file)
    for path in outputs:
        others = alike.get(path.name.lower(), []) if path.exists() else []
        # One file may have two names, as on a disk that does not tell capitals apart.
        same = any(other.exists() and path.samefile(other) for other in others)
        if same or path.resolve() in resolved:
            raise SettingsError(
                f"{option}: {path} is what the result is made from; give another name"
            )
        if root := find_dataset(path):
            raise SettingsError(
                f"{option}: {path} lies among the files of the prepared dataset {root};"
                " give another place"
            )
        check_writable(path)


def hash_content(file: Path) -> str | None:
    """What tells apart what is read of a picture, and of what was prepared beside it.

    Of one frame of a motion, the file's. None for what cannot be read.
    """
    named = file.with_name(file.name.partition("#")[0]) if ".npz#" in file.name else file
    try:
        hashes = [hash_file(path) for path in list_files(named)]
    except OSError:
        return None
    return hashlib.sha256("".join(hashes).encode()).hexdigest()[:16]


def find_dataset(path: Path) -> Path | None:
    """The prepared dataset that a path lies in one of whose own folders, or is one; else None."""
    path = path.resolve()
    for folder in (path, *path.parents):
        layout = DatasetLayout(folder.parent)
        marks = [
            mark for s in SPLITS for mark in (layout.list_file(s), layout.densepose(s, "").parent)
        ]
        if folder.name in _OWN_FOLDERS and any(mark.exists() for mark in marks):
            return layout.root
    return None
