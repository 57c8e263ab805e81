"""The queue port inside one process. What it held is gone with the process: `Dispatcher.restart` fills it again."""

from collections import defaultdict, deque
from collections.abc import Sequence
from itertools import count
from threading import Condition

from pipeline.messages import Message
from pipeline.queues import Consumer, Delivery, Queue


class MemoryQueue(Queue):
    """First in, first out, a kind; safe to use from any thread."""

    def __init__(self) -> None:
        self.changed = Condition()
        self.waiting: dict[str, deque[Message]] = defaultdict(deque)

    def publish(self, message: Message) -> None:
        with self.changed:
            self.waiting[message.kind].append(message)
            self.changed.notify_all()

    def consumer(self, kinds: Sequence[str]) -> Consumer:
        return MemoryConsumer(self, kinds)

    def depth(self, kind: str) -> int:
        with self.changed:
            return len(self.waiting[kind])

    def ping(self) -> None:
        """It is always there."""

    def close(self) -> None:
        """Nothing to give back."""


class MemoryConsumer(Consumer):
    def __init__(self, queue: MemoryQueue, kinds: Sequence[str]) -> None:
        self._queue, self._kinds = queue, kinds
        self._tags = count()
        self._unacknowledged: dict[object, Message] = {}

    def receive(self, timeout: float) -> Delivery | None:
        with self._queue.changed:
            self._queue.changed.wait_for(self._any, timeout)
            for kind in self._kinds:
                if waiting := self._queue.waiting[kind]:
                    return self._deliver(waiting.popleft())
        return None

    def ack(self, delivery: Delivery) -> None:
        self._unacknowledged.pop(delivery.tag, None)

    def close(self) -> None:
        with self._queue.changed:
            for message in reversed(self._unacknowledged.values()):
                self._queue.waiting[message.kind].appendleft(message)
            self._unacknowledged.clear()
            self._queue.changed.notify_all()

    def _any(self) -> bool:
        return any(self._queue.waiting[kind] for kind in self._kinds)

    def _deliver(self, message: Message) -> Delivery:
        tag = next(self._tags)
        self._unacknowledged[tag] = message
        return Delivery(message, tag)
