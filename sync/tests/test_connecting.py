"""Accounts that are connected and disconnected, with the stand-in of Dropbox and the real SDK."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from structlog.testing import capture_logs

from dev.dropbox.faults import Exchange, later
from dev.dropbox.grants import challenge
from pipeline.authorizations import SCOPES
from pipeline.catalog import ConnectionRow
from pipeline.connection_rows import Connection
from pipeline.database import transaction
from pipeline.errors import Retry
from pipeline.tasks import Tasks
from pipeline.tests.makers import ADDRESS, OWNER
from pipeline.wishes import Wishes
from pipeline.work import Result, Task
from sync.dropbox import connecting, errors
from sync.dropbox.accounts import LOST
from sync.dropbox.connecting import connect, disconnect
from sync.tests.linked import Linked, quiet

VERIFIER = "v" * 64
BACK = "https://spool.example/v1/connections/dropbox/callback"


def _code(linked: Linked, scopes: Sequence[str] = SCOPES, offline: bool = True, verifier: str = VERIFIER) -> str:
    """What Dropbox sends back once the owner has agreed to what the gateway asks for."""
    asked = {"client_id": linked.stand_in.app.key, "response_type": "code", "redirect_uri": BACK, "state": "s"}
    asked |= {"scope": " ".join(scopes), "code_challenge": challenge(verifier), "code_challenge_method": "S256"}
    where = linked.stand_in.authorize(asked | ({"token_access_type": "offline"} if offline else {}))
    return parse_qs(urlsplit(where).query)["code"][0]


def _begin(linked: Linked, code: str, *folders: str) -> Task:
    """Disconnects what was connected before, and begins anew."""
    linked.connections.gone(linked.id)
    secret = _sealed(linked, code)
    wishes = Wishes.model_validate({"folders": folders or ("/Talks",)})
    begun, (message,) = linked.connections.begin(OWNER, wishes, secret, ADDRESS)
    linked.id = begun.id
    return linked.claim(message.task_id)


def _sealed(linked: Linked, code: str) -> str:
    assert linked.accounts.vault
    return linked.accounts.vault.seal(json.dumps({"code": code, "verifier": VERIFIER, "redirect_uri": BACK}))


def _connect(linked: Linked, task: Task) -> Connection:
    result = connect(task, linked.blobs, linked.folder, quiet, accounts=linked.accounts)
    Tasks(linked.catalog).finish(task, result)
    return linked.connection


def _disconnect(linked: Linked, failures: int = 0) -> Result:
    begun = linked.connections.disconnect(OWNER, linked.id)
    assert begun
    task = next(linked.claim(message.task_id) for message in begun[1] if message.kind == "disconnect")
    task = replace(task, failures=failures)
    return disconnect(task, linked.blobs, linked.folder, quiet, accounts=linked.accounts)


def test_an_account_is_connected_and_watched(linked: Linked) -> None:
    found = _connect(linked, _begin(linked, _code(linked)))
    assert (found.state, found.reason) == ("active", None)
    ada = linked.stand_in.account
    assert (found.account_id, found.account_name, found.account_email) == (ada.id, ada.name, ada.email)
    assert linked.states(linked.id) == {"connect": "done", "watch": "queued"}
    assert linked.accounts.open(found, lambda: None).who().id == ada.id


def test_the_token_is_kept_sealed(linked: Linked) -> None:
    found = _connect(linked, _begin(linked, _code(linked)))
    token = linked.stand_in.grants.given[-1].refresh_token
    assert linked.accounts.secrets(found) == {"refresh_token": token}
    assert token not in (found.secret or "")


@pytest.mark.parametrize("wrong", ["code", "verifier", "used"])
def test_a_sign_in_that_dropbox_does_not_take_says_what_to_do(linked: Linked, wrong: str) -> None:
    code = _code(linked, verifier="w" * 64) if wrong == "verifier" else _code(linked)
    if wrong == "used":
        _connect(linked, _begin(linked, code))
    found = _connect(linked, _begin(linked, "nonsense" if wrong == "code" else code))
    assert (found.state, found.reason) == ("broken", errors.CODE)


def test_all_scopes_have_to_be_allowed(linked: Linked) -> None:
    found = _connect(linked, _begin(linked, _code(linked, SCOPES[:-1])))
    assert found.state == "broken"
    assert SCOPES[-1] in (found.reason or "")
    assert linked.stand_in.grants.given[-1].revoked


def test_access_for_a_few_hours_is_not_enough(linked: Linked) -> None:
    found = _connect(linked, _begin(linked, _code(linked, offline=False)))
    assert (found.state, found.reason) == ("broken", connecting.SHORT)


def _again(linked: Linked, code: str) -> Task:
    """What broke is connected anew."""
    linked.connections.broken(linked.id, "suspended")
    begun = linked.connections.reconnect(OWNER, linked.id, _sealed(linked, code))
    assert begun
    return next(linked.claim(message.task_id) for message in begun[1] if message.kind == "connect")


@pytest.mark.parametrize("next_step", ["resume", "disconnect"])
def test_another_account_than_before_is_given_back(linked: Linked, next_step: str) -> None:
    _connect(linked, _begin(linked, _code(linked)))
    linked.stand_in.signed_in = linked.stand_in.new_account("Bob", "bob@example.com")
    found = _connect(linked, _again(linked, _code(linked)))
    assert found.state == "broken"
    assert "another account" in (found.reason or "")
    _, adas, bobs = linked.stand_in.grants.given
    assert (adas.revoked, bobs.revoked) == (False, True)
    if next_step == "resume":
        linked.connections.resume(OWNER, linked.id)
        assert linked.accounts.open(linked.connection, lambda: None).who().id == adas.account
    else:
        _disconnect(linked)
        assert adas.revoked


def test_a_sign_in_that_fails_leaves_what_opened_the_account_before(linked: Linked) -> None:
    _connect(linked, _begin(linked, _code(linked)))
    assert _connect(linked, _again(linked, "nonsense")).state == "broken"
    linked.connections.resume(OWNER, linked.id)
    assert linked.accounts.open(linked.connection, lambda: None).who().id == linked.stand_in.account.id


def test_who_connects_again_goes_on_and_what_opened_it_before_is_given_back(linked: Linked) -> None:
    _connect(linked, _begin(linked, _code(linked)))
    found = _connect(linked, _again(linked, _code(linked)))
    assert (found.state, found.reason) == ("active", None)
    _, before, now = linked.stand_in.grants.given
    assert (before.revoked, now.revoked) == (True, False)
    assert linked.accounts.secrets(found) == {"refresh_token": now.refresh_token}


def test_keys_that_are_lost_do_not_keep_it_from_being_connected_anew(linked: Linked) -> None:
    _connect(linked, _begin(linked, _code(linked)))
    with transaction(linked.catalog) as session:
        session.get_one(ConnectionRow, linked.id).secret = "sealed-by-another-key"
    found = _connect(linked, _again(linked, _code(linked)))
    assert (found.state, found.reason) == ("active", None)


def test_keys_that_are_lost_and_a_sign_in_that_fails_leave_a_connection_broken(linked: Linked) -> None:
    _connect(linked, _begin(linked, _code(linked)))
    with transaction(linked.catalog) as session:
        session.get_one(ConnectionRow, linked.id).secret = "sealed-by-another-key"
    assert _connect(linked, _again(linked, "not a code")).state == "broken"
    linked.connections.resume(OWNER, linked.id)
    connection = linked.connections.load(linked.id)
    assert connection
    linked.accounts.use(connection, lambda: None, lambda _: Result())
    broken = linked.connections.load(linked.id)
    assert broken
    assert (broken.state, broken.reason) == ("broken", LOST)


def test_what_an_earlier_sign_in_left_open_is_given_back(linked: Linked) -> None:
    task = _begin(linked, _code(linked, SCOPES[:-1]))
    linked.stand_in.fail("500", route="auth/token/revoke")
    assert _connect(linked, task).state == "broken"
    left = linked.stand_in.grants.given[-1]
    assert not left.revoked
    assert _connect(linked, _again(linked, _code(linked))).state == "active"
    assert left.revoked


@pytest.mark.parametrize(
    ("route", "fault"),
    [("oauth2/token", "500"), ("oauth2/token", "close"), ("users/get_current_account", "500")],
)
def test_trouble_of_dropbox_is_no_end(linked: Linked, route: str, fault: str) -> None:
    task = _begin(linked, _code(linked))
    linked.stand_in.fail(fault, route=route)
    with pytest.raises(Retry):
        _connect(linked, task)
    assert linked.connection.state == "connecting"
    found = _connect(linked, task)
    assert (found.state, found.reason) == ("active", None)
    (_, grant) = linked.stand_in.grants.given
    assert not grant.revoked


def test_a_sign_in_that_is_given_up_halfway_leaves_nothing_open(linked: Linked) -> None:
    task = _begin(linked, _code(linked))
    linked.stand_in.fail("500", route="users/get_current_account")
    with pytest.raises(Retry):
        _connect(linked, task)
    _disconnect(linked)
    assert linked.stand_in.grants.given[-1].revoked


@pytest.mark.parametrize("route", ["oauth2/token", "users/get_current_account"])
def test_a_sign_in_that_comes_too_late_is_given_back(linked: Linked, route: str) -> None:
    task = _begin(linked, _code(linked))

    def leave(_: Exchange, proceed: Callable[[], None]) -> None:
        linked.connections.disconnect(OWNER, linked.id)
        proceed()

    linked.stand_in.fail(leave, route=route)
    assert _connect(linked, task).state == "leaving"
    assert linked.stand_in.grants.given[-1].revoked


def test_of_two_attempts_the_slower_one_ends_nothing(linked: Linked) -> None:
    task = _begin(linked, _code(linked))

    def be_faster(_: Exchange, proceed: Callable[[], None]) -> None:
        assert _connect(linked, task).state == "active"
        proceed()

    linked.stand_in.fail(be_faster, route="users/get_current_account")
    found = _connect(linked, task)
    assert (found.state, found.reason) == ("active", None)
    assert not linked.stand_in.grants.given[-1].revoked


def test_a_connection_that_nobody_waits_for_is_not_made(linked: Linked) -> None:
    task = _begin(linked, _code(linked))
    linked.connections.broken(linked.id, "given up")
    linked.stand_in.reset_counters()
    _connect(linked, task)
    assert not linked.stand_in.calls


def test_disconnecting_revokes_the_access_and_forgets_the_connection(linked: Linked) -> None:
    _connect(linked, _begin(linked, _code(linked)))
    _disconnect(linked)
    assert linked.connections.load(linked.id) is None
    assert linked.stand_in.grants.given[-1].revoked


@pytest.mark.parametrize("state", ["never worked", "revoked there", "suspended"])
def test_what_cannot_be_revoked_any_more_is_forgotten(linked: Linked, state: str) -> None:
    task = _begin(linked, _code(linked))
    if state != "never worked":
        _connect(linked, task)
    linked.stand_in.grants.disconnect(linked.stand_in.account.id)
    if state == "suspended":
        linked.stand_in.fail("suspended")
    _disconnect(linked)
    assert linked.connections.load(linked.id) is None


def test_revoking_is_tried_for_a_while(linked: Linked) -> None:
    linked.stand_in.fail("500", "500", route="auth/token/revoke")
    with pytest.raises(Retry):
        _disconnect(linked)
    assert linked.connection.state == "leaving"
    with capture_logs() as logged:
        _disconnect(linked, failures=connecting.REVOCATIONS)
    assert linked.connections.load(linked.id) is None
    assert [entry["event"] for entry in logged] == ["access was not given back, but is forgotten"]


def test_keys_that_are_lost_do_not_keep_a_connection(linked: Linked) -> None:
    with transaction(linked.catalog) as session:
        session.get_one(ConnectionRow, linked.id).secret = "of another key"
    _disconnect(linked, failures=connecting.REVOCATIONS)
    assert linked.connections.load(linked.id) is None


@pytest.mark.parametrize("fault", [None, "500", "429", "revoked", "html", "close", later(600), "expired"])
def test_no_token_is_logged_or_told(linked: Linked, fault: str | None, caplog: pytest.LogCaptureFixture) -> None:
    """Neither by Spool, nor by the SDK or what it stands on."""
    code = _code(linked)
    task, reason = _begin(linked, code), ""
    if fault:
        linked.stand_in.fail(fault)
    with capture_logs() as logged, caplog.at_level(logging.DEBUG):
        try:
            reason = str(_connect(linked, task).reason)
            _disconnect(linked)
        except Retry as failed:
            reason = f"{failed.reason} {failed.__cause__!r}"
    told = f"{reason} {logged} {caplog.text}"
    grants = linked.stand_in.grants
    secrets = [code, VERIFIER, *(grant.refresh_token for grant in grants.given), *grants._access]
    assert caplog.records
    assert not [secret for secret in secrets if secret in told]
