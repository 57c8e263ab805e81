"""A client of the stand-in of Dropbox."""

from collections.abc import Iterator

import dropbox
import pytest

from dev.dropbox.account import Account
from dev.dropbox.stand_in import DropboxStandIn


@pytest.fixture
def account(dropbox_stand_in: DropboxStandIn) -> Account:
    return dropbox_stand_in.account


@pytest.fixture
def client(dropbox_stand_in: DropboxStandIn) -> Iterator[dropbox.Dropbox]:
    """The SDK, connected to the first account, which does not try again by itself."""
    app = dropbox_stand_in.app
    token = dropbox_stand_in.grants.give(dropbox_stand_in.account.id).refresh_token
    with dropbox.Dropbox(
        oauth2_refresh_token=token,
        app_key=app.key,
        max_retries_on_error=0,
        max_retries_on_rate_limit=0,
        timeout=30,
    ) as client:
        yield client
