"""/v1/links: what the links in mails open, without a sign-in."""

from flask import Response

from gateway import models
from gateway.api import FILE, routes
from gateway.downloads import send
from gateway.services import services
from pipeline.links import BadLink, ExpiredLink
from pipeline.problems import Problem

api = routes("links", [404, 410, 416, 503])


@api.get("/v1/links/<token>", summary="Download a file by a signed link", responses=FILE)
def open_link(path: models.LinkPath) -> Response:
    try:
        fid = services().links.open(path.token)
    except ExpiredLink:
        raise Problem("link_expired") from None
    except BadLink:
        raise Problem("not_found") from None
    response = send(services().jobs.linked_artifact(fid))
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
