"""Cues as subtitlers make them: what holds for every one, and how they are broken."""

# ruff: noqa: RUF001
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.transcript import Layer, Segment, Word, fold
from transcriber.cues import Cue, cues
from transcriber.profile import CJK, LATIN, Profile, width
from transcriber.tests.speech import anything, chaos, talk, texts, wide, words
from transcriber.units import units

Maker = Callable[..., Layer]
SAID = "And so, my fellow Americans, ask not what your country can do for you, ask what you can do for your country."


def shown(layer: Layer, profile: Profile | None = None) -> list[Cue]:
    return list(cues(layer, profile))


def lines(layer: Layer) -> list[tuple[str, ...]]:
    return [cue.lines for cue in shown(layer)]


def characters(*told: str) -> str:
    return re.sub(r"\s", "", "".join(map(fold, told)))


def seconds(cue: Cue) -> tuple[float, float]:
    return cue.start / 1000, cue.end / 1000


def check_all(found: list[Cue], profile: Profile) -> None:
    """What holds whatever was said."""
    assert all(0 <= cue.start < cue.end for cue in found)
    assert all(first.end + profile.gap <= second.start for first, second in pairwise(found))
    assert all(cue.end - cue.start <= profile.longest for cue in found)
    assert all(1 <= len(cue.lines) <= profile.lines for cue in found)
    for line in (line for cue in found for line in cue.lines):
        assert line == line.strip()
        assert line
        assert width(line) <= profile.line or len(list(units([Segment(0, 1, line)]))) == 1


def check_room(found: list[Cue], profile: Profile, until: int) -> None:
    """A cue is shorter, or faster, than it should be only where the next one comes."""
    limits = [*(cue.start - profile.gap for cue in found[1:]), until]
    for cue, limit in zip(found, limits, strict=False):
        lasts = cue.end - cue.start
        read = sum(map(width, cue.lines)) * 1000 / profile.speed
        assert lasts >= min(max(profile.shortest, round(read)), profile.longest) or cue.end == max(
            limit, cue.start + profile.glimpse
        )


@given(talk())
def test_talk_becomes_cues_that_keep_to_the_profile(a_layer: Maker, segments: list[Segment]) -> None:
    layer = a_layer(*segments)
    found = shown(layer)
    check_all(found, LATIN)
    check_room(found, LATIN, round(layer.about.duration * 1000))
    assert " ".join(line for cue in found for line in cue.lines).split() == " ".join(s.text for s in segments).split()


@given(talk(st.one_of(wide, wide, wide, words), (80, 200)))
def test_scripts_without_spaces_are_broken_between_characters(a_layer: Maker, segments: list[Segment]) -> None:
    layer = a_layer(*segments)
    found = shown(layer, CJK)
    check_all(found, CJK)
    check_room(found, CJK, round(layer.about.duration * 1000))
    assert characters(*(line for cue in found for line in cue.lines)) == characters(*(s.text for s in segments))
    for line in (line for cue in found for line in cue.lines):
        assert line[0] not in "、。」！？っゃょァィー％"
        assert line[-1] != "「"


@given(talk())
def test_cues_are_on_time_where_one_person_speaks(a_layer: Maker, segments: list[Segment]) -> None:
    layer = a_layer(*segments)
    begins = [unit.start for unit in units(layer.segments())]
    said = 0
    for cue in shown(layer):
        assert 0 <= cue.start - begins[said] <= LATIN.glimpse + LATIN.gap
        said += len(" ".join(cue.lines).split(" "))


@given(chaos())
def test_whatever_is_said_whenever_gives_cues_that_can_be_shown(a_layer: Maker, segments: list[Segment]) -> None:
    layer = a_layer(*segments)
    for profile in (LATIN, CJK, Profile(line=20, lines=3)):
        found = shown(layer, profile)
        check_all(found, profile)
        for speaker in {segment.speaker for segment in segments}:
            heard = characters(*(line for cue in found if cue.speaker == speaker for line in cue.lines))
            assert Counter(heard) == Counter(characters(*(s.text for s in segments if s.speaker == speaker)))


@given(texts(words, 20), st.sampled_from([8, 10, 12]))
def test_a_cue_ends_with_a_sentence_rather_than_in_it(a_layer: Maker, text: str, length: int) -> None:
    """As long as both fit."""
    text = fold(" ".join(word.strip(".,:—") for word in text.split())[:80])
    found = shown(a_layer(Segment(0, length, f"{text}. {text}.")))
    assert len(found) != 2 or [" ".join(cue.lines) for cue in found] == [f"{text}."] * 2


def test_lines_end_with_phrases_and_are_of_one_length(a_layer: Maker) -> None:
    assert lines(a_layer(Segment(0, 9, SAID))) == [
        ("And so, my fellow Americans,", "ask not what your country can do for you,"),
        ("ask what you can do for your country.",),
    ]
    assert lines(a_layer(Segment(0, 5, "I do not know what he means because I was not there"))) == [
        ("I do not know what he means", "because I was not there"),
    ]
    assert lines(a_layer(Segment(0, 4, "We looked at the pictures of the old town hall"))) == [
        ("We looked at the pictures", "of the old town hall"),
    ]


def test_what_fits_a_line_is_one(a_layer: Maker) -> None:
    assert lines(a_layer(Segment(0, 3, "x" * 20 + " " + "y" * 21))) == [("x" * 20 + " " + "y" * 21,)]
    assert lines(a_layer(Segment(0, 3, "x" * 20 + " " + "y" * 22))) == [("x" * 20, "y" * 22)]


def test_no_cue_goes_on_over_a_silence(a_layer: Maker) -> None:
    told = Word(0, 0.5, "Well"), Word(0.5, 1, "yes"), Word(2, 2.5, "or"), Word(2.5, 3, "no")
    assert [
        (seconds(cue), cue.lines) for cue in shown(a_layer(Segment(0, 3, "Well yes or no", told), duration=60))
    ] == [
        ((0, 1), ("Well yes",)),
        ((2, 3), ("or no",)),
    ]


def test_cues_begin_with_their_first_word(a_layer: Maker) -> None:
    told = Word(3, 3.4, "Hello,"), Word(9, 9.5, "world.")
    assert [cue.start for cue in shown(a_layer(Segment(0, 12, "Hello, world.", told)))] == [3000, 9000]


def test_a_cue_stays_until_it_is_read_if_nothing_comes(a_layer: Maker) -> None:
    said = "Nobody can say forty-two characters so fast"[:42]
    layer = a_layer(Segment(1, 2, said), Segment(9, 9.2, "Yes."), duration=60)
    assert [seconds(cue) for cue in shown(layer)] == [(1, 1 + round(42 / 17, 3)), (9, 10)]


def test_a_cue_goes_before_the_next_one_comes(a_layer: Maker) -> None:
    layer = a_layer(Segment(0, 1, SAID[:41]), Segment(2, 4, "Yes, that is what was said."))
    assert [seconds(cue) for cue in shown(layer)] == [(0, 1.916), (2, 4)]


def test_a_cue_does_not_outlast_the_recording(a_layer: Maker) -> None:
    assert [seconds(cue) for cue in shown(a_layer(Segment(1, 1.5, "Yes."), duration=1.7))] == [(1, 1.7)]


def test_who_speaks_too_fast_is_not_cut_short(a_layer: Maker) -> None:
    found = shown(a_layer(Segment(0, 10, " ".join([SAID] * 5))))
    assert " ".join(line for cue in found for line in cue.lines) == " ".join([SAID] * 5)
    assert found[-1].end <= 10_000
    assert all(second.start - first.end == LATIN.gap for first, second in pairwise(found))


def test_a_word_drawn_out_is_not_shown_for_longer_than_the_longest(a_layer: Maker) -> None:
    assert [seconds(cue) for cue in shown(a_layer(Segment(0, 30, "Goal!")))] == [(0, 7)]


def test_an_address_stays_whole_on_a_line_of_its_own(a_layer: Maker) -> None:
    address = "https://example.org/a-page-with-a-name-that-is-longer-than-a-line"
    assert lines(a_layer(Segment(0, 6, f"Look at {address} today"))) in (
        [("Look at", address), ("today",)],
        [("Look at",), (address, "today")],
        [("Look at",), (address,), ("today",)],
    )


def test_different_speakers_never_share_a_cue(a_layer: Maker) -> None:
    layer = a_layer(Segment(0, 1, "Yes.", speaker="Ada"), Segment(1, 2, "No.", speaker="Bob"), Segment(2, 3, "Well."))
    assert [(cue.speaker, cue.lines) for cue in shown(layer)] == [
        ("Ada", ("Yes.",)),
        ("Bob", ("No.",)),
        (None, ("Well.",)),
    ]


def test_who_speaks_into_anothers_words_comes_in_between(a_layer: Maker) -> None:
    layer = a_layer(
        Segment(0, 10, SAID, speaker="left"),
        Segment(2, 2.4, "Right.", speaker="right"),
        Segment(9, 9.5, "Indeed.", speaker="right"),
    )
    found = shown(layer)
    check_all(found, LATIN)
    assert [cue.speaker for cue in found] == ["left", "right", "left", "right"]
    assert all(cue.end - cue.start >= 1000 for cue in found)
    assert found[1].start < 4500


def test_two_who_talk_at_once_for_long_do_not_fall_behind(a_layer: Maker) -> None:
    pieces = [
        Segment(start + shift, start + shift + 4, SAID[:56], speaker=speaker)
        for start in range(0, 600, 4)
        for speaker, shift in (("left", 0), ("right", 1.5))
    ]
    found = shown(a_layer(*pieces))
    check_all(found, LATIN)
    assert found[-1].start < 610_000


def test_a_flash_holds_up_the_next_cue_for_a_glimpse(a_layer: Maker) -> None:
    layer = a_layer(Segment(1, 1.1, "Oh.", speaker="Ada"), Segment(1.1, 4, "What a pity.", speaker="Bob"))
    assert [seconds(cue) for cue in shown(layer)] == [(1, 1.3), (1.384, 4)]


def test_the_script_of_most_letters_decides(a_layer: Maker) -> None:
    japanese = "今日は字幕を読みやすいところで改行することについて話します"
    assert max(width(line) for cue in lines(a_layer(Segment(0, 9, japanese))) for line in cue) <= CJK.line
    mixed = Segment(0, 20, f"{SAID} {japanese}")
    assert max(width(line) for cue in lines(a_layer(mixed)) for line in cue) > CJK.line


def test_hours_of_talk_without_a_pause_are_not_held_in_memory(a_layer: Maker) -> None:
    @dataclass(frozen=True)
    class Counted(Layer):
        read: list[Segment]

        def segments(self) -> Iterator[Segment]:
            for segment in super().segments():
                self.read.append(segment)
                yield segment

    pieces = [Segment(start * 7, start * 7 + 7, SAID, speaker=None) for start in range(2000)]
    layer = Counted(a_layer(*pieces).path, [])
    found = cues(layer, LATIN)
    for _ in range(1000):
        cue = next(found)
        assert len(layer.read) * 7 - cue.start / 1000 < 200


@pytest.mark.parametrize("most", [60, 67, 74, 81])
def test_breaks_do_not_hang_on_what_is_looked_at_together(
    a_layer: Maker, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    layer = a_layer(*(Segment(start * 7, start * 7 + 7, SAID) for start in range(100)))
    together = lines(layer)
    monkeypatch.setattr("transcriber.cues._MOST", most)
    assert lines(layer) == together


@given(texts(anything))
def test_width_counts_full_width_characters_twice(text: str) -> None:
    plain = [character for character in text if unicodedata.category(character) not in ("Mn", "Me", "Cf")]
    doubled = sum(unicodedata.east_asian_width(character) in ("W", "F") for character in plain)
    assert width(text) == len(plain) + doubled


def test_slow_speech_is_on_the_screen_all_the_while(a_layer: Maker) -> None:
    found = shown(a_layer(Segment(0, 30, "one two three four five six seven eight nine ten")))
    assert all(second.start - first.end == LATIN.gap for first, second in pairwise(found))
    assert found[-1].end == 30_000


def test_no_line_ends_with_an_article(a_layer: Maker) -> None:
    assert lines(a_layer(Segment(0, 4, "Somebody will remember the extraordinary marketplace"))) == [
        ("Somebody will remember", "the extraordinary marketplace")
    ]


def test_phrases_stay_whole_in_scripts_without_spaces(a_layer: Maker) -> None:
    found = lines(a_layer(Segment(0, 5, "日本語の字幕を読みやすいところで改行する")))
    assert found == [("日本語の字幕を読み", "やすいところで改行する")]


def test_words_in_a_hurry_share_a_cue_with_slow_ones(a_layer: Maker) -> None:
    hurried, slow = ["hasty"] * 12, ["leisurely"] * 5
    told = [Word(n * 0.15, n * 0.15 + 0.15, word) for n, word in enumerate(hurried)]
    told += [Word(1.8 + n, 2.8 + n, word) for n, word in enumerate(slow)]
    text = f"{' '.join(hurried)}, {' '.join(slow)}"
    first, *_ = shown(a_layer(Segment(0, 6.8, text, tuple(told))))
    assert "leisurely" in first.lines[-1]


def test_lines_end_where_people_take_breath(a_layer: Maker) -> None:
    spoken = ["seven", "large", "horses", "walked", "slowly", "through", "quiet", "streets"]
    told = tuple(Word(n * 0.4 + (n > 2) * 0.9, n * 0.4 + 0.4 + (n > 2) * 0.9, word) for n, word in enumerate(spoken))
    assert lines(a_layer(Segment(0, 5, " ".join(spoken), told))) == [
        ("seven large horses", "walked slowly through quiet streets")
    ]
