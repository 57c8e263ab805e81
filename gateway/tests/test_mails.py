"""What a job's owner sees of its mails."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from gateway.tests.conftest import ADA, World
from gateway.tests.exchanges import a_file, assert_problem, upload
from pipeline.catalog import MailRow, TaskRow
from pipeline.database import now, transaction


@pytest.fixture
def job(world: World) -> str:
    return str(upload(world, {"file": a_file()}).json["id"])


def a_mail(world: World, job: str, state: str | None, task: str = "done", **told: Any) -> None:
    """A letter about the job, and the record of its mail unless it has none yet."""
    args = {"address": ADA, "event": "job.done"}
    with transaction(world.services.catalog) as session:
        letters = session.query(TaskRow).where(TaskRow.job_id == job, TaskRow.kind == "deliver").count()
        row = TaskRow(id=uuid4().hex, job_id=job, kind="deliver", part=letters, args=args, state=task, **told)
        session.add(row)
        if state:
            mail = {"id": uuid4().hex, "task_id": row.id, "job_id": job, "address": ADA, "message_id": "<a@b>"}
            sent_at = now() - timedelta(hours=1) if state == "sent" else None
            session.add(MailRow(**mail, state=state, sent_at=sent_at))


@pytest.mark.parametrize(
    ("state", "task", "shown"),
    [
        (None, "queued", "waiting"),
        ("new", "queued", "waiting"),
        ("sending", "running", "waiting"),
        ("sent", "done", "sent"),
        ("refused", "failed", "refused"),
        ("unwanted", "done", "unwanted"),
        ("unclear", "done", "unclear"),
        ("new", "failed", "failed"),
    ],
)
def test_the_owner_sees_what_became_of_a_mail(world: World, job: str, state: str | None, task: str, shown: str) -> None:
    a_mail(world, job, state, task, reason="Because.")
    (mail,) = world.get(f"/v1/jobs/{job}/mails").json["items"]
    assert (mail["address"], mail["event"], mail["state"], mail["reason"]) == (ADA, "job.done", shown, "Because.")
    assert bool(mail["sent_at"]) == (shown == "sent")


def test_letters_that_were_called_off_are_not_shown(world: World, job: str) -> None:
    a_mail(world, job, "new", "cancelled")
    a_mail(world, job, "sent")
    assert [mail["state"] for mail in world.get(f"/v1/jobs/{job}/mails").json["items"]] == ["sent"]


def test_nobody_else_sees_them(world: World, job: str) -> None:
    a_mail(world, job, "sent")
    assert_problem(world.client.get(f"/v1/jobs/{job}/mails", headers=world.bob), 404, "not_found")
    assert_problem(world.get(f"/v1/jobs/{'0' * 32}/mails"), 404, "not_found")
