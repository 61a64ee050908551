"""The shots of a cut: clips of one plate, names, trimaps and settings, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

otio = pytest.importorskip("opentimelineio")


from tests.cuts import clip_of, plate_of, saved, span, timeline_of  # noqa: E402
from tests.long_cut import cut_of, frames, long_plate, make_plate  # noqa: E402
from vfxmatte.editorial.cut import read_cut  # noqa: E402
from vfxmatte.editorial.names import safe_name, unique_names  # noqa: E402
from vfxmatte.errors import ShotError, UsageError  # noqa: E402


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
