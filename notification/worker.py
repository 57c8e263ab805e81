"""What a notification worker handles, with its mail server bound."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from sqlalchemy import Engine

from notification.bursts import bursts
from notification.handler import Post, deliver
from notification.ledger import Ledger
from notification.letters import Letters, parse_address
from notification.mailer import mailer
from pipeline.links import links
from pipeline.mails import Mails
from pipeline.settings import Settings
from pipeline.work import Handler

T = TypeVar("T")


def handlers(settings: Settings, catalog: Engine) -> Mapping[str, Handler]:
    """Raises SystemExit, with a line that says why, for a mail server or a sender that cannot be."""
    letters = Letters(
        links(settings),
        settings.public_url or "",
        _checked("MAIL_FROM", parse_address, settings.mail_from),
    )
    sender = _checked("MAIL_URL", mailer, settings.mail_url or "")
    post = Post(Ledger(catalog), Mails(catalog), bursts(settings, catalog), letters, sender)
    return {"deliver": partial(deliver, post=post)}


def _checked(name: str, parse: Callable[[str], T], value: str) -> T:
    try:
        return parse(value)
    except ValueError as error:
        raise SystemExit(f"SPOOL_{name}: {error}") from None
