"""What the page asks the server for, address by address."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Body, Depends, File, Form, Request, Response, UploadFile
from fastapi.responses import FileResponse

from mcld.studio.answers import describe_file, describe_job, describe_person
from mcld.studio.guard import TOO_LARGE
from mcld.studio.jobs import Job
from mcld.studio.machine import (
    describe_machine,
    draw_guide,
    draw_motion,
    draw_pose,
    find_example,
)
from mcld.studio.requests import (
    ExampleRequest,
    PeopleRequest,
    PictureRequest,
    PoseRequest,
    PreviewRequest,
    SavePoseRequest,
    SequenceRequest,
)
from mcld.studio.session import UPLOAD, RefusedError, Session
from mcld.studio.shown import make_data_url
from mcld.studio.work import Studio

machine = APIRouter(prefix="/api")
"""What is the same for all sessions."""
sessions = APIRouter(prefix="/api/sessions")
"""A session, its files and its jobs."""

_OF_PERSON = ("photo.jpg", "map.jpg", "texture.png", "face.jpg")
_KEEP = {"Cache-Control": "max-age=3600"}
_ALONE = {
    "Content-Security-Policy": "sandbox; default-src 'none'; img-src data:;"
    " style-src 'unsafe-inline'"
}
"""A report is a page of its own, which may do nothing."""


def _find_studio(request: Request) -> Studio:
    studio: Studio = request.app.state.studio
    return studio


def _find_session(token: str, request: Request) -> Session:
    session: Session = request.app.state.sessions.find(token)
    request.state.session = session  # whose folder messages do not name
    return session


def _find_job(session: Annotated[Session, Depends(_find_session)], number: str) -> Job:
    return session.job(number)


OfStudio = Annotated[Studio, Depends(_find_studio)]
OfSession = Annotated[Session, Depends(_find_session)]
OfJob = Annotated[Job, Depends(_find_job)]
Answer = dict[str, Any]


@machine.get("/studio")
def show_machine(studio: OfStudio, request: Request) -> Answer:
    """All that a page begins with."""
    return describe_machine(studio, request.app.state.reports)


@machine.get("/examples/{name}")
def show_example(name: str) -> FileResponse:
    """An example's photo."""
    return FileResponse(find_example(name), headers=_KEEP)


@machine.get("/poses/{name}")
def show_pose(name: str) -> Response:
    """A pose of the gallery."""
    return Response(draw_pose(name), media_type="image/png", headers=_KEEP)


@machine.get("/motions/{name}")
def show_motion(name: str) -> Response:
    """A motion, moving."""
    return Response(draw_motion(name), media_type="image/webp", headers=_KEEP)


@machine.get("/guide")
def show_guide() -> Response:
    """The guide layer of texture maps."""
    return Response(draw_guide(), media_type="image/png", headers=_KEEP)


@machine.get("/reports/{number}")
def show_report(number: int, request: Request) -> FileResponse:
    """A report of `mcld evaluate`."""
    reports: list[Path] = request.app.state.reports
    if not 0 <= number < len(reports) or not reports[number].is_file():
        raise RefusedError(f"there is no report {number}", 404)
    return FileResponse(reports[number], headers=_ALONE)


@sessions.post("")
def open_session(request: Request) -> Answer:
    """Begin a session."""
    return {"session": request.app.state.sessions.open().token}


@sessions.get("/{token}")
def show_session(session: OfSession, studio: OfStudio) -> Answer:
    """All that a page needs to go on after it was loaded again."""
    with session.lock:
        return {
            "files": [describe_file(session, file) for file in session.files.values()],
            "people": [describe_person(session, told) for told in session.people.values()],
            "jobs": [describe_job(studio.queue, session, job) for job in session.jobs.values()],
        }


@sessions.delete("/{token}")
def end_session(session: OfSession, request: Request) -> Answer:
    """End a session, with all its files."""
    request.app.state.sessions.end(session)
    return {}


@sessions.post("/{token}/files")
def upload_file(
    session: OfSession,
    studio: OfStudio,
    file: Annotated[UploadFile, File()],
    kind: Annotated[str, Form(pattern="^(photo|pose|texture)$")],
) -> Answer:
    """Keep a file that is given."""
    content = file.file.read(UPLOAD + 1)
    if len(content) > UPLOAD:
        raise RefusedError(TOO_LARGE, 413)
    stored = session.store(file.filename or kind, content, kind, studio.draw_pose_file)
    return {"file": describe_file(session, stored)}


@sessions.post("/{token}/examples")
def take_example(session: OfSession, studio: OfStudio, asked: ExampleRequest) -> Answer:
    """Let an example be a file of the session; once."""
    path = find_example(asked.example)
    kept = session.files.get(path.name)
    content = path.read_bytes()
    if kept is None or kept.path.read_bytes() != content:
        kept = session.store(path.name, content, "photo", studio.draw_pose_file)
    return {"file": describe_file(session, kept)}


@sessions.get("/{token}/files/{name}/shown")
def show_file(session: OfSession, name: str) -> FileResponse:
    """A picture of a file."""
    return FileResponse(session.file(name).shown, media_type="image/jpeg")


@sessions.get("/{token}/files/{name}/content")
def download_file(session: OfSession, name: str) -> FileResponse:
    """The file itself."""
    return _answer_download(session.file(name).path)


@sessions.delete("/{token}/files/{name}")
def remove_file(session: OfSession, name: str) -> Answer:
    """Remove a file that nothing was made of."""
    session.remove(name)
    return {}


@sessions.get("/{token}/people/{person}/{name}")
def show_person(session: OfSession, person: str, name: str) -> FileResponse:
    """A picture of a person who was read."""
    path = session.find_person_folder(person) / name
    if person not in session.people or name not in _OF_PERSON or not path.is_file():
        raise RefusedError(f"there is no {name} of this person", 404)
    return FileResponse(path)


@sessions.post("/{token}/pose")
def pose_figure(session: OfSession, studio: OfStudio, asked: PoseRequest) -> Answer:
    """The figure that is posed by hand."""
    return studio.pose_figure(session, asked)


@sessions.post("/{token}/poses")
def save_pose(session: OfSession, studio: OfStudio, asked: SavePoseRequest) -> Answer:
    """Keep how it is posed."""
    return {"file": describe_file(session, studio.save_pose(session, asked))}


@sessions.post("/{token}/preview")
def preview_edit(session: OfSession, studio: OfStudio, asked: PreviewRequest) -> Answer:
    """An edit without the network."""
    return {"picture": make_data_url(studio.preview(session, asked.source, asked.edits))}


@sessions.post("/{token}/people")
def read_person(session: OfSession, studio: OfStudio, asked: PeopleRequest) -> Answer:
    """Read a person of photos."""
    return _answer_job(studio, session, studio.read_person(session, asked.photos))


@sessions.post("/{token}/jobs")
def add_job(
    session: OfSession,
    studio: OfStudio,
    asked: Annotated[PictureRequest | SequenceRequest, Body(discriminator="kind")],
) -> Answer:
    """Paint pictures, or a sequence."""
    if isinstance(asked, PictureRequest):
        return _answer_job(studio, session, studio.paint(session, asked))
    return _answer_job(studio, session, studio.show_sequence(session, asked))


@sessions.get("/{token}/jobs/{number}")
def show_job(session: OfSession, studio: OfStudio, job: OfJob) -> Answer:
    """How far a job is."""
    return _answer_job(studio, session, job)


@sessions.post("/{token}/jobs/{number}/cancel")
def cancel_job(session: OfSession, studio: OfStudio, job: OfJob) -> Answer:
    """Cancel a job; one that has ended stays as it is."""
    job.cancel()
    return _answer_job(studio, session, job)


@sessions.delete("/{token}/jobs/{number}")
def remove_job(session: OfSession, job: OfJob) -> Answer:
    """Remove a job that has ended, with what came of it."""
    if not job.has_ended:
        raise RefusedError("this job has not ended: cancel it first", 409)
    session.forget(job)
    return {}


@sessions.get("/{token}/jobs/{number}/files/{name}")
def show_result(job: OfJob, name: str, save: bool = False) -> FileResponse:
    """A file that came of a job."""
    path = _find_result(job, name)
    return _answer_download(path) if save else FileResponse(path)


@sessions.get("/{token}/jobs/{number}/frames/{frame}")
def show_frame(job: OfJob, frame: int) -> Response:
    """A frame of a sequence while it is painted; nothing once the video is there instead."""
    path = job.frames / f"{frame:06d}.png" if job.frames else None
    try:
        content = path.read_bytes() if path else b""
    except OSError:
        content = b""
    return Response(content, 200 if content else 204, media_type="image/png")


@sessions.get("/{token}/jobs/{number}/recipe")
def export_recipe(session: OfSession, studio: OfStudio, job: OfJob) -> Response:
    """The recipe of a job's pictures, with their files."""
    content = studio.export(session, job)
    name = quote(f"{Path(job.request['source'][0]).stem}-recipe.zip")
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
    return Response(content, media_type="application/zip", headers=headers)


def _answer_job(studio: Studio, session: Session, job: Job) -> Answer:
    return {"job": describe_job(studio.queue, session, job)}


def _answer_download(path: Path) -> FileResponse:
    return FileResponse(path, media_type="application/octet-stream", filename=path.name)


def _find_result(job: Job, name: str) -> Path:
    """A file that came of a job. Raises RefusedError for any other."""
    known = {result["name"] for result in job.answer.get("results", [])}
    if "video" in job.answer:
        known |= {job.answer["video"], "poster.jpg"}
    path = job.folder / name
    if name not in known or not path.is_file():
        raise RefusedError(f"there is no {name} of this job", 404)
    return path
