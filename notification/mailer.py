"""Ways for mail to leave: SMTP (RFC 5321), or a folder of .eml files."""

import os
import secrets
import smtplib
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Literal, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from pipeline.database import now

AUTHENTICATION_REQUIRED = 530
"""RFC 4954: a mistake in the settings, which says nothing about the mail."""


class Temporary(Exception):
    """The mail was certainly not taken; it may be later."""


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
    """`port` 0 is the usual one. Certificates are verified. `seconds` limits every step of the conversation."""

    host: str
    port: int = 0
    tls: Literal["none", "starttls", "implicit"] = "none"
    user: str = ""
    password: str = field(default="", repr=False)
    seconds: float = 30

    def send(self, message: EmailMessage, before_data: Callable[[], None]) -> None:
        try:
            smtp = self._connect()
        except OSError as error:
            raise Temporary(f"no conversation with the server: {error}") from error
        try:
            _envelope(smtp, message)
            before_data()
            _data(smtp, message)
        finally:
            _leave(smtp)

    def _connect(self) -> smtplib.SMTP:
        """A server that is ready for mail. Raises OSError, of which all errors of `smtplib` are kinds."""
        smtp = self._open()
        try:
            if self.tls == "starttls":
                smtp.starttls(context=ssl.create_default_context())
            smtp.ehlo_or_helo_if_needed()
            if self.user:
                smtp.login(self.user, self.password)
        except BaseException:
            smtp.close()
            raise
        return smtp

    def _open(self) -> smtplib.SMTP:
        if self.tls == "implicit":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(self.host, self.port, timeout=self.seconds, context=context)
        return smtplib.SMTP(self.host, self.port, timeout=self.seconds)


def _envelope(smtp: smtplib.SMTP, message: EmailMessage) -> None:
    try:
        _check(*smtp.mail(message["From"].addresses[0].addr_spec))
        _check(*smtp.rcpt(message["To"].addresses[0].addr_spec))
    except OSError as error:
        raise Temporary(f"lost the server before the message: {error}") from error


def _data(smtp: smtplib.SMTP, message: EmailMessage) -> None:
    answer: bytes | str
    try:
        code, answer = smtp.data(message.as_bytes())
    except smtplib.SMTPDataError as refusal:  # of the DATA command: nothing of the message went out
        code, answer = refusal.smtp_code, refusal.smtp_error
    except OSError as error:
        raise Unclear(f"lost the server after the message: {error}") from error
    if code < 0:
        raise Unclear(f"the server's answer makes no sense: {answer!r}")
    _check(code, answer)


def _check(code: int, answer: bytes | str) -> None:
    if 200 <= code < 300:
        return
    final = 500 <= code < 600 and code != AUTHENTICATION_REQUIRED
    raise (Permanent if final else Temporary)(f"{code} {answer!r}")


def _leave(smtp: smtplib.SMTP) -> None:
    """Whether the goodbye is heard changes nothing."""
    with suppress(OSError):
        smtp.quit()


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


def _smtp(parts: SplitResult, tls: Literal["none", "starttls", "implicit"]) -> SmtpMailer:
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host:
        raise ValueError("no host and port can be read; is there a character in the password to be percent-encoded?")
    return SmtpMailer(host, port or 0, tls, unquote(parts.username or ""), unquote(parts.password or ""))
