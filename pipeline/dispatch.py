"""Sends tasks to their workers: at once when they are made, and again when a message was lost or a worker died."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from threading import Event

import structlog

from pipeline import flow
from pipeline.errors import Unavailable
from pipeline.messages import Message
from pipeline.queues import Queue
from pipeline.tasks import Tasks, count_waiting

log = structlog.get_logger()


@dataclass(frozen=True)
class Dispatcher:
    """`interval` and `lost` are seconds, see `Settings.sweep_seconds` and `Settings.lost_seconds`."""

    tasks: Tasks
    queue: Queue
    interval: float = 5
    lost: float = 60

    def send(self, messages: Iterable[Message]) -> None:
        """Publishes what can be published now; the sweeper sees to the rest, so nothing is raised."""
        sent: list[Message] = []
        try:
            for message in messages:
                self.queue.publish(message)
                sent.append(message)
        except Unavailable as error:
            log.warning("message left to the sweeper", cause=str(error))
        try:
            if sent:
                self.tasks.published(sent)
        except Unavailable as error:
            log.warning("message will be sent twice", cause=str(error))

    def sweep(self, *, lapse: bool = True) -> None:
        """Sends what nobody has a message for. Raises `Unavailable` if catalog or broker are away."""
        if lapse:
            self.send(self.tasks.lapse())
        self.send(self.tasks.unpublished(self.interval))
        for kind in flow.STAGES:
            self._send_lost(kind)

    def restart(self) -> None:
        """After the start of a broker in memory: sends every open task. Raises `Unavailable` if the catalog is away."""
        self.tasks.forget_messages()
        self.send(self.tasks.lapse())
        self.send(self.tasks.unpublished(0))

    def _send_lost(self, kind: str) -> None:
        """A message that waits long may only have many before it: it is lost if the queue holds fewer than the catalog expects."""
        stale = self.tasks.stale(kind, self.lost)
        if stale and self.queue.depth(kind) < count_waiting(self.tasks.engine, kind):
            log.warning("messages sent again", kind=kind, count=len(stale))
            self.send(stale)

    def run(self, stop: Event) -> None:
        """Sweeps until told to stop. Any number of sweepers may run: a message sent twice finds its row taken.

        Leases lapse only when the catalog has answered for a whole one: before, live workers had no chance to renew theirs.
        """
        answering = time.monotonic()
        while not stop.wait(self.interval):
            try:
                self.sweep(lapse=time.monotonic() - answering >= self.tasks.lease)
            except Unavailable as error:
                answering = time.monotonic()
                log.warning("sweep put off", cause=str(error))
            except Exception:
                log.exception("sweep failed")
