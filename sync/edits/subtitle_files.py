"""srt and vtt as people's editors write them.

webvtt-py reads both as they are written. pysubs2 takes `{...}` and backslashes in speech for styling, leaves WebVTT's escapes and
voices out, and counts hours by two digits.
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from itertools import groupby
from operator import itemgetter

import webvtt
from webvtt.errors import MalformedCaptionError, MalformedFileError

from pipeline.correction import LONGEST_NAME, LONGEST_TEXT
from pipeline.errors import Reject
from pipeline.transcript import fold

_CLOCK = r"\d+:\d{1,2}:\d{1,2}[,.]\d{1,3}"
_TIMES = rf" ?{_CLOCK} ?--> ?{_CLOCK}"
_BLANKS = re.compile(r"[ \t]+")
"""One is left of them: expressions that look for many would take for ever with millions."""
_NUMBERED = re.compile(rf"^(?: ?\d* ?\n)?({_TIMES})", re.MULTILINE)
_BROKEN = re.compile(rf"^(?!{_TIMES}) ?(-?\d+:\S* ?-->.*)", re.MULTILINE)
_STYLES = re.compile(r"</?(?:b|i|u|s|font)(?:\s[^<>]*)?>|\{\\[^{}]*\}", re.IGNORECASE)
"""That SubRip's players know; our own files have neither signs."""
_TAG = re.compile(r"<([^<>]*)>")
_VOICE = re.compile(r"v(?:\.\S*)?(?:\s+(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Cue:
    """`start` and `end` in milliseconds of the recording; `speaker` is empty where the file names nobody."""

    start: int
    end: int
    text: str
    speaker: str = ""


def read(kind: str, text: str) -> list[Cue]:
    """Those in which something is said, as the file has them. Raises Reject for what is no file of the kind, and for a broken cue."""
    text = _BLANKS.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n")).strip("\n \ufeff")
    if not text:
        return []
    try:
        found = _srt(text) if kind == "srt" else _vtt(text)
        return [_checked(cue) for cue in found if cue.text]
    except MalformedFileError:
        raise Reject("The edited file has no subtitles in it.") from None
    except MalformedCaptionError:
        raise Reject("The edited file has a subtitle with times that cannot be read.") from None


def clock(milliseconds: int) -> str:
    minutes, seconds = divmod(milliseconds // 1000, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"


def _srt(text: str) -> Iterator[Cue]:
    """SubRip. Numbers are often missing, and then the parser would leave the cue out."""
    if broken := _BROKEN.search(text):
        raise Reject(f"The edited file has a subtitle with times that cannot be read: {broken[1][:40]}")
    numbered = _NUMBERED.sub(r"\n1\n\1", text).lstrip("\n")
    for cue in webvtt.from_buffer(io.StringIO(numbered), format="srt").captions:
        said = fold(_STYLES.sub("", cue.raw_text))
        yield Cue(cue.start_time.in_milliseconds(), cue.end_time.in_milliseconds(), said)


def _vtt(text: str) -> Iterator[Cue]:
    """WebVTT. Whoever speaks in a cue with others has a part of its time, by the length of the text."""
    for cue in webvtt.from_buffer(io.StringIO(text), format="vtt", strict=True).captions:
        start, end = cue.start_time.in_milliseconds(), cue.end_time.in_milliseconds()
        turns = groupby(_voices(cue.raw_text), itemgetter(0))
        voices = [(speaker, said) for speaker, of in turns if (said := fold(" ".join(text for _, text in of)))]
        total, before = sum(len(said) for _, said in voices), 0
        for speaker, said in voices:
            until = before + len(said)
            yield Cue(start + (end - start) * before // total, start + (end - start) * until // total, said, speaker)
            before = until


def _voices(raw: str) -> Iterator[tuple[str, str]]:
    """Speakers, and what they say, which may be nothing. Other tags than those of voices are left out, and their text is not."""
    speaker, said = "", ""
    for number, part in enumerate(_TAG.split(raw)):
        voice = _VOICE.fullmatch(part) if number % 2 else None
        if not number % 2:
            said += part
        elif voice or part.strip() == "/v":
            yield speaker, _text(said)
            speaker, said = _text(voice[1] or "") if voice else "", ""
    yield speaker, _text(said)


def _text(raw: str) -> str:
    return fold(unescape(raw))


def _checked(cue: Cue) -> Cue:
    if len(cue.text) > LONGEST_TEXT:
        raise Reject(f"The subtitle at {clock(cue.start)} is longer than {LONGEST_TEXT} characters.")
    if len(cue.speaker) > LONGEST_NAME:
        raise Reject(f"The name of the speaker at {clock(cue.start)} is longer than {LONGEST_NAME} characters.")
    return cue
