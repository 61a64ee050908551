"""Moving shots with exact alpha from still elements, rendered without Blender.

One cut-out element (straight sRGB colour with 8-bit alpha) is moved over a photograph. Both are
warped per sub-frame, composited in linear light and averaged over the open shutter, so that motion
blur mixes colours as a camera does; the alpha is warped and averaged likewise and is exact. The
element translates, rotates, scales and bends (smooth non-rigid waves); the photograph pans and
zooms as under a moving camera; grain comes last. Everything is a function of the seed. Surfaces
that a rotation would reveal need a 3D render instead.

Example: `python -m training.render.moving_composites ELEMENTS BACKGROUNDS OUTPUT --shots 8`
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from vfxmatte.colour import decode_srgb
from vfxmatte.trimaps import from_matte
from vfxmatte.types import FloatImage


@dataclass(frozen=True, kw_only=True)
class Motion:
    """The motion of one shot; pixels and degrees are per frame at the shot's own size."""

    drift_px: tuple[float, float] = (0.0, 0.0)
    """The element's translation (x, y)."""
    spin_deg: float = 0.0
    """The element's rotation."""
    zoom: float = 1.0
    """The element's scale factor."""
    sway_px: float = 0.0
    """Amplitude of the bending, a sum of travelling waves."""
    sway_wavelength_px: float = 160.0
    sway_period: float = 24.0
    """Period of the bending in frames."""
    wobble_px: float = 0.0
    """Amplitude of an oscillation of the whole element, as of a hand-held prop."""
    wobble_period: float = 12.0
    """Period of the oscillation in frames."""
    pan_px: tuple[float, float] = (0.0, 0.0)
    """The background's translation (x, y)."""
    camera_zoom: float = 1.0
    """The background's scale factor."""
    camera_spin_deg: float = 0.0
    """The background's rotation."""
    shutter: float = 0.5
    """Open share of the frame interval, 0 (no motion blur) to 1."""
    grain: float = 0.01
    """Standard deviation of the noise in mid-grey, in encoded units of 0 to 1."""
    size: float = 0.85
    """The element's height over the picture's."""
    centre: tuple[float, float] = (0.5, 0.55)
    """The element's place in mid-shot, 0 to 1."""
    defocus_px: float = 0.0
    """Blur of the background."""


def random_motion(rng: np.random.Generator) -> Motion:
    """Draw a lively motion: several px per frame, of every kind at once."""

    def around(low: float, high: float) -> float:
        return float(rng.uniform(low, high) * rng.choice((-1.0, 1.0)))

    return Motion(
        drift_px=(around(1.5, 6.0), around(0.3, 2.5)),
        spin_deg=around(0.2, 1.5),
        zoom=float(np.exp(around(0.001, 0.01))),
        sway_px=float(rng.uniform(2.0, 7.0)),
        sway_wavelength_px=float(rng.uniform(90, 240)),
        sway_period=float(rng.uniform(14, 40)),
        wobble_px=float(rng.uniform(0, 6)),
        wobble_period=float(rng.uniform(8, 20)),
        pan_px=(around(1.0, 6.0), around(0.0, 2.0)),
        camera_zoom=float(np.exp(around(0.0, 0.006))),
        camera_spin_deg=around(0.0, 0.3),
        shutter=float(rng.choice((0.0, 0.5, 0.5, 0.9))),
        grain=float(rng.uniform(0.003, 0.025)),
        size=float(rng.uniform(0.75, 1.1)),
        centre=(float(rng.uniform(0.35, 0.65)), float(rng.uniform(0.45, 0.65))),
        defocus_px=float(rng.choice((0.0, 0.0, 2.0, 4.0))),
    )


def load_element(path: Path) -> FloatImage:
    """Read premultiplied linear RGBA (h, w, 4) from straight sRGB, with a clear border added."""
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.ndim != 3 or pixels.shape[2] != 4:
        raise ValueError(f"not an RGBA picture: {path}")
    straight = cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA).astype(np.float32) / 255.0
    alpha = straight[..., 3:]
    linear = np.concatenate([decode_srgb(straight[..., :3]) * alpha, alpha], axis=2)
    bordered = cv2.copyMakeBorder(linear, 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=0)
    return cast(FloatImage, bordered)


def load_background(path: Path) -> FloatImage:
    """Read linear RGB (h, w, 3) from an sRGB photograph."""
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ValueError(f"not a picture: {path}")
    return decode_srgb(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB).astype(np.float32) / 255.0)


class MovingComposite:
    """One shot: iterate `frames()` for (linear RGB (H, W, 3), alpha (H, W)) float32 pairs."""

    def __init__(
        self,
        element: FloatImage,
        background: FloatImage,
        motion: Motion,
        *,
        shape: tuple[int, int] = (540, 960),
        length: int = 25,
        seed: int = 0,
        sub_frames: int = 7,
    ) -> None:
        self.element, self.motion, self.shape, self.length = element, motion, shape, length
        self.sub_frames = sub_frames if motion.shutter > 0 else 1
        self._rng = np.random.default_rng(seed)
        self._waves = self._rng.uniform(0, 2 * np.pi, size=(4, 3))
        blurred = background
        if motion.defocus_px > 0:
            blurred = cast(FloatImage, cv2.GaussianBlur(background, (0, 0), motion.defocus_px))
        self.background: FloatImage = blurred
        rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
        self._rows, self._columns = rows, columns

    def frames(self) -> Iterator[tuple[FloatImage, FloatImage]]:
        """Render every frame in order: scene-linear colour, exact coverage in [0, 1]."""
        for index in range(self.length):
            offsets = (np.arange(self.sub_frames) + 0.5) / self.sub_frames - 0.5
            moments = index - (self.length - 1) / 2 + offsets * self.motion.shutter
            picture, alpha = self._mean_of(moments.tolist())
            yield self._with_grain(picture), np.clip(alpha, 0, 1)

    def _mean_of(self, moments: list[float]) -> tuple[FloatImage, FloatImage]:
        picture = np.zeros((*self.shape, 3), np.float32)
        alpha = np.zeros(self.shape, np.float32)
        for moment in moments:
            over = cv2.remap(self.element, *self._element_map(moment), cv2.INTER_LINEAR)
            behind = cv2.remap(
                self.background,
                *self._background_map(moment),
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REFLECT_101,
            )
            picture += over[..., :3] + (1 - over[..., 3:]) * behind
            alpha += over[..., 3]
        share = np.float32(1 / len(moments))
        return picture * share, alpha * share

    def _element_map(self, moment: float) -> tuple[FloatImage, FloatImage]:
        """Map each pixel to the element at a moment (frames from mid-shot)."""
        m, (height, width) = self.motion, self.shape
        swing = m.wobble_px * np.sin(2 * np.pi * moment / m.wobble_period + self._waves[0, 2])
        x0 = m.centre[0] * width + m.drift_px[0] * moment + swing
        y0 = m.centre[1] * height + m.drift_px[1] * moment + 0.5 * swing
        dx, dy = self._columns - np.float32(x0), self._rows - np.float32(y0)
        bend_x, bend_y = self._sway(dx, dy, moment)
        angle = np.deg2rad(m.spin_deg * moment)
        scale = self.element.shape[0] / (m.size * height * m.zoom**moment)
        cos, sin = np.float32(np.cos(angle) * scale), np.float32(np.sin(angle) * scale)
        px, py = dx + bend_x, dy + bend_y
        source_x = cos * px + sin * py + np.float32(self.element.shape[1] / 2)
        source_y = -sin * px + cos * py + np.float32(self.element.shape[0] / 2)
        return source_x, source_y

    def _sway(self, dx: FloatImage, dy: FloatImage, moment: float) -> tuple[FloatImage, FloatImage]:
        m = self.motion
        k, w = 2 * np.pi / m.sway_wavelength_px, 2 * np.pi / m.sway_period
        bend_x, bend_y = np.zeros_like(dx), np.zeros_like(dy)
        for order, (angle, phase, other) in enumerate(self._waves):
            frequency = k * (0.6 + 0.4 * order)
            along = np.cos(angle) * dx + np.sin(angle) * dy
            size = m.sway_px / (1 + order)
            travel = np.float32(w * (1 + 0.3 * order) * moment)
            bend_x += size * np.sin(frequency * along + travel + phase, dtype=np.float32)
            bend_y += size * np.sin(frequency * along + travel + other, dtype=np.float32)
        return bend_x, bend_y

    def _background_map(self, moment: float) -> tuple[FloatImage, FloatImage]:
        m, (height, width) = self.motion, self.shape
        fit = 0.8 * min(self.background.shape[0] / height, self.background.shape[1] / width)
        scale = fit / m.camera_zoom**moment
        angle = np.deg2rad(m.camera_spin_deg * moment)
        dx = self._columns - np.float32(width / 2 + m.pan_px[0] * moment)
        dy = self._rows - np.float32(height / 2 + m.pan_px[1] * moment)
        cos, sin = np.float32(np.cos(angle) * scale), np.float32(np.sin(angle) * scale)
        x = cos * dx + sin * dy + np.float32(self.background.shape[1] / 2)
        y = -sin * dx + cos * dy + np.float32(self.background.shape[0] / 2)
        return x, y

    def _with_grain(self, picture: FloatImage) -> FloatImage:
        """Create film-like noise, slightly soft, growing with the square root of the light."""
        if self.motion.grain <= 0:
            return picture
        noise = self._rng.standard_normal(picture.shape).astype(np.float32)
        noise = cv2.GaussianBlur(noise, (0, 0), 0.6) * np.float32(1.9)
        spread = np.float32(self.motion.grain) * np.sqrt(np.maximum(picture, 1e-4))
        return picture + noise * spread


def write_shot(
    composite: MovingComposite, folder: Path, *, first: int = 1001, band_px: int = 6
) -> None:
    """Write plate/, alpha/ (half-float EXR) and trimaps/ (first and last frame, 8-bit PNG)."""
    for name in ("plate", "alpha", "trimaps"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number, (picture, alpha) in enumerate(composite.frames(), first):
        planes = {name: picture[..., i] for i, name in enumerate("RGB")}
        _write_exr(folder / "plate" / f"plate.{number:04d}.exr", planes)
        _write_exr(folder / "alpha" / f"alpha.{number:04d}.exr", {"A": alpha})
        if number in (first, first + composite.length - 1):
            labels = from_matte(alpha, erode_px=band_px, dilate_px=band_px)
            cv2.imwrite(str(folder / "trimaps" / f"trimap.{number:04d}.png"), labels)


def _write_exr(path: Path, planes: dict[str, FloatImage]) -> None:
    import OpenEXR

    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    channels = {
        name: np.ascontiguousarray(plane, dtype=np.float16) for name, plane in planes.items()
    }
    with OpenEXR.File(header, channels) as file:
        file.write(str(path))


def main() -> None:
    """Render random shots, one per element, each in its own folder, from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("elements", type=Path, help="folder of RGBA pictures, straight sRGB")
    parser.add_argument("backgrounds", type=Path, help="folder of photographs")
    parser.add_argument("output", type=Path, help="one folder per shot is made here")
    parser.add_argument(
        "--match",
        nargs="+",
        default=["*"],
        help="globs on the elements' names, one per shot in turn, e.g. '*_fur*' '*_net*'",
    )
    parser.add_argument("--shots", type=int, default=8)
    parser.add_argument("--length", type=int, default=25)
    parser.add_argument("--size", default="960x540", help="WIDTHxHEIGHT")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--still", action="store_true", help="the camera stands still")
    parser.add_argument("--band", type=int, default=6, help="half-width of the keyframes' band, px")
    arguments = parser.parse_args()
    width, height = (int(part) for part in arguments.size.split("x"))
    backgrounds = sorted(p for p in arguments.backgrounds.iterdir() if p.is_file())
    rng = np.random.default_rng(arguments.seed)
    for index in range(arguments.shots):
        pattern = arguments.match[index % len(arguments.match)]
        elements = sorted(p for p in arguments.elements.glob(pattern) if p.is_file())
        if not elements or not backgrounds:
            parser.error(f"no element matches {pattern}, or there is no background")
        element = elements[int(rng.integers(len(elements)))]
        background = backgrounds[int(rng.integers(len(backgrounds)))]
        motion = random_motion(rng)
        if arguments.still:
            motion = replace(motion, pan_px=(0.0, 0.0), camera_zoom=1.0, camera_spin_deg=0.0)
        composite = MovingComposite(
            load_element(element),
            load_background(background),
            motion,
            shape=(height, width),
            length=arguments.length,
            seed=int(rng.integers(2**31)),
        )
        name = f"{index:02d}_{element.stem}"
        write_shot(composite, arguments.output / name, band_px=arguments.band)
        settings = {f.name: getattr(motion, f.name) for f in fields(motion)}
        print(f"{name} over {background.name}: {settings}", flush=True)


if __name__ == "__main__":
    main()
