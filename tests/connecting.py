"""A person who connects a Dropbox, with a browser's habits."""

import ssl
from datetime import timedelta
from typing import Any

import httpx

from dev.dropbox.account import Account
from dev.dropbox.content import Content
from dev.dropbox.stand_in import DropboxStandIn
from dev.waiting import eventually
from pipeline.database import now
from tests.client import Client


def settings(stand_in: DropboxStandIn) -> dict[str, str]:
    """What an installation is given to use the stand-in."""
    app = {"SPOOL_DROPBOX_APP_KEY": stand_in.app.key, "SPOOL_DROPBOX_APP_SECRET": stand_in.app.secret}
    return {**app, **stand_in.environment}


def connect(client: Client, stand_in: DropboxStandIn, *folders: str, **wishes: Any) -> str:
    """Asks, permits it at Dropbox, and comes back; returns the id of the connection once it works."""
    asked = client.http.post("/v1/connections/dropbox/start", json={"folders": folders, **wishes})
    assert asked.status_code == 200, asked.text
    url = asked.json()["authorize_url"].replace("https://www.dropbox.com", stand_in.url)
    trusted = ssl.create_default_context(cafile=stand_in.authority)
    there = httpx.get(url, verify=trusted, timeout=30, trust_env=False)
    assert there.status_code == 302, there.text
    back = client.http.get(there.headers["Location"])
    assert back.status_code == 200, back.text
    (found,) = client.http.get("/v1/connections").json()["items"]
    eventually(lambda: state(client, found["id"])["state"] == "active", timeout=60)
    return str(found["id"])


def state(client: Client, connection: str) -> dict[str, Any]:
    answer = client.http.get(f"/v1/connections/{connection}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def sync(client: Client, connection: str) -> None:
    """Looks now what is new, and waits until that is known."""
    before = state(client, connection)["checked_at"]
    assert client.http.post(f"/v1/connections/{connection}/sync").status_code == 202
    eventually(lambda: state(client, connection)["checked_at"] != before, timeout=60)


def put(account: Account, path: str, content: bytes | Content) -> None:
    """A file that has been there for an hour."""
    account.put(path, content, modified=now() - timedelta(hours=1))


def paths(account: Account) -> list[str]:
    return sorted(account.files())
