from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, select

from pipeline.catalog import TaskRow, WebhookRow
from pipeline.database import transaction
from pipeline.jobs import Jobs, NewJob
from pipeline.options import Options
from pipeline.tasks import Tasks
from pipeline.tests.makers import ADDRESS, OWNER
from pipeline.work import NextTask, Result


def told(catalog: Engine, job_id: str) -> list[tuple[str, dict[str, Any]]]:
    with transaction(catalog) as session:
        rows = session.scalars(select(TaskRow).where(TaskRow.job_id == job_id).order_by(TaskRow.kind, TaskRow.part))
        return [(row.kind, row.args) for row in rows if row.kind in ("deliver", "webhook", "return")]


def ended(catalog: Engine, reason: str | None = None, kind: str = "recording", **given: Any) -> str:
    """The id of a job that has failed for `reason`, or is done."""
    tasks, options = Tasks(catalog), Options.model_validate({"notify": [], **given.pop("options", {})})
    first = {"recording": NextTask("extract"), "export": NextTask("export"), "connection": NextTask("watch")}[kind]
    new = NewJob(OWNER, "talk", options=options, first=first, **given)
    job, (message,) = Jobs(catalog, kind).create(new)
    task = tasks.claim(message.task_id, "worker")
    assert task is not None
    tasks.reject(task, reason) if reason else tasks.finish(task, Result())
    return job.id


def a_webhook(catalog: Engine, *events: str, url: str = "https://example.org/hook", **given: Any) -> str:
    row = WebhookRow(id=uuid4().hex, owner=OWNER, url=url, secrets="", events=list(events), **given)
    with transaction(catalog) as session:
        session.add(row)
        return row.id


@pytest.mark.parametrize(
    ("kind", "reason", "event"),
    [
        ("recording", None, "job.done"),
        ("recording", "broken", "job.failed"),
        ("export", None, "export.ready"),
        ("export", "broken", "export.failed"),
        ("connection", "revoked", "connection.broken"),
    ],
)
def test_people_and_programs_hear_of_the_same_events(
    catalog: Engine, kind: str, reason: str | None, event: str
) -> None:
    webhook = a_webhook(catalog)
    job_id = ended(catalog, reason, kind, options={"notify": [ADDRESS]})
    outcome = {"event": event, "state": "failed" if reason else "done", "reason": reason}
    assert told(catalog, job_id) == [
        ("deliver", {"address": ADDRESS, **outcome}),
        ("webhook", {"webhook": webhook, **outcome}),
    ]


def test_a_webhook_hears_only_of_what_it_wants(catalog: Engine) -> None:
    a_webhook(catalog, "job.failed")
    wanting = a_webhook(catalog, "export.ready", "job.done")
    a_webhook(catalog, state="disabled")
    assert [args["webhook"] for _, args in told(catalog, ended(catalog))] == [wanting]


def test_a_webhook_of_jobs_hears_of_those_that_name_it(catalog: Engine) -> None:
    named = a_webhook(catalog, url="https://example.org/one", by_job=True)
    a_webhook(catalog, url="https://example.org/two", by_job=True)
    assert told(catalog, ended(catalog)) == []
    job_id = ended(catalog, options={"webhook": "https://example.org/one"})
    assert [args["webhook"] for _, args in told(catalog, job_id)] == [named]


def test_of_a_webhook_that_a_job_named_and_was_disabled_since_it_is_put_on_record(catalog: Engine) -> None:
    named = a_webhook(catalog, url="https://example.org/one", by_job=True, state="disabled")
    job_id = ended(catalog, options={"webhook": "https://example.org/one"})
    assert [args["webhook"] for _, args in told(catalog, job_id)] == [named]


def test_an_address_that_hears_already_hears_once(catalog: Engine) -> None:
    owners = a_webhook(catalog, "job.done", url="https://example.org/one")
    named = a_webhook(catalog, url="https://example.org/one", by_job=True)
    options = {"webhook": "https://example.org/one"}
    assert [args["webhook"] for _, args in told(catalog, ended(catalog, options=options))] == [owners]
    assert [args["webhook"] for _, args in told(catalog, ended(catalog, "broken", options=options))] == [named]


def test_results_go_back_to_where_the_recording_was_found_once_there_are_some(catalog: Engine) -> None:
    assert told(catalog, ended(catalog, connection_id="c" * 32)) == [("return", {})]
    assert told(catalog, ended(catalog, "broken", connection_id="c" * 32)) == []


def test_what_tells_of_a_job_does_not_open_it_again(catalog: Engine) -> None:
    job_id = ended(catalog, options={"notify": [ADDRESS]}, connection_id="c" * 32)
    tasks = Tasks(catalog)
    for message in tasks.unpublished(0):
        task = tasks.claim(message.task_id, "worker")
        assert task is not None
        assert tasks.reject(task, "nobody there") == []
    job = Jobs(catalog).get(OWNER, job_id)
    assert job is not None
    assert (job.state, job.reason) == ("done", None)


def test_jobs_of_another_kind_are_not_found(catalog: Engine) -> None:
    job_id = ended(catalog, kind="export")
    assert Jobs(catalog).get(OWNER, job_id) is None
    assert Jobs(catalog).list(OWNER) == ([], None)
    assert Jobs(catalog, "export").get(OWNER, job_id) is not None
    assert not Jobs(catalog).delete(OWNER, job_id)
