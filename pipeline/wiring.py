"""Picks the adapters by the schemes in the settings. Only `__main__`, `wsgi` and the embedded suite call this."""

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from urllib.parse import unquote, urlsplit

import structlog
from sqlalchemy import Engine

from pipeline import child, database, memory, telemetry
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


def worker(settings: Settings, handlers: Mapping[str, Handler], sender: Dispatcher, store: BlobStore) -> Worker:
    return Worker(handlers, sender.tasks, sender, store, settings.scratch, settings.grace_seconds)


def run_worker(service: str, settings: Settings, handlers: Callable[[Settings, Engine], Mapping[str, Handler]]) -> None:
    """Runs one worker of `service` with its sweeper, and what finishes removals, until SIGTERM or SIGINT; then it hands back what it holds."""
    memory.give_back()
    telemetry.configure(settings.log_format, service)
    if (settings.queue_url or "").startswith("memory:"):
        raise SystemExit("SPOOL_QUEUE_URL: memory:// reaches nobody outside this process; name a broker by amqp://")
    catalog, broker, store = engine(settings), queue(settings), blobs(settings)
    log.info("children are kept from the network", by=child.isolation())
    if settings.metrics_port:
        ready = checks(catalog=lambda: database.ping(catalog), blobs=store.ping)
        telemetry.serve_metrics(settings.metrics_port, ready, isolation=child.isolation())
    sender = dispatcher(settings, catalog, broker)
    handle, stop = handlers(settings, catalog), stop_on_signals()
    Thread(target=sender.run, args=(stop,), name="sweeper", daemon=True).start()
    Thread(target=Removals(catalog, store).run, args=(stop,), name="removals", daemon=True).start()
    worker(settings, handle, sender, store).run(stop)
    broker.close()
    store.close()


def stop_on_signals() -> Event:
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
