"""What sync handles, with its limits bound."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import certifi
from sqlalchemy import Engine

from pipeline.accounts import defaults
from pipeline.blobs import BlobStore
from pipeline.connections import Connections
from pipeline.guard import guard
from pipeline.network import tls_context
from pipeline.settings import Settings
from pipeline.vault import vault
from pipeline.work import Handler, Progress, Result, Task
from sync.by_address.fetch import Limits, fetch
from sync.dropbox.account import App
from sync.dropbox.accounts import Accounts
from sync.dropbox.connecting import connect, disconnect
from sync.dropbox.fetching import fetch_found
from sync.dropbox.returned_files import ReturnedFiles
from sync.dropbox.returning import put_back
from sync.export import exporter
from sync.watching.remote_files import RemoteFiles
from sync.watching.revise import Books, revise
from sync.watching.taking import Rules
from sync.watching.watch import Watch, listen, watch


def handlers(settings: Settings, catalog: Engine) -> Mapping[str, Handler]:
    """Raises SystemExit if the networks or the keys cannot be read, or links not be signed."""
    accounts = Accounts(Connections(catalog), _app(settings), vault(settings))
    watching = _watch(settings, catalog, accounts)
    return {
        "fetch": _fetch(settings, accounts),
        "connect": partial(connect, accounts=accounts),
        "disconnect": partial(disconnect, accounts=accounts),
        "return": partial(put_back, accounts=accounts, ledger=ReturnedFiles(catalog)),
        "watch": partial(watch, using=watching),
        "listen": partial(listen, using=watching),
        "revise": partial(revise, accounts=accounts, books=Books(catalog, defaults(settings))),
        "export": exporter(settings, catalog),
    }


def _watch(settings: Settings, catalog: Engine, accounts: Accounts) -> Watch:
    sweep = settings.dropbox_sweep_seconds
    rules = Rules(settings.dropbox_settle_seconds, sweep, settings.upload_limit, defaults(settings))
    return Watch(
        RemoteFiles(catalog, rules),
        accounts,
        sweep=sweep,
        patience=settings.patience_seconds,
        free_bytes=settings.free_bytes,
        listens=not settings.dropbox_webhook,
    )


def _app(settings: Settings) -> App | None:
    if not settings.dropbox_app_key:
        return None
    secret = settings.dropbox_app_secret
    return App(settings.dropbox_app_key, secret.get_secret_value() if secret else None)


def _fetch(settings: Settings, accounts: Accounts) -> Handler:
    """By whichever way the recording comes."""
    limits = Limits(settings.upload_limit, settings.fetch_seconds, settings.stall_seconds)
    by_address = partial(fetch, guard=guard(settings), limits=limits, tls=tls_context(certifi.where()))
    found = partial(fetch_found, accounts=accounts, limits=limits)

    def either(task: Task, blobs: BlobStore, folder: Path, progress: Progress) -> Result:
        return (by_address if "url" in task.args else found)(task, blobs, folder, progress)

    return either
