from pathlib import Path

import pytest
from sqlalchemy import create_engine

from pipeline.blobs.directory import DirectoryBlobs
from pipeline.errors import Reject
from pipeline.options import Options
from pipeline.settings import Settings
from pipeline.work import Task
from transcriber.worker import handlers


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (Options(model="whisper-1"), "no speech model of that name"),
        (Options(language="de"), "does not know the language"),
    ],
)
def test_what_nobody_can_transcribe_is_refused_before_anything_is_done(
    wanted: Options, reason: str, blobs: DirectoryBlobs, folder: Path
) -> None:
    handle = handlers(Settings(speech_url="http://127.0.0.1:1/v1"), create_engine("sqlite://"))
    assert set(handle) == {"cut", "transcribe", "merge", "render"}
    task = Task("1" * 32, "2" * 32, "cut", 0, 1, "talk.mp4", {}, wanted, "running", None, [])
    with pytest.raises(Reject, match=reason):
        handle["cut"](task, blobs, folder, lambda *_: None)
