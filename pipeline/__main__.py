"""`python -m pipeline`: what an installation runs beside its services."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from pipeline import formats, janitor, migrate, resealing, telemetry, wiring
from pipeline.accounts import Accounts, Limits, Use, defaults
from pipeline.errors import Unavailable
from pipeline.settings import Settings, table
from pipeline.vault import vault

DEFAULT = "default"
LIMITS = {
    "stored_bytes": "Bytes that the user may keep.",
    "day_bytes": "Bytes that the user may upload a day (UTC).",
    "jobs": "Jobs that may be unfinished at a time.",
    "month_minutes": "Minutes of recordings a month (UTC).",
    "day_mails": "Mails a day (UTC) to others than the user.",
    "day_speech_minutes": "Minutes of audio a day (UTC) for a speech service.",
    "keep_original_days": "After how many days an uploaded file is removed.",
    "keep_result_days": "After how many days a job is removed with all it made.",
}
"""What `limits` sets, as in `pipeline.accounts.Limits`."""


@click.group()
def main() -> None:
    """Prepare and tend the catalog of jobs. Settings come from the environment, see docs/settings.md."""


@main.command("migrate")
def migrate_catalog() -> None:
    """Bring the catalog's tables up to date. Run it before the services of a new version start."""
    settings = Settings.load("database_url")
    with _readable_errors():
        migrate.upgrade(wiring.engine(settings))
    click.echo("The catalog is up to date.")


@main.command()
def clean() -> None:
    """Remove what was kept long enough, and bytes that nothing names. Run it every few hours, from cron or a CronJob."""
    settings = Settings.load("database_url", "blob_url")
    telemetry.configure(settings.log_format, "janitor")
    with _readable_errors():
        click.echo(f"Removed: {janitor.clean(wiring.engine(settings), wiring.blobs(settings), settings)}.")


@main.command("reseal")
def reseal_secrets() -> None:
    """Seal what opens connected accounts, and signs for webhooks, under the newest of SPOOL_SECRET_KEYS.

    Then the older keys can be removed, once every service has been started with the newest.
    """
    settings = Settings.load("database_url", "secret_keys")
    box = vault(settings)
    assert box
    with _readable_errors():
        done = resealing.reseal(wiring.engine(settings), box)
    click.echo(f"Sealed under the newest key: {done.sealed}.")
    if done.unopened:
        raise click.ClickException(f"{done.unopened} cannot be opened by any of the keys; they stay as they are.")


class _Limit(click.IntRange):
    """A whole number, or the word that gives the installation's default back."""

    name = f"N|{DEFAULT}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if value == DEFAULT else super().convert(value, param, ctx)


def _limit_options(command: Callable[..., None]) -> Callable[..., None]:
    for name, meaning in reversed(LIMITS.items()):
        least = 1 if name.startswith("keep") else 0
        command = click.option(f"--{name.replace('_', '-')}", type=_Limit(least), help=meaning)(command)
    return command


@main.command()
@click.argument("owner")
@_limit_options
def limits(owner: str, **asked: int | str | None) -> None:
    """Show what a user may use and has used, or change it. OWNER is the id that `python -m auth user list` shows."""
    if not re.fullmatch(r"[0-9a-f]{32}", owner):
        raise click.BadParameter("this is no user's id; `python -m auth user list` shows them.", param_hint="OWNER")
    settings = Settings.load("database_url")
    accounts = Accounts(wiring.engine(settings), defaults(settings))
    changes = {name: None if value == DEFAULT else int(value) for name, value in asked.items() if value is not None}
    with _readable_errors():
        _show(accounts.change(owner, **changes) if changes else accounts.limits(owner), accounts.use(owner))


def _show(limits: Limits, use: Use) -> None:
    for name, limit in vars(limits).items():
        used = getattr(use, name, None)
        click.echo(
            f"{name.replace('_', '-'):20}{'no limit' if limit is None else limit}{'' if used is None else f', used {used}'}"
        )


@contextmanager
def _readable_errors() -> Iterator[None]:
    try:
        yield
    except Unavailable as error:
        raise click.ClickException(str(error)) from None


@main.command("settings")
def print_settings() -> None:
    """Print the table of docs/settings.md."""
    click.echo(table(), nl=False)


@main.command("formats")
def print_formats() -> None:
    """Print the tables of docs/formats.md."""
    click.echo(formats.tables(), nl=False)


if __name__ == "__main__":
    main(prog_name="python -m pipeline")
