from pathlib import Path

from sqlalchemy import Engine

from pipeline.blobs.directory import DirectoryBlobs
from pipeline.janitor import clean
from pipeline.tests.makers import a_job


def test_only_old_bytes_that_no_job_names_are_removed(catalog: Engine, tmp_path: Path) -> None:
    blobs = DirectoryBlobs(tmp_path / "blobs")
    for blob_id in ("named", "nobodys"):
        with blobs.create(blob_id) as blob:
            blob.write(b"12345")
    a_job(catalog, blob="named")
    assert clean(catalog, blobs, hours=1) == 0
    assert clean(catalog, blobs, hours=0) == 1
    assert [blob.id for blob in blobs.list()] == ["named"]
