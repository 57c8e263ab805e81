"""Files that are a recording to one program and something else to another."""

import io
import zipfile
from collections.abc import Iterator

from tests.hostile import boxes, ebml
from tests.hostile.broken import sound, written
from tests.hostile.canary import Canary
from tests.hostile.making import Hostile
from tests.hostile.odd import frame, id3

PAGE = b"<html><body><script>alert('polyglot')</script></body></html>"
LETTER = b"zip of the polyglot"
MARKS = PAGE, LETTER
"""What no result may hold."""


def corpus(canary: Canary) -> Iterator[Hostile]:
    movie = sound("mp4")
    page_first = boxes.box(b"free", b"-->" + PAGE + b"<!--") + movie
    yield written("a page that is a movie", page_first, "", seconds=3, either=True)
    yield written("a movie that is a page", movie + boxes.box(b"free", PAGE), "", seconds=3)
    yield written(
        "a movie in the middle of a page",
        movie[:32] + boxes.box(b"free", PAGE) + movie[32:],
        "",
        seconds=3,
        either=True,
    )
    yield written("a page before a movie", PAGE + movie, "")
    yield written("a movie that is an archive", movie + _archive(), "", seconds=3)
    yield written(
        "a song that is a page",
        id3(frame(b"COMM", b"\0eng\0" + PAGE), frame(b"GEOB", b"\0text/html\0\0\0" + PAGE)) + sound("mp3"),
        "",
        seconds=3,
    )
    yield written("a wave that is a page", sound("wav") + PAGE, "", seconds=3)
    yield written("a wave that is an archive", sound("wav") + _archive(), "", seconds=3)
    yield written("a song that is a document", b"%PDF-1.4\n" + sound("mp3") + b"\n%%EOF", "", seconds=3, either=True)
    yield written(
        "a picture that is a song", b"GIF89a" + b"\x01\0\x01\0\0\0\0;" + sound("mp3"), "", seconds=3, either=True
    )
    note = ebml.element(
        0x1941A469,
        ebml.element(
            0x61A7,
            ebml.element(0x466E, b"x.html")
            + ebml.element(0x4660, b"text/html")
            + ebml.element(0x465C, PAGE)
            + ebml.element(0x46AE, 1),
        ),
    )
    film = ebml.matroska(ebml.tracks(ebml.pcm_entry()), note, ebml.cluster(0, bytes(2 * ebml.FRAMES)))
    yield written("a film with a page in it", film, "", seconds=0.1)
    yield written("a list that is a movie", f"#EXTM3U\n#EXTINF:1,\n{canary.path}\n".encode() + movie, "")
    for place in (canary.path, canary.url):
        yield written(f"a drawing that shows {str(place)[:4]}", _drawing(str(place)), "")


def _archive() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("letter.txt", LETTER)
    return packed.getvalue()


def _drawing(place: str) -> bytes:
    link = f'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"><image xlink:href="{place}"/></svg>'
    return f'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "{place}">]><svg {link}'.encode()
