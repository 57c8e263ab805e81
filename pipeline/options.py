"""What a user may ask for with a recording: the same words in a form, a query, JSON and the metadata of a resumable upload."""

import hashlib
from collections.abc import Iterable
from itertools import chain
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from pipeline.audio import Audio, Listed

Format = Literal["txt", "srt", "vtt", "json", "docx", "md"]
FORMATS: tuple[Format, ...] = ("txt", "srt", "vtt", "json")
"""What is made where nothing else is asked for."""

_BLANK = ("", [""])
"""In a form, and in a query where several may be given."""
_SAYS_NONE = ("notify", "chapters")


def _lone(address: str) -> str:
    """Raises ValueError for more than an address: names, routes, lists and encoded words (RFC 2047) have no place here."""
    if address.count("@") != 1 or "=?" in address or set(address) & set('<>,;:"()[]\\'):
        raise ValueError("not a mail address")
    return address


Tag = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=50)]
Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]
Address = Annotated[str, StringConstraints(pattern=r"^[!-~]+@[A-Za-z0-9._-]+$", max_length=320), AfterValidator(_lone)]
_ADDRESS = TypeAdapter(Address)
Term = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
MOST_TERMS = 200
"""Of a glossary."""
Days = Annotated[int, Field(gt=0, le=36500)]


def reachable(address: str) -> tuple[str, ...]:
    """A user's address as one to notify; none if mail cannot go there, because people may sign in with more than mail is sent to."""
    try:
        return (_ADDRESS.validate_python(address),)
    except ValidationError:
        return ()


def others(notify: Iterable[str] | None, own: str | None) -> int:
    """How many of those who hear of a job are others than its owner."""
    return len({address.casefold() for address in notify or ()} - {(own or "").casefold()})


def each_once(texts: Iterable[str]) -> tuple[str, ...]:
    """In the first spelling of those that differ in small and capital letters only."""
    found: dict[str, str] = {}
    for text in texts:
        found.setdefault(text.casefold(), text)
    return tuple(found.values())


Addresses = Annotated[tuple[Address, ...], Listed, Field(max_length=10), AfterValidator(each_once)]


def united(*glossaries: Iterable[str]) -> tuple[str, ...]:
    """As many terms as may be."""
    return each_once(chain(*glossaries))[:MOST_TERMS]


class Wording(BaseModel):
    """How the words of a recording are made out and written down."""

    language: str | None = Field(
        None, pattern=r"^[a-z]{2,3}$", description="The language spoken, ISO 639-1; found out if unset."
    )
    translate: bool = Field(False, description="Whether to write down what was said in English, whatever was spoken.")
    model: str | None = Field(
        None, max_length=200, description="Which of the installation's speech models to ask; the first if unset."
    )
    glossary: Annotated[tuple[Term, ...], Listed] = Field(
        (),
        max_length=MOST_TERMS,
        description="Names and terms that occur, spelt as they should be; those of your account count behind them.",
    )
    speakers: bool = Field(False, description="Whether to tell who speaks, where the model can.")
    by_channel: bool = Field(
        False, description="Whether each channel of a stereo recording is a speaker by itself, as in phone calls."
    )
    formats: Annotated[tuple[Format, ...], Listed] = Field(
        FORMATS, min_length=1, description="Which transcripts to make."
    )
    txt_times: bool = Field(False, description="Whether paragraphs of txt, docx and md begin with their time.")


class Options(Audio, Wording):
    """What is not given is None or empty, and then the installation's default holds. Other names may stand beside."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _without_blanks(cls, given: Any) -> Any:
        """A field that a form leaves blank is not given; only nobody to notify and no chapters are something to say."""
        if not isinstance(given, dict):
            return given
        return {name: value for name, value in given.items() if value not in _BLANK or name in _SAYS_NONE}

    title: Title | None = Field(None, description="What the job is called; the file's name if unset.")
    transcribe: bool = Field(True, description="Whether to make transcripts at all.")
    tags: Annotated[tuple[Tag, ...], Listed] = Field((), max_length=20, description="Words to find the job by.")
    notify: Addresses | None = Field(
        None, description="Who gets a mail when the job has ended: your own address if unset, nobody if empty."
    )
    webhook: HttpUrl | None = Field(
        None,
        max_length=2000,
        description="An address that is called when the job has ended; the secret that signs is found at `/v1/webhooks`.",
    )
    keep_original_days: Days | None = Field(None, description="After how many days the uploaded file is removed.")
    keep_result_days: Days | None = Field(None, description="After how many days the job is removed with all it made.")

    def kept(self) -> dict[str, Any]:
        """As the catalog keeps them: what was asked for, and nothing else."""
        return self.model_dump(mode="json", exclude_defaults=True)

    @property
    def terms(self) -> tuple[str, ...]:
        """What a speech model is told of names and terms, the most important first."""
        return united(self.glossary)

    @property
    def recipe(self) -> str:
        """The same for options that lead to the same results from the same bytes. A title stands in the tags of sound files."""
        sound = self.model_dump(include=set(Audio.model_fields))
        words = self.model_dump(include=set(Wording.model_fields))
        words |= {"formats": sorted(set(self.formats)), "glossary": self.terms}
        asked = (sorted(sound.items()), sorted(words.items()) if self.transcribe else None, self.title)
        return hashlib.sha256(repr(asked).encode()).hexdigest()


class StrictOptions(Options):
    """Where only options may stand, other names are mistakes."""

    model_config = ConfigDict(extra="forbid")


class KeptOptions(Options):
    """As the catalog keeps them: beside what was asked for stands what the account had then, which no client gives.

    Apart, so that a later run takes the account's terms as they are by then, and the job's own stay what they were.
    """

    account_glossary: tuple[Term, ...] = ()

    @property
    def terms(self) -> tuple[str, ...]:
        return united(self.glossary, self.account_glossary)
