"""Files that exist are refused, counted, and replaced where that is wanted."""

from __future__ import annotations

from pathlib import Path

import pytest

from vfxmatte.errors import OutputError
from vfxmatte.io.overwriting import refuse_existing

MESSAGE = "{count} of these trimaps {are} there already"


@pytest.mark.parametrize(
    ("existing", "message"),
    [(1, "1 of these trimaps is there"), (2, "2 of these trimaps are there")],
)
def test_existing_files_are_counted(tmp_path: Path, existing: int, message: str) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path in paths[-existing:]:
        path.touch()
    with pytest.raises(OutputError, match=message) as caught:
        refuse_existing(paths, overwrite=False, message=MESSAGE, hint="-")
    assert str(caught.value.path) == str(paths[-existing])
    refuse_existing(paths, overwrite=True, message=MESSAGE, hint="-")
