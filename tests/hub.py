"""The little of the Hugging Face hub that is needed, on a port of this machine."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

COMMIT = "c" * 40


@dataclass
class Hub:
    """Its repositories; may be changed while it runs."""

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """org/name -> file -> content."""
    gated: set[str] = field(default_factory=set)
    """Of them, those whose licence must be accepted first."""
    fetched: list[str] = field(default_factory=list)
    """Files that were asked for, as org/name/file."""
    address: str = ""


class _Handler(BaseHTTPRequestHandler):
    @property
    def hub(self) -> Hub:
        return self.server.hub  # type: ignore[attr-defined]

    def log_message(self, *_: object) -> None:
        pass

    def _send(self, status: int, body: bytes = b"", **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _answer(self, content: object) -> None:
        self._send(200, json.dumps(content).encode(), Content_Type="application/json")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = urlsplit(self.path).path.strip("/").split("/")
        api = parts[:2] == ["api", "models"]
        org, name, *rest = parts[2:] if api else parts
        repository = f"{org}/{name}"
        files = self.hub.repositories.get(repository)
        if files is None:
            self._send(401, X_Error_Code="RepoNotFound")
        elif repository in self.hub.gated and (not api or rest[:1] == ["tree"]):
            self._send(403, X_Error_Code="GatedRepo")
        elif api and rest[:1] == ["tree"]:
            self._answer(
                [
                    {"type": "file", "path": path, "size": len(content), "oid": _hash(content)}
                    for path, content in files.items()
                ]
            )
        elif api:
            self._answer(
                {"id": repository, "sha": COMMIT, "siblings": [{"rfilename": f} for f in files]}
            )
        else:
            self._send_file(repository, "/".join(rest[2:]))

    def _send_file(self, repository: str, path: str) -> None:
        content = self.hub.repositories[repository].get(path)
        if content is None:
            self._send(404, X_Error_Code="EntryNotFound")
            return
        if self.command == "GET":
            self.hub.fetched.append(f"{repository}/{path}")
        self._send(200, content, ETag=f'"{_hash(content)}"', X_Repo_Commit=COMMIT)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path = urlsplit(self.path).path
        if path == "/api/validate-yaml":
            self._answer({"errors": [], "warnings": []})
        elif path == "/api/repos/create":
            asked = json.loads(body)
            repository = f"{asked['organization']}/{asked['name']}"
            self.hub.repositories.setdefault(repository, {})
            self._answer({"url": f"{self.hub.address}/{repository}", "id": repository})
        elif "/preupload/" in path:
            asked = json.loads(body)["files"]
            self._answer(
                {
                    "files": [
                        {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                        for f in asked
                    ]
                }
            )
        else:
            self._commit("/".join(path.split("/")[3:5]), body)

    def _commit(self, repository: str, body: bytes) -> None:
        for line in body.splitlines():
            said = json.loads(line)
            if said["key"] == "file":
                content = base64.b64decode(said["value"]["content"])
                self.hub.repositories[repository][said["value"]["path"]] = content
        address = f"{self.hub.address}/{repository}/commit/{COMMIT}"
        self._answer({"commitUrl": address, "commitOid": COMMIT})


def _hash(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


@contextmanager
def serving_hub() -> Iterator[Hub]:
    """A hub that is empty."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    hub = Hub(address=f"http://127.0.0.1:{server.server_port}")
    server.hub = hub  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
