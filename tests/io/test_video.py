"""Movies: right colours, right frames in any order, damage is the damaged frames' error."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from vfxmatte.errors import MissingFrameError, OutputError, PlateError
from vfxmatte.io.timecode_counting import advance_timecode
from vfxmatte.io.video import Movie, write_prores

WIDTH, HEIGHT, COUNT = 256, 128, 30
WEIGHTS = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 9: (0.2627, 0.0593)}
COLOUR = np.array([0.8, 0.3, 0.1])


def code_values(rgb: np.ndarray, matrix: int, bits: int, full: bool) -> list[int]:
    """Y, Cb, Cr of one colour by the definition in BT.709, BT.601 and BT.2020."""
    kr, kb = WEIGHTS[matrix]
    luma = kr * rgb[0] + (1 - kr - kb) * rgb[1] + kb * rgb[2]
    chroma = [(rgb[2] - luma) / (2 * (1 - kb)), (rgb[0] - luma) / (2 * (1 - kr))]
    if full:
        top = 2**bits - 1
        return [round(luma * top), *(round(c * top + 2 ** (bits - 1)) for c in chroma)]
    scale = 2 ** (bits - 8)
    return [round((219 * luma + 16) * scale), *(round((224 * c + 128) * scale) for c in chroma)]


def flat_frame(pixel_format: str, codes: list[int], bits: int) -> Any:
    frame = av.VideoFrame(WIDTH, HEIGHT, pixel_format)
    for plane, code in zip(frame.planes, codes, strict=False):
        size = plane.buffer_size // (2 if bits > 8 else 1)
        plane.update(np.full(size, code, np.uint16 if bits > 8 else np.uint8).tobytes())
    return frame


def write_movie(
    path: Path, codec: str, pixel_format: str, bits: int, *, matrix: int = 1, full: bool = False,
    trc: int = 1, options: dict[str, str] | None = None, skip: tuple[int, ...] = (),
) -> None:  # fmt: skip
    """Frame i is grey of i / 40, but its left half is COLOUR."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=24, options=options or {})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixel_format
        context = stream.codec_context
        context.colorspace, context.color_range = matrix, 2 if full else 1
        context.color_trc = trc
        context.time_base = Fraction(1, 24)
        left = code_values(COLOUR, matrix, bits, full)
        for i in range(COUNT):
            if i in skip:
                continue
            frame = flat_frame(
                pixel_format, code_values(np.full(3, i / 40), matrix, bits, full), bits
            )
            for plane, code in zip(frame.planes, left, strict=False):
                wide = 2 if bits > 8 else 1
                rows = np.frombuffer(plane, np.uint16 if wide == 2 else np.uint8).copy()
                rows = rows.reshape(plane.height, -1)
                rows[:, : plane.width // 2] = code
                plane.update(rows.tobytes())
            frame.colorspace, frame.color_range = matrix, 2 if full else 1
            frame.pts, frame.time_base = i, Fraction(1, 24)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


LOSSLESS = {"crf": "1", "x265-params": "log-level=none:crf=4"}
CODECS = [
    ("a.mov", "prores_ks", "yuv422p10le", 10, {"profile": "hq"}),
    ("a.mov", "prores_ks", "yuv444p10le", 10, {"profile": "4444"}),
    ("a.mov", "dnxhd", "yuv422p10le", 10, {"profile": "dnxhr_hqx"}),
    ("a.mov", "dnxhd", "yuv422p", 8, {"profile": "dnxhr_hq"}),
    ("a.mp4", "libx264", "yuv420p", 8, LOSSLESS),
    ("a.mp4", "libx264", "yuv422p10le", 10, LOSSLESS),
    ("a.mp4", "libx265", "yuv420p10le", 10, LOSSLESS),
    ("a.mp4", "libx265", "yuv420p12le", 12, LOSSLESS),
    ("a.mkv", "libx264", "yuv420p", 8, LOSSLESS),
    ("a.mkv", "ffv1", "yuv444p", 8, {}),
]


@pytest.mark.parametrize(("name", "codec", "pixel_format", "bits", "options"), CODECS)
def test_colours_and_frame_numbers(
    tmp_path: Path, name: str, codec: str, pixel_format: str, bits: int, options: dict[str, str]
) -> None:
    path = tmp_path / name
    write_movie(path, codec, pixel_format, bits, options=options)
    movie = Movie(path, first_frame=1001)
    assert movie.numbers == range(1001, 1001 + COUNT)
    assert movie.info.fps == 24
    found = dict(movie.pictures(movie.numbers, workers=2))
    for number in (1001, 1002, 1017, 1030, 1016, 1005):  # forwards, and back by a seek
        for picture in (found[number], movie.read(number)):
            assert isinstance(picture, np.ndarray)
            grey = picture[20, WIDTH - 20]
            np.testing.assert_allclose(grey, (number - 1001) / 40, atol=0.008)
            np.testing.assert_allclose(picture[20, 20], COLOUR, atol=0.012)
    movie.close()


@pytest.mark.parametrize("matrix", [1, 5, 9])
@pytest.mark.parametrize("full", [False, True])
def test_matrix_and_range_tags(tmp_path: Path, matrix: int, full: bool) -> None:
    path = tmp_path / "a.mkv"
    write_movie(path, "ffv1", "yuv444p10le", 10, matrix=matrix, full=full)
    picture = Movie(path).read(1)
    np.testing.assert_allclose(picture[20, 20], COLOUR, atol=2e-3)
    np.testing.assert_allclose(picture[20, -20], 0, atol=2e-3)


def test_values_beyond_legal_range_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv444p10le"
        container.mux(stream.encode(flat_frame("yuv444p10le", [1019, 512, 512], 10)))
        container.mux(stream.encode())
    assert Movie(path).read(1)[0, 0, 0] == pytest.approx((1019 - 64) / 876, abs=1e-4)


def test_chroma_edge_stays_in_place(tmp_path: Path) -> None:
    """4:2:0 chroma sits on the left luma sample: an edge between two of them is halfway."""
    path = tmp_path / "a.mkv"
    write_movie(path, "ffv1", "yuv420p", 8)
    row = Movie(path).read(1)[20, :, 0]
    middle = WIDTH // 2
    np.testing.assert_allclose(row[: middle - 1], COLOUR[0], atol=0.02)
    np.testing.assert_allclose(row[middle:], 0.0, atol=0.02)


def test_variable_frame_rate_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_movie(path, "libx264", "yuv420p", 8, skip=(4, 5, 6, 17))
    with pytest.raises(PlateError, match=r"variable frame rate[\s\S]*ffmpeg"):
        Movie(path)


def test_unreadable_movies(tmp_path: Path) -> None:
    path = tmp_path / "a.mov"
    path.write_bytes(b"not a movie" * 100)
    with pytest.raises(PlateError, match="cannot read the movie"):
        Movie(path)
    write_movie(path, "prores_ks", "yuv422p10le", 10)
    path.write_bytes(path.read_bytes()[:-2000])  # the index stands at the end
    with pytest.raises(PlateError) as caught:
        Movie(path)
    assert caught.value.path == str(path)


def test_truncated_movie_gives_the_frames_that_are_there(tmp_path: Path) -> None:
    path = tmp_path / "a.mov"
    fast = tmp_path / "fast.mov"
    write_movie(path, "prores_ks", "yuv422p10le", 10)
    with (
        av.open(str(path)) as source,
        av.open(str(fast), "w", options={"movflags": "faststart"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    fast.write_bytes(fast.read_bytes()[: fast.stat().st_size // 2])
    movie = Movie(fast)
    found = dict(movie.pictures(movie.numbers))
    good = [number for number, picture in found.items() if isinstance(picture, np.ndarray)]
    assert len(found) == COUNT
    assert good == list(range(1, len(good) + 1))
    assert 10 <= len(good) <= 20
    last = found[COUNT]
    assert isinstance(last, PlateError)
    assert last.frame == COUNT
    with pytest.raises(MissingFrameError, match="no such frame"):
        movie.read(COUNT + 1)


def test_damaged_frame_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "a.mov"
    write_movie(path, "prores_ks", "yuv422p10le", 10)
    with av.open(str(path)) as container:
        entry = list(container.streams.video[0].index_entries)[12]
    damaged = bytearray(path.read_bytes())
    damaged[entry.pos : entry.pos + entry.size] = b"\x55" * entry.size
    path.write_bytes(damaged)
    found = dict(Movie(path).pictures(range(1, COUNT + 1)))
    bad = [number for number, picture in found.items() if not isinstance(picture, np.ndarray)]
    assert bad == [13]


def test_prores_4444_round_trip(tmp_path: Path) -> None:
    rgba = np.zeros((HEIGHT, WIDTH, 4), np.float32)
    rgba[:, :, :3] = COLOUR
    rgba[:, :, 3] = np.linspace(0, 1, WIDTH)
    path = write_prores(tmp_path / "out" / "a é.mov", [rgba] * 3, Fraction(24000, 1001))
    assert [p.name for p in path.parent.iterdir()] == ["a é.mov"]
    movie = Movie(path)
    assert (movie.info.count, movie.info.fps) == (3, Fraction(24000, 1001))
    np.testing.assert_allclose(movie.read(3)[20, 20], COLOUR, atol=6e-3)
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        assert frame.format.name.startswith("yuva444p")
        alpha = frame.reformat(format="rgba64le").to_ndarray()[20, :, 3] / 65535
    np.testing.assert_allclose(alpha, rgba[20, :, 3], atol=4e-3)


def test_prores_leaves_nothing_behind_on_failure(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no frames"):
        write_prores(tmp_path / "a.mov", [], 24)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "frames", "fps", "expected"),
    [("01:00:00:00", 25, 24, "01:00:01:01"), ("23:59:59:23", 1, 24, "00:00:00:00"),
     ("00:00:59;29", 1, Fraction(30000, 1001), "00:01:00;02"),
     ("00:09:59;29", 1, Fraction(30000, 1001), "00:10:00;00"),
     ("01:00:00;00", 107892, Fraction(30000, 1001), "02:00:00;00"),
     ("00:00:00;00", 1799, Fraction(30000, 1001), "00:00:59;29"),
     ("00:01:59;29", 1, Fraction(30000, 1001), "00:02:00;02")],
)  # fmt: skip
def test_timecode(text: str, frames: int, fps: Fraction, expected: str) -> None:
    assert advance_timecode(text, frames, Fraction(fps)) == expected
