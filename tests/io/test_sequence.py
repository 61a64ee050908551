"""File patterns and frame numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vfxmatte.errors import MissingFrameError, ShotError
from vfxmatte.io.sequence import find_media, find_sequence, frame_number, padded


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


@pytest.mark.parametrize("hole", ["####", "@@@@", "%04d", "$F4", "#" * 4])
def test_patterns_name_the_same_files(tmp_path: Path, hole: str) -> None:
    folder = touch(tmp_path / "sh 010 é", "plate.0999.exr", "plate.1001.exr", "plate.10000.exr")
    found = find_sequence(f"{folder}/plate.{hole}.exr")
    assert found.numbers == (999, 1001, 10000)
    assert found.path(1001) == folder / "plate.1001.exr"
    assert found.padding == 4


def test_folder_holds_one_sequence(tmp_path: Path) -> None:
    folder = touch(tmp_path, "a.1.exr", "a.2.exr", "a.12.exr", "notes.txt", "._a.3.exr")
    found = find_sequence(folder)
    assert found.numbers == (1, 2, 12)
    assert found.path(12).name == "a.12.exr"


def test_negative_and_huge_numbers(tmp_path: Path) -> None:
    touch(tmp_path, "a.-0003.exr", "a.0000.exr", "a.1234567890123.exr")
    found = find_sequence(tmp_path)
    assert found.numbers == (-3, 0, 1234567890123)
    assert all(found.existing_path(n).is_file() for n in found.numbers)


@pytest.mark.parametrize(
    ("name", "number"),
    [("a-0003.exr", 3), ("a.-0003.exr", -3), ("a_v02.0010.png", 10), ("IMG_2034.JPG", 2034),
     ("photo.png", None), ("-7.exr", -7)],
)  # fmt: skip
def test_frame_number(name: str, number: int | None) -> None:
    assert frame_number(name) == number


@given(st.integers(-(10**12), 10**12), st.integers(1, 8))
def test_padding_round_trips(number: int, padding: int) -> None:
    assert frame_number(f"a.{padded(number, padding)}.exr") == number


def test_single_stills(tmp_path: Path) -> None:
    touch(tmp_path, "plate.1001.exr", "plate.1002.exr", "photo.png")
    assert find_sequence(tmp_path / "plate.1002.exr").numbers == (1002,)
    photo = find_sequence(tmp_path / "photo.png")
    assert photo.numbers == (1,)
    assert photo.path(1).name == "photo.png"


def test_refusals_say_what_was_found(tmp_path: Path) -> None:
    empty = touch(tmp_path / "empty")
    with pytest.raises(ShotError, match="no images"):
        find_sequence(empty)
    two = touch(tmp_path / "two", "a.1.exr", "b.1.exr")
    with pytest.raises(ShotError, match=r"found 2[\s\S]*a\.#\.exr"):
        find_sequence(two)
    with pytest.raises(ShotError, match=r"no file matches[\s\S]*a\.#\.exr"):
        find_sequence(two / "c.####.exr")
    with pytest.raises(ShotError, match="no such file or folder"):
        find_sequence(tmp_path / "nowhere")
    twice = touch(tmp_path / "twice", "a.1.exr", "a.0001.exr")
    with pytest.raises(ShotError, match="claim frame 1"):
        find_sequence(twice)


def test_missing_frame_names_its_path(tmp_path: Path) -> None:
    touch(tmp_path, "a.0001.exr", "a.0003.exr")
    with pytest.raises(MissingFrameError) as caught:
        find_sequence(tmp_path).existing_path(2)
    assert caught.value.frame == 2
    assert "a.0002.exr" in str(caught.value)
    assert "1,3" in str(caught.value)


def test_media_is_a_movie_or_a_sequence(tmp_path: Path) -> None:
    folder = touch(tmp_path / "m", "shot_010.mov")
    assert find_media(folder) == folder / "shot_010.mov"
    touch(folder, "a.1.exr")
    with pytest.raises(ShotError, match="found 2"):
        find_media(folder)
