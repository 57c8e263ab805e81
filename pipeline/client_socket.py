"""The connection of the client whose request is being answered, where the server hands it on."""

import select
from collections.abc import Mapping
from typing import Any

SERVERS = ("gunicorn.socket", "cheroot.socket")
"""Where servers put the client's socket: gunicorn does so itself, cheroot in the embedded suite."""


def socket_of(environ: Mapping[str, Any]) -> Any:
    """The client's socket, which may be of TLS; None if the server does not say."""
    return next((environ[name] for name in SERVERS if name in environ), None)


def has_left(environ: Mapping[str, Any]) -> bool:
    """Whether the client, or the server that ends, has closed its end: nobody will read an answer. False where that cannot be seen.

    POLLRDHUP of poll(2), which only Linux has.
    """
    client = socket_of(environ)
    if client is None:
        return False
    look = select.poll()
    look.register(client, select.POLLRDHUP)
    return bool(look.poll(0))
