"""People of prepared datasets: what was estimated lies beside their pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import FACE_SIZE, read_face, read_image, read_image_and_iuv
from mcld.dataset.views import split_views
from mcld.errors import WeightsError
from mcld.estimators.head_crop import HeadCrop
from mcld.licences import LICENCES, UV_NOTICE
from mcld.machine.processes import ignore
from mcld.person.person import Person, gather_person
from mcld.settings import PrepareSettings

BATCH = 32
"""Prepared pictures that are read at once."""


def check_prepared(
    layout: DatasetLayout,
    options: PrepareSettings,
    say: Callable[[str], None],
    *,
    faces: bool,
) -> None:
    """Under `prepare.commercial`, raise WeightsError for a dataset that others' networks read.

    Whoever reads prepared people asks this first. faces: whether the dataset's face embeddings
    count, too. say: told what nothing can be refused for.
    """
    if not options.commercial:
        return
    if layout.read_record().get("pose_estimator") in ("densepose", "detectron2"):
        reader = LICENCES["densepose"]
    elif faces and layout.face_embedder == "arcface":
        reader = LICENCES["insightface"]
    else:
        say(UV_NOTICE)
        return
    raise WeightsError(
        f"{layout.root} was prepared with {reader.explain_refusal()} (prepare.commercial is set)"
    )


def read_prepared(
    layout: DatasetLayout,
    split: str,
    stem: str,
    face_embedder: str | None = None,
    say: Callable[[str], None] = ignore,
) -> Person:
    """Read a prepared picture. Raises InputError for a file that is missing or cannot be used.

    stem: of a picture, or of several that are gathered, as `mcld.dataset.views` joins them.
    face_embedder: of a network, as in `MCLDPipeline`; where the dataset's is another, the face is
    embedded anew if that takes no weights, else left open. None: it is taken as it is. say: told of
    pictures that seem to show other clothes or another person, where several are gathered.
    """
    if len(views := split_views(stem)) > 1:
        read = [read_prepared(layout, split, view, face_embedder) for view in views]
        return gather_person(read, say)
    path = layout.image(split, stem)
    face = layout.face(split, stem)
    photo, iuv = read_image_and_iuv(path, layout.densepose(split, stem))
    embedding: NDArray[np.float32] | None = None
    if face_embedder in (None, layout.face_embedder):
        embedding = read_face(face) if face.exists() else None
    elif face_embedder == "head_crop":
        embedding = HeadCrop().embed(photo, iuv)
    if embedding is None:
        embedding = np.zeros(FACE_SIZE, np.float32)
    return Person(
        name=str(path),
        photo=Image.fromarray(photo),
        iuv=iuv,
        texture=Image.fromarray(read_image(layout.texture(split, stem))),
        face=embedding,
    )


def read_batches(
    layout: DatasetLayout,
    split: str,
    stems: list[str],
    size: int = BATCH,
    face_embedder: str | None = None,
) -> Iterator[list[Person]]:
    """Read prepared pictures in batches of `size`, the next batch while this one is worked on.

    face_embedder: as for `read_prepared`.
    """

    def read(stem: str) -> Person:
        return read_prepared(layout, split, stem, face_embedder)

    with ThreadPoolExecutor() as pool:
        starts = range(0, len(stems), size)
        coming = [pool.map(read, stems[start : start + size]) for start in starts[:2]]
        for start in starts:
            yield list(coming.pop(0))
            ahead = start + 2 * size
            if ahead < len(stems):
                coming.append(pool.map(read, stems[ahead : ahead + size]))
