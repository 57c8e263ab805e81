"""Recordings fetched by their address, from servers that strangers name."""
