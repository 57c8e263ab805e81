"""Where in a transcript the pieces of a file stand that was made of it."""

from collections.abc import Iterable, Iterator, Sequence

from sync.edits.carrying import Slice

MARKUP, LOOK_ALIKES = "<>{}\\", "＜＞｛｝＼"  # noqa: RUF001
"""Signs that players take for markup, and what our SubRip files have in their place."""
_LOOKS = str.maketrans(MARKUP, LOOK_ALIKES)
_TOGETHER, _AHEAD = 16, 1000
"""So many cues may be said at once, and rarely so many."""


def letters(text: str) -> str:
    """What of a text is the same in every file: all but spaces and line ends, and signs only as they look."""
    return "".join(text.split()).translate(_LOOKS)


def in_order(cues: Sequence[str], whole: str) -> list[int] | None:
    """The numbers of the cues in the order of the transcript: what people say at once is in another one there.

    All are `letters`. None where they are not those of the transcript.
    """
    if "".join(cues) == whole:  # nobody interrupts anybody, however often they say the same
        return list(range(len(cues)))
    waiting, order, at = list(range(len(cues)))[::-1], list[int](), 0
    while waiting:
        place = _next(cues, waiting, whole, at)
        if place is None:
            return None
        order.append(number := waiting.pop(place))
        at += len(cues[number])
    return order if at == len(whole) else None


def _next(cues: Sequence[str], waiting: Sequence[int], whole: str, at: int) -> int | None:
    """A place in `waiting`: of the cues that are near the longest, as a short one is said by many."""
    first, near, last = (max(0, len(waiting) - many) for many in (0, _TOGETHER, _AHEAD))
    fitting = [place for place in range(first - 1, near - 1, -1) if whole.startswith(cues[waiting[place]], at)]
    further = (place for place in range(near - 1, last - 1, -1) if whole.startswith(cues[waiting[place]], at))
    return max(fitting, key=lambda place: len(cues[waiting[place]])) if fitting else next(further, None)


def slices(lengths: Iterable[int], texts: Sequence[str]) -> Iterator[list[Slice]]:
    """The transcript in pieces of so many letters each, which are all it has."""
    rest = _letters_of(texts)
    segment, places, used = -1, [0], 0
    for length in lengths:
        found = []
        while length:
            if used == len(places) - 1:
                (segment, places), used = next(rest), 0
            taken = min(length, len(places) - 1 - used)
            found.append(Slice(segment, places[used], places[used + taken]))
            used, length = used + taken, length - taken
        yield found


def _letters_of(texts: Sequence[str]) -> Iterator[tuple[int, list[int]]]:
    """Of each segment that has any: where they stand, and where the text ends."""
    for segment, text in enumerate(texts):
        places = [place for place, character in enumerate(text) if not character.isspace()]
        if places:
            yield segment, [0, *places[1:], len(text)]
