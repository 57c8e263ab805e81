import subprocess
from pathlib import Path

import pytest

from pipeline.errors import Interrupted
from pipeline.ffmpeg import binary
from pipeline.probe import Probe, Unreadable, probe
from pipeline.work import Progress

TALK = Path(__file__).parents[2] / "tests" / "media" / "talk.mp4"


def make(path: Path, *arguments: str) -> Path:
    subprocess.run([binary(), "-v", "error", "-nostdin", "-y", *arguments, path], check=True)
    return path


def look(path: Path, deadline: float = 30, progress: Progress = lambda percent, speed=None: None) -> Probe:
    return probe(path, deadline=deadline, progress=progress)


def test_it_tells_what_a_video_holds() -> None:
    found = look(TALK)
    (sound,) = found.sound
    assert found.duration == sound.duration == pytest.approx(11.0, abs=0.05)
    assert (sound.index, sound.codec, sound.channels, sound.sample_rate, sound.default) == (1, "aac", 2, 44100, True)
    assert not found.encrypted


@pytest.mark.parametrize("name", ["talk.mov", "talk.mkv", "talk.m4a", "talk.wav", "talk.flac", "talk.avi", "talk.wma"])
def test_headers_promise_a_length(tmp_path: Path, name: str) -> None:
    video = ("-c:v", "copy") if name in ("talk.mov", "talk.mkv") else ("-vn",)
    (sound,) = look(make(tmp_path / name, "-i", str(TALK), *video)).sound
    assert sound.duration == pytest.approx(11.0, abs=0.1)


@pytest.mark.parametrize("name", ["talk.mp3", "talk.aac", "talk.ts", "talk.ogg"])
def test_a_guessed_length_is_no_promise(tmp_path: Path, name: str) -> None:
    found = look(make(tmp_path / name, "-i", str(TALK), "-vn"))
    assert found.sound[0].duration is None
    assert found.duration == pytest.approx(11.0, abs=0.5)


def test_the_length_of_pictures_promises_nothing_about_sound(tmp_path: Path) -> None:
    (sound,) = look(make(tmp_path / "talk.flv", "-i", str(TALK), "-c", "copy")).sound
    assert sound.duration is None


def test_where_every_packet_is_listed_the_sounds_bytes_are_known(tmp_path: Path) -> None:
    (listed,) = look(TALK).sound
    (guessed,) = look(make(tmp_path / "talk.mkv", "-i", str(TALK), "-c", "copy")).sound
    (alone,) = look(make(tmp_path / "talk.adts.aac", "-i", str(TALK), "-vn", "-c", "copy")).sound
    assert listed.bytes == (tmp_path / "talk.adts.aac").stat().st_size - 7 * 475  # each packet has a header there
    assert (guessed.bytes, alone.bytes) == (None, None)


@pytest.mark.parametrize(
    ("name", "how", "exact"),
    [
        ("a.mp4", ("-c", "copy"), True),
        ("a.m4a", ("-vn", "-c:a", "alac"), True),
        ("a.flac", ("-vn",), True),
        ("a.wav", ("-vn",), True),
        ("a.aiff", ("-vn",), True),
        ("a.wav", ("-vn", "-c:a", "adpcm_ms"), False),
        ("a.mkv", ("-c", "copy"), False),
        ("a.mp3", ("-vn",), False),
        ("gaps.mp4", ("-c", "copy", "-bsf:a", r"noise=drop=between(n\,200\,300)"), False),
        ("late.mp4", ("-c", "copy", "-bsf:a", r"noise=drop=lt(n\,100)"), False),
        ("fragments.mp4", ("-c", "copy", "-movflags", "frag_keyframe+empty_moov"), False),
        ("low.m4a", ("-vn", "-c:a", "aac", "-ar", "22050"), False),  # might be HE-AAC, which shows only when decoded
    ],
)
def test_only_where_no_packet_is_missing_and_times_are_exact_any_sample_is_found(
    tmp_path: Path, name: str, how: tuple[str, ...], exact: bool
) -> None:
    (sound,) = look(make(tmp_path / name, "-i", str(TALK), "-t", "11", *how)).sound
    assert sound.exact is exact


def test_a_file_that_lacks_its_end_is_not_all_there(tmp_path: Path) -> None:
    whole = make(tmp_path / "whole.mp4", "-i", str(TALK), "-c", "copy", "-movflags", "faststart")
    assert look(whole).sound[0].steady
    whole.write_bytes(whole.read_bytes()[:-20_000])
    (cut,) = look(whole).sound
    assert (cut.steady, cut.exact) == (False, False)
    assert cut.duration == pytest.approx(11.0)


def test_encrypted_sound_is_seen(tmp_path: Path) -> None:
    key = ("-encryption_key", "76a6c65c5ea762046bd749a2e632ccbb", "-encryption_kid", "a7e61c373e219033c21091fa607bf3b8")
    secret = make(tmp_path / "secret.mp4", "-i", str(TALK), "-c", "copy", "-encryption_scheme", "cenc-aes-ctr", *key)
    assert look(secret).encrypted


def test_a_playlist_is_not_followed(tmp_path: Path) -> None:
    make(tmp_path / "canary.ts", "-i", str(TALK), "-c", "copy")
    movie = tmp_path / "movie.mp4"
    for before in ("", "\0"):  # the second is not recognised before libav sees it
        movie.write_text(f"{before}#EXTM3U\n#EXT-X-TARGETDURATION:11\n#EXTINF:11,\ncanary.ts\n#EXT-X-ENDLIST\n")
        with pytest.raises(Unreadable) as unreadable:
            look(movie)
        assert unreadable.value.why == ("not media" if before else "playlist")


def test_a_playlist_is_known_behind_comments(tmp_path: Path) -> None:
    movie = tmp_path / "movie.mp4"
    for comments, why in (("<!-- one -->\n<!-- two -->\n", "playlist"), ("<!--\0-->" * 120, "not media")):
        movie.write_text(f"<?xml version='1.0'?>\n{comments}{'<MPD/>' if why == 'playlist' else ''}")
        with pytest.raises(Unreadable) as unreadable:
            look(movie)
        assert unreadable.value.why == why


def test_it_stops_at_its_deadline() -> None:
    with pytest.raises(Unreadable, match="time"):
        look(TALK, deadline=0.001)


def test_it_can_be_interrupted() -> None:
    def interrupt(percent: float, speed: float | None = None) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        look(TALK, progress=interrupt)
