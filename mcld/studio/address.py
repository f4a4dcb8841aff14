"""Where the studio listens; light, so that what is not free is told at once."""

import errno
import socket

from mcld.errors import SettingsError

LOCAL = ("127.0.0.1", "localhost", "::1")
"""Names of the machine itself."""


def open_socket(host: str, port: int) -> socket.socket:
    """A socket to listen at. Raises SettingsError for an address that is not free, or is none."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        opened = socket.socket(family)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host, port))
        opened.listen()
    except (OSError, UnicodeError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        other = "--port" if getattr(error, "errno", None) == errno.EADDRINUSE else "--host"
        raise SettingsError(
            f"--host {host} --port {port} cannot be listened at: {reason}; give another {other}"
        ) from error
    return opened
