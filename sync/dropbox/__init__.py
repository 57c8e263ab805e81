"""A connected Dropbox: how it is spoken to, how it is opened, and what goes in and out."""
