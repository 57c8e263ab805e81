"""The contract of the queue port, held by every adapter, and what RabbitMQ adds to it."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pika
import pytest

from dev.waiting import eventually
from pipeline import topology
from pipeline.errors import Unavailable
from pipeline.messages import Message
from pipeline.queues import Consumer, Queue
from pipeline.queues.memory import MemoryQueue
from pipeline.queues.rabbitmq import RabbitMQQueue

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(params=["memory", pytest.param("rabbitmq", marks=pytest.mark.servers)])
def queue(request: pytest.FixtureRequest) -> Iterator[Queue]:
    """An empty queue."""
    if request.param == "memory":
        opened: Queue = MemoryQueue()
    else:
        opened = RabbitMQQueue(request.getfixturevalue("rabbitmq_url"))
    with contextlib.closing(opened):
        yield opened


def message(number: int = 0, kind: str = "extract", trace: str | None = None) -> Message:
    return Message(task_id=f"{number:032x}", job_id=f"{number:032x}", kind=kind, trace=trace)


@contextlib.contextmanager
def consuming(queue: Queue, *kinds: str) -> Iterator[Consumer]:
    with contextlib.closing(queue.consumer(kinds or ("extract",))) as consumer:
        yield consumer


def take_all(consumer: Consumer, count: int) -> list[Message]:
    """Receives and acknowledges `count` messages."""
    taken: list[Message] = []
    for _ in range(count):
        delivery = consumer.receive(10)
        assert delivery, f"only {len(taken)} of {count} came"
        consumer.ack(delivery)
        taken.append(delivery.message)
    return taken


def take_waiting(consumer: Consumer) -> list[Message]:
    """Receives and acknowledges what comes within a moment."""
    delivery = consumer.receive(0.1)
    if delivery:
        consumer.ack(delivery)
    return [delivery.message] if delivery else []


def seconds(call: Callable[[], object]) -> float:
    start = time.monotonic()
    call()
    return time.monotonic() - start


def test_a_message_arrives_as_it_was_published(queue: Queue) -> None:
    sent = message(7, trace=TRACE)
    queue.publish(sent)
    with consuming(queue) as consumer:
        assert take_all(consumer, 1) == [sent]


def test_every_message_arrives_once(queue: Queue) -> None:
    sent = [message(number) for number in range(30)]
    for each in sent:
        queue.publish(each)
    with consuming(queue) as consumer:
        received = take_all(consumer, len(sent))
        assert consumer.receive(0.1) is None
    assert sorted(each.task_id for each in received) == [each.task_id for each in sent]


def test_an_acknowledged_message_never_comes_again(queue: Queue) -> None:
    for number in range(20):
        queue.publish(message(number))
        with consuming(queue) as consumer:
            assert take_all(consumer, 1) == [message(number)]
    with consuming(queue) as consumer:
        assert consumer.receive(0.3) is None
    assert queue.depth("extract") == 0


def test_what_was_not_acknowledged_comes_again_after_close(queue: Queue) -> None:
    queue.publish(message(1))
    queue.publish(message(2))
    with consuming(queue) as first:
        kept, returned = first.receive(10), first.receive(10)
        assert kept
        assert returned
        first.ack(kept)
    with consuming(queue) as second:
        assert take_all(second, 1) == [returned.message]
        assert second.receive(0.1) is None


def test_a_message_goes_to_one_of_two_consumers(queue: Queue) -> None:
    for number in range(10):
        queue.publish(message(number))
    with consuming(queue) as first, consuming(queue) as second:
        taken = [take_all(consumer, 1)[0].task_id for _ in range(5) for consumer in (first, second)]
    assert len(set(taken)) == 10


def test_a_consumer_gets_the_kinds_it_asked_for(queue: Queue) -> None:
    for number, kind in enumerate(topology.KINDS):
        queue.publish(message(number, kind))
    with consuming(queue, "extract", "deliver") as consumer:
        assert {each.kind for each in take_all(consumer, 2)} == {"extract", "deliver"}
        assert consumer.receive(0.1) is None
    waiting = set(topology.KINDS) - {"extract", "deliver"}
    eventually(lambda: {kind for kind in topology.KINDS if queue.depth(kind)} == waiting)


def test_a_busy_consumer_keeps_nothing_from_an_idle_one(queue: Queue) -> None:
    both = ("extract", "encode")
    sent = [message(number, both[number % 2]) for number in range(1, 9)]
    with consuming(queue, *both) as busy:
        assert busy.receive(0.1) is None
        queue.publish(message(0))
        held = busy.receive(10)
        assert held
        for each in sent:
            queue.publish(each)
        eventually(lambda: queue.depth("extract") == queue.depth("encode") == 4)
        with consuming(queue, *both) as idle:
            taken = take_all(idle, len(sent))
        busy.ack(held)
    assert sorted(each.task_id for each in taken) == [each.task_id for each in sent]


def test_a_backlog_of_two_kinds_arrives_whole(queue: Queue) -> None:
    for number in range(40):
        queue.publish(message(number, ("extract", "encode")[number % 2]))
    with consuming(queue, "extract", "encode") as consumer:
        assert len({each.task_id for each in take_all(consumer, 40)}) == 40


def test_depth_counts_what_waits_and_not_what_is_worked_on(queue: Queue) -> None:
    assert queue.depth("extract") == 0
    for number in range(3):
        queue.publish(message(number))
    eventually(lambda: queue.depth("extract") == 3)  # a busy broker answers 0 at first
    with consuming(queue) as consumer:
        delivery = consumer.receive(10)
        assert delivery
        eventually(lambda: queue.depth("extract") == 2)
        consumer.ack(delivery)
    eventually(lambda: queue.depth("extract") == 2)
    assert queue.depth("encode") == 0


def test_receive_gives_up_after_its_timeout(queue: Queue) -> None:
    with consuming(queue) as consumer:
        assert 0.2 <= seconds(lambda: consumer.receive(0.2)) < 10
        assert seconds(lambda: consumer.receive(0)) < 10


def test_receive_ends_as_soon_as_a_message_comes(queue: Queue) -> None:
    with consuming(queue) as consumer, ThreadPoolExecutor(1) as thread:
        assert consumer.receive(0.2) is None
        waiting = thread.submit(consumer.receive, 30)
        queue.publish(message())
        delivery = waiting.result(20)
        assert delivery
        consumer.ack(delivery)


def test_a_message_that_comes_between_two_receives_is_there(queue: Queue) -> None:
    with consuming(queue) as consumer:
        assert consumer.receive(0.1) is None
        queue.publish(message())
        take_all(consumer, 1)


def test_many_threads_publish_at_once(queue: Queue) -> None:
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(queue.publish, [message(number) for number in range(200)]))
    with consuming(queue) as consumer:
        assert len({each.task_id for each in take_all(consumer, 200)}) == 200


def test_consumers_of_one_process_work_side_by_side(queue: Queue) -> None:
    """Each in a thread of its own, and each holds what it has until it is done."""
    together = threading.Barrier(4)

    def take(_: int) -> list[str]:
        with consuming(queue) as consumer:
            taken = []
            for _ in range(5):
                delivery = consumer.receive(10)
                assert delivery
                together.wait(20)
                consumer.ack(delivery)
                taken.append(delivery.message.task_id)
            return taken

    for number in range(20):
        queue.publish(message(number))
    with ThreadPoolExecutor(4) as threads:
        taken = [task_id for each in threads.map(take, range(4)) for task_id in each]
    assert len(set(taken)) == 20
    with consuming(queue) as consumer:
        assert consumer.receive(0.3) is None


def test_an_ack_never_raises(queue: Queue) -> None:
    queue.publish(message())
    with consuming(queue) as consumer:
        delivery = consumer.receive(10)
        assert delivery
        consumer.ack(delivery)
        consumer.ack(delivery)
    consumer.ack(delivery)
    eventually(lambda: queue.depth("extract") == 0)


def test_a_reachable_broker_answers_a_ping(queue: Queue) -> None:
    queue.ping()


def test_a_closed_queue_ends_its_threads(queue: Queue) -> None:
    before = set(threading.enumerate())
    queue.ping()
    with consuming(queue) as consumer:
        consumer.receive(0)
    queue.close()
    eventually(lambda: set(threading.enumerate()) <= before)


class Wire:
    """A TCP proxy in front of the broker that can be cut, frozen and made to refuse."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._ends: list[socket.socket] = []
        self._flowing = threading.Event()
        self._flowing.set()
        self._refusing = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.connections = 0
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def cut(self) -> None:
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def freeze(self) -> None:
        self._flowing.clear()

    def thaw(self) -> None:
        self._flowing.set()

    def admit_new_ones(self) -> None:
        """What is frozen stays so."""
        self._flowing = threading.Event()
        self._flowing.set()

    def refuse(self) -> None:
        self._refusing = True
        self.cut()

    def admit(self) -> None:
        self._refusing = False

    def close(self) -> None:
        self.refuse()
        self.thaw()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join(30)  # a client that tries again may just have come
        for end in (self._listener, *self._ends):
            end.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._ends.append(near)
                if self._refusing:
                    near.shutdown(socket.SHUT_RDWR)
                    continue
                far = socket.create_connection(self._target, 10)
                far.settimeout(None)
                self._ends.append(far)
                self.connections += 1
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(source, sink, self._flowing), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, flowing: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                flowing.wait(30)
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def wire(rabbitmq_url: str) -> Iterator[Wire]:
    parts = urlsplit(rabbitmq_url)
    with contextlib.closing(Wire((parts.hostname or "127.0.0.1", parts.port or 5672))) as opened:
        yield opened


@pytest.fixture
def wired(rabbitmq_url: str, wire: Wire) -> Iterator[RabbitMQQueue]:
    """A queue that reaches the broker through `wire`."""
    parts = urlsplit(rabbitmq_url)
    url = parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{wire.port}").geturl()
    with contextlib.closing(RabbitMQQueue(url)) as opened:
        yield opened


@pytest.fixture
def channel(rabbitmq_url: str) -> Iterator[Any]:
    """The broker as another client sees it."""
    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(rabbitmq_url))) as connection:
        yield connection.channel()


@pytest.fixture
def broker(rabbitmq_url: str) -> Iterator[RabbitMQQueue]:
    with contextlib.closing(RabbitMQQueue(rabbitmq_url)) as opened:
        opened.ping()
        yield opened


@pytest.mark.servers
def test_a_message_is_persistent_and_carries_its_trace_in_a_header(broker: RabbitMQQueue, channel: Any) -> None:
    broker.publish(message(trace=TRACE))
    _, properties, body = channel.basic_get("spool.extract", auto_ack=True)
    assert properties.delivery_mode == 2
    assert properties.headers["traceparent"] == TRACE
    assert Message.decode(body) == message(trace=TRACE)


@pytest.mark.servers
def test_a_message_nobody_can_get_is_not_taken(broker: RabbitMQQueue) -> None:
    with pytest.raises(Unavailable):
        broker.publish(message(kind="nothing"))
    broker.publish(message())
    eventually(lambda: broker.depth("extract") == 1)


@pytest.mark.servers
@pytest.mark.parametrize("body", [b"", b"\xff", b"{}", b'{"task_id": "1"}'])
def test_poison_is_set_aside_and_what_follows_arrives(broker: RabbitMQQueue, channel: Any, body: bytes) -> None:
    sent = [message(1), message(2)]
    with consuming(broker) as consumer:
        received = []
        for each in sent:
            channel.basic_publish("", "spool.extract", body)
            broker.publish(each)
            received += take_all(consumer, 1)
        eventually(lambda: not take_waiting(consumer) and broker.depth("dead") == 2)
    assert received == sent
    _, properties, dead = channel.basic_get(topology.DEAD, auto_ack=True)
    assert properties.headers["x-death"][0]["reason"] == "rejected"
    assert (dead or b"") == body


@pytest.mark.servers
def test_a_message_that_kills_every_worker_is_set_aside(broker: RabbitMQQueue) -> None:
    broker.publish(message())
    for _ in range(topology.DELIVERY_LIMIT + 1):
        with consuming(broker) as consumer:
            assert consumer.receive(10)
    eventually(lambda: broker.depth("dead") == 1)
    with consuming(broker) as consumer:
        assert consumer.receive(0.3) is None


@pytest.mark.servers
def test_a_message_the_broker_confirmed_outlives_it(rabbitmq_server: Any, broker: RabbitMQQueue) -> None:
    broker.publish(message())
    with consuming(broker) as consumer:
        assert consumer.receive(10)
        rabbitmq_server.kill()
        assert consumer.receive(0.2) is None
        with pytest.raises(Unavailable):
            broker.publish(message())
        rabbitmq_server.start()
        eventually(lambda: consumer.receive(1) is not None, 60)


def test_a_broker_that_is_away_is_unavailable_at_once() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # taken, and nobody listens
        with contextlib.closing(RabbitMQQueue(f"amqp://127.0.0.1:{held.getsockname()[1]}")) as queue:
            start = time.monotonic()
            for call in (lambda: queue.publish(message()), lambda: queue.depth("extract"), queue.ping):
                with pytest.raises(Unavailable):
                    call()
            with consuming(queue) as consumer:
                assert consumer.receive(0.1) is None
            assert time.monotonic() - start < 15


def test_a_wrong_url_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="scheme"):
        RabbitMQQueue("nonsense://127.0.0.1")


@pytest.mark.servers
def test_a_connection_that_was_closed_while_idle_is_made_again(wired: RabbitMQQueue, wire: Wire) -> None:
    wired.publish(message(1))
    wire.cut()
    wired.publish(message(2))
    eventually(lambda: wired.depth("extract") == 2)
    assert wire.connections == 2


@pytest.mark.servers
def test_while_the_broker_hangs_every_publish_fails_in_time(wired: RabbitMQQueue, wire: Wire) -> None:
    wired.ping()
    wire.freeze()

    def failing() -> None:
        with pytest.raises(Unavailable):
            wired.publish(message())

    with ThreadPoolExecutor(100) as threads:
        calls: list[Future[float]] = []

        def one_does_not_wait() -> bool:
            calls.append(threads.submit(seconds, failing))
            return any(call.done() and call.result() < 0.1 for call in calls)

        eventually(one_does_not_wait, 10)
    assert all(call.result() < 15 for call in calls)
    wire.thaw()
    eventually(lambda: _published(wired))


@pytest.mark.servers
def test_a_connection_that_hangs_is_given_up_for_another(wired: RabbitMQQueue, wire: Wire) -> None:
    wired.ping()
    wire.freeze()
    wire.admit_new_ones()
    with pytest.raises(Unavailable):
        wired.publish(message())
    assert seconds(lambda: wired.publish(message())) < 10


def _published(queue: Queue) -> bool:
    try:
        queue.publish(message())
    except Unavailable:
        return False
    return True


def came(consumer: Consumer, wanted: Message) -> bool:
    return wanted in take_waiting(consumer)


@pytest.mark.servers
def test_a_cut_consumer_connects_again_by_itself(wired: RabbitMQQueue, wire: Wire, broker: RabbitMQQueue) -> None:
    with consuming(wired) as consumer:
        assert consumer.receive(0.2) is None
        eventually(lambda: wire.connections == 1)
        for number in range(3):
            wire.cut()
            broker.publish(message(number))
            eventually(partial(came, consumer, message(number)))
    assert wire.connections >= 4


@pytest.mark.servers
def test_a_consumer_waits_for_a_broker_that_is_not_there_yet(
    wired: RabbitMQQueue, wire: Wire, broker: RabbitMQQueue
) -> None:
    wire.refuse()
    with consuming(wired) as consumer:
        assert consumer.receive(0.5) is None
        broker.publish(message())
        wire.admit()
        take_all(consumer, 1)


@pytest.mark.servers
def test_an_ack_from_before_the_cut_acknowledges_nothing_after_it(
    wired: RabbitMQQueue, wire: Wire, broker: RabbitMQQueue
) -> None:
    broker.publish(message(1))
    with consuming(wired) as consumer:
        before = consumer.receive(10)
        assert before
        wire.cut()
        after = consumer.receive(20)
        assert after
        assert after.message == before.message
        consumer.ack(before)
    eventually(lambda: broker.depth("extract") == 1)


@pytest.mark.servers
def test_a_channel_the_broker_closed_is_opened_again(wired: RabbitMQQueue, wire: Wire, broker: RabbitMQQueue) -> None:
    broker.publish(message(1))
    broker.publish(message(2))
    with consuming(wired) as consumer:
        acknowledged, other = consumer.receive(10), consumer.receive(10)
        assert acknowledged
        assert other
        assert consumer.receive(0.2) is None
        consumer.ack(acknowledged)
        consumer.ack(acknowledged)  # an error that closes the channel, like an ack that comes too late
        assert take_all(consumer, 1) == [other.message]
        consumer.ack(other)
        broker.publish(message(3))
        assert take_all(consumer, 1) == [message(3)]
    assert broker.depth("extract") == 0


@pytest.mark.servers
def test_a_queue_that_was_deleted_is_declared_again(broker: RabbitMQQueue, channel: Any) -> None:
    with consuming(broker) as consumer:
        assert consumer.receive(0.2) is None
        channel.queue_delete("spool.extract")
        eventually(lambda: _published(broker))
        take_all(consumer, 1)


@pytest.mark.servers
def test_closing_takes_seconds_even_if_the_broker_hangs(wired: RabbitMQQueue, wire: Wire) -> None:
    wired.ping()
    consumer = wired.consumer(["extract"])
    assert consumer.receive(0.2) is None
    wire.freeze()
    assert seconds(consumer.close) < 15
    assert seconds(wired.close) < 15
