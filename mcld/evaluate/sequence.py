"""How steady the frames of a sequence are, where no truth is known: on the surface of the body."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from mcld.dataset.pictures import is_frame, read_image, split_numbers
from mcld.errors import InputError, MCLDError
from mcld.estimators.head_crop import HeadCrop
from mcld.estimators.texture import extract_texture
from mcld.machine.video import READABLE, count_seconds, read_frames, read_rate
from mcld.networks.folders import load_pipeline
from mcld.networks.places import EMBEDDED
from mcld.person.reader import PersonReader
from mcld.sampling.device import choose_device
from mcld.settings import Settings
from mcld.surface.charts import TEXTURE_SIZE, find_texels

_CELL = 2
"""Texels of a place on the surface, along a side: a frame shows few of them one by one."""
_PLACES = (TEXTURE_SIZE // _CELL) ** 2

Frame = NDArray[np.uint8]


@dataclass
class SurfaceChange:
    """How much the same places of the surface change from frame to frame, in levels of 255.

    A place is 2x2 texels of the SMPL layout. What a frame shows of each is remembered, not frames:
    memory does not grow with their number.
    """

    _changes: float = 0.0
    _compared: int = 0
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
            self._changes += float(np.abs(colours[both] - self._last[0][both]).mean())
            self._compared += 1
        self._last = colours, seen
        self._sums += colours
        self._squares += colours**2
        self._counts += seen

    @property
    def warping_error(self) -> float | None:
        """Of two frames that follow each other the mean difference of the places both show, along
        the flow that the maps tell: the mean over frames; None where no two show the same.
        """
        return self._changes / self._compared if self._compared else None

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


@dataclass
class Likeness:
    """How alike embeddings are, of which none is remembered."""

    _sum: NDArray[np.float64] | float = 0.0
    _count: int = 0

    def add(self, embedding: NDArray[np.float32] | None) -> None:
        """Look at an embedding [D]; None of what is not seen does not count."""
        if embedding is not None:
            length = max(float(np.linalg.norm(embedding)), 1e-12)
            self._sum = self._sum + embedding.astype(np.float64) / length
            self._count += 1

    @property
    def mean_cosine(self) -> float | None:
        """The mean cosine between each embedding and the mean of all, of two or more.

        Of unit vectors it is the length of their mean.
        """
        return float(np.linalg.norm(self._sum)) / self._count if self._count > 1 else None


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
    device = choose_device(settings.sample.model_copy(update={"device": settings.evaluate.device}))
    reader = PersonReader(settings.prepare, str(device), say)
    embed_face, embedder = _choose_embedder(reader, say)
    encoder = load_pipeline(EMBEDDED).to(device)
    surface, faces, clothes = SurfaceChange(), Likeness(), Likeness()
    count = nobody = 0
    for count, frame in enumerate(frames, 1):
        estimated = reader.estimate(frame)
        if estimated is None:
            nobody += 1
        else:
            surface.add(frame, estimated.iuv)
            faces.add(embed_face(frame, estimated.iuv))
            texture = Image.fromarray(extract_texture(frame, estimated.iuv))
            with torch.no_grad():
                embedded = encoder.embed(encoder.encoder_pixels([texture]))
            clothes.add(embedded.ravel().float().cpu().numpy())
        on_frame(count, max(total, count))
    if count < 2 or count - nobody < 2:
        shown = f"holds {count}" if count < 2 else f"shows somebody in {count - nobody}"
        raise InputError(f"{path} {shown} frames: two or more make a sequence")
    return Steadiness(
        frames=count,
        nobody=nobody,
        warping_error=surface.warping_error,
        deviation=surface.deviation,
        face_similarity=faces.mean_cosine,
        clothes_similarity=clothes.mean_cosine,
        pose_estimator=str(reader.record()["pose_estimator"]),
        face_embedder=embedder,
    )


def open_pictures(path: Path) -> tuple[Iterator[Frame], int]:
    """The frames of a folder or a video, uint8 [H, W, 3] RGB, and how many; of a video about.

    Raises InputError for what is neither.
    """
    if path.is_dir():
        files = sorted(filter(is_frame, path.iterdir()), key=split_numbers)
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
