"""/v1/jobs/{id}/mails: who was told of a job's end, and whether it arrived at the mail server."""

from datetime import datetime
from typing import Any

from pydantic import Field

from gateway.access import identity
from gateway.api import private_routes
from gateway.models import Answer, JobPath
from gateway.services import services
from pipeline.mails import MailState
from pipeline.problems import Problem

api = private_routes("mails", [404, 503])


class Mail(Answer):
    """What became of one mail. Times are RFC 3339, UTC."""

    address: str
    event: str | None = Field(description="What it tells of; null for mails of earlier versions.")
    state: MailState = Field(
        description="`unwanted` by your choice or the address's own, `refused` by the mail server for good, `failed` after many tries; `unclear`: sent, but the mail server's answer was lost, so that it may not have arrived, and it is not sent again."
    )
    reason: str | None = Field(description="Why it waits, or was not sent.")
    sent_at: datetime | None


class MailList(Answer):
    items: list[Mail]


@api.get("/v1/jobs/<id>/mails", summary="List the mails about a job", responses={200: MailList})
def get_mails(path: JobPath) -> dict[str, Any]:
    found = services().mails.of_job(identity().owner, path.id)
    if found is None:
        raise Problem("not_found")
    return MailList(items=[Mail.model_validate(mail) for mail in found]).model_dump(mode="json")
