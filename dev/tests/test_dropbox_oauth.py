"""Connecting to the stand-in of Dropbox, and what tokens are good for, by the unmodified SDK."""

import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import parse_qsl, urlsplit

import dropbox
import httpx
import pytest
import requests
from dropbox.exceptions import AuthError, BadInputError
from dropbox.oauth import NotApprovedException

from dev.dropbox.grants import App
from dev.dropbox.routes import TOKEN
from dev.dropbox.stand_in import DropboxStandIn

BACK = "https://spool.example/v1/connections/dropbox/callback"
SCOPES = ["account_info.read", "files.metadata.read", "files.content.read", "files.content.write"]


@contextmanager
def flow(stand_in: DropboxStandIn, session: dict[str, str], back: str = BACK) -> Iterator[dropbox.DropboxOAuth2Flow]:
    flow = dropbox.DropboxOAuth2Flow(
        stand_in.app.key, back, session, "csrf", token_access_type="offline", scope=SCOPES, use_pkce=True, timeout=30
    )
    with closing(flow.requests_session):
        yield flow


def click(stand_in: DropboxStandIn, url: str) -> dict[str, str]:
    """What the browser brings back to the app."""
    answer = httpx.get(url, verify=ssl.create_default_context(cafile=stand_in.authority))
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith(f"{BACK}?")
    return dict(parse_qsl(urlsplit(answer.headers["Location"]).query))


def test_the_whole_flow_gives_tokens_for_the_account_of_who_approved(dropbox_stand_in: DropboxStandIn) -> None:
    dropbox_stand_in.signed_in = dropbox_stand_in.new_account("Grace Hopper", "grace@example.com")
    with flow(dropbox_stand_in, {}) as asking:
        result = asking.finish(click(dropbox_stand_in, asking.start("mine")))
    assert (result.url_state, result.scope.split()) == ("mine", SCOPES)
    assert result.account_id == dropbox_stand_in.signed_in.id
    with dropbox.Dropbox(oauth2_access_token=result.access_token) as client:
        assert client.users_get_current_account().email == "grace@example.com"
    with dropbox.Dropbox(oauth2_refresh_token=result.refresh_token, app_key=dropbox_stand_in.app.key) as client:
        assert client.users_get_current_account().name.display_name == "Grace Hopper"


def test_a_refusal_comes_back_with_its_state(dropbox_stand_in: DropboxStandIn) -> None:
    dropbox_stand_in.denies = True
    with flow(dropbox_stand_in, {}) as asking:
        brought = click(dropbox_stand_in, asking.start())
        assert brought["error"] == "access_denied"
        with pytest.raises(NotApprovedException, match="chose not to"):
            asking.finish(brought)


def test_a_code_works_once(dropbox_stand_in: DropboxStandIn) -> None:
    session: dict[str, str] = {}
    with flow(dropbox_stand_in, session) as asking:
        brought = click(dropbox_stand_in, asking.start())
        kept = dict(session)
        asking.finish(brought)
        session |= kept
        with pytest.raises(requests.HTTPError, match="400"):
            asking.finish(brought)


@pytest.mark.parametrize("wrong", ["code_verifier", "redirect_uri"])
def test_a_code_needs_its_verifier_and_its_address(dropbox_stand_in: DropboxStandIn, wrong: str) -> None:
    with flow(dropbox_stand_in, {}) as asking:
        brought = click(dropbox_stand_in, asking.start())
        setattr(asking, wrong, "another" * 7)
        with pytest.raises(requests.HTTPError, match="400"):
            asking.finish(brought)


def test_pages_say_what_the_app_asked_wrongly(dropbox_stand_in: DropboxStandIn) -> None:
    with flow(dropbox_stand_in, {}) as asking:
        url = asking.start()
    dropbox_stand_in.grants.app = App(scopes=("account_info.read",))
    answer = httpx.get(url, verify=ssl.create_default_context(cafile=dropbox_stand_in.authority))
    assert (answer.status_code, answer.text) == (400, "Invalid scope")


def test_a_token_without_the_scope_is_told_which_one_it_lacks(dropbox_stand_in: DropboxStandIn) -> None:
    grant = dropbox_stand_in.grants.give(dropbox_stand_in.account.id, ("account_info.read",))
    key = dropbox_stand_in.app.key
    with dropbox.Dropbox(oauth2_refresh_token=grant.refresh_token, app_key=key) as client:
        with pytest.raises(AuthError) as error:
            client.files_list_folder("")
        assert error.value.error.get_missing_scope().required_scope == "files.metadata.read"


def test_a_token_that_ends_in_mid_life_is_refreshed(dropbox_stand_in: DropboxStandIn, client: dropbox.Dropbox) -> None:
    client.users_get_current_account()
    dropbox_stand_in.grants.end_access()
    client.users_get_current_account()
    assert dropbox_stand_in.calls == {TOKEN: 2, "users/get_current_account": 3}
    assert dropbox_stand_in.api_calls == 3


def test_what_is_revoked_is_good_for_nothing(dropbox_stand_in: DropboxStandIn, client: dropbox.Dropbox) -> None:
    client.auth_token_revoke()
    for _ in range(2):
        with pytest.raises(AuthError) as error:
            client.users_get_current_account()
        assert error.value.error.is_invalid_access_token()
        client._oauth2_access_token = None  # the next time the refresh token is refused
    assert dropbox_stand_in.calls["users/get_current_account"] == 1
    assert not dropbox_stand_in.grants.connected(dropbox_stand_in.account.id)


def test_an_app_with_another_secret_gets_no_token(dropbox_stand_in: DropboxStandIn) -> None:
    token = dropbox_stand_in.grants.give(dropbox_stand_in.account.id).refresh_token
    key = dropbox_stand_in.app.key
    with (
        dropbox.Dropbox(oauth2_refresh_token=token, app_key=key, app_secret="another") as client,
        pytest.raises(BadInputError, match="invalid_client"),
    ):
        client.users_get_current_account()


def test_an_owner_who_disconnects_the_app_revokes_all(
    dropbox_stand_in: DropboxStandIn, client: dropbox.Dropbox
) -> None:
    client.users_get_current_account()
    dropbox_stand_in.grants.disconnect(dropbox_stand_in.account.id)
    with pytest.raises(AuthError) as error:
        client.users_get_current_account()
    assert error.value.error.is_invalid_access_token()
