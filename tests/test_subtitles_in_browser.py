"""What a browser's <track> makes of the subtitles: every cue as it was meant, and at its time."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.options import Options
from pipeline.transcript import About, Layer, Segment, write_layer
from tests.browsing import Site, a_site, report
from transcriber.cues import cues
from transcriber.writers.subtitles import vtt

SPOKEN = [
    Segment(0.3, 2.2, "And so, my fellow Americans,", speaker="Ada & <Bob>"),
    Segment(3.3, 8, "ask not what your country can do for you: ask for --> <b>more</b> & &amp; {\\an8} \\N of it."),
    Segment(8.1, 10.5, "今日は、字幕を読みやすいところで改行することについて話します。 مرحبا بالعالم", speaker="<v x>"),
    Segment(100 * 3600, 100 * 3600 + 2, "Much later."),
]


@pytest.fixture
def site() -> Iterator[Site]:
    with a_site() as site:
        yield site


def shown(site: Site, layer: Layer, folder: Path, *times: float) -> dict[str, Any]:
    vtt(layer, folder / "talk.vtt", Options())
    given = {"vtt": (folder / "talk.vtt").read_text(encoding="utf-8"), "times": times}
    return report(site, f"{site.origin('127.0.0.1')}/browser/track.html", given, folder)


def test_every_cue_is_shown_as_it_was_said(site: Site, tmp_path: Path) -> None:
    write_layer(tmp_path / "layer", About(duration=100 * 3600 + 2), SPOKEN)
    layer = Layer(tmp_path / "layer")
    told = shown(site, layer, tmp_path, 1.0, 2.9, 9.0)
    assert [(cue["start"], cue["end"], cue["text"], cue["voice"]) for cue in told["cues"]] == [
        (cue.start / 1000, cue.end / 1000, "\n".join(cue.lines), cue.speaker) for cue in cues(layer)
    ]
    at_one, between, at_nine = told["shown"]
    assert at_one == ["And so, my fellow Americans,"]
    assert between == []
    assert len(at_nine) == 1
    assert re.sub(r"\s", "", "".join(cue["text"] for cue in told["cues"])) == re.sub(
        r"\s", "", "".join(segment.text for segment in SPOKEN)
    )


def test_a_recording_without_speech_has_a_track_all_the_same(site: Site, tmp_path: Path) -> None:
    write_layer(tmp_path / "layer", About(duration=11), [])
    assert shown(site, Layer(tmp_path / "layer"), tmp_path, 5.0) == {"cues": [], "shown": [[]]}
