"""What is known of a file after it has come: the same however large its pieces were."""

import hashlib
import io

import pytest

from gateway.receiving import Receiver
from pipeline.blobs import CHUNK
from pipeline.problems import Problem

SIZES = (1, 511, CHUNK, 7, CHUNK + 1, 3 * CHUNK + 7, 65536, 0, 5)
PIECES = [bytes([number]) * size for number, size in enumerate(SIZES)]
WHOLE = b"".join(PIECES)


def test_pieces_of_all_sizes_are_hashed_in_their_order() -> None:
    target = io.BytesIO()
    receiver = Receiver(target, len(WHOLE), {"sha-512": hashlib.sha512(WHOLE).digest()})
    for piece in PIECES:
        receiver.write(piece)
    receiver.end()
    assert (receiver.size, receiver.sha256) == (len(WHOLE), hashlib.sha256(WHOLE).hexdigest())
    assert target.getvalue() == WHOLE


@pytest.mark.parametrize("changed", range(0, len(PIECES) - 2, 3))
def test_a_digest_finds_every_changed_piece(changed: int) -> None:
    receiver = Receiver(io.BytesIO(), len(WHOLE), {"sha-256": hashlib.sha256(WHOLE).digest()})
    for number, piece in enumerate(PIECES):
        receiver.write(b"x" * len(piece) if number == changed else piece)
    with pytest.raises(Problem, match="digest_wrong"):
        receiver.end()


@pytest.mark.parametrize("sizes", [(512,), (100, 412), (511, 1), (5000,)])
def test_what_is_plainly_no_recording_is_refused_before_the_rest_comes(sizes: tuple[int, ...]) -> None:
    target = io.BytesIO()
    receiver = Receiver(target, 10**9)
    for size in sizes[:-1]:
        receiver.write(b"x" * size)
    with pytest.raises(Problem, match="file_not_media"):
        receiver.write(b"x" * sizes[-1])
    assert len(target.getvalue()) < 512
