"""A real SMTP server on loopback that keeps what it is given, and can be stopped and started on its port."""

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from dev.services.server import free_port


class Mailbox:
    def __init__(self) -> None:
        self.port, self.mails = free_port(), list[str]()
        self._controller: Controller | None = None

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        self.mails.append(envelope.content.decode())
        return "250 kept"

    def about(self, job_id: str) -> list[str]:
        return [mail for mail in self.mails if job_id in mail]

    def start(self) -> None:
        if self._controller is None:
            self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
            self._controller.start()

    def stop(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None
