"""What containers say of their movies: frames shown, aspect, rate, time code, and what is noted."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.movie_fixtures import (
    HEIGHT,
    WIDTH,
    X264,
    close_to,
    edit_list,
    greys,
    make_movie,
    remux,
    shown,
)
from vfxmatte.errors import PlateError
from vfxmatte.io.movies.movie import Movie, write_prores
from vfxmatte.io.plates import open_plate

PRORES: dict[str, Any] = {"codec": "prores_ks", "pixel_format": "yuv422p10le", "options": {}}
FFV1: dict[str, Any] = {"codec": "ffv1", "pixel_format": "yuv444p", "options": {}}
DNXHR = {"profile": "dnxhr_hq"}
FFMPEG = shutil.which("ffmpeg")
MPEG2: dict[str, Any] = {"codec": "mpeg2video", "options": {"qmin": "1", "b": "8M", "bf": "2"}}


@pytest.mark.parametrize("codec", [PRORES, {}])
def test_pixel_aspect(tmp_path: Path, codec: dict[str, Any]) -> None:
    path = make_movie(tmp_path / "a.mov", **codec, aspect=2)
    with open_plate(path) as plate:
        assert plate.info.pixel_aspect == 2 and plate.read(1).pixel_aspect == 2


@pytest.mark.skipif(FFMPEG is None, reason="PyAV cannot write it: needs the ffmpeg program")
@pytest.mark.parametrize("codec", [PRORES, FFV1, {"codec": "dnxhd", "options": DNXHR}])
def test_pixel_aspect_of_the_container_alone(tmp_path: Path, codec: dict[str, Any]) -> None:
    source = make_movie(
        tmp_path / ("a.mkv" if codec is FFV1 else "a.mov"),
        **{"pixel_format": "yuv422p", "size": (256, 144), **codec},
    )
    for name in ("b.mkv", "b.mov"):
        command = [FFMPEG, "-v", "error", "-i", source, "-c", "copy", "-aspect", "32:9", name]
        subprocess.run(command, cwd=tmp_path, check=True)
        assert Movie(tmp_path / name).info.pixel_aspect == 2


@pytest.mark.parametrize(
    ("rate", "first", "second", "sixth"),
    [(25, "01:00:00:24", "01:00:01:00", "01:00:01:04"),
     (50, "01:00:00:25", "01:00:00:26", "01:00:00:30"),
     (48, "01:00:00:46", "01:00:00:47", "01:00:01:03"),
     (Fraction(24000, 1001), "23:59:59:22", "23:59:59:23", "00:00:00:03"),
     (Fraction(30000, 1001), "00:00:59;28", "00:00:59;29", "00:01:00;05"),
     (Fraction(60000, 1001), "00:00:59;58", "00:00:59;59", "00:01:00;07"),
     (60, "00:00:59:58", "00:00:59:59", "00:01:00:03"),
     (120, "01:00:00:118", "01:00:00:119", "01:00:01:03")],
)  # fmt: skip
@pytest.mark.parametrize("name", ["a.mov", "a.mp4", "a.mkv", "a.mxf"])
def test_time_code_of_every_frame(
    tmp_path: Path, name: str, rate: Any, first: str, second: str, sixth: str
) -> None:
    if name == "a.mxf":
        if rate in (120, 48):
            pytest.skip("MXF has no such rate of MPEG-2")
        codec = MPEG2
    else:
        codec = PRORES if name == "a.mov" else {}
    in_tags = name == "a.mkv"
    path = make_movie(tmp_path / name, **codec, rate=rate, timecode=None if in_tags else first,
                      tags={"TIMECODE": first} if in_tags else {})  # fmt: skip
    movie = Movie(path, first_frame=1001)
    assert movie.info.fps == rate
    codes = [movie.metadata(number)["timeCode"] for number in (1001, 1002, 1006)]
    assert codes == [first, second, sixth]
    assert movie.metadata(1001)["framesPerSecond"] == rate


def test_a_time_code_that_cannot_be_counted_is_noted(tmp_path: Path) -> None:
    path = make_movie(tmp_path / "a.mkv", rate=Fraction(25, 2), tags={"TIMECODE": "01:00:00:00"})
    movie = Movie(path)
    assert movie.info.fps == Fraction(25, 2) and "timeCode" not in movie.metadata(1)
    assert any("01:00:00:00 cannot be counted" in note for note in movie.info.notes)


def test_a_time_code_track_that_counts_pairs(tmp_path: Path) -> None:
    path = make_movie(tmp_path / "a.mov", **PRORES, rate=60, timecode="01:00:00:14")
    data = bytearray(path.read_bytes())
    at = data.rfind(b"tmcd") + 20  # of its description: units a second, units a number, numbers
    scale, length, numbers = struct.unpack(">IIB", data[at : at + 9])
    assert (scale / length, numbers) == (60, 60)
    data[at : at + 9] = struct.pack(">IIB", scale, 2 * length, 30)
    number = data.find(struct.pack(">I", 3600 * 60 + 14))
    data[number : number + 4] = struct.pack(">I", 3600 * 30 + 14)
    path.write_bytes(data)
    movie = Movie(path)
    assert [movie.metadata(n)["timeCode"] for n in (1, 2)] == ["01:00:00:28", "01:00:00:29"]


@pytest.mark.parametrize(
    "rate",
    [Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60000, 1001), Fraction(120000, 1001),
     24, 25, 48, 50, Fraction(25, 2)],
)  # fmt: skip
@pytest.mark.parametrize("name", ["a.mkv", "a.mov", "a.ts", "a.avi"])
def test_rates_are_exact(tmp_path: Path, name: str, rate: Any) -> None:
    codec = FFV1 if name == "a.avi" else {}
    movie = Movie(make_movie(tmp_path / name, **codec, rate=rate))
    assert (movie.info.fps, movie.info.count) == (rate, 10)


CONTAINERS: list[tuple[str, dict[str, Any]]] = [
    ("a.mp4", {}), ("a.mkv", {}), ("a.ts", {}), ("a.flv", {}), ("a.avi", FFV1), ("a.nut", FFV1),
    ("a.mxf", MPEG2), ("a.mov", PRORES), ("a.mpg", MPEG2),
    ("fragments.mp4", {"container": {"movflags": "frag_keyframe+empty_moov"},
                       "options": X264 | {"g": "3"}}),
    ("hybrid.mp4", {"container": {"movflags": "frag_keyframe"}, "options": X264 | {"g": "3"}}),
    ("open.mkv", {"options": X264 | {"g": "4", "x264-params": "open-gop=1"}}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments"), CONTAINERS)
def test_every_frame_in_any_order(tmp_path: Path, name: str, arguments: dict[str, Any]) -> None:
    movie = Movie(make_movie(tmp_path / name, rate=25, **arguments))
    in_order = shown(movie)
    assert close_to(in_order, greys(10))
    numbers = list(movie.numbers) * 2
    random.Random(5).shuffle(numbers)
    for number in numbers:
        assert round(float(movie.read(number).mean() * 255)) == in_order[number - 1]


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", {}), ("a.mov", PRORES)])
@pytest.mark.parametrize("hidden", [1, 7])
def test_frames_before_the_cut_do_not_count(
    tmp_path: Path, name: str, codec: dict[str, Any], hidden: int
) -> None:
    whole = make_movie(tmp_path / f"whole_{name}", **codec)
    movie = Movie(remux(whole, tmp_path / name, shift=hidden))
    assert movie.numbers == range(1, 11 - hidden)
    assert close_to(shown(movie), greys(10)[hidden:])
    assert close_to([round(float(movie.read(1).mean() * 255))], greys(10)[hidden : hidden + 1])


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_cut_that_leaves_a_gap_at_the_end_is_refused(tmp_path: Path, name: str) -> None:
    """Frames are stored in the order of decoding: where that ends, one that is shown may lack."""
    source, path = make_movie(tmp_path / f"whole_{name}"), tmp_path / name
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        packets = [packet for packet in old.demux(video=0) if packet.dts is not None]
        keep = next(
            n for n in range(5, 10)
            if sorted(p.pts for p in packets[:n]) != sorted(p.pts for p in packets)[:n]
        )  # fmt: skip
        for packet in packets[:keep]:
            packet.stream = stream
            new.mux(packet)
    with pytest.raises(PlateError, match=f"variable frame rate.*\n.*all {keep} frames are kept"):
        Movie(path)


@pytest.mark.parametrize(
    ("edits", "frames"),
    [([(120, 2)], slice(2, 5)), ([(200, 5)], slice(5, 10)), ([(80, -1), (200, 3)], slice(3, 8))],
)
def test_edit_lists(tmp_path: Path, edits: list[tuple[int, int]], frames: slice) -> None:
    """Durations in ms, beginnings in frames of 40 ms; a pause before the movie is no frame."""
    source = make_movie(tmp_path / "a.mov", **PRORES, rate=25)
    with av.open(str(source)) as container:
        frame = round(1 / (25 * container.streams.video[0].time_base))
    scaled = [(length, begin * frame if begin > 0 else begin) for length, begin in edits]
    movie = Movie(edit_list(source, tmp_path / "b.mov", scaled))
    assert close_to(shown(movie), greys(10)[frames])


def test_several_edits_are_refused_by_name(tmp_path: Path) -> None:
    source = make_movie(tmp_path / "a.mov", **PRORES, rate=25)
    cut = edit_list(source, tmp_path / "b.mov", [(120, 0), (120, 2560)])
    with pytest.raises(PlateError, match="edit list has 2 entries"):
        Movie(cut)


@pytest.mark.parametrize("share", [0.5, 0.8, 0.97])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [("a.mkv", PRORES), ("b.mkv", {"options": X264 | {"g": "2"}}), ("a.ts", {}),
     ("a.webm", {"codec": "libvpx-vp9"}),
     ("fast.mov", {**PRORES, "container": {"movflags": "faststart"}}),
     ("fragments.mp4", {"container": {"movflags": "frag_keyframe+empty_moov"},
                        "options": X264 | {"g": "2"}}),
     ("a.avi", FFV1), ("a.mxf", MPEG2), ("a.mov", PRORES)],
)  # fmt: skip
def test_incomplete_files(
    tmp_path: Path, name: str, arguments: dict[str, Any], share: float
) -> None:
    """Refused, or the frames that lack are failures; those that are there keep their numbers."""
    path = make_movie(tmp_path / name, rate=25, **arguments)
    data = path.read_bytes()
    length = int(len(data) * share)
    length -= length % 188 == 0
    path.write_bytes(data[:length])
    try:
        movie = Movie(path)
    except PlateError as error:
        assert "too early" in str(error) or "incomplete" in str(error)
        return
    found = shown(movie)
    there = len(found) if None not in found else found.index(None)
    assert close_to(found[:there], greys(10)[:there])
    assert set(found[there:]) <= {None}
    assert there == 10 or len(found) > there
    assert any("ends too early" in note for note in movie.info.notes) == (there < len(found))
    if name.endswith(("mkv", "webm", "mov")):
        assert len(found) == 10


def test_more_frames_than_bytes_are_refused(tmp_path: Path) -> None:
    path = make_movie(tmp_path / "a.avi", rate=25, codec="mjpeg", pixel_format="yuvj420p")
    data = bytearray(path.read_bytes())
    count = (9_000_000).to_bytes(4, "little")
    for name, offset in ((b"avih", 16), (b"strh", 32)):  # dwTotalFrames, dwLength
        place = data.index(name) + 8 + offset
        data[place : place + 4] = count
    pictures = data.index(b"movi")
    path.write_bytes(data[: (pictures + len(data)) // 2])  # cut: the index does not say otherwise
    with pytest.raises(PlateError, match=r"announces 9,000,000 frames in [\d,]+ bytes"):
        Movie(path)


def test_frames_that_build_upon_a_damaged_one_fail_too(tmp_path: Path) -> None:
    path = make_movie(
        tmp_path / "a.mkv", codec="ffv1", count=10, pixel_format="yuv420p",
        options={"level": "3", "slicecrc": "1", "g": "5"},
    )  # fmt: skip
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packet = next(p for p in container.demux(video=0) if p.pts and round(p.pts / 42) == 2)
    begin, end = packet.pos + 8, packet.pos + packet.size
    data[begin:end] = b"\x55" * (end - begin)
    path.write_bytes(data)
    assert [n for n, grey in enumerate(shown(Movie(path)), 1) if grey is None] == [3, 4, 5]


@pytest.mark.parametrize("rate", [24, Fraction(24000, 1001), Fraction(30000, 1001), 25, 30, 50])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_the_hint_for_a_variable_rate_keeps_every_frame(
    tmp_path: Path, name: str, rate: Any
) -> None:
    path = make_movie(tmp_path / name, rate=rate, count=40, skip=(4, 17, 18))
    with pytest.raises(PlateError, match="variable frame rate") as caught:
        Movie(path)
    assert f"-fps_mode cfr -r {rate} " in str(caught.value)
    assert "all 37 frames are kept" in str(caught.value)


def test_rotation_is_noted(tmp_path: Path) -> None:
    plain = make_movie(tmp_path / "a.mov", **PRORES)
    assert Movie(plain).info.notes == ()
    turned = make_movie(tmp_path / "b.mov", **PRORES, rotation=180)
    (note,) = Movie(turned).info.notes
    assert "180°" in note and "as it is stored" in note
    turned = make_movie(tmp_path / "c.mov", **PRORES, rotation=90)  # counterclockwise
    assert "270° clockwise" in Movie(turned).info.notes[0]
    with open_plate(turned) as plate:
        assert plate.info.notes == Movie(turned).info.notes


def test_mirrored_movies_are_noted(tmp_path: Path) -> None:
    path = make_movie(tmp_path / "a.mov", **PRORES, rotation=180)
    data = path.read_bytes()
    turned = struct.pack(">9i", -65536, 0, 0, 0, -65536, 0, WIDTH << 16, HEIGHT << 16, 1 << 30)
    at = data.find(turned[:20])
    assert at > 0
    mirror = struct.pack(">9i", -65536, 0, 0, 0, 65536, 0, WIDTH << 16, 0, 1 << 30)
    path.write_bytes(data[:at] + mirror + data[at + 36 :])
    assert "mirror it" in Movie(path).info.notes[0]


def test_further_streams_are_noted(tmp_path: Path) -> None:
    (note,) = Movie(make_movie(tmp_path / "a.mov", **PRORES, streams=2)).info.notes
    assert "2 video streams" in note and "number 1 (96×64 prores" in note


def test_a_cover_is_not_the_movie(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    source = make_movie(tmp_path / "b.mp4")
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        cover = new.add_stream("mjpeg", rate=24)
        cover.width, cover.height, cover.pix_fmt = 32, 32, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        stream = new.add_stream_from_template(old.streams.video[0])
        picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        new.mux(cover.encode(picture.reformat(format="yuvj420p")))
        new.mux(cover.encode())
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    movie = Movie(path)
    assert (movie.info.width, movie.info.count) == (WIDTH, 10)
    assert movie.info.notes == ("the movie's attached picture (a cover) is not read",)


def test_alpha_and_interlacing_are_noted(tmp_path: Path) -> None:
    path = make_movie(tmp_path / "a.mov", codec="qtrle", pixel_format="argb")
    assert "the movie's alpha channel is not read" in Movie(path).info.notes
    fields = make_movie(
        tmp_path / "b.mpg", codec="mpeg2video",
        options={"flags": "+ilme+ildct", "b": "8M", "qmin": "1"},
    )  # fmt: skip
    assert any("interlaced" in note for note in Movie(fields).info.notes)


@pytest.mark.skipif(FFMPEG is None, reason="PyAV has no filters of bit streams: needs ffmpeg")
def test_colour_tags_of_the_container_alone(tmp_path: Path) -> None:
    """ProRes frames have tags of their own; where they are unknown, the container's count."""
    source = make_movie(tmp_path / "a.mov", **PRORES)
    unknown = "prores_metadata=colorspace=unknown:color_primaries=unknown:color_trc=unknown"
    tags = ["-colorspace", "bt2020nc", "-color_primaries", "bt2020", "-color_trc", "smpte2084"]
    command = [FFMPEG, "-v", "error", "-i", source, "-c", "copy", "-bsf:v", unknown, *tags]
    subprocess.run([*command, "-movflags", "write_colr", "b.mov"], cwd=tmp_path, check=True)
    info = Movie(tmp_path / "b.mov").info
    assert info.encoding.matrix == "Rec.2020"
    assert (info.transfer, info.primaries) == ("smpte2084", "bt2020")
    assert "assumed" not in info.description
    assert "Rec.601 (assumed, not tagged)" in Movie(source).info.description


@pytest.mark.parametrize(("trc", "name"), [(9, "log100"), (10, "log316"), (17, "smpte428")])
def test_curves_that_no_colour_space_has_are_noted(tmp_path: Path, trc: int, name: str) -> None:
    path = make_movie(tmp_path / "a.mkv", trc=trc)
    with open_plate(path) as plate:
        assert name in plate.info.colour_reason
        assert any(name in note and "--colorspace" in note for note in plate.info.notes)
    with open_plate(path, colour_space="ACEScg") as plate:
        assert plate.info.notes == ()


def test_wide_primaries_are_noted(tmp_path: Path) -> None:
    with open_plate(make_movie(tmp_path / "a.mkv", primaries=9, trc=1)) as plate:
        assert any("bt2020" in note for note in plate.info.notes)
    with open_plate(make_movie(tmp_path / "b.mkv", primaries=1, trc=1)) as plate:
        assert plate.info.notes == ()


@pytest.mark.parametrize(
    ("fps", "timecode", "aspect"),
    [(Fraction(24000, 1001), "01:00:00:23", 2.0), (Fraction(60000, 1001), "00:00:59;59", 1.0),
     (25, "10:00:00:00", 64 / 45), (120, "01:00:00:119", 1.0)],
)  # fmt: skip
def test_a_written_movie_keeps_rate_time_code_and_aspect(
    tmp_path: Path, fps: Any, timecode: str, aspect: float
) -> None:
    frames = [np.zeros((HEIGHT, WIDTH, 4), np.float32)] * 3
    path = write_prores(tmp_path / "a.mov", frames, fps, timecode=timecode, pixel_aspect=aspect)
    info = Movie(path).info
    assert (info.fps, info.timecode) == (fps, timecode)
    assert float(info.pixel_aspect) == pytest.approx(aspect)
