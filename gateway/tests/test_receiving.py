"""What is known of a file after it has come: the same however large its pieces were."""

import hashlib
import io

import pytest

from gateway.receiving import LARGE, Receiver
from pipeline.blobs import CHUNK
from pipeline.problems import Problem

SIZES = (1, LARGE - 1, LARGE, CHUNK, 7, CHUNK + 1, 3 * CHUNK + 7, LARGE - 1, 0, 5)
PIECES = [bytes([number]) * size for number, size in enumerate(SIZES)]
WHOLE = b"".join(PIECES)


def test_pieces_of_all_sizes_are_hashed_in_their_order() -> None:
    target = io.BytesIO()
    receiver = Receiver(target, len(WHOLE), {"sha-512": hashlib.sha512(WHOLE).digest()})
    for piece in PIECES:
        receiver.write(piece)
    receiver.end()
    assert (receiver.bytes, receiver.sha256) == (len(WHOLE), hashlib.sha256(WHOLE).hexdigest())
    assert target.getvalue() == WHOLE


@pytest.mark.parametrize("changed", range(0, len(PIECES) - 2, 3))
def test_a_digest_finds_every_changed_piece(changed: int) -> None:
    receiver = Receiver(io.BytesIO(), len(WHOLE), {"sha-256": hashlib.sha256(WHOLE).digest()})
    for number, piece in enumerate(PIECES):
        receiver.write(b"x" * len(piece) if number == changed else piece)
    with pytest.raises(Problem, match="digest_wrong"):
        receiver.end()
