"""Downloads of missing weights, from the Hugging Face hub and over plain HTTPS."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any

from mcld.errors import MCLDError, WeightsError
from mcld.machine.files import make_folder, write_folder_whole
from mcld.networks.hub import explain_hub_error
from mcld.weights.catalogue import Hub, Item, Web

INCOMPLETE = ".incomplete"
"""Suffix of a file that has not been downloaded as a whole."""
TIMEOUT = 30.0
"""Seconds without a byte after which a server is given up."""
_CHUNK = 1 << 20


def download(item: Item, on_bytes: Callable[[str, int, int], None]) -> None:
    """Download an item's missing files into its folder.

    Each file appears whole or not at all; a download that was broken off is resumed.

    on_bytes: called with (file, bytes so far, bytes in total) as they arrive.

    Raises WeightsError when a file cannot be downloaded, MCLDError when it cannot be written.
    """
    if isinstance(item.source, Hub):
        _download_from_hub(item, item.source, on_bytes)
        return
    if not item.source.archive:
        name = item.files[0][0]
        make_folder(item.folder)
        fetch(item.source, item.folder / name, lambda done, total: on_bytes(name, done, total))
        return
    archive = item.folder.with_name(f"{item.folder.name}.zip")
    make_folder(archive.parent)
    if not archive.is_file():
        fetch(item.source, archive, lambda done, total: on_bytes(archive.name, done, total))
    _unpack(archive, item)


def fetch(source: Web, path: Path, on_bytes: Callable[[int, int], None]) -> None:
    """Download a file over HTTP or HTTPS to `path`, which appears whole or not at all.

    A download that was broken off lies beside it, with the suffix `INCOMPLETE`, and is resumed
    where the server can. The variables http_proxy, https_proxy and no_proxy count.

    on_bytes: called with (bytes so far, bytes in total); the second is 0 where it is unknown.

    Raises WeightsError when the file cannot be downloaded whole, MCLDError when it cannot be
    written.
    """
    partial = path.with_name(path.name + INCOMPLETE)
    try:
        total = _receive(source, partial, on_bytes)
    except urllib.error.HTTPError as error:
        raise WeightsError(
            f"{source.address}: the server says {error.code} {error.reason}"
        ) from error
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or error
        raise WeightsError(
            f"cannot fetch {source.address}: {reason}. Run the command again to go on, or fetch it"
            f" elsewhere and put it to {path}"
        ) from error
    except OSError as error:
        raise MCLDError(f"cannot write {partial}: {error.strerror or error}") from error
    size = partial.stat().st_size
    if total and size != total:
        if size > total:
            partial.unlink()
        raise WeightsError(
            f"{source.address}: {size:,} of {total:,} bytes came. Run the command again to go on"
        )
    with partial.open("rb") as file:
        if source.sha256:
            found = hashlib.file_digest(file, "sha256").hexdigest()
            if not found.startswith(source.sha256):
                partial.unlink()
                raise WeightsError(
                    f"{source.address}: what came is another file: its SHA-256 begins with"
                    f" {found[:8]}, not {source.sha256}"
                )
        os.fsync(file.fileno())
    partial.replace(path)


def _receive(source: Web, partial: Path, on_bytes: Callable[[int, int], None]) -> int:
    """Append the missing bytes to `partial`; return the bytes in total, 0 where that is unknown.

    No library does this: pooch and torch.hub do not resume, and huggingface_hub's http_get takes
    half a file for whole where the server gives no length.
    """
    start = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(source.address, headers={"User-Agent": "mcld"})  # noqa: S310
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)  # noqa: S310 - the catalogue's
    except urllib.error.HTTPError as error:
        if error.code != 416 or not start:  # 416: there is nothing from `start` on
            raise
        size = error.headers.get("Content-Range", "").rpartition("/")[2]
        if size == str(start):
            return start
        partial.unlink()
        return _receive(source, partial, on_bytes)
    with response:
        if response.status != 206:
            start = 0
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            partial.unlink()
            return _receive(source, partial, on_bytes)
        length = int(response.headers.get("Content-Length") or 0)
        chunked = response.headers.get("Transfer-Encoding") == "chunked"
        if not (length or chunked or source.sha256):  # half of it could not be told from all
            raise WeightsError(f"{source.address}: the server does not say how long the file is")
        total = start + length if length else 0
        with partial.open("ab" if start else "wb") as file:
            done = start
            on_bytes(done, total)
            while chunk := _read(response):
                file.write(chunk)
                done += len(chunk)
                on_bytes(done, total)
    return total


def _read(response: Any) -> bytes:
    try:
        chunk: bytes = response.read(_CHUNK)
    except OSError as error:  # of the network, not of the disk
        raise urllib.error.URLError(error) from error
    return chunk


def _download_from_hub(item: Item, source: Hub, on_bytes: Callable[[str, int, int], None]) -> None:
    """Download files from the hub, whose library resumes what is incomplete.

    The variables HF_ENDPOINT, HF_TOKEN and those for proxies count.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import RemoteEntryNotFoundError
    from huggingface_hub.utils import logging as hub_logging

    hub_logging.set_verbosity(logging.ERROR)
    root = item.folder
    for _ in filter(None, source.subfolder.split("/")):
        root = root.parent  # the hub's library makes the repository's folders in it
    for names in item.files:
        if any((item.folder / name).is_file() for name in names):
            continue
        for name in names:
            file = f"{source.subfolder}/{name}".lstrip("/")
            try:
                hf_hub_download(
                    source.repository,
                    file,
                    local_dir=root,
                    tqdm_class=_make_progress_class(name, on_bytes),
                )
                break
            except RemoteEntryNotFoundError:
                continue
            except Exception as error:
                remedy = f"put its files into {item.folder} yourself"
                raise explain_hub_error(source.repository, error, item.folder, remedy) from error
        else:
            raise WeightsError(
                f"{source.repository} on the hub holds none of {', '.join(names)}:"
                f" put one of them into {item.folder} yourself"
            )


def _make_progress_class(name: str, on_bytes: Callable[[str, int, int], None]) -> Any:
    """A progress bar class, as the hub's library takes one, that draws nothing but reports."""
    import tqdm

    class Reporting(tqdm.tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("name", None)
            super().__init__(*args, **{**kwargs, "disable": False})

        def display(self, *_: Any, **__: Any) -> None:
            on_bytes(name, int(self.n), int(self.total or 0))

        def close(self) -> None:
            self.display()

    return Reporting


def _unpack(archive: Path, item: Item) -> None:
    """Unpack a zip to the item's folder, and remove it."""
    try:
        with zipfile.ZipFile(archive) as packed, write_folder_whole(item.folder) as temporary:
            if item.folder.is_dir():  # its other files are kept
                shutil.copytree(item.folder, temporary, dirs_exist_ok=True)
            packed.extractall(temporary)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError) as error:
        archive.unlink(missing_ok=True)
        raise WeightsError(f"{item.source} sent no zip for {item.name}: {error}") from error
    archive.unlink()
    if not item.is_present():
        raise WeightsError(f"the archive of {item.name} lacks a face detector or a recogniser")
