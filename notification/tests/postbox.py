"""A real SMTP server on loopback that keeps what it takes, and fails where a test wants it to."""

import asyncio
import email
import email.policy
import ssl
import threading
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session


class Postbox:
    """`mails` is what it took, `offered` what it saw.

    `answers` replaces the answer to MAIL, RCPT or DATA; `hang_up` drops the connection there.
    DATA is answered only while `answering` is set, and RCPT only once `at_rcpt` clients have come as far.
    """

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.offered: list[EmailMessage] = []
        self.conversations: list[str] = []
        self.answers: dict[str, str] = {}
        self.hang_up = ""
        self.at_rcpt = 1
        self.answering = threading.Event()
        self.answering.set()
        self.data_arrived = threading.Event()
        self._barrier: asyncio.Barrier | None = None

    async def handle_EHLO(  # noqa: N802
        self, server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        assert server.transport is not None
        self.conversations.append("tls" if server.transport.get_extra_info("sslcontext") else "plain")
        return responses

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        envelope.mail_from = address
        return self._answer(server, "MAIL")

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        envelope.rcpt_tos.append(address)
        self._barrier = self._barrier or asyncio.Barrier(self.at_rcpt)
        await self._barrier.wait()
        return self._answer(server, "RCPT")

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        self.offered.append(parsed(envelope.content))
        self.data_arrived.set()
        while not self.answering.is_set():
            await asyncio.sleep(0.01)
        answer = self._answer(server, "DATA")
        if answer.startswith("250"):
            self.mails.append(self.offered[-1])
        return answer

    def _answer(self, server: SMTP, step: str) -> str:
        if self.hang_up == step:
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
        return self.answers.get(step, "250 OK")


class Server(Controller):
    """Listens on a port that the system picks."""

    def __init__(self, postbox: Postbox, **options: Any) -> None:
        super().__init__(postbox, hostname="127.0.0.1", port=0, ready_timeout=30, **options)

    def _trigger_server(self) -> None:
        assert isinstance(self.server, asyncio.Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


def parsed(mail: bytes) -> EmailMessage:
    message = email.message_from_bytes(mail, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def text_of(mail: EmailMessage, subtype: str = "plain") -> str:
    body = mail.get_body((subtype,))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def server_context(certificate: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
