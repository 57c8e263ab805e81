"""What people read."""

import re
from collections.abc import Callable
from dataclasses import replace
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from notification.letters import message_id, parse_address
from notification.tests.conftest import ADDRESS, LETTERS, LINKS, MADE, TASK, WORDS
from notification.tests.postbox import parsed, text_of
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.database import now

Write = Callable[..., EmailMessage]


@pytest.fixture
def write(blobs: DirectoryBlobs) -> Write:
    """The mail as its reader gets it."""

    def written(**changes: Any) -> EmailMessage:
        task = replace(TASK, **changes)
        mail = LETTERS.write(task, parse_address(ADDRESS), message_id(task.job_id, ADDRESS, "example.org"), blobs)
        return parsed(mail.as_bytes())

    return written


@pytest.mark.parametrize("subtype", ["plain", "html"])
def test_links_open_the_mp3_and_the_transcripts_and_nothing_else(write: Write, subtype: str) -> None:
    tokens = re.findall(r"https://spool\.example\.org/v1/links/([^\s\"<]+)", text_of(write(), subtype))
    assert [LINKS.open(token).id for token in tokens] == ["c" * 32, "d" * 32, "e" * 32]


@pytest.mark.parametrize("subtype", ["plain", "html"])
def test_a_mail_says_what_is_ready_how_large_it_is_and_how_it_begins(write: Write, subtype: str) -> None:
    text = text_of(write(), subtype)
    for said in ("talk.mp4 is ready", "talk.mp3", "1.2 MB", "70 Bytes", WORDS):
        assert said in text


def test_a_mail_says_when_its_links_end(write: Write) -> None:
    found = re.search(r"until (\d+ \w+ \d{4}, \d\d:\d\d) UTC", text_of(write()))
    assert found
    end = parsedate_to_datetime(re.sub(r"(\w{3})\w*( \d{4}),", r"\1\2", found[1]) + ":00 +0000")
    assert 0 <= LINKS.seconds - (end - now()).total_seconds() < 120


@pytest.mark.parametrize("subtype", ["plain", "html"])
def test_a_failed_job_says_why_and_what_to_do_and_links_what_there_is(write: Write, subtype: str) -> None:
    reason = "There is no sound in this recording."
    mail = write(job_state="failed", job_reason=reason, artifacts=MADE[:3])
    text = text_of(mail, subtype)
    assert mail["Subject"] == "Not finished: talk.mp4"
    for said in (reason, "upload it again", TASK.job_id, "talk.mp3"):
        assert said in text


def test_a_mail_tells_of_the_end_that_it_was_made_for(write: Write) -> None:
    """Its job may run again, or be corrected, before the mail is out."""
    told = {"address": ADDRESS, "state": "done", "reason": None}
    mail = write(job_state="running", args=told)
    assert (mail["Subject"], "Not finished" in text_of(mail)) == ("Ready: talk.mp4", False)
    mail = write(job_state="queued", args=told | {"state": "failed", "reason": "No sound."})
    assert (mail["Subject"], "No sound." in text_of(mail)) == ("Not finished: talk.mp4", True)


def test_a_failed_job_without_files_speaks_of_no_links(write: Write) -> None:
    mail = write(job_state="failed", job_reason="It is no recording.", artifacts=MADE[:1])
    assert "link" not in text_of(mail) + text_of(mail, "html")


def test_html_in_titles_reasons_and_transcripts_stays_text(write: Write, blobs: DirectoryBlobs) -> None:
    evil = "<script>alert(1)</script>"
    with blobs.create("evil") as blob:
        blob.write(evil.encode())
    made = [replace(MADE[4], blob="evil", name=f"{evil}.txt")]
    html = text_of(write(title=evil, job_state="failed", job_reason=evil, artifacts=made), "html")
    assert "<script" not in html
    assert html.count("&lt;script&gt;") == 5


def test_titles_with_line_breaks_make_no_headers(write: Write) -> None:
    mail = write(title="talk\r\nBcc: eve@example.org\n\n<b>body\u2028\x00\u202e end")
    assert mail["Bcc"] is None
    assert mail["Subject"] == "Ready: talk Bcc: eve@example.org <b>body end"


@pytest.mark.parametrize("title", ["Über Öfen 🎬.mp4", "会議の録音.mp4", "'single' & \"double\".mp4"])
def test_titles_of_every_script_arrive(write: Write, title: str) -> None:
    mail = write(title=title)
    assert mail["Subject"] == f"Ready: {title}"
    assert f"{title} is ready" in text_of(mail)


def test_a_long_title_is_cut(write: Write) -> None:
    assert len(write(title="x" * 300)["Subject"]) < 120


@pytest.mark.parametrize("words", ["long " * 100, "長" * 500, "\n\n" + "ä" * 500])
def test_of_a_long_transcript_only_the_beginning_is_there(write: Write, blobs: DirectoryBlobs, words: str) -> None:
    with blobs.create("long") as blob:
        blob.write(words.encode())
    found = re.search('It begins:\n"(.*)"', text_of(write(artifacts=[replace(MADE[4], blob="long")])))
    assert found
    assert 190 < len(found[1]) < 210
    assert words.strip().startswith(found[1].removesuffix(" …"))


def test_a_recording_without_words_begins_with_none(write: Write, blobs: DirectoryBlobs) -> None:
    blobs.delete("txt")
    with blobs.create("txt"):
        pass
    assert "begins" not in text_of(write())


def test_headers_name_sender_recipient_date_and_machine(write: Write) -> None:
    mail = write()
    assert (mail["From"], mail["To"]) == ("Spool <spool@example.org>", ADDRESS)
    assert mail["Spool-Job"] == TASK.job_id
    assert mail["Auto-Submitted"] == "auto-generated"
    assert abs((mail["Date"].datetime - now()).total_seconds()) < 60


def test_the_message_id_tells_jobs_and_addresses_apart_and_hides_the_address() -> None:
    ids = {message_id(job, address, "example.org") for job in ("1" * 32, "2" * 32) for address in ("a@b.c", "d@b.c")}
    assert len(ids) == 4
    assert not any("b.c" in made for made in ids)


NO_ADDRESSES = ["", "a", "a@", "@b.org", "g:;", "a@b.org, c@d.org", "a@b.org\r\nBcc: c@d.org", "a@b.org\r\n\r\nhi"]


@pytest.mark.parametrize("text", [*NO_ADDRESSES, "Ada\n <a@b.org>", "a\x00@b.org", "ä@b.org", "a@ä.org"])
def test_what_is_not_one_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        parse_address(text)
