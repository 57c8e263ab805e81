"""How gunicorn serves gateway, auth and speech: `gunicorn gateway.wsgi:app`.

One process with threads: metrics are counted per process, and a replica more is a process more.
"""

import socket
import struct
from typing import Any

from pipeline import memory
from pipeline.settings import Settings

worker_class = "gthread"
workers = 1
threads = 48
keepalive = 75  # longer than clients keep theirs: a connection must not close under a request
graceful_timeout = 30
control_socket_disable = True

memory.give_back()
_STALL_SECONDS = Settings.load().stall_seconds


def pre_request(worker: Any, request: Any) -> None:
    """Leaves "100 Continue" to an app that says so itself, as soon as it wants the body; gunicorn would always say it."""
    if getattr(getattr(worker.wsgi, "wsgi_app", None), "continues", False):
        request._expected_100_continue = False


def when_ready(server: Any) -> None:
    """Limits how long a thread waits for bytes from, or room at, a client; gthread has no limit of its own.

    On Linux accepted sockets inherit the limits of the listening one (socket(7), SO_RCVTIMEO and SO_SNDTIMEO).
    """
    limit = struct.pack("@ll", int(_STALL_SECONDS), int(_STALL_SECONDS % 1 * 1_000_000))
    for listener in server.LISTENERS:
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            listener.setsockopt(socket.SOL_SOCKET, option, limit)
