"""`python -m pipeline`: what an installation runs beside its services."""

import click

from pipeline import janitor, migrate, wiring
from pipeline.errors import Unavailable
from pipeline.settings import Settings, table


@click.group()
def main() -> None:
    """Prepare and tend the catalog of jobs. Settings come from the environment, see docs/settings.md."""


@main.command("migrate")
def migrate_catalog() -> None:
    """Bring the catalog's tables up to date. Run it before the services of a new version start."""
    settings = Settings.load("database_url")
    try:
        migrate.upgrade(wiring.engine(settings))
    except Unavailable as error:
        raise click.ClickException(str(error)) from None
    click.echo("The catalog is up to date.")


@main.command()
def clean() -> None:
    """Remove bytes that no job names. Run it every few hours, from cron or a CronJob."""
    settings = Settings.load("database_url", "blob_url")
    try:
        removed = janitor.clean(wiring.engine(settings), wiring.blobs(settings), settings.janitor_hours)
    except Unavailable as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{removed} blobs removed.")


@main.command("settings")
def print_settings() -> None:
    """Print the table of docs/settings.md."""
    click.echo(table(), nl=False)


if __name__ == "__main__":
    main(prog_name="python -m pipeline")
