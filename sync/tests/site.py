"""A web server of the tests' own, which does what it is told, also what no server should."""

import re
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dev import threaded

YESTERDAY = "Mon, 01 Jan 2024 10:00:00 GMT"
NOW = "Tue, 02 Jan 2024 10:00:00 GMT"
RESET = struct.pack("ii", 1, 0)
"""For SO_LINGER: the connection is reset when it is closed."""


class Asked(NamedTuple):
    path: str
    headers: Message


class Site(ThreadingHTTPServer):
    """Answers each path with the functions put there, one after another, and then the last for ever."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Visit)
        self.answers: dict[str, list[Answer]] = {}
        self.asked: list[Asked] = []
        self.closing = Event()
        self.scheme = "https" if tls else "http"
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def put(self, path: str, *answers: "Answer") -> str:
        """Returns the address."""
        self.answers[path.partition("?")[0]] = list(answers)
        return self.url(path)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.server_port}{path}"

    def handle_error(self, *_: object) -> None:
        """Clients go away in the middle here; that is what is tested."""


class Visit(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        self.server.asked.append(Asked(self.path, self.headers))
        answers = self.server.answers[self.path.partition("?")[0]]
        (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    def log_message(self, *_: object) -> None:
        pass

    def head(self, status: int, **headers: str) -> None:
        """Names are given with underscores."""
        self.wfile.write(f"HTTP/1.1 {status} Whatever\r\n".encode())
        for name, value in headers.items():
            self.wfile.write(f"{name.replace('_', '-')}: {value}\r\n".encode())
        self.wfile.write(b"\r\n")


Answer = Callable[[Visit], None]


def gives(body: bytes, status: int = 200, **headers: str) -> Answer:
    """All of it, with its length."""

    def answer(visit: Visit) -> None:
        visit.head(status, **{"Content_Length": str(len(body)), **headers})
        visit.wfile.write(body)

    return answer


def says(data: bytes) -> Answer:
    """Exactly this, and no more."""

    def answer(visit: Visit) -> None:
        visit.wfile.write(data)

    return answer


def leads(location: str, status: int = 302, **headers: str) -> Answer:
    return gives(b"elsewhere", status, Location=location, **headers)


def ranges(body: bytes, most: int | None = None, reset: bool = False, **validators: str) -> Answer:
    """As RFC 9110 has it, but the connection ends after `most` bytes."""

    def answer(visit: Visit) -> None:
        start, condition = _start(visit.headers), visit.headers.get("If-Range")
        if start is None or condition not in (None, *validators.values()):
            visit.head(200, Content_Length=str(len(body)), **validators)
            start = 0
        elif start >= len(body):
            visit.head(416, Content_Length="0", Content_Range=f"bytes */{len(body)}")
            return
        else:
            span = f"bytes {start}-{len(body) - 1}/{len(body)}"
            visit.head(206, Content_Length=str(len(body) - start), Content_Range=span, **validators)
        visit.wfile.write(body[start:][:most])
        if reset:
            visit.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            visit.connection.close()

    return answer


def _start(headers: Message) -> int | None:
    found = re.fullmatch(r"bytes=([0-9]+)-", headers.get("Range", ""))
    return int(found[1]) if found else None


def chunked(*pieces: bytes, ended: bool = True, **headers: str) -> Answer:
    def answer(visit: Visit) -> None:
        visit.head(200, Transfer_Encoding="chunked", **headers)
        for piece in pieces:
            visit.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        if ended:
            visit.wfile.write(b"0\r\n\r\n")

    return answer


def falls_silent(data: bytes, reached: Event) -> Answer:
    """Says `data`, then nothing, and does not hang up."""

    def answer(visit: Visit) -> None:
        visit.wfile.write(data)
        reached.set()
        visit.server.closing.wait(60)

    return answer


def without_end(piece: bytes) -> Answer:
    def answer(visit: Visit) -> None:
        visit.head(200, Transfer_Encoding="chunked")
        while not visit.server.closing.is_set():
            visit.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")

    return answer


@contextmanager
def running(tls: ssl.SSLContext | None = None) -> Iterator[Site]:
    site = Site(tls)
    with threaded.running(site):
        try:
            yield site
        finally:
            site.closing.set()


def certificate(folder: Path, name: str) -> tuple[Path, ssl.SSLContext]:
    """One signed by itself for `name`: the file for those who trust it, and the server's context."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    today = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / f"{name}.pem", folder / f"{name}.key"
    public.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return public, context
