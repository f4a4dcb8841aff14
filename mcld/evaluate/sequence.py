"""How steady the frames of a sequence are, where no truth is known: on the surface of the body."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from mcld.dataset.pictures import read_image
from mcld.errors import InputError, MCLDError
from mcld.estimators.head_crop import HeadCrop
from mcld.estimators.texture import extract_texture
from mcld.machine.video import READABLE, count_seconds, read_frames, read_rate
from mcld.networks.folders import EMBEDDED, load_pipeline
from mcld.person import PersonReader
from mcld.settings import Settings
from mcld.surface.charts import TEXTURE_SIZE, find_texels

_CELL = 2
"""Texels of a place on the surface, along a side: a frame shows few of them one by one."""
_PLACES = (TEXTURE_SIZE // _CELL) ** 2
_PICTURES = (".png", ".jpg", ".jpeg", ".webp")

Frame = NDArray[np.uint8]


@dataclass
class SurfaceChange:
    """How much the same places of the surface change from frame to frame, in levels of 255.

    A place is 2x2 texels of the SMPL layout. What a frame shows of each is remembered, not frames:
    memory does not grow with their number.
    """

    changes: list[float] = field(default_factory=list)
    """Of each two frames that follow each other the mean difference of the places both show: the
    warping error along the flow that the maps tell."""
    _last: tuple[NDArray[np.float64], NDArray[np.bool_]] | None = None
    _sums: NDArray[np.float64] = field(default_factory=lambda: np.zeros((_PLACES, 3)))
    _squares: NDArray[np.float64] = field(default_factory=lambda: np.zeros((_PLACES, 3)))
    _counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_PLACES, np.int64))

    def add(self, frame: Frame, iuv: Frame) -> None:
        """Look at a frame, uint8 [H, W, 3] RGB, and its map, uint8 [H, W, 3] (I, U, V)."""
        body = iuv[..., 0] > 0
        rows, columns = np.divmod(find_texels(iuv)[body], TEXTURE_SIZE)
        places = rows // _CELL * (TEXTURE_SIZE // _CELL) + columns // _CELL
        number = np.bincount(places, minlength=_PLACES)
        sums = [np.bincount(places, frame[body][:, c], _PLACES) for c in range(3)]
        colours, seen = np.stack(sums, -1) / np.maximum(number, 1)[:, None], number > 0
        if self._last is not None and (both := seen & self._last[1]).any():
            self.changes.append(float(np.abs(colours[both] - self._last[0][both]).mean()))
        self._last = colours, seen
        self._sums += colours
        self._squares += colours**2
        self._counts += seen

    @property
    def warping_error(self) -> float | None:
        """The mean of `changes`; None where no two frames show the same."""
        return float(np.mean(self.changes)) if self.changes else None

    @property
    def deviation(self) -> float | None:
        """The standard deviation of a place's colour over the frames that show it: the mean over
        places that two or more do, or None.
        """
        often = self._counts > 1
        if not often.any():
            return None
        count = self._counts[often][:, None]
        mean = self._sums[often] / count
        variance = np.maximum(self._squares[often] / count - mean**2, 0)
        return float(np.sqrt(variance).mean())


@dataclass(frozen=True)
class Steadiness:
    """What can be told of a sequence without its truth; None of what no frame shows."""

    frames: int
    nobody: int
    """Frames in which nobody was found: they do not count."""
    warping_error: float | None
    """As `SurfaceChange` has it, levels of 255."""
    deviation: float | None
    """Likewise."""
    face_similarity: float | None
    """Mean cosine between the face embedding of a frame and the mean of all."""
    clothes_similarity: float | None
    """The same of the embedded network's embedding of the texture maps."""
    pose_estimator: str
    face_embedder: str

    def describe(self) -> dict[str, Any]:
        """The fields by name."""
        return dict(vars(self))


def measure_steadiness(
    path: Path,
    settings: Settings,
    *,
    say: Callable[[str], None],
    on_frame: Callable[[int, int], None],
) -> Steadiness:
    """Measure how steady a video, an animated picture or a folder of frames is.

    Args:
        path: frames in a folder count in the order of their names.
        settings: the estimators of `prepare`.
        say: told, in one line each, what the user should know.
        on_frame: called with (frames done, frames to do).

    Raises InputError for what holds fewer than two frames or cannot be read, and what the
    estimators raise.
    """
    frames, total = open_pictures(path)
    reader = PersonReader(settings.prepare, settings.evaluate.device or "cpu", say)
    embed_face, embedder = _choose_embedder(reader, say)
    encoder = load_pipeline(EMBEDDED)
    surface, faces, clothes = SurfaceChange(), [], []
    count = nobody = 0
    for count, frame in enumerate(frames, 1):
        estimated = reader.estimate(frame)
        if estimated is None:
            nobody += 1
        else:
            surface.add(frame, estimated.iuv)
            face = embed_face(frame, estimated.iuv)
            faces += [] if face is None else [face]
            texture = Image.fromarray(extract_texture(frame, estimated.iuv))
            with torch.no_grad():
                clothes.append(encoder.embed(encoder.encoder_pixels([texture])).ravel().numpy())
        on_frame(count, max(total, count))
    if count < 2 or count - nobody < 2:
        shown = "holds" if count < 2 else "shows somebody in"
        raise InputError(f"{path} {shown} {count - nobody} frames: two or more make a sequence")
    return Steadiness(
        frames=count,
        nobody=nobody,
        warping_error=surface.warping_error,
        deviation=surface.deviation,
        face_similarity=_compare_to_mean(faces),
        clothes_similarity=_compare_to_mean(clothes),
        pose_estimator=str(reader.record()["pose_estimator"]),
        face_embedder=embedder,
    )


def open_pictures(path: Path) -> tuple[Iterator[Frame], int]:
    """The frames of a folder or a video, uint8 [H, W, 3] RGB, and how many; of a video about.

    Raises InputError for what is neither.
    """
    if path.is_dir():
        names = (file for file in path.iterdir() if file.suffix.lower() in _PICTURES)
        files = sorted(names, key=lambda file: [int(n) for n in re.findall(r"\d+", file.name)])
        return map(read_image, files), len(files)
    if path.exists() and path.suffix.lower() not in READABLE:
        raise InputError(f"{path} is neither a folder of frames nor a video")
    rate = read_rate(path)
    return read_frames(path, rate), round(count_seconds(path) * rate)


def _choose_embedder(
    reader: PersonReader, say: Callable[[str], None]
) -> tuple[Callable[[Frame, Frame], NDArray[np.float32] | None], str]:
    """What embeds faces here: insightface's pack, or else what needs no weights."""
    try:
        return reader.face_embedder.embed, "arcface"
    except MCLDError as error:
        say(f"Faces are compared by small pictures of heads: {error}")
        return HeadCrop().embed, "head_crop"


def _compare_to_mean(embeddings: list[NDArray[np.float32]]) -> float | None:
    """The mean cosine between each embedding and the mean of all."""
    if len(embeddings) < 2:
        return None
    rows = np.stack(embeddings).astype(float)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    mean = rows.mean(axis=0)
    return float((rows @ mean / max(np.linalg.norm(mean), 1e-12)).mean())
