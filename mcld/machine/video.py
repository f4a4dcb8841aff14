"""Moving pictures, in and out of files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mcld.errors import InputError, MCLDError
from mcld.machine.files import write_whole

VIDEOS = {".mp4": "libx264", ".webm": "libvpx-vp9"}
"""Suffix of a video -> the codec that it is written in."""
ANIMATIONS = {".gif": "GIF", ".webp": "WEBP"}
"""Suffix of an animated picture -> Pillow's name of its format."""
READABLE = (".mp4", ".webm", ".mov", ".mkv", ".avi", ".m4v", ".gif", ".webp")
"""Suffixes of what may be a video to read."""
LARGEST_RATE = 240.0
"""Frames a second, at most."""
_QUALITY = {"libx264": {"crf": "16", "preset": "medium"}, "libvpx-vp9": {"crf": "20", "b": "0"}}


def write_video(
    path: Path, frames: Iterable[NDArray[np.uint8]], fps: float, text: dict[str, str]
) -> None:
    """Write frames, uint8 [H, W, 3] RGB of one size, as the format that the suffix names.

    Of an odd number of rows or columns, the last is left out of videos, which have none. text:
    metadata by name. Raises MCLDError when it cannot be written.
    """
    suffix = path.suffix.lower()
    with write_whole(path) as temporary:
        try:
            if suffix in ANIMATIONS:
                _write_animation(temporary, ANIMATIONS[suffix], frames, fps, text)
            else:
                _write_video(temporary, suffix, frames, fps, text)
        except OSError as error:
            raise MCLDError(f"cannot write {path}: {error.strerror or error}") from error


def _write_video(
    path: Path, suffix: str, frames: Iterable[NDArray[np.uint8]], fps: float, text: dict[str, str]
) -> None:
    import av  # here, because it loads much

    codec = VIDEOS[suffix]
    with av.open(str(path), "w", format=suffix[1:]) as container:
        container.metadata.update({"title": text["Software"], "comment": "\n".join(text.values())})
        stream: Any = None
        for frame in frames:
            even = frame[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2]
            if stream is None:
                rate = Fraction(fps).limit_denominator(1001)
                stream = container.add_stream(codec, rate=rate, options=_QUALITY[codec])
                stream.height, stream.width = even.shape[:2]
                stream.pix_fmt = "yuv420p"
                stream.codec_context.thread_count = 1  # the same bytes on every machine
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def _write_animation(
    path: Path, kind: str, frames: Iterable[NDArray[np.uint8]], fps: float, text: dict[str, str]
) -> None:
    first, *others = (Image.fromarray(frame) for frame in frames)
    how: dict[str, Any] = {"lossless": False, "quality": 90} if kind == "WEBP" else {}
    if kind == "GIF":
        how["comment"] = "\n".join(text.values()).encode()
    first.save(
        path,
        kind,
        save_all=True,
        append_images=others,
        duration=round(1000 / fps),
        loop=0,
        **how,
    )


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

    number, time = 0, 0.0
    last: NDArray[np.uint8] | None = None
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            first = None
            for frame in container.decode(stream):
                if frame.time is None:
                    continue
                first = frame.time if first is None else first
                time = frame.time - first
                # What is due before this frame is shown is the one before.
                while last is not None and start + number / fps < time - _INSTANT:
                    if end is not None and start + number / fps >= end - _INSTANT:
                        return
                    yield last
                    number += 1
                last = _turn(frame)
            # The last one is shown as long as any.
            stop = time + 1 / float(stream.average_rate or fps) if last is not None else 0.0
            stop = stop if end is None else min(stop, end)
            while last is not None and start + number / fps < stop - _INSTANT:
                yield last
                number += 1
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} breaks off after {number} frames: {reason}") from error


_INSTANT = 1.5e-3
"""Seconds that times differ by because they are rounded, to milliseconds in some files."""


def _turn(frame: Any) -> NDArray[np.uint8]:
    """The pixels of a frame, upright as its video says."""
    pixels = frame.to_ndarray(format="rgb24")
    turns = round((getattr(frame, "rotation", 0) or 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(pixels, turns))
