"""/v1/account/glossary: names and terms that occur in all of a user's recordings."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from gateway.access import identity
from gateway.api import private_routes
from gateway.services import services
from pipeline.options import MOST_TERMS, Options, Term

api = private_routes("glossary", [413, 422, 503])


class Glossary(BaseModel):
    model_config = ConfigDict(extra="forbid")

    terms: list[Term] = Field(max_length=MOST_TERMS, description="Spelt as they should be.")


@api.get("/v1/account/glossary", summary="Look at your glossary", responses={200: Glossary})
def get_glossary() -> dict[str, Any]:
    return {"terms": services().accounts.glossary(identity().owner)}


@api.put("/v1/account/glossary", summary="Replace your glossary", responses={200: Glossary})
def put_glossary(body: Glossary) -> dict[str, Any]:
    """It counts for what is uploaded, or transcribed again, from now on."""
    terms = _united(body.terms)
    services().accounts.set_glossary(identity().owner, terms)
    return {"terms": terms}


def with_glossary(wanted: Options) -> Options:
    """The options with the user's own terms behind the recording's. Raises `Unavailable`."""
    return wanted.model_copy(
        update={"glossary": _united(wanted.glossary, services().accounts.glossary(identity().owner))}
    )


def _united(*glossaries: Sequence[str]) -> tuple[str, ...]:
    """As many as may be, each once, in the first spelling."""
    found: dict[str, str] = {}
    for term in chain(*glossaries):
        found.setdefault(term.casefold(), term)
    return tuple(found.values())[:MOST_TERMS]
