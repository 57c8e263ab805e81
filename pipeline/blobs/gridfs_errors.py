"""What MongoDB's errors mean to those who keep blobs there."""

from collections.abc import Iterator
from contextlib import contextmanager

from pymongo.errors import OperationFailure, PyMongoError

from pipeline.errors import Full, Unavailable

# https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
_DUPLICATE_KEY = 11000
_OUT_OF_DISK_SPACE = 14031


@contextmanager
def translated() -> Iterator[None]:
    """Raises FileExistsError for what is there already, Full for a full disk, Unavailable for all else."""
    try:
        yield
    except OperationFailure as error:
        codes = {error.code, *(failure["code"] for failure in (error.details or {}).get("writeErrors", []))}
        if _DUPLICATE_KEY in codes:
            raise FileExistsError("the blob id is taken") from error
        if _OUT_OF_DISK_SPACE in codes:
            raise Full("the blob store has no room") from error
        raise Unavailable("the blob store did not do it") from error
    except PyMongoError as error:
        raise Unavailable("the blob store does not answer") from error
