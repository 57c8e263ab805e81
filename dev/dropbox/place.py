"""Where the SDK looks for Dropbox. It reads this once, when it is imported, so nothing here imports it."""

import socket
from collections.abc import Mapping

HOST = "127.0.0.1"
_VARIABLES = ("DROPBOX_API_HOST", "DROPBOX_API_CONTENT_HOST", "DROPBOX_API_NOTIFY_HOST", "DROPBOX_WEB_HOST")


def reserved() -> socket.socket:
    """Holds a free port, at which nobody listens, until it is closed; a server that reuses addresses may take it."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind((HOST, 0))
    return held


def hosts(port: int) -> Mapping[str, str]:
    """All of Dropbox at one port, as variables of the environment."""
    return dict.fromkeys(_VARIABLES, f"{HOST}:{port}")
