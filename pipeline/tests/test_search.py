"""The same on every database that there is an index for: one contract."""

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, func, select, text

from pipeline import migrate
from pipeline.accounts import Limits
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.catalog import JobRow, PassageRow
from pipeline.cursors import BadCursor
from pipeline.database import connect, transaction
from pipeline.jobs import Jobs
from pipeline.retention import remove_jobs
from pipeline.search import SNIPPET, Hit, NoWords, index, search
from pipeline.tests.makers import OWNER, a_recording, end_days_ago, work_through
from pipeline.work import Passage

STRANGER = "b" * 32


def a_transcript(catalog: Engine, *said: str, owner: str = OWNER, title: str = "talk.mp4") -> str:
    """The id of a job in which each of these was said, two seconds each."""
    job_id = uuid4().hex
    with transaction(catalog) as session:
        session.add(JobRow(id=job_id, owner=owner, title=title, options={}))
        session.flush()
        index(session, job_id, [Passage(2 * number, 2 * number + 2, words) for number, words in enumerate(said)])
    return job_id


def found(catalog: Engine, query: str, **asked: Any) -> list[str]:
    return [hit.snippet for hit in search(catalog, OWNER, query, **asked)[0]]


def marked(hit: Hit) -> list[str]:
    return [hit.snippet[start:end] for start, end in hit.highlights]


def test_a_hit_says_where_it_is(catalog: Engine) -> None:
    job_id = a_transcript(catalog, "Nothing here.", "Rabbits eat clover.", title="On rabbits")
    (hit,), after = search(catalog, OWNER, "CLOVER")
    assert (hit.job_id, hit.title, hit.start, hit.end) == (job_id, "On rabbits", 2, 4)
    assert (hit.snippet, marked(hit), after) == ("Rabbits eat clover.", ["clover"], None)
    job = Jobs(catalog).get(OWNER, job_id)
    assert job is not None
    assert hit.created_at == job.created_at


THERE = [
    *("a", "I", "to be", "the www", "x", "42", "at"),  # short words, and stop words of MySQL
    *("cafe", "CAFÉ", "cafe\u0301", "strasse", "straße", "елка", "Ёлка"),
    *("don't", '"don\'t"', "cafe-bar", "zoo z"),
    *("数学", '"数学"', "学", "の数", "カフェ", "학교", "สวัส"),
    *("достопримечательностями", "достопримечательностям*"),  # longer than MySQL's words, once encoded
    *("caf*", "Ё*", "mathematik*", "donaudampfschifffahrtsgesellschaftskapitänsmütze"),
    *('"to be or not to be"', "“to be or”", 'be "or not" cafe', "be the to"),
]


def test_what_is_there_is_found(catalog: Engine) -> None:
    said = (
        "The www: I had x at 42, a Café-Bar, zoo z, Straße, ёлка. Don't! To be, or not to be. Mathematiker "
        "Donaudampfschifffahrtsgesellschaftskapitänsmütze достопримечательностями 日本の数学 カフェ 학교에서 สวัสดี"
    )
    a_transcript(catalog, "Something else.", said)
    assert [query for query in THERE if len(found(catalog, query)) != 1] == []


NOT_THERE = [
    *("clovers", "clov", "over", "rabbits hares", '"eat rabbits"', '"rabbits clover"', '"eat clov*"', "w0rabbits"),
    *("eat -clover -nothing", "rabbits OR hares", "NEAR(rabbits hares)", "学数", "数 学 語", "dining"),
    *("rabbits%s", "rabb_ts", "w0*x"),
]


def test_what_is_not_there_is_not_found(catalog: Engine) -> None:
    """A word is a whole word, all of them have to be there, and phrases have an order."""
    a_transcript(catalog, "Rabbits eat clover. 数学", "Or the nothing.", "Not hares, near.")
    assert [query for query in NOT_THERE if found(catalog, query)] == []


SIGNS = [
    *('rabbits"', '"rabbits', "rabbits'", "rabbits)", "(rabbits", "rabbits;", "+rabbits", "-rabbits", "~rabbits"),
    *("rabbits@2", "tokens:rabbits", "^rabbits", "{rabbits}", "rabbits\\", "<rabbits>", "rabbits\x00", "%rabbits"),
    *("rabbits**", '""rabbits', "rabbits --", "rabbits' OR '1'='1", "rabbits\ud800"),
]


def test_signs_in_a_query_are_no_commands(catalog: Engine) -> None:
    """Words beside them are words: they have to be there too."""
    a_transcript(catalog, "Tokens: rabbits, 2, or 1 1.")
    a_transcript(catalog, "Hares.")
    assert [query for query in SIGNS if found(catalog, query) != ["Tokens: rabbits, 2, or 1 1."]] == []


def test_a_query_without_a_word_is_none(catalog: Engine) -> None:
    for query in ("", " ", '""', "*", "%", "+ - ~", '"*"', "\u00b4", "😀"):
        with pytest.raises(NoWords):
            search(catalog, OWNER, query)


def test_nobody_finds_what_others_said(catalog: Engine) -> None:
    a_transcript(catalog, "A secret.", owner=STRANGER)
    assert found(catalog, "secret") == []
    assert len(search(catalog, STRANGER, "secret")[0]) == 1


def test_the_newest_job_comes_first_and_then_the_order_of_speech(catalog: Engine) -> None:
    for number in range(3):
        a_transcript(catalog, f"one {number}", "nothing", f"two {number}", title=str(number))
    found = search(catalog, OWNER, "one*")[0] + search(catalog, OWNER, "two")[0]
    assert [hit.title for hit in found] == ["2", "1", "0"] * 2
    a_transcript(catalog, *(f"so {number}" for number in range(12)))
    assert [hit.snippet for hit in search(catalog, OWNER, "so")[0]] == [f"so {number}" for number in range(12)]


def test_pages_stay_as_they_are_while_jobs_are_added(catalog: Engine) -> None:
    for _ in range(3):
        a_transcript(catalog, "so one", "so two", "so three")
    whole = search(catalog, OWNER, "so", limit=100)[0]
    seen, cursor = search(catalog, OWNER, "so", limit=2)
    while cursor:
        a_transcript(catalog, "so new")
        page, cursor = search(catalog, OWNER, "so", cursor, limit=2)
        seen += page
    assert seen == whole
    assert len(whole) == 9


def test_a_cursor_of_another_list_is_refused(catalog: Engine) -> None:
    for cursor in ("x", "é", "MjAyNi0wMS0wMQ==", "MjAyNi0wMS0wMVQwMDowMDowMCswMDowMCBhIC0x"):
        with pytest.raises(BadCursor):
            search(catalog, OWNER, "so", cursor)


def test_a_snippet_is_cut_around_the_first_hit(catalog: Engine) -> None:
    words = " ".join(f"word{number}" for number in range(200))
    a_transcript(catalog, words)
    (hit,), _ = search(catalog, OWNER, '"word100 word101" word199')
    assert len(hit.snippet) <= SNIPPET
    assert marked(hit) == ["word100", "word101"]
    assert f" {hit.snippet} " in words
    (first,), _ = search(catalog, OWNER, "word0")
    assert first.snippet.startswith("word0 word1 ")
    (last,), _ = search(catalog, OWNER, "word199")
    assert last.snippet.endswith(" word198 word199")


def test_a_snippet_without_spaces_is_cut_too(catalog: Engine) -> None:
    a_transcript(catalog, "数" * 500 + "学" + "数" * 500)
    (hit,), _ = search(catalog, OWNER, "学")
    assert (len(hit.snippet), marked(hit)) == (SNIPPET, ["学"])


def test_highlights_are_where_the_words_are_also_as_phrases_and_beginnings(catalog: Engine) -> None:
    a_transcript(catalog, "To bed, to be or not to be: Café.")
    marks = {query: marked(search(catalog, OWNER, query)[0][0]) for query in ('"to be"', "be*", "cafe to")}
    assert marks == {
        '"to be"': ["to", "be", "to", "be"],
        "be*": ["bed", "be", "be"],
        "cafe to": ["To", "to", "to", "Café"],
    }


def test_what_is_indexed_anew_is_not_found_by_what_it_was(catalog: Engine) -> None:
    job_id = a_transcript(catalog, "Rabbits.", "Hares.")
    with transaction(catalog) as session:
        index(session, job_id, [Passage(0, 1, "Badgers.")])
    assert (found(catalog, "rabbits"), found(catalog, "hares"), found(catalog, "badgers")) == ([], [], ["Badgers."])
    with transaction(catalog) as session:
        index(session, job_id, [])
    assert found(catalog, "badgers") == []


def test_thousands_of_passages_are_indexed_in_order(catalog: Engine) -> None:
    job_id = a_transcript(catalog, *(f"said {number}" for number in range(2500)))
    with transaction(catalog) as session:
        counted = session.execute(select(func.count(), func.max(PassageRow.number)).where(PassageRow.job_id == job_id))
        assert tuple(counted.one()) == (2500, 2499)
    assert found(catalog, '"said 2499"') == ["said 2499"]


@pytest.mark.parametrize("how", ["deleted", "kept long enough"])
def test_a_job_that_is_gone_is_found_no_more(catalog: Engine, store: DirectoryBlobs, how: str) -> None:
    """Its rows go with it, and out of the index too, where the database does not see to that itself."""
    job = work_through(catalog, store, a_recording(catalog, store))
    assert len(search(catalog, OWNER, "rabbits")[0]) == 2
    if how == "deleted":
        assert Jobs(catalog).delete(OWNER, job.id)
    else:
        end_days_ago(catalog, 10)
        assert remove_jobs(catalog, Limits(keep_result_days=10)) == 1
    assert found(catalog, "rabbits") == []
    with transaction(catalog) as session:
        assert session.scalar(select(func.count()).select_from(PassageRow)) == 0
        if catalog.dialect.name == "sqlite":
            assert session.scalar(text("SELECT count(*) FROM passages_fts_docsize")) == 0
            session.execute(text("INSERT INTO passages_fts (passages_fts, rank) VALUES ('integrity-check', 1)"))


def test_what_a_twin_is_found_by_finds_the_new_job_too(catalog: Engine, store: DirectoryBlobs) -> None:
    first = work_through(catalog, store, a_recording(catalog, store))
    second = a_recording(catalog, store, title="again.mp4")
    assert second.reused
    assert [(hit.job_id, hit.start) for hit in search(catalog, OWNER, "clover")[0]] == [(second.id, 0), (first.id, 0)]
    Jobs(catalog).delete(OWNER, first.id)
    assert [hit.job_id for hit in search(catalog, OWNER, "clover")[0]] == [second.id]


@pytest.fixture(params=["sqlite", pytest.param("mysql", marks=pytest.mark.servers)])
def migrated(request: pytest.FixtureRequest, tmp_path: Any) -> Any:
    url = f"sqlite:///{tmp_path}/m.db" if request.param == "sqlite" else request.getfixturevalue("new_database")()
    engine = connect(url)
    migrate.upgrade(engine)
    yield engine
    engine.dispose()


def test_a_catalog_that_was_migrated_finds_the_same(migrated: Engine) -> None:
    a_transcript(migrated, "Rabbits eat clover.")
    assert found(migrated, '"eat clover" rabb*') == ["Rabbits eat clover."]
