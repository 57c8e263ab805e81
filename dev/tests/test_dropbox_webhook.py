"""How the stand-in of Dropbox tells the app that something changed."""

import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import dropbox
import pytest
from werkzeug import Request, Response

from dev.dropbox.account import Account
from dev.dropbox.stand_in import DropboxStandIn
from dev.serving import served
from dev.waiting import eventually


@dataclass
class Receiver:
    """Answers challenges as `echo` says, and keeps what it is told, with the signature."""

    url: str = ""
    echo: bool = True
    status: int = 200
    told: list[tuple[bytes, str]] = field(default_factory=list)

    def __call__(self, request: Request) -> Response:
        if request.method == "GET":
            return Response(request.args["challenge"] if self.echo else "hello", mimetype="text/plain")
        self.told.append((request.get_data(), request.headers["X-Dropbox-Signature"]))
        return Response(status=self.status)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    with served("receiver", Request.application(receiver)) as url:
        receiver.url = f"{url}/webhook"
        yield receiver


def test_changes_of_connected_accounts_are_told_with_a_signature(
    dropbox_stand_in: DropboxStandIn, account: Account, client: dropbox.Dropbox, receiver: Receiver
) -> None:
    stranger = dropbox_stand_in.new_account("Grace Hopper", "grace@example.com")
    webhook = dropbox_stand_in.call_webhook(receiver.url)
    stranger.put("/b.mp4", b"b")
    account.put("/a.mp4", b"a")
    eventually(lambda: webhook.deliveries)
    (body, signed), *_ = receiver.told
    assert json.loads(body)["list_folder"] == {"accounts": [account.id]}
    assert signed == hmac.new(dropbox_stand_in.app.secret.encode(), body, hashlib.sha256).hexdigest()
    assert webhook.deliveries[0].status == 200
    client.files_upload(b"c", "/c.srt")
    eventually(lambda: len(webhook.deliveries) == 2)


def test_who_does_not_answer_the_challenge_is_told_nothing(
    dropbox_stand_in: DropboxStandIn, receiver: Receiver
) -> None:
    receiver.echo = False
    with pytest.raises(ValueError, match="not the challenge"):
        dropbox_stand_in.call_webhook(receiver.url)
    assert dropbox_stand_in.webhook is None


def test_an_app_that_fails_is_told_of_the_next_change_again(
    dropbox_stand_in: DropboxStandIn, account: Account, client: dropbox.Dropbox, receiver: Receiver
) -> None:
    webhook = dropbox_stand_in.call_webhook(receiver.url)
    receiver.status = 500
    account.put("/a.mp4", b"a")
    eventually(lambda: [delivery.status for delivery in webhook.deliveries] == [500])
    receiver.status = 200
    account.put("/a.mp4", b"b")
    eventually(lambda: [delivery.status for delivery in webhook.deliveries] == [500, 200])
