import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from scipy.io import wavfile  # type: ignore[import-untyped]  # scipy-stubs are not needed for one call

from converter.encode import encode
from converter.tests.studio import TALK, Samples, Studio, facts, ffmpeg, frequency, heard, quiet
from pipeline.errors import Interrupted, Reject, Retry

RATE = 44100
EVERY = "mp3,m4a,opus,ogg,flac,wav"
AAC_FRAME = 1024

Make = Callable[..., Path]


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(tmp_path)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(name: str, *arguments: object) -> Path:
        ffmpeg(*arguments, tmp_path / name)
        return tmp_path / name

    return made


def tone(seconds: float, rate: int = RATE, channels: int = 2) -> tuple[object, ...]:
    shape = "|".join(["0.5*sin(2*PI*440*t)"] * channels)
    return ("-f", "lavfi", "-i", f"aevalsrc=exprs='{shape}':sample_rate={rate}:duration={seconds}")


def by_another_decoder(path: Path) -> Samples:
    """Samples by channels from a decoder that shares no code with ffmpeg, of 16 bits."""
    out = path.with_suffix(".decoded.wav")
    commands: dict[str, list[object]] = {
        ".mp3": ["mpg123", "-q", "-w", out, path],
        ".m4a": ["faad", "-q", "-o", out, path],
        ".opus": ["opusdec", "--quiet", "--rate", "48000", path, out],
        ".ogg": ["oggdec", "-Q", "-o", out, path],
        ".flac": ["flac", "-d", "-f", "-s", "-o", out, path],
    }
    if path.suffix == ".wav":
        return written(path)
    subprocess.run([str(word) for word in commands[path.suffix]], check=True, capture_output=True)
    return heard(out)


def written(path: Path) -> Samples:
    _, sound = wavfile.read(path)
    samples: Samples = sound.reshape(len(sound), -1) / -float(np.iinfo(sound.dtype).min)
    return samples


def metadata(path: Path) -> dict[str, str]:
    with av.open(str(path)) as container:
        return {**container.metadata, **container.streams.audio[0].metadata}


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def codec(path: Path) -> tuple[str, int, int]:
    with av.open(str(path)) as container:
        context = container.streams.audio[0].codec_context
        return context.name, context.sample_rate, context.channels


@pytest.mark.parametrize(("rate", "channels"), [(44100, 2), (48000, 1), (22050, 1)])
def test_every_format_has_all_samples_in_two_decoders(studio: Studio, make: Make, rate: int, channels: int) -> None:
    source = make("tone.wav", *tone(1.2345, rate, channels))
    for form, path in studio.files(source, audio=EVERY).items():
        made = 48000 if form == "opus" else rate
        expected = round(1.2345 * rate) * made / rate
        for sound in (heard(path), by_another_decoder(path)):
            # faad gives whole frames, with the encoder's delay in front; resampled Opus ends a sample of 24 kHz early or late
            spare = 2 * AAC_FRAME if form == "m4a" else 2 if form == "opus" else 0
            assert abs(len(sound) - expected) <= spare, form
            if form != "m4a":  # of mono, faad makes two sides
                assert sound.shape[1] == channels
            assert frequency(sound, made) == pytest.approx(440, abs=1.5), form


def test_an_mp3_among_others_has_just_the_samples_of_the_recording(studio: Studio, make: Make) -> None:
    samples = 30 * 1152 + 1  # ffmpeg's own Info frame tells of 46 more
    source = make("tone.wav", *tone(2, RATE, 1), "-af", f"atrim=end_sample={samples}")
    result = {artifact.name: artifact for artifact in studio.encode(source, audio=EVERY, bitrate=64).artifacts}
    path = studio.kept(result["tone.mp3"])
    assert len(heard(path)) == len(by_another_decoder(path)) == samples
    assert facts(result["tone.mp3"]).seconds == samples / RATE


def test_all_of_several_formats_are_as_each_would_be_alone(studio: Studio, make: Make) -> None:
    source = make("tone.wav", *tone(1.1))
    for form, path in studio.files(source, audio=EVERY).items():
        assert packets(path) == packets(studio.file(source, audio=form)), form


def test_files_without_loss_hold_the_samples_of_the_recording(studio: Studio, make: Make) -> None:
    for name, codec_name in (("deep.wav", "pcm_s24le"), ("plain.wav", "pcm_s16le")):
        source = make(name, "-f", "lavfi", "-i", "anoisesrc=d=0.5:a=0.5:r=44100", "-c:a", codec_name)
        for path in studio.files(source, audio="flac,wav", end=100).values():
            assert np.array_equal(heard(path), heard(source))
            assert np.array_equal(by_another_decoder(path), heard(source))


def test_a_video_becomes_an_mp3_of_the_same_length(studio: Studio) -> None:
    (artifact,) = studio.encode(TALK).artifacts
    assert (artifact.name, artifact.kind, artifact.type) == ("talk.mp3", "audio", "audio/mpeg")
    path = studio.kept(artifact)
    assert len(heard(path)) == len(by_another_decoder(path)) == 11 * RATE


def test_names_and_types_are_those_of_the_formats(studio: Studio) -> None:
    made = studio.encode(TALK, audio=EVERY, end=0.5).artifacts
    assert [(artifact.name, artifact.type) for artifact in made] == [
        ("talk.mp3", "audio/mpeg"),
        ("talk.m4a", "audio/mp4"),
        ("talk.opus", "audio/ogg"),
        ("talk.ogg", "audio/ogg"),
        ("talk.flac", "audio/flac"),
        ("talk.wav", "audio/wav"),
    ]


def test_a_file_tells_how_it_was_made(studio: Studio) -> None:
    mp3, opus, wav = (facts(artifact) for artifact in studio.encode(TALK, audio="mp3,opus,wav", channels=1).artifacts)
    assert (mp3.codec, mp3.channels, mp3.sample_rate, mp3.partial) == ("mp3", 1, RATE, False)
    assert mp3.seconds == pytest.approx(11.0, abs=0.001)
    assert mp3.bit_rate == pytest.approx(128000, rel=0.02)
    assert (opus.codec, opus.sample_rate) == ("opus", 48000)
    assert wav.codec == "pcm_s16le"
    assert wav.bit_rate == pytest.approx(RATE * 16, rel=0.001)
    assert (mp3.gain, mp3.measured, mp3.loudness) == (None, None, None)


@pytest.mark.parametrize("kbit", [64, 320])
def test_the_mp3_has_the_installations_bit_rate(studio: Studio, kbit: int) -> None:
    studio.kbit = kbit
    assert facts(studio.encode(TALK).artifacts[0]).bit_rate == pytest.approx(kbit * 1000, rel=0.03)


@pytest.mark.parametrize(
    ("asked", "name", "is_mono", "kbit"),
    [
        ({"preset": "podcast"}, "mp3float", False, (94, 98)),
        ({"preset": "podcast", "channels": 1, "bitrate": 64}, "mp3float", True, (62, 66)),
        ({"preset": "music"}, "mp3float", False, (80, 250)),
        ({"preset": "voice"}, "mp3float", True, (62, 66)),
        ({"preset": "archive"}, "flac", False, (200, 900)),
        ({"preset": "phone"}, "aac", True, (44, 54)),
        ({"mode": "abr", "bitrate": 100}, "mp3float", False, (85, 115)),
    ],
)
def test_presets_are_what_they_say(
    studio: Studio, asked: dict[str, Any], name: str, is_mono: bool, kbit: tuple[int, int]
) -> None:
    path = studio.file(TALK, **asked)
    assert codec(path) == (name, RATE, 1 if is_mono else 2)
    assert kbit[0] < path.stat().st_size * 8 / 11 / 1000 < kbit[1]


@pytest.mark.parametrize("quality", [0, 9])
def test_a_quality_is_heeded_by_both_formats_that_have_one(studio: Studio, quality: int) -> None:
    files = studio.files(TALK, audio="mp3,ogg", mode="vbr", quality=quality)
    usual = studio.files(TALK, audio="mp3,ogg", mode="vbr")
    for form, path in files.items():
        assert (path.stat().st_size > usual[form].stat().st_size) == (quality == 0), form


@pytest.mark.parametrize("rate", [1000, 7999, 37800, 192000])
def test_odd_sample_rates_become_what_each_format_has(studio: Studio, make: Make, rate: int) -> None:
    source = make("odd.wav", *tone(1.1, rate, 1), "-c:a", "pcm_s16le")
    for form, path in studio.files(source, audio=EVERY).items():
        sound, made = heard(path, 48000), by_another_decoder(path)
        assert len(sound) == pytest.approx(1.1 * 48000, abs=AAC_FRAME * 48000 / 8000 if form == "m4a" else 50), form
        assert made.size
        if rate > 1000:
            assert frequency(sound, 48000) == pytest.approx(440, abs=5), form


@pytest.mark.parametrize(("layout", "channels"), [("5.1", 6), ("7.1", 8)])
def test_surround_sound_becomes_stereo_in_every_format(studio: Studio, make: Make, layout: str, channels: int) -> None:
    source = make("surround.wav", *tone(0.5, RATE, channels), "-af", f"aformat=channel_layouts={layout}")
    for path in studio.files(source, audio=EVERY).values():
        assert codec(path)[2] == 2


def test_channels_that_nobody_can_mix_are_refused(studio: Studio, make: Make) -> None:
    with pytest.raises(Reject):
        studio.encode(make("many.wav", *tone(0.2, RATE, 64)))


def test_what_is_such_a_file_already_is_copied_packet_by_packet(studio: Studio, make: Make) -> None:
    secrets = ("-metadata", "comment=at home")
    sources = {
        "mp3": make("a.mp3", "-i", TALK, "-vn", "-b:a", "128k", *secrets),
        "flac": make("a.flac", "-i", TALK, "-vn", *secrets),
        "wav": make("a.wav", "-i", TALK, "-vn", "-c:a", "pcm_s24le", *secrets),
        "m4a": make("a.m4a", "-i", TALK, "-vn", "-b:a", "96k", *secrets),
    }
    for form, source in sources.items():
        studio.kbit = 96 if form == "m4a" else 128
        studio.known = {"bit_rate": 96000} if form == "m4a" else {}
        path = studio.file(source, audio=form)
        assert packets(path) == packets(source), form
        assert np.array_equal(heard(path), heard(source)), form
        assert len(by_another_decoder(path)) >= 11 * RATE
        assert "comment" not in metadata(path)


def test_what_is_such_a_file_but_is_to_sound_otherwise_is_encoded(studio: Studio, make: Make) -> None:
    source = make("a.mp3", "-i", TALK, "-vn", "-b:a", "128k")
    for asked in ({"fade_in": 0.5}, {"bitrate": 64}, {"mode": "vbr"}, {"channels": 1}, {"start": 1}):
        assert packets(studio.file(source, **asked))[50:60] != packets(source)[50:60]


def test_one_file_is_copied_and_another_made_of_it_at_once(studio: Studio, make: Make) -> None:
    source = make("a.mp3", "-i", TALK, "-vn", "-b:a", "128k")
    files = studio.files(source, audio="mp3,opus")
    assert packets(files["mp3"]) == packets(source)
    assert len(heard(files["opus"])) == 11 * 48000


@pytest.mark.parametrize(
    ("form", "asked", "source"),
    [
        ("opus", {"bitrate": 128}, "aevalsrc='0.6*lt(mod(t,0.02),0.0001)|0.6*lt(mod(t+0.01,0.02),0.0001)':s=48000"),
        ("ogg", {"quality": 0}, "anoisesrc=a=1:r=192000,aformat=channel_layouts=stereo"),
    ],
    ids=["clicks as Opus", "noise as Vorbis"],
)
def test_sound_that_takes_far_more_than_is_aimed_at_is_let_grow(
    studio: Studio, make: Make, form: str, asked: dict[str, Any], source: str
) -> None:
    """So much more that the MiB that every file may have does not hide it."""
    path = make("hard.wav", "-f", "lavfi", "-i", source, "-t", 16 if form == "ogg" else 110)
    assert studio.file(path, audio=form, **asked).stat().st_size


@pytest.mark.parametrize(
    ("name", "made_by", "form"),
    [
        ("a.opus", ("-b:a", "48k"), "opus"),
        ("a.ogg", ("-q:a", 1), "ogg"),
        ("a.mp3", ("-b:a", "128k"), "mp3"),
        ("a.m4a", ("-b:a", "128k"), "m4a"),
        ("a.flac", ("-sample_fmt", "s32"), "flac"),
        ("a.wav", ("-c:a", "pcm_s24le"), "wav"),
    ],
)
def test_an_upload_that_is_such_a_file_comes_back_as_it_was(
    studio: Studio, make: Make, name: str, made_by: tuple[str, ...], form: str
) -> None:
    source = make(name, "-i", TALK, "-vn", *made_by)
    assert packets(studio.uploaded(source, audio=form)) == packets(source)


def test_covers_and_chapters_do_not_keep_a_recording_from_being_copied(studio: Studio, make: Make) -> None:
    picture = make("cover.jpg", "-f", "lavfi", "-i", "color=s=64x64", "-frames:v", 1)
    chapters = studio.root / "chapters.txt"
    chapters.write_text(";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1\nSTART=0\nEND=5\ntitle=One\n")
    sound = make("sound.mp3", "-i", TALK, "-vn", "-b:a", "128k")
    pictures = ("-i", picture, "-i", picture, "-map", 0, "-map", 1, "-map", 2, "-disposition:v", "attached_pic")
    covered = make("covered.mp3", "-i", sound, *pictures, "-c", "copy")
    book = make("book.m4b", "-i", TALK, "-i", chapters, "-map", "0:a", "-map_chapters", 1, "-b:a", "128k")
    for source, form in ((covered, "mp3"), (book, "m4a")):
        assert packets(studio.uploaded(source, audio=form)) == packets(source)


@pytest.mark.parametrize("varying", [("-abr", 1, "-b:a", "128k"), ("-q:a", 4)], ids=["ABR", "VBR"])
def test_an_upload_whose_bit_rate_varies_is_encoded_where_a_constant_one_is_asked_for(
    studio: Studio, make: Make, varying: tuple[str | int, ...]
) -> None:
    source = make("a.mp3", "-i", TALK, "-vn", *varying)
    kbit = round(8 * source.stat().st_size / 11 / 1000)
    made = packets(studio.uploaded(source, audio="mp3", mode="cbr", bitrate=kbit))
    assert max(map(len, made)) - min(map(len, made)) <= 1


def test_an_upload_of_opus_is_copied_if_its_bit_rate_is_like_the_one_asked_for(studio: Studio, make: Make) -> None:
    source = make("a.opus", "-i", TALK, "-vn", "-b:a", "64k")
    took = round(8 * source.stat().st_size / 11 / 1000)
    assert packets(studio.uploaded(source, audio="opus", bitrate=took)) == packets(source)
    assert packets(studio.uploaded(source, audio="opus", bitrate=2 * took)) != packets(source)


def test_a_deep_recording_stays_deep_in_another_format_without_loss(studio: Studio, make: Make) -> None:
    source = make("a.flac", "-f", "lavfi", "-i", "anoisesrc=d=0.5:a=0.5:r=44100", "-sample_fmt", "s32")
    path = studio.uploaded(source, audio="wav")
    assert codec(path)[0] == "pcm_s24le"
    assert np.array_equal(heard(path), heard(source))


def test_the_stream_that_was_chosen_is_the_one_that_is_heard(studio: Studio, make: Make) -> None:
    both = make("both.mka", *tone(1), "-i", TALK, "-map", "0:a", "-map", "1:a", "-t", "1")
    studio.known = {"stream": 1, "seconds": 1.0}
    assert frequency(heard(studio.file(both)), RATE) != pytest.approx(440, abs=1)
    studio.known = {"stream": 0, "seconds": 1.0}
    assert frequency(heard(studio.file(both)), RATE) == pytest.approx(440, abs=1)


def test_sound_that_starts_late_and_has_gaps_keeps_its_times(studio: Studio, make: Make) -> None:
    gap = ("-bsf:a", r"noise=drop=lt(n\,100)+between(n\,200\,300)")
    gaps = make("gaps.mp4", "-i", TALK, "-c", "copy", *gap)
    assert len(heard(studio.file(gaps))) / RATE == pytest.approx(11.0, abs=0.1)


def test_errors_in_places_do_not_fail_a_recording(studio: Studio, make: Make) -> None:
    scratch = ("-bsf:a", r"noise=amount=-1*between(n\,100\,120)*99")
    scratched = make("scratched.mka", "-i", TALK, "-vn", "-c", "copy", *scratch)
    assert len(heard(studio.file(scratched))) / RATE == pytest.approx(11.0, abs=0.2)


def test_nothing_of_the_maker_goes_on_but_the_title(studio: Studio, make: Make) -> None:
    secrets = ("-metadata", "comment=at home", "-metadata", "location=+48.1+011.5/", "-metadata", "artist=Ada")
    tagged = make("tagged.mp4", "-i", TALK, "-c", "copy", *secrets)
    for path in studio.files(tagged, audio=EVERY, end=1).values():
        own = {"encoder", "major_brand", "minor_version", "compatible_brands", "language", "handler_name", "vendor_id"}
        assert {key.lower(): value for key, value in metadata(path).items() if key.lower() not in own} == {
            "title": "tagged"
        }
    mp3 = studio.file(tagged).read_bytes()
    assert mp3[:4] == b"ID3\x03"
    assert mp3[:4096].count(b"ID3") == 1


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("../../etc/passwd.mp4", "passwd.mp3"),
        ("a=b;c.mp4", "a=b;c.mp3"),
        ("Grüße 🎬.mov", "Grüße 🎬.mp3"),
        ("two\nlines.mp4", "two lines.mp3"),
        ("-version.mp4", "version.mp3"),
        ("", "recording.mp3"),
    ],
)
def test_odd_titles_are_safe_and_readable(studio: Studio, title: str, name: str) -> None:
    (artifact,) = studio.encode(TALK, name=title, end=0.5).artifacts
    assert artifact.name == name
    assert metadata(studio.kept(artifact))["title"] == name.removesuffix(".mp3")


def test_progress_rises_to_the_end_also_while_tags_are_written(studio: Studio) -> None:
    told: list[float] = []
    studio.encode(TALK, audio="mp3,m4a,flac", progress=lambda percent, speed=None: told.append(percent))
    assert told == sorted(told)
    assert told[0] == 0
    assert told[-1] == pytest.approx(100, abs=1)


def test_progress_rises_also_where_nobody_knows_how_long_pauses_are(studio: Studio, make: Make) -> None:
    told: list[float] = []
    pauses = make("pauses.flac", "-stream_loop", 29, "-i", TALK, "-vn", "-af", "volume=0:enable='lt(mod(t,10),4)'")
    studio.encode(pauses, silence=1, progress=lambda percent, speed=None: told.append(percent))
    assert told == sorted(told)
    assert len({percent for percent in told if 0 < percent < 80}) > 2
    assert 60 < max(percent for percent in told if percent < 100) < 80, "of ten seconds seven are left"
    assert told[-1] == 100


def test_an_interruption_goes_on_and_keeps_nothing(studio: Studio) -> None:
    def interrupt(percent: float, speed: float | None = None, /) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        studio.encode(TALK, progress=interrupt)
    assert [blob.id for blob in studio.blobs.list()] == ["track-1"]


def test_a_whole_file_is_drawn_if_that_is_asked_for(studio: Studio) -> None:
    assert [task.kind for task in studio.encode(TALK, end=0.5, waveform=True).next] == ["draw"]
    assert studio.encode(TALK, end=0.5).next == []


def test_files_beside_a_split_mp3_are_made_without_it_and_wait_for_it(studio: Studio) -> None:
    args = {"level": {"integrated": -12.5}, "seconds": 0.5, "gain": -3.5}
    result = studio.encode(
        TALK, args={**args, "audio": ["opus"]}, audio="mp3,opus", end=0.5, loudness=-16, waveform=True
    )
    assert [artifact.name for artifact in result.artifacts] == ["talk.opus"]
    assert [(task.kind, task.args) for task in result.next] == [("join", args)]


def test_sound_that_cannot_be_decoded_is_refused(studio: Studio, make: Make) -> None:
    noise = make("noise.mka", "-i", TALK, "-vn", "-c", "copy", "-bsf:a", "noise=amount=1")
    studio.known = {"sample_rate": RATE, "channels": 2, "bits": None}
    with pytest.raises(Reject, match="cannot be decoded"):
        studio.encode(noise)


def test_a_track_that_yields_less_than_was_found_is_refused(studio: Studio) -> None:
    studio.known = {"seconds": 20.0}
    with pytest.raises(Reject, match="breaks off after 11 of 20 seconds"):
        studio.encode(TALK)


def test_a_track_that_is_known_to_break_off_is_taken_and_marked(studio: Studio) -> None:
    studio.known = {"seconds": 20.0, "partial": True}
    (artifact,) = studio.encode(TALK, partial=True).artifacts
    assert facts(artifact).partial
    assert facts(artifact).seconds == pytest.approx(11.0, abs=0.01)


def test_a_day_of_sound_is_no_wav(studio: Studio) -> None:
    studio.known = {"seconds": 24 * 3600.0, "sample_rate": 48000}
    with pytest.raises(Reject, match=r"too long for WAV: a file of 18 GB .* Ask for another format"):
        studio.encode(TALK, audio="mp3,wav")


def test_what_grows_beyond_all_reason_is_stopped(studio: Studio, make: Make) -> None:
    """Its packets are minutes apart, and silence fills the gaps."""
    sparse = make("sparse.mka", "-i", TALK, "-vn", "-c", "copy", "-bsf:a", r"setts=ts=if(gt(N\,5)\,TS+86400000\,TS)")
    studio.known = {"seconds": 11.0}
    with pytest.raises(Reject, match="larger than can be converted"):
        studio.encode(sparse)


def test_nothing_begins_where_the_disk_has_no_room_for_it(studio: Studio) -> None:
    task, folder = studio.task("encode", TALK, {}), studio.folder()
    larger = replace(task.only("track"), bytes=2 * shutil.disk_usage(folder).free)
    with pytest.raises(Retry, match="room"):
        encode(replace(task, artifacts=[larger]), studio.blobs, folder, quiet, bitrate_kbit=128)
    assert list(folder.iterdir()) == []
