"""What the reader of a mail sees, and gets by its links."""

import email
import email.policy
import re
from collections.abc import Callable
from email.message import EmailMessage

import httpx

from dev.waiting import eventually
from tests.client import ENDED, Client


def link_opens(mail: str, name: str) -> httpx.Response:
    """What the reader of a mail gets by its link to a file, with no token."""
    text = plain(mail)
    for link in re.findall(r"https?://\S+/v1/links/\S+", text):
        answer = httpx.get(link, timeout=30, trust_env=False)
        if name in answer.headers.get("Content-Disposition", ""):
            return answer
    raise AssertionError(f"no link to {name} in {text}")


def plain(mail: str) -> str:
    """The text of a mail, as its reader sees it."""
    body = email.message_from_string(mail, EmailMessage, policy=email.policy.default).get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def the_one_mail(client: Client, job_id: str, look: Callable[[], list[str]]) -> str:
    """The only mail there is when the delivery has ended and nobody will send another."""
    eventually(lambda: client.stage(job_id, "deliver")["state"] in ENDED, timeout=60)
    eventually(look)
    (mail,) = look()
    return mail
