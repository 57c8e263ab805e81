"""Where recordings are cut, on levels of all kinds."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from transcriber.levels import FRAME
from transcriber.parts import MARGIN, Part
from transcriber.plan import parts
from transcriber.silence import silent

SPEECH, HUSH, NOTHING = 25, 60, 255


def seconds(length: float, level: int) -> bytes:
    return bytes([level]) * round(length / FRAME)


def frames(part: Part) -> list[int]:
    return [frame for span in part.spans for frame in range(round(span.start / FRAME), round(span.end / FRAME))]


@st.composite
def recordings(draw: st.DrawFn) -> bytes:
    """Talk with pauses and silences, in which some of the frames are anything."""
    pieces = st.tuples(
        st.sampled_from([0.05, 0.2, 0.4, 1, 2, 2.05, 3, 8, 30, 70]), st.sampled_from([20, 35, 48, 52, 255])
    )
    levels = bytearray(b"".join(seconds(*piece) for piece in draw(st.lists(pieces, max_size=30))))
    for place, level in draw(st.dictionaries(st.integers(0, 5000), st.integers(0, 255), max_size=20)).items():
        if place < len(levels):
            levels[place] = level
    return bytes(levels)


@given(recordings(), st.sampled_from([10.0, 20.0, 60.0, 1000.0]))
def test_parts_hold_all_that_can_be_heard_and_no_more_than_the_model_takes(levels: bytes, most: float) -> None:
    planned = list(parts(levels, most))
    quiet = silent(levels)
    held = {frame for part in planned for frame in frames(part)}
    missing = sorted(set(range(len(levels))) - held)
    audible = sum(not quiet[frame] for frame in missing)
    assert audible < 2 + len(levels) // 200, "only a part with nothing but a click may be dropped"
    assert [part.part for part in planned] == list(range(len(planned)))
    for part in planned:
        assert part.seconds <= most + 1e-6
        inside = [time for span in part.spans for time in (span.start, span.end)]
        assert inside == sorted(inside)
        assert all(span.start < span.end for span in part.spans)
        assert round(part.seconds / FRAME) == len(frames(part))


@given(recordings(), st.sampled_from([10.0, 60.0]))
def test_parts_follow_each_other_and_overlap_only_where_they_say(levels: bytes, most: float) -> None:
    planned = list(parts(levels, most))
    for before, after in pairwise(planned):
        common = len(set(frames(before)) & set(frames(after))) * FRAME
        assert abs(common - after.overlap) < 1e-6
        assert after.overlap == 0 or 2 <= after.overlap <= 3
        if not after.overlap:
            assert before.spans[-1].end <= after.spans[0].start


@given(recordings())
def test_only_long_silences_are_left_out_and_their_edges_stay(levels: bytes) -> None:
    planned = list(parts(levels, 1e6))
    quiet = silent(levels)
    margin = round(MARGIN / FRAME)
    for part in planned:
        spans = [(round(span.start / FRAME), round(span.end / FRAME)) for span in part.spans]
        for (_, end), (start, _) in pairwise(spans):
            assert start - end + 2 * margin > 2 / FRAME
            assert 0 not in quiet[end - margin : start + margin]


def test_a_cut_is_made_in_the_longest_pause_near_the_middle() -> None:
    talk = seconds(52, SPEECH) + seconds(0.4, HUSH) + seconds(5, SPEECH) + seconds(1, HUSH) + seconds(50, SPEECH)
    first, second = parts(talk, 80)
    assert first.spans[-1].end == second.spans[0].start == 57.9
    assert second.overlap == 0


def test_without_a_pause_the_next_part_begins_early() -> None:
    first, second = parts(seconds(100, SPEECH), 80)
    assert second.overlap == 2.5
    assert first.spans[-1].end - second.spans[0].start == 2.5


def test_a_pause_in_a_noisy_room_is_one_too() -> None:
    talk = seconds(49, SPEECH) + seconds(0.5, 40) + seconds(50, SPEECH)
    first, second = parts(talk, 80)
    assert 49 < first.spans[-1].end < 49.5
    assert second.overlap == 0


def test_a_pause_is_one_too_beside_moments_of_nothing_at_all() -> None:
    patchy = seconds(0.9, SPEECH) + seconds(0.1, NOTHING)
    first, second = parts(patchy * 50 + seconds(0.5, 70) + patchy * 50, 80)
    assert (first.spans[-1].end, second.overlap) == (50.2, 0)


def test_parts_are_about_alike() -> None:
    talk = (seconds(9, SPEECH) + seconds(0.5, HUSH)) * 38
    lengths = [part.seconds for part in parts(talk, 350)]
    assert len(lengths) == 2
    assert max(lengths) - min(lengths) < 10


def test_of_silence_nothing_is_sent_and_of_a_word_in_it_only_that() -> None:
    assert list(parts(seconds(600, NOTHING), 100)) == []
    (part,) = parts(seconds(300, NOTHING) + seconds(0.5, SPEECH) + seconds(300, NOTHING), 100)
    assert [(span.start, span.end) for span in part.spans] == [(299.5, 301.0)]


def test_steady_faint_noise_is_silence_and_speech_in_it_is_not() -> None:
    noise = bytes([58, 59, 58, 60]) * 3000
    assert list(parts(noise, 1000)) == []
    heard = list(parts(noise + seconds(3, 28) + noise, 1000))
    assert sum(part.seconds for part in heard) == 3 + 2 * MARGIN


def test_a_whisper_between_loud_words_is_heard() -> None:
    whisper = bytes([58, 61, 66, 70, 64]) * 20
    (part,) = parts(seconds(60, 35) + whisper + seconds(60, 35), 1000)
    assert part.seconds == 125


def test_speech_tells_the_loudness_also_in_a_day_of_noise() -> None:
    noise = bytes([66, 74]) * round(12 * 3600 / FRAME / 2)
    heard = list(parts(noise + seconds(15, 24) + noise, 1000))
    assert sum(part.seconds for part in heard) == 15 + 2 * MARGIN


def test_a_click_alone_is_not_sent() -> None:
    assert list(parts(seconds(10, NOTHING) + seconds(0.05, 10) + seconds(10, NOTHING), 100)) == []


def test_nothing_has_no_parts() -> None:
    assert list(parts(b"", 100)) == []
