"""/v1/unsubscribe: how those who get mails about a user's jobs get no more of them. RFC 8058.

Looking changes nothing: programs that look for viruses open every link of a mail.
"""

from flask import Response
from pydantic import BaseModel

from gateway.api import routes
from gateway.pages import PAGE, page
from gateway.services import services
from pipeline.links import BadLink
from pipeline.mails import Unsubscribing
from pipeline.problems import Problem

api = routes("unsubscribe", [404, 503])


class TokenPath(BaseModel):
    token: str


@api.get("/v1/unsubscribe/<token>", summary="Look whether an address gets mails", responses=PAGE)
def get_unsubscribe(path: TokenPath) -> Response:
    owner, address = _opened(path.token)
    return _page(path.token, address, has_unsubscribed=services().mails.has_unsubscribed(owner, address))


@api.post("/v1/unsubscribe/<token>", summary="Get no more mails", responses=PAGE)
def unsubscribe(path: TokenPath) -> Response:
    """The mail program's one click, and the button of the page. About this user's jobs, no more mails go to this address."""
    owner, address = _opened(path.token)
    services().mails.unsubscribe(owner, address)
    return _page(path.token, address, has_unsubscribed=True)


@api.post("/v1/unsubscribe/<token>/undo", summary="Get mails again", responses=PAGE)
def undo_unsubscribe(path: TokenPath) -> Response:
    owner, address = _opened(path.token)
    services().mails.subscribe(owner, address)
    return _page(path.token, address, has_unsubscribed=False)


def _opened(token: str) -> tuple[str, str]:
    try:
        return Unsubscribing(services().links).open(token)
    except BadLink:
        raise Problem("not_found") from None


def _page(token: str, address: str, *, has_unsubscribed: bool) -> Response:
    return page("unsubscribe.html", token=token, address=address, has_unsubscribed=has_unsubscribed)
