"""`python -m auth`: prepares the auth database and tends its users and keys."""

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from auth import keys, migrate
from auth.users import Users, UserUnknown
from pipeline.database import connect
from pipeline.errors import Unavailable
from pipeline.settings import Settings

password_option = click.option(
    "--password-stdin", "from_stdin", is_flag=True, help="Read the password from standard input instead of making one."
)


@click.group()
def main() -> None:
    """Prepare the users' database, and tend users and keys. Settings come from the environment."""


@main.command("migrate")
def migrate_database() -> None:
    """Bring the tables up to date. Run it before the service of a new version starts."""
    with _readable_errors():
        migrate.upgrade(_url())
    click.echo("The users' database is up to date.")


@main.group()
def user() -> None:
    """Add, list and remove users, and change their passwords."""


@user.command()
@click.argument("email")
@password_option
def add(email: str, from_stdin: bool) -> None:
    """Add a user."""
    chosen = _password(from_stdin)
    with _users() as users:
        users.add(email, chosen)
    _show(chosen, from_stdin)


@user.command()
@click.argument("email")
@password_option
def password(email: str, from_stdin: bool) -> None:
    """Give a user a new password, and end the user's sessions."""
    chosen = _password(from_stdin)
    with _users() as users:
        users.set_password(email, chosen)
    _show(chosen, from_stdin)


@user.command()
@click.argument("email")
def remove(email: str) -> None:
    """Remove a user."""
    with _users() as users:
        users.remove(email)


@user.command("list")
def list_users() -> None:
    """List the users: id and e-mail address."""
    with _users() as users:
        for found in users.list():
            click.echo(f"{found.id}  {found.email}")


@main.group()
def key() -> None:
    """Make keys that sign tokens."""


@key.command("new")
def new_key() -> None:
    """Print a new key. Append it to the file SPOOL_SIGNING_KEYS; it signs once it stands first."""
    click.echo(keys.new(), nl=False)


@contextmanager
def _users() -> Iterator[Users]:
    with _readable_errors():
        engine = connect(_url())
        try:
            yield Users(engine)
        finally:
            engine.dispose()


@contextmanager
def _readable_errors() -> Iterator[None]:
    try:
        yield
    except (Unavailable, UserUnknown, ValueError) as error:
        raise click.ClickException(str(error)) from None


def _url() -> str:
    return Settings.load("auth_database_url").auth_database_url or ""


def _password(from_stdin: bool) -> str:
    return sys.stdin.readline().rstrip("\n") if from_stdin else secrets.token_urlsafe(15)


def _show(chosen: str, from_stdin: bool) -> None:
    if not from_stdin:
        click.echo(f"Password (it is not shown again): {chosen}")


if __name__ == "__main__":
    main(prog_name="python -m auth")
