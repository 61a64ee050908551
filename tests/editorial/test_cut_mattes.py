"""The way back: a cut with its mattes on a track above."""

from __future__ import annotations

from pathlib import Path

import pytest

otio = pytest.importorskip("opentimelineio")

from opentimelineio.opentime import RationalTime  # noqa: E402

from tests.cuts import clip_of, plate_of, saved, span, timeline_of  # noqa: E402
from tests.long_cut import cut_of, frames, long_plate, make_plate  # noqa: E402
from vfxmatte.editorial.cut import Cut, read_cut  # noqa: E402
from vfxmatte.editorial.mattes import write_mattes  # noqa: E402
from vfxmatte.editorial.media import path_of  # noqa: E402
from vfxmatte.errors import OutputError  # noqa: E402


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
