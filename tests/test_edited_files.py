"""Files as the transcriber writes them, edited by a person, come back as what they say."""

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import Reject
from pipeline.options import Format, Options
from pipeline.transcript import About, Layer, Segment, Word, fold, write_layer
from sync.edits.edited import edited
from transcriber.formats import FORMATS
from transcriber.tests.speech import LATIN, NASTY, anything, chaos, talk

KINDS: tuple[Format, ...] = ("srt", "vtt", "txt")
SAME = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
WISHES = (Options(), Options(txt_times=True))


def heard(*sentences: str, speaker: str | None = None) -> list[Segment]:
    """Five seconds each, with a word every half second."""
    made = []
    for number, text in enumerate(sentences):
        start = number * 5.0
        words = [Word(start + at / 2, start + at / 2 + 0.4, word, 0.9) for at, word in enumerate(text.split())]
        made.append(Segment(start, start + 4.5, text, tuple(words), speaker, 0.8))
    return made


class Back:
    """A file that is written, edited and read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def layer(self, segments: list[Segment]) -> Layer:
        write_layer(self._folder / "layer", About(max((segment.end for segment in segments), default=0.0)), segments)
        return Layer(self._folder / "layer")

    def written(self, layer: Layer, kind: Format, wishes: Options = WISHES[0]) -> str:
        FORMATS[kind].write(layer, self._folder / kind, wishes)
        return (self._folder / kind).read_bytes().decode()

    def __call__(
        self, segments: list[Segment], kind: Format, edit: Callable[[str], str], wishes: Options = WISHES[0]
    ) -> list[Segment] | None:
        layer = self.layer(segments)
        file = self.written(layer, kind, wishes)
        return edited(f"talk.{kind}", edit(file).encode(), file.encode(), layer)


@pytest.fixture
def back(tmp_path: Path) -> Back:
    return Back(tmp_path)


@SAME
@given(st.one_of(talk(), talk(anything), chaos()), st.sampled_from(KINDS), st.sampled_from(WISHES))
def test_what_nobody_edited_changes_nothing(back: Back, said: list[Segment], kind: Format, wishes: Options) -> None:
    layer = back.layer(said)
    file = back.written(layer, kind, wishes)
    as_saved = [file, f"\ufeff{file}", file.replace("\n", "\r\n"), file.rstrip("\n"), f"\n{file}\n\n"]
    for saved in as_saved:
        assert edited(f"Talk.{kind.upper()}", saved.encode(), file.encode(), layer) is None
    assert edited(f"talk.{kind}", file.encode("utf-16"), file.encode(), layer) is None


@pytest.mark.parametrize("kind", KINDS)
def test_who_says_the_same_again_and_again_is_not_mixed_up(back: Back, kind: Format) -> None:
    texts = [
        ("ZEBRA And And And And And", 0.0, 0.72),
        ("fellow fellow And And fellow fellow And And fellow fellow fellow {\\an8}", 1.72, 4.12),
        *(("And", 4.12 + 0.12 * number, 4.24 + 0.12 * number) for number in range(3)),
        ("fellow fellow And And fellow fellow And", 5.48, 6.8),
    ]
    said = [Segment(round(start, 2), round(end, 2), text) for text, start, end in texts]
    made = back(said, kind, lambda file: file.replace("ZEBRA", "giraffe"))
    assert made == [replace(said[0], text="giraffe And And And And And"), *said[1:]]


@SAME
@given(talk(st.sampled_from(LATIN + NASTY)), st.sampled_from(KINDS), st.sampled_from(WISHES), st.randoms())
def test_a_changed_word_changes_the_segment_it_is_in(
    back: Back, said: list[Segment], kind: Format, wishes: Options, chance: random.Random
) -> None:
    """A word that stands nowhere else is put in the place of another."""
    if not said:
        return
    number = chance.randrange(len(said))
    words = said[number].text.split()
    words[chance.randrange(len(words))] = "ZEBRA"
    said[number] = replace(said[number], text=" ".join(words))
    made = back(said, kind, lambda file: file.replace("ZEBRA", "giraffe"), wishes)
    assert made is not None
    assert made[number].text == said[number].text.replace("ZEBRA", "giraffe")
    assert [*made[:number], said[number], *made[number + 1 :]] == said
    assert (made[number].start, made[number].end) == (said[number].start, said[number].end)


@SAME
@given(chaos(), st.sampled_from(KINDS), st.sampled_from(WISHES), st.data())
def test_whatever_is_done_to_a_file_is_read_or_refused(
    back: Back, said: list[Segment], kind: Format, wishes: Options, data: st.DataObject
) -> None:
    layer = back.layer(said)
    file = back.written(layer, kind, wishes)
    lines = file.split("\n")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines)))
        new = st.one_of(anything, st.sampled_from(lines)) if lines else anything
        lines[at : at + data.draw(st.integers(0, 6))] = data.draw(st.lists(new, max_size=3))
    content = "\n".join(lines).encode("utf-8", "replace")
    with suppress(Reject):
        for segment in edited(f"talk.{kind}", content, file.encode(), layer) or ():
            assert segment in said or segment.text == fold(segment.text) != ""
            assert segment in said or 0 <= segment.start <= segment.end


TALK = heard("My name is Jonson, and I eat <b>clover</b>.", "So say all of us; {really} C:\\New.", speaker="Ada")


@pytest.mark.parametrize("kind", KINDS)
def test_signs_of_markup_come_back(back: Back, kind: Format) -> None:
    made = back(TALK, kind, lambda file: file.replace("Jonson", "Johnson").replace("all of us", "we all"))
    assert made is not None
    assert [segment.text for segment in made] == [
        "My name is Johnson, and I eat <b>clover</b>.",
        "So say we all; {really} C:\\New.",
    ]
    assert [segment.speaker for segment in made] == ["Ada", "Ada"]
    assert [word.start for word in made[0].words] == [word.start for word in TALK[0].words]
    assert [word.confidence for word in made[0].words] == [0.9, 0.9, 0.9, None, 0.9, 0.9, 0.9, 0.9]


def test_a_speaker_of_voice_spans_gets_another_name(back: Back) -> None:
    made = back(TALK, "vtt", lambda file: file.replace("<v Ada>", "<v Bea &amp; Co>"))
    assert made == [replace(segment, speaker="Bea & Co") for segment in TALK]


@pytest.mark.parametrize("wishes", WISHES)
def test_a_speaker_in_front_of_a_paragraph_gets_another_name(back: Back, wishes: Options) -> None:
    assert back(TALK, "txt", lambda file: file.replace("Ada: ", "Bea: "), wishes) == [
        replace(segment, speaker="Bea") for segment in TALK
    ]


def test_paragraphs_can_be_put_in_and_taken_out(back: Back) -> None:
    said = [
        replace(segment, start=segment.start * 3, end=segment.start * 3 + 4)
        for segment in heard("One.", "Two.", "Three.")
    ]
    lone = [replace(segment, words=()) for segment in said]
    assert back(lone, "txt", lambda file: file.replace("Two.\n", "")) == [lone[0], lone[2]]
    assert back(lone, "txt", lambda file: file.replace("Two.\n", "Two.\n\nAnd more.\n")) == [
        lone[0],
        Segment(15, 19, "Two. And more."),
        lone[2],
    ]
    assert back(lone, "txt", lambda file: f"First.\n{file}") == [Segment(0, 4, "First. One."), *lone[1:]]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_word_of_hours_of_speech(back: Back, kind: Format) -> None:
    """30 hours, of which one word is corrected, and one paragraph is broken into lines."""
    chance = random.Random(7)
    spoken = (" ".join(chance.choices(LATIN, k=9)) for _ in range(20_000))
    said = heard(*spoken)
    said[9_999] = replace(said[9_999], text=f"{said[9_999].text} zebra", words=())
    made = back(said, kind, lambda file: file.replace("zebra", "giraffe"))
    assert made is not None
    assert [number for number, pair in enumerate(zip(said, made, strict=True)) if pair[0] != pair[1]] == [9_999]
    assert made[9_999].text.endswith(" giraffe")
