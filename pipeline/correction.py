"""How much a person may correct of a transcript, by whichever way the correction comes."""

from typing import Final

LONGEST_BODY: Final = 32 * 2**20
"""Bytes of a corrected transcript: one of 24 hours with all its words, as it is answered, is 17 MiB, and grows where clients write
it with spaces or escape its letters."""
MOST_SEGMENTS: Final = 50_000
"""A day and a half of speech; so many take a database seconds to be found by."""
LONGEST_TEXT: Final = 10_000
"""Characters of a segment."""
LONGEST_NAME: Final = 100
"""Characters of a speaker's name."""
TOLERANCE: Final = 1.0
"""Seconds that a segment may end behind the recording: players round its length."""
