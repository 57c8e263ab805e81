"""Recordings whose transcript is there."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gateway.tests.conftest import World
from gateway.tests.exchanges import TALK
from pipeline import blobs
from pipeline.database import now
from pipeline.transcript import About, LayerFacts, Segment, Word, write_layer
from pipeline.work import Artifact, Passage, Result

SECONDS = 60.0
SAID = (
    Segment(0, 2.5, "Rabbits eat clover.", (Word(0, 1, "Rabbits", 0.9), Word(1, 2.5, "eat clover.")), confidence=0.9),
    Segment(3, 6, "Hares run.", speaker="A", doubtful=True),
)


def a_talk(world: World, said: Sequence[Segment] = SAID, user: dict[str, str] | None = None, **options: Any) -> str:
    """The id of a job that is done: its track and its transcript are there."""
    answer = world.client.put("/v1/files/talk.mp4", data=TALK, query_string=options, headers=user or world.ada)
    assert answer.status_code == 202, answer.text
    delivery = world.queue.consumer(["extract"]).receive(1)
    assert delivery
    task = world.services.dispatcher.tasks.claim(delivery.message.task_id, "a worker")
    assert task
    layer = _layer(world, task.blob_id("layer"), said)
    track = Artifact("track.mka", "track", "audio/x-matroska", 1, "0" * 64, task.blob_id("track"))
    passages = [Passage(segment.start, segment.end, segment.text) for segment in said]
    world.services.dispatcher.tasks.finish(task, Result([track, layer], seconds=SECONDS, passages=passages))
    return str(answer.json["id"])


def _layer(world: World, blob: str, said: Sequence[Segment]) -> Artifact:
    about = About(SECONDS, "en", "tiny.en")
    facts = LayerFacts(version=1, at=now(), model=about.model, language=about.language).model_dump(mode="json")
    with TemporaryDirectory() as folder:
        path = Path(folder, "layer")
        write_layer(path, about, said)
        size, sha256 = blobs.store(world.services.blobs, blob, path)
    return Artifact("layer-1.jsonl", "layer", "application/jsonl", size, sha256, blob, facts=facts)
