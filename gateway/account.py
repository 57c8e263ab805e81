"""/v1/account: what a user may use, has used, how long what is theirs is kept, and which mails go out about it."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from gateway.access import identity
from gateway.api import private_routes
from gateway.services import services
from pipeline.accounts import Limits
from pipeline.mails import Choice
from pipeline.options import Days

api = private_routes("account", [422, 503])


class Quotas(BaseModel):
    """Days and months are those of UTC; null is no limit."""

    model_config = ConfigDict(from_attributes=True)

    stored_bytes: int | None = Field(description="Bytes kept; those that several jobs share count once.")
    day_bytes: int | None = Field(description="Bytes uploaded today.")
    jobs: int | None = Field(description="Jobs that are unfinished, or on their way.")
    month_minutes: int | None = Field(description="Minutes of recordings worked on this month.")
    day_mails: int | None = Field(description="Mails that jobs send to others today.")
    day_speech_minutes: int | None = Field(description="Minutes of audio sent to a speech service today.")


class Retention(BaseModel):
    """How long what a job has is kept after its end; null is for ever. Options of a job go before this."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    keep_original_days: Days | None = Field(None, description="After how many days the uploaded file is removed.")
    keep_result_days: Days | None = Field(None, description="After how many days the job is removed with all it made.")


class Change(Retention):
    mails: Choice | None = Field(
        None,
        description="Which mails go out about your jobs, to you and to others: `all`, of `failures` only, `none`, or a `digest`, one mail for all that have ended by the time that none is in work. To choose takes back that your own address has unsubscribed.",
    )


class Account(BaseModel):
    """A user, with the limits and the retention that hold, be they their own or the installation's."""

    owner: str
    email: str
    limits: Quotas
    use: Quotas
    retention: Retention
    mails: Choice
    unsubscribed: list[str] = Field(description="Addresses that want no more mails about your jobs, in small letters.")


@api.get("/v1/account", summary="Look at your account", responses={200: Account})
def get_account() -> dict[str, Any]:
    return _answer(services().accounts.limits(identity().owner))


@api.patch(
    "/v1/account", summary="Change how long your things are kept, and which mails go out", responses={200: Account}
)
def change_account(body: Change) -> dict[str, Any]:
    """What is not given stays; null gives the installation's default back."""
    changed = body.model_dump(exclude_unset=True)
    if "mails" in changed:
        _choose_mails(changed.pop("mails"))
    return _answer(services().accounts.change(identity().owner, **changed))


def _choose_mails(choice: Choice | None) -> None:
    who = identity()
    services().mails.choose(who.owner, choice)
    services().mails.subscribe(who.owner, who.email)


def _answer(limits: Limits) -> dict[str, Any]:
    who = identity()
    used = services().accounts.use(who.owner)
    parts = {"limits": Quotas.model_validate(limits), "use": Quotas.model_validate(used)}
    retention = Retention.model_validate(limits)
    mails = {"mails": services().mails.choice(who.owner), "unsubscribed": services().mails.unsubscribed(who.owner)}
    return Account(owner=who.owner, email=who.email, retention=retention, **parts, **mails).model_dump()
