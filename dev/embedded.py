"""The whole suite in one process: every service, with a directory for MongoDB, SQLite for MySQL, memory for RabbitMQ."""

import fcntl
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event, Thread

from cryptography.fernet import Fernet
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import Engine

from dev import kept, services_of
from dev.serving import HOST, served
from pipeline import janitor, migrate, wiring
from pipeline.blobs import BlobStore
from pipeline.dispatch import Dispatcher
from pipeline.removals import Removals
from pipeline.settings import Settings


class EmbeddedSettings(BaseSettings):
    """What can be set for the embedded suite beside `Settings`."""

    model_config = SettingsConfigDict(env_prefix="SPOOL_", frozen=True, extra="ignore", env_ignore_empty=True)

    data: Path = Field(Path("data"), description="The folder that holds everything: catalog, recordings, keys, mails.")
    port: int = Field(8080, ge=1, le=65535, description="Where the suite listens, on 127.0.0.1.")
    admin_email: str | None = Field(None, description="The first user's address; `admin@localhost` if unset.")
    admin_password: SecretStr | None = Field(None, description="The first user's password; generated once if unset.")


@dataclass(frozen=True)
class Suite:
    """A running suite, as its owner meets it."""

    url: str
    folder: Path
    sign_in: kept.SignIn

    @property
    def mails(self) -> Path:
        return self.folder / "mails"


@contextmanager
def running(embedded: EmbeddedSettings, given: Settings) -> Iterator[Suite]:
    """Runs the suite while the block lasts; at its end, what is in work is handed back and goes on at the next start.

    Raises SystemExit, with what to do, if the folder or the port is taken.
    """
    folder, url = embedded.data.absolute(), f"http://{HOST}:{embedded.port}"
    with ExitStack() as stack:
        stack.enter_context(_folder(folder))
        sign_in = kept.sign_in(folder / "sign-in", embedded.admin_email, _plain(embedded.admin_password))
        settings = _settings(folder, url, given)
        auth = stack.enter_context(served("auth", services_of.auth_app(settings, sign_in)))
        speech = stack.enter_context(served("speech", services_of.speech_app(settings)))
        settings = settings.model_copy(update={"auth_url": auth, "speech_url": settings.speech_url or f"{speech}/v1"})
        catalog, blobs = wiring.engine(settings), wiring.blobs(settings)
        migrate.upgrade(catalog)
        sender = wiring.dispatcher(settings, catalog, wiring.queue(settings))
        sender.restart()
        stack.enter_context(_working(settings, catalog, sender, blobs))
        stack.enter_context(served("gateway", services_of.gateway_app(settings, sender, blobs), embedded.port))
        yield Suite(url, folder, sign_in)


def _plain(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None


@contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """The data folder, for one suite at a time."""
    for name in (".", "mails", "blobs", "scratch"):
        (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)  # one that was there may have been open to others
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(
                f"A suite is running in {folder} already. Stop it, or choose a folder: SPOOL_DATA=..."
            ) from None
        _empty(folder / "scratch")
        yield


def _empty(folder: Path) -> None:
    """Removes what a suite that was killed had in work; recordings that were deleted must not live on there."""
    for path in folder.iterdir():
        shutil.rmtree(path, ignore_errors=True)


def _settings(folder: Path, url: str, given: Settings) -> Settings:
    """Embedded parts for whatever the environment does not name; catalog, blobs and broker are always the embedded ones."""
    link_key = kept.secret(folder / "link-key", secrets.token_hex(32))
    secret_key = kept.secret(folder / "secret-key", Fernet.generate_key().decode())
    return given.model_copy(
        update={
            "database_url": f"sqlite:///{folder}/catalog.db",
            "auth_database_url": f"sqlite:///{folder}/users.db",
            "blob_url": (folder / "blobs").as_uri(),
            "queue_url": "memory://",
            "mail_url": given.mail_url or (folder / "mails").as_uri(),
            "signing_keys": folder / "signing-keys.pem",
            "link_keys": given.link_keys or SecretStr(link_key),
            "secret_keys": given.secret_keys or SecretStr(secret_key),
            "scratch": given.scratch or folder / "scratch",
            "public_url": given.public_url or url,
        }
    )


@contextmanager
def _working(settings: Settings, catalog: Engine, sender: Dispatcher, blobs: BlobStore) -> Iterator[None]:
    """Each service's workers, the sweeper, removals and the janitor, each in a thread."""
    stop = Event()
    loops: list[Callable[[Event], None]] = [
        worker.run
        for handlers in services_of.workers(settings, catalog)
        for worker in wiring.workers(settings, handlers, sender, blobs)
    ]
    loops += [sender.run, Removals(catalog, blobs).run, partial(janitor.run, catalog, blobs, settings)]
    threads = [Thread(target=loop, args=(stop,), daemon=True) for loop in loops]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        end = time.monotonic() + settings.grace_seconds + 5
        for thread in threads:
            thread.join(max(0, end - time.monotonic()))
