"""What the views work with, handed to the app once."""

from dataclasses import dataclass
from functools import cached_property
from threading import Thread

from flask import current_app
from sqlalchemy import Engine

from gateway.auth_client import AuthClient
from gateway.hashes import Hashes
from gateway.listeners import Hub
from gateway.tokens import Tokens
from gateway.writers import Writers
from gateway.zips import Zips
from pipeline import links, vault
from pipeline.accounts import Accounts, defaults
from pipeline.authorizations import Authorizations
from pipeline.blobs import BlobStore
from pipeline.connections import Connections
from pipeline.dispatch import Dispatcher
from pipeline.exports import Exports
from pipeline.jobs import Jobs
from pipeline.library import Library
from pipeline.links import Links
from pipeline.mails import Mails
from pipeline.removals import Removals
from pipeline.settings import Settings
from pipeline.shares import Shares
from pipeline.transcripts import Transcripts
from pipeline.uploads import Uploads
from pipeline.vault import Vault

NAME = "spool"


@dataclass(frozen=True)
class Services:
    """The parts that a gateway is given, and what it makes of them. `links` raises SystemExit for keys that could be guessed."""

    settings: Settings
    dispatcher: Dispatcher
    blobs: BlobStore
    auth: AuthClient

    @property
    def catalog(self) -> Engine:
        return self.dispatcher.tasks.engine

    @cached_property
    def jobs(self) -> Jobs:
        return Jobs(self.catalog)

    @cached_property
    def exports(self) -> Exports:
        return Exports(self.catalog)

    @cached_property
    def library(self) -> Library:
        return Library(self.catalog)

    @cached_property
    def accounts(self) -> Accounts:
        return Accounts(self.catalog, defaults(self.settings))

    @cached_property
    def mails(self) -> Mails:
        return Mails(self.catalog)

    @cached_property
    def transcripts(self) -> Transcripts:
        return Transcripts(self.catalog)

    @cached_property
    def uploads(self) -> Uploads:
        return Uploads(self.catalog, self.settings.upload_hours)

    @cached_property
    def hashes(self) -> Hashes:
        return Hashes()

    @cached_property
    def writers(self) -> Writers:
        return Writers()

    @cached_property
    def zips(self) -> Zips:
        return Zips()

    @cached_property
    def links(self) -> Links:
        return links.links(self.settings)

    @cached_property
    def shares(self) -> Shares:
        return Shares(self.catalog)

    @cached_property
    def vault(self) -> Vault | None:
        """None where no keys are set. Raises SystemExit for what is no key."""
        return vault.vault(self.settings)

    @cached_property
    def connections(self) -> Connections:
        return Connections(self.catalog)

    @cached_property
    def authorizations(self) -> Authorizations:
        return Authorizations(self.catalog)

    @cached_property
    def removals(self) -> Removals:
        return Removals(self.catalog, self.blobs)

    @cached_property
    def hub(self) -> Hub:
        return Hub(stall=self.settings.stall_seconds)

    @cached_property
    def tokens(self) -> Tokens:
        return Tokens(self.auth.keys)

    def remove_soon(self) -> None:
        """Sees to it, beside the request, that what was just unnamed goes; what it leaves, the workers remove."""
        Thread(target=self.removals.try_now, name="removals", daemon=True).start()


def services() -> Services:
    """Those of the app that answers the current request."""
    found: Services = current_app.extensions[NAME]
    return found
