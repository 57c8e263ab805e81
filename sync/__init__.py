"""Bytes from elsewhere: recordings fetched by their address."""
