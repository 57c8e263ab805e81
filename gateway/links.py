"""/v1/links: what signed links open, without a sign-in."""

from contextlib import ExitStack
from dataclasses import dataclass

from flask import Response, jsonify, request

from gateway import models
from gateway.api import FILE, routes
from gateway.archive import ARCHIVE
from gateway.downloads import send
from gateway.export_archive import send_all
from gateway.services import services
from pipeline.links import BadLink, ExpiredLink, Grant
from pipeline.problems import Problem
from pipeline.shares import Share

api = routes("links", [404, 410, 412, 416, 503])


@api.get("/v1/links/<token>", summary="Open a signed link", responses={**FILE, 200: models.SharedJob})
def open_link(path: models.LinkPath) -> Response:
    """To one file: the file. To a job or an export: what files it has."""
    grant = _grant(path.token)
    if grant.kind == "file" and grant.signed_at is not None:
        return send(services().shares.mailed(grant.id, grant.signed_at))
    linked = _linked(grant)
    if linked.share and linked.share.artifact_id is not None:
        return linked.counted(
            send(services().jobs.artifact(linked.owner, linked.share.artifact_id), whole=linked.is_counted)
        )
    job = services().jobs.get(linked.owner, linked.job_id) or services().exports.jobs.get(linked.owner, linked.job_id)
    if job is None:
        raise Problem("not_found")
    return jsonify(models.SharedJob.of(job, path.token, grant.expires_at).model_dump(mode="json"))


@api.get("/v1/links/<token>/artifacts/<name>", summary="Download a file by the link to its job", responses=FILE)
def open_linked_file(path: models.LinkedFilePath) -> Response:
    linked = _linked_job(path.token)
    found = services().jobs.named_artifact(linked.owner, linked.job_id, path.name)
    return linked.counted(send(found, whole=linked.is_counted))


@api.get("/v1/links/<token>/archive", summary="Download all files by the link to their job", responses=ARCHIVE)
def open_linked_archive(path: models.LinkPath) -> Response:
    linked = _linked_job(path.token)
    return linked.counted(send_all(linked.owner, linked.job_id))


@api.after_request
def _keep_to_yourself(response: Response) -> Response:
    """A link is a secret: no other site, index or cache learns of it. Files say themselves who may keep them."""
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Robots-Tag"] = "noindex"
    response.headers.setdefault("Cache-Control", "private, no-store")
    return response


def _grant(token: str) -> Grant:
    try:
        return services().links.open(token)
    except ExpiredLink:
        raise Problem("link_expired") from None
    except BadLink:
        raise Problem("not_found") from None


@dataclass(frozen=True)
class Linked:
    """The job that a link is to, or of whose files it is to one; `share` is None for a link in a mail."""

    owner: str
    job_id: str
    share: Share | None = None

    @property
    def is_counted(self) -> bool:
        """Where downloads are counted none is made of parts, which would cost nothing, or one each."""
        return self.share is not None and self.share.downloads is not None

    def counted(self, response: Response) -> Response:
        return counted(self.share, response) if self.share else response


def _linked(grant: Grant) -> Linked:
    if grant.kind == "job" and grant.signed_at is not None:
        owner = services().shares.mailed_job(grant.id, grant.signed_at)
        if owner is None:
            raise Problem("not_found")
        return Linked(owner, grant.id)
    share = services().shares.find(grant.id) if grant.kind == "row" else None
    if share is None:
        raise Problem("not_found")
    if share.is_used_up:
        raise Problem("link_used_up")
    return Linked(share.owner, share.job_id, share)


def _linked_job(token: str) -> Linked:
    linked = _linked(_grant(token))
    if linked.share and linked.share.artifact_id is not None:
        raise Problem("not_found")
    return linked


def counted(share: Share, response: Response) -> Response:
    """Takes one of the link's downloads if a whole file is about to go, and does not let it go if none is left."""
    with ExitStack() as unsent:
        unsent.callback(response.close)
        if request.method == "GET" and response.status_code == 200 and not services().shares.use(share.id):
            raise Problem("link_used_up")
        unsent.pop_all()
    return response
