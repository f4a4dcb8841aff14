"""A person as the network reads them: photo, texture map, face. And a pose, as it is asked for.

What was prepared lies beside a picture of a dataset; for any other photo it is estimated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import FACE_SIZE, PoseKind, read_face, read_image, read_iuv
from mcld.errors import InputError, MCLDError
from mcld.estimators.face import InsightFace
from mcld.estimators.pose import DensePose
from mcld.settings import PrepareSettings


@dataclass(frozen=True)
class Person:
    """One person, as the source of a picture."""

    photo: Image.Image
    """RGB, of any size."""
    texture: Image.Image
    """Texture map in the SMPL layout, RGB, 512x512."""
    face: Tensor
    """[512] face embedding; zeros where no face was found."""


@dataclass(frozen=True)
class PosedPerson(Person):
    """A person, and the pose they have in their photo."""

    iuv: NDArray[np.uint8]
    """The photo's IUV map, uint8 [H, W, 3] (I, U, V)."""
    name: str
    """What messages call the person, such as the file name."""

    @property
    def has_face(self) -> bool:
        """Whether a face was found."""
        return bool(self.face.any())


def no_face_known(name: str) -> str:
    """What to say of a source without a face."""
    return f"No face is known of {name}: whose face it is, is left open."


class PersonReader:
    """Reads people and poses; loads an estimator the first time that one is needed.

    Several threads may use one reader.

    Args:
        options: where the estimators' weights are.
        device: the estimators run there; such as "cuda:0" or "cpu".
        say: told, in a line each, what the user should know.
    """

    def __init__(self, options: PrepareSettings, device: str, say: Callable[[str], None]) -> None:
        self.options = options
        self.device = device
        self.say = say
        self._estimating = Lock()

    @cached_property
    def pose_estimator(self) -> DensePose:
        """DensePose. Raises MCLDError or WeightsError when it cannot run here."""
        return DensePose(self.options.densepose_weights, self.device)

    @cached_property
    def face_embedder(self) -> InsightFace:
        """ArcFace. Raises MCLDError or WeightsError when it cannot run here."""
        return InsightFace(self.options.insightface_root, self.options.face_pack, self.device)

    def person(self, source: Path) -> Person:
        """Read the person of a photo.

        Raises InputError when the photo cannot be read or shows nobody, MCLDError or WeightsError
        when what must be estimated cannot be here. A face that cannot be estimated is left out.
        """
        person = self._person(source, read_image(source), None)
        if not person.face.any():
            self.say(no_face_known(source.name))
        return person

    def posed(self, source: Path) -> PosedPerson:
        """Read the person of a photo and the photo's own pose; raises as `person` does."""
        photo = read_image(source)
        iuv = self._estimated(source, photo)
        person = self._person(source, photo, iuv)
        return PosedPerson(person.photo, person.texture, person.face, iuv, str(source))

    def _person(
        self, source: Path, photo: NDArray[np.uint8], iuv: NDArray[np.uint8] | None
    ) -> Person:
        found = DatasetLayout.beside(source)
        if found is not None and found[0].texture(*found[1:]).exists():
            layout, *picture = found
            texture, face = read_image(layout.texture(*picture)), layout.face(*picture)
            embedding = read_face(face) if face.exists() else None
        else:
            if iuv is None:
                iuv = self._estimated(source, photo)
            # Here, because its compiler takes half a second to load.
            from mcld.estimators.texture import extract_texture

            texture, embedding = extract_texture(photo, iuv), self._face(photo, iuv)
        if embedding is None:
            embedding = np.zeros(FACE_SIZE, np.float32)
        return Person(Image.fromarray(photo), Image.fromarray(texture), torch.from_numpy(embedding))

    def pose(self, path: Path, kind: PoseKind = "auto") -> NDArray[np.uint8]:
        """A target pose, uint8 [H, W, 3] (I, U, V), from an IUV map or a photo of somebody.

        Raises InputError when the file cannot be read, is not of the kind, or shows nobody;
        MCLDError or WeightsError when a photo's pose cannot be estimated here.
        """
        if kind == "photo":
            return self._estimated(path, read_image(path))
        lossy = path.suffix.lower() in (".jpg", ".jpeg")
        if kind == "auto" and lossy:
            return self._photo_after_all(path, f"{path} is a JPEG, which no IUV map is")
        try:
            iuv = read_iuv(path)
        except InputError as no_map:
            if kind == "iuv":
                raise
            return self._photo_after_all(path, str(no_map))
        if not iuv[..., 0].any():
            raise InputError(f"{path} shows nobody: all its part labels are 0")
        return iuv

    def _photo_after_all(self, path: Path, no_map: str) -> NDArray[np.uint8]:
        photo = read_image(path)  # or it is no picture at all
        try:
            return self._estimated(path, photo)
        except InputError:
            raise
        except MCLDError as error:
            raise type(error)(f"{no_map}; as a photo, {error}") from error

    def _estimated(self, path: Path, photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
        found = DatasetLayout.beside(path)
        if found is not None and (beside := found[0].densepose(*found[1:])).exists():
            iuv = read_iuv(beside)
            if iuv.shape != photo.shape:
                raise InputError(f"{beside} and {path} differ in size")
            if not iuv[..., 0].any():
                raise InputError(f"{path} shows nobody: all part labels of {beside} are 0")
            return iuv
        try:
            with self._estimating:
                estimated = self.pose_estimator.estimate(photo)
        except MCLDError as error:
            raise type(error)(f"{path} needs a pose estimator: {error}") from error
        if estimated is None or not estimated[..., 0].any():
            raise InputError(f"{path} shows nobody: no person was found in it")
        return estimated

    def _face(self, photo: NDArray[np.uint8], iuv: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        try:
            with self._estimating:
                return self.face_embedder.embed(photo, iuv)
        except MCLDError as error:
            self.say(f"The face cannot be read: {error}")
            return None


BATCH = 32
"""Pictures encoded at once."""


@dataclass(frozen=True)
class PictureFiles:
    """One picture and its conditions, as read from disk."""

    image: Image.Image
    texture: Image.Image
    pose: Image.Image
    face: Tensor


def read_picture(layout: DatasetLayout, split: str, stem: str) -> PictureFiles:
    """Read a prepared picture. Raises InputError for a file that is missing or cannot be used."""
    face_path = layout.face(split, stem)
    face = read_face(face_path) if face_path.exists() else np.zeros(FACE_SIZE, np.float32)
    iuv = read_iuv(layout.densepose(split, stem))
    return PictureFiles(
        image=Image.fromarray(read_image(layout.image(split, stem))),
        texture=Image.fromarray(read_image(layout.texture(split, stem))),
        pose=Image.fromarray(np.ascontiguousarray(iuv[..., ::-1])),
        face=torch.from_numpy(face),
    )


def read_batches(
    layout: DatasetLayout, split: str, stems: list[str], size: int = BATCH
) -> Iterator[list[PictureFiles]]:
    """Read prepared pictures in batches of `size`, the next batch while this one is worked on."""
    with ThreadPoolExecutor() as pool:
        starts = range(0, len(stems), size)
        read = [
            pool.map(lambda stem: read_picture(layout, split, stem), stems[start : start + size])
            for start in starts[:2]
        ]
        for start in starts:
            yield list(read.pop(0))
            ahead = start + 2 * size
            if ahead < len(stems):
                read.append(
                    pool.map(
                        lambda stem: read_picture(layout, split, stem), stems[ahead : ahead + size]
                    )
                )
