"""A transcript as files, a segment at a time: hours of speech need no more memory than minutes."""
