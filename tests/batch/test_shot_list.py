"""The shots that a batch names: folders, patterns and lists, and wrong ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.batch.conftest import NAMES, batch
from tests.conftest import write_tiny_shot
from vfxmatte.cli.shot_list import ShotList, find_shots
from vfxmatte.errors import UsageError

COMMON: dict[str, Any] = {"shot": None, "plate": None, "trimaps": None, "folder": None}
COMMON |= {"extra": (), "part": None}


def listed(*arguments: object, **common: Any) -> ShotList:
    return find_shots([str(one) for one in arguments], {**COMMON, **common})


def test_folders_patterns_and_stray_files(shots: Path) -> None:
    (shots / "refs").mkdir()
    (shots / "batch_report.html").write_text("")
    found = listed(shots)
    assert [one.name for one in found.shots] == NAMES and found.home == shots
    assert len(found.notes) == 1 and "refs, which has no plate/" in found.notes[0]
    assert [one.name for one in listed(shots / "sh0[12]0").shots] == NAMES[:2]
    (shots / "refs" / "photo.jpg").write_text("")
    found = listed(*sorted(shots.iterdir()))  # as a shell does
    assert [one.name for one in found.shots] == NAMES
    assert "batch_report.html" in found.notes[0] and "refs, which has no" in found.notes[1]
    assert len(listed(shots, shots / "sh010", shots / ".." / "shots" / "sh010").shots) == 5


def test_a_list_has_a_shot_a_line_with_its_own_options(shots: Path, tmp_path: Path) -> None:
    write_tiny_shot(tmp_path / "a long name")
    text = tmp_path / "tonight.txt"
    text.write_text(
        "# comment\n\nshots/sh01* --mode fast  # it's a try\na long name\n"
        "shots/sh020 --frames 1001-1003 --set propagation.growth_px=2 --output 'out/two'\n"
        "--plate 'shots/sh040/plate/plate.####.exr' --trimaps shots/sh040/trimaps --output out/b\n"
    )
    found = listed(text, extra=("workers=3",), missing="skip")
    assert [one.name for one in found.shots] == ["sh010", "a long name", "sh020", "b"]
    assert found.shots[2].source == f"{text}, line 5" and found.home == tmp_path
    opened = [one.open() for one in found.shots]
    assert [one.settings.engine.mode for one in opened] == ["fast", "exact", "exact", "exact"]
    assert all(one.settings.missing == "skip" and one.settings.workers == 3 for one in opened)
    assert str(opened[2].settings.frames) == "1001-1003"
    assert opened[2].settings.propagation.growth_px == 2
    assert opened[2].output == tmp_path / "out" / "two"
    assert opened[3].plate == shots / "sh040" / "plate" / "plate.####.exr"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("sh010 sh020", "extra argument"),
        ("sh010 --mod fast", "--mod"),
        ("sh010 --mode quick", "quick"),
        ("'sh010", "a quote is missing"),
        ("sh0[89]*", "no shot folder matches"),
        ("other.txt", "cannot name another list"),
    ],
)
def test_a_wrong_line_is_named(shots: Path, line: str, said: str) -> None:
    (shots / "other.txt").write_text("sh010\n")
    (shots / "list.txt").write_text(f"sh010\n{line}\n")
    result = batch(shots / "list.txt", "--engine", "trimap", "--keep-going")
    assert result.exit_code == 2 and said in result.stderr
    assert "line 2" in result.stderr and "list.txt" in result.stderr
    assert not list(shots.glob("*/matte"))


def test_wrong_use_of_arguments(shots: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("# nothing\n")
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for argument, said in (
        (tmp_path / "empty.txt", "names no shot"),
        (shots / "sh9*", "no shot folder matches"),
        (tmp_path / "deep", "no shot lies in this folder"),
        (shots / "sh010" / "plate" / "plate.1001.exr", "nor a list of shots"),
    ):
        with pytest.raises(UsageError, match=said):
            listed(argument)


def test_shots_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for place in ("ep1/sh010", "ep2/sh010", "ep2/sh020"):
        write_tiny_shot(tmp_path / place)
    found = listed(tmp_path / "*" / "sh*", folder=tmp_path / "out")
    assert [one.name for one in found.shots] == ["sh010_ep1", "sh010_ep2", "sh020"]
    assert [one.values["folder"] for one in found.shots] == [
        tmp_path / "out" / name for name in ("sh010_ep1", "sh010_ep2", "sh020")
    ]
