"""Made speech for properties: what people say, and what no person does."""

# ruff: noqa: RUF001
from typing import Any

from hypothesis import strategies as st

from pipeline.transcript import Segment, Word, fold

NASTY = [
    "-->",
    "&amp;",
    "<b>",
    "</v>",
    r"{\an8}",
    r"\N",
    "https://example.org/a?b=c&d=e#f",
    "1.",
    "#",
    "*",
    "_",
    "|",
    "[x](y)",
]
LATIN = [
    "And",
    "so,",
    "my",
    "fellow",
    "Americans:",
    "ask",
    "not",
    "what",
    "your",
    "country",
    "can",
    "do",
    "for",
    "you.",
    "—",
    "für",
]
WIDE = [
    "今日は、",
    "「日本語」",
    "字幕を",
    "読みやすい",
    "ちょっと待って！",
    "我们今天来",
    "讨论。",
    "Wikipedia",
    "10％",
]
OTHER = [
    "مرحبا",
    "שלום",
    "สวัสดีครับ",
    "안녕하세요,",
    "é\u0301",
    "👩\u200d👩\u200d👧",
    "\u200b",
    "\x00",
    "\u2028",
    "\ufffe",
]

words = st.sampled_from(LATIN)
wide = st.sampled_from(WIDE)
anything = st.one_of(words, wide, st.sampled_from(NASTY), st.sampled_from(OTHER), st.text(max_size=60))


def texts(of: st.SearchStrategy[str], most: int = 40) -> st.SearchStrategy[str]:
    return st.lists(of, min_size=1, max_size=most).map(" ".join).map(fold)


@st.composite
def talk(draw: Any, of: st.SearchStrategy[str] = words, paces: tuple[int, int] = (40, 90)) -> list[Segment]:
    """One after the other, at so many milliseconds a character."""
    clock, segments = 0, []
    for text in draw(st.lists(texts(of), max_size=8)):
        clock += draw(st.integers(0, 3000))
        spoken = []
        for word in text.split():
            end = clock + draw(st.integers(*paces)) * len(word)
            spoken.append(Word(clock / 1000, end / 1000, word))
            clock = end + draw(st.integers(0, 200))
        if spoken:
            told = tuple(spoken) if draw(st.booleans()) else ()
            segments.append(Segment(spoken[0].start, spoken[-1].end, text, told))
    return segments


@st.composite
def chaos(draw: Any, of: st.SearchStrategy[str] = anything) -> list[Segment]:
    """Whoever says whatever whenever, also at once, in no time, and with words that are not those of the text."""
    times = st.integers(0, 30_000).map(lambda time: time / 1000)
    pieces = []
    for start in sorted(draw(st.lists(times, max_size=12))):
        end = round(start + draw(st.sampled_from([0, 0.2, 2, 20])), 3)
        told = draw(st.lists(st.builds(Word, times, times, texts(of, 2)), max_size=4))
        speaker = draw(st.sampled_from([None, "Ada", "<Bob> & --> {x}"]))
        pieces.append(Segment(start, end, draw(texts(of, 12)), tuple(told), speaker))
    return pieces
