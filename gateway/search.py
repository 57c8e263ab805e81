"""/v1/search: what was said, over all transcripts of a user."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from gateway.access import identity
from gateway.api import private_routes
from gateway.services import services
from pipeline import search
from pipeline.cursors import BadCursor
from pipeline.problems import Problem

api = private_routes("search", [422, 503])


class SearchQuery(BaseModel):
    q: str = Field(
        min_length=1,
        max_length=300,
        description='Words that all have to be in a passage; `"words in quotes"` in this order, `begin*` as a beginning.',
    )
    limit: int = Field(20, ge=1, le=100)
    cursor: str | None = None


class Hit(BaseModel):
    """A passage of a transcript. Times of the recording are in seconds, dates RFC 3339, UTC."""

    job: str = Field(description="The job's id.")
    title: str
    created_at: datetime = Field(description="When the job was made.")
    start: float
    end: float
    snippet: str
    highlights: list[tuple[int, int]] = Field(
        description="Where in the snippet the words are: from a character to the one behind the last, counted in Unicode code points."
    )
    href: str = Field(description="Path of the transcript on this server.")


class Found(BaseModel):
    items: list[Hit]
    next: str | None = Field(description="The cursor of the next page; null on the last.")


@api.get("/v1/search", summary="Search in your transcripts", responses={200: Found})
def find(query: SearchQuery) -> dict[str, Any]:
    """Newest job first, and of one job in the order in which things were said. Case and accents make no difference."""
    try:
        hits, cursor = search.search(services().catalog, identity().owner, query.q, query.cursor, query.limit)
    except search.NoWords:
        raise Problem("invalid", "q: there is no word in this.") from None
    except BadCursor:
        raise Problem("invalid", "The cursor is not one of ours.") from None
    return Found(items=[_hit(hit) for hit in hits], next=cursor).model_dump(mode="json")


def _hit(hit: search.Hit) -> Hit:
    href = f"/v1/jobs/{hit.job_id}/transcript"
    return Hit.model_validate({**hit._asdict(), "job": hit.job_id, "href": href})
