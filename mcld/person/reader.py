"""People and poses read of any photo: what is not prepared is estimated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mcld.body.parameters import read_body, read_gallery
from mcld.body.shape import BodyShape
from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import FACE_SIZE, PoseKind, read_image, read_image_and_iuv
from mcld.dataset.poses import find_pose, frame_pose
from mcld.errors import InputError, MCLDError, SettingsError
from mcld.estimators.body.keypoints import read_keypoints
from mcld.estimators.face import InsightFace
from mcld.estimators.head_crop import HeadCrop
from mcld.estimators.people import explain_absence
from mcld.estimators.pose import (
    EstimatedPose,
    PoseEstimator,
    open_pose_estimator,
    resolve_pose_estimator,
)
from mcld.licences import UV_NOTICE
from mcld.person.check import explain_missing_estimator, pair_sources, resolve_pose_kind
from mcld.person.person import Person, gather_person
from mcld.person.prepared import check_prepared, read_prepared
from mcld.settings import PrepareSettings

_SURE = 0.8
"""Confidence from which on nothing is said of it."""


def record_reading(
    options: PrepareSettings, *, reads_photos: bool, has_pose: bool
) -> dict[str, Any]:
    """What of the settings decides how people and poses are read, for the record of a picture.

    reads_photos: whether anything is read but prepared files: of photos and bodies the estimator of
    poses counts, and what else is not as usual. has_pose: whether there is a target pose. Raises as
    `resolve_pose_estimator`.
    """
    usual: dict[str, Any] = {"fit_body": False} if has_pose else {}
    if reads_photos:
        usual |= {"person": "confident", "body_turn": 0.0, "body_pitch": 0.0, "body_betas": ()}
    given = {name: getattr(options, name) for name in usual}
    return {
        **({"pose_estimator": resolve_pose_estimator(options)} if reads_photos else {}),
        **{name: value for name, value in given.items() if value != usual[name]},
    }


def _load_texture_reader() -> None:
    """Load what reads texture maps, most of a second, while a body is read."""
    with suppress(Exception):  # which is raised again where it is needed
        from mcld.estimators.texture import load_compiled

        load_compiled()


def _demand_body(iuv: NDArray[np.uint8], path: Path) -> NDArray[np.uint8]:
    if not iuv[..., 0].any():
        raise InputError(f"{path} shows nobody: no body lies in its picture")
    return iuv


class PersonReader:
    """Reads people and poses; loads an estimator the first time that one is needed.

    Several threads may use one reader.

    Args:
        options: which estimators, where their weights are, and who counts of several people.
        device: the estimators run there; such as "cuda:0" or "cpu".
        say: told, in a line each, what the user should know; of equal lines, one.
        face_embedder: what makes face embeddings, as in `MCLDPipeline`: the network's own kind.

    Raises:
        SettingsError: for options that contradict each other.
    """

    def __init__(
        self,
        options: PrepareSettings,
        device: str,
        say: Callable[[str], None],
        face_embedder: str = "arcface",
    ) -> None:
        if options.fit_body and options.body_betas:
            raise SettingsError(
                "prepare.fit_body takes the source's shape, prepare.body_betas another: give one"
            )
        self.options = options
        self.device = device
        self.say = cache(say)
        self._estimating, self._fitting = Lock(), Lock()
        self._has_read = self._has_posed = False
        self._face_embedder = face_embedder
        if options.commercial:
            self.say(UV_NOTICE)

    def listen(self, say: Callable[[str], None]) -> PersonReader:
        """The same reader, with what it has loaded, telling somebody else."""
        other = copy(self)
        other.say = cache(say)
        return other

    @cached_property
    def pose_estimator(self) -> PoseEstimator:
        """That of the options. Raises MCLDError or WeightsError when it cannot run here."""
        return open_pose_estimator(self.options, self.device)

    @cached_property
    def _chosen_estimator(self) -> str:
        return resolve_pose_estimator(self.options)

    @cached_property
    def face_embedder(self) -> InsightFace | HeadCrop:
        """The network's own. Raises MCLDError or WeightsError when it cannot run here."""
        if self._face_embedder == "head_crop":
            return HeadCrop()
        return InsightFace(self.options, self.options.face_pack, self.device)

    def record(self) -> dict[str, Any]:
        """What of the settings decided what was read."""
        return record_reading(self.options, reads_photos=self._has_read, has_pose=self._has_posed)

    def person(self, source: Path, pose: Path | None = None) -> Person:
        """Read the person of a photo; pose: the photo's own IUV map, given by hand.

        Raises InputError when the photo cannot be read or shows nobody, MCLDError or WeightsError
        when what must be estimated cannot be here, or what lies there must not count (see
        `check_prepared`). A face that cannot be estimated is left out.
        """
        found = None if pose else DatasetLayout.beside(source)
        if found is not None and found[0].is_prepared(*found[1:]):
            return self._read_prepared(*found)
        if pose:
            photo, iuv = read_image_and_iuv(source, pose)
        else:
            Thread(target=_load_texture_reader).start()
            photo, iuv = read_image(source), self.pose(source, "photo")
        from mcld.estimators.texture import extract_texture  # here, because it loads a compiler

        texture = Image.fromarray(extract_texture(photo, iuv))
        face = self._embed_face(photo, iuv)
        return Person(str(source), Image.fromarray(photo), iuv, texture, face)

    def gather(self, sources: Sequence[Path], poses: Sequence[Path] = ()) -> Person:
        """Read one person of several photos; poses: the photos' own maps, given by hand, or none.

        Raises as `person` and `pair_sources` do, and says what `gather_person` says.
        """
        views = [self.person(source, pose) for source, pose in pair_sources(sources, poses)]
        return gather_person(views, self.say)

    def _read_prepared(self, layout: DatasetLayout, split: str, stem: str) -> Person:
        check_prepared(layout, self.options, self.say, faces=self._face_embedder == "arcface")
        person = read_prepared(layout, split, stem, self._face_embedder)
        if self._face_embedder == "arcface" != layout.face_embedder:
            return replace(person, face=self._embed_face(np.asarray(person.photo), person.iuv))
        return person

    def pose_of(self, person: Person, path: Path, kind: PoseKind = "auto") -> NDArray[np.uint8]:
        """A target pose for somebody, in the shape of their photo, as `frame_pose` makes it.

        With `prepare.fit_body` in their own proportions. Raises as `pose` does, and InputError
        where person or pose show too little of a body.
        """
        self._has_posed = True
        if self.options.fit_body:
            with self._fitting:
                iuv = self._fit_pose(person, path, resolve_pose_kind(path, kind))
        else:
            iuv = self.pose(path, kind)
        return frame_pose(iuv, person.photo.size)

    def _fit_pose(self, person: Person, path: Path, kind: PoseKind) -> NDArray[np.uint8]:
        """A pose in somebody's own proportions."""
        from mcld.body.fit import draw_fitted_map, fit_body  # here, because it loads much

        if kind in ("body", "gallery"):
            return self._draw_body(path, kind, person.body_shape)
        iuv = self.pose(path, kind)
        return draw_fitted_map(fit_body(iuv, str(path)), person.body_shape)

    def pose(self, path: Path, kind: PoseKind = "auto") -> NDArray[np.uint8]:
        """A target pose, uint8 [H, W, 3] (I, U, V), of a file of any kind.

        Raises InputError when the file cannot be read, is not of the kind, or shows nobody;
        MCLDError or WeightsError when a photo's pose cannot be estimated here, or what lies there
        must not count (see `check_prepared`).
        """
        kind = resolve_pose_kind(path, kind)
        if kind == "keypoints":
            from mcld.estimators.body.estimator import draw_keypoints  # here, because it loads much

            self._has_read = True
            with self._estimating:
                iuv = draw_keypoints(read_keypoints(path, self.options.person))
        elif kind in ("body", "gallery"):
            iuv = self._draw_body(path, kind)
        elif (found := find_pose(path, kind)) is not None:
            if (beside := DatasetLayout.beside(path)) is not None:
                check_prepared(beside[0], self.options, self.say, faces=False)
            iuv = found
        else:
            iuv = self._estimate(path, kind)
        return _demand_body(iuv, path)

    def estimate(self, picture: NDArray[np.uint8]) -> EstimatedPose | None:
        """The pose of a picture, uint8 [H, W, 3] RGB; None where it does not show who counts.

        Raises MCLDError or WeightsError when it cannot be estimated here.
        """
        with self._estimating:
            estimator = self.pose_estimator
            self._tell_estimator()
            (estimated,) = estimator.estimate([picture])
            self._has_read = True
        return estimated if estimated is not None and estimated.iuv[..., 0].any() else None

    def _estimate(self, path: Path, kind: PoseKind) -> NDArray[np.uint8]:
        """The pose of a photo."""
        photo = read_image(path)
        with self._estimating:
            try:
                _ = self.pose_estimator
            except MCLDError as error:
                raise explain_missing_estimator(path, kind, error) from error
        estimated = self.estimate(photo)
        if estimated is None:
            person = self.options.person
            reason = explain_absence(person)
            wanted = isinstance(person, int) and person > 1
            what = f"has no person {person}" if wanted else "shows nobody"
            raise InputError(f"{path} {what}: {reason} in it")
        self._tell_people(path, estimated.people)
        if estimated.confidence < _SURE:
            self.say(
                f"{path.name}: the pose was read with a confidence of {estimated.confidence:.2f}"
                " only; --sheet shows it, and --source-pose or --pose takes a map by hand."
            )
        return estimated.iuv

    def _draw_body(
        self, path: Path, kind: PoseKind, shape: BodyShape | None = None
    ) -> NDArray[np.uint8]:
        """The map of a body that is given by parameters, as the camera of the settings sees it.

        shape: of its body, in place of its own.
        """
        from mcld.body.pose_map import draw_pose_map

        self._has_read = True
        body = read_gallery(str(path)) if kind == "gallery" else read_body(path)
        if self.options.body_betas:
            betas = np.zeros_like(body.betas)
            betas[: len(self.options.body_betas)] = self.options.body_betas
            body = body._replace(betas=betas)
        turn, pitch = self.options.body_turn, self.options.body_pitch
        return _demand_body(draw_pose_map(body, turn, pitch, shape), path)

    def _tell_estimator(self) -> None:
        if self.options.pose_estimator != "auto" or self._chosen_estimator != "embedded":
            return
        told = "Poses are read by the embedded reader of bodies."
        if not self.options.commercial:  # under which DensePose would be refused
            told += (
                " DensePose's weights, which are more exact, are not here: mcld weights download"
                " densepose"
            )
        self.say(told)

    def _tell_people(self, path: Path, people: int) -> None:
        person = self.options.person
        if people > 1 and person == "confident":
            self.say(
                f"{path.name} shows {people} people, of whom the"
                f" {'largest' if self._chosen_estimator == 'embedded' else 'surest'} counts:"
                " --person 2 takes another."
            )
        elif people == 1 and isinstance(person, int) and person > 1:
            self.say(f"{path.name} shows one person, who counts: --person {person} is for several.")

    def _embed_face(self, photo: NDArray[np.uint8], iuv: NDArray[np.uint8]) -> NDArray[np.float32]:
        """[512]; zeros where no face is found or none can be read."""
        try:
            with self._estimating:
                face = self.face_embedder.embed(photo, iuv)
        except MCLDError as error:
            self.say(f"The face cannot be read: {error}")
            face = None
        return np.zeros(FACE_SIZE, np.float32) if face is None else face
