"""The reader of bodies, whatever the pieces they come in."""

import hashlib
import io
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.exceptions import HTTPException

from gateway import multipart
from gateway.multipart import LONGEST_FIELD, Form
from gateway.receiving import Receiver
from pipeline.blobs import CHUNK
from pipeline.problems import Problem

FILE = b'--b\r\nContent-Disposition: form-data; name="file"; filename="talk.mp4"\r\nContent-Type: text/html\r\n\r\n'
FIELD = b'--b\r\nContent-Disposition: form-data; name="note"\r\n\r\n'
END = b"--b--\r\n"


class Trickle(io.RawIOBase):
    """Gives at most `step` bytes at once."""

    def __init__(self, body: bytes, step: int) -> None:
        self._body, self._step = io.BytesIO(body), step

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        data = self._body.read(min(len(buffer), self._step))
        buffer[: len(data)] = data
        return len(data)


def receive(body: IO[bytes], target: IO[bytes], limit: int = 1000) -> tuple[Form, Receiver]:
    receiver = Receiver(target, limit)
    return multipart.receive(body, b"b", receiver), receiver


def code_of(body: bytes, limit: int = 1000) -> str:
    with pytest.raises(Problem) as problem:
        receive(io.BytesIO(body), io.BytesIO(), limit)
    return problem.value.code


@given(content=st.binary(min_size=1, max_size=2000).map(lambda data: b"\x00" + data), step=st.integers(1, 3000))
def test_the_file_comes_out_as_it_went_in(content: bytes, step: int) -> None:
    target = io.BytesIO()
    body = FIELD + b"hello\r\n" + FILE + content + b"\r\n" + FIELD + b"bye\r\n" + END
    form, receiver = receive(Trickle(body, step), target, 3000)  # type: ignore[arg-type]
    assert target.getvalue() == content
    assert (receiver.size, receiver.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert (form.name, form.fields) == ("talk.mp4", {"note": ["hello", "bye"]})


def test_a_field_that_is_too_long_is_cut_and_costs_no_memory() -> None:
    form, _ = receive(io.BytesIO(FIELD + b"x" * 3 * CHUNK + b"\r\n" + FILE + b"\x00\r\n" + END), io.BytesIO())
    assert form.fields == {"note": ["x" * LONGEST_FIELD]}


@pytest.mark.parametrize(
    "content", [b"\x00\r\n--", b"\x00\r\n-", b"\x00\r", b"\x00\n\n\n", b"\x00\r\n--c--\r\n", b"\x00--b--"]
)
def test_content_that_looks_like_a_boundary_is_kept(content: bytes) -> None:
    target = io.BytesIO()
    receive(Trickle(FILE + content + b"x\r\n" + END, 3), target)  # type: ignore[arg-type]
    assert target.getvalue() == content + b"x"


@pytest.mark.parametrize("closing", [END, FIELD + b"hello\r\n" + END])
def test_a_delimiter_may_fall_anywhere_into_the_pieces(closing: bytes) -> None:
    for shift in range(40):
        content = b"\x00" * (CHUNK - len(FILE) - shift)
        target = io.BytesIO()
        receive(io.BytesIO(FILE + content + b"\r\n" + closing), target, CHUNK)
        assert target.getvalue() == content


def test_delimiters_without_end_are_refused_without_delay() -> None:
    assert code_of(FILE + b"--b" * 2 * CHUNK) in {"malformed", "too_large"}


def test_every_cut_is_noticed() -> None:
    body = FILE + b"\x00content\r\n" + END
    for length in range(len(body) - 4):
        assert code_of(body[:length]) == "malformed"


@given(body=st.binary(max_size=500), prefix=st.sampled_from([b"", b"--b\r\n", FILE, FIELD, b"--b--", b"--b\n\n"]))
def test_noise_is_refused_and_nothing_else_happens(body: bytes, prefix: bytes) -> None:
    with pytest.raises((Problem, HTTPException)):
        receive(io.BytesIO(prefix + body), io.BytesIO())


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (END, "file_missing"),
        (FIELD + b"hello\r\n" + END, "file_missing"),
        (FILE.replace(b"talk.mp4", b"") + b"\r\n" + END, "file_missing"),
        (FILE + b"\r\n" + END, "file_empty"),
        (FILE + b"\x00\r\n" + FILE + b"\x00\r\n" + END, "files_too_many"),
        (FILE + b"only text\r\n" + END, "file_not_media"),
        (FILE + b"\x00" * 1001 + b"\r\n" + END, "too_large"),
        (FIELD + b"\r\n" + FIELD * 200 + END, "malformed"),
        (b"--b\r\nX: " + b"x" * 5 * CHUNK, "malformed"),
        (b"x" * 6 * CHUNK, "malformed"),
        (
            FILE + b"\x00\r\n--bx\r\n" + END,
            "malformed",
        ),  # a boundary must not begin a line of the content (RFC 2046, 5.1.1)
        (b"--b\r\nContent-Type: video/mp4\r\n\r\nx\r\n" + END, "malformed"),
        (FILE.replace(b"talk", b"\xff\xfe") + b"\x00\r\n" + END, "malformed"),
    ],
)
def test_other_bodies_are_refused_by_a_code(body: bytes, code: str) -> None:
    assert code_of(body) == code


def test_a_file_of_just_the_limit_is_taken() -> None:
    _, receiver = receive(io.BytesIO(FILE + b"\x00" * 1000 + b"\r\n" + END), io.BytesIO())
    assert receiver.size == 1000
