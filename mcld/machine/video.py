"""Moving pictures, in and out of files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from mcld.errors import InputError, MCLDError
from mcld.machine.files import write_whole
from mcld.machine.provenance import Provenance

VIDEOS = {".mp4": "libx264", ".webm": "libvpx-vp9"}
"""Suffix of a video -> the codec that it is written in."""
ANIMATIONS = {".gif": "gif", ".webp": "libwebp"}
"""Suffix of an animated picture -> the codec that it is written in."""
READABLE = (".mp4", ".webm", ".mov", ".mkv", ".avi", ".m4v", ".gif", ".webp")
"""Suffixes of what may be a video to read."""
LARGEST_RATE = 240.0
"""Frames a second, at most."""
_CODECS: dict[str, tuple[str, dict[str, str]]] = {
    "libx264": ("yuv420p", {"crf": "16", "preset": "medium"}),
    "libvpx-vp9": ("yuv420p", {"crf": "20", "b": "0"}),
    "gif": ("pal8", {}),
    "libwebp": ("yuv420p", {"quality": "90"}),
}
"""Codec -> its pixels' format and its options."""


def write_video(
    path: Path, frames: Iterable[NDArray[np.uint8]], fps: float, provenance: Provenance
) -> None:
    """Write frames, uint8 [H, W, 3] RGB of one size, as the format that the suffix names.

    Of an odd number of rows or columns, the last is left out of videos, which have none. How they
    were made is written as text, and as XMP but in WebM, which has no place for it. Raises
    MCLDError when it cannot be written.
    """
    suffix = path.suffix.lower()
    with write_whole(path) as temporary:
        try:
            _write_frames(temporary, suffix, frames, fps, provenance.text)
            if suffix in _ADD_METADATA:
                _ADD_METADATA[suffix](temporary, provenance)
            provenance.sign(temporary, path.name)
        except OSError as error:
            raise MCLDError(f"cannot write {path}: {error.strerror or error}") from error


def _write_frames(
    path: Path,
    suffix: str,
    frames: Iterable[NDArray[np.uint8]],
    fps: float,
    text: Mapping[str, str],
) -> None:
    import av  # here, because it loads much

    codec = {**VIDEOS, **ANIMATIONS}[suffix]
    pixels, options = _CODECS[codec]
    rate = Fraction(fps).limit_denominator(1001)
    # Without what would be another at every writing, such as the random numbers of WebM's tracks.
    settings = {"fflags": "bitexact", **({"loop": "0"} if suffix in ANIMATIONS else {})}
    with av.open(str(path), "w", format=suffix[1:], options=settings) as container:
        container.metadata.update({"title": text["Software"], "comment": "\n".join(text.values())})
        stream: Any = None
        palettes: Any = None
        for number, frame in enumerate(frames):
            height, width = frame.shape[:2]
            if pixels == "yuv420p":
                height, width = height // 2 * 2, width // 2 * 2
            if stream is None:
                stream = container.add_stream(codec, rate=rate, options=options)
                stream.height, stream.width, stream.pix_fmt = height, width, pixels
                stream.codec_context.thread_count = 1  # the same bytes on every machine
            picture: Any = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(frame[:height, :width]), format="rgb24"
            )
            if pixels == "pal8":
                palettes = palettes or _open_palettes(width, height, rate)
                picture.pts, picture.time_base = number, 1 / rate
                palettes.push(picture)
                picture = palettes.pull()
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def _open_palettes(width: int, height: int, rate: Fraction) -> Any:
    """A filter that gives each frame the 256 colours that suit it."""
    from av.filter import Graph
    from av.video.format import VideoFormat

    graph = Graph()
    pixels = VideoFormat("rgb24", width, height)
    start = graph.add_buffer(width=width, height=height, format=pixels, time_base=1 / rate)
    split = graph.add("split")
    chosen = graph.add("palettegen", "stats_mode=single")
    # Dithering would flicker from frame to frame, and is further from the frames' colours.
    drawn = graph.add("paletteuse", "new=1:dither=none")
    start.link_to(split)
    split.link_to(chosen, 0, 0)
    split.link_to(drawn, 1, 0)
    chosen.link_to(drawn, 0, 1)
    drawn.link_to(graph.add("buffersink"))
    graph.configure()
    return graph


def _add_to_gif(path: Path, provenance: Provenance) -> None:
    """Put a comment (specification 89a, section 24) and XMP (ISO 16684-3) before the frames of a
    GIF, where readers look for them. FFmpeg writes none.
    """
    content = "\n".join(provenance.text.values()).encode()
    blocks = (content[k : k + 255] for k in range(0, len(content), 255))
    comment = b"!\xfe" + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"
    # Whoever takes the packet for blocks of their length comes out, wherever, at the one that ends.
    trailer = bytes([1, *range(255, -1, -1), 0])
    xmp = b"!\xff\x0bXMP DataXMP" + provenance.make_xmp() + trailer
    with path.open("r+b") as file, tempfile.TemporaryFile(dir=path.parent) as frames:
        colours = 3 << (file.read(13)[10] & 7) + 1  # the table that FFmpeg begins with
        start = 13 + colours + _LOOP_EXTENSION
        file.seek(start)
        shutil.copyfileobj(file, frames)
        file.seek(start)
        file.write(comment + xmp)
        frames.seek(0)
        shutil.copyfileobj(frames, file)


def _add_to_webp(path: Path, provenance: Provenance) -> None:
    """Put EXIF and XMP behind the frames of a WebP (RFC 9649, section 2.7). FFmpeg writes none."""
    text, exif = provenance.text, Image.Exif()
    exif[_EXIF_SOFTWARE], exif[_EXIF_DESCRIPTION] = text["Software"], "\n".join(text.values())
    chunks = {b"EXIF": exif.tobytes().removeprefix(b"Exif\0\0"), b"XMP ": provenance.make_xmp()}
    with path.open("r+b") as file:
        header = file.read(30)
        if header[12:16] != b"VP8X":  # one frame, which FFmpeg writes without its extended header
            frame = header[12:] + file.read()
            with Image.open(path) as picture:
                sides = b"".join((side - 1).to_bytes(3, "little") for side in picture.size)
            header = header[:12] + b"VP8X" + (10).to_bytes(4, "little") + bytes(4) + sides
            file.seek(0)
            file.write(header + frame)
        file.seek(0, 2)
        for name, content in chunks.items():
            odd = b"\0" * (len(content) % 2)
            file.write(name + len(content).to_bytes(4, "little") + content + odd)
        size = file.tell() - 8
        file.seek(4)
        file.write(size.to_bytes(4, "little"))
        file.seek(20)
        file.write(bytes([header[20] | _HAS_EXIF | _HAS_XMP]))


def _add_to_mp4(path: Path, provenance: Provenance) -> None:
    """Put XMP into a box behind all others of an MP4 (ISO 16684-3), where it moves no frame.

    FFmpeg writes none.
    """
    content = provenance.make_xmp()
    with path.open("ab") as file:
        size = 8 + len(_XMP_BOX) + len(content)
        file.write(size.to_bytes(4, "big") + b"uuid" + _XMP_BOX + content)


_ADD_METADATA = {".gif": _add_to_gif, ".webp": _add_to_webp, ".mp4": _add_to_mp4}
"""Suffix -> what puts into a file what FFmpeg does not."""
_XMP_BOX = bytes.fromhex("BE7ACFCB97A942E89C71999491E3AFAC")
"""The UUID of a box that holds XMP."""


_LOOP_EXTENSION = 19
"""Bytes of the extension that says for how often a GIF is played."""
_EXIF_DESCRIPTION, _EXIF_SOFTWARE = 0x010E, 0x0131
_HAS_EXIF, _HAS_XMP = 1 << 3, 1 << 2


def read_rate(path: Path) -> float:
    """Frames a second of a video, on average. Raises InputError for what is none."""
    return _read(path)[0]


def count_seconds(path: Path) -> float:
    """How long a video is, as far as it says. Raises InputError for what is none."""
    return _read(path)[1]


def _read(path: Path) -> tuple[float, float]:
    import av

    if not path.exists():
        raise InputError(f"{path} does not exist")
    try:
        if path.suffix.lower() == _BY_PILLOW:
            times = [(time, shown) for time, shown, _ in _decode_webp(path)]
            length = sum(times[-1])
            return min(len(times) / length, LARGEST_RATE), length
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise InputError(f"{path} holds no video")
            stream = container.streams.video[0]
            rate = float(stream.average_rate or stream.guessed_rate or 25)
            length = float(container.duration or 0) / av.time_base
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be read as a video: {reason}") from error
    return min(rate, LARGEST_RATE), length


def read_frames(
    path: Path, fps: float, start: float = 0.0, end: float | None = None
) -> Iterator[NDArray[np.uint8]]:
    """The frames of a video at a steady rate, uint8 [H, W, 3] RGB; of one that has another, those
    shown at the time. start, end: in seconds.

    Memory does not grow with length. Raises InputError for what cannot be read, as far as it can.
    """
    import av

    number, stop = 0, 0.0
    last: NDArray[np.uint8] | None = None
    decode = _decode_webp if path.suffix.lower() == _BY_PILLOW else _decode_video
    try:
        for time, shown, frame in decode(path):
            # What is due before this frame is shown is the one before.
            while last is not None and start + number / fps < time - _INSTANT:
                if end is not None and start + number / fps >= end - _INSTANT:
                    return
                yield last
                number += 1
            last, stop = frame, time + shown
        stop = stop if end is None else min(stop, end)
        while last is not None and start + number / fps < stop - _INSTANT:
            yield last
            number += 1
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} breaks off after {number} frames: {reason}") from error


_INSTANT = 1.5e-3
"""Seconds that times differ by because they are rounded, to milliseconds in some files."""
_BY_PILLOW = ".webp"
"""The suffix of what FFmpeg writes, but does not read when it is animated."""


def _decode_video(path: Path) -> Iterator[tuple[float, float, NDArray[np.uint8]]]:
    """When each frame is shown, for how long on average, in seconds, and its pixels."""
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        shown = 1 / float(stream.average_rate or stream.guessed_rate or 25)
        first = None
        for frame in container.decode(stream):
            if frame.time is not None:
                first = frame.time if first is None else first
                yield frame.time - first, shown, _turn(frame)


def _decode_webp(path: Path) -> Iterator[tuple[float, float, NDArray[np.uint8]]]:
    """When each frame is shown, for how long, in seconds, and its pixels."""
    time = 0.0
    with Image.open(path) as picture:
        for frame in ImageSequence.Iterator(picture):
            pixels = np.asarray(frame.convert("RGB"))  # decodes it, and tells its duration
            shown = (frame.info.get("duration") or _SHOWN) / 1000
            yield time, shown, pixels
            time += shown


_SHOWN = 100
"""Milliseconds that a picture is shown which does not say for how long, as browsers have it."""


def _turn(frame: Any) -> NDArray[np.uint8]:
    """The pixels of a frame, upright as its video says."""
    pixels = frame.to_ndarray(format="rgb24")
    turns = round((getattr(frame, "rotation", 0) or 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(pixels, turns))
