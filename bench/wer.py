"""How many words come out wrong, and what parts add to that: real and spoken texts, heard by tiny.en."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from statistics import mean
from tempfile import mkdtemp

from bench.figures import Figure
from pipeline.transcript import Layer, Segment, Word
from pipeline.work import Artifact, Task
from speech.model import Segment as Said
from speech.model import Wishes
from speech.sources import source
from speech.whisper import Whisper
from tests.aloud import READING, read_aloud, wrong
from tests.recordings import MEDIA
from transcriber.parts import Part, Span
from transcriber.tests.runs import RATE, Place, Takes, decoded, write_wav

JFK = "And so, my fellow Americans, ask not what your country can do for you; ask what you can do for your country."
WHOLE, PARTS = 36_000, (60, 90, 150)
"""Seconds of a part: more than any text here, and few, so that there are many seams. The model alone is out by half a word in a
hundred from one way of cutting to the next, so there are several, and three readings."""
PACES = 1.5, 1.3, 1.0
FORCED, OVERLAP = 30, 2.5
"""Seconds from one cut through the middle of speech to the next, and of what is heard twice there."""


def measure(folder: Path) -> Iterator[Figure]:
    jfk = transcript(MEDIA / "jfk.flac", WHOLE, folder)
    detail = "tiny.en, case and punctuation aside"
    yield Figure("Wrong words of jfk.flac", wrong(JFK, jfk) * len(JFK.split()), 0, "words", detail)
    readings = [read_aloud(folder / f"reading{pace}.wav", pace=pace) for pace in PACES]
    whole = [wrong(READING, transcript(reading, WHOLE, folder)) for reading in readings]
    detail = f"{len(READING.split())} words read by Piper at three paces, tiny.en, one piece"
    yield Figure("Wrong words of a reading", mean(whole), 0.08, "", detail, tuple(whole))
    ways = {f"parts of {most} s": partial(transcript, part_seconds=most, folder=folder) for most in PARTS}
    yield _more("More of them in parts", readings, whole, ways)
    yield _more("More of them, cut anywhere", readings, whole, {"forced": partial(forced, folder=folder)})


def _more(name: str, readings: list[Path], whole: list[float], ways: Mapping[str, Callable[[Path], str]]) -> Figure:
    """The mean over readings and ways of cutting, beside the readings in one piece."""
    rates = {
        way: mean(wrong(READING, transcribed(reading)) for reading in readings) for way, transcribed in ways.items()
    }
    detail = ", ".join(f"{way}: {rate:.4f}" for way, rate in rates.items()) + f"; in one piece: {mean(whole):.4f}"
    more = tuple(rate - mean(whole) for rate in rates.values())
    return Figure(name, mean(more), 0.005, "", detail, more)


def transcript(recording: Path, part_seconds: float, folder: Path) -> str:
    """What tiny.en hears in parts of so many seconds, joined."""
    place, task = _begun(recording, folder)
    model = Takes(name="tiny.en", seconds=part_seconds, local=True, bytes=10**9)
    return _merged(place, task, [_heard(place, part) for part in place.cut(task, model).artifacts])


def forced(recording: Path, folder: Path) -> str:
    """What it hears in parts that are cut whatever is being said."""
    place, task = _begun(recording, folder)
    samples = decoded(recording)
    heard = []
    for number, cut in enumerate(range(0, len(samples), FORCED * RATE)):
        overlap = OVERLAP if number else 0.0
        span = Span(start=cut / RATE - overlap, end=min(cut / RATE + FORCED, len(samples) / RATE))
        part = Part(part=number, spans=(span,), overlap=overlap)
        piece = samples[round(span.start * RATE) : round(span.end * RATE)]
        heard.append(place.heard(part, _told(write_wav(place.attempt() / "piece.wav", piece), part)))
    return _merged(place, task, heard)


def _begun(recording: Path, folder: Path) -> tuple[Place, Task]:
    place = Place(Path(mkdtemp(dir=folder)))
    return place, place.task(recording, codec="pcm_s16le" if recording.suffix == ".wav" else "flac")


def _merged(place: Place, task: Task, heard: list[Artifact]) -> str:
    layer = place.audio(place.merge(task, heard).artifacts[0])
    return " ".join(segment.text for segment in Layer(layer).segments())


def _heard(place: Place, speech: Artifact) -> Artifact:
    part = Part.of(speech)
    return place.heard(part, _told(place.audio(speech), part))


def _told(audio: Path, part: Part) -> list[Segment]:
    """What speech/ hears, at the times of the recording."""
    heard = _whisper().hearing(decoded(audio), Wishes(model="tiny.en", language="en"), lambda: None)
    return [_placed(segment, part) for segment in heard.segments]


def _placed(heard: Said, part: Part) -> Segment:
    words = tuple(Word(*part.recorded(word.start, word.end), word.word.strip()) for word in heard.words)
    return Segment(*part.recorded(heard.start, heard.end), heard.text.strip(), words)


@cache
def _whisper() -> Whisper:
    return Whisper("tiny.en", source("tiny.en").folder())
