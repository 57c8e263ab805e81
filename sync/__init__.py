"""Bytes from elsewhere, and back: recordings by their address, connected Dropbox accounts, exports."""
