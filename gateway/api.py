"""How groups of routes are made, and what the OpenAPI document says of them."""

from collections.abc import Sequence
from typing import Any

from flask_openapi3 import APIBlueprint, Tag
from flask_openapi3.types import ResponseDict
from pydantic import BaseModel, ConfigDict, Field
from werkzeug.http import HTTP_STATUS_CODES

from gateway.access import require_token

SECURITY_SCHEMES: dict[str, Any] = {
    "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "What `/login` answers."},
    "password": {"type": "http", "scheme": "basic"},
}

_BINARY = {"schema": {"type": "string", "format": "binary"}}
BODY: dict[str, Any] = {"required": True, "content": {"application/octet-stream": _BINARY}}
"""A body that is a file."""
FILE: ResponseDict = {
    200: {"description": "The file.", "content": {"*/*": _BINARY}},
    206: {"description": "The part of the file that `Range` asks for.", "content": {"*/*": _BINARY}},
    304: {"description": "The file that `If-None-Match` names is still the right one."},
}
"""Responses of a route that sends a file."""
UNCHANGED: ResponseDict = {304: {"description": "What `If-None-Match` names is still the newest."}}


class Problem(BaseModel):
    """What went wrong, RFC 9457."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    code: str = Field(description="Stays the same over versions; programs go by it.")
    detail: str | None = None


def form_of(fields: type[BaseModel], **files: str) -> dict[str, Any]:
    """A body that is a form: a file, and beside it `fields` and other `files`, of which this describes each."""
    binary = _BINARY["schema"]
    others = {name: {**binary, "description": description} for name, description in files.items()}
    properties = {"file": binary, **others, **_properties(fields)}
    form = {"type": "object", "properties": properties, "required": ["file"]}
    return {"required": True, "content": {"multipart/form-data": {"schema": form}}}


def _properties(fields: type[BaseModel]) -> dict[str, Any]:
    found: dict[str, Any] = fields.model_json_schema()["properties"]
    return found


def routes(name: str, statuses: Sequence[int]) -> APIBlueprint:
    """Routes for everybody, which may fail with the HTTP `statuses`."""
    return APIBlueprint(
        name,
        __name__,
        abp_tags=[Tag(name=name)],
        abp_responses=problems(*statuses),
        operation_id_callback=_operation_id,
    )


def private_routes(name: str, statuses: Sequence[int]) -> APIBlueprint:
    """Routes for who has signed in."""
    api = routes(name, [401, *statuses])
    api.abp_security = [{"token": []}]
    api.before_request(require_token)
    return api


def problems(*statuses: int) -> ResponseDict:
    """Responses of a route that may fail with these HTTP statuses."""
    content = {"application/problem+json": {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}}
    return {status: {"description": HTTP_STATUS_CODES[status], "content": content} for status in statuses}


def _operation_id(*, name: str, path: str, method: str) -> str:  # noqa: ARG001
    return name
