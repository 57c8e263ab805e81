"""The queue port on RabbitMQ: quorum queues as in `pipeline.topology`, declared whenever a connection is made.

A connection belongs to one thread, which alone touches it: one for what is published and asked, one for each consumer.
"""

import logging
import queue
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from threading import Condition, Event, Lock, Thread
from typing import Any, cast

import structlog
from pika import BasicProperties, BlockingConnection, DeliveryMode, URLParameters
from pika.adapters.blocking_connection import BlockingChannel
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPConnectionError, AMQPError, ChannelWrongStateError, NackError, UnroutableError

from pipeline import topology
from pipeline.errors import Unavailable
from pipeline.messages import Message
from pipeline.queues import Consumer, Delivery, Queue

log = structlog.get_logger()
# It logs each failure with a trace, and then raises it as well.
logging.getLogger("pika").setLevel(logging.CRITICAL)

# Seconds.
HEARTBEAT = 10  # a broker silent for half as long again is given up
CONNECT = 2.5
ANSWER = 3.0  # that a caller waits for the broker
BUSY = 1.0  # that a call may take before others stop waiting behind it
CLOSE = 3.0
BACKOFF = 5.0  # at most, between attempts to reconnect

FAILURES = (AMQPError, AMQPConnectorException, OSError)

Ask = Callable[[BlockingChannel], Any]


class RabbitMQQueue(Queue):
    """Connects when first used. Raises ValueError if `url` is no AMQP URL."""

    def __init__(self, url: str) -> None:
        self._parameters = URLParameters(url)
        self._parameters.heartbeat = HEARTBEAT
        self._parameters.socket_timeout = CONNECT
        self._parameters.stack_timeout = CONNECT
        self._parameters.blocked_connection_timeout = ANSWER
        self._parameters.connection_attempts = 1
        self._lock = Lock()
        self._asker: _Asker | None = None

    def publish(self, message: Message) -> None:
        headers = {"traceparent": message.trace} if message.trace else {}
        properties = BasicProperties("application/json", headers=headers, delivery_mode=DeliveryMode.Persistent)
        name = topology.queue_name(message.kind)
        self._ask(lambda channel: channel.basic_publish("", name, message.encode(), properties, mandatory=True))

    def consumer(self, kinds: Sequence[str]) -> Consumer:
        return RabbitMQConsumer(self._parameters, [topology.queue_name(kind) for kind in kinds])

    def depth(self, kind: str) -> int:
        name = topology.queue_name(kind)
        count: int = self._ask(lambda channel: channel.queue_declare(name, passive=True).method.message_count)
        return count

    def ping(self) -> None:
        self._ask(lambda channel: channel.queue_declare(topology.DEAD, passive=True))

    def close(self) -> None:
        with self._lock:
            if self._asker:
                self._asker.end()
                self._asker.join(CLOSE)
            self._asker = None

    def _ask(self, ask: Ask) -> Any:
        with self._lock:
            if self._asker is None or self._asker.ended:
                self._asker = _Asker(self._parameters)
                self._asker.start()
            asker = self._asker
        return asker.call(ask)


class _Asker(Thread):
    """Owns one connection with a channel in confirm mode, and does on it what any thread asks, one after the other."""

    def __init__(self, parameters: URLParameters) -> None:
        super().__init__(name="rabbitmq", daemon=True)
        self.ended = False
        self._parameters = parameters
        self._calls: queue.SimpleQueue[tuple[Ask, Future[Any]] | None] = queue.SimpleQueue()
        self._busy_since: float | None = None
        self._channel: BlockingChannel | None = None

    def call(self, ask: Ask) -> Any:
        """What `ask` returns. Raises `Unavailable` within `ANSWER` seconds."""
        since = self._busy_since
        if since is not None and time.monotonic() - since > BUSY:
            raise Unavailable("the broker is slow to answer")
        future: Future[Any] = Future()
        self._calls.put((ask, future))
        try:
            return future.result(ANSWER)
        except TimeoutError:
            future.cancel()
            self.end()  # whatever holds it up, the next caller gets another connection
            raise Unavailable("the broker does not answer") from None

    def end(self) -> None:
        self.ended = True
        self._calls.put(None)

    def run(self) -> None:
        for ask, future in iter(self._calls.get, None):
            if future.set_running_or_notify_cancel():
                self._busy_since = time.monotonic()
                try:
                    future.set_result(self._attempt(ask))
                except Exception as error:
                    future.set_exception(error)
                self._busy_since = None
        self._disconnect()

    def _attempt(self, ask: Ask) -> Any:
        reused = self._channel is not None
        try:
            self._channel = self._channel or _open(self._parameters)
            return ask(self._channel)
        except (NackError, UnroutableError) as error:
            raise Unavailable("the broker does not take the message") from error
        except FAILURES as error:
            self._disconnect()
            if not reused:
                raise Unavailable("the broker cannot be reached") from error
        return self._attempt(ask)  # the idle connection was closed meanwhile

    def _disconnect(self) -> None:
        if self._channel:
            _close(self._channel.connection)
        self._channel = None


class RabbitMQConsumer(Consumer):
    """Holds no message that nobody waits for: it subscribes while `receive` waits, and no longer.

    So a busy worker of several kinds keeps none of them from an idle one.
    """

    def __init__(self, parameters: URLParameters, queues: Sequence[str]) -> None:
        self._parameters, self._queues = parameters, queues
        self._changed = Condition()
        self._wanted = False
        self._received: Delivery | None = None
        self._closing = Event()
        self._connection: BlockingConnection | None = None
        self._subscriptions: list[str] = []
        self._failures = 0
        self._thread = Thread(target=self._run, name="rabbitmq-consumer", daemon=True)
        self._thread.start()

    def receive(self, timeout: float) -> Delivery | None:
        with self._changed:
            self._wanted = self._received is None
            self._post(lambda: None)
            self._changed.wait_for(lambda: self._received is not None, timeout)
            delivery, self._received = self._received, None
        return delivery

    def ack(self, delivery: Delivery) -> None:
        channel, number = cast(tuple[BlockingChannel, int], delivery.tag)
        with suppress(AMQPConnectionError):
            channel.connection.add_callback_threadsafe(partial(_ack, channel, number))

    def close(self) -> None:
        if not self._post(self._closing.set):  # acks that wait there come first
            self._closing.set()
        self._thread.join(CLOSE)
        self._closing.set()

    def _post(self, callback: Callable[[], None]) -> bool:
        """Has the connection's thread call back; false if there is no connection."""
        with suppress(AMQPConnectionError):
            if self._connection:
                self._connection.add_callback_threadsafe(callback)
                return True
        return False

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._serve()
            except FAILURES as error:
                log.warning("broker away", cause=repr(error), failures=self._failures)
            self._failures += 1
            self._closing.wait(random.uniform(0.5, 1) * min(BACKOFF, 0.1 * 2 ** min(self._failures, 10)))  # noqa: S311

    def _serve(self) -> None:
        """The life of one connection."""
        channel = _open(self._parameters)
        self._connection, self._subscriptions, self._failures = channel.connection, [], 0
        try:
            channel.basic_qos(prefetch_count=1)
            channel.add_on_cancel_callback(lambda _: channel.close())  # the queue went: declare it again
            # After an ack came too late the broker closes the channel alone, and the connection raises nothing.
            while channel.is_open and not self._closing.is_set():
                self._subscribe(channel)
                channel.connection.process_data_events(time_limit=1)
            if not self._closing.is_set():
                raise ChannelWrongStateError("closed by the broker")
        finally:
            _close(channel.connection)

    def _subscribe(self, channel: BlockingChannel) -> None:
        if not self._wanted:
            while self._subscriptions:
                channel.basic_cancel(self._subscriptions.pop())
        elif not self._subscriptions:
            self._look(channel)
            if self._wanted:
                self._subscriptions = [channel.basic_consume(name, self._take) for name in self._queues]

    def _look(self, channel: BlockingChannel) -> None:
        """Takes from the first queue that has something: subscribed to, each would send one."""
        for name in self._queues:
            while self._wanted:
                method, properties, body = channel.basic_get(name)
                if method is None:
                    break
                self._take(channel, method, properties, body)

    def _take(self, channel: BlockingChannel, method: Any, _: BasicProperties | None, body: bytes | None) -> None:
        if not self._wanted:
            channel.basic_reject(method.delivery_tag, requeue=True)
            return
        try:
            message = Message.decode(body or b"")
        except ValueError as error:
            log.error("not a message, set aside", queue=method.routing_key, cause=str(error))
            channel.basic_reject(method.delivery_tag, requeue=False)
            return
        with self._changed:
            self._received, self._wanted = Delivery(message, (channel, method.delivery_tag)), False
            self._changed.notify()


def _open(parameters: URLParameters) -> BlockingChannel:
    """A new connection's channel, in confirm mode, with all queues declared."""
    connection = BlockingConnection(parameters)
    try:
        channel = connection.channel()
        channel.confirm_delivery()
        for name, exchange_type in topology.EXCHANGES.items():
            channel.exchange_declare(name, exchange_type, durable=True)
        for name, arguments in topology.QUEUES.items():
            channel.queue_declare(name, durable=True, arguments=arguments)
        for exchange, name in topology.BINDINGS:
            channel.queue_bind(name, exchange)
    except FAILURES:
        _close(connection)
        raise
    return channel


def _close(connection: BlockingConnection) -> None:
    with suppress(*FAILURES):
        if connection.is_open:
            connection.close()


def _ack(channel: BlockingChannel, number: int) -> None:
    if channel.is_open:
        channel.basic_ack(number)
