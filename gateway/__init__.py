"""The HTTP side of Spool: sign in, upload, look after jobs, download."""
