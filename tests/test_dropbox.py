"""The story of a connected Dropbox: recordings are found, results come back beside them, edits count, and it can be ended."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dev.dropbox.content import Pattern
from dev.dropbox.stand_in import DropboxStandIn
from dev.waiting import eventually
from tests import connecting
from tests.client import Client, names
from tests.embedded import Embedded
from tests.installation import Installation
from tests.reading import link_opens, the_one_mail
from tests.recordings import MEDIA

Suite = Embedded | Installation
TALK = (MEDIA / "talk.mp4").read_bytes()
LARGE = Pattern(64 * 2**20)
"""What takes many seconds to be fetched from a Dropbox that is slow."""
RESULTS = [f"/Recordings/talk.{end}" for end in ("mp3", "mp4", "srt", "txt", "vtt")]


@pytest.fixture(params=["embedded", pytest.param("installed", marks=pytest.mark.servers)])
def suite(request: pytest.FixtureRequest, dropbox_stand_in: DropboxStandIn, tmp_path: Path) -> Iterator[Suite]:
    """Embedded it waits for news itself; installed, Dropbox calls it."""
    given = connecting.settings(dropbox_stand_in)
    if request.param == "embedded":
        suite = Embedded(tmp_path, **given)
        with suite.start().process:
            yield suite
    else:
        install: Callable[..., Installation] = request.getfixturevalue("install")
        with install(SPOOL_DROPBOX_WEBHOOK="true", **given) as installation:
            dropbox_stand_in.call_webhook(f"{installation.url}/v1/webhooks/dropbox")
            yield installation


def test_from_a_file_in_a_folder_to_results_beside_it_and_back(
    suite: Suite, client: Client, dropbox_stand_in: DropboxStandIn
) -> None:
    account = dropbox_stand_in.account
    account.folder("/Recordings")
    connection = connecting.connect(client, dropbox_stand_in, "/Recordings")

    connecting.put(account, "/Recordings/talk.mp4", TALK)
    (job,) = eventually(client.jobs, timeout=60)
    done = client.ended(job["id"])
    assert (done["state"], done["reason"]) == ("done", None)
    eventually(lambda: connecting.paths(account) == RESULTS, timeout=60)
    assert "what you can do for your country" in account.read("/Recordings/talk.txt").decode().replace("\n", " ")
    mail = the_one_mail(client, done["id"], lambda: suite.mails_about(done["id"]))
    assert link_opens(mail, "talk.mp3").content == account.read("/Recordings/talk.mp3")

    account.put("/Recordings/talk.srt", account.read("/Recordings/talk.srt").replace(b"country", b"planet"))
    eventually(lambda: b"planet" in account.read("/Recordings/talk.vtt"), timeout=60)
    transcript = client.http.get(f"/v1/jobs/{done['id']}/transcript").json()
    assert (transcript["version"], transcript["author"]) == (2, "you")
    assert "your planet" in " ".join(segment["text"] for segment in transcript["segments"])
    assert names(client.ended(done["id"])) == names(done)
    assert connecting.paths(account) == RESULTS
    assert len(client.jobs()) == 1

    dropbox_stand_in.fail("slow", route="files/download")
    dropbox_stand_in.reset_counters()
    connecting.put(account, "/Recordings/large.mp4", LARGE)
    eventually(lambda: dropbox_stand_in.calls["files/download"], timeout=60)
    (large,) = (job for job in client.jobs() if job["id"] != done["id"])
    assert client.http.delete(f"/v1/connections/{connection}").status_code == 202
    assert client.job(large["id"])["state"] == "cancelled"
    eventually(lambda: client.http.get(f"/v1/connections/{connection}").status_code == 404)
    assert not dropbox_stand_in.grants.connected(account.id)
    dropbox_stand_in.reset_counters()
    connecting.put(account, "/Recordings/another.mp4", TALK + b"another")
    client.ended(client.upload(MEDIA / "talk.mp4", notify="")["id"])
    assert len(client.jobs()) == 3
    assert client.job(large["id"])["state"] == "cancelled"
    assert not dropbox_stand_in.calls
