"""What a notification worker handles, with its mail server bound."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

import certifi
from sqlalchemy import Engine

from notification.bursts import bursts
from notification.deliveries import Deliveries
from notification.handler import Post, deliver
from notification.ledger import Ledger
from notification.letters import Letters, parse_address
from notification.mailer import mailer
from notification.payloads import Payloads
from notification.sender import Sender
from notification.webhooks import call
from pipeline.guard import guard
from pipeline.links import links
from pipeline.mails import Mails
from pipeline.network import tls_context
from pipeline.settings import Settings
from pipeline.vault import vault
from pipeline.work import Handler

T = TypeVar("T")


def handlers(settings: Settings, catalog: Engine) -> Mapping[str, Handler]:
    """Raises SystemExit, with a line that says why, for a mail server, a sender, keys or networks that cannot be."""
    letters = Letters(
        links(settings),
        settings.public_url or "",
        _checked("MAIL_FROM", parse_address, settings.mail_from),
    )
    sender = _checked("MAIL_URL", mailer, settings.mail_url or "")
    post = Post(Ledger(catalog), Mails(catalog), bursts(settings, catalog), letters, sender)
    return {"deliver": partial(deliver, post=post), "webhook": _webhook(settings, catalog)}


def _webhook(settings: Settings, catalog: Engine) -> Handler:
    return partial(
        call,
        deliveries=Deliveries(catalog),
        sender=Sender(guard(settings), tls_context(certifi.where())),
        vault=vault(settings),
        payloads=Payloads(links(settings), settings.public_url or ""),
    )


def _checked(name: str, parse: Callable[[str], T], value: str) -> T:
    try:
        return parse(value)
    except ValueError as error:
        raise SystemExit(f"SPOOL_{name}: {error}") from None
