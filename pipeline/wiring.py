"""Picks the adapters by the schemes in the settings. Only `__main__`, `wsgi` and the embedded suite call this."""

import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from urllib.parse import unquote, urlsplit

import structlog
from sqlalchemy import Engine

from pipeline import child, database, flow, memory, telemetry
from pipeline.blobs import BlobStore
from pipeline.dispatch import Dispatcher
from pipeline.errors import Unavailable
from pipeline.queues import Queue
from pipeline.readiness import checks
from pipeline.removals import Removals
from pipeline.settings import Settings
from pipeline.tasks import Tasks
from pipeline.work import Handler
from pipeline.worker import Worker

MAILS_IN_FLIGHT = 2
"""Mails that one notification worker sends at a time: a mail server may look at one for minutes before it answers."""
WEBHOOKS_IN_FLIGHT = 4
"""Requests that one notification worker makes at a time: a receiver that takes long holds up neither mails nor other receivers."""
_LOOK = 0.5
"""Seconds after which the main thread looks up: the system may give a signal to another one, and that wakes nobody."""

log = structlog.get_logger()


def engine(settings: Settings) -> Engine:
    """The catalog. Raises SystemExit for an address of no known kind."""
    with _clear("DATABASE_URL"):
        return database.connect(settings.database_url or "")


def blobs(settings: Settings) -> BlobStore:
    """The blob store. Raises SystemExit for an address of no known kind, or a folder that cannot be made."""
    parts = urlsplit(settings.blob_url or "")
    with _clear("BLOB_URL"):
        match parts.scheme:
            case "file":
                from pipeline.blobs.directory import DirectoryBlobs

                return DirectoryBlobs(Path(unquote(parts.path)))
            case "mongodb" | "mongodb+srv":
                from pipeline.blobs.gridfs import GridFSBlobs

                return GridFSBlobs(settings.blob_url or "")
        raise ValueError(f"no blob store known by the URL scheme {parts.scheme!r}")


def queue(settings: Settings) -> Queue:
    """The broker. Raises SystemExit for an address of no known kind."""
    scheme = urlsplit(settings.queue_url or "").scheme
    with _clear("QUEUE_URL"):
        match scheme:
            case "memory":
                from pipeline.queues.memory import MemoryQueue

                return MemoryQueue()
            case "amqp" | "amqps":
                from pipeline.queues.rabbitmq import RabbitMQQueue

                return RabbitMQQueue(settings.queue_url or "")
        raise ValueError(f"no broker known by the URL scheme {scheme!r}")


@contextmanager
def _clear(name: str) -> Iterator[None]:
    """Says which setting is wrong, in one line."""
    try:
        yield
    except (ValueError, Unavailable) as error:
        raise SystemExit(f"SPOOL_{name}: {error}") from None


def dispatcher(settings: Settings, catalog: Engine, broker: Queue) -> Dispatcher:
    tasks = Tasks(catalog, lease=settings.lease_seconds, patience=settings.patience_seconds)
    return Dispatcher(tasks, broker, interval=settings.sweep_seconds, lost=settings.lost_seconds)


def workers(
    settings: Settings, handlers: Mapping[str, Handler], sender: Dispatcher, store: BlobStore
) -> Sequence[Worker]:
    """Those of one process, each to be run in a thread of its own."""
    return [
        Worker(handlers, sender.tasks, sender, store, settings.scratch, settings.grace_seconds, number, kinds)
        for number, kinds in enumerate(lanes(handlers, _in_flight(settings)))
    ]


def _in_flight(settings: Settings) -> Mapping[str, int]:
    """How many tasks a process does at a time, of the kinds that mostly wait for a service."""
    return {
        "transcribe": settings.speech_in_flight,
        "listen": settings.dropbox_in_flight,
        "deliver": MAILS_IN_FLIGHT,
        "webhook": WEBHOOKS_IN_FLIGHT,
    }


def lanes(kinds: Iterable[str], in_flight: Mapping[str, int]) -> Sequence[Sequence[str]]:
    """Which of `kinds` each worker of a process takes: one those that are short, others each a kind of which one may take long."""
    short = [kind for kind in kinds if not flow.STAGES[kind].shared]
    long = [kind for kind in kinds if flow.STAGES[kind].shared]
    own = [[kind] for kind in long for _ in range(in_flight.get(kind, 1))]
    return [lane for lane in (short, *own) if lane]


def run_worker(
    service: str,
    settings: Settings,
    handlers: Callable[[Settings, Engine], Mapping[str, Handler]],
    remarks: telemetry.Remarks = dict,
) -> None:
    """Runs the workers of one process of `service` with their sweeper, and what finishes removals, until SIGTERM or SIGINT;
    then they hand back what they hold.

    `remarks` as in `telemetry.serve_metrics`.
    """
    memory.give_back()
    telemetry.configure(settings.log_format, service)
    if (settings.queue_url or "").startswith("memory:"):
        raise SystemExit("SPOOL_QUEUE_URL: memory:// reaches nobody outside this process; name a broker by amqp://")
    catalog, broker, store = engine(settings), queue(settings), blobs(settings)
    log.info("children are kept from the network", by=child.isolation())
    if settings.metrics_port:
        ready = checks(catalog=lambda: database.ping(catalog), blobs=store.ping)
        telemetry.serve_metrics(settings.metrics_port, ready, remarks, isolation=child.isolation())
    sender = dispatcher(settings, catalog, broker)
    handle, stop = handlers(settings, catalog), stop_on_signals()
    Thread(target=sender.run, args=(stop,), name="sweeper", daemon=True).start()
    Thread(target=Removals(catalog, store).run, args=(stop,), name="removals", daemon=True).start()
    work(workers(settings, handle, sender, store), stop)
    broker.close()
    store.close()


def work(together: Sequence[Worker], stop: Event) -> None:
    """Runs workers until told to stop. If one breaks, the others hand back what they hold too, and its error is raised."""
    with ThreadPoolExecutor(len(together), "worker") as threads:
        running = [threads.submit(worker.run, stop) for worker in together]
        while not wait(running, _LOOK, FIRST_COMPLETED).done:
            pass
        stop.set()
    for ended in running:
        ended.result()


def stop_on_signals() -> Event:
    """What `stay` waits for; its callers have to be in the main thread."""
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def stay(stop: Event) -> None:
    """Until a signal."""
    while not stop.wait(_LOOK):
        pass
