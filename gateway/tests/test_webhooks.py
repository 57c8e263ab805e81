"""/v1/webhooks, and the option that names one."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy import delete, select, update
from standardwebhooks import Webhook
from werkzeug.test import TestResponse

from gateway.tests.conftest import World
from gateway.tests.exchanges import TALK, Unread, a_file, assert_problem, upload
from gateway.tests.tus import BYTES, Tus, metadata
from pipeline.catalog import DeliveryRow, TaskRow, WebhookRow
from pipeline.database import transaction
from pipeline.jobs import Jobs
from pipeline.webhooks import MOST, MOST_NAMED
from pipeline.work import Result

URL = "https://example.org/hook?a=b"
NOBODYS = "0" * 32
Way = Callable[[World, Mapping[str, str]], TestResponse]


@pytest.fixture
def keyless(world: World) -> World:
    return world


@pytest.fixture
def keyed(world: World) -> World:
    """A world whose gateway can keep secrets."""
    return world.changed(secret_keys=SecretStr(Fernet.generate_key().decode()))


def ask(world: World, method: str, path: str, body: Any = None, user: Mapping[str, str] | None = None) -> TestResponse:
    headers = dict(world.ada if user is None else user)
    return world.client.open(f"/v1/webhooks{path}", method=method, json=body, headers=headers)


def added(world: World, url: str = URL, *events: str, user: Mapping[str, str] | None = None) -> dict[str, Any]:
    answer = ask(world, "POST", "", {"url": url, "events": events}, user)
    assert answer.status_code == 201, answer.text
    return {**answer.get_json()}


def a_delivery(world: World, reason: str = "No sound.") -> str:
    """Of a job that has failed; its message was recorded, and refused for good. Returns its id."""
    job_id = world.client.put("/v1/files/talk.mp4", data=TALK, headers=world.ada).json["id"]
    tasks = world.services.dispatcher.tasks
    with transaction(world.services.catalog) as session:
        first = session.scalars(select(TaskRow.id).where(TaskRow.job_id == job_id)).one()
    task = tasks.claim(first, "worker")
    assert task
    tasks.reject(task, reason)
    with transaction(world.services.catalog) as session:
        called = session.scalars(select(TaskRow).where(TaskRow.job_id == job_id, TaskRow.kind == "webhook")).one()
        row = DeliveryRow(
            id=f"msg_{called.id}",
            webhook_id=called.args["webhook"],
            job_id=job_id,
            event=called.args["event"],
            payload="{}",
            state="failed",
            attempts=1,
            status=500,
            reason="It answered 500.",
        )
        session.add(row)
    call = tasks.claim(called.id, "worker")
    assert call
    tasks.reject(call, "It answered 500.")
    return str(row.id)


def test_a_webhook_is_added_with_a_secret_that_signs(keyed: World) -> None:
    answer = ask(keyed, "POST", "", {"url": URL, "events": ["job.done", "job.done"]})
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    made = answer.get_json()
    assert (made["url"], made["events"], made["state"], made["reason"], made["by_job"]) == (
        URL,
        ["job.done"],
        "active",
        None,
        False,
    )
    assert Webhook(made["secret"])
    shown = ask(keyed, "GET", f"/{made['id']}").json
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    assert ask(keyed, "GET", "").json == {"items": [shown]}
    secret = ask(keyed, "GET", f"/{made['id']}/secret")
    assert (secret.json, secret.headers["Cache-Control"]) == ({"secret": made["secret"]}, "no-store")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": "example.org"},
        {"url": "ftp://example.org/"},
        {"url": "https://ada:secret@example.org/"},
        {"url": "https://example.org/" + "x" * 2000},
        {"url": URL, "events": ["job.begun"]},
        {"url": URL, "events": "job.done"},
        {"url": URL, "secret": "whsec_mine"},
    ],
)
def test_what_is_no_webhook_is_refused(keyed: World, body: dict[str, Any]) -> None:
    assert_problem(ask(keyed, "POST", "", body), 422, "invalid")
    assert ask(keyed, "GET", "").json == {"items": []}


def test_a_webhook_is_changed(keyed: World) -> None:
    path = f"/{added(keyed)['id']}"
    changed = ask(keyed, "PATCH", path, {"url": "https://example.org/new", "events": ["export.ready"]})
    assert (changed.status_code, changed.json["url"], changed.json["events"]) == (
        200,
        "https://example.org/new",
        ["export.ready"],
    )
    assert ask(keyed, "PATCH", path, {"state": "disabled"}).json["state"] == "disabled"
    with transaction(keyed.services.catalog) as session:
        session.execute(update(WebhookRow).values(reason="It is gone."))
    assert ask(keyed, "GET", path).json["reason"] == "It is gone."
    again = ask(keyed, "PATCH", path, {"state": "active"}).json
    assert (again["state"], again["reason"], again["url"]) == ("active", None, "https://example.org/new")
    for wrong in ({"url": "https://a@b.org"}, {"events": ["x"]}, {"state": "gone"}, {"by_job": True}):
        assert_problem(ask(keyed, "PATCH", path, wrong), 422, "invalid")
    assert ask(keyed, "GET", path).json == again


def test_a_webhook_is_deleted_with_its_deliveries(keyed: World) -> None:
    path = f"/{added(keyed)['id']}"
    a_delivery(keyed)
    assert ask(keyed, "DELETE", path).status_code == 204
    assert_problem(ask(keyed, "GET", path), 404, "not_found")
    assert_problem(ask(keyed, "DELETE", path), 404, "not_found")
    with transaction(keyed.services.catalog) as session:
        assert session.scalars(select(DeliveryRow)).all() == []


def test_a_secret_is_replaced(keyed: World) -> None:
    made = added(keyed)
    answer = ask(keyed, "POST", f"/{made['id']}/rotate")
    assert answer.status_code == 200
    assert answer.json["secret"] != made["secret"]
    assert ask(keyed, "GET", f"/{made['id']}/secret").json == answer.json


def test_a_secret_whose_keys_have_gone_is_made_anew(keyed: World) -> None:
    path = f"/{added(keyed)['id']}"
    other = keyed.changed(secret_keys=SecretStr(Fernet.generate_key().decode()))
    assert_problem(ask(other, "GET", f"{path}/secret"), 409, "conflict")
    secret = ask(other, "POST", f"{path}/rotate").json
    assert ask(other, "GET", f"{path}/secret").json == secret


def test_a_user_has_so_many_and_no_more(keyed: World) -> None:
    for _ in range(MOST):
        added(keyed)
    answer = ask(keyed, "POST", "", {"url": URL})
    assert_problem(answer, 409, "conflict")
    assert str(MOST) in answer.json["detail"]
    added(keyed, user=keyed.bob)


def test_deliveries_are_listed_and_sent_again(keyed: World) -> None:
    path = f"/{added(keyed)['id']}"
    assert ask(keyed, "GET", f"{path}/deliveries").json == {"items": [], "next": None}
    first, second = a_delivery(keyed), a_delivery(keyed)
    page = ask(keyed, "GET", f"{path}/deliveries?limit=1").json
    assert [found["id"] for found in page["items"]] == [second]
    found = page["items"][0]
    assert (found["event"], found["state"], found["attempts"], found["status"], found["reason"], found["sent_at"]) == (
        "job.failed",
        "failed",
        1,
        500,
        "It answered 500.",
        None,
    )
    page = ask(keyed, "GET", f"{path}/deliveries?limit=1&cursor={page['next']}").json
    assert ([found["id"] for found in page["items"]], page["next"]) == ([first], None)
    assert_problem(ask(keyed, "GET", f"{path}/deliveries?cursor=nonsense"), 422, "invalid")

    again = ask(keyed, "POST", f"{path}/deliveries/{first}/resend")
    assert (again.status_code, again.json["id"], again.json["state"]) == (202, first, "new")
    delivery = keyed.queue.consumer(["webhook"]).receive(1)
    assert delivery
    task = keyed.services.dispatcher.tasks.claim(delivery.message.task_id, "worker")
    assert task
    assert task.args == {"delivery": first, "attempts": 1}
    assert_problem(ask(keyed, "POST", f"{path}/deliveries/{first}/resend"), 409, "conflict")
    ask(keyed, "PATCH", path, {"state": "disabled"})
    assert_problem(ask(keyed, "POST", f"{path}/deliveries/{second}/resend"), 409, "conflict")


def test_strangers_find_nothing(keyed: World) -> None:
    mine, theirs = added(keyed), added(keyed, user=keyed.bob)
    delivery = a_delivery(keyed)
    for path in (f"/{mine['id']}", f"/{NOBODYS}", "/none"):
        for method, rest, body in (
            ("GET", "", None),
            ("PATCH", "", {"state": "disabled"}),
            ("DELETE", "", None),
            ("GET", "/secret", None),
            ("POST", "/rotate", None),
            ("GET", "/deliveries", None),
            ("POST", f"/deliveries/{delivery}/resend", None),
        ):
            assert_problem(ask(keyed, method, path + rest, body, keyed.bob), 404, "not_found")
    foreign = f"/{theirs['id']}/deliveries/{delivery}/resend"
    assert_problem(ask(keyed, "POST", foreign, None, keyed.bob), 404, "not_found")
    assert [found["id"] for found in ask(keyed, "GET", "", user=keyed.bob).json["items"]] == [theirs["id"]]
    assert ask(keyed, "GET", f"/{mine['id']}").json["state"] == "active"
    assert_problem(ask(keyed, "GET", "", user={}), 401, "unauthorized")


def test_where_no_secret_can_be_kept_it_is_said_which_setting_is_missing(keyless: World) -> None:
    for answer in (ask(keyless, "POST", "", {"url": URL}), ask(keyless, "GET", "")):
        assert_problem(answer, 501, "not_set_up")
        assert answer.json["settings"] == ["SPOOL_SECRET_KEYS"]


# ---- the option


def in_a_form(world: World, asked: Mapping[str, str]) -> TestResponse:
    return upload(world, {**asked, "file": a_file()})


def in_the_query(world: World, asked: Mapping[str, str]) -> TestResponse:
    return world.client.put("/v1/files/talk.mp4", query_string=dict(asked), data=TALK, headers=world.ada)


def in_json(world: World, asked: Mapping[str, str]) -> TestResponse:
    body = {"url": "https://media.example.org/talk.mp4", **asked}
    return world.client.post("/v1/jobs", json=body, headers=world.ada)


def in_metadata(world: World, asked: Mapping[str, str]) -> TestResponse:
    headers = {"Upload_Length": str(len(TALK)), "Upload_Metadata": metadata(**asked), "Content_Type": BYTES}
    return Tus(world).send("POST", "/v1/uploads", TALK, **headers)


ways = pytest.mark.parametrize("way", [in_a_form, in_the_query, in_json, in_metadata])


@ways
def test_a_job_names_a_webhook_which_its_owner_finds(keyed: World, way: Way) -> None:
    for _ in range(2):
        assert way(keyed, {"webhook": URL}).status_code < 300
    (found,) = ask(keyed, "GET", "").json["items"]
    assert (found["url"], found["by_job"], found["events"]) == (URL, True, [])
    assert Webhook(ask(keyed, "GET", f"/{found['id']}/secret").json["secret"])
    assert_problem(ask(keyed, "PATCH", f"/{found['id']}", {"url": "https://example.org/x"}), 409, "conflict")
    assert ask(keyed, "GET", "", user=keyed.bob).json == {"items": []}


@ways
def test_no_job_names_a_webhook_that_is_disabled(keyed: World, way: Way) -> None:
    assert way(keyed, {"webhook": URL}).status_code < 300
    (found,) = ask(keyed, "GET", "").json["items"]
    ask(keyed, "PATCH", f"/{found['id']}", {"state": "disabled"})
    refused = way(keyed, {"webhook": URL})
    assert_problem(refused, 409, "conflict")
    assert "disabled" in refused.json["detail"]
    ask(keyed, "PATCH", f"/{found['id']}", {"state": "active"})
    assert way(keyed, {"webhook": URL}).status_code < 300


def test_a_job_that_runs_again_names_its_webhook_again(keyed: World) -> None:
    job_id = in_json(keyed, {"webhook": URL}).json["id"]
    keyed.client.post(f"/v1/jobs/{job_id}/cancel", headers=keyed.ada)
    with transaction(keyed.services.catalog) as session:
        session.execute(delete(WebhookRow))
    assert keyed.client.post(f"/v1/jobs/{job_id}/retry", headers=keyed.ada).status_code == 202
    assert [found["url"] for found in ask(keyed, "GET", "").json["items"]] == [URL]


@ways
def test_where_no_secret_can_be_kept_no_job_names_a_webhook(keyless: World, way: Way) -> None:
    assert_problem(way(keyless, {"webhook": URL}), 501, "not_set_up")
    assert keyless.is_untouched()
    assert way(keyless, {}).status_code < 300


@ways
def test_an_address_that_is_not_called_is_refused(keyed: World, way: Way) -> None:
    answer = way(keyed, {"webhook": "https://ada:secret@example.org/"})
    assert_problem(answer, 422, "invalid")
    assert answer.json["detail"].startswith("webhook: ")
    assert keyed.is_untouched()


@ways
def test_jobs_name_so_many_webhooks_and_no_more(keyed: World, way: Way) -> None:
    owner = keyed.get("/v1/account").json["owner"]
    with transaction(keyed.services.catalog) as session:
        session.add_all(
            WebhookRow(id=f"{number:032}", owner=owner, url=f"{URL}{number}", secrets="", events=[], by_job=True)
            for number in range(MOST_NAMED)
        )
    assert_problem(way(keyed, {"webhook": URL}), 409, "conflict")
    assert keyed.is_untouched()
    assert way(keyed, {"webhook": f"{URL}7"}).status_code < 300


def test_what_is_missing_is_said_before_the_bytes_come(keyless: World) -> None:
    answer = keyless.client.put(f"/v1/files/a.mp4?webhook={URL}", input_stream=Unread(), headers=keyless.ada)
    assert_problem(answer, 501, "not_set_up")


def test_the_webhook_that_a_job_named_is_told_of_it(keyed: World) -> None:
    job_id = in_json(keyed, {"webhook": URL}).json["id"]
    in_json(keyed, {"webhook": "https://example.org/other"})
    tasks = keyed.services.dispatcher.tasks
    with transaction(keyed.services.catalog) as session:
        first = session.scalars(select(TaskRow.id).where(TaskRow.job_id == job_id)).one()
    task = tasks.claim(first, "worker")
    assert task
    told = [message for message in tasks.finish(task, Result()) if message.kind == "webhook"]
    (found,) = [found for found in ask(keyed, "GET", "").json["items"] if found["url"] == URL]
    (message,) = told
    called = tasks.claim(message.task_id, "worker")
    assert called
    assert called.args["webhook"] == found["id"]
    assert Jobs(keyed.services.catalog).get(keyed.get("/v1/account").json["owner"], job_id)
