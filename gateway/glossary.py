"""/v1/account/glossary: names and terms that occur in all of a user's recordings."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from gateway.access import identity
from gateway.api import private_routes
from gateway.services import services
from pipeline.options import MOST_TERMS, KeptOptions, Options, Term, united

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
    terms = united(body.terms)
    services().accounts.set_glossary(identity().owner, terms)
    return {"terms": terms}


def with_glossary(wanted: Options) -> KeptOptions:
    """The options with the user's own terms as they are now, beside the recording's. Raises `Unavailable`."""
    terms = services().accounts.glossary(identity().owner)
    return KeptOptions.model_validate({**wanted.kept(), "account_glossary": terms})
