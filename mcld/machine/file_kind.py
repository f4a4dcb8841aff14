"""What a file holds that is not what was asked for, told by its first bytes."""

from collections.abc import Iterable
from pathlib import Path

_HEIC = "is HEIC, which cannot be read here: save it as JPEG"
_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"heim", b"mif1", b"msf1"), _HEIC),
    b"crx ": "is a camera's raw file: develop it to JPEG first",
    **dict.fromkeys((b"avif", b"avis")),  # Pillow reads them, unless they are damaged
}
"""Of the family of MP4 -> what they are; any other is a video."""
_BEGINNINGS = {
    b"version https://git-lfs": "is a Git LFS pointer, not the file: `git lfs pull` fetches it",
    b"%PDF": "is a PDF, not a picture",
    b"\xff\x0a": "is JPEG XL, which cannot be read here: save it as JPEG or PNG",
    b"\x00\x00\x00\x0cJXL ": "is JPEG XL, which cannot be read here: save it as JPEG or PNG",
    b"\x1f\x8b": "is a gzip archive: unpack it",
    b"\x1a\x45\xdf\xa3": "is a video: take a single picture of it",
}


def describe_content(path: Path) -> str | None:
    """What a file is that cannot be read as it was meant, and what to do; None if not known.

    Such as "is a Git LFS pointer, not the file: …", to follow the file's name.
    """
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError:
        return None
    if not head:
        return "is empty"
    for beginning, words in _BEGINNINGS.items():
        if head.startswith(beginning):
            return words
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "is a video: take a single picture of it")
    text = head.lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head")):
        return "is a web page, which a download link may have answered: fetch the file itself"
    if text.startswith(b"<svg") or (text.startswith(b"<?xml") and b"<svg" in text):
        return "is SVG, a drawing: save it as PNG"
    return None


def describe_first(paths: Iterable[Path]) -> str | None:
    """The name of the first file known to be something else, and what it is; None without."""
    told = ((path, describe_content(path)) for path in paths if path.is_file())
    return next((f"{path} {words}" for path, words in told if words), None)
