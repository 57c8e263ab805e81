from hypothesis import given
from hypothesis import strategies as st

from speech.model import Word
from speech.phrases import LONGEST, PAUSE, phrases


def spoken(*said: tuple[str, float, float]) -> list[Word]:
    return [Word(word=word, start=start, end=end, probability=1) for word, start, end in said]


def texts(words: list[Word]) -> list[str]:
    return ["".join(word.word for word in phrase) for phrase in phrases(words)]


@given(st.lists(st.tuples(st.sampled_from(["a", "b.", "c?”", "d,"]), st.floats(0, 3), st.floats(0, 3))))
def test_every_word_is_in_one_phrase_in_its_order(said: list[tuple[str, float, float]]) -> None:
    words, clock = [], 0.0
    for word, pause, length in said:
        words += spoken((word, clock + pause, clock + pause + length))
        clock += pause + length
    cut = list(phrases(words))
    assert [word for phrase in cut for word in phrase] == words
    assert all(phrase and (len(phrase) == 1 or phrase[-1].end - phrase[0].start <= LONGEST) for phrase in cut)


def test_a_phrase_ends_with_its_sentence() -> None:
    words = spoken((" Who?", 0, 1), (" “Me.”", 1, 2), (" And", 2, 3), (" you", 3, 4))
    assert texts(words) == [" Who?", " “Me.”", " And you"]


def test_a_phrase_ends_where_who_speaks_is_silent() -> None:
    assert texts(spoken((" a", 0, 1), (" b", 1 + PAUSE, 4), (" c", 4.5, 5))) == [" a", " b c"]


def test_a_phrase_without_an_end_ends_in_time() -> None:
    words = spoken(*((" on", float(second), second + 1.0) for second in range(30)))
    assert [len(phrase) for phrase in phrases(words)] == [LONGEST, LONGEST, 30 - 2 * LONGEST]
