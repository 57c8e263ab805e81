"""A stand-in of the paid speech API: the same surface and limits, words that are known beforehand, and faults on demand."""
