from pathlib import Path

import pytest

from pipeline.sniff import HEAD, plainly_not_media


@pytest.mark.parametrize(
    "head",
    [
        b"Dear diary,\r\n\ttoday nothing was recorded.\n",
        "Grüße, 世界 🎉".encode(),
        b"\xef\xbb\xbfwith a byte order mark",
        ("x" * (HEAD - 1) + "ü").encode()[:HEAD],
        b"<!DOCTYPE html><html></html>",
        b"#EXTM3U\n#EXT-X-VERSION:3\n/etc/passwd\n",
        b"%PDF-1.7\n%\xe2\xe3\xcf\xd3",
        b"PK\x03\x04\x14\x00\x06\x00",
    ],
)
def test_what_is_no_recording_is_seen(head: bytes) -> None:
    assert plainly_not_media(head)


@pytest.mark.parametrize(
    "head", [b"ID3\x04\x00\x00", b"\xff\xfb\x90\x44", b"RIFF\x24\x00\x00\x00WAVEfmt ", b"\x00", b"\x80"]
)
def test_whatever_is_not_certain_goes_on(head: bytes) -> None:
    assert not plainly_not_media(head)


@pytest.mark.parametrize("name", ["talk.mp4", "rabbit320.mp4", "jfk.flac"])
def test_real_recordings_go_on(name: str) -> None:
    media = (Path(__file__).parents[2] / "tests/media" / name).read_bytes()
    for size in (1, 4, 8, 64, HEAD):
        assert not plainly_not_media(media[:size]) or size < 8
