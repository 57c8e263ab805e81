import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.names import LONGEST, Folded, folded, free_name, media_type, safe_name, stem

awkward = st.text(st.one_of(st.characters(), st.sampled_from("./\\\"'` -\n\u200d\u202eé́")), max_size=400)
DEVICES = {
    "con",
    "prn",
    "aux",
    "nul",
    "conin$",
    "conout$",
    *(f"{port}{n}" for port in ("com", "lpt") for n in range(10)),
}


@pytest.mark.parametrize(
    ("given_name", "safe"),
    [
        ("talk.mp4", "talk.mp4"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("a\"b'c\r\nd.mp4", "abc d.mp4"),
        (".bashrc", "bashrc"),
        ("-rf.mp4", "rf.mp4"),
        ("gpj.\u202e4pm.exe", "gpj.4pm.exe"),
        ("会议 записи ملف.MP4", "会议 записи ملف.MP4"),
        ("👩\u200d🚀 talk.mp4", "👩\u200d🚀 talk.mp4"),
        ("folder/", "recording"),
        ("...", "recording"),
        ("", "recording"),
    ],
)
def test_names_are_made_safe(given_name: str, safe: str) -> None:
    assert safe_name(given_name) == safe


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("talk.mp4", "talk"),
        ("archive.tar.gz", "archive.tar"),
        ("call of 12.30", "call of 12.30"),
        ("Dr. Who", "Dr. Who"),
        ("clip.3gp", "clip"),
        ("../x/.mp4", "mp4"),
        ("", "recording"),
    ],
)
def test_a_stem_is_the_safe_name_without_its_extension(name: str, expected: str) -> None:
    assert stem(name) == expected


def test_long_names_are_cut_between_letters_and_keep_their_extension() -> None:
    assert safe_name("é" * 300 + ".mp4") == "é" * 75 + ".mp4"
    assert safe_name("a" + "é" * 300 + ".mp4") == "a" + "é" * 74 + ".mp4"


@given(awkward)
def test_whatever_comes_in_a_safe_name_comes_out(name: str) -> None:
    safe = safe_name(name)
    assert safe
    assert len(safe.encode()) <= LONGEST + len(".abcdefghij")
    assert not set(safe) & set("/\\\"'`")
    assert not any(unicodedata.category(c) in {"Cc", "Cs"} for c in safe)
    assert safe[0] not in ".-"
    assert safe == safe.strip()
    assert not safe.endswith(".")
    assert safe.partition(".")[0].rstrip(" ").casefold() not in DEVICES
    assert safe_name(safe) == safe
    assert safe.startswith(stem(name))


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("\uff0e\uff0e\uff0f\uff0e\uff0e\uff0fetc.mp4", "etc.mp4"),
        ("a\uff3cb.mp4", "b.mp4"),
        ("say \uff02x\uff02.mp4", "say x.mp4"),
        ("\u2100.mp4", "c.mp4"),
    ],
)
def test_wide_forms_are_met_as_what_they_stand_for(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_a_name_that_is_taken_gets_a_number() -> None:
    assert free_name("a.mp3", set()) == "a.mp3"
    assert free_name("a.mp3", {"a.mp3", "a (1).mp3"}) == "a (2).mp3"
    assert free_name("a", {"a"}) == "a (1)"


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("CON", "CON_"),
        ("nul.mp4", "nul_.mp4"),
        ("Aux.tar.gz", "Aux_.tar.gz"),
        ("com1 .notes.txt", "com1_ .notes.txt"),
        ("LPT\u00b9.txt", "LPT1_.txt"),
        ("conin$.wav", "conin$_.wav"),
        ("..con.mp4", "con_.mp4"),
        ("console.mp4", "console.mp4"),
        ("com10.mp4", "com10.mp4"),
        ("a con.mp4", "a con.mp4"),
    ],
)
def test_no_name_is_a_device_of_windows(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@given(st.sampled_from(sorted(DEVICES)), st.sampled_from(["", " ", ".", ". ", " .", ".mp4", " .mp4"]), awkward)
def test_whatever_stands_behind_a_device(device: str, between: str, rest: str) -> None:
    for name in (safe_name(device + between + rest), f"{stem(device + between + rest)}.mp3"):
        assert name.partition(".")[0].rstrip(" ").casefold() not in DEVICES


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Talk.mp4", "tALK.MP4"),
        ("Stra\u00dfe", "STRASSE"),
        ("Cafe\u0301", "Caf\u00e9"),
        ("\uff34alk", "talk"),
        ("a\u200db", "ab"),
        ("\u01c5", "\u01c4"),
        ("\u0345\u0301", "\u0301\u03b9"),
    ],
)
def test_names_that_some_file_system_takes_for_one_are_taken_together(one: str, other: str) -> None:
    taken = Folded()
    taken.add(one)
    assert other in taken
    assert free_name(other, taken) != other
    assert "another" not in taken


@given(awkward)
def test_folding_is_done_once(name: str) -> None:
    assert folded(folded(name)) == folded(name)
    assert folded(name.upper()) == folded(name.lower().upper())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("talk.mp4", "video/mp4"),
        ("TALK.MP3", "audio/mpeg"),
        ("page.html", "application/octet-stream"),
        ("talk", "application/octet-stream"),
    ],
)
def test_the_type_goes_by_the_extension_and_is_sound_video_or_bytes(name: str, expected: str) -> None:
    assert media_type(name) == expected
