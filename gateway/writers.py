"""Who writes resumable uploads in this process: a client that has gone silent makes room as soon as another goes on."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Event, Lock
from typing import Any

from pipeline.client_socket import socket_of
from pipeline.errors import Busy


class Writer:
    """A request that writes an upload, and the connection that it reads."""

    def __init__(self, client: socket.socket) -> None:
        self.interrupted = False
        self._client, self._lock, self._left = client, Lock(), Event()

    def interrupt(self, seconds: float) -> None:
        """Ends what it reads behind the bytes that came; returns once it has saved them and left, or after `seconds`."""
        with self._lock:
            if not self._left.is_set():  # later, the connection is the server's again
                self.interrupted = True
                with suppress(OSError):
                    self._client.shutdown(socket.SHUT_RD)
        self._left.wait(seconds)

    def leave(self) -> None:
        with self._lock:
            self._left.set()


class Writers:
    """Writers by the id of their upload; for all threads."""

    def __init__(self) -> None:
        self._writers: dict[str, Writer] = {}

    def find(self, upload_id: str) -> Writer | None:
        return self._writers.get(upload_id)

    @contextmanager
    def writing(self, upload_id: str, environ: Mapping[str, Any]) -> Iterator[None]:
        """While the block lasts, the writer can be found; whatever the block raises is Busy if it was interrupted.

        Connections of TLS and HTTP/2 carry more than one body, and are left alone.
        """
        client = socket_of(environ)
        if type(client) is not socket.socket or not environ["SERVER_PROTOCOL"].startswith("HTTP/1."):
            yield
            return
        writer = self._writers[upload_id] = Writer(client)
        try:
            yield
        except Exception as error:
            if writer.interrupted:
                raise Busy("another request goes on with the upload") from error
            raise
        finally:
            if self._writers.get(upload_id) is writer:
                self._writers.pop(upload_id, None)
            writer.leave()
