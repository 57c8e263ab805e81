"""The Info frame, beside the one that ffmpeg writes, and as players read it."""

from dataclasses import replace
from pathlib import Path

import av
import pytest

from converter.info import Contents, info_frame
from converter.mp3 import Damaged, Frames
from converter.splice import Splice
from converter.tests.splitting import by_ffmpeg, by_mpg123, recording
from converter.tests.studio import ffmpeg

ODD = [0, 1, 46, 47, 48, 528, 529, 575, 576, 577, 623, 624, 1104, 1105, 1151]
"""Samples over whole frames; the encoder's and decoder's delays lie among them."""


def crc(data: bytes) -> int:
    """CRC-16 with the polynomial 0x8005, bits reflected, from 0."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value


def encoded(folder: Path, seconds: float, rate: int, channels: int, *arguments: object) -> tuple[Path, Frames]:
    """With ffmpeg's Info frame, and the frames of sound alone."""
    wav, path, bare = recording(folder, "noise", seconds, rate, channels), folder / "a.mp3", folder / "bare.mp3"
    ffmpeg("-i", wav, *arguments, "-id3v2_version", 0, "-map_metadata", -1, path)
    whole = Frames(path, 0)
    bare.write_bytes(path.read_bytes()[whole.start(1) :])
    return path, Frames(bare, 0)


def contents(frames: Frames, samples: int, *, constant: bool) -> Contents:
    sound = Splice(frames.form)
    sound.add(frames, 0, frames.end)
    return sound.contents(sound.read(), samples, constant=constant)


def written(folder: Path, frames: Frames, samples: int, *, constant: bool) -> Path:
    data = info_frame(contents(frames, samples, constant=constant)) + frames.path.read_bytes()
    (folder / "ours.mp3").write_bytes(data)
    return folder / "ours.mp3"


@pytest.mark.parametrize("over", ODD)
def test_both_decoders_give_back_just_the_samples_there_were(tmp_path: Path, over: int) -> None:
    samples = 40 * 1152 + over
    _, frames = encoded(tmp_path, samples / 44100, 44100, 1, "-b:a", "64k")
    path = written(tmp_path, frames, samples, constant=True)
    assert len(by_ffmpeg(path, 1)) == len(by_mpg123(path, 1)) == samples


@pytest.mark.parametrize(
    ("rate", "channels", "arguments"),
    [
        (44100, 2, ("-b:a", "128k")),
        (48000, 1, ("-b:a", "32k")),
        (48000, 2, ("-q:a", 2)),
        (22050, 2, ("-b:a", "8k")),
        (24000, 1, ("-b:a", "160k")),
        (8000, 1, ("-q:a", 5)),
    ],
)
def test_it_tells_what_ffmpegs_own_tells(
    tmp_path: Path, rate: int, channels: int, arguments: tuple[object, ...]
) -> None:
    path, frames = encoded(tmp_path, 3.3, rate, channels, *arguments)
    ours = written(tmp_path, frames, round(3.3 * rate), constant="-b:a" in arguments)
    tag, theirs = (_tag(each) for each in (ours, path))
    assert tag[:4] == theirs[:4]
    assert tag[8:12] == theirs[8:12]  # frames
    assert int.from_bytes(tag[12:16], "big") == ours.stat().st_size
    assert tag[141:144] == theirs[141:144]  # delay and padding
    assert tag[152:154] == theirs[152:154]  # of the same frames
    with av.open(str(ours)) as container:
        assert container.duration == pytest.approx(3.3 * av.time_base, abs=1)


def _tag(path: Path) -> bytes:
    whole = Frames(path, 0)
    return whole.frames(0, 1)[0][whole.form.front :]


def test_both_checksums_are_as_the_description_has_them(tmp_path: Path) -> None:
    _, frames = encoded(tmp_path, 1, 44100, 2, "-b:a", "128k")
    frame = info_frame(contents(frames, 44100, constant=True))
    tag = frame.index(b"Info")
    assert int.from_bytes(frame[tag + 152 : tag + 154], "big") == crc(frames.path.read_bytes())
    assert int.from_bytes(frame[tag + 154 : tag + 156], "big") == crc(frame[: tag + 154])


def test_the_table_of_places_leads_to_each_hundredth_of_a_variable_bit_rate(tmp_path: Path) -> None:
    shaped = "sin(2*PI*440*t)*lt(t,10)+(random(0)-0.5)*gte(t,10)"
    bare = ("-write_xing", 0, "-id3v2_version", 0, "-map_metadata", -1)
    ffmpeg("-f", "lavfi", "-i", f"aevalsrc='{shaped}':d=20", "-q:a", 3, *bare, tmp_path / "a.mp3")
    frames = Frames(tmp_path / "a.mp3", 0)
    frame = info_frame(contents(frames, 20 * 44100, constant=False))
    table = frame[(tag := frame.index(b"Xing")) + 16 : tag + 116]
    total = len(frame) + frames.start(frames.end)
    for entry, place in enumerate(table[1:], 1):
        assert place == pytest.approx(256 * (len(frame) + frames.start(frames.end * entry // 100)) / total, abs=2)
    assert table[50] < 100


def test_a_number_of_samples_that_the_frames_cannot_hold_is_refused(tmp_path: Path) -> None:
    _, frames = encoded(tmp_path, 1, 44100, 1, "-b:a", "64k")
    right = contents(frames, 44100, constant=True)
    for samples in (frames.end * 1152 - 575, frames.end * 1152 - 576 - 4096):
        with pytest.raises(Damaged, match="do not hold"):
            info_frame(replace(right, samples=samples))
