"""Preview pictures and movies of mattes, composited over a saturated colour, which hides nothing.

Composites are made in scene-linear light with premultiplied colour at the plate's full size, then
reduced and encoded for an sRGB display.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from vfxmatte.colour import ColourConfig, encode_for_network
from vfxmatte.errors import OutputError
from vfxmatte.io.canvas import crop
from vfxmatte.io.rates import frame_rate
from vfxmatte.io.temporary import renamed_when_whole, write_whole
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FloatImage, Frame, Labels, Picture

H264_ENCODERS = ("libx264", "libopenh264", "h264_videotoolbox", "h264_mf")
"""H.264 encoders that PyAV may have, best first."""

GROUND = np.array((0.8, 0.02, 0.45), np.float32)
"""Scene-linear colour behind composites: holes, halos and ghosts show on it."""
_CHECKER = (0.09, 0.25)  # scene-linear grey of the squares
_SQUARE_PX = 16
_TINTS = {
    BACKGROUND: ((0.15, 0.25, 0.9), 0.35),  # display RGB and opacity
    UNKNOWN: ((1.0, 0.8, 0.1), 0.5),
    FOREGROUND: ((0.2, 0.9, 0.3), 0.25),
}
_MARGIN_PX = 4
_CAPTION_PX = 22
PAPER = 28
"""Grey value of the sheets' background."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Panels:
    """Four (h, w, 3) uint8 sRGB pictures of one frame."""

    caption: str
    """The frame number, and a remark."""
    plate: Picture
    """The plate."""
    trimap: Picture
    """The plate, tinted blue for background, yellow for unknown, green for foreground."""
    alpha: Picture
    """The matte."""
    composite: Picture
    """The foreground over a saturated colour."""


def make_panels(
    frame: Frame,
    alpha: FloatImage | None,
    labels: Labels | None,
    colours: ColourConfig,
    *,
    width_px: int,
    is_keyframe: bool = False,
    confidence: float | None = None,
    foreground: FloatImage | None = None,
) -> Panels:
    """Draw one frame over its display window, at most `width_px` wide, with square pixels.

    Args:
        alpha: (H, W) float32 over the frame's canvas; None gives black panels.
        labels: (H, W) uint8 over the canvas; None leaves the plate untinted.
        confidence: of the matte, for the caption.
        foreground: (H, W, 3) straight linear Rec.709 over the canvas, to composite; None takes the
            plate's own colour.
    Raises:
        ColourError: the frame's colour space is unknown.
    """
    linear = _displayed(colours.to_linear_rec709(frame.pixels, frame.colour_space), frame)
    size = _size(frame, width_px)
    plate = to_display(resized(linear, size))
    matte = composite = np.zeros_like(plate)
    if alpha is not None:
        coverage = crop(alpha, frame.canvas, frame.display_window)
        matte = grey_picture(resized(coverage, size))
        own = linear if foreground is None else _displayed(foreground, frame)
        composite = _over_ground(own, coverage, size)
    sure = "" if confidence is None or is_keyframe else f" confidence {confidence:.2f}"
    return Panels(
        caption=f"{frame.number}{' keyframe' if is_keyframe else sure}"
        f"{' no matte' if alpha is None else ''}",
        plate=plate,
        trimap=plate if labels is None else _tinted(plate, labels, frame, size),
        alpha=matte,
        composite=composite,
    )


def _displayed(linear: FloatImage, frame: Frame) -> FloatImage:
    """Crop colour over the canvas to the display window; finite."""
    finite = np.nan_to_num(linear, nan=0.0, posinf=65504.0, neginf=0.0)
    return crop(finite, frame.canvas, frame.display_window)


def _over_ground(colour: FloatImage, alpha: FloatImage, size: tuple[int, int]) -> Picture:
    """Composite straight colour over `GROUND`, reduced."""
    premultiplied = resized(colour * alpha[:, :, None], size)
    ground = np.broadcast_to(GROUND, premultiplied.shape)
    return to_display(over(premultiplied, resized(alpha, size), ground))


def over(premultiplied: FloatImage, alpha: FloatImage, ground: FloatImage) -> FloatImage:
    """Composite premultiplied (H, W, 3) scene-linear colour over a ground; alpha (H, W), 0 to 1."""
    return cast(FloatImage, premultiplied + (1 - alpha[:, :, None]) * ground)


def checker(shape: tuple[int, ...]) -> FloatImage:
    """Return (h, w, 3) float32 scene-linear grey squares."""
    rows, columns = np.indices(shape[:2], np.int32) // _SQUARE_PX
    values = np.where((rows + columns) % 2, *_CHECKER).astype(np.float32)
    return np.repeat(values[:, :, None], 3, axis=2)


def grey_picture(values: FloatImage) -> Picture:
    """Convert (h, w) values from 0 to 1 to (h, w, 3) uint8."""
    return np.rint(values[:, :, None].repeat(3, axis=2) * 255).astype(np.uint8)


def to_display(linear: FloatImage) -> Picture:
    """Convert (..., 3) scene-linear Rec.709 to 8-bit sRGB, clipped at white."""
    return np.rint(np.clip(encode_for_network(linear), 0, 1) * 255).astype(np.uint8)


def contact_sheet(rows: Sequence[Panels], path: str | Path) -> Path:
    """Write a PNG with a row per frame: plate, trimap over plate, alpha, composite over a colour.

    Raises OutputError; ValueError without rows.
    """
    if not rows:
        raise ValueError("a contact sheet needs at least one frame")
    head = _row_of(None, rows[0])
    sheet = np.concatenate([head, *(_row_of(row.caption, row) for row in rows)])
    return write_png(sheet, Path(path))


def write_png(picture: Picture, path: Path) -> Path:
    """Write (h, w, 3) uint8 sRGB, completely or not at all; raises OutputError."""
    encoded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1]
    write_whole(path, encoded.tobytes())
    return path


def preview_movie(frames: Iterable[Panels], path: str | Path, fps: Fraction | float) -> Path:
    """Write an H.264 MP4, plate beside composite, with one frame in memory at a time.

    Raises OutputError if PyAV has no H.264 encoder, without frames, or if writing fails.
    """
    path = Path(path)
    encoder = h264_encoder()
    if encoder is None:
        raise OutputError(
            "no H.264 encoder: this build of PyAV has none",
            path=path,
            hint="use --preview sheet, or install PyAV's own wheel (pip install av)",
        )
    with renamed_when_whole(path) as temporary:
        try:
            _encode(temporary, encoder, frames, frame_rate(fps))
        except av.FFmpegError as error:
            raise OutputError(f"cannot write the movie: {error}", path=path) from error
        except OutputError as error:
            error.path = str(path)
            raise
    return path


def h264_encoder() -> str | None:
    """Return the first available of `H264_ENCODERS`."""
    return next((name for name in H264_ENCODERS if name in av.codecs_available), None)


def _encode(path: Path, encoder: str, frames: Iterable[Panels], fps: Fraction) -> None:
    with av.open(str(path), "w", format="mp4") as container:
        stream: Any = None
        for panels in frames:
            picture = _even(np.concatenate((panels.plate, panels.composite), axis=1))
            if stream is None:
                stream = _stream(container, encoder, picture, fps)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame = frame.reformat(
                format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
            )
            container.mux(stream.encode(frame))
        if stream is None:
            raise OutputError("no frames to show", path=path)
        container.mux(stream.encode())


def _stream(container: Any, encoder: str, picture: Picture, fps: Fraction) -> Any:
    options = {"crf": "18", "preset": "veryfast"} if encoder == "libx264" else {}
    stream = container.add_stream(encoder, rate=fps, options=options)
    stream.height, stream.width = picture.shape[:2]
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.colorspace = context.color_primaries = 1  # Rec.709
    context.color_trc, context.color_range = 13, 1  # sRGB's curve, legal range
    return stream


def _even(picture: Picture) -> Picture:
    """Repeat an odd edge: H.264's chroma needs even sides."""
    height, width = picture.shape[:2]
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _size(frame: Frame, width_px: int) -> tuple[int, int]:
    """Return (width, height) of a panel, at most as wide as the plate."""
    window = frame.display_window
    width = window.width * frame.pixel_aspect
    scale = min(1.0, width_px / width)
    return max(1, round(width * scale)), max(1, round(window.height * scale))


def resized(values: FloatImage, size: tuple[int, int]) -> FloatImage:
    """Resize to (width, height): by averaging where it gets smaller."""
    if values.shape[1::-1] == size:
        return values
    smaller = size[0] <= values.shape[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(values, size, interpolation=how), np.float32)


def _tinted(plate: Picture, labels: Labels, frame: Frame, size: tuple[int, int]) -> Picture:
    """Tint the plate by the labels over the frame's canvas."""
    inside = crop(cast(FloatImage, labels), frame.canvas, frame.display_window)
    return tinted(plate, cv2.resize(inside, size, interpolation=cv2.INTER_NEAREST))


def tinted(plate: Picture, labels: NDArray[Any]) -> Picture:
    """Return (h, w, 3) uint8 sRGB in pale grey, tinted by the labels (h, w)."""
    grey = plate.mean(axis=2, keepdims=True) * 0.8
    mixed = grey.repeat(3, axis=2)
    for label, (colour, share) in _TINTS.items():
        mask = labels == label
        mixed[mask] = (1 - share) * mixed[mask] + share * 255 * np.array(colour)
    return np.asarray(np.rint(mixed), np.uint8)


def _row_of(caption: str | None, panels: Panels) -> Picture:
    """Draw a frame's row with its caption, or the sheet's head without one."""
    named = {
        "plate": panels.plate,
        "trimap": panels.trimap,
        "alpha": panels.alpha,
        "over a colour": panels.composite,
    }
    cells = []
    for index, (name, picture) in enumerate(named.items()):
        text = name if caption is None else caption if index == 0 else ""
        body = picture[:0] if caption is None else picture
        bar = caption_bar(text, picture.shape[1])
        cells.append(framed(np.concatenate((bar, body))))
    return np.concatenate(cells, axis=1)


def caption_bar(text: str, width: int) -> Picture:
    """Draw a line of text, as wide as the picture below it."""
    bar = np.full((_CAPTION_PX, width, 3), PAPER, np.uint8)
    where, font = (2, _CAPTION_PX - 7), cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(bar, text, where, font, 0.5, (225, 225, 225), 1, cv2.LINE_AA)
    return bar


def framed(picture: Picture) -> Picture:
    """Add a margin to the left and below."""
    sides = ((0, _MARGIN_PX), (_MARGIN_PX, 0), (0, 0))
    return np.pad(picture, sides, constant_values=PAPER)


def evenly_chosen(numbers: Sequence[int], count: int) -> list[int]:
    """Return up to `count` numbers, evenly spread, with the first and the last."""
    if len(numbers) <= count:
        return list(numbers)
    places = np.linspace(0, len(numbers) - 1, count)
    return [numbers[round(place)] for place in places]


def worst_chosen(confidences: Mapping[int, float], count: int) -> list[int]:
    """Return up to `count` frames with the least confidence, ascending and not all side by side.

    Evenly spread ones where all are equally sure.

    Args:
        confidences: by frame number, 0 to 1.
    """
    numbers = sorted(confidences)
    if len(numbers) <= count or len(set(confidences.values())) == 1:
        return evenly_chosen(numbers, count)
    ranked = sorted(numbers, key=lambda number: confidences[number])
    apart = (numbers[-1] - numbers[0]) // (2 * count)
    chosen: list[int] = []
    for least in (apart, 0):
        for number in ranked:
            if len(chosen) < count and all(abs(number - other) > least for other in chosen):
                chosen.append(number)
    return sorted(chosen)
