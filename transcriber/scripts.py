"""Scripts in which no spaces stand between words."""

from typing import Final

from pipeline.transcript import CJK

UNSPACED: Final = rf"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff{CJK}"
"""Characters of Thai, Lao, Burmese, Khmer, Chinese and Japanese, for a class in a regular expression."""
