"""A stand-in of Dropbox that the unmodified SDK talks to: the same routes, errors and promises, and faults on demand."""
