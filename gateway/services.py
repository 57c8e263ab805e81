"""What the views work with, handed to the app once."""

from dataclasses import dataclass, field

from flask import current_app

from gateway.auth_client import AuthClient
from gateway.tokens import Tokens
from pipeline.accounts import Accounts
from pipeline.blobs import BlobStore
from pipeline.dispatch import Dispatcher
from pipeline.jobs import Jobs
from pipeline.links import Links
from pipeline.removals import Removals

NAME = "spool"


@dataclass(frozen=True)
class Services:
    """`upload_limit` and `free_bytes` are bytes, see `Settings`."""

    jobs: Jobs
    dispatcher: Dispatcher
    blobs: BlobStore
    auth: AuthClient
    links: Links
    accounts: Accounts
    upload_limit: int
    free_bytes: int
    removals: Removals = field(init=False)
    tokens: Tokens = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "removals", Removals(self.jobs.engine, self.blobs))
        object.__setattr__(self, "tokens", Tokens(self.auth.keys))


def services() -> Services:
    """Those of the app that answers the current request."""
    found: Services = current_app.extensions[NAME]
    return found
