"""The studio's server: the page asks, `Studio` answers.

It is FastAPI with one static page and no build step: what makes the page, a body to drag, a canvas
to paint on and a slider, is JavaScript of its own in any case, and of the libraries that would
write the rest, Gradio does not install beside our Pillow, and NiceGUI brings a second framework.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from threading import Thread
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from mcld import __version__
from mcld.errors import InputError, MCLDError
from mcld.machine.lock import hold_folder
from mcld.machine.processes import ignore
from mcld.studio.address import LOCAL
from mcld.studio.guard import Guard, make_error
from mcld.studio.jobs import Queue
from mcld.studio.networks import Networks
from mcld.studio.routes import machine, sessions
from mcld.studio.session import RefusedError, Session, Sessions
from mcld.studio.work import Studio

_PAGE = Path(str(files("mcld.studio"))) / "page"
_PREFIX = "mcld-studio-"
"""How the folders of sessions begin, among the system's temporary files."""
_YOUNG = 5.0
"""Seconds in which a folder may have been made and not be held yet."""
_OFTEN = 60.0
"""Seconds between two looks for pages that nobody uses."""
_LAST = 10.0
"""Seconds that a job is given to notice that the studio ends."""
_REPORTS = ("report.html", "sheet.png", "*-sheet.png")
_LEVELS = 3
"""Folders deep that reports are looked for."""


def run_studio(
    networks: Networks,
    listening: socket.socket,
    host: str,
    *,
    on_ready: Callable[[], None],
) -> None:
    """Serve until the process is interrupted; then the sessions' files are removed.

    listening: as `mcld.studio.address` makes it; host: what it was made for; on_ready: called when
    the page can be opened.
    """
    with _make_root() as root:
        queue, pages = Queue(), Sessions(root)
        studio = Studio(networks, queue)
        app = make_app(studio, pages, find_reports(Path()), on_ready)
        guarded = Guard(app, LOCAL if host in LOCAL else None)
        config = uvicorn.Config(
            guarded, log_level="warning", access_log=False, timeout_graceful_shutdown=2
        )
        queue.start(studio.load)
        Thread(target=_end_idle, args=(pages,), name="idle", daemon=True).start()
        try:
            with suppress(KeyboardInterrupt):  # which is how a server ends
                uvicorn.Server(config).run(sockets=[listening])
        finally:
            ended = queue.end(_LAST)
            pages.end_all()
    if not ended:  # Python cannot end a thread that computes, nor end in order beside it
        sys.stdout.flush()
        os._exit(0)


def make_app(
    studio: Studio,
    pages: Sessions,
    reports: list[Path],
    on_ready: Callable[[], None] = ignore,
) -> FastAPI:
    """The page, and what answers it, without its `Guard`; arguments are `run_studio`'s."""
    app = FastAPI(version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.studio, app.state.sessions, app.state.reports = studio, pages, reports
    app.include_router(machine)
    app.include_router(sessions)
    app.add_api_route("/", lambda: FileResponse(_PAGE / "index.html"))
    app.mount("/page", StaticFiles(directory=_PAGE))
    _answer_errors(app)
    app.router.on_startup.append(on_ready)
    return app


def _end_idle(pages: Sessions) -> None:
    """End pages that nobody uses any more, as long as the process runs."""
    while True:
        time.sleep(_OFTEN)
        pages.end_idle()


def find_reports(root: Path) -> list[Path]:
    """The reports of `mcld evaluate` in a folder and the folders in it, and sheets of pictures."""
    places = [("*/" * depth) + name for depth in range(_LEVELS + 1) for name in _REPORTS]
    return sorted(path for place in places for path in root.glob(place) if path.is_file())


def _answer_errors(app: FastAPI) -> None:
    """Let every mistake be answered in one line."""

    def explain(request: Request, error: Exception) -> JSONResponse:
        session = getattr(request.state, "session", None)
        message = session.tell(str(error)) if isinstance(session, Session) else str(error)
        return make_error(message, error.status if isinstance(error, RefusedError) else 400)

    def explain_request(_: Request, error: Any) -> JSONResponse:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return make_error("the request is no JSON", 400)
        where = ".".join(str(part) for part in first["loc"][1:])
        return make_error(f"{where or 'the request'}: {first['msg'].lower()}", 400)

    def say_status(_: Request, error: Any) -> JSONResponse:
        return make_error(str(error.detail).lower(), error.status_code)

    def report(_: Request, error: Exception) -> JSONResponse:
        return make_error(f"unexpected {type(error).__name__}: {error}; please report it", 500)

    app.add_exception_handler(MCLDError, explain)
    app.add_exception_handler(RequestValidationError, explain_request)
    app.add_exception_handler(HTTPException, say_status)
    app.add_exception_handler(Exception, report)


@contextmanager
def _make_root() -> Iterator[Path]:
    """A folder for the sessions, which is removed; and so are those that killed studios left."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError, InputError, MCLDError):
            facts = left.lstat()
            if facts.st_uid == os.getuid() and time.time() - facts.st_mtime > _YOUNG:
                with hold_folder(left):
                    shutil.rmtree(left, ignore_errors=True)
    root = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        with hold_folder(root):
            yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)
