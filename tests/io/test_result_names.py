"""The names of result files, and refusing to replace files that exist."""

from __future__ import annotations

from pathlib import Path

import pytest

from vfxmatte.errors import OutputError
from vfxmatte.io.overwriting import refuse_existing
from vfxmatte.io.result_names import format_of, matte_path, matte_pattern, trimap_path


def test_a_frame_number_has_four_digits_or_as_many_as_the_plate() -> None:
    assert matte_path("out", 7) == Path("out/matte.0007.exr")
    assert matte_path("out", 7, "tiff", padding=6) == Path("out/matte.000007.tif")
    assert trimap_path("out", -3, padding=1).name == "trimap.-0003.png"
    assert matte_pattern("out", "png", padding=5) == str(Path("out/matte.#####.png"))


@pytest.mark.parametrize(
    ("name", "format"), [("a.exr", "exr"), ("a.PNG", "png"), ("a.tif", "tiff"), ("a.TIFF", "tiff")]
)
def test_a_file_name_stands_for_a_format(name: str, format: str) -> None:
    assert format_of(Path(name)) == format


@pytest.mark.parametrize("name", ["a.jpg", "matte"])
def test_other_formats_are_refused(name: str) -> None:
    with pytest.raises(OutputError, match="a matte cannot be written as") as caught:
        format_of(Path(name))
    assert caught.value.path == name and "NAME.exr" in str(caught.value.hint)


def test_files_that_exist_are_refused_and_counted(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "abc"]
    how = {"message": "{count} are there", "hint": "choose"}
    refuse_existing(paths, overwrite=False, **how)
    for path in paths[1:]:
        path.touch()
    with pytest.raises(OutputError, match="2 are there") as caught:
        refuse_existing(paths, overwrite=False, **how)
    assert caught.value.path == str(paths[1])
    refuse_existing(paths, overwrite=True, **how)
