from typing import Any

import pytest

from converter.outputs import FORMS, arguments, bits, channels, copied, kbit, likely_bytes, most_bytes, sample_rate
from pipeline.audio import AudioFormat, Profile
from pipeline.formats import OUTPUTS
from pipeline.recording import Track


def profile(**asked: Any) -> Profile:
    return Profile.model_validate({"bitrate": 128, **asked})


def track(**known: Any) -> Track:
    return Track.model_validate(
        {"stream": 0, "seconds": 60, "codec": "aac", "channels": 2, "sample_rate": 44100} | known
    )


MP3_FILE = {"container": "mp3", "codec": "mp3float", "bit_rate": 128000, "constant": True}
M4A_FILE = {"container": FORMS["m4a"].container, "codec": "aac", "bit_rate": 127000}
WAV_FILE = {"container": "wav", "codec": "pcm_s24le", "bits": 32}
FLAC_FILE = {"container": "flac", "codec": "flac", "bits": 16}
OPUS_FILE = {"container": "ogg", "codec": "opus", "bit_rate": 128000, "sample_rate": 48000}
VORBIS_FILE = {"container": "ogg", "codec": "vorbis", "bit_rate": 128000}


def test_every_kind_that_can_be_asked_for_can_be_made() -> None:
    assert FORMS.keys() == OUTPUTS.keys()


@pytest.mark.parametrize(
    ("form", "recorded", "made"),
    [
        ("mp3", 44100, 44100),
        ("mp3", 1, 8000),
        ("mp3", 7999, 8000),
        ("mp3", 37800, 44100),
        ("mp3", 96000, 48000),
        ("mp3", 192000, 48000),
        ("m4a", 96000, 96000),
        ("m4a", 192000, 96000),
        ("m4a", 60000, 64000),
        ("opus", 44100, 48000),
        ("opus", 22050, 24000),
        ("opus", 8000, 8000),
        ("ogg", 37800, 37800),
        ("flac", 37800, 37800),
        ("flac", 192000, 192000),
        ("flac", 65537, 88200),
        ("flac", 2**31 - 1, 192000),
        ("wav", 1, 8000),
        ("wav", 11025, 11025),
    ],
)
def test_a_sample_rate_stays_or_becomes_the_next_that_the_format_has(
    form: AudioFormat, recorded: int, made: int
) -> None:
    assert sample_rate(form, profile(), track(sample_rate=recorded)) == made


def test_a_sample_rate_that_is_asked_for_goes_before_the_recorded_one() -> None:
    assert sample_rate("flac", profile(sample_rate=22050), track()) == 22050
    assert sample_rate("opus", profile(sample_rate=22050), track()) == 24000


@pytest.mark.parametrize(
    ("recorded", "asked", "made"), [(1, None, 1), (2, None, 2), (64, None, 2), (6, 1, 1), (1, 2, 2)]
)
def test_there_are_one_or_two_channels(recorded: int, asked: int | None, made: int) -> None:
    assert channels(profile(channels=asked), track(channels=recorded)) == made


@pytest.mark.parametrize(
    ("rate", "asked", "made"),
    [(44100, 128, 128), (44100, 100, 96), (44100, 8, 32), (48000, 512, 320), (32000, 300, 320), (24000, 320, 160),
     (22050, 8, 8), (16000, 130, 128), (12000, 160, 64), (8000, 8, 8)],
)  # fmt: skip
def test_mp3_has_the_nearest_bit_rate_of_its_version(rate: int, asked: int, made: int) -> None:
    assert kbit("mp3", profile(bitrate=asked), track(sample_rate=rate)) == made


def test_an_average_bit_rate_is_any_that_lies_between() -> None:
    assert kbit("mp3", profile(bitrate=100, mode="abr"), track()) == 100
    assert kbit("mp3", profile(bitrate=512, mode="abr"), track()) == 320
    assert arguments("mp3", profile(bitrate=100, mode="abr"), track())["abr"] == 1


@pytest.mark.parametrize(
    ("form", "asked", "rate", "count", "made"),
    [("m4a", 512, 44100, 2, 512), ("m4a", 512, 8000, 1, 48), ("m4a", 48, 44100, 1, 48),
     ("opus", 512, 48000, 2, 510), ("opus", 512, 48000, 1, 256), ("opus", 8, 8000, 1, 8)],
)  # fmt: skip
def test_aac_and_opus_have_bit_rates_within_their_bounds(
    form: AudioFormat, asked: int, rate: int, count: int, made: int
) -> None:
    assert kbit(form, profile(bitrate=asked), track(sample_rate=rate, channels=count)) == made


def test_a_quality_counts_down_from_the_best() -> None:
    assert arguments("mp3", profile(mode="vbr", quality=2), track())["q:a"] == 2
    assert [arguments("ogg", profile(quality=quality), track())["q:a"] for quality in (0, 4, 9)] == [8, 4, -1]
    assert kbit("mp3", profile(mode="vbr"), track()) is None


@pytest.mark.parametrize(
    ("codec", "width", "made"),
    [("pcm_s16le", 16, 16), ("pcm_s24le", 32, 24), ("flac", 16, 16), ("flac", 32, 24), ("alac", 32, 24), ("aac", 32, 16),
     ("flac", None, 16)],
)  # fmt: skip
def test_only_what_was_recorded_without_loss_has_more_than_16_bits(codec: str, width: int | None, made: int) -> None:
    known = track(codec=codec, bits=width)
    assert bits(known) == made
    assert arguments("wav", profile(), known)["acodec"] == f"pcm_s{made}le"


@pytest.mark.parametrize(
    ("form", "known"), [("mp3", MP3_FILE), ("m4a", M4A_FILE), ("wav", WAV_FILE), ("flac", FLAC_FILE)]
)
def test_what_is_such_a_file_already_is_copied(form: AudioFormat, known: dict[str, Any]) -> None:
    assert copied(form, profile(), track(**known))


@pytest.mark.parametrize("bit_rate", [24000, 128000, 400000, None])
def test_where_the_bit_rate_follows_the_sound_any_will_do_unless_one_is_asked_for(bit_rate: int | None) -> None:
    assert copied("opus", profile(), track(**OPUS_FILE | {"bit_rate": bit_rate}))
    assert copied("ogg", profile(), track(**VORBIS_FILE | {"bit_rate": bit_rate}))


def test_what_aims_at_a_bit_rate_is_copied_if_it_is_like_the_one_asked_for() -> None:
    for bit_rate in (97000, 159000):
        assert copied("opus", profile(sized=True), track(**OPUS_FILE | {"bit_rate": bit_rate}))
        assert copied("m4a", profile(sized=True), track(**M4A_FILE | {"bit_rate": bit_rate}))


def test_an_mp3_whose_bit_rate_varies_is_copied_where_an_average_one_is_wanted() -> None:
    varying = track(**MP3_FILE | {"constant": False})
    assert copied("mp3", profile(mode="abr"), varying)
    assert not copied("mp3", profile(mode="cbr"), varying)


@pytest.mark.parametrize(
    ("form", "asked", "known"),
    [
        ("mp3", {}, MP3_FILE | {"container": None}),
        ("mp3", {}, MP3_FILE | {"container": "wav"}),
        ("mp3", {}, MP3_FILE | {"bit_rate": 192000}),
        ("mp3", {}, MP3_FILE | {"bit_rate": None}),
        ("mp3", {"bitrate": 131}, MP3_FILE | {"bit_rate": 320000}),
        ("mp3", {"mode": "vbr", "quality": 4}, MP3_FILE),
        ("mp3", {"channels": 1}, MP3_FILE),
        ("mp3", {"sample_rate": 48000}, MP3_FILE),
        ("mp3", {"loudness": -16}, MP3_FILE),
        ("mp3", {"start": 1}, MP3_FILE),
        ("mp3", {"speech": True}, MP3_FILE),
        ("mp3", {}, MP3_FILE | {"sample_rate": 37800}),
        ("m4a", {}, MP3_FILE),
        ("m4a", {}, M4A_FILE | {"channels": 6}),
        ("m4a", {}, M4A_FILE | {"codec": "alac"}),
        ("m4a", {}, M4A_FILE | {"bit_rate": 192000}),
        ("ogg", {"sized": True}, VORBIS_FILE),
        ("ogg", {"channels": 1}, VORBIS_FILE),
        ("opus", {"sized": True}, OPUS_FILE | {"bit_rate": 162000}),
        ("opus", {"sized": True}, OPUS_FILE | {"bit_rate": 95000}),
        ("opus", {"sized": True}, OPUS_FILE | {"bit_rate": None}),
        ("opus", {"sample_rate": 16000}, OPUS_FILE),
        ("opus", {}, {"container": "ogg", "codec": "vorbis", "bit_rate": 128000, "sample_rate": 48000}),
        ("wav", {}, WAV_FILE | {"codec": "pcm_f32le"}),
        ("wav", {}, WAV_FILE | {"codec": "pcm_alaw", "bits": 16}),
        ("flac", {"fade_in": 1}, FLAC_FILE),
    ],
)
def test_what_is_another_kind_or_is_to_sound_otherwise_is_encoded(
    form: AudioFormat, asked: dict[str, Any], known: dict[str, Any]
) -> None:
    assert not copied(form, profile(**asked), track(**known))


def test_a_file_without_loss_is_reckoned_at_its_full_size() -> None:
    day = 24 * 3600
    assert most_bytes("wav", profile(), track(), day) > day * 44100 * 4
    assert most_bytes("mp3", profile(), track(), day) < 2 * day * 128000 / 8


@pytest.mark.parametrize("form", ["mp3", "m4a", "opus", "ogg"])
def test_room_is_asked_for_what_is_likely_and_not_for_what_could_be(form: AudioFormat) -> None:
    asked = profile(mode="abr", bitrate=64)
    assert likely_bytes(form, asked, track(), 3600) < most_bytes(form, asked, track(), 3600)
    assert likely_bytes("mp3", profile(), track(), 3600) == most_bytes("mp3", profile(), track(), 3600)
