"""What people read."""

import re
from collections.abc import Callable
from dataclasses import replace
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dev.mail.server import parsed, text_of
from notification.ledger import MOST_LETTERS
from notification.letters import Recipient, message_id, parse_address
from notification.news import News
from notification.tests.conftest import ADDRESS, LETTERS, LINKS, MADE, OWNER, TASK, WORDS
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.database import now
from pipeline.errors import Unavailable
from pipeline.mails import Unsubscribing

Write = Callable[..., EmailMessage]


@pytest.fixture
def write(blobs: DirectoryBlobs) -> Write:
    """The mail as its reader gets it."""

    def written(*others: News, **changes: Any) -> EmailMessage:
        return a_mail([News.of(replace(TASK, **changes)), *others], blobs)

    return written


def a_mail(told: list[News], blobs: DirectoryBlobs, address: str = ADDRESS) -> EmailMessage:
    to = Recipient(OWNER, address, parse_address(address))
    return parsed(LETTERS.write(told, to, message_id(told[0].job_id, address, "example.org"), blobs).as_bytes())


def failed(reason: str | None, event: str = "job.failed") -> dict[str, Any]:
    return {"args": {"address": ADDRESS, "event": event, "state": "failed", "reason": reason}}


def linked(mail: EmailMessage, subtype: str = "plain") -> list[str]:
    """The files that its links open."""
    tokens = re.findall(r"https://spool\.example\.org/v1/links/([^\s\"<]+)", text_of(mail, subtype))
    return [LINKS.open(token).id for token in tokens]


@pytest.mark.parametrize("subtype", ["plain", "html"])
def test_links_open_every_file_results_first_and_nothing_hidden(write: Write, subtype: str) -> None:
    assert linked(write(), subtype) == [letter * 32 for letter in "cde0a"]


@pytest.mark.parametrize("subtype", ["plain", "html"])
def test_a_mail_says_what_is_ready_how_long_it_is_and_how_it_begins(write: Write, subtype: str) -> None:
    text = text_of(write(), subtype)
    for said in ("talk.mp4 is ready", "3 min 12 s, English", "talk.mp3", "1.2 MB", "70 Bytes", WORDS):
        assert said in text


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "1 s"), (59.4, "59 s"), (60, "1 min 00 s"), (3599.6, "1 h 00 min"), (36061, "10 h 01 min")],
)
def test_a_length_is_said_as_people_say_it(write: Write, seconds: float, said: str) -> None:
    assert f"\n{said}, English\n" in text_of(write(seconds=seconds))


def test_the_language_is_that_of_the_newest_version(write: Write) -> None:
    newer = replace(MADE[-1], facts={**MADE[-1].facts, "version": 3, "language": "es", "translated": True})
    assert "Spanish, translated into English" in text_of(write(artifacts=[newer, *MADE]))
    assert "3 min 12 s\n" in text_of(write(artifacts=MADE[:-1]))


def test_a_mail_says_when_its_links_end(write: Write) -> None:
    found = re.search(r"until (\d+ \w+ \d{4}, \d\d:\d\d) UTC", text_of(write()))
    assert found
    end = parsedate_to_datetime(re.sub(r"(\w{3})\w*( \d{4}),", r"\1\2", found[1]) + ":00 +0000")
    assert 0 <= LINKS.seconds - (end - now()).total_seconds() < 120


@pytest.mark.parametrize("subtype", ["plain", "html"])
@pytest.mark.parametrize(
    ("event", "subject", "advice"),
    [
        ("job.failed", "Not finished: talk.mp4", f"https://spool.example.org/v1/jobs/{TASK.job_id}/retry"),
        ("export.failed", "Export not finished: talk.mp4", "ask for the export again"),
        ("connection.broken", "Not connected any more: talk.mp4", "/v1/connections/dropbox/start"),
    ],
)
def test_a_failure_is_told_with_its_reason_and_what_to_do(
    write: Write, subtype: str, event: str, subject: str, advice: str
) -> None:
    reason = "There is no sound in this recording."
    mail = write(**failed(reason, event), artifacts=MADE)
    assert mail["Subject"] == subject
    assert reason in text_of(mail, subtype)
    assert advice in text_of(mail, subtype)
    assert "a" * 32 not in linked(mail, subtype)


def test_an_export_is_linked_as_a_whole_and_with_its_manifests(write: Write) -> None:
    facts = {"files": 3, "bytes": 7_000_000, "jobs": 1}
    named = [("manifest.jsonl", "b"), ("manifest.csv", "c")]
    made = [replace(MADE[0], name=name, kind="manifest", id=letter * 32, facts=facts) for name, letter in named]
    mail = write(args={"address": ADDRESS, "event": "export.ready", "state": "done"}, title="July", artifacts=made)
    assert mail["Subject"] == "Export ready: July"
    for said in ("The export July is ready.", "All files in one zip (7.0 MB)", "manifest.csv"):
        assert said in text_of(mail)
    archive, *manifests = re.findall(r"https://spool\.example\.org/v1/links/(\S+)", text_of(mail))
    assert LINKS.open(archive.removesuffix("/archive")).id == TASK.job_id
    assert [LINKS.open(token).id for token in manifests] == ["b" * 32, "c" * 32]


def test_letters_of_earlier_versions_have_it_of_their_job(write: Write) -> None:
    assert write(args={"address": ADDRESS})["Subject"] == "Ready: talk.mp4"
    mail = write(args={"address": ADDRESS}, job_state="failed", job_reason="No sound.")
    assert (mail["Subject"], "No sound." in text_of(mail)) == ("Not finished: talk.mp4", True)


def test_a_mail_tells_of_the_end_that_it_was_made_for(write: Write) -> None:
    """Its job may run again, or be corrected, before the mail is out."""
    told = {"address": ADDRESS, "state": "done", "reason": None}
    mail = write(job_state="running", args=told)
    assert (mail["Subject"], "Not finished" in text_of(mail)) == ("Ready: talk.mp4", False)
    mail = write(job_state="queued", args=told | {"state": "failed", "reason": "No sound."})
    assert (mail["Subject"], "No sound." in text_of(mail)) == ("Not finished: talk.mp4", True)


def test_a_failed_job_without_files_speaks_of_no_links(write: Write) -> None:
    mail = write(**failed("It is no recording."), artifacts=MADE[:1])
    assert "link" not in text_of(mail) + text_of(mail, "html")


def test_html_in_titles_reasons_and_transcripts_stays_text(write: Write, blobs: DirectoryBlobs) -> None:
    evil = "<script>alert(1)</script>"
    with blobs.create("evil") as blob:
        blob.write(evil.encode())
    made = [replace(MADE[4], blob="evil", name=f"{evil}.txt")]
    told = News.of(replace(TASK, title=evil, artifacts=made, **failed(evil)))
    for mail in (write(title=evil, artifacts=made, **failed(evil)), write(told)):
        html = text_of(mail, "html")
        assert "<script" not in html
        assert html.count("&lt;script&gt;") >= 4


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


ABOUT_TEXT = replace(TASK, artifacts=[replace(MADE[4], blob="gone")])


def test_a_transcript_that_has_gone_holds_up_no_mail(write: Write) -> None:
    assert "It begins" not in text_of(write(artifacts=ABOUT_TEXT.artifacts))


def test_a_transcript_that_cannot_be_read_now_is_waited_for_and_then_done_without(
    blobs: DirectoryBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_store: DirectoryBlobs, _blob: str) -> None:
        raise Unavailable("the blob store does not answer")

    monkeypatch.setattr(DirectoryBlobs, "open", away)
    told, to = [News.of(TASK)], Recipient(OWNER, ADDRESS, parse_address(ADDRESS))
    with pytest.raises(Unavailable):
        LETTERS.write(told, to, "<a@b.org>", blobs)
    mail = parsed(LETTERS.write(told, to, "<a@b.org>", blobs, patiently=False).as_bytes())
    assert "talk.mp4 is ready" in text_of(mail)
    assert "It begins" not in text_of(mail)


NO_ADDRESSES = [
    "",
    ":;0",
    "a",
    "a@",
    "@b.org",
    "g:;",
    "a@b.org, c@d.org",
    "a@b.org\r\nBcc: c@d.org",
    "a@b.org\r\n\r\nhi",
]


@pytest.mark.parametrize(
    "text", [*NO_ADDRESSES, "Ada\n <a@b.org>", "a\x00@b.org", "ä@b.org", "a@ä.org", "b@=?utf-8?q?c.org,d=40e.org?="]
)
def test_what_is_not_one_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        parse_address(text)


HEADERS = {
    *("From", "To", "Date", "Message-ID", "Auto-Submitted", "Spool-Job", "List-Unsubscribe", "List-Unsubscribe-Post"),
    *("Subject", "MIME-Version", "Content-Type"),
}


@given(
    title=st.text(max_size=400), reason=st.text(max_size=100), event=st.sampled_from(["job.done", "connection.broken"])
)
def test_no_title_and_no_reason_makes_a_header(
    tmp_path_factory: pytest.TempPathFactory, title: str, reason: str, event: str
) -> None:
    title = title.encode(errors="replace").decode()
    news = News(TASK.job_id, title, event, reason.encode(errors="replace").decode(), None, ())
    for told in ([news], [news, news]):
        mail = a_mail(told, DirectoryBlobs(tmp_path_factory.mktemp("blobs")))
        assert set(mail.keys()) == HEADERS
        assert len(mail["To"].addresses) == 1
        assert mail.defects == []


_PIECES = st.sampled_from(
    ["a", "@", "b.org", "\r\n", "\n", " ", ",", ";", ":", "<", ">", '"', "(", ")", "\\", "Bcc: eve@b.org"]
)


@settings(max_examples=400)
@given(st.one_of(st.text(max_size=60), st.lists(_PIECES, max_size=12).map("".join)))
def test_an_address_with_or_without_a_name_makes_one_recipient_or_is_refused(text: str) -> None:
    try:
        address = parse_address(text)
    except ValueError:
        return
    mail = a_mail([News.of(replace(TASK, artifacts=()))], DirectoryBlobs(Path("/nowhere")), text)
    assert set(mail.keys()) == HEADERS
    assert [found.addr_spec for found in mail["To"].addresses] == [address.addr_spec]
    assert not set(address.addr_spec) & set("\r\n\0")


def test_one_click_takes_this_address_off_the_mails_of_this_user(write: Write) -> None:
    mail = write()
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    found = re.fullmatch(r"<https://spool\.example\.org/v1/unsubscribe/([^>/]+)>", mail["List-Unsubscribe"])
    assert found
    assert Unsubscribing(LINKS).open(found[1]) == (OWNER, ADDRESS)
    for subtype in ("plain", "html"):
        assert f"/v1/unsubscribe/{found[1]}" in text_of(mail, subtype)


def test_the_address_of_one_click_stands_in_the_mail_as_it_is(blobs: DirectoryBlobs) -> None:
    """Of long headers `email` makes encoded words, in which no mail program finds an address."""
    to = f"{'x' * 60}@{'y.' * 100}org"
    raw = LETTERS.write([News.of(TASK)], Recipient(OWNER, to, parse_address(to)), "<a@b.org>", blobs).as_bytes()
    (line,) = [line for line in raw.split(b"\r\n") if line.startswith(b"List-Unsubscribe: ")]
    assert re.fullmatch(rb"List-Unsubscribe: <https://spool\.example\.org/v1/unsubscribe/[\w.-]+>", line)
    assert len(line) < 998


MANY = [
    News("3" * 32, "one.mp4", "job.done", None, 60, MADE),
    News("4" * 32, "two.mp4", "job.failed", "There is no sound in it.", None, MADE[:1]),
    News("5" * 32, "three.mp4", "job.done", None, 61, MADE),
]


@pytest.mark.parametrize("subtype", ["plain", "html"])
def test_a_digest_tells_of_all_failures_first(blobs: DirectoryBlobs, subtype: str) -> None:
    mail = a_mail(MANY, blobs)
    text = text_of(mail, subtype)
    places = [text.index(said) for said in ("two.mp4", "There is no sound in it.", "4" * 32, "one.mp4", "three.mp4")]
    assert places == sorted(places)
    assert mail["Subject"] == "1 not finished, 2 ready: two.mp4 and 2 more"
    assert linked(mail, subtype) == ["c" * 32, "e" * 32] * 2
    assert mail.get_all("Spool-Job") == [news.job_id for news in MANY]


def test_a_digest_of_what_is_ready_speaks_of_no_failures(blobs: DirectoryBlobs) -> None:
    mail = a_mail([MANY[0], MANY[2]], blobs)
    assert mail["Subject"] == "2 ready: one.mp4 and 1 more"
    assert "finished" not in text_of(mail)


def test_a_digest_of_as_many_as_may_be_is_shown_whole_by_mail_programs(blobs: DirectoryBlobs) -> None:
    """They cut HTML after 102 kB."""
    mail = a_mail(MANY[:1] * MOST_LETTERS, blobs)
    assert len(text_of(mail, "html").encode()) < 102_000
