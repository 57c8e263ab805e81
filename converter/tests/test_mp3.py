"""Frames of MP3s that LAME wrote, as another reader of them (libav's) sees them."""

from pathlib import Path

import av
import pytest

from converter.mp3 import Damaged, Format, Frames, frame_samples, main_data, padding_period
from converter.seams import fits
from converter.tests.studio import ffmpeg

RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


def lame(path: Path, rate: int, channels: int, *arguments: object, seconds: float = 2) -> Path:
    noise = (
        f"anoisesrc=c=pink:seed=3:r={rate}:d={seconds},aformat=channel_layouts={'mono' if channels == 1 else 'stereo'}"
    )
    bare = ("-write_xing", 0, "-id3v2_version", 0, "-map_metadata", -1)
    ffmpeg("-f", "lavfi", "-i", noise, "-ar", rate, "-c:a", "libmp3lame", *arguments, *bare, path)
    return path


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux() if packet.size]


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    return lame(tmp_path / "whole.mp3", 44100, 2, "-b:a", "128k").read_bytes()


def refused(tmp_path: Path, data: bytes) -> str:
    (tmp_path / "odd.mp3").write_bytes(data)
    with pytest.raises(Damaged) as refusal:
        Frames(tmp_path / "odd.mp3", 0)
    return str(refusal.value)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", RATES)
def test_every_byte_belongs_to_a_frame_and_main_data_nowhere_overlaps(tmp_path: Path, rate: int, channels: int) -> None:
    for arguments in (("-b:a", "48k"), ("-q:a", 3)):
        path = lame(tmp_path / "a.mp3", rate, channels, *arguments)
        frames = Frames(path, 7)
        found = frames.frames(7, frames.end)
        assert found == packets(path)
        assert (frames.form.sample_rate, frames.form.channels) == (rate, channels)
        assert (frames.end - 7) * frames.form.samples >= 2 * rate > (frames.end - 10) * frames.form.samples
        assert fits(found, frames.form)
        used = [main_data(frame, frames.form) for frame in found]
        assert any(data.before for data in used)
        assert sum(data.bytes for data in used) > 0.4 * sum(data.area for data in used)


@pytest.mark.parametrize("kbit", [32, 128, 320])
def test_sizes_of_constant_bit_rate_repeat_after_the_padding_period(tmp_path: Path, kbit: int) -> None:
    for rate in (32000, 44100, 48000):
        frames = Frames(lame(tmp_path / "a.mp3", rate, 2, "-b:a", f"{kbit}k", seconds=4), 0)
        sizes = [frames.start(number + 1) - frames.start(number) for number in range(frames.end)]
        period = padding_period(rate)
        assert sizes[period:] == sizes[:-period]
        assert period * kbit * 125 * frame_samples(rate) / rate == sum(sizes[:period])


def test_frames_are_found_whatever_pieces_a_file_is_read_in(
    tmp_path: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.mp3").write_bytes(whole)
    found = Frames(tmp_path / "a.mp3", 0)
    for chunk in (4, 5, 417, 418, 1000):
        monkeypatch.setattr("converter.mp3.CHUNK", chunk)
        again = Frames(tmp_path / "a.mp3", 0)
        assert again.frames(0, again.end) == found.frames(0, found.end)


def test_a_frame_that_is_cut_short_is_refused(tmp_path: Path, whole: bytes) -> None:
    assert refused(tmp_path, whole[:-1]) == "the last frame is cut short"


def test_bytes_at_the_end_that_are_no_frame_are_refused(tmp_path: Path, whole: bytes) -> None:
    for extra in (b"T", b"TAG", b"TAG of a file", bytes(500)):
        assert "end" in (found := refused(tmp_path, whole + extra)) or "no frame begins at byte" in found


def test_bytes_between_frames_are_refused(tmp_path: Path, whole: bytes) -> None:
    first = len(packets(tmp_path / "whole.mp3")[0])
    assert refused(tmp_path, whole[:first] + b"\0" + whole[first:]) == f"no frame begins at byte {first}"


@pytest.mark.parametrize(
    ("rate", "channels"), [(48000, 2), (44100, 1), (22050, 2)], ids=["another rate", "mono", "another version"]
)
def test_frames_of_another_format_are_refused(tmp_path: Path, whole: bytes, rate: int, channels: int) -> None:
    other = lame(tmp_path / "other.mp3", rate, channels, "-b:a", "64k").read_bytes()
    assert refused(tmp_path, whole + other) == f"no frame begins at byte {len(whole)}"


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xfb", b"ID3\x03" + bytes(100), b"\xff\xfa\x90\x00", b"\xff\xfd\x90\x00", b"\xff\xfb\x9c\x00", b"\xff\xeb\x90\x00"],
    ids=["nothing", "too little", "tags", "with a checksum", "layer 2", "no sample rate", "no version"],
)  # fmt: skip
def test_what_lame_does_not_write_is_no_format(data: bytes) -> None:
    with pytest.raises(Damaged):
        Format.of(data)
