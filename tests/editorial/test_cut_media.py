"""The media of a cut: addresses, references to sequences, stills and movies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

otio = pytest.importorskip("opentimelineio")


from tests.cuts import clip_of, span  # noqa: E402
from tests.long_cut import cut_of, frames, long_plate, make_plate  # noqa: E402
from vfxmatte.editorial.media import path_of  # noqa: E402
from vfxmatte.io.movies.movie import write_prores  # noqa: E402


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("file:///a%20b/p.mov", "/a b/p.mov"),
        ("/a b/p.mov", "/a b/p.mov"),
        ("sub/p.%04d.exr", "/cut/sub/p.####.exr"),
        ("file:///x/p.%2504d.exr", "/x/p.####.exr"),
        ("file:///x/p.%23%23%23.exr", "/x/p.###.exr"),
        ("file:///x/p.%5B0001-0100%5D.exr", "/x/p.####.exr"),
        ("file:///x/100%2525/a%20b.mov", "/x/100%25/a b.mov"),
        ("sub/p.%d.exr", "/cut/sub/p.#.exr"),
        ("sub/p.####.exr", "/cut/sub/p.####.exr"),
        ("file:///x/p.[1001-1100].exr", "/x/p.####.exr"),
        ("x#1/p.$F4.exr", "/cut/x#1/p.####.exr"),
        ("file://localhost/x/p.mov", "/x/p.mov"),
        ("file://server/x/p.mov", "//server/x/p.mov"),
    ],
)
def test_addresses_are_found(url: str, expected: str) -> None:
    assert path_of(url, Path("/cut")) == Path(expected)


def test_a_bare_path_with_a_percent_sign(tmp_path: Path) -> None:
    (tmp_path / "100%25").mkdir()
    assert path_of("100%25/p.mov", tmp_path) == tmp_path / "100%25" / "p.mov"


@pytest.mark.parametrize(
    "name", ["plate.%04d.exr", "plate.####.exr", "plate.[1001-1040].exr", "plate.1001.exr"]
)
def test_external_references_to_sequences(long_shot: Path, name: str) -> None:
    media = otio.schema.ExternalReference(
        target_url=f"long%20shot/plate/{name}", available_range=span(86400, 40)
    )
    assert frames(cut_of(long_shot.parent, clip_of("a", media, 86404, 10))) == {"a": "1005-1014"}


def test_a_still_is_one_frame_however_long_it_stands(tmp_path: Path) -> None:
    make_plate(tmp_path / "still", 1, 1)
    plate = tmp_path / "still" / "plate"
    (plate / "plate.0001.exr").rename(plate / "card.exr")
    (plate / "IMG_2034.JPG").touch()
    for name, number in (("card.exr", "1"), ("IMG_2034.JPG", "2034")):
        media = otio.schema.ExternalReference(
            target_url=f"still/plate/{name}", available_range=span(0, 200)
        )
        cut = cut_of(tmp_path, clip_of("card", media, 50, 100), handles=8)
        assert frames(cut) == {"card": number} and not cut.shots[0].notes


@pytest.mark.parametrize("available", [span(0, 200), None])
def test_one_frame_of_a_sequence_is_no_still(tmp_path: Path, available: Any) -> None:
    make_plate(tmp_path / "late", 1001, 1001)
    media = otio.schema.ExternalReference(
        target_url="late/plate/plate.1001.exr", available_range=available
    )
    (problem,) = cut_of(tmp_path, clip_of("late", media, 50, 100)).problems
    assert "and one is there" in problem.what and "plate.1001.exr" in str(problem.path)


def first_file(name: str = "plate.1001.exr") -> Any:
    return otio.schema.ExternalReference(target_url=f"long%20shot/plate/{name}")


def test_the_first_file_means_its_sequence(long_shot: Path) -> None:
    """No available range: frame numbers, a beginning at 0, or a clip as long as the media."""
    for first, count, expected in ((1005, 10, "1005-1014"), (0, 10, "1001-1010"),
                                   (1, 40, "1001-1040"), (86400, 40, "1001-1040")):  # fmt: skip
        (shot,) = cut_of(long_shot.parent, clip_of("a", first_file(), first, count)).shots
        assert str(shot.ranges[0]) == expected and len(shot.notes) == 1
    for first, count in ((1, 20), (1030, 20), (86400, 10), (0, 41)):
        (problem,) = cut_of(long_shot.parent, clip_of("a", first_file(), first, count)).problems
        assert "does not say its available range" in problem.what
        assert "1001-1040" in problem.what and problem.shot == "a"


def test_the_first_file_s_time_code_places_the_clip(tmp_path: Path) -> None:
    from vfxmatte.io.writers import write_exr
    from vfxmatte.types import Window

    shot, window = make_plate(tmp_path / "long shot"), Window.of_size(4, 4)
    for number in (1001, 1002):
        write_exr(
            shot / "plate" / f"plate.{number}.exr",
            {name: np.zeros((4, 4), np.float16) for name in "RGB"},
            data_window=window,
            display_window=window,
            attributes={"timeCode": "01:00:00:00"},
        )
    (found,) = cut_of(tmp_path, clip_of("a", first_file(), 86404, 10)).shots
    assert str(found.ranges[0]) == "1005-1014" and "by time code" in found.notes[0]


def test_a_range_longer_than_what_is_there_is_never_whole(long_shot: Path) -> None:
    media = otio.schema.ExternalReference(
        target_url="long%20shot/plate/plate.1001.exr", available_range=span(0, 60)
    )
    cut = cut_of(long_shot.parent, clip_of("a", media, 20, 40))
    assert frames(cut) == {"a": "1021-1060"}  # the run then names what the plate lacks
    fast = clip_of("fast", long_plate(), 86400, 30)
    fast.effects.append(otio.schema.LinearTimeWarp(time_scalar=2.0))
    (problem,) = cut_of(long_shot.parent, fast).problems
    assert "the cut shows frames 1001-1059, the media has 1001-1040" in problem.what


def test_movies(tmp_path: Path) -> None:
    rgba = (np.full((16, 16, 4), i / 8, np.float32) for i in range(8))
    (tmp_path / "shot" / "trimaps").mkdir(parents=True)
    (tmp_path / "shot" / "trimaps" / "t.101.png").touch()
    (tmp_path / "shot" / "shot.toml").write_text("first_frame = 101\n")
    from fractions import Fraction

    write_prores(tmp_path / "shot" / "plate.mov", rgba, Fraction(24))
    for available, first in ((span(86400, 8), 86402), (None, 2)):
        media = otio.schema.ExternalReference(
            target_url="shot/plate.mov", available_range=available
        )
        cut = cut_of(tmp_path, clip_of("m", media, first, 4), handles=9)
        assert frames(cut) == {"m": "101-108"} and len(cut.shots[0].notes) == 2
        cut = cut_of(tmp_path, clip_of("m", media.clone(), first, 4))
        assert frames(cut) == {"m": "103-106"}
