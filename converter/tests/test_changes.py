"""Sound that is not all of one kind: its channels or sample rate change midway, or it can be decoded only so far."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ffmpeg import output

from converter import filters
from converter.tests.splitting import Splitting
from converter.tests.studio import facts, ffmpeg, frequency, heard, quiet, track_of
from pipeline.decoding import Decoder
from pipeline.errors import Reject, Retry

RATE = 44100
BARE = ("-b:a", "96k", "-write_xing", 0, "-id3v2_version", 0)


@pytest.fixture
def studio(tmp_path: Path) -> Splitting:
    return Splitting(tmp_path, known={}, parts=2)


def joined(folder: Path, name: str, *pieces: tuple[object, ...], source: str = "sine=f={hertz}:r=48000:d=6") -> Path:
    """Tones of 6 seconds, of 440 Hz and of 880."""
    whole = folder / f"whole-{name}"
    for number, arguments in enumerate(pieces):
        tone = source.format(hertz=440 * (number + 1))
        ffmpeg("-f", "lavfi", "-i", tone, *arguments, "-output_ts_offset", 6 * number, folder / f"{number}-{name}")
    whole.write_bytes(b"".join((folder / f"{number}-{name}").read_bytes() for number in range(len(pieces))))
    return whole


@pytest.fixture
def changing(tmp_path: Path) -> Path:
    return joined(tmp_path, "a.mp3", ("-ac", 1, "-ar", RATE, *BARE), ("-ac", 2, "-ar", RATE, *BARE))


def tones(path: Path) -> list[int]:
    """Hz in each whole second."""
    sound = heard(path, RATE)
    return [round(frequency(sound[at : at + RATE], RATE)) for at in range(0, len(sound) - RATE + 1, RATE)]


TWO = [440] * 6 + [880] * 6


@pytest.mark.parametrize(
    ("name", "pieces"),
    [
        ("channels.mp3", (("-ac", 1, *BARE), ("-ac", 2, *BARE))),
        ("rate.mp3", (("-ac", 2, "-ar", RATE, *BARE), ("-ac", 2, *BARE))),
        ("channels.aac", (("-ac", 2, "-ar", RATE), ("-ac", 1, "-ar", RATE))),
        ("surround.ts", (("-ac", 2, "-c:a", "ac3"), ("-ac", 6, "-c:a", "ac3"))),
    ],
)
def test_sound_whose_kind_changes_midway_is_as_long_as_it_was(
    studio: Splitting, tmp_path: Path, name: str, pieces: tuple[tuple[object, ...], ...]
) -> None:
    made = studio.uploaded(joined(tmp_path, name, *pieces), audio="wav", sample_rate=RATE)
    assert len(heard(made)) / RATE == pytest.approx(12, abs=0.15)
    assert [one for one in tones(made) if one not in (440, 880)] == []
    assert tones(made)[:12] == pytest.approx(TWO, abs=1)


def test_the_parts_of_such_a_sound_fit(studio: Splitting, changing: Path) -> None:
    studio.known = {"seconds": 12.0}
    whole, split = studio.whole(changing, bitrate=64), studio.split(changing, bitrate=64)
    assert len(heard(whole)) == len(heard(split))
    # What is before the change is decoded straight, or from 24 bits: LAME may tell them apart.
    assert np.abs(heard(whole) - heard(split)).max() < 1e-2
    assert tones(split)[:5] + tones(split)[7:12] == [440] * 5 + [880] * 5


def test_such_a_sound_is_trimmed_and_levelled_once(studio: Splitting, changing: Path) -> None:
    studio.known = {"seconds": 12.0}
    made = studio.file(changing, audio="wav", start=3, end=9, fade_out=1, loudness=-20)
    assert len(heard(made)) == pytest.approx(6 * RATE, abs=1)
    assert tones(made) == [440] * 3 + [880] * 3


def test_a_late_start_of_such_a_sound_stays_late(studio: Splitting, tmp_path: Path, changing: Path) -> None:
    late = tmp_path / "late.mkv"
    picture = ("-f", "lavfi", "-i", "color=s=16x16:r=5:d=14", "-c:v", "ffv1")
    ffmpeg("-itsoffset", 2, "-i", changing, *picture, "-map", 1, "-map", "0:a", "-c:a", "copy", late)
    found = heard(studio.uploaded(late, audio="wav"))
    assert len(found) / RATE == pytest.approx(14, abs=0.15)
    assert np.abs(found[: int(1.9 * RATE)]).max() < 1e-3
    assert np.abs(found[int(2.2 * RATE) : 3 * RATE]).max() > 0.05


def test_such_a_sound_takes_no_more_room_than_is_checked_before(studio: Splitting, tmp_path: Path) -> None:
    """White noise, other on each side, of which FLAC saves next to nothing."""
    left, right = (f"anoisesrc=r=48000:d=6:a=1:seed={seed}" for seed in (1, 2))
    noise, best = f"{left}[left];{right}[right];[left][right]amerge", ("-b:a", "320k", *BARE[2:])
    path = joined(tmp_path, "noise.mp3", ("-ar", RATE, *best), best, source=noise)
    studio.known = {"seconds": 12.0}
    studio.measure(path, loudness=-16)
    decoder = Decoder.of(track_of(path, **studio.known), studio.root / "attempt-1")
    held = (decoder.folder / "steady.mka").stat().st_size
    assert 0.8 * decoder.steady_bytes < held <= decoder.steady_bytes


def test_such_a_sound_is_not_written_where_the_disk_has_no_room_for_it(studio: Splitting, changing: Path) -> None:
    studio.known = {"seconds": shutil.disk_usage(studio.root).free / RATE}
    with pytest.raises(Retry, match="has room for"):
        studio.measure(changing, loudness=-16)
    assert not list(studio.root.rglob("steady.mka"))


def test_nor_where_what_is_made_of_it_would_have_none_left(
    changing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)  # whoever else uses the disk may make room meanwhile
    shutil.copy(changing, tmp_path / "track")
    with pytest.raises(Retry, match="has room for"):
        Decoder.of(track_of(changing), tmp_path).run(
            lambda sound: output(sound, "-", format="null"),
            duration=12,
            deadline=60,
            progress=quiet,
            output_limit=0,
            room=usage.free,
        )
    assert not (tmp_path / "steady.mka").exists()


@pytest.fixture
def undecodable(tmp_path: Path) -> Path:
    """ADTS of which the second half of 12 seconds is no AAC."""
    path = tmp_path / "rubbish.aac"
    ffmpeg("-f", "lavfi", "-i", "anoisesrc=r=44100:d=12:seed=1", "-ac", 2, "-c:a", "aac", path)
    whole, at, frames = bytearray(path.read_bytes()), 0, 0
    while at < len(whole):
        size = (whole[at + 3] & 3) << 11 | whole[at + 4] << 3 | whole[at + 5] >> 5
        if frames > 6 * RATE / 1024:
            whole[at + 7 : at + size] = b"\xff" * (size - 7)
        at, frames = at + size, frames + 1
    path.write_bytes(whole)
    return path


@pytest.mark.parametrize("options", [{}, {"loudness": -20}], ids=["as it is", "measured"])
def test_what_can_be_decoded_is_taken_if_its_owner_says_so(
    studio: Splitting, undecodable: Path, options: dict[str, Any]
) -> None:
    studio.known = {"seconds": 12.0}
    asked = {"partial": True, **options}
    (task,) = studio.plan(undecodable, **asked)  # though it is long enough for parts
    (made,) = studio.do(task, undecodable, **asked).artifacts
    assert facts(made).partial
    assert facts(made).seconds == pytest.approx(6, abs=0.2)


def test_without_that_a_part_behind_the_end_is_refused(studio: Splitting, undecodable: Path) -> None:
    studio.known, studio.parts = {"seconds": 12.0}, 4
    *_, last = studio.plan(undecodable)
    with pytest.raises(Reject, match="breaks off after"):
        studio.do(last, undecodable)


def test_a_result_that_is_too_long_is_refused_and_one_a_little_longer_is_not(studio: Splitting, changing: Path) -> None:
    filters.check(12.4, 12.0, partial=False)
    studio.known = {"seconds": 8.0}
    with pytest.raises(Reject, match="Of the 8 seconds of this recording 12 would come"):
        studio.file(changing)
    with pytest.raises(Reject, match="Of the 8 seconds"):
        studio.file(changing, partial=True)


def test_a_whole_recording_is_not_called_partial(studio: Splitting, changing: Path) -> None:
    studio.known = {"seconds": 12.0}
    (made,) = studio.encode(changing, partial=True).artifacts
    assert not facts(made).partial


def chain(folder: Path, *bit_rates: str) -> Path:
    """A Vorbis file of three seconds of 440 Hz and three of 880 Hz, as its own stream each."""
    pieces = []
    for hertz, bit_rate in zip((440, 880), bit_rates, strict=True):
        piece = folder / f"{hertz}.ogg"
        ffmpeg(
            "-f", "lavfi", "-i", f"sine={hertz}:r={RATE}:d=3", "-ac", 2, "-c:a", "libvorbis", "-b:a", bit_rate, piece
        )
        pieces.append(piece.read_bytes())
    path = folder / "chain.ogg"
    path.write_bytes(b"".join(pieces))
    return path


@pytest.mark.parametrize("form", ["ogg", "wav"])
def test_chained_streams_that_are_alike_are_one_recording(studio: Splitting, tmp_path: Path, form: str) -> None:
    sound = heard(studio.uploaded(chain(tmp_path, "128k", "128k"), audio=form))
    assert len(sound) == pytest.approx(6 * RATE, abs=0.1 * RATE)
    assert frequency(sound[RATE : 2 * RATE], RATE) == pytest.approx(440, abs=2)
    assert frequency(sound[4 * RATE : 5 * RATE], RATE) == pytest.approx(880, abs=2)


def test_chained_streams_that_differ_are_refused_and_not_garbled(studio: Splitting, tmp_path: Path) -> None:
    with pytest.raises(Reject, match="several recordings in a row"):
        studio.uploaded(chain(tmp_path, "64k", "192k"))
