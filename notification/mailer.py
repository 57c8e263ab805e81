"""Ways for mail to leave: SMTP (RFC 5321), or a folder of .eml files."""

import os
import re
import secrets
import smtplib
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from notification.smtp import Pool, Server, Tls, limit
from pipeline.database import now

AUTHENTICATION_REQUIRED = 530
"""RFC 4954: a mistake in the settings, which says nothing about the mail."""
GO_ON = 354
NONSENSE = 0
CLOSING = 421
"""RFC 5321, section 3.8: the server ends the conversation, whatever it was about."""


class Temporary(Exception):
    """The mail was certainly not taken; it may be later."""


class NotNow(Temporary):
    """The server works, and does not take mail to this address now: it is not known, or its domain cannot be found."""


class Permanent(Exception):
    """The mail was certainly not taken, and never will be."""


class Unclear(Exception):
    """The mail was handed over, but no answer came."""


class Mailer(Protocol):
    def send(self, message: EmailMessage, before_data: Callable[[], None]) -> None:
        """Sends `message` from its one sender to its one recipient.

        Calls `before_data` once, when everything else is done and the message is about to go out; if that raises, it stays here.
        Raises Temporary, Permanent or Unclear.
        """


@dataclass(frozen=True)
class SmtpMailer:
    """Over the connections of `pool`; several threads may send at a time."""

    pool: Pool

    def send(self, message: EmailMessage, before_data: Callable[[], None]) -> None:
        content = _with_dots_doubled(message.as_bytes())
        try:
            smtp = self.pool.take()
        except OSError as error:
            raise Temporary(f"no conversation with the server: {error}") from error
        try:
            _envelope(smtp, message)
            before_data()
            _data(smtp, content, self.pool.server)
        finally:
            self.pool.give_back(smtp)


def _envelope(smtp: smtplib.SMTP, message: EmailMessage) -> None:
    try:
        _check(*smtp.mail(message["From"].addresses[0].addr_spec))
        code, answer = smtp.rcpt(message["To"].addresses[0].addr_spec)
    except OSError as error:
        raise Temporary(f"lost the server before the message: {error}") from error
    if 400 <= code < 500 and code != CLOSING:
        raise NotNow(f"{code} {answer!r}")
    _check(code, answer)


def _data(smtp: smtplib.SMTP, content: bytes, server: Server) -> None:
    """In three steps, because only after the last can anything have been taken (RFC 5321, section 4.1.1.4)."""
    limit(smtp, server.data_seconds)
    try:
        code, answer = smtp.docmd("DATA")
        if code == GO_ON:
            smtp.send(content)
    except OSError as error:
        raise Temporary(f"lost the server before the end of the message: {error}") from error
    if code != GO_ON:
        _check(code if code >= 400 else NONSENSE, answer)
    limit(smtp, server.end_seconds)
    _end(smtp)


def _end(smtp: smtplib.SMTP) -> None:
    try:
        code, answer = smtp.docmd(".")
    except OSError as error:
        raise Unclear(f"lost the server after the message: {error}") from error
    if code < 200 or code >= 600:
        smtp.close()
        raise Unclear(f"the server's answer makes no sense: {answer!r}")
    _check(code, answer)


def _with_dots_doubled(content: bytes) -> bytes:
    """RFC 5321, section 4.5.2."""
    return re.sub(rb"(?m)^\.", b"..", content)


def _check(code: int, answer: bytes | str) -> None:
    if 200 <= code < 300:
        return
    final = 500 <= code < 600 and code != AUTHENTICATION_REQUIRED
    raise (Permanent if final else Temporary)(f"{code} {answer!r}")


@dataclass(frozen=True)
class FolderMailer:
    """Keeps each mail as a file of `folder`, which only its owner may read: its links need no login. Names sort by time."""

    folder: Path

    def send(self, message: EmailMessage, before_data: Callable[[], None]) -> None:
        try:
            unfinished = self._write(message.as_bytes())
            try:
                before_data()
                unfinished.rename(self.folder / f"{now():%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(4)}.eml")
            finally:
                unfinished.unlink(missing_ok=True)
        except OSError as error:
            raise Temporary(f"the mail folder cannot be used: {error}") from error

    def _write(self, mail: bytes) -> Path:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=self.folder, prefix=".", suffix=".part", delete=False) as file:
            file.write(mail)
            file.flush()
            os.fsync(file.fileno())
        return Path(file.name)


def mailer(url: str) -> Mailer:
    """Raises ValueError, which never holds the password, for an address of no known form."""
    parts = urlsplit(url)
    match parts.scheme:
        case "file" if parts.path and not parts.netloc:
            return FolderMailer(Path(unquote(parts.path)))
        case "smtp" if parts.query in ("", "tls=starttls"):
            return _smtp(parts, "starttls" if parts.query else "none")
        case "smtps" if not parts.query:
            return _smtp(parts, "implicit")
    raise ValueError("a mail server is smtp://host, smtp://host?tls=starttls, smtps://host or file:///folder")


def _smtp(parts: SplitResult, tls: Tls) -> SmtpMailer:
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host:
        raise ValueError("no host and port can be read; is there a character in the password to be percent-encoded?")
    return SmtpMailer(Pool(Server(host, port or 0, tls, unquote(parts.username or ""), unquote(parts.password or ""))))
