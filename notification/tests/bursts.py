"""Many jobs that end, and workers that tell of them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from threading import Event

from sqlalchemy import Engine, select

from dev.mail.server import MailServer
from notification.handler import Post, deliver
from notification.tests.conftest import ADDRESS, OWNER
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.catalog import JobRow, MailRow, TaskRow
from pipeline.database import transaction
from pipeline.dispatch import Dispatcher
from pipeline.errors import Reject, Retry
from pipeline.jobs import Jobs, NewJob
from pipeline.options import Options
from pipeline.queues.memory import MemoryQueue
from pipeline.tasks import Tasks
from pipeline.work import NextTask, Result
from pipeline.worker import Worker


def begin(catalog: Engine, count: int, to: Sequence[str] = (ADDRESS,), owner: str = OWNER) -> list[str]:
    """Jobs that are in work, by the ids of their tasks."""
    options = Options(notify=tuple(to))
    new = [NewJob(owner, f"talk {number}", options=options, first=NextTask("fetch")) for number in range(count)]
    begun = [Jobs(catalog).create(job) for job in new]
    return [message.task_id for _, (message,) in begun]


def end(catalog: Engine, task_id: str, reason: str | None = None) -> None:
    """The job has failed for `reason`, or is done."""
    tasks = Tasks(catalog)
    task = tasks.claim(task_id, "worker")
    assert task is not None
    tasks.reject(task, reason) if reason else tasks.finish(task, Result())


def letters(catalog: Engine, *states: str) -> list[str]:
    """The tasks that tell of jobs, in these states or all, oldest first."""
    found = select(TaskRow).where(TaskRow.kind == "deliver").order_by(TaskRow.created_at, TaskRow.id)
    with transaction(catalog) as session:
        return [row.id for row in session.scalars(found) if not states or row.state in states]


def look(catalog: Engine, post: Post, blobs: DirectoryBlobs, task_id: str) -> Result | Retry | Reject:
    """One attempt at a letter, and what a worker makes of it."""
    tasks = Tasks(catalog)
    task = tasks.claim(task_id, "worker")
    assert task is not None
    outcome: Result | Retry | Reject
    try:
        outcome = deliver(task, blobs, Path(), lambda _percent, _speed=None: None, post=post)
    except (Retry, Reject) as error:
        outcome = error
    match outcome:
        case Result():
            tasks.finish(task, outcome)
        case Reject(reason=reason):
            tasks.reject(task, reason)
        case Retry(reason=reason, delay=delay):
            tasks.retry(task, reason, delay)
    return outcome


@contextmanager
def workers(catalog: Engine, post: Post, blobs: DirectoryBlobs, count: int = 2) -> Iterator[None]:
    """The loop of so many workers, with their sweeper, while the block lasts."""
    stop, dispatcher = Event(), Dispatcher(Tasks(catalog, lease=10), MemoryQueue(), interval=0.05, lost=5)
    handlers = {"deliver": partial(deliver, post=post)}
    with ThreadPoolExecutor() as threads:
        running = [threads.submit(dispatcher.run, stop)]
        running += [
            threads.submit(Worker(handlers, dispatcher.tasks, dispatcher, blobs, lane=lane).run, stop)
            for lane in range(count)
        ]
        try:
            yield
        finally:
            stop.set()
    for ended in running:
        ended.result()


def jobs_in(mail: EmailMessage) -> list[str]:
    """That it tells of."""
    return [str(job) for job in mail.get_all("Spool-Job") or ()]


def mails_of(server: MailServer) -> Counter[str]:
    """In how many mails each job is told of."""
    return Counter(job for mail in server.mails for job in jobs_in(mail))


def jobs_by_mail(catalog: Engine, state: str) -> set[str]:
    """The jobs whose mails are in this state."""
    with transaction(catalog) as session:
        return set(session.scalars(select(MailRow.job_id).where(MailRow.state == state)))


def all_jobs(catalog: Engine) -> set[str]:
    with transaction(catalog) as session:
        return set(session.scalars(select(JobRow.id)))
