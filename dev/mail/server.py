"""A real SMTP server on loopback that keeps what it takes, and fails where it is told to."""

import asyncio
import email
import email.policy
import threading
from collections.abc import Callable, Coroutine
from email.message import EmailMessage
from functools import partial
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from dev.mail.faults import Fault
from dev.services.server import free_port

HANG_SECONDS = 120
"""After these a server that hangs goes on by itself: nothing waits for ever."""


class MailServer:
    """`mails` is what it took, `offered` every message that it saw, `conversations` whether each greeting was encrypted.

    Faults of `faults` happen once each, in their order at each step, those of `always` every time; `domains` have answers of
    their own for their recipients. `options` are aiosmtpd's. It can be stopped, and started again on its port.
    """

    def __init__(self, port: int | None = None, **options: Any) -> None:
        self.port, self.options = port or free_port(), options
        self.mails: list[EmailMessage] = []
        self.offered: list[EmailMessage] = []
        self.conversations: list[str] = []
        self.faults: list[Fault] = []
        self.always: list[Fault] = []
        self.domains: dict[str, str] = {}
        self.happened: list[Fault] = []
        self.at_rcpt = 1
        """So many clients have to have come as far as RCPT before any is answered."""
        self.going_on = threading.Event()
        """Ends what hangs."""
        self.arrived = threading.Event()
        """Set with every message."""
        self.told: Callable[[EmailMessage], None] = lambda _mail: None
        """Called with every message that is taken."""
        self.open: set[asyncio.Transport] = set()
        self._barrier: asyncio.Barrier | None = None
        self._controller: Controller | None = None

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def to(self, address: str) -> list[EmailMessage]:
        return [mail for mail in self.mails if mail["To"] == address]

    def about(self, job_id: str) -> list[str]:
        return [mail.as_string() for mail in self.mails if job_id in mail.as_string()]

    def start(self) -> Self:
        if self._controller is None:
            self._barrier = None
            self._controller = _Controller(self)
            self._controller.start()
        return self

    def stop(self) -> None:
        """Connections that clients keep end too."""
        if self._controller is not None:
            self._controller.loop.call_soon_threadsafe(self.hang_up)
            self._controller.stop()
            self._controller = None

    def hang_up(self) -> None:
        """To be called in the server's own thread."""
        for transport in list(self.open):
            transport.abort()

    async def handle_EHLO(  # noqa: N802
        self, server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        encrypted = server.transport and server.transport.get_extra_info("sslcontext")
        self.conversations.append("tls" if encrypted else "plain")
        return responses

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(server, _Conversation)
        assert isinstance(envelope.content, bytes)
        mail = parsed(envelope.content)
        self.offered.append(mail)
        self.arrived.set()
        fault = self.next_fault("END")
        answer = (fault and fault.answer) or "250 2.0.0 kept"
        if answer.startswith("250"):
            self.mails.append(mail)
            self.told(mail)
        if fault and fault.kind == "hang":
            await self.resumed()
        if fault and fault.kind == "cut":
            server.cut()
        return answer

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.going_on.set()
        self.stop()

    def next_fault(self, step: str) -> Fault | None:
        for fault in self.faults:
            if fault.step == step:
                self.faults.remove(fault)
                self.happened.append(fault)
                return fault
        return next((fault for fault in self.always if fault.step == step), None)

    async def meet(self) -> None:
        self._barrier = self._barrier or asyncio.Barrier(self.at_rcpt)
        await self._barrier.wait()

    async def resumed(self) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self.going_on.wait, HANG_SECONDS)


class _Conversation(SMTP):
    """With one client."""

    def __init__(self, server: MailServer, **options: Any) -> None:
        self.owner = server
        super().__init__(server, **options)
        self._smtp_methods = {step: partial(self._step, step, do) for step, do in self._smtp_methods.items()}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.owner.open.add(transport)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if isinstance(self.transport, asyncio.Transport):
            self.owner.open.discard(self.transport)
        super().connection_lost(error)

    async def _handle_client(self) -> None:
        if not await self._failed("CONNECT"):
            await super()._handle_client()
        elif isinstance(self.transport, asyncio.Transport):
            self.transport.close()

    async def _step(self, step: str, do: Callable[..., Coroutine[Any, Any, None]], argument: str | None) -> None:
        if await self._failed(step):
            return
        if step == "RCPT":
            await self.owner.meet()
            if refusal := self.owner.domains.get((argument or "").strip("> ").rpartition("@")[2]):
                await self.push(refusal)
                return
        await do(argument)

    async def _failed(self, step: str) -> bool:
        fault = self.owner.next_fault(step)
        if fault is None:
            return False
        if fault.kind == "hang":
            await self.owner.resumed()
            return False
        if fault.kind == "cut":
            self.cut()
        else:
            await self.push(fault.answer)
        return True

    def cut(self) -> None:
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()


class _Controller(Controller):
    """Listens, and greets nobody by itself."""

    def __init__(self, server: MailServer) -> None:
        self._server = server
        super().__init__(server, hostname="127.0.0.1", port=server.port, ready_timeout=30, **server.options)

    def factory(self) -> SMTP:
        return _Conversation(self._server, loop=self.loop, **self.SMTP_kwargs)

    def _trigger_server(self) -> None:
        """Not by a connection of its own, which would meet a fault: the server listens by now."""
        self._factory_invoked.set()
        self.smtpd = self.factory()


def parsed(mail: bytes) -> EmailMessage:
    message = email.message_from_bytes(mail, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def text_of(mail: EmailMessage, subtype: str = "plain") -> str:
    body = mail.get_body((subtype,))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")
