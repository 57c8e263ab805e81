"""The story of one recording, on both kinds of back end, told with curl as the README tells it."""

import json
import re
from pathlib import Path

import pytest

from tests.client import Client, curl, names
from tests.embedded import Embedded
from tests.installation import Installation
from tests.reading import link_opens, plain, the_one_mail
from tests.recordings import MEDIA, UNUSABLE

WORDS = [
    "and",
    "so",
    "my",
    "fellow",
    "americans",
    "ask",
    "not",
    "what",
    "your",
    "country",
    "can",
    "do",
    "for",
    "you",
    "ask",
    "what",
    "you",
    "can",
    "do",
    "for",
    "your",
    "country",
]

Suite = Embedded | Installation


def test_curl_gets_an_mp3_and_every_word(suite: Suite, client: Client, tmp_path: Path) -> None:
    token = curl("-X", "POST", f"{suite.url}/login", "-u", f"{client.user}:{client.password}", folder=tmp_path)
    bearer = ("-H", f"Authorization: Bearer {token}")
    job = json.loads(
        curl("-X", "POST", "-F", f"file=@{MEDIA / 'talk.mp4'}", *bearer, f"{suite.url}/upload", folder=tmp_path)
    )
    done = client.ended(job["id"])
    assert (done["state"], done["percent"], done["reason"]) == ("done", 100, None)
    assert names(done) == [
        "talk.json", "talk.mp3", "talk.mp4", "talk.srt", "talk.txt", "talk.vtt", "talk.waveform.json", "talk.waveform.png",
    ]  # fmt: skip

    mp3 = next(artifact for artifact in done["artifacts"] if artifact["kind"] == "audio")
    curl("-OJ", *bearer, f"{suite.url}/download?fid={mp3['fid']}", folder=tmp_path)
    assert (tmp_path / "talk.mp3").stat().st_size == mp3["bytes"]
    assert re.findall(r"[a-z]+", client.text(done).lower()) == WORDS

    mail = the_one_mail(client, job["id"], lambda: suite.mails_about(job["id"]))
    assert len(link_opens(mail, "talk.mp3").content) == mp3["bytes"]


def test_a_job_is_deleted_with_all_its_files(suite: Suite, client: Client) -> None:
    done = client.ended(client.upload(MEDIA / "talk.mp4")["id"])
    assert client.http.delete(f"/v1/jobs/{done['id']}").status_code == 204
    assert client.http.get(f"/v1/jobs/{done['id']}").status_code == 404
    for artifact in done["artifacts"]:
        assert client.http.get("/download", params={"fid": artifact["fid"]}).status_code == 404


@pytest.mark.parametrize(("kind", "reason"), UNUSABLE.items())
def test_what_cannot_be_used_fails_with_a_reason_and_one_mail(
    kind: str, reason: str, suite: Suite, client: Client, recordings: Path
) -> None:
    failed = client.ended(client.upload(recordings / f"{kind}.mp4")["id"])
    assert failed["state"] == "failed"
    assert reason in failed["reason"]
    assert names(failed) == [f"{kind}.mp4"]
    mail = the_one_mail(client, failed["id"], lambda: suite.mails_about(failed["id"]))
    assert failed["reason"] in " ".join(plain(mail).split())


def test_an_mp3_becomes_an_mp3(suite: Suite, client: Client, recordings: Path) -> None:
    done = client.ended(client.upload(recordings / "talk.mp3")["id"])
    assert (done["state"], done["reason"]) == ("done", None)
    assert names(done) == [
        "talk (1).mp3", "talk.json", "talk.mp3", "talk.srt", "talk.txt", "talk.vtt", "talk.waveform.json", "talk.waveform.png",
    ]  # fmt: skip
