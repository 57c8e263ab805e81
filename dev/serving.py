"""cheroot, as it serves the embedded suite."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Any

import structlog
from cheroot import wsgi
from cheroot.server import HeaderReader, HTTPConnection, HTTPRequest

from pipeline.background import begin

HOST = "127.0.0.1"
THREADS = 48
"""Each takes a connection, also one that says nothing for IDLE_SECONDS."""

IDLE_SECONDS = 30
"""How long a connection may say nothing: a client that vanished must not keep a thread."""
FINISH_SECONDS, STOP_SECONDS = 5, 10
"""At the end, requests have so long until their connections are cut, and until nobody waits for them any more."""
QUEUE = 128
"""Connections that may wait to be accepted; more than these are late by a second, when the client's system tries again."""
UNREAD_BYTES = 1_000_000
"""What is left of a body after an answer is read and thrown away up to this much, so that the connection can be used again."""

_HIDDEN = b"Spool-Expect"

log = structlog.get_logger()


class _Headers(HeaderReader):
    """Hides `Expect` from cheroot, which would say "100 Continue" at once; the app says so itself."""

    def _transform_key(self, key_name: bytes) -> bytes:
        key: bytes = super()._transform_key(key_name)  # type: ignore[misc]  # cheroot's stubs leave it out
        return _HIDDEN if key == b"Expect" else key


class _Request(HTTPRequest):
    header_reader = _Headers()


class _Connection(HTTPConnection):
    RequestHandlerClass = _Request


class _Gateway(wsgi.Gateway_10):
    """Closes a connection whose request was answered before its body was read; cheroot would read all of it into memory.

    The app gets the client's socket too, as gunicorn gives it.
    """

    def get_environ(self) -> dict[str, Any]:  # type: ignore[override]  # cheroot's stubs say None
        given: dict[str, Any] = super().get_environ()  # type: ignore[no-untyped-call]
        environ = {**given, "cheroot.socket": self.req.conn.socket}
        if "HTTP_SPOOL_EXPECT" in environ:
            environ["HTTP_EXPECT"] = environ.pop("HTTP_SPOOL_EXPECT")
        return environ

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        if self._unread > (0 if _HIDDEN in self.req.inheaders else UNREAD_BYTES):
            self.req.close_connection = True
        write: Callable[[bytes], None] = super().start_response(status, headers, exc_info)
        return write

    @property
    def _unread(self) -> float:
        """Bytes of the body, which may never come if the client waits to be asked for them."""
        body = self.req.rfile
        if self.req.chunked_read:
            return 0 if body.closed else math.inf
        return int(body.remaining)


class Server(wsgi.Server):
    """Closes the connections that its threads give back while it stops; cheroot would keep them, or fail."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._late: list[HTTPConnection] = []

    def put_conn(self, conn: HTTPConnection) -> None:
        try:
            super().put_conn(conn)
        except ValueError:  # the selector is closed already
            conn.close()
        if not self.ready:
            self._late.append(conn)

    def stop(self) -> None:
        super().stop()
        for conn in self._late:  # only now does no thread use them any more
            if not conn.rfile.closed:
                conn.close()

    def error_log(self, msg: str = "", level: int = 20, traceback: bool = False) -> None:
        log.log(level, msg, server=self.server_name, exc_info=traceback)


@contextmanager
def served(name: str, app: Any, port: int = 0) -> Iterator[str]:
    """Serves `app` on `port`, or any free one, and gives its address."""
    server = Server(
        (HOST, port), app, numthreads=THREADS, server_name=name, timeout=IDLE_SECONDS, shutdown_timeout=FINISH_SECONDS
    )
    server.gateway = _Gateway
    if getattr(getattr(app, "wsgi_app", None), "continues", False):
        server.ConnectionClass = _Connection
    server.request_queue_size = QUEUE
    try:
        begin(server.prepare, name).result()
    except OSError:
        raise SystemExit(
            f"Port {port} cannot be used; another program may listen there. Choose one: SPOOL_PORT=..."
        ) from None
    Thread(target=server.serve, name=name, daemon=True).start()
    try:
        yield f"http://{HOST}:{server.bind_addr[1]}"
    finally:
        with suppress(TimeoutError):
            begin(server.stop, name).result(STOP_SECONDS)
