"""Conversion of rendered layers to a shot on disk: plate, alpha, keyframes, shot.toml.

The plate is made in linear light as F·α + (1 − α)·B with the alpha that is written beside it, and
only then gets its grain, so the alpha is exact for the plate.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import OpenEXR

from training.elements.extend_colour import extend_colour
from training.render.plans import ShotPlan
from training.render.scene import FPS
from training.render.shots import SHOTS, layer_paths, subject_path
from vfxmatte.errors import MissingFrameError
from vfxmatte.io.temporary import renamed_when_whole, write_whole
from vfxmatte.trimaps import dilate
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FloatImage, Labels

SOFT_LOW, SOFT_HIGH = 0.02, 0.98
BAND_PX = 7.0
"""Half the width of the band an artist paints around a soft edge, at 640 pixels across."""

_GRAIN_SHOT, _GRAIN_READ = 0.00007, 0.0005
"""The grain's variance per unit of light, and its standard deviation in the dark."""

_DWA_LEVEL = 240.0
"""Compression of the plates, high to keep three shots a small download."""


def finish_shot(name: str, layers: Path, frames: range, folder: Path, *, seed: int) -> None:
    """Write plate/, alpha/, trimaps/ (the plan's keyframes) and shot.toml into `folder`.

    Of several subjects each has a folder of its own in alpha/ and trimaps/.

    Existing files are overwritten: they cost little beside the layers.

    Raises:
        MissingFrameError: a layer of a frame has not been rendered.
    """
    plan = SHOTS.get(name)
    keyframes = plan.keyframes(frames) if plan else {frames[0], frames[-1]}
    for frame in frames:
        fronts, back = _fronts(layers, frame, plan)
        plate = (
            1 - np.stack([a for _, a in fronts.values()], axis=2).sum(axis=2, keepdims=True)
        ) * back
        for subject, (colour, alpha) in fronts.items():
            plate = plate + alpha[..., None] * colour
            write_alpha(folder / "alpha" / subject / f"alpha.{frame}.exr", alpha, frame)
            if frame in keyframes:
                path = folder / "trimaps" / subject / f"trimap.{frame}.png"
                write_trimap(path, trimap_of(alpha))
        write_plate(folder / f"plate/plate.{frame}.exr", grained(plate, seed, frame), frame)
    write_whole(folder / "shot.toml", _settings(name, frames))


def _fronts(layers: Path, frame: int, plan: ShotPlan | None) -> tuple[dict[str, Front], FloatImage]:
    if plan and plan.subjects:
        return read_subjects(layers, frame, plan.subjects)
    trusted = _SURE if plan and plan.articulated else _FAINT
    colour, alpha, back = read_layers(layers, frame, trusted_alpha=trusted)
    return {"": (colour, alpha)}, back


_FAINT, _SURE = 0.08, 0.7
"""The coverage in the shaded pass from which its colour is taken; with few samples, or in motion,
less than the second leaves speckles."""


def read_layers(
    folder: Path, frame: int, *, trusted_alpha: float = _FAINT
) -> tuple[FloatImage, FloatImage, FloatImage]:
    """Read straight foreground (H, W, 3), alpha (H, W) and background (H, W, 3), scene-linear."""
    front, cover, back = (_read_layer(path, frame) for path in layer_paths(folder, frame))
    alpha = exact_alpha(cover)
    colour = _enlarged(straight_colour(front, trusted_alpha), alpha)
    return colour, alpha, _enlarged(back[..., :3], alpha)


Front = tuple[FloatImage, FloatImage]
"""Straight foreground colour (H, W, 3) and alpha (H, W)."""


def read_subjects(
    folder: Path, frame: int, names: Sequence[str]
) -> tuple[dict[str, Front], FloatImage]:
    """Read the straight colour and the visible alpha of each subject, and the background.

    The alphas are the half floats that will be written; they sum to at most 1.
    """
    _, alpha_path, back_path = layer_paths(folder, frame)
    cover, back = _read_layer(alpha_path, frame), _read_layer(back_path, frame)
    left = np.ones(cover.shape[:2], np.float32)
    fronts: dict[str, Front] = {}
    for index, name in enumerate(names):
        alpha = _half_at_most(np.clip(cover[..., index], 0, 1), left)
        left = left - alpha
        front = _read_layer(subject_path(folder, frame, name), frame)
        fronts[name] = _enlarged(straight_colour(front, _SURE), alpha), alpha
    return fronts, _enlarged(back[..., :3], cover)


def _half_at_most(values: FloatImage, limit: FloatImage) -> FloatImage:
    """Round to half floats that do not exceed the limit."""
    rounded = np.minimum(values, limit).astype(np.float16)
    over = rounded.astype(np.float32) > limit
    rounded[over] = np.nextafter(rounded[over], np.float16(0))
    return rounded.astype(np.float32)


def _read_layer(path: Path, frame: int) -> FloatImage:
    if not path.is_file():
        raise MissingFrameError("a layer has not been rendered", frame=frame, path=path)
    return _read_rgba(path)


def _enlarged(colour: FloatImage, like: FloatImage) -> FloatImage:
    """Resize colour to the size of another picture; it may be rendered smaller."""
    size = (like.shape[1], like.shape[0])
    return np.maximum(cv2.resize(colour, size, interpolation=cv2.INTER_CUBIC), 0)


def exact_alpha(cover: FloatImage) -> FloatImage:
    """Return coverage (H, W) as the half floats that will be written, within 0 and 1."""
    return np.clip(cover[..., 3], 0, 1).astype(np.float16).astype(np.float32)


def straight_colour(front: FloatImage, trusted_alpha: float = _FAINT) -> FloatImage:
    """Un-premultiply colour (H, W, 3) and extend it over the whole picture.

    The shaded pass and the alpha pass are sampled separately, so a thin strand may have coverage
    where the shaded pass has none; its colour is then that of its surroundings.
    """
    guide = np.clip(front[..., 3], 0, 1).astype(np.float32)
    colour = np.asarray(front[..., :3] / np.maximum(guide, 1e-3)[..., None], dtype=np.float32)
    return np.maximum(extend_colour(colour, guide, trusted_alpha=trusted_alpha), 0)


def grained(plate: FloatImage, seed: int, frame: int) -> FloatImage:
    """Add grain whose variance grows with the light, decided by seed and frame."""
    rng = np.random.default_rng([seed, frame])
    noise = rng.normal(0, 1, plate.shape).astype(np.float32)
    blurred = cv2.GaussianBlur(noise, (0, 0), 0.6)
    soft = blurred / np.std(blurred)
    deviation = np.sqrt(_GRAIN_SHOT * np.clip(plate, 0, 4) + _GRAIN_READ**2)
    return np.asarray(plate + deviation * soft, dtype=np.float32)


def trimap_of(alpha: FloatImage, band_px: float | None = None) -> Labels:
    """Draw the keyframe an artist would paint: soft pixels and `band_px` around are unknown."""
    soft = (alpha > SOFT_LOW) & (alpha < SOFT_HIGH)
    solid = alpha >= SOFT_HIGH
    if not soft.any():  # a hard edge still needs a band
        soft = cv2.dilate(solid.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool) & ~solid
    band = BAND_PX * alpha.shape[1] / 640 if band_px is None else band_px
    labels = np.where(solid, FOREGROUND, BACKGROUND).astype(np.uint8)
    labels[dilate(soft, band)] = UNKNOWN
    return labels


def write_plate(path: Path, pixels: FloatImage, frame: int) -> None:
    """Write R, G, B half float, DWAB, linear Rec.709, with time code and frame rate."""
    channels = {name: pixels[..., i].astype(np.float16) for i, name in enumerate("RGB")}
    _write(path, channels, frame, OpenEXR.DWAB_COMPRESSION)


def write_alpha(path: Path, alpha: FloatImage, frame: int) -> None:
    """Write the exact coverage as channel A, half float, ZIP."""
    _write(path, {"A": alpha.astype(np.float16)}, frame, OpenEXR.ZIP_COMPRESSION)


def write_trimap(path: Path, labels: Labels) -> None:
    with renamed_when_whole(path) as part:
        cv2.imwrite(str(part), labels)


def _write(path: Path, channels: dict[str, Any], frame: int, compression: Any) -> None:
    header = _attributes(frame) | {"compression": compression, "type": OpenEXR.scanlineimage}
    planes = {name: np.ascontiguousarray(pixels) for name, pixels in channels.items()}
    with renamed_when_whole(path) as part:
        OpenEXR.File(header, planes).write(str(part))


def _attributes(frame: int) -> dict[str, Any]:
    return {
        "framesPerSecond": Fraction(FPS),
        "timeCode": _timecode(frame),
        "pixelAspectRatio": 1.0,
        "dwaCompressionLevel": _DWA_LEVEL,
        "chromaticities": (0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329),
        "colorInteropID": "lin_rec709_scene",
    }


def _timecode(frame: int) -> Any:
    seconds, part = divmod(frame, FPS)
    hours, minutes = seconds // 3600, seconds // 60 % 60
    flags_and_user_bits = [0] * 14
    return OpenEXR.TimeCode(hours, minutes, seconds % 60, part, *flags_and_user_bits)


def read_element(folder: Path, seed: int) -> tuple[FloatImage, FloatImage]:
    """Read straight colour (H, W, 3) and alpha (H, W) of a still element, scene-linear."""
    front, cover, _ = layer_paths(folder, seed)
    return straight_colour(_read_rgba(front)), exact_alpha(_read_rgba(cover))


def write_rgba(path: Path, pixels: FloatImage) -> None:
    """Write premultiplied scene-linear R, G, B, A, half float, ZIP."""
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"RGBA": pixels.astype(np.float16)}).write(str(path))


def read_channels(path: Path, names: str) -> FloatImage:
    """Read channels (H, W, C) of an EXR as float32, e.g. `RGB` or `A`."""
    with OpenEXR.File(str(path), separate_channels=True) as file:
        planes = file.channels()
        return np.stack([np.asarray(planes[n].pixels, dtype=np.float32) for n in names], axis=-1)


def _read_rgba(path: Path) -> FloatImage:
    return read_channels(path, "RGBA")


def _settings(name: str, frames: range) -> str:
    return (
        f"# {name}: rendered; alpha/ holds the exact coverage of every frame\n"
        f'frames = "{frames[0]}-{frames[-1]}"\n'
        f"fps = {FPS}\n"
        'colorspace = "lin_rec709_scene"\n'
    )
