"""/v1/connections: accounts elsewhere that a user has connected."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway import intake, models
from gateway.access import identity
from gateway.api import private_routes
from gateway.services import services
from pipeline import connection_rows
from pipeline.connections import Begun
from pipeline.jobs import Settled
from pipeline.options import Options, StrictOptions
from pipeline.problems import Problem
from pipeline.wishes import MOST_FOLDERS, Conflict, FolderPath, Results, Wishes

api = private_routes("connections", [404, 409, 422, 429, 501, 503])

_FIELDS = Wishes.model_fields


class RemoteAccount(models.Answer):
    """The account that is connected."""

    name: str | None
    email: str | None


class Connection(models.Answer):
    """A connected account. Times are RFC 3339, UTC."""

    id: str
    state: Literal["connecting", "active", "paused", "broken", "leaving"]
    reason: str | None = Field(description="The last error, for people; null since what failed has worked.")
    account: RemoteAccount | None = Field(description="Null until it is connected.")
    folders: list[str]
    results: Results
    results_folder: str | None
    conflict: Conflict
    options: Options
    files: dict[str, int] = Field(
        description="How many were found: `taken` have a job, `settling` may still grow, `waiting` have no room now, `ignored` are no recordings, `result` are ours, `gone` are not there any more."
    )
    checked_at: datetime | None = Field(description="When it was last known what is new there.")
    created_at: datetime

    @classmethod
    def of(cls, found: connection_rows.Connection) -> Self:
        account = {"name": found.account_name, "email": found.account_email} if found.account_id else None
        paths = [folder.path or "/" for folder in found.folders]
        shown = Options.model_validate(found.options.kept())
        return cls.model_validate({**vars(found), "account": account, "folders": paths, "options": shown})


class ConnectionList(models.Answer):
    items: list[Connection]


class Change(BaseModel):
    """What is to be different; what is not given stays."""

    model_config = ConfigDict(extra="forbid")

    folders: tuple[FolderPath, ...] | None = Field(
        None, min_length=1, max_length=MOST_FOLDERS, description=_FIELDS["folders"].description
    )
    results: Results | None = Field(None, description=_FIELDS["results"].description)
    results_folder: FolderPath | None = Field(None, description=_FIELDS["results_folder"].description)
    conflict: Conflict | None = Field(None, description=_FIELDS["conflict"].description)
    options: StrictOptions | None = Field(None, description="All of them: those that are not named are unset.")

    def applied(self, to: Wishes) -> Wishes:
        """Raises `Problem` 422 if it does not fit what stays."""
        given = self.model_dump(exclude_unset=True, exclude_none=True, exclude={"options"})
        if self.options is not None:
            given["options"] = checked(self.options)
        if given.get("results", "folder") != "folder":
            given.setdefault("results_folder", None)
        try:
            return Wishes.model_validate({**dict(to), **given})
        except ValidationError as error:
            raise intake.invalid(error) from None


def checked(options: StrictOptions) -> StrictOptions:
    """As of an upload by the same user. Raises `Problem`."""
    intake.check(options)
    return options.model_copy(update={"notify": intake.told(options.notify)})


@api.get("/v1/connections", summary="List connected accounts, oldest first", responses={200: ConnectionList})
def list_connections() -> dict[str, Any]:
    found = services().connections.list(identity().owner)
    return ConnectionList(items=[Connection.of(one) for one in found]).model_dump(mode="json")


@api.get("/v1/connections/<id>", summary="Look at a connected account", responses={200: Connection})
def get_connection(path: models.JobPath) -> dict[str, Any]:
    return answer(_found(path.id))


@api.patch("/v1/connections/<id>", summary="Change what is done with an account", responses={200: Connection})
def change_connection(path: models.JobPath, body: Change) -> dict[str, Any]:
    """It counts for what is found from now on."""
    wishes = body.applied(_found(path.id).wishes)
    return act(lambda owner: services().connections.change(owner, path.id, wishes))


@api.delete("/v1/connections/<id>", summary="Disconnect an account", responses={202: Connection})
def disconnect(path: models.JobPath) -> tuple[dict[str, Any], int]:
    """Everything stops at once, and the permission is given back. Jobs stay, but for those not fetched yet."""
    return act(lambda owner: services().connections.disconnect(owner, path.id)), 202


@api.post("/v1/connections/<id>/pause", summary="Leave an account alone for a while", responses={200: Connection})
def pause_connection(path: models.JobPath) -> dict[str, Any]:
    """What is being fetched is fetched to its end."""
    return act(lambda owner: services().connections.pause(owner, path.id))


@api.post("/v1/connections/<id>/resume", summary="Go on with an account", responses={200: Connection})
def resume_connection(path: models.JobPath) -> dict[str, Any]:
    """Also if it was broken, where what was wrong has been put right elsewhere."""
    return act(lambda owner: services().connections.resume(owner, path.id))


@api.post("/v1/connections/<id>/sync", summary="Look now what is new in an account", responses={202: Connection})
def sync_connection(path: models.JobPath) -> tuple[dict[str, Any], int]:
    """While that does not work (`reason`), it is looked when it is next tried: Dropbox may want to be left alone until then."""
    return act(lambda owner: services().connections.sync(owner, path.id)), 202


def act(what: Callable[[str], Begun | None]) -> dict[str, Any]:
    """Does it for the caller, sends what follows, and answers with the connection. Raises `Problem` 404, 409."""
    try:
        found = what(identity().owner)
    except Settled as error:
        raise Problem("conflict", str(error)) from None
    if found is None:
        raise Problem("not_found")
    connection, messages = found
    services().dispatcher.send(messages)
    return answer(connection)


def answer(found: connection_rows.Connection) -> dict[str, Any]:
    return Connection.of(found).model_dump(mode="json")


def _found(connection_id: str) -> connection_rows.Connection:
    found = services().connections.get(identity().owner, connection_id)
    if found is None:
        raise Problem("not_found")
    return found
