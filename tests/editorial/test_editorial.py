"""Cuts of OpenTimelineIO: which frames of which plates, under which names, and the way back."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

otio = pytest.importorskip("opentimelineio")

from opentimelineio.opentime import RationalTime  # noqa: E402

from tests.cuts import clip_of, plate_of, saved, span, timeline_of  # noqa: E402
from vfxmatte.editorial.cut import Cut, read_cut  # noqa: E402
from vfxmatte.editorial.mattes import write_mattes  # noqa: E402
from vfxmatte.editorial.media import path_of  # noqa: E402
from vfxmatte.editorial.names import safe_name, unique_names  # noqa: E402
from vfxmatte.errors import OutputError, ShotError, UsageError  # noqa: E402
from vfxmatte.io.movies.movie import write_prores  # noqa: E402
from vfxmatte.io.sequence import padded  # noqa: E402

FIRST, LAST = 1001, 1040


@pytest.fixture
def long_shot(tmp_path: Path) -> Path:
    """long shot/plate/plate.1001…1040.exr (empty files: names are enough) and one trimap."""
    return make_plate(tmp_path / "long shot")


def make_plate(shot: Path, first: int = FIRST, last: int = LAST, step: int = 1) -> Path:
    for folder in ("plate", "trimaps"):
        (shot / folder).mkdir(parents=True)
    for number in range(first, last + 1, step):
        (shot / "plate" / f"plate.{padded(number, 4)}.exr").touch()
    (shot / "trimaps" / f"trimap.{first}.png").touch()
    return shot


def long_plate(**more: Any) -> Any:
    return plate_of("long%20shot/plate", **{"count": 40, **more})


def cut_of(folder: Path, *items: Any, **options: Any) -> Cut:
    return read_cut(saved(timeline_of(*items), folder / "cut.otio"), folder / "out", **options)


def frames(cut: Cut) -> dict[str, str]:
    return {shot.name: ",".join(map(str, shot.ranges)) for shot in cut.shots}


# -- frames -----------------------------------------------------------------------------------


def test_frames_count_from_the_available_range_whatever_its_timecode(long_shot: Path) -> None:
    for at in (0, 1001, 86400, 86400 * 2 + 7):
        cut = cut_of(long_shot.parent, clip_of("sh010", long_plate(at=at), at + 9, 10))
        assert frames(cut) == {"sh010": "1010-1019"}
        assert not cut.problems and not cut.shots[0].notes


def test_parts_are_shots_with_the_cut_s_frames(long_shot: Path) -> None:
    (shot,) = cut_of(long_shot.parent, clip_of("sh010", long_plate(), 86409, 10)).shots
    (part,) = shot.parts()
    assert str(part.settings.frames) == "1010-1019"
    assert part.plate == long_shot / "plate" / "plate.####.exr"
    assert list(part.keyframes) == [1001]
    assert part.output == long_shot.parent / "out" / "sh010"


def test_a_clip_without_a_source_range_shows_all(long_shot: Path) -> None:
    clip = otio.schema.Clip(name="all", media_reference=long_plate())
    assert frames(cut_of(long_shot.parent, clip)) == {"all": "1001-1040"}
    clip = otio.schema.Clip(name="all", media_reference=long_plate(available_range=None))
    cut = cut_of(long_shot.parent, clip)
    assert frames(cut) == {"all": "1001-1040"}


def test_handles_are_clipped_and_that_is_said(long_shot: Path) -> None:
    cut = cut_of(
        long_shot.parent,
        clip_of("sh010", long_plate(), 86400 + 3, 10),
        handles=8,
    )
    assert frames(cut) == {"sh010": "1001-1021"}
    (note,) = cut.shots[0].notes
    assert "sh010: 5 frames fewer than asked for before the shot" in note
    inside = cut_of(long_shot.parent, clip_of("sh010", long_plate(), 86409, 10), handles=8)
    assert frames(inside) == {"sh010": "1002-1027"} and not inside.shots[0].notes


def test_handles_reach_no_farther_than_the_files(tmp_path: Path) -> None:
    make_plate(tmp_path / "long shot", 1005, 1030)
    cut = cut_of(tmp_path, clip_of("a", long_plate(), 86405, 20), handles=10)
    assert frames(cut) == {"a": "1005-1030"}
    assert len(cut.shots[0].notes) == 2
    shown = cut_of(tmp_path, clip_of("a", long_plate(), 86400, 20))
    assert frames(shown) == {"a": "1001-1020"}  # the run will say which of them are missing


def test_rates_that_count_alike_are_counted(long_shot: Path) -> None:
    ntsc = 24000 / 1001
    media = long_plate(rate=ntsc, available_range=span(86400, 40, ntsc))
    assert frames(cut_of(long_shot.parent, clip_of("a", media, 86409, 10))) == {"a": "1010-1019"}


def test_other_rates_are_converted(long_shot: Path) -> None:
    media = long_plate(rate=48, available_range=span(0, 40, 48))
    assert frames(cut_of(long_shot.parent, clip_of("a", media, 5, 10))) == {"a": "1011-1030"}
    half = long_plate(rate=12, available_range=span(0, 40, 12))
    assert frames(cut_of(long_shot.parent, clip_of("a", half, 5, 4))) == {"a": "1003-1005"}


def test_a_frame_step_means_the_images_that_are_shown(tmp_path: Path) -> None:
    make_plate(tmp_path / "long shot", 1001, 1019, 2)
    media = long_plate(available_range=span(0, 20), frame_step=2)
    cut = cut_of(tmp_path, clip_of("twos", media, 3, 4))  # shows 1004 to 1007
    assert frames(cut) == {"twos": "1003-1007x2"}


def test_transitions_need_more_of_both_clips(long_shot: Path) -> None:
    dissolve = otio.schema.Transition(
        transition_type="SMPTE_Dissolve",
        in_offset=RationalTime(2, 24),
        out_offset=RationalTime(3, 24),
    )
    make_plate(long_shot.parent / "other")
    other = plate_of("other/plate", count=40)
    cut = cut_of(
        long_shot.parent,
        clip_of("a", long_plate(), 86410, 10),
        dissolve,
        clip_of("b", other, 86410, 10),
    )
    assert frames(cut) == {"a": "1011-1023", "b": "1009-1020"}


@pytest.mark.parametrize(
    ("speed", "expected"),
    [(2.0, "1005-1024"), (0.5, "1005-1010"), (1.5, "1005-1019"), (1.0, "1005-1014")],
)
def test_a_linear_time_warp_takes_what_it_plays(
    long_shot: Path, speed: float, expected: str
) -> None:
    clip = clip_of("a", long_plate(), 86404, 10)
    clip.effects.append(otio.schema.LinearTimeWarp(time_scalar=speed))
    assert frames(cut_of(long_shot.parent, clip)) == {"a": expected}


def test_a_freeze_is_one_frame(long_shot: Path) -> None:
    clip = clip_of("a", long_plate(), 86404, 10)
    clip.effects.append(otio.schema.FreezeFrame())
    cut = cut_of(long_shot.parent, clip)
    assert frames(cut) == {"a": "1005"}
    assert cut.shots[0].notes == ("a: time effect: a freeze",)


def test_effects_that_are_not_understood_take_all_and_say_so(long_shot: Path) -> None:
    for effect, why in (
        (otio.schema.LinearTimeWarp(time_scalar=-1), "backwards"),
        (otio.schema.TimeEffect(name="ramp"), "not linear (ramp)"),
    ):
        clip = clip_of("a", long_plate(), 86404, 10)
        clip.effects.append(effect)
        cut = cut_of(long_shot.parent, clip)
        assert frames(cut) == {"a": "1001-1040"}
        assert why in cut.shots[0].notes[0]
    blur = clip_of("a", long_plate(), 86404, 10)
    blur.effects.append(otio.schema.Effect(name="blur"))
    assert frames(cut_of(long_shot.parent, blur)) == {"a": "1005-1014"}


def test_nested_stacks_show_what_their_own_range_lets_through(long_shot: Path) -> None:
    inner = otio.schema.Track(
        kind="Video",
        children=[
            otio.schema.Gap(source_range=span(0, 5)),
            clip_of("a", long_plate(), 86410, 10),
            clip_of("b", long_plate(), 86430, 10),
        ],
    )
    nested = otio.schema.Stack(children=[inner], source_range=span(8, 4))
    cut = cut_of(long_shot.parent, otio.schema.Gap(source_range=span(0, 50)), nested)
    assert [c.name for shot in cut.shots for c in shot.clips] == ["a"]
    assert frames(cut) == {"a": "1014-1017"}


def test_a_time_effect_on_a_nested_stack_takes_the_whole_media(long_shot: Path) -> None:
    inner = otio.schema.Track(kind="Video", children=[clip_of("a", long_plate(), 86410, 10)])
    nested = otio.schema.Stack(name="comp", children=[inner])
    nested.effects.append(otio.schema.LinearTimeWarp(time_scalar=2))
    cut = cut_of(long_shot.parent, nested)
    assert frames(cut) == {"a": "1001-1040"} and "comp" in cut.shots[0].notes[0]


def test_what_is_disabled_or_heard_is_left_out(long_shot: Path) -> None:
    off = clip_of("off", long_plate(), 86404, 10)
    off.enabled = False
    timeline = timeline_of(off, clip_of("on", long_plate(), 86404, 10))
    sound = clip_of("sound", long_plate(), 86404, 10)
    timeline.tracks.append(otio.schema.Track(kind="Audio", children=[sound]))
    hidden = otio.schema.Track(kind="Video", children=[clip_of("c", long_plate(), 86404, 10)])
    hidden.enabled = False
    timeline.tracks.append(hidden)
    bars = otio.schema.GeneratorReference(generator_kind="SMPTEBars")
    upper = otio.schema.Track(kind="Video", children=[clip_of("bars", bars, 0, 24)])
    timeline.tracks.append(upper)
    cut = read_cut(saved(timeline, long_shot.parent / "cut.otio"), long_shot.parent / "out")
    assert list(frames(cut)) == ["on"]
    assert cut.notes == ("bars is left out: it is generated (SMPTEBars)",)


# -- shots ------------------------------------------------------------------------------------


def test_clips_of_one_plate_are_one_shot_with_the_union_of_their_frames(long_shot: Path) -> None:
    cut = cut_of(
        long_shot.parent,
        clip_of("a", long_plate(), 86430, 5),
        clip_of("b", long_plate(), 86400, 5),
        clip_of("c", long_plate(), 86403, 7),
        clip_of("d", long_plate(), 86410, 2),  # adjoins c
    )
    (shot,) = cut.shots
    assert [str(r) for r in shot.ranges] == ["1001-1012", "1031-1035"]
    assert [c.name for c in shot.clips] == ["a", "b", "c", "d"]
    assert shot.name == "a" and {p.output for p in shot.parts()} == {shot.output}


def test_names_are_safe_and_different() -> None:
    assert safe_name("../sh 010: take/2") == "sh_010_take_2"
    assert safe_name("CON") == "CON_" and safe_name("...") == "" and safe_name("näh") == "näh"
    same = [("a", Path("/x/one.####.exr")), ("A", Path("/x/two.####.exr"))]
    assert unique_names(same) == ["a_one", "A_two"]
    assert unique_names(same[::-1]) == ["A_two", "a_one"]
    folders = [("a", Path("/x/plate/p.#.exr")), ("a", Path("/y/plate/p.#.exr"))]
    assert unique_names(folders) == ["a_x", "a_y"]
    assert unique_names([folders[0], folders[0]]) == ["a_p", "a_p_2"]
    assert unique_names([("a", Path("p")), ("b", Path("p"))]) == ["a", "b"]


def test_trimaps_come_from_the_root_the_metadata_or_beside_the_plate(long_shot: Path) -> None:
    root = long_shot.parent
    painted = {"root": 1002, "elsewhere": 1003}
    for folder, number in (("keys/root", 1002), ("elsewhere", 1003)):
        (root / folder).mkdir(parents=True)
        (root / folder / f"t.{number}.png").touch()
    make_plate(root / "two")
    told = clip_of("told", plate_of("two/plate", count=40), 86400, 3)
    told.metadata["vfxmatte"] = {"trimaps": "elsewhere", "settings": {"keyframe_growth": 2}}
    clips = [clip_of("root", long_plate(), 86400, 3), told]
    cut = cut_of(root, *clips, trimaps=root / "keys")
    assert {shot.name: list(shot.keyframes) for shot in cut.shots} == {
        "root": [painted["root"]],
        "told": [painted["elsewhere"]],
    }
    assert cut.shots[1].settings.keyframe_growth == 2
    (beside,) = cut_of(root, clip_of("root", long_plate(), 86400, 3)).shots
    assert list(beside.keyframes) == [1001]


def test_metadata_names_and_skips(long_shot: Path) -> None:
    named, skipped = (clip_of(n, long_plate(), 86400, 3) for n in ("a", "b"))
    named.metadata["vfxmatte"] = {"shot": "hero"}
    skipped.metadata["vfxmatte"] = {"skip": True}
    cut = cut_of(long_shot.parent, named, skipped)
    assert list(frames(cut)) == ["hero"] and "b is left out" in cut.notes[0]
    other, third = (clip_of(n, long_plate(), 86403, 3) for n in ("b", "c"))
    other.metadata["vfxmatte"] = {"shot": "double"}
    third.metadata["vfxmatte"] = {"shot": "double"}
    apart = cut_of(long_shot.parent, named.clone(), other, third)
    assert frames(apart) == {"hero": "1001-1003", "double": "1004-1006"}
    named.metadata["vfxmatte"] = {"trimap": "x"}
    (problem,) = cut_of(long_shot.parent, named.clone()).problems
    assert problem.shot == "a" and "trimap" in problem.what and "trimaps" in str(problem.hint)


def test_shot_toml_and_the_missing_frame_policy_count(long_shot: Path) -> None:
    (long_shot / "shot.toml").write_text('colorspace = "ACEScg"\nframes = "1001-1002"\n')
    policy = otio.schema.ImageSequenceReference.MissingFramePolicy.hold
    clip = clip_of("a", long_plate(missing_frame_policy=policy), 86404, 10)
    (shot,) = cut_of(long_shot.parent, clip).shots
    settings = shot.parts()[0].settings
    assert (settings.colorspace, settings.missing) == ("ACEScg", "hold")
    assert str(settings.frames) == "1005-1014"


def test_only_chooses_clips_by_name(long_shot: Path) -> None:
    clips = [clip_of(n, long_plate(), 86400, 3) for n in ("sh010", "sh020", "tt010")]
    cut = cut_of(long_shot.parent, *(c.clone() for c in clips), only=["sh*"])
    assert [c.name for c in cut.shots[0].clips] == ["sh010", "sh020"]
    with pytest.raises(UsageError, match="no clip of the cut is called zz"):
        cut_of(long_shot.parent, *clips, only=["zz*"])


# -- what cannot be done ----------------------------------------------------------------------


def test_a_bad_clip_is_named_with_its_path_and_the_others_go_on(long_shot: Path) -> None:
    root = long_shot.parent
    empty = otio.schema.Clip(name="empty", source_range=span(0, 10))
    web = otio.schema.ExternalReference(target_url="https://example.org/a.mov")
    unplaced = clip_of("unplaced", long_plate(available_range=None), 86404, 10)
    cut = cut_of(
        root,
        clip_of("gone", plate_of("gone/plate"), 86400, 3),
        empty,
        otio.schema.Clip(name="web", media_reference=web, source_range=span(0, 10)),
        unplaced,
        clip_of("beyond", long_plate(), 86430, 20),
        clip_of("good", long_plate(), 86404, 10),
    )
    assert frames(cut) == {"good": "1005-1014"}
    said = {p.shot: (p.what, p.path) for p in cut.problems}
    assert said["gone"] == (
        "the folder of this media is not there",
        str(root / "gone/plate/plate.####.exr"),
    )
    assert said["empty"][0] == "this clip has no media"
    assert said["web"][0] == "media at https:// cannot be read"
    assert "available range" in said["unplaced"][0]
    assert said["beyond"][0] == "the cut shows frames 1031-1050, the media has 1001-1040"


def test_without_a_keyframe_the_place_is_named(long_shot: Path) -> None:
    shutil.rmtree(long_shot / "trimaps")
    (problem,) = cut_of(long_shot.parent, clip_of("a", long_plate(), 86404, 10)).problems
    assert problem.shot == "a" and problem.path == str(long_shot / "trimaps")


def test_files_that_are_no_cut_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ShotError, match="there is no such cut"):
        read_cut(tmp_path / "no.otio", tmp_path)
    broken, other = tmp_path / "broken.otio", tmp_path / "cut.xyz"
    broken.write_text("{")
    other.write_text("TITLE: cut")
    with pytest.raises(ShotError, match="cannot be read"):
        read_cut(broken, tmp_path)
    with pytest.raises(ShotError, match=r"reads .*\.otio") as caught:
        read_cut(other, tmp_path)
    assert "OpenTimelineIO-Plugins" in str(caught.value.hint)
    two = otio.schema.SerializableCollection(children=[timeline_of(), timeline_of()])
    with pytest.raises(ShotError, match="expected one timeline, found 2"):
        read_cut(saved(two, tmp_path / "two.otio"), tmp_path)
    with pytest.raises(ShotError, match="no timelines are called 'x'; there is cut, cut"):
        read_cut(tmp_path / "two.otio", tmp_path, timeline="x")
    with pytest.raises(UsageError, match="--rate is for EDLs"):
        read_cut(tmp_path / "two.otio", tmp_path, rate=25)
    with pytest.raises(ShotError, match="the cut shows no clip"):
        cut_of(tmp_path, otio.schema.Gap(source_range=span(0, 10)))
    with pytest.raises(UsageError, match="handles"):
        cut_of(tmp_path, handles=-1)


def test_a_timeline_is_chosen_by_name(long_shot: Path) -> None:
    """Also in a collection of projects, as XML of some editors gives them."""
    lines = [timeline_of(clip_of(n, long_plate(), 86404, 10)) for n in ("a", "b")]
    lines[0].name, lines[1].name = "reel 1", "reel 2"
    projects = [otio.schema.SerializableCollection(name=t.name, children=[t]) for t in lines]
    path = saved(
        otio.schema.SerializableCollection(children=projects), long_shot.parent / "show.otio"
    )
    for name, clip in (("reel 1", "a"), ("reel 2", "b")):
        cut = read_cut(path, long_shot.parent / "out", timeline=name)
        assert frames(cut) == {clip: "1005-1014"}


# -- addresses --------------------------------------------------------------------------------


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


# -- the way back -----------------------------------------------------------------------------


def deliver(cut: Cut) -> None:
    """Empty files where a run would put the mattes."""
    for shot in cut.shots:
        shot.output.mkdir(parents=True)
        for one in shot.ranges:
            for number in one:
                (shot.output / f"matte.{number}.exr").touch()


def test_the_cut_with_mattes_is_frame_accurate(long_shot: Path) -> None:
    root = long_shot.parent
    fast = clip_of("fast", long_plate(), 86404, 10)
    fast.effects.append(otio.schema.LinearTimeWarp(time_scalar=2))
    dissolve = otio.schema.Transition(in_offset=RationalTime(2, 24), out_offset=RationalTime(3, 24))
    clips = [clip_of("a", long_plate(), 86405, 4), dissolve, clip_of("b", long_plate(), 86430, 5)]
    missing = clip_of("gone", plate_of("gone/plate"), 86400, 3)
    cut = cut_of(root, *clips, fast, missing, handles=2)
    deliver(cut)
    path = write_mattes(cut, root / "elsewhere" / "mattes.otio")

    made = otio.adapters.read_from_file(str(path))
    plates, mattes = made.video_tracks()
    assert mattes.name == "V1 mattes"
    assert [type(x) for x in mattes] == [type(x) for x in plates]
    assert mattes.duration() == plates.duration()
    pairs = list(zip(plates.find_clips(), mattes.find_clips(), strict=True))
    assert [matte.enabled for _, matte in pairs] == [True, True, True, False]
    for plate, matte in pairs[:3]:
        own, reference = matte.source_range, matte.media_reference
        speeds = [[e.time_scalar for e in clip.effects] for clip in (plate, matte)]
        assert own == plate.source_range and speeds[0] == speeds[1]
        for frame in range(int(own.duration.value)):
            time = own.start_time + RationalTime(frame * sum(speeds[1] or [1]), 24)
            number = reference.frame_for_time(time)
            assert number == plate.media_reference.frame_for_time(time)
            url = reference.target_url_for_image_number(number - reference.start_frame)
            assert path_of(url, Path("/")).is_file()
        assert reference.end_frame() <= 1040
    assert path_of(pairs[0][0].media_reference.target_url_base, Path("/")) == long_shot / "plate"
    again = read_cut(path, root / "out")  # the mattes are not matted
    assert frames(again) == frames(cut_of(root, *(x.clone() for x in (*clips, fast))))


def test_mattes_of_plates_on_twos_and_without_a_range(tmp_path: Path) -> None:
    make_plate(tmp_path / "long shot", 1001, 1019, 2)
    media = long_plate(available_range=span(100, 20), frame_step=2)
    cut = cut_of(
        tmp_path,
        clip_of("twos", media, 103, 4),
        otio.schema.Clip(name="all", media_reference=media.clone()),
    )
    deliver(cut)
    made = otio.adapters.read_from_file(str(write_mattes(cut, tmp_path / "m.otio")))
    short, whole = (clip.media_reference for clip in made.video_tracks()[1].find_clips())
    assert (short.start_frame, short.frame_step, short.end_frame()) == (1003, 2, 1008)
    assert short.available_range == span(102, 6)
    assert whole.available_range == media.available_range
    assert whole.number_of_images_in_sequence() == 10


def test_nothing_else_is_overwritten(long_shot: Path) -> None:
    root = long_shot.parent
    cut = cut_of(root, clip_of("a", long_plate(), 86405, 4))
    deliver(cut)
    path = write_mattes(cut, root / "mattes.otio")
    assert write_mattes(cut, path) == path  # its own, again
    for other in (cut.path, saved(timeline_of(), root / "precious.otio"), root / "m.txt"):
        with pytest.raises(OutputError):
            write_mattes(cut, other)
    assert "mattes_of" not in cut.path.read_text()


def test_the_worked_example_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "editorial.md").read_text("utf-8")
    for name in ("furry_creature", "foliage"):
        make_plate(tmp_path / "sample_shots" / name, 1001, 1025)
        (tmp_path / "sample_shots" / name / "trimaps" / "trimap.1025.png").touch()
    monkeypatch.chdir(tmp_path)
    clips = [
        clip_of(name, plate_of(f"sample_shots/{shot}/plate", count=25), 86400 + first - 1001, count)
        for name, shot, first, count in (
            ("sh010", "furry_creature", 1003, 4),
            ("sh020", "foliage", 1010, 4),
            ("sh030", "furry_creature", 1020, 3),
            ("sh040", "not_delivered", 1001, 8),
        )
    ]
    two = otio.opentime.RationalTime(2, 24)
    dissolve = otio.schema.Transition("SMPTE_Dissolve", in_offset=two, out_offset=two)
    saved(timeline_of(clips[0], dissolve, *clips[1:]), tmp_path / "cut.otio")
    cut = read_cut("cut.otio", "mattes", handles=3)
    for shot, ranges in frames(cut).items():
        assert f"  {shot}  frames {ranges}, keyframes 1001,1025\n" in page
    assert len(cut.shots) == 2 and f"note: {cut.shots[0].notes[0]}\n" in page
    assert [problem.shot for problem in cut.problems] == ["sh040"]
