"""What the studio does: reads people, paints pictures and sequences, poses a figure."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcld.body.parameters import (
    BodyParameters,
    is_body,
    list_gallery,
    locate_motion,
    read_body,
    read_gallery,
)
from mcld.body.posing import mirror_body, pack_body
from mcld.body.shape import BETAS
from mcld.dataset.pictures import colour_iuv, read_image, write_png
from mcld.dataset.poses import find_pose
from mcld.edit.edits import apply_edits
from mcld.edit.photo import resize_iuv
from mcld.edit.picture import read_edit, warn_of_edit, write_edit
from mcld.edit.request import EditRequest, parse_edit_request
from mcld.edit.texture import GROUPS, group_mask, shows
from mcld.errors import InputError, MCLDError
from mcld.machine.files import make_folder
from mcld.machine.processes import ignore
from mcld.machine.signing import open_signer
from mcld.machine.threads import limit_threads
from mcld.machine.video import read_frames, read_rate
from mcld.networks.places import read_face_embedder
from mcld.person.check import check_pose, pair_sources, resolve_pose_kind
from mcld.person.person import Person, gather_person
from mcld.person.reader import PersonReader
from mcld.sample.request import SequenceRequest as Sequence
from mcld.sample.sequence import sample_sequence
from mcld.sampling.record import make_provenance
from mcld.settings import PrepareSettings, Settings
from mcld.studio import figure
from mcld.studio.export import describe_command, describe_sequence, write_recipe
from mcld.studio.figure import View
from mcld.studio.jobs import Job, Queue
from mcld.studio.networks import Networks
from mcld.studio.requests import (
    DressRequest,
    PictureRequest,
    PoseRequest,
    SavePoseRequest,
    SequenceRequest,
)
from mcld.studio.session import RefusedError, Session, StoredFile
from mcld.studio.shown import make_data_url, write_jpeg
from mcld.surface.parts import head_box

_SHOWN = (1280, 1280)
"""Pixels of a preview, at most."""
_WORDS = {
    "head": "no head",
    "upper": "no upper body",
    "lower": "no legs",
    "feet": "no feet",
    "hands": "no hands",
}


class Studio:
    """Does what sessions ask for. Several threads may use it.

    networks: which stay loaded; queue: does the jobs.
    """

    def __init__(self, networks: Networks, queue: Queue) -> None:
        self.networks, self.queue = networks, queue
        self._reading = RLock()

    def load(self) -> None:
        """Load what the first picture needs, so that it does not wait for it.

        What cannot be loaded is told by whoever asks for it.
        """
        settings, first = self.networks.settings, next(iter(self.networks.weights.values()))
        figure.draw(read_gallery(list_gallery()[0]), View())
        with suppress(MCLDError):
            self._open_reader(settings, first.folder, ignore)
            self.networks.open(first.folder, settings, self.networks.device, ignore)

    # Jobs

    def read_person(self, session: Session, photos: list[str]) -> Job:
        """A job that reads one person of one or several photos."""
        paths = [session.file(name).path for name in photos]
        pair_sources(paths, ())  # which refuses one that is given twice

        def work(job: Job) -> None:
            job.begin("reading the photo" if len(paths) == 1 else "reading the photos")
            reader = self._open_reader(self.networks.settings, None, job.say)
            views = [self._read(session, reader, None, path) for path in paths]
            job.look()
            person = gather_person(views, job.say)
            face = head_box(person.iuv) if person.has_face else None
            folder = make_folder(session.find_person_folder(job.id))
            write_jpeg(folder / "photo.jpg", np.asarray(person.photo))
            write_jpeg(folder / "map.jpg", colour_iuv(person.iuv))
            write_png(folder / "texture.png", np.asarray(person.texture))
            if face is not None:
                write_jpeg(folder / "face.jpg", np.asarray(person.photo)[face])
            told = {"id": job.id, "photos": photos, "has_face": face is not None}
            job.answer["person"] = {**told, **describe_person(person), "said": job.said}
            session.keep_person(job.answer["person"])

        asked = {"kind": "person", "photos": photos}
        return self._add(session, "person", asked, ", ".join(photos), work)

    def paint(self, session: Session, asked: PictureRequest) -> Job:
        """A job that paints one person. Raises an MCLDError for what can be refused at once."""
        weights = self.networks.find(asked)
        settings = self.networks.choose(asked, fit_body=asked.fit_body)
        first = make_edit_request(session, asked, asked.seeds[0], "")
        first.check_files(settings.prepare, sheet=False)

        def work(job: Job) -> None:
            make_folder(job.folder)
            requests = make_edit_requests(session, asked, job)
            job.begin("reading")
            reader = self._open_reader(settings, weights.folder, job.say)

            def read(photo: Path, pose: Path | None) -> Person:
                del pose  # which is not given here
                return self._read(session, reader, weights.folder, photo)

            with self._reading:
                source, edits = read_edit(requests[0], reader, read)
            job.begin("dressing")
            edited = apply_edits(source, edits)
            warn_of_edit(requests[0], source, edits, job.say)
            if not self.networks.holds(weights.folder):
                job.begin("loading the network")
            device = self.networks.device
            opened = self.networks.open(weights.folder, settings, device, job.say)
            job.begin("painting")
            for k, request in enumerate(requests):

                def count(done: int, total: int, before: int = k) -> None:
                    job.count(before * total + done, len(requests) * total)

                with limit_threads(self.networks.threads):
                    write_edit(request, edited, opened, settings, sheet=False, on_step=count)
                width, height = source.photo.size
                job.answer.setdefault("results", []).append(
                    {
                        "seed": request.seed,
                        "name": request.out.name,
                        "width": width,
                        "height": height,
                        "command": describe_command(request, asked, weights, self.networks),
                    }
                )

        title = ", ".join([*asked.source, *([asked.pose] if asked.pose else [])])
        return self._add(session, "picture", asked.model_dump(mode="json"), title, work)

    def show_sequence(self, session: Session, asked: SequenceRequest) -> Job:
        """A job that shows one person in a motion. Raises as `paint` does."""
        weights = self.networks.find(asked)
        settings = self.networks.choose(asked)
        sources = tuple(session.file(name).path for name in asked.source)
        motion = locate_motion(asked.motion)

        def work(job: Job) -> None:
            out = make_folder(job.folder) / f"{sources[0].stem}-{asked.motion}.mp4"
            job.begin("reading")
            request = Sequence(
                sources,
                motion,
                out,
                weights.folder,
                settings.prepare,
                seed=asked.seed,
            )
            job.frames = request.folder

            def count(stage: str, done: int, total: int) -> None:
                if job.stage != stage:
                    job.begin(stage)
                job.count(done, total)

            try:
                sample_sequence(
                    request,
                    settings,
                    say=job.say,
                    on_pose=lambda done, total: count("reading poses", done, total),
                    on_frame=lambda done, total: count("painting", done, total),
                    open_network=self.networks.open,
                )
            finally:  # there is no going on with a job that was broken off
                shutil.rmtree(request.folder, ignore_errors=True)
            signer = open_signer(settings.sample.c2pa_certificate, settings.sample.c2pa_key)
            poster = make_provenance({"frame of": out.name}, signer)
            write_jpeg(job.folder / "poster.jpg", next(read_frames(out, read_rate(out))), poster)
            job.answer["video"] = out.name

        title = ", ".join([*asked.source, asked.motion])
        job = self._add(session, "sequence", asked.model_dump(mode="json"), title, work)
        job.answer["command"] = describe_sequence(sources, asked, weights, self.networks)
        return job

    def export(self, session: Session, job: Job) -> bytes:
        """The recipe of a job's pictures, zipped. Raises RefusedError where it has none."""
        if job.kind != "picture":
            raise RefusedError("only pictures have a recipe", 404)
        asked = PictureRequest.model_validate(job.request)
        requests = make_edit_requests(session, asked, job)
        return write_recipe(requests, asked, self.networks.find(asked), self.networks)

    def _add(
        self,
        session: Session,
        kind: Any,
        asked: dict[str, Any],
        title: str,
        work: Callable[[Job], None],
    ) -> Job:
        def run(job: Job) -> None:
            try:
                work(job)
            finally:
                if session.has_ended:  # and what was written since its files were removed
                    session.remove_files()

        job = Job(kind, asked, title, session.folder / "jobs", run, session.tell)
        session.make_room(0)
        session.add(job)
        if not self.queue.add(job):
            session.forget(job)
            raise RefusedError("too many jobs are waiting: try again when some are done", 429)
        return job

    # At once

    def preview(
        self, session: Session, source: list[str], edits: DressRequest
    ) -> NDArray[np.uint8]:
        """A person's photo with edits pasted onto it, RGB, no larger than a page shows it."""
        asked = PictureRequest(kind="picture", source=source, edits=edits)
        request = make_edit_request(session, asked, 0, "")
        with self._reading:
            reader = self._open_reader(self.networks.settings, None, ignore)
            person, changes = read_edit(
                request, reader, lambda photo, _: self._read(session, reader, None, photo)
            )
        photo = person.photo.copy()
        photo.thumbnail(_SHOWN)
        iuv = resize_iuv(person.iuv, photo.size[::-1])
        (edited,) = apply_edits(replace(person, photo=photo, iuv=iuv, views=()), changes).persons
        return np.asarray(edited.photo)

    def draw_pose_file(self, path: Path) -> NDArray[np.uint8]:
        """What is shown of a pose's file, [H, W, 3] RGB. Raises as `PersonReader.pose` does."""
        check_pose(path, "auto", self.networks.settings.prepare)
        kind = resolve_pose_kind(path, "auto")
        if kind == "body":
            return figure.draw(read_body(path), View()).picture
        with self._reading:
            iuv = self._open_reader(self.networks.settings, None, ignore).pose(path)
        colours = colour_iuv(iuv)
        if kind != "auto" or find_pose(path) is not None:
            return colours
        photo = read_image(path)
        return np.where(iuv[..., :1] > 0, colours // 2 + photo // 2, photo)

    def pose_figure(self, session: Session, asked: PoseRequest) -> dict[str, Any]:
        """The next picture of a figure that is posed by hand, and where its joints are.

        Raises InputError for a pose to start from that cannot be one, SettingsError for a joint
        that cannot be dragged.
        """
        view = View(asked.turn, asked.pitch)
        body = _find_body(session, asked)
        if asked.mirror:
            body, view = mirror_body(body), View(-view.turn, view.pitch)
        camera = figure.Camera(**asked.camera.model_dump()) if asked.camera else None
        if asked.drag is not None:
            body = figure.drag(body, view, camera, figure.Drag(**asked.drag.model_dump()))
        drawn = figure.draw(body, view, camera, self._find_texture(session, asked.person))
        return {
            "rotations": body.rotations.tolist(),
            "orientation": body.orientation.tolist(),
            **view._asdict(),
            "camera": drawn.camera._asdict(),
            "joints": drawn.joints,
            "picture": make_data_url(drawn.picture),
        }

    def save_pose(self, session: Session, asked: SavePoseRequest) -> StoredFile:
        """Keep a body that was posed by hand as a pose of the session."""
        body = _make_body(asked.rotations, asked.orientation)
        seen = figure.bake_view(body, View(asked.turn, asked.pitch))
        return session.store(f"{asked.name}.npz", pack_body(seen), "pose", self.draw_pose_file)

    def _find_texture(self, session: Session, person: str | None) -> NDArray[np.uint8] | None:
        if person is None:
            return None
        if person not in session.people:
            raise RefusedError(f"there is no person {person} in this session", 404)
        return read_image(session.find_person_folder(person) / "texture.png")

    # Reading

    def _open_reader(
        self, settings: Settings, weights: Path | None, say: Callable[[str], None]
    ) -> PersonReader:
        return self.networks.reader(settings, read_face_embedder(weights, settings), say)

    def _read(
        self, session: Session, reader: PersonReader, weights: Path | None, photo: Path
    ) -> Person:
        """A person, read once a session."""
        usual = {"fit_body": PrepareSettings().fit_body}
        key = photo, weights, reader.options.model_copy(update=usual)
        with self._reading:
            return session.remember(key, lambda: reader.person(photo))


def make_edit_requests(session: Session, asked: PictureRequest, job: Job) -> list[EditRequest]:
    """The edits of a job, one a seed, each with its file; raises as `make_edit_request`."""
    requests = [make_edit_request(session, asked, seed, job.id) for seed in asked.seeds]
    return [
        request.model_copy(update={"out": job.folder / request.out.name}) for request in requests
    ]


def make_edit_request(session: Session, asked: PictureRequest, seed: int, mark: str) -> EditRequest:
    """The edit of one seed. mark: what tells its file's name from that of others.

    Raises RefusedError for files that there are not, SettingsError for what cannot be.
    """
    given: dict[str, Any] = {
        "source": [session.file(name).path for name in asked.source],
        "seed": seed,
        "keep": asked.keep,
        "strength": asked.strength,
        "recolor": [f"{group}={colour}" for group, colour in sorted(asked.edits.recolor.items())],
    }
    for name, file in asked.edits.model_dump(exclude={"recolor"}, exclude_none=True).items():
        given[name] = session.file(file).path
    if asked.pose is not None:
        in_gallery = asked.pose in list_gallery()
        given["pose"] = Path(asked.pose) if in_gallery else session.file(asked.pose).path
        given["pose_kind"] = "gallery" if in_gallery else None
    pose = [given["pose"].stem] if asked.pose else []
    words = [given["source"][0].stem, *pose, mark[:4], f"seed-{seed}"]
    return parse_edit_request({**given, "out": Path("-".join(words) + ".png")}, "")


def describe_person(person: Person) -> dict[str, Any]:
    """What a person's photos show of them: each part's share, and what is missing in words."""
    texture = np.asarray(person.texture)
    parts = {group: texture[group_mask([group])].any(axis=-1) for group in GROUPS}
    shares = {group: round(float(seen.mean()), 3) for group, seen in parts.items()}
    lacking = [words for group, words in _WORDS.items() if not shows(texture, group)]
    missing = []
    if lacking:
        few = " and ".join(lacking) if len(lacking) < 3 else ", ".join(lacking)
        missing.append(f"The photo shows {few}: what is not seen is guessed.")
    if not person.has_face:
        missing.append("No face was found: whose face it is, is left open.")
    return {"shown": shares, "missing": missing}


def _find_body(session: Session, asked: PoseRequest) -> BodyParameters:
    if asked.start is not None:
        if asked.start in list_gallery():
            return read_gallery(asked.start)
        path = session.file(asked.start).path
        if not is_body(path):
            raise InputError(f"{path.name} holds no body to pose: only a pose posed by hand does")
        return read_body(path)
    if asked.rotations is None or asked.orientation is None:
        raise InputError("give a pose to start from, or rotations and orientation")
    return _make_body(asked.rotations, asked.orientation)


def _make_body(rotations: list[list[float]], orientation: list[float]) -> BodyParameters:
    """A body of plain build, as the page has it."""
    turns = np.asarray(rotations, np.float32), np.asarray(orientation, np.float32)
    return BodyParameters(*turns, np.zeros(BETAS, np.float32))
