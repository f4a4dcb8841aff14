"""Who may ask the studio's server, and for how much."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from mcld.studio.session import UPLOAD

_HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' data: blob:;"
    " media-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
"""Of every answer that does not have its own."""
_SLACK = 100_000
"""Bytes of a request besides the file that it uploads."""
TOO_LARGE = f"the file is larger than {UPLOAD // 1_000_000} MB: give a smaller one"

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Guard:
    """Lets in what this server's own page asks, and no more bytes than a file may have.

    app: the application behind it. hosts: names that the server may be called by, so that no other
    site leads its visitors' browsers here; None: any.
    """

    def __init__(self, app: Any, hosts: tuple[str, ...] | None) -> None:
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        left, is_too_large = UPLOAD + _SLACK, False

        async def receive_some() -> Message:
            nonlocal left, is_too_large
            message = await receive()
            left -= len(message.get("body", b""))
            is_too_large = is_too_large or left < 0
            return {"type": "http.disconnect"} if is_too_large else message

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name for name, _ in message["headers"]}
                own = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
                message["headers"] += [(name, value) for name, value in own if name not in given]
            await send(message)

        async def send_unless_refused(message: Message) -> None:
            if not is_too_large:
                await send_with_headers(message)

        refusal = self._refuse(scope)
        if refusal is None:
            with suppress(ClientDisconnect):
                await self.app(scope, receive_some, send_unless_refused)
            refusal = (TOO_LARGE, 413) if is_too_large else None
        if refusal is not None:
            await make_error(*refusal)(scope, receive, send_with_headers)

    def _refuse(self, scope: Message) -> tuple[str, int] | None:
        """Why a request is refused, and with which status; None where it is not."""
        headers = {name.decode("latin-1"): v.decode("latin-1") for name, v in scope["headers"]}
        address = headers.get("host", "")
        name = _find_name(f"//{address}")
        if self.hosts is not None and name not in self.hosts:
            return f"this server is not {name}: open it by its own address", 403
        origin = headers.get("origin")
        asks = scope["method"] in ("GET", "HEAD")
        if not asks and origin is not None and origin.partition("://")[2] != address:
            return "another site asked for this", 403
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > UPLOAD + _SLACK:
            return TOO_LARGE, 413
        return None


def make_error(message: str, status: int) -> JSONResponse:
    """The answer to a mistake."""
    return JSONResponse({"error": message}, status)


def _find_name(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:  # such as of a bracket that is not closed
        return None
