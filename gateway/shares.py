"""/v1/jobs/{id}/links: links that the owner of a job gives to others."""

from typing import Any

from gateway import models
from gateway.access import identity
from gateway.api import private_routes
from gateway.services import services
from pipeline.problems import Problem
from pipeline.shares import MOST, Share, TooMany

api = private_routes("shares", [404, 409, 422, 503])


@api.post("/v1/jobs/<id>/links", summary="Make a link that needs no sign-in", responses={201: models.Link})
def make_link(path: models.JobPath, body: models.NewLink) -> tuple[dict[str, Any], int]:
    expires_at = body.end(services().links.seconds)
    try:
        share = services().shares.make(identity().owner, path.id, body.artifact, expires_at, body.downloads)
    except TooMany:
        raise Problem("conflict", f"A job has {MOST} links at most; revoke some first.") from None
    if share is None:
        raise Problem("not_found")
    return _link(share).model_dump(mode="json"), 201


@api.get("/v1/jobs/<id>/links", summary="List a job's links, oldest first", responses={200: models.LinkList})
def list_links(path: models.JobPath) -> dict[str, Any]:
    """Those that have not expired."""
    shares = services().shares.list(identity().owner, path.id)
    if shares is None:
        raise Problem("not_found")
    return models.LinkList(items=[_link(share) for share in shares]).model_dump(mode="json")


@api.delete("/v1/jobs/<id>/links", summary="Revoke all links to a job", responses={204: None})
def revoke_links(path: models.JobPath) -> tuple[str, int]:
    """Those in mails too, whenever they were sent."""
    if not services().shares.revoke_all(identity().owner, path.id):
        raise Problem("not_found")
    return "", 204


@api.delete("/v1/jobs/<id>/links/<link>", summary="Revoke a link", responses={204: None})
def revoke_link(path: models.JobLinkPath) -> tuple[str, int]:
    """What is being downloaded by it comes to its end."""
    if not services().shares.revoke(identity().owner, path.id, path.link):
        raise Problem("not_found")
    return "", 204


def _link(share: Share) -> models.Link:
    token = services().links.sign_row(share.id, share.expires_at)
    base = (services().settings.public_url or "").rstrip("/")
    return models.Link.model_validate({**vars(share), "url": f"{base}/v1/links/{token}"})
