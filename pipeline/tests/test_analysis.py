import re
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.analysis import LONGEST, encoded, tokens

WORDS = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)


def words(text: str) -> list[str]:
    return [token.word for token in tokens(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Café, don't!", ["the", "cafe", "don", "t"]),
        ("STRASSE straße", ["strasse", "strasse"]),
        ("Ёлка ΌΧΙ", ["елка", "οχι"]),
        ("A4 x² ﬁne", ["a4", "x2", "fine"]),
        ("so\u00adft zero\u200bwidth", ["soft", "zerowidth"]),
        ("中文abc", ["中", "文", "abc"]),
        ("日本語がグ㍿", [*"日本語がグ", *"株式会社"]),
        ("학교에서", [*"학교에서"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("e\u0301te\u0301", ["ete"]),
        ('-- * "" +', []),
        ("", []),
    ],
)
def test_text_is_taken_apart(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_a_word_tells_where_it_stands() -> None:
    text = "Oh, Café 中文 straße."
    assert [text[token.start : token.end] for token in tokens(text)] == ["Oh", "Café", "中", "文", "straße"]


@given(st.text())
def test_words_stand_in_order_and_have_their_place(text: str) -> None:
    found = list(tokens(text))
    assert all(0 <= token.start < token.end <= len(text) for token in found)
    assert all(one.end <= other.start or one[1:] == other[1:] for one, other in pairwise(found))
    assert all(token.word for token in found)


@given(st.text())
def test_case_and_form_make_no_difference(text: str) -> None:
    composed = unicodedata.normalize("NFC", text)
    assert words(composed) == words(unicodedata.normalize("NFC", unicodedata.normalize("NFD", composed)))


@given(WORDS, WORDS)
def test_what_is_encoded_begins_as_the_word_does(one: str, other: str) -> None:
    if max(len(encoded(one)), len(encoded(other))) < LONGEST:
        assert encoded(one).startswith(encoded(other)) == one.startswith(other)
    assert encoded(one + other).startswith(encoded(one))


@given(WORDS | st.text("aж数", min_size=30))
def test_what_is_encoded_is_a_word_to_every_database(word: str) -> None:
    """Three characters at least and 84 at most, all of them letters and digits."""
    assert re.fullmatch(rf"[a-z0-9]{{3,{LONGEST}}}", encoded(word))
