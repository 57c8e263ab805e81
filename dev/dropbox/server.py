"""The stand-in on a real port, over TLS."""

import json
import socket
import ssl
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import trustme
from werkzeug.http import parse_range_header

from dev.dropbox import admin, routes
from dev.dropbox.entries import File
from dev.dropbox.errors import Refused, bad_input
from dev.dropbox.faults import Cut, Spoiler
from dev.dropbox.place import HOST
from dev.dropbox.stand_in import DropboxStandIn
from dev.threaded import running

_IDLE_SECONDS = 60
"""How long a connection may say nothing."""
_JSON = "application/json"


class _Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS
    disable_nagle_algorithm = True
    stand_in: DropboxStandIn
    spoiler: Spoiler

    @property
    def over(self) -> Event:
        return self.stand_in.over

    def _handle(self) -> None:
        self.spoiler = lambda blocks, _: blocks
        target = urlsplit(self.path)
        route = target.path.removeprefix("/2/").lstrip("/")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = None if target.path.startswith("/admin/") else self.stand_in.begin(route)

        def proceed() -> None:
            try:
                self._answer(route, target.query, body)
            except Refused as refused:
                self.refuse(refused)

        if fault:
            fault(self, proceed)
        else:
            proceed()

    do_GET = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815  # so http.server calls them

    def _answer(self, route: str, query: str, body: bytes) -> None:
        """Raises Refused."""
        match self.command, route:
            case "GET", routes.AUTHORIZE:
                where = self.stand_in.authorize(dict(parse_qsl(query)))
                self._send(302, b"", {"Location": where})
            case "POST", routes.TOKEN:
                self._say(self.stand_in.token(dict(parse_qsl(body.decode()))))
            case "POST", routes.LONGPOLL:
                self._say(self.stand_in.longpoll(_parsed(route, body.decode())))
            case "POST", _ if route in routes.ROUTES:
                self._call(route, body)
            case _ if route.startswith("admin/"):
                self._admin(route.removeprefix("admin"), body)
            case _:
                raise Refused(404, "Not found")

    def _call(self, route: str, body: bytes) -> None:
        style = routes.ROUTES[route].style
        written = body.decode() if style == "rpc" else self.headers.get("Dropbox-API-Arg", "")
        argument = _parsed(route, written)
        if style == "upload":
            self.stand_in.count(uploaded=len(body))
        answer = self.stand_in.answer(route, self.headers.get("Authorization", ""), argument, body)
        if isinstance(answer, File):
            self._download(answer)
        else:
            self._say(answer)

    def _admin(self, path: str, body: bytes) -> None:
        answer = admin.answer(self.stand_in, self.command, unquote(path), body)
        if isinstance(answer, File):
            self._stream(200, answer.content.blocks(), answer.content.size, {})
        else:
            self._say(answer)

    def _download(self, file: File) -> None:
        size = file.content.size
        start, end, headers = 0, size, {}
        asked = parse_range_header(self.headers.get("Range"))
        if asked:
            wanted = asked.range_for_length(size)
            if wanted is None:
                raise Refused(416, "", {"Content-Range": f"bytes */{size}"})
            start, end = wanted
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        headers |= {"Dropbox-API-Result": json.dumps(file.metadata()), "Content-Type": "application/octet-stream"}
        headers |= {"ETag": f'"{file.rev}"', "Accept-Ranges": "bytes"}
        counted = self._counted(file.content.blocks(start, end))
        self._stream(206 if asked else 200, counted, end - start, headers)

    def _counted(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        for block in blocks:
            self.stand_in.count(downloaded=len(block))
            yield block

    def _say(self, answer: Any) -> None:
        self._send(200, json.dumps(answer).encode(), {"Content-Type": _JSON})

    def refuse(self, refused: Refused) -> None:
        text = isinstance(refused.body, str)
        content = refused.body if text else json.dumps(refused.body)
        media_type = "text/plain; charset=utf-8" if text else _JSON
        self._send(refused.status, content.encode(), {"Content-Type": media_type, **refused.headers})

    def _send(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self._stream(status, iter([content]), len(content), headers)

    def _stream(self, status: int, blocks: Iterator[bytes], size: int, headers: Mapping[str, str]) -> None:
        """Sends nothing at all if what is spoiled has no beginning."""
        spoiled = self.spoiler(blocks, size)
        try:
            first = next(spoiled, b"")
            self.send_response(status)
            for name, value in {"Content-Length": str(size), "X-Dropbox-Request-Id": "0" * 32, **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(first)
            for block in spoiled:
                self.wfile.write(block)
        except Cut:
            self.cut()

    def cut(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            socket.socket.shutdown(self.connection, socket.SHUT_RDWR)

    def wait_until_closed(self, seconds: float) -> None:
        self.connection.settimeout(seconds)
        with suppress(OSError):
            self.connection.recv(1)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


def _parsed(route: str, written: str) -> Any:
    try:
        return json.loads(written) if written else None
    except ValueError:
        raise bad_input(route, "could not decode input as JSON") from None


class _Server(ThreadingHTTPServer):
    """Ends with all its connections: those of clients that keep them would keep its threads."""

    daemon_threads = False
    request_queue_size = 64

    def __init__(self, *args: Any) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(*args)

    def get_request(self) -> Any:
        accepted, address = super().get_request()
        self._open.add(accepted)
        return accepted, address

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        for connection in list(self._open):
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave are what this is for."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


@contextmanager
def serving(stand_in: DropboxStandIn, folder: Path, port: int = 0) -> Iterator[str]:
    """Serves `stand_in` on `port`, or any free one, gives its address, and leaves its authority's file in `folder`."""
    server = _Server((HOST, port), type("Exchange", (_Exchange,), {"stand_in": stand_in}))
    server.socket = _tls(stand_in, folder).wrap_socket(
        server.socket,
        server_side=True,
        do_handshake_on_connect=False,  # else one client would keep all others waiting
    )
    stand_in.port = server.server_port
    with running(server):
        try:
            yield stand_in.url
        finally:
            stand_in.stop()


def _tls(stand_in: DropboxStandIn, folder: Path) -> ssl.SSLContext:
    authority = trustme.CA()
    stand_in.authority = folder / "dropbox-authority.pem"
    authority.cert_pem.write_to_path(str(stand_in.authority))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST, "localhost").configure_cert(context)
    return context
