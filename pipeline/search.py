"""Finding what was said: passages of the newest transcripts, by words, phrases and beginnings of words.

The databases' own languages for queries are never handed what a user wrote: of that, only words count, see `pipeline.analysis`.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import chain
from typing import NamedTuple

from sqlalchemy import ColumnElement, Engine, column, delete, insert, literal, select, table, tuple_
from sqlalchemy.dialects.mysql import match
from sqlalchemy.orm import Session

from pipeline.analysis import Token, encoded, tokens
from pipeline.catalog import JobRow, PassageRow
from pipeline.cursors import BadCursor, make_cursor, read_cursor
from pipeline.database import transaction
from pipeline.transcript import fold
from pipeline.work import Passage

SNIPPET = 240
"""Characters that a snippet has at most."""
_BATCH = 1000
_PIECES = re.compile(r'["\u201c\u201d\u201e]([^"\u201c\u201d\u201e]*)["\u201c\u201d\u201e]|(\S+)')
_FTS5 = table("passages_fts", column("rowid"), column("passages_fts"))


class NoWords(ValueError):
    """The query has no word to look for."""


class Term(NamedTuple):
    """Words that stand one behind the other."""

    words: Sequence[str]
    prefix: bool
    """A word that begins so is meant too; only of single words."""


class Hit(NamedTuple):
    """A passage that was found; `start` and `end` in seconds of the recording, `created_at` is the job's."""

    job_id: str
    title: str
    created_at: datetime
    start: float
    end: float
    snippet: str
    highlights: Sequence[tuple[int, int]]
    """Where in the snippet the words are, as numbers of characters; the second is behind the last."""


def index(session: Session, job_id: str, passages: Sequence[Passage]) -> None:
    """Lets the job be found by these, and by nothing else any more."""
    session.execute(delete(PassageRow).where(PassageRow.job_id == job_id))
    for first in range(0, len(passages), _BATCH):
        rows = [_row(job_id, number, passage) for number, passage in enumerate(passages[first : first + _BATCH], first)]
        session.execute(insert(PassageRow), rows)


def share(session: Session, from_job: str, to_job: str) -> None:
    """Lets the one job be found by what the other is found by."""
    columns = [PassageRow.number, PassageRow.start, PassageRow.end, PassageRow.text, PassageRow.tokens]
    theirs = select(literal(to_job), *columns).where(PassageRow.job_id == from_job)
    session.execute(insert(PassageRow).from_select([PassageRow.job_id, *columns], theirs))


def search(
    engine: Engine, owner: str, query: str, cursor: str | None = None, limit: int = 20
) -> tuple[list[Hit], str | None]:
    """Passages of `owner` that have all of the query in them, with the cursor of the next page.

    Those of the newest job come first, of one job in the order in which they were said: pages stay as they are while jobs are
    added. Raises NoWords, BadCursor, `Unavailable`.
    """
    asked = list(terms(query))
    if not asked:
        raise NoWords(query)
    order = JobRow.created_at, JobRow.id, -PassageRow.number
    wanted = (
        select(PassageRow, JobRow)
        .join(JobRow, JobRow.id == PassageRow.job_id)
        .where(JobRow.owner == owner, _matches(engine, asked))
        .order_by(*(part.desc() for part in order))
        .limit(limit + 1)
    )
    if cursor:
        wanted = wanted.where(tuple_(*order) < tuple_(*_position(cursor)))
    with transaction(engine) as session:
        found = session.execute(wanted).all()
        page = [_hit(job, passage, asked) for passage, job in found[:limit]]
    if len(found) <= limit:
        return page, None
    last, job = found[limit - 1]
    return page, make_cursor(job.created_at, job.id, last.number)


def terms(query: str) -> Iterator[Term]:
    """What is in quotes is a phrase; a word with a star behind it is meant as the beginning of one; the rest is words."""
    for quoted, word in _PIECES.findall(unicodedata.normalize("NFC", query)):
        words = [found.word for found in tokens(quoted or word)]
        if words:
            yield Term(words, prefix=len(words) == 1 and word.endswith("*"))


def _row(job_id: str, number: int, passage: Passage) -> dict[str, object]:
    text = unicodedata.normalize("NFC", fold(passage.text))
    coded = " ".join(encoded(token.word) for token in tokens(text))
    times = {"start": passage.start, "end": passage.end}
    return {"job_id": job_id, "number": number, "text": text, "tokens": coded, **times}


def _matches(engine: Engine, asked: Sequence[Term]) -> ColumnElement[bool]:
    """By the FULLTEXT index of MySQL and MariaDB, or FTS5 of SQLite."""
    phrases = [(" ".join(map(encoded, term.words)), term.prefix) for term in asked]
    if engine.dialect.name == "mysql":
        boolean = " ".join(f"+{phrase}*" if prefix else f'+"{phrase}"' for phrase, prefix in phrases)
        return match(PassageRow.__table__.c.tokens, against=boolean).in_boolean_mode()
    expression = " AND ".join(f'"{phrase}"{" *" * prefix}' for phrase, prefix in phrases)
    return PassageRow.id.in_(select(_FTS5.c.rowid).where(_FTS5.c.passages_fts.op("MATCH")(expression)))


def _position(cursor: str) -> tuple[datetime, str, int]:
    moment, (job_id, number) = read_cursor(cursor, 2)
    if not re.fullmatch("[0-9]{1,9}", number):
        raise BadCursor(cursor)
    return moment, job_id, -int(number)


def _hit(job: JobRow, passage: PassageRow, asked: Sequence[Term]) -> Hit:
    found = sorted(set(_places(list(tokens(passage.text)), asked)))
    first, last = _cut(passage.text, found[0][0] if found else 0)
    inside = [(start - first, end - first) for start, end in found if first <= start and end <= last]
    snippet = passage.text[first:last]
    return Hit(job.id, job.title, job.created_at, passage.start, passage.end, snippet, inside)


def _places(words: Sequence[Token], asked: Sequence[Term]) -> Iterator[tuple[int, int]]:
    """Where in the text the terms are; of a phrase, each word by itself."""
    return chain.from_iterable(_places_of(words, term) for term in asked)


def _places_of(words: Sequence[Token], term: Term) -> Iterator[tuple[int, int]]:
    count, sought = len(term.words), [encoded(word) for word in term.words]
    for first in range(len(words) - count + 1):
        met = words[first : first + count]
        coded = [encoded(token.word) for token in met]
        if coded == sought or (term.prefix and coded[0].startswith(sought[0])):
            yield from ((token.start, token.end) for token in met)


def _cut(text: str, hit: int) -> tuple[int, int]:
    """Around the hit, a third of it before, and not within words where that can be helped."""
    if len(text) <= SNIPPET:
        return 0, len(text)
    first = max(0, min(hit - SNIPPET // 3, len(text) - SNIPPET))
    last = first + SNIPPET
    space = text.find(" ", first, hit) + 1 if first else 0
    end = text.rfind(" ", hit, last) if last < len(text) else last
    return max(first, space), end if end > hit else last
