"""/v1/webhooks: addresses of a user's own programs, which hear of what a user would hear by mail."""

from datetime import datetime
from typing import Annotated, Any, Literal

from flask import Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, HttpUrl

from gateway.access import identity
from gateway.api import private_routes
from gateway.models import Answer, JobPath, ListQuery
from gateway.services import services
from pipeline import address, webhooks
from pipeline.cursors import BadCursor
from pipeline.errors import Reject
from pipeline.jobs import Settled
from pipeline.options import Options
from pipeline.problems import Problem
from pipeline.vault import Unopened
from pipeline.webhooks import Webhooks

Event = Literal["job.done", "job.failed", "export.ready", "export.failed", "connection.broken"]

api = private_routes("webhooks", [404, 409, 422, 501, 503])


def _usable(url: HttpUrl) -> HttpUrl:
    try:
        address.check(str(url))
    except Reject as refusal:
        raise ValueError(refusal.reason) from None
    return url


Url = Annotated[HttpUrl, Field(max_length=2000), AfterValidator(_usable)]


class NewWebhook(BaseModel):
    model_config = ConfigDict(extra="forbid")

    url: Url = Field(description="Where POST requests go, http or https; private addresses are not called.")
    events: list[Event] = Field([], max_length=20, description="What to hear of; of everything if empty.")


class WebhookChanges(BaseModel):
    """What is not given stays."""

    model_config = ConfigDict(extra="forbid")

    url: Url | None = Field(None, description="Where requests go from now on.")
    events: list[Event] | None = Field(None, max_length=20, description="What to hear of; of everything if empty.")
    state: Literal["active", "disabled"] | None = Field(None, description="Whether it is called.")


class Webhook(Answer):
    """Times are RFC 3339, UTC."""

    id: str
    url: str
    events: list[Event] = Field(description="What it hears of; of everything if empty.")
    by_job: bool = Field(description="Jobs named it with the option `webhook`; it hears of those that do.")
    state: Literal["active", "disabled"]
    reason: str | None = Field(description="Why it was disabled, unless you did that.")
    created_at: datetime


class FreshWebhook(Webhook):
    secret: str = Field(description="What signs the requests.")


class WebhookList(Answer):
    items: list[Webhook]


class WebhookSecret(Answer):
    secret: str = Field(description="What signs the requests; the newest.")


class Delivery(Answer):
    """A message to a webhook. Times are RFC 3339, UTC."""

    id: str = Field(description="Its `webhook-id`, the same whenever it is sent.")
    job_id: str
    event: Event
    state: Literal["new", "sent", "failed"] = Field(description="new: it is still to be sent, or to be sent again.")
    attempts: int
    status: int | None = Field(description="What the receiver answered last; null where it did not.")
    reason: str | None = Field(description="Why the last attempt did not work out.")
    created_at: datetime
    sent_at: datetime | None


class DeliveryList(Answer):
    items: list[Delivery]
    next: str | None = Field(description="The cursor of the next page; null on the last.")


class DeliveryPath(JobPath):
    delivery: str


@api.post("/v1/webhooks", summary="Add a webhook", responses={201: FreshWebhook})
def add_webhook(body: NewWebhook) -> tuple[dict[str, Any], int]:
    """Requests are signed as [Standard Webhooks](https://www.standardwebhooks.com) says."""
    try:
        made, secret = _webhooks().create(identity().owner, str(body.url), list(dict.fromkeys(body.events)))
    except webhooks.TooMany:
        raise Problem("conflict", f"You have {webhooks.MOST} webhooks, the most there may be; delete one.") from None
    return FreshWebhook.model_validate({**vars(made), "secret": secret}).model_dump(mode="json"), 201


@api.get("/v1/webhooks", summary="List your webhooks, oldest first", responses={200: WebhookList})
def list_webhooks() -> dict[str, Any]:
    """With those that jobs named."""
    found = _webhooks().list(identity().owner)
    return WebhookList(items=[Webhook.model_validate(one) for one in found]).model_dump(mode="json")


@api.get("/v1/webhooks/<id>", summary="Look at a webhook", responses={200: Webhook})
def get_webhook(path: JobPath) -> dict[str, Any]:
    return _answer(_webhooks().get(identity().owner, path.id))


@api.patch("/v1/webhooks/<id>", summary="Change a webhook, or enable it again", responses={200: Webhook})
def change_webhook(path: JobPath, body: WebhookChanges) -> dict[str, Any]:
    """Of one that jobs name, only the state can be changed."""
    changes = body.model_dump(mode="json", exclude_none=True)
    try:
        return _answer(_webhooks().change(identity().owner, path.id, **changes))
    except Settled as error:
        raise Problem("conflict", str(error)) from None


@api.delete("/v1/webhooks/<id>", summary="Delete a webhook and its deliveries", responses={204: None})
def delete_webhook(path: JobPath) -> tuple[str, int]:
    if not _webhooks().delete(identity().owner, path.id):
        raise Problem("not_found")
    return "", 204


@api.get("/v1/webhooks/<id>/secret", summary="Look at a webhook's secret", responses={200: WebhookSecret})
def get_secret(path: JobPath) -> dict[str, Any]:
    try:
        return _secret(_webhooks().secret(identity().owner, path.id))
    except Unopened:
        raise Problem("conflict", "The keys that this secret was kept with have gone; rotate it.") from None


@api.post("/v1/webhooks/<id>/rotate", summary="Replace a webhook's secret", responses={200: WebhookSecret})
def rotate_secret(path: JobPath) -> dict[str, Any]:
    """For a day the old one signs too, so that a receiver may know either."""
    return _secret(_webhooks().rotate(identity().owner, path.id))


@api.get("/v1/webhooks/<id>/deliveries", summary="List deliveries, newest first", responses={200: DeliveryList})
def list_deliveries(path: JobPath, query: ListQuery) -> dict[str, Any]:
    """They are kept for 30 days."""
    try:
        found = _webhooks().deliveries(identity().owner, path.id, query.cursor, query.limit)
    except BadCursor:
        raise Problem("invalid", "The cursor is not one of ours.") from None
    if found is None:
        raise Problem("not_found")
    page, cursor = found
    return DeliveryList(items=[Delivery.model_validate(one) for one in page], next=cursor).model_dump(mode="json")


@api.post(
    "/v1/webhooks/<id>/deliveries/<delivery>/resend", summary="Send a message once more", responses={202: Delivery}
)
def resend_delivery(path: DeliveryPath) -> tuple[dict[str, Any], int]:
    """As it was, under the same id, and for as long as one that is new."""
    try:
        found = _webhooks().resend(identity().owner, path.id, path.delivery)
    except Settled as error:
        raise Problem("conflict", str(error)) from None
    if found is None:
        raise Problem("not_found")
    delivery, messages = found
    services().dispatcher.send(messages)
    return Delivery.model_validate(delivery).model_dump(mode="json"), 202


@api.after_request
def _keep_to_yourself(response: Response) -> Response:
    """Some of this is secret."""
    response.headers["Cache-Control"] = "no-store"
    return response


def name_webhook(wanted: Options) -> None:
    """Sees to it that there is the webhook that a job is to name. Raises `Problem` where there can be none, or it is disabled."""
    if wanted.webhook is None:
        return
    try:
        _webhooks().name(identity().owner, str(_usable(wanted.webhook)))
    except ValueError as error:
        raise Problem("invalid", f"webhook: {error}") from None
    except Settled as error:
        raise Problem("conflict", f"webhook: {error}") from None
    except webhooks.TooMany:
        many = f"Your jobs have named {webhooks.MOST_NAMED} webhooks, the most there may be; delete one."
        raise Problem("conflict", many) from None


def _webhooks() -> Webhooks:
    """Raises `Problem` 501 where there are no keys to keep secrets with."""
    vault = services().vault
    if vault is None:
        missing = "SPOOL_SECRET_KEYS"
        raise Problem("not_set_up", f"Whoever runs this server has to set {missing}.", settings=[missing])
    return Webhooks(services().catalog, vault)


def _answer(found: webhooks.Webhook | None) -> dict[str, Any]:
    if found is None:
        raise Problem("not_found")
    return Webhook.model_validate(found).model_dump(mode="json")


def _secret(found: str | None) -> dict[str, Any]:
    if found is None:
        raise Problem("not_found")
    return WebhookSecret(secret=found).model_dump()
