import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from speech.audio import RATE
from speech.whisper import WINDOW, _windows


@given(st.floats(0, 3 * WINDOW))
def test_windows_cover_every_sample_once(seconds: float) -> None:
    samples = np.ones(int(seconds * RATE), np.int16)
    end = 0
    for start, window in _windows(samples, WINDOW):
        assert start == end
        assert 0 < len(window) <= WINDOW * RATE
        end += len(window)
    assert end == len(samples)


def test_a_window_ends_where_it_is_quiet() -> None:
    samples = np.full((WINDOW + 60) * RATE, 1000, np.int16)
    pause = slice((WINDOW - 20) * RATE, (WINDOW - 19) * RATE)
    samples[pause] = 0
    (_, first), _ = _windows(samples, WINDOW)
    assert pause.start < len(first) < pause.stop
