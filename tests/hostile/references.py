"""Files that name other files and addresses, and hope that somebody looks there."""

import base64
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.hostile import boxes
from tests.hostile.canary import Canary
from tests.hostile.making import Hostile, made, sine
from tests.hostile.odd import frame, id3

OPEN = ("-protocol_whitelist", "file,http,tcp,concat,subfile,data,udp,rtp,crypto", "-f")


_DREFS = ("-enable_drefs", "1", "-use_absolute_path", "1", *OPEN, "mov")


@dataclass(frozen=True)
class Reference(Hostile):
    """`follow`: options with which ffmpeg does look there; none where it cannot be made to."""

    follow: tuple[str, ...] = ()


def corpus(canary: Canary) -> Iterator[Reference]:
    for where, place in {"path": str(canary.path), "neighbour": canary.path.name, "address": canary.url}.items():
        yield from _lists(where, place)
        yield from _movies(where, place)
    yield from _scripts(canary)
    yield from _covers(canary)


def _refused(name: str, text: str | bytes, *follow: str) -> Reference:
    content = text.encode() if isinstance(text, str) else text
    return Reference(name, lambda path: path.write_bytes(content), follow=follow)


def _lists(where: str, place: str) -> Iterator[Reference]:
    hls, protocol = (*OPEN, "hls"), ("-safe", "0", *OPEN, "concat")
    lax = ("-allowed_extensions", "ALL", "-extension_picky", "0", *hls)
    begin, end = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n", "#EXT-X-ENDLIST\n"
    yield _refused(f"HLS of a {where}", f"{begin}#EXTINF:2,\n{place}\n{end}", *lax)
    yield _refused(
        f"HLS that begins with a {where}", f'{begin}#EXT-X-MAP:URI="{place}"\n#EXTINF:2,\n{place}\n{end}', *lax
    )
    key = f'{begin}#EXT-X-KEY:METHOD=AES-128,URI="{place}"\n#EXTINF:2,\n{place}\n{end}'
    yield _refused(f"HLS with a key at a {where}", key)
    streams = f'#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",URI="{place}"\n#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"\n{place}\n'
    yield _refused(f"HLS of HLS at a {where}", streams)
    yield _refused(f"a list of parts at a {where}", f"ffconcat version 1.0\nfile '{place}'\n", *protocol)
    yield _refused(f"DASH of a {where}", _dash(place))
    for text in (
        f"[Reference]\nRef1={place}\n",
        f'<asx version="3.0"><entry><ref href="{place}"/></entry></asx>',
        f"[playlist]\nFile1={place}\n",
    ):
        yield _refused(f"{text.split(maxsplit=1)[0]} of a {where}", text)


def _dash(place: str) -> str:
    return (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT2S" '
        'profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet mimeType="audio/mp2t"><Representation '
        f'id="1" bandwidth="1"><BaseURL>{place}</BaseURL></Representation></AdaptationSet></Period></MPD>'
    )


def _movies(where: str, place: str) -> Iterator[Reference]:
    """Movies whose sound is said to lie elsewhere (QuickTime File Format, "Data reference atoms"): they have none."""
    movie = made(*sine(2), "-c:a", "pcm_s16le", kind="mov")
    for kind, entry in ((b"url ", place.encode() + b"\0"), (b"alis", _alias(place))):
        there = boxes.replaced(movie, b"dref", 1, tail=struct.pack(">I4sI", 12 + len(entry), kind, 0) + entry)
        follow = _DREFS if kind == b"alis" and where != "address" else ()
        yield Reference(
            f"a movie whose sound is an {kind.decode()} of a {where}",
            partial(_write, there),
            "",
            2,
            True,
            follow=follow,
        )
    target = struct.pack(">I4sI", 0, b"url ", len(place) + 1) + place.encode() + b"\0"
    elsewhere = boxes.box(b"moov", boxes.box(b"rmra", boxes.box(b"rmda", boxes.box(b"rdrf", target))))
    yield _refused(f"a movie that is a {where}", boxes.box(b"ftyp", b"qt  \0\0\0\0qt  ") + elsewhere)


def _write(content: bytes, path: Path) -> None:
    path.write_bytes(content)


def _alias(place: str) -> bytes:
    """A Mac alias, of which ffmpeg reads name, levels and path (mov.c, mov_read_dref)."""
    name, levels = Path(place).name.encode()[:63], 0 if place.startswith("/") else 1
    head = bytes(10 + 28 + 12) + bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16)
    path = place.encode() + b"\0" * (len(place) % 2)
    fields = struct.pack(">hh", levels, levels) + bytes(16) + struct.pack(">hH", 2, len(place)) + path
    return head + fields + struct.pack(">hH", -1, 0)


def _scripts(canary: Canary) -> Iterator[Reference]:
    port = canary.url.rpartition(":")[2].partition("/")[0]
    yield _refused("SDP", f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP 14\n")
    yield _refused("a graph of filters", f"amovie={canary.path}")
    yield _refused("RTSP in a text", f"RTSPtext\nrtsp://127.0.0.1:{port}/x\n")
    for name in _names(canary):
        yield _refused(f"only {name[:12]}", name)


def _names(canary: Canary) -> list[str]:
    data = base64.b64encode(canary.path.read_bytes()).decode()
    return [
        f"concat:{canary.path}|{canary.path}",
        f"subfile,,start,0,end,0,,:{canary.path}",
        f"data:video/mp2t;base64,{data}",
        f"file:{canary.path}",
        canary.url,
        f"async:{canary.path}",
        f"cache:{canary.url}",
        f"|cat {canary.path}",
        str(canary.path),
        f"../../../../../../../..{canary.path}",
        "canary.ts",
        "%03d.ts",
        "can*.ts",
        "-i",
        f"-i {canary.path}",
        "$(cat canary.ts)",
    ]


def named(canary: Canary) -> Iterator[Hostile]:
    """Good recordings whose names are none."""
    clip = made(*sine(0.5), kind="mp4")
    for name in _names(canary):
        yield Hostile(f"named {name[:20]}", partial(_write, clip), "", 0.5, title=name[:255])


def _covers(canary: Canary) -> Iterator[Reference]:
    """Pictures that are links (ID3v2.3, section 4.15)."""
    clip = made(*sine(), "-id3v2_version", "0", kind="mp3")
    for place in (str(canary.path), canary.url):
        link = frame(b"APIC", b"\0-->\0\x03\0" + place.encode())
        tag = id3(link, frame(b"WOAF", place.encode()), frame(b"LINK", b"APIC" + place.encode() + b"\0"))
        yield Reference(f"a picture that is {place[:5]}", partial(_write, tag + clip), "", 1)
