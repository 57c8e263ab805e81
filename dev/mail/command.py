"""`python -m dev mail`: the server at a terminal."""

from collections.abc import Sequence
from email.message import EmailMessage

import click

from dev.mail.faults import Fault
from dev.mail.server import MailServer, text_of
from pipeline.wiring import stay, stop_on_signals


def run(port: int, faults: Sequence[str]) -> None:
    """Runs the server until a signal, and shows what comes. Raises click.BadParameter for a fault that there is not."""
    server = MailServer(port)
    try:
        server.faults = [Fault.parse(fault) for fault in faults]
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    server.told = _show
    stop = stop_on_signals()
    with server:
        click.echo(
            f"A mail server is running at {server.url}\n\n  export SPOOL_MAIL_URL={server.url}\n\nCtrl-C stops it."
        )
        stay(stop)


def _show(mail: EmailMessage) -> None:
    for name in ("From", "To", "Subject", "Message-ID"):
        click.echo(f"{name}: {mail[name]}")
    click.echo(f"\n{text_of(mail)}")
