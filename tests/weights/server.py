"""A web server of a few files, as whole or as broken as a test wants it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Server:
    """What it serves and how; may be changed while it runs."""

    files: dict[str, bytes]
    """Path, such as '/model.pkl' -> content."""
    cut_after: int | None = None
    """The connection breaks after so many bytes of a file."""
    ranges: bool = True
    """Whether it goes on from where a client asks."""
    promised: int = 0
    """Added to the length that it announces."""
    length: bool = True
    """Whether it announces one."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """(path, the Range header) of every GET."""
    address: str = ""


class _Handler(BaseHTTPRequestHandler):
    @property
    def state(self) -> Server:
        return self.server.state  # type: ignore[attr-defined]

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, status: int, **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def _head(self) -> bytes | None:
        content, state = self.state.files.get(self.path), self.state
        if content is None:
            self._answer(404, X_Error_Code="EntryNotFound", Content_Length=0)
            return None
        start, size = 0, len(content)
        wanted = self.headers.get("Range", "")
        if state.ranges and wanted:
            start = int(wanted.removeprefix("bytes=").partition("-")[0])
        if start >= size:
            self._answer(416, Content_Range=f"bytes */{size}", Content_Length=0)
            return None
        part = {"Content_Range": f"bytes {start}-{size - 1}/{size}"} if start else {}
        self._answer(
            206 if start else 200,
            **part,
            **({"Content_Length": size - start + state.promised} if state.length else {}),
            ETag='"0123456789abcdef"',
            X_Repo_Commit="0" * 40,
        )
        return content[start:]

    def do_HEAD(self) -> None:
        self._head()

    def do_GET(self) -> None:
        self.state.asked.append((self.path, self.headers.get("Range", "")))
        content = self._head()
        if content is not None:
            self.wfile.write(content[: self.state.cut_after])


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Server]:
    """Serve files on a port of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    state = Server(files, address=f"http://127.0.0.1:{server.server_port}")
    server.state = state  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
