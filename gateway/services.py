"""What the views work with, handed to the app once."""

from dataclasses import dataclass, field
from threading import Thread

from flask import current_app

from gateway.auth_client import AuthClient
from gateway.hashes import Hashes
from gateway.listeners import Hub
from gateway.tokens import Tokens
from pipeline.accounts import Accounts
from pipeline.blobs import BlobStore
from pipeline.dispatch import Dispatcher
from pipeline.jobs import Jobs
from pipeline.links import Links
from pipeline.removals import Removals
from pipeline.shares import Shares
from pipeline.uploads import Uploads

NAME = "spool"


@dataclass(frozen=True)
class Services:
    """`upload_limit` and `free_bytes` are bytes, `upload_hours` and `cors_origins` as in `Settings`."""

    jobs: Jobs
    dispatcher: Dispatcher
    blobs: BlobStore
    auth: AuthClient
    links: Links
    accounts: Accounts
    upload_limit: int
    free_bytes: int
    public_url: str | None = None
    upload_hours: float = 24
    cors_origins: str = ""
    hashes: Hashes = field(init=False, default_factory=Hashes)
    hub: Hub = field(init=False)
    removals: Removals = field(init=False)
    shares: Shares = field(init=False)
    tokens: Tokens = field(init=False)
    uploads: Uploads = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "hub", Hub())
        object.__setattr__(self, "removals", Removals(self.jobs.engine, self.blobs))
        object.__setattr__(self, "shares", Shares(self.jobs.engine))
        object.__setattr__(self, "tokens", Tokens(self.auth.keys))
        object.__setattr__(self, "uploads", Uploads(self.jobs.engine, self.upload_hours))

    def remove_soon(self) -> None:
        """Sees to it, beside the request, that what was just unnamed goes; what it leaves, the workers remove."""
        Thread(target=self.removals.try_now, name="removals", daemon=True).start()


def services() -> Services:
    """Those of the app that answers the current request."""
    found: Services = current_app.extensions[NAME]
    return found
