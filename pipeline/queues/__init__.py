"""The queue port: at-least-once delivery of `Message`s, one queue a task kind.

Adapters: `pipeline.queues.memory`, `pipeline.queues.rabbitmq`; both pass `pipeline/tests/test_queues.py`.
A message may be lost or doubled: the catalog's row decides, see docs/design.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.messages import Message


@dataclass(frozen=True)
class Delivery:
    message: Message
    tag: object
    """The adapter's own handle."""


class Consumer(Protocol):
    """Receives for one worker, one delivery at a time. Methods are called from one thread."""

    def receive(self, timeout: float) -> Delivery | None:
        """Waits up to `timeout` seconds. None also while the broker is away: the adapter reconnects by itself, with backoff."""

    def ack(self, delivery: Delivery) -> None:
        """Forgets the delivery. Never raises: an ack that is lost means the message comes again, and its row is found done."""

    def close(self) -> None:
        """Returns at once what was received and not acknowledged to the queue."""


class Queue(Protocol):
    def publish(self, message: Message) -> None:
        """Returns once the broker has the message safe (confirmed and routed). Raises `Unavailable` within a few seconds otherwise."""

    def consumer(self, kinds: Sequence[str]) -> Consumer: ...

    def depth(self, kind: str) -> int:
        """Messages that wait for a worker. Raises `Unavailable`."""

    def ping(self) -> None:
        """Answers if the broker takes messages. Raises `Unavailable`."""

    def close(self) -> None: ...
