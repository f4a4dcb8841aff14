"""What the page is told of files, people and jobs, with the addresses of their pictures."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from mcld.studio.jobs import Job, Queue
from mcld.studio.session import Session, StoredFile


def describe_file(session: Session, file: StoredFile) -> dict[str, Any]:
    """A file of a session."""
    name = file.path.name
    base = f"/api/sessions/{session.token}/files/{quote(name)}"
    return {
        "id": name,
        "kind": file.kind,
        "url": f"{base}/shown",
        "download": f"{base}/content",
    }


def describe_person(session: Session, told: dict[str, Any]) -> dict[str, Any]:
    """A person who was read."""
    base = f"/api/sessions/{session.token}/people/{told['id']}"
    return {
        **{name: value for name, value in told.items() if name != "has_face"},
        "photo_url": f"{base}/photo.jpg",
        "map_url": f"{base}/map.jpg",
        "texture_url": f"{base}/texture.png",
        "face_url": f"{base}/face.jpg" if told["has_face"] else None,
    }


def describe_job(queue: Queue, session: Session, job: Job) -> dict[str, Any]:
    """How far a job is, and what came of it."""
    base = f"/api/sessions/{session.token}/jobs/{job.id}"
    answer = job.answer
    results = [
        {**result, "url": f"{base}/files/{quote(result['name'])}",
         "download": f"{base}/files/{quote(result['name'])}?save=true"}
        for result in answer.get("results", [])
    ]  # fmt: skip
    video = answer.get("video")
    source = job.request.get("source", job.request.get("photos", []))
    before = session.files.get(source[0]) if source else None
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "ahead": queue.count_before(job) if job.state == "queued" else 0,
        "queue": queue.count(),
        "stage": job.stage,
        "done": job.done,
        "total": job.total,
        "said": job.said,
        "error": job.error,
        "request": job.request,
        "title": job.title,
        "person": describe_person(session, answer["person"]) if "person" in answer else None,
        "results": results,
        "before_url": describe_file(session, before)["url"] if before else None,
        "frames": [f"{base}/frames/{k}" for k in _list_frames(job)],
        "video": {
            "url": f"{base}/files/{quote(video)}",
            "download": f"{base}/files/{quote(video)}?save=true",
            "poster": f"{base}/files/poster.jpg",
        }
        if video
        else None,
        "command": results[0]["command"] if results else answer.get("command"),
        "recipe_url": f"{base}/recipe" if results and job.state == "done" else None,
    }


def _list_frames(job: Job) -> list[int]:
    if job.frames is None or not job.frames.is_dir():
        return []
    return sorted(int(file.stem) for file in job.frames.glob("[0-9]*.png"))
