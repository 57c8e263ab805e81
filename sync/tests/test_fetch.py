"""The handler against a real server: what comes in, what is gone on with, what is refused."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from threading import Event

import pytest
from structlog.testing import capture_logs

from pipeline.errors import Reject, Retry
from sync.by_address.client import REDIRECTS, TOO_MANY
from sync.by_address.download import BROKEN, CLOSED, DOCUMENT, EMPTY, NOTHING, TOO_LONG
from sync.tests.conftest import RECORDING, Fetcher
from sync.tests.site import (
    NOW,
    YESTERDAY,
    Answer,
    Site,
    Visit,
    chunked,
    falls_silent,
    gives,
    leads,
    ranges,
    says,
    without_end,
)

SHA256 = hashlib.sha256(RECORDING).hexdigest()
OTHER = RECORDING[::-1]


def test_a_recording_is_stored_as_the_jobs_original(site: Site, fetcher: Fetcher) -> None:
    original = fetcher(site.put("/x/talk%20one.mp3?sig=abc", gives(RECORDING)))
    assert fetcher.bytes(original) == RECORDING
    assert (original.kind, original.name, original.type) == ("original", "talk one.mp3", "audio/mpeg")
    assert (original.bytes, original.sha256) == (len(RECORDING), SHA256)
    assert original.blob == f"{'1' * 32}-fetch-0-1-original"
    assert site.asked[0].path == "/x/talk%20one.mp3?sig=abc"


def test_progress_rises_with_the_bytes(site: Site, fetcher: Fetcher) -> None:
    fetcher(site.put("/a.mp3", gives(RECORDING)))
    assert all(earlier <= later for earlier, later in pairwise(fetcher.percents))
    assert fetcher.percents[0] == 0
    assert any(0 < percent <= 100 for percent in fetcher.percents)


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('attachment; filename="talk.mp4"', "talk.mp4"),
        ("inline; filename=talk.mp4", "talk.mp4"),
        ("attachment; filename=\"x.mp4\"; filename*=UTF-8''Z%C3%BCrich.mp4", "Zürich.mp4"),
        ('attachment; filename="Zürich.mp4"', "Zürich.mp4"),
        ('attachment; filename="../../etc/talk.mp4"', "talk.mp4"),
        ("attachment", "a.mp3"),
        ('attachment; filename=""', "a.mp3"),
        ("; ; =", "a.mp3"),
    ],
)
def test_the_name_is_what_the_server_calls_it_or_the_end_of_the_address(
    site: Site, fetcher: Fetcher, disposition: str, name: str
) -> None:
    url = site.put("/x/a.mp3", gives(RECORDING, Content_Disposition=disposition))
    assert fetcher(url).name == name


@pytest.mark.parametrize("path", ["/", "/%2e%2e%2f"])
def test_an_address_without_a_name_has_a_name_made_up(site: Site, fetcher: Fetcher, path: str) -> None:
    original = fetcher(site.put(path, gives(RECORDING)))
    assert (original.name, original.type) == ("recording", "application/octet-stream")


def test_a_request_says_who_asks_and_brings_no_secrets(site: Site, fetcher: Fetcher) -> None:
    site.put("/b.mp3", gives(RECORDING))
    fetcher(site.put("/a.mp3", leads("b.mp3", Set_Cookie="a=b")))
    assert all("Spool" in asked.headers["User-Agent"] for asked in site.asked)
    assert all(asked.headers["Accept-Encoding"] == "identity" for asked in site.asked)
    assert all(asked.headers["Host"] == f"127.0.0.1:{site.server_port}" for asked in site.asked)
    assert not any({"Cookie", "Authorization", "Referer"} & set(asked.headers) for asked in site.asked)


# ---- redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed_and_name_the_recording(site: Site, fetcher: Fetcher, status: int) -> None:
    site.put("/found/b.mp4", gives(RECORDING))
    original = fetcher(site.put("/a", leads("found/b.mp4", status)))
    assert (original.name, fetcher.bytes(original)) == ("b.mp4", RECORDING)


def test_redirects_have_an_end(site: Site, fetcher: Fetcher) -> None:
    site.put("/0.mp3", gives(RECORDING))
    for step in range(1, REDIRECTS + 2):
        site.put(f"/{step}.mp3", leads(f"/{step - 1}.mp3"))
    with pytest.raises(Reject) as refused:
        fetcher(site.url(f"/{REDIRECTS + 1}.mp3"))
    assert refused.value.reason == TOO_MANY
    assert fetcher(site.url(f"/{REDIRECTS}.mp3")).name == "0.mp3"


@pytest.mark.parametrize("location", ["file:///etc/passwd", "http://a:b@127.0.0.1/", "data:audio/mpeg,x", "http://["])
def test_redirects_lead_only_to_what_is_fetched(site: Site, fetcher: Fetcher, location: str) -> None:
    with pytest.raises(Reject):
        fetcher(site.put("/a.mp3", leads(location)))
    assert len(site.asked) == 1


# ---- cuts


SIZE = len(RECORDING)


@pytest.mark.parametrize(("most", "reset"), [(120_000, False), (120_000, True), (SIZE - 1, False)])
def test_a_cut_recording_is_gone_on_with(site: Site, fetcher: Fetcher, most: int, reset: bool) -> None:
    url = site.put("/a.mp3", ranges(RECORDING, most, reset, ETag='"one"'))
    original = fetcher(url)
    assert (fetcher.bytes(original), original.sha256) == (RECORDING, SHA256)
    assert "Range" not in site.asked[0].headers
    assert all(asked.headers["If-Range"] == '"one"' for asked in site.asked[1:])
    starts = [int(asked.headers["Range"].removeprefix("bytes=").rstrip("-")) for asked in site.asked[1:]]
    assert len(starts) >= (SIZE - 1) // most
    assert starts == sorted(set(starts))


def test_a_server_that_falls_silent_in_the_middle_is_asked_for_the_rest(site: Site, fetcher: Fetcher) -> None:
    begun = f'HTTP/1.1 200 OK\r\nETag: "one"\r\nContent-Length: {len(RECORDING)}\r\n\r\n'.encode() + RECORDING[:5000]
    url = site.put("/a.mp3", falls_silent(begun, Event()), ranges(RECORDING, ETag='"one"'))
    assert fetcher.bytes(fetcher.limited(silence=3)(url)) == RECORDING
    assert site.asked[1].headers["Range"] == "bytes=5000-"


def test_a_last_modified_stands_in_for_a_strong_etag(site: Site, fetcher: Fetcher) -> None:
    url = site.put("/a.mp3", ranges(RECORDING, 200_000, ETag='W/"weak"', Last_Modified=YESTERDAY, Date=NOW))
    assert fetcher.bytes(fetcher(url)) == RECORDING
    assert site.asked[1].headers["If-Range"] == YESTERDAY


def test_a_recording_of_unknown_length_is_gone_on_with(site: Site, fetcher: Fetcher) -> None:
    url = site.put(
        "/a.mp3",
        chunked(RECORDING[:1000], RECORDING[1000:70_000], ended=False, ETag='"one"'),
        ranges(RECORDING, ETag='"one"'),
    )
    assert fetcher.bytes(fetcher(url)) == RECORDING
    assert site.asked[1].headers["Range"] == "bytes=70000-"


def _part(start: int, end: int, total: int, **headers: str) -> Answer:
    return gives(RECORDING[start:end], 206, Content_Range=f"bytes {start}-{end - 1}/{total}", **headers)


def test_a_server_may_give_the_rest_in_several_parts(site: Site, fetcher: Fetcher) -> None:
    url = site.put(
        "/a.mp3",
        ranges(RECORDING, 1000, ETag='"one"'),
        _part(1000, 5000, SIZE, ETag='"one"'),
        _part(5000, SIZE, SIZE),
    )
    assert fetcher.bytes(fetcher(url)) == RECORDING
    assert len(site.asked) == 3


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(gives(OTHER), id="ignores the range"),
        pytest.param(ranges(OTHER, ETag='"two"'), id="has something else by now"),
        pytest.param(gives(RECORDING[1000:], 206, Content_Range=f"bytes 999-{SIZE - 1}/{SIZE}"), id="begins elsewhere"),
        pytest.param(_part(1000, SIZE, SIZE + 1), id="has another total"),
        pytest.param(_part(1000, SIZE, SIZE, ETag='"two"'), id="has another ETag"),
        pytest.param(gives(RECORDING[1000:], 206), id="does not say where it begins"),
        pytest.param(gives(RECORDING[1000:], 206, Content_Range=f"bytes 1000-{SIZE - 1}/*"), id="tells no total"),
        pytest.param(gives(RECORDING, 206, Content_Range=f"bytes 1000-{SIZE - 1}/{SIZE}"), id="gives too much"),
        pytest.param(gives(b"", 416), id="has no such range"),
    ],
)
def test_where_it_cannot_go_on_it_starts_again(site: Site, fetcher: Fetcher, second: Answer) -> None:
    url = site.put("/a.mp3", ranges(RECORDING, 1000, ETag='"one"'), second, gives(OTHER))
    original = fetcher(url)
    assert (fetcher.bytes(original), original.sha256) == (OTHER, hashlib.sha256(OTHER).hexdigest())
    assert fetcher.kept() == [original.blob]
    assert len(site.asked) == 3


@pytest.mark.parametrize("headers", [{}, {"ETag": 'W/"weak"'}, {"Last_Modified": NOW, "Date": NOW}])
def test_without_a_strong_validator_nothing_is_gone_on_with(
    site: Site, fetcher: Fetcher, headers: dict[str, str]
) -> None:
    url = site.put("/a.mp3", ranges(RECORDING, 1000, reset=False, **headers), gives(OTHER))
    assert fetcher.bytes(fetcher(url)) == OTHER
    assert "Range" not in site.asked[1].headers


def test_a_server_that_cuts_every_time_is_left_after_a_while(site: Site, fetcher: Fetcher) -> None:
    with pytest.raises(Retry, match=BROKEN):
        fetcher(site.put("/a.mp3", ranges(RECORDING, 1000)))
    assert len(site.asked) == 3
    assert not fetcher.kept()


@pytest.mark.parametrize("most", [0, 1000])
def test_a_try_that_brings_nothing_is_the_last(site: Site, fetcher: Fetcher, most: int) -> None:
    url = site.put("/a.mp3", ranges(RECORDING, most, ETag='"one"'), ranges(RECORDING, 0, ETag='"one"'))
    with pytest.raises(Retry, match=BROKEN):
        fetcher(url)
    assert len(site.asked) == (1 if most == 0 else 2)


# ---- bodies


def test_chunks_of_any_size_are_put_together(site: Site, fetcher: Fetcher) -> None:
    # A length beside the chunks does not count (RFC 9112, section 6.3).
    url = site.put("/a.mp3", chunked(RECORDING[:1], RECORDING[1:7], RECORDING[7:], Content_Length="7"))
    assert fetcher.bytes(fetcher(url)) == RECORDING


def test_a_body_may_end_with_its_connection(site: Site, fetcher: Fetcher) -> None:
    url = site.put("/a.mp3", says(b"HTTP/1.0 200 OK\r\n\r\n" + RECORDING))
    assert fetcher.bytes(fetcher(url)) == RECORDING


def test_the_length_is_the_servers_word(site: Site, fetcher: Fetcher) -> None:
    url = site.put("/a.mp3", says(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + RECORDING))
    assert fetcher.bytes(fetcher(url)) == RECORDING[:1000]


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
    ],
)
def test_what_is_no_http_is_tried_again_later(site: Site, fetcher: Fetcher, said: bytes) -> None:
    with pytest.raises(Retry, match="connection to the server"):
        fetcher(site.put("/a.mp3", says(said)))


def test_a_recording_that_is_announced_too_large_is_not_begun(site: Site, fetcher: Fetcher) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {10**6 + 1}\r\n\r\n".encode()
    with pytest.raises(Reject, match="larger than 1,000,000 bytes"):
        fetcher(site.put("/a.mp3", falls_silent(head, Event())))


def test_a_recording_without_end_is_stopped_at_the_limit(site: Site, fetcher: Fetcher) -> None:
    with pytest.raises(Reject, match="larger than 1,000,000 bytes"):
        fetcher(site.put("/a.mp3", without_end(RECORDING)))
    assert not fetcher.kept()


def test_a_recording_of_just_the_limit_is_taken(site: Site, fetcher: Fetcher) -> None:
    assert fetcher.limited(size=SIZE)(site.put("/a.mp3", gives(RECORDING))).bytes == SIZE


def test_a_fetch_ends_when_its_time_is_over(site: Site, fetcher: Fetcher) -> None:
    with pytest.raises(Reject) as refused:
        fetcher.limited(size=10**12, seconds=0.5)(site.put("/a.mp3", without_end(RECORDING[:100])))
    assert refused.value.reason == TOO_LONG
    assert not fetcher.kept()


PAGE = b"<!DOCTYPE html><title>Not found</title>" + b" " * 600


@pytest.mark.parametrize("start", [PAGE, b"%PDF-1.7" + b"\0" * 600, b"PK\x03\x04" + b"\0" * 600])
def test_documents_are_refused_before_they_are_there(site: Site, fetcher: Fetcher, start: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n"
    with pytest.raises(Reject) as refused:
        fetcher(site.put("/a.mp3", falls_silent(head + start, Event())))
    assert refused.value.reason == DOCUMENT


def test_a_short_page_in_pieces_is_refused_too(site: Site, fetcher: Fetcher) -> None:
    with pytest.raises(Reject) as refused:
        fetcher(site.put("/a.mp3", chunked(b"<", b"html>", b"hello")))
    assert refused.value.reason == DOCUMENT


@pytest.mark.parametrize("answer", [gives(b""), chunked(), says(b"HTTP/1.0 200 OK\r\n\r\n")])
def test_an_empty_file_is_refused(site: Site, fetcher: Fetcher, answer: Answer) -> None:
    with pytest.raises(Reject) as refused:
        fetcher(site.put("/a.mp3", answer))
    assert refused.value.reason == EMPTY
    assert not fetcher.kept()


# ---- statuses


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (404, NOTHING),
        (410, NOTHING),
        (401, CLOSED),
        (403, CLOSED),
        (400, "status 400"),
        (402, "status 402"),
        (416, "status 416"),
        (451, "status 451"),
        (204, "status 204"),
        (206, "status 206"),
        (304, "status 304"),
        (302, "status 302"),
    ],
)
def test_refusals_are_final_and_say_why(site: Site, fetcher: Fetcher, status: int, reason: str) -> None:
    answer = gives(b"" if status in (204, 304) else RECORDING, status)
    with pytest.raises(Reject) as refused:
        fetcher(site.put("/a.mp3", answer))
    assert reason in refused.value.reason
    assert not fetcher.kept()


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_server_in_trouble_is_asked_again_later(site: Site, fetcher: Fetcher, status: int) -> None:
    with pytest.raises(Retry, match=f"status {status}") as later:
        fetcher(site.put("/a.mp3", gives(b"", status)))
    assert later.value.delay is None


def _date(**delta: int) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(**delta), usegmt=True)


@pytest.mark.parametrize(
    ("retry_after", "least", "most"),
    [
        (lambda: "120", 120, 120),
        (lambda: "0", 0, 0),
        (lambda: "99999999", 3600, 3600),
        (lambda: "9" * 30, 3600, 3600),
        (lambda: _date(seconds=1000), 900, 1000),
        (lambda: _date(days=30), 3600, 3600),
        (lambda: _date(days=-1), 0, 0),
    ],
)
def test_a_server_says_when_to_ask_again(
    site: Site, fetcher: Fetcher, retry_after: Callable[[], str], least: float, most: float
) -> None:
    with pytest.raises(Retry) as later:
        fetcher(site.put("/a.mp3", gives(b"", 503, Retry_After=retry_after())))
    assert later.value.delay is not None
    assert least <= later.value.delay <= most


@pytest.mark.parametrize("retry_after", ["soon", "-1", "1.5"])
def test_a_server_that_says_so_unclearly_gets_the_usual_pause(site: Site, fetcher: Fetcher, retry_after: str) -> None:
    with pytest.raises(Retry) as later:
        fetcher(site.put("/a.mp3", gives(b"", 429, Retry_After=retry_after)))
    assert later.value.delay is None


# ---- secrets


def _hangs_up(visit: Visit) -> None:
    visit.connection.close()


@pytest.mark.parametrize(
    "answer",
    [
        gives(RECORDING),
        gives(b"", 404),
        gives(b"", 503),
        gives(PAGE),
        ranges(RECORDING, 1000),
        leads("http://10.0.0.1/?token=sesame"),
        leads("http://a:sesame@example.org/"),
        _hangs_up,
    ],
)
def test_no_secret_of_an_address_is_told_or_logged(
    site: Site, fetcher: Fetcher, answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    reason = ""
    with capture_logs() as logged, caplog.at_level("INFO"):
        try:
            fetcher(site.put("/a.mp3?token=sesame", answer))
        except (Reject, Retry) as outcome:
            reason = outcome.reason
    assert "sesame" not in reason + str(logged) + caplog.text
