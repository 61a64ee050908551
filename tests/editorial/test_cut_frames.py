"""The frames that a cut shows of its plates: ranges, handles, rates, effects, nesting."""

from __future__ import annotations

from pathlib import Path

import pytest

otio = pytest.importorskip("opentimelineio")

from opentimelineio.opentime import RationalTime  # noqa: E402

from tests.cuts import clip_of, plate_of, saved, span, timeline_of  # noqa: E402
from tests.long_cut import cut_of, frames, long_plate, make_plate  # noqa: E402
from vfxmatte.editorial.cut import read_cut  # noqa: E402


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
