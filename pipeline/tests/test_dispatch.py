from collections.abc import Sequence

import pytest
from sqlalchemy import Engine

from dev.waiting import eventually
from pipeline.dispatch import Dispatcher
from pipeline.errors import Unavailable
from pipeline.messages import Message
from pipeline.queues import Consumer
from pipeline.queues.memory import MemoryQueue
from pipeline.tasks import Tasks
from pipeline.tests.makers import a_job


class AwayQueue(MemoryQueue):
    """A broker that nobody reaches while `away`."""

    away = True

    def publish(self, message: Message) -> None:
        if self.away:
            raise Unavailable("the broker is away")
        super().publish(message)


@pytest.fixture
def queue() -> MemoryQueue:
    return MemoryQueue()


@pytest.fixture
def sender(catalog: Engine, queue: MemoryQueue) -> Dispatcher:
    return Dispatcher(Tasks(catalog, lease=0), queue, interval=0, lost=0)


def received(consumer: Consumer) -> Sequence[str]:
    found = []
    while delivery := consumer.receive(0):
        consumer.ack(delivery)
        found.append(delivery.message.task_id)
    return found


def swept(sender: Dispatcher) -> Dispatcher:
    sender.sweep()
    return sender


def test_what_was_sent_is_not_swept(sender: Dispatcher, queue: MemoryQueue) -> None:
    _, message = a_job(sender.tasks.engine)
    sender.send([message])
    sender.sweep()
    assert received(queue.consumer(("extract",))) == [message.task_id]


def test_a_broker_that_was_away_gets_the_message_later(catalog: Engine) -> None:
    queue = AwayQueue()
    sender = Dispatcher(Tasks(catalog), queue, interval=0)
    _, message = a_job(catalog)
    sender.send([message])
    sender.sweep()
    assert queue.depth("extract") == 0
    queue.away = False
    sender.sweep()
    sender.sweep()
    assert received(queue.consumer(("extract",))) == [message.task_id]


def test_a_lost_message_is_sent_again(sender: Dispatcher, queue: MemoryQueue) -> None:
    _, message = a_job(sender.tasks.engine)
    sender.send([message])
    assert received(queue.consumer(("extract",))) == [message.task_id]
    eventually(lambda: swept(sender).queue.depth("extract") == 1)
    assert received(queue.consumer(("extract",))) == [message.task_id]


def test_a_message_that_waits_its_turn_is_not_sent_again(sender: Dispatcher, queue: MemoryQueue) -> None:
    for _ in range(3):
        sender.send([a_job(sender.tasks.engine)[1]])
    sender.sweep()
    assert queue.depth("extract") == 3


def test_a_task_whose_worker_died_is_sent_again(sender: Dispatcher, queue: MemoryQueue) -> None:
    _, message = a_job(sender.tasks.engine)
    assert sender.tasks.claim(message.task_id, "a worker that dies")
    eventually(lambda: swept(sender).queue.depth("extract") == 1)
    assert sender.tasks.claim(message.task_id, "another") is not None


def test_a_restart_sends_what_is_open(catalog: Engine) -> None:
    before = Dispatcher(Tasks(catalog), MemoryQueue())
    _, waiting = a_job(catalog)
    _, running = a_job(catalog)
    before.send([waiting, running])
    assert before.tasks.claim(running.task_id, "a process that was killed")
    queue = MemoryQueue()
    after = Dispatcher(Tasks(catalog), queue)
    after.restart()
    assert sorted(received(queue.consumer(("extract",)))) == sorted([waiting.task_id, running.task_id])
