"""Tells people by mail how their jobs ended."""
