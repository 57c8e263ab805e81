"""Connections to the mail server, kept open for the next mail. RFC 5321."""

import smtplib
import ssl
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import RLock, Timer
from typing import Literal

Tls = Literal["none", "starttls", "implicit"]
IDLE_SECONDS = 20.0
"""Servers end a conversation in which nothing is said for five minutes (section 4.5.3.2.7), busy ones sooner."""
LEAVE_SECONDS = 5.0
"""For an answer to the goodbye."""


@dataclass(frozen=True)
class Server:
    """`port` 0 is the usual one. Certificates are verified.

    `seconds` limits every step of the conversation but those with the message: the answer to DATA and what follows it have
    `data_seconds`, the answer to its end has `end_seconds`, in which many servers look for viruses (section 4.5.3.2).
    """

    host: str
    port: int = 0
    tls: Tls = "none"
    user: str = ""
    password: str = field(default="", repr=False)
    seconds: float = 30
    data_seconds: float = 180
    end_seconds: float = 600

    def connect(self) -> smtplib.SMTP:
        """Ready for mail. Raises OSError, of which all errors of `smtplib` are kinds."""
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


class _Idle:
    """Connections that nobody uses, each with the timer that ends it."""

    def __init__(self) -> None:
        self._kept = dict[smtplib.SMTP, Timer]()
        self._lock = RLock()  # the pool may be collected, and all be closed, in the middle of anything

    def pop(self) -> smtplib.SMTP | None:
        """The one that was used last, if there is any."""
        with self._lock:
            if not self._kept:
                return None
            smtp, timer = self._kept.popitem()
        timer.cancel()
        return smtp

    def push(self, smtp: smtplib.SMTP, seconds: float) -> None:
        timer = Timer(seconds, self._expire, [smtp])
        timer.daemon = True
        with self._lock:
            self._kept[smtp] = timer
        timer.start()

    def close(self) -> None:
        while smtp := self.pop():
            leave(smtp)

    def _expire(self, smtp: smtplib.SMTP) -> None:
        with self._lock:
            kept = self._kept.pop(smtp, None)
        if kept:
            leave(smtp)


class Pool:
    """Connections to `server`. One that has been idle for `idle` seconds ends; all do with the pool, and with the process."""

    def __init__(self, server: Server, idle: float = IDLE_SECONDS) -> None:
        self.server, self.idle = server, idle
        self._idle = _Idle()
        self.close = weakref.finalize(self, self._idle.close)
        """Ends all that are idle."""

    def __repr__(self) -> str:
        return f"Pool({self.server!r})"

    def take(self) -> smtplib.SMTP:
        """A connection in which no mail has begun. Raises OSError."""
        while smtp := self._idle.pop():
            if _is_fresh(smtp):
                return smtp
        return self.server.connect()

    def give_back(self, smtp: smtplib.SMTP) -> None:
        """For the next mail, if it still stands."""
        if smtp.sock is None:
            return
        limit(smtp, self.server.seconds)
        if self.close.alive:
            self._idle.push(smtp, self.idle)
        else:
            leave(smtp)


def _is_fresh(smtp: smtplib.SMTP) -> bool:
    """Whether the server is still there; what was begun and not ended is forgotten."""
    with _or_closed(smtp):
        code, _ = smtp.rset()
        if code == 250:
            return True
    leave(smtp)
    return False


def leave(smtp: smtplib.SMTP) -> None:
    """Whether the goodbye is heard changes nothing."""
    with _or_closed(smtp):
        limit(smtp, LEAVE_SECONDS)
        smtp.quit()


def limit(smtp: smtplib.SMTP, seconds: float) -> None:
    """Each of the next steps may take so long."""
    if smtp.sock:
        smtp.sock.settimeout(seconds)


@contextmanager
def _or_closed(smtp: smtplib.SMTP) -> Iterator[None]:
    with suppress(OSError):
        try:
            yield
        except OSError:
            smtp.close()
            raise
