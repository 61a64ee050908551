"""Every pixel format: as FFmpeg itself converts it, or refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from vfxmatte.errors import PlateError
from vfxmatte.io.movies.movie import Movie
from vfxmatte.io.movies.pixel_formats import layout_of
from vfxmatte.io.movies.yuv import Encoding, picture_of
from vfxmatte.io.plates import open_plate

WIDTH, HEIGHT, BLOCK = 64, 48, 16
NAMES = sorted(av.video.format.names)
READABLE = {name for name in NAMES if name == "pal8" or layout_of(name) is not None}
CENTRES = (slice(BLOCK // 2, None, BLOCK), slice(BLOCK // 2, None, BLOCK))
COARSE = ("444", "555", "565")  # bits of packed RGB, which FFmpeg dithers and widens by shifting
HARDWARE = {
    "amf", "cuda", "d3d11", "d3d11va_vld", "d3d12", "drm_prime", "dxva2_vld", "mediacodec", "mmal",
    "ohcodec", "opencl", "qsv", "vaapi", "vdpau", "videotoolbox_vld", "vulkan",
}  # fmt: skip


def source() -> Any:
    """Twelve blocks of random colours, as 16-bit RGB."""
    colours = np.random.default_rng(3).integers(3000, 60000, (3, 4, 3))
    picture = colours.repeat(BLOCK, 0).repeat(BLOCK, 1).astype(np.uint16)
    return av.VideoFrame.from_ndarray(picture, format="rgb48le")


def converted(frame: Any, name: str) -> Any:
    """FFmpeg's conversion; None where it has none. Blocks tell no interpolation apart."""
    try:
        return frame.reformat(format=name)
    except (ValueError, av.FFmpegError):
        return None


def reference(frame: Any) -> np.ndarray:
    return np.asarray(frame.reformat(format="rgb48le").to_ndarray())[CENTRES] / 65535


def ours(frame: Any) -> np.ndarray:
    return picture_of(frame, Encoding.of(frame))[CENTRES]


def tolerance(name: str) -> float:
    """FFmpeg's own conversions of 8-bit Y'CbCr err by two code values, those of 555 by seven."""
    if any(name[3:].startswith(bits) for bits in COARSE):
        return 0.07
    layout = layout_of(name)
    bits = 8 if layout is None else layout.components[0].bits
    return 0.0115 if bits == 8 else 0.004


@pytest.mark.parametrize("name", [name for name in NAMES if name not in HARDWARE])
def test_as_ffmpeg_converts_it_or_refused(name: str) -> None:
    frame = converted(source(), name)
    if frame is None or name in ("pal8",):
        if name in READABLE:
            pytest.skip("FFmpeg cannot make it: see the tests by hand below")
        with pytest.raises(PlateError, match=f"pixel format {name} is not supported"):
            Encoding.of(av.VideoFrame(WIDTH, HEIGHT, name))
        return
    if name not in READABLE:
        with pytest.raises(PlateError, match=f"pixel format {name} is not supported.*\n.*ffmpeg"):
            ours(frame)
        return
    truth = np.asarray(source().to_ndarray())[CENTRES] / 65535
    if "gray" in name or name.startswith("ya"):
        truth = reference(frame)
    made = max(tolerance(name), 0.0115 if "rgb" not in name and "gbr" not in name else 0)
    np.testing.assert_allclose(ours(frame), np.broadcast_to(truth, (3, 4, 3)), atol=made)
    np.testing.assert_allclose(ours(frame).clip(0, 1), reference(frame), atol=tolerance(name))


def test_most_formats_are_read() -> None:
    read = [name for name in NAMES if name in READABLE]
    assert len(read) >= 190
    assert not HARDWARE & set(read)
    for name in ("bayer_rggb16le", "xyz12le", "monow", "monob", "rgb8", "gray32le", "grayf32le"):
        assert name in NAMES and name not in read


def is_float(name: str) -> bool:
    layout = layout_of(name)
    return layout is not None and layout.is_float


FLOATS = [name for name in NAMES if is_float(name)]


@pytest.mark.parametrize("name", FLOATS)
def test_floats_are_taken_as_they_are(name: str) -> None:
    """Values below 0 and above 1 too; R, G, B are 0.25, -0.5, 6."""
    layout = layout_of(name)
    assert layout is not None
    frame = av.VideoFrame(WIDTH, HEIGHT, name)
    values = (0.25, -0.5, 6.0)
    planes = [np.zeros(plane.buffer_size // np.dtype(layout.word).itemsize, layout.word)
              for plane in frame.planes]  # fmt: skip
    order, planar = {"r": 0, "g": 1, "b": 2}, name.startswith("gbr")
    letters = "gbr" if planar else name.split("f")[0]
    for at, letter in enumerate(letters.replace("a", "")):
        if planar:
            planes[at][:] = values[order[letter]]
        else:
            planes[0][at :: len(letters)] = values[order[letter]]
    for plane, content in zip(frame.planes, planes, strict=True):
        plane.update(content.tobytes())
    np.testing.assert_array_equal(picture_of(frame, Encoding.of(frame))[5, 7], values)


@pytest.mark.parametrize(
    "name", ["rgb555le", "rgb565be", "bgr444le", "gbrp10le", "rgb48be", "gray12be"]
)
def test_white_is_one(name: str) -> None:
    layout = layout_of(name)
    assert layout is not None
    frame = av.VideoFrame(WIDTH, HEIGHT, name)
    for plane in frame.planes:
        words = plane.buffer_size // np.dtype(layout.word).itemsize
        top = 0
        for component in layout.components:
            top |= ((1 << component.bits) - 1) << component.shift
        plane.update(np.full(words, top, layout.word).tobytes())
    assert picture_of(frame, Encoding.of(frame))[0, 0].tolist() == [1, 1, 1]


LOSSLESS = [
    *((f"{name}.nut", "rawvideo", name) for name in (
        "nv12", "nv16", "nv21", "nv24", "p010le", "p016le", "p210le", "p216le", "p410le", "yuyv422",
        "uyvy422", "yuv411p", "yuv410p", "yuv440p", "yuva420p", "yuva444p10le", "gray", "gray10le",
        "gray16be", "gray16le", "ya8", "ya16le", "gbrp", "gbrp10be", "gbrp12le", "gbrp16be",
        "gbrap", "gbrap12be", "gbrap16le", "rgb24", "bgr24", "0rgb", "rgb0", "0bgr", "argb",
        "abgr", "rgba", "rgb48be", "rgb48le", "bgr48be", "rgba64be", "bgra64le", "x2rgb10le",
        "rgb555le", "rgb565be", "yuv420p10be", "yuv422p16be", "yuv444p12be", "y210le", "xv30le",
        "xv36le", "vuya", "ayuv64le",
    )),
    *(("a.mkv", "ffv1", name) for name in (
        "yuv420p", "yuv422p10le", "yuv444p16le", "yuv411p", "yuv440p12le", "yuva444p12le", "bgr0",
        "bgra", "gbrp9le", "gbrp14le", "gbrap10le", "gray", "gray9le", "gray16le", "ya8", "rgb48le",
    )),
    *(("a.mov", "png", name) for name in ("rgb24", "rgba", "rgb48be", "gray", "gray16be", "ya8")),
    *(("a.mov", "qtrle", name) for name in ("rgb24", "argb", "rgb555be")),
    ("a.avi", "rawvideo", "bgr24"), ("a.avi", "rawvideo", "uyvy422"),
    ("a.mov", "v210", "yuv422p10le"),
    ("a.mov", "r210", "gbrp10le"), ("a.avi", "utvideo", "yuv422p"),
    ("a.mov", "v308", "yuv444p"), ("a.mov", "v410", "yuv444p10le"), ("a.avi", "magicyuv", "gbrp"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "codec", "name"), LOSSLESS)
def test_lossless_movies(tmp_path: Path, file: str, codec: str, name: str) -> None:
    """As FFmpeg converts the frames that it decodes; as the source has it, but for rounding."""
    path = tmp_path / file
    frame = source().reformat(format=name)
    try:
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=24)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, name
            for i in range(3):
                frame.pts = i
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    except (ValueError, av.FFmpegError) as error:
        pytest.skip(f"this FFmpeg does not write {name} as {codec}: {error}")
    movie = Movie(path)
    with av.open(str(path)) as container:
        decoded = next(container.decode(video=0))
        expected = reference(decoded)
    for number in (1, 3, 2):
        np.testing.assert_allclose(
            movie.read(number)[CENTRES].clip(0, 1), expected, atol=tolerance(decoded.format.name)
        )


def palette_movie(path: Path, codec: str) -> tuple[np.ndarray, np.ndarray]:
    indices = np.arange(WIDTH * HEIGHT).reshape(HEIGHT, WIDTH).astype(np.uint8)
    palette = np.random.default_rng(1).integers(0, 256, (256, 4)).astype(np.uint8)
    palette[:, 0] = 255  # alpha first
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=24)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "pal8"
        for i in range(6):
            frame = av.VideoFrame.from_ndarray((np.roll(indices, i, 1), palette), format="pal8")
            frame.pts = i
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return indices, palette[:, 1:] / np.float32(255)


@pytest.mark.parametrize(
    ("file", "codec"),
    [("a.mov", "png"), ("a.nut", "rawvideo"), ("a.avi", "rawvideo")],
)
def test_palettes(tmp_path: Path, file: str, codec: str) -> None:
    path = tmp_path / file
    try:
        indices, colours = palette_movie(path, codec)
    except (ValueError, av.FFmpegError) as error:
        pytest.skip(f"this FFmpeg does not write it: {error}")
    movie = Movie(path)
    assert movie.info.pixel_format == "pal8"
    for number in (1, 2, 6, 3):
        expected = colours[np.roll(indices, number - 1, 1)]
        np.testing.assert_allclose(movie.read(number), expected, atol=1e-6)


def test_float_movies_are_linear(tmp_path: Path) -> None:
    path = tmp_path / "a.mov"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("exr", rate=24)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "gbrpf32le"
        frame = av.VideoFrame(WIDTH, HEIGHT, "gbrpf32le")
        for plane, value in zip(frame.planes, (0.5, -0.25, 7.5), strict=True):
            plane.update(np.full(plane.buffer_size // 4, value, "<f4").tobytes())
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with open_plate(path) as plate:
        np.testing.assert_array_equal(plate.read(1).pixels[3, 3], (7.5, 0.5, -0.25))
        assert (
            "linear" in plate.info.colour_space.lower()
            or "acescg" in plate.info.colour_space.lower()
        )


@pytest.mark.parametrize("tag", [0, 1, 2])
@pytest.mark.parametrize("name", ["gray", "gray16le", "bgr0", "gbrp10le"])
def test_grey_and_rgb_are_of_full_range(tmp_path: Path, name: str, tag: int) -> None:
    path = tmp_path / "a.mkv"
    frame = source().reformat(format=name)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, name
        stream.codec_context.color_range = tag
        frame.color_range = tag
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    movie = Movie(path)
    np.testing.assert_allclose(movie.read(1)[CENTRES], reference(frame), atol=0.004)
    assert any("legal" in note for note in movie.info.notes) == (tag == 1)


@pytest.mark.parametrize("size", [(65, 49), (33, 17), (63, 50)])
@pytest.mark.parametrize(
    "name", ["yuv420p", "yuv411p", "yuv410p", "yuyv422", "nv12", "gbrp", "rgb24"]
)
def test_odd_sizes(name: str, size: tuple[int, int]) -> None:
    picture = np.broadcast_to(np.array([200, 80, 40], np.uint8), (size[1], size[0], 3))
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    found = frame.reformat(format=name)
    pixels = picture_of(found, Encoding.of(found))
    assert pixels.shape == (size[1], size[0], 3)
    inner = pixels[:16, :32]
    np.testing.assert_allclose(inner * 255, np.broadcast_to((200, 80, 40), inner.shape), atol=3)
