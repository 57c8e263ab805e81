"""Transcripts' files that people have edited, read back."""
