import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import ranges

SIZE = 1000
WHOLE: list[tuple[int, int]] = []


def asked(header: str | None, size: int = SIZE) -> list[tuple[int, int]]:
    """First byte and the one behind the last, of each part."""
    return [(part.start, part.stop) for part in ranges.asked(header, size)]


@pytest.mark.parametrize(
    ("header", "parts"),
    [
        ("bytes=0-0", [(0, 1)]),
        ("bytes=5-", [(5, SIZE)]),
        ("bytes=-5", [(SIZE - 5, SIZE)]),
        ("bytes=-99999", [(0, SIZE)]),
        ("bytes=0-99999", [(0, SIZE)]),
        ("bytes=999-999", [(999, SIZE)]),
        ("BYTES=1-2", [(1, 3)]),
        ("bytes= 1-2 ,\t4-5", [(1, 3), (4, 6)]),
        ("bytes=,1-2,,4-5,", [(1, 3), (4, 6)]),
        ("bytes=500-599,0-99", [(500, 600), (0, 100)]),
        ("bytes=-1,0-0", [(999, 1000), (0, 1)]),
        ("bytes=0-9,5-14", [(0, 15)]),
        ("bytes=10-19,0-9", [(0, 20)]),
        ("bytes=900-,-5", [(900, SIZE)]),
        ("bytes=0-9,5-14,500-501", [(0, 15), (500, 502)]),
        ("bytes=0-1,5000-6000", [(0, 2)]),
        ("bytes=0-1,-0", [(0, 2)]),
        ("bytes=" + "7-7," * 900, [(7, 8)]),
    ],
)
def test_parts_are_asked_for(header: str, parts: list[tuple[int, int]]) -> None:
    assert asked(header) == parts


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=--5",
        "bytes=x-5",
        "bytes=5-x",
        "bytes=5-1",
        "bytes=0-1,x",
        "bytes=0-1,5-1",
        "bytes=+1-2",
        "bytes=1_0-20",
        "bytes=1.0-2",
        "bytes=0x1-2",
        "bytes=\u0663-\u0665",
        "bytes=0-1;2-3",
        "bytes 0-1",
        "items=0-1",
        "none=0-1",
        f"bytes={'9' * 3000}",
        f"bytes=0-{'9' * 5000}",
    ],
)
def test_what_is_malformed_or_counts_in_other_units_is_ignored(header: str | None) -> None:
    assert asked(header) == WHOLE


@pytest.mark.parametrize("header", ["bytes=1000-", "bytes=5000-6000", "bytes=-0", "bytes=-000", "bytes=1000-,2000-,-0"])
def test_what_the_file_does_not_have_is_refused(header: str) -> None:
    with pytest.raises(ranges.Unsatisfiable):
        ranges.asked(header, SIZE)


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=0-0", "bytes=-0"])
def test_an_empty_file_has_no_first_byte(header: str) -> None:
    with pytest.raises(ranges.Unsatisfiable):
        ranges.asked(header, 0)


@pytest.mark.parametrize("header", ["bytes=-1", "bytes=0-,-1"])
def test_the_last_bytes_of_an_empty_file_are_the_whole_of_it(header: str) -> None:
    assert asked(header, 0) == WHOLE


def test_many_parts_are_ignored_unless_they_join() -> None:
    apart = [f"{at * 10}-{at * 10 + 1}" for at in range(ranges.MOST + 1)]
    assert asked("bytes=" + ",".join(apart)) == WHOLE
    assert len(asked("bytes=" + ",".join(apart[1:]))) == ranges.MOST
    together = [f"{at}-{at}" for at in range(100)]
    assert asked("bytes=" + ",".join(together)) == [(0, 100)]


def test_a_long_header_costs_nothing() -> None:
    assert asked("bytes=" + ",".join(["0-0"] * 100_000)) == WHOLE


numbers = st.integers(0, 1500).map(str) | st.just("")
specs = st.builds("{}-{}".format, numbers, numbers)
headers = st.lists(specs, min_size=1, max_size=20).map(lambda found: "bytes=" + ",".join(found))


@given(headers, st.integers(0, 1200))
def test_parts_lie_in_the_file_and_apart_and_hold_every_byte_that_was_asked_for(header: str, size: int) -> None:
    try:
        parts = ranges.asked(header, size)
    except ranges.Unsatisfiable:
        parts = []
    bytes_sent = [at for part in parts for at in part]
    assert len(set(bytes_sent)) == len(bytes_sent)
    assert set(bytes_sent) <= set(range(size))
    if parts:
        assert len(parts) <= ranges.MOST
        assert set(bytes_sent) == {at for spec in header.removeprefix("bytes=").split(",") for at in wanted(spec, size)}


def wanted(spec: str, size: int) -> range:
    """RFC 9110, 14.1.2, word for word."""
    first, last = spec.split("-")
    if not first:
        return range(max(0, size - int(last)), size)
    return range(int(first), min(size, int(last) + 1) if last else size)


@given(st.text(max_size=40))
def test_no_header_breaks_it(header: str) -> None:
    for text in (header, f"bytes={header}"):
        try:
            parts = ranges.asked(text, SIZE)
        except ranges.Unsatisfiable:
            parts = []
        assert all(part and part.stop <= SIZE for part in parts)


@pytest.mark.parametrize("part", [range(5, 15), range(12, 15)])
def test_a_file_that_ends_early_is_an_error(part: range) -> None:
    with pytest.raises(EOFError):
        list(ranges.read(io.BytesIO(b"x" * 10), part))
