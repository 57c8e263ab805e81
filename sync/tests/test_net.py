"""What a page of a list comes to."""

from datetime import UTC, datetime

import pytest

from sync.dropbox.account import Gone, RemoteFile
from sync.watching.net import Net


def _file(number: str, path: str) -> RemoteFile:
    return RemoteFile(number, path, "1", 1, "0" * 64, datetime.now(UTC), True)


A, B = _file("a", "/T/a"), _file("b", "/T/b")
A_AT_B, B_AT_A, A_BELOW = _file("a", "/T/B"), _file("b", "/T/A"), _file("a", "/T/deep/a")


@pytest.mark.parametrize(
    ("entries", "there", "lost", "gone"),
    [
        ([A, B], [A, B], [], []),
        ([Gone("/T/a"), A_AT_B], [A_AT_B], [], ["/t/a"]),
        ([A_AT_B, Gone("/T/a")], [A_AT_B], [], ["/t/a"]),
        ([A, Gone("/T/A")], [], ["a"], ["/t/a"]),
        ([A, Gone("/T")], [], ["a"], ["/t"]),
        ([Gone("/T"), A], [A], [], ["/t"]),
        ([A, A_BELOW], [A_BELOW], [], []),
        ([A_BELOW, Gone("/T/deep"), A], [A], [], ["/t/deep"]),
        ([B, A_AT_B], [A_AT_B], ["b"], []),
        ([A, B, A_AT_B, B_AT_A], [B_AT_A, A_AT_B], [], []),
        ([Gone("/T/deep/a"), Gone("/T/deep"), Gone("/T/deeper")], [], [], ["/t/deep", "/t/deeper"]),
    ],
)
def test_the_last_word_counts(
    entries: list[RemoteFile | Gone], there: list[RemoteFile], lost: list[str], gone: list[str]
) -> None:
    net = Net.of(entries)
    assert list(net.there) == there
    assert (sorted(net.lost), sorted(net.gone)) == (lost, gone)
