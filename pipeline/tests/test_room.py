import shutil
from pathlib import Path

import pytest

from pipeline.errors import Retry
from pipeline.room import check_room


def test_work_does_not_begin_where_there_is_no_room_for_it(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    check_room(tmp_path, free // 2)
    with pytest.raises(Retry, match="has room for"):
        check_room(tmp_path, free + 2**40)
