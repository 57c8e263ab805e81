"""Servers of the standard library that stand in for others, beside whoever asks them."""

from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import BaseServer
from threading import Thread

_POLL = 0.02
"""Seconds after which a server sees that it is to end."""


@contextmanager
def running(server: BaseServer) -> Iterator[None]:
    """Serves in a thread of its own while the block lasts; afterwards it is closed. Its threads must have been told to end by then."""
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": _POLL}, name=type(server).__module__)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
