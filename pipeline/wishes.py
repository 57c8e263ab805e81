"""What users want of a connected account: which folders are watched, what is made of recordings there, and where results go."""

import unicodedata
from collections.abc import Iterable
from itertools import combinations
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from pipeline.options import StrictOptions

MOST_FOLDERS = 20
LONGEST_PATH, LONGEST_NAME = 500, 255
"""Characters that a path, and each name in it, may have."""

Results = Literal["beside", "folder", "none"]
Conflict = Literal["rename", "overwrite", "skip"]


def _normal(path: str) -> str:
    """The one way to write a path: with a slash before each name, composed (Unicode NFC), empty for the whole account.

    Raises ValueError for what is no absolute path.
    """
    names = unicodedata.normalize("NFC", path).split("/")
    if names.pop(0):
        raise ValueError("a path begins with a slash")
    names = [name for name in names if name]
    if any(name in (".", "..") or "\\" in name or not name.isprintable() for name in names):
        raise ValueError("not a path")
    found = "".join(f"/{name}" for name in names)
    if len(found) > LONGEST_PATH or any(len(name) > LONGEST_NAME for name in names):
        raise ValueError("the path is too long")
    return found


FolderPath = Annotated[str, AfterValidator(_normal), Field(max_length=4 * LONGEST_PATH)]


def covers(folder: str, path: str) -> bool:
    """Whether `path` is `folder` or somewhere in it. Dropbox does not tell upper from lower case."""
    return f"{path.lower()}/".startswith(f"{folder.lower()}/")


def overlap(folder: str, other: str) -> bool:
    """Whether a file could be in both."""
    return covers(folder, other) or covers(other, folder)


def _are_apart(folders: Iterable[str]) -> bool:
    return not any(overlap(folder, other) for folder, other in combinations(folders, 2))


class Wishes(BaseModel):
    """How a connected account is to be used."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folders: tuple[FolderPath, ...] = Field(
        min_length=1,
        max_length=MOST_FOLDERS,
        description="Folders to watch, with all below them; `/` is the whole account, none may be in another.",
    )
    results: Results = Field(
        "beside", description="Where results go: `beside` the recording, into a `folder`, or `none` of them anywhere."
    )
    results_folder: FolderPath | None = Field(None, description="That folder, if results go into one.")
    conflict: Conflict = Field(
        "rename",
        description="If another file has the name of a result: `rename` the result, `overwrite` the file, or `skip` the result.",
    )
    options: StrictOptions = Field(
        default_factory=StrictOptions, description="Of the jobs that are made of what is found there."
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if not _are_apart(self.folders):
            raise ValueError("folders: one is in another, or named twice")
        if (self.results == "folder") != (self.results_folder is not None):
            raise ValueError("results_folder: it is needed where results go into a folder, and only there")
        if self.options.title:
            raise ValueError("options.title: each recording keeps its own")
        return self
