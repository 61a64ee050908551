"""Procedural alphas: shapes drawn by rule, which cut foregrounds out of photographs.

Each drawer takes a side in px and a random generator and gives an alpha (side, side) float32 in
[0, 1] and a shading of the same shape around 1, by which the texture is multiplied so that strands
and leaves stand apart. Drawn at twice the size and averaged down, so that edges are soft by
coverage as a camera's are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from training.samples.trimap_drawing import smooth_noise
from vfxmatte.types import FloatImage

_FINER = 2  # drawn so many times larger; cv2 draws anti-aliased lines on top of that
_SHIFT = 4  # fractional bits of cv2's coordinates

Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Drawn:
    """alpha, shading: (side, side) float32; alpha in [0, 1], shading above 0 and around 1."""

    alpha: FloatImage
    shading: FloatImage


class _Canvas:
    """Alpha and shading at the finer size; coordinates are in px of the finished picture."""

    def __init__(self, side: int) -> None:
        self.side = side
        fine = side * _FINER
        self.alpha = np.zeros((fine, fine), np.uint8)
        self.shade = np.full((fine, fine), 128, np.uint8)

    def line(self, points: Points, width_px: float, shade: int) -> None:
        """A polyline; below half a pixel of width it is thinner by coverage."""
        at = [_fixed(points)]
        width = width_px * _FINER
        level = 255 if width >= 1 else max(6, int(255 * width))
        thick = max(1, round(width))
        if level == 255:
            cv2.polylines(self.alpha, at, False, 255, thick, cv2.LINE_AA, _SHIFT)
        else:
            rows, columns = _box(points * _FINER, self.alpha.shape[0], 3)
            piece = np.zeros_like(self.alpha[rows, columns])
            offset = np.array((columns.start, rows.start)) / _FINER
            cv2.polylines(piece, [_fixed(points - offset)], False, level, 1, cv2.LINE_AA, _SHIFT)
            part = self.alpha[rows, columns]
            cv2.add(part, cv2.multiply(255 - part, piece, scale=1 / 255), dst=part)  # in front
        cv2.polylines(self.shade, at, False, shade, thick + 1, cv2.LINE_8, _SHIFT)

    def fill(self, points: Points, shade: int, level: int = 255) -> None:
        at = [_fixed(points)]
        cv2.fillPoly(self.alpha, at, level, cv2.LINE_AA, _SHIFT)
        cv2.fillPoly(self.shade, at, shade, cv2.LINE_8, _SHIFT)

    def finished(self) -> Drawn:
        size = (self.side, self.side)
        alpha = cv2.resize(self.alpha, size, interpolation=cv2.INTER_AREA)
        shade = cv2.resize(self.shade, size, interpolation=cv2.INTER_AREA)
        return Drawn(_divided(alpha, 255), _divided(shade, 128))


def _divided(values: NDArray[Any], by: int) -> FloatImage:
    divided: FloatImage = values.astype(np.float32) / np.float32(by)
    return divided


def _fixed(points: Points) -> NDArray[np.int32]:
    scaled = (points * _FINER) * (1 << _SHIFT)
    fixed: NDArray[np.int32] = np.rint(scaled.clip(-4e5, 4e5)).astype(np.int32)
    return fixed


def _box(points: Points, side: int, margin: int) -> tuple[slice, slice]:
    low = np.clip(np.floor(points.min(0)) - margin, 0, side - 1).astype(int)
    high = np.clip(np.ceil(points.max(0)) + margin + 1, low + 1, side).astype(int)
    return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))


def outline(centre: Points, radius: float, roughness: float, random: np.random.Generator) -> Points:
    """A closed smooth outline (96, 2) of x, y around a centre."""
    angles = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    lengths = np.full(96, radius)
    for wave in range(1, 7):
        swing = roughness * random.uniform(0, 1) / wave
        lengths = lengths * (1 + swing * np.cos(wave * angles + random.uniform(0, 2 * np.pi)))
    points = np.stack((np.cos(angles) * lengths, np.sin(angles) * lengths), 1)
    return _turned(points * (1, random.uniform(0.5, 1)), random.uniform(0, np.pi)) + centre


def _turned(points: Points, angle: float) -> Points:
    cos, sin = np.cos(angle), np.sin(angle)
    return points @ np.array(((cos, sin), (-sin, cos)))


def _spline(control: Points, count: int = 24) -> Points:
    """Points along a cubic Bézier curve of four control points."""
    t = np.linspace(0, 1, count)[:, None]
    a, b, c, d = control
    curve: Points = (1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * c + t**3 * d
    return curve


def _centre(side: int, random: np.random.Generator) -> Points:
    return random.uniform(0.25, 0.75, 2) * side


def _shade(random: np.random.Generator, spread: float = 45) -> int:
    return int(np.clip(random.normal(128, spread), 40, 235))


def _thickness(most_px: float, random: np.random.Generator) -> float:
    """A hair's width in px, most often well below one, as in photographs of people."""
    return float(np.exp(random.uniform(np.log(0.06), np.log(most_px))))


def _more_where_thin(width_px: float) -> float:
    """Return how many hairs of a width there are for one of half a pixel."""
    return float(np.clip((0.5 / width_px) ** 0.7, 1, 3))


def strands(side: int, random: np.random.Generator) -> Drawn:
    """Hair: curved strands that leave a core, in locks that share a direction."""
    canvas = _Canvas(side)
    centre, radius = _centre(side, random), random.uniform(0.1, 0.3) * side
    core = outline(centre, radius, 0.3, random)
    length = random.uniform(0.1, 0.6) * side
    curl, width = random.uniform(0.05, 0.5), _thickness(1.6, random)
    many = _more_where_thin(width)
    droop = random.normal(0, 0.5, 2) * length
    for _ in range(int(random.integers(4, 26))):
        root = core[random.integers(len(core))]
        heading = (root - centre) / max(1e-6, float(np.linalg.norm(root - centre)))
        heading = _turned(heading[None], random.normal(0, 0.4))[0]
        bend = random.normal(0, curl * length, (3, 2))
        for _ in range(int(many * random.integers(4, 30))):
            own = root + random.normal(0, 0.06 * side, 2)
            reach = length * random.uniform(0.4, 1.1)
            steps = np.array((0.0, 0.35, 0.7, 1.0))[:, None]
            control = own + steps * heading * reach + steps**2 * droop
            control[1:] += bend + random.normal(0, 0.15 * curl * length + 1, (3, 2))
            canvas.line(_spline(control), width * random.uniform(0.5, 1.5), _shade(random))
    canvas.fill(core, 128)
    return canvas.finished()


def fur(side: int, random: np.random.Generator) -> Drawn:
    """A body with many short hairs on its outline."""
    canvas = _Canvas(side)
    body = outline(_centre(side, random), random.uniform(0.2, 0.4) * side, 0.4, random)
    canvas.fill(body, 128)
    length, lean = random.uniform(6, 50), random.normal(0, 0.8)
    width = _thickness(1.2, random)
    normals = np.roll(body, -1, 0) - np.roll(body, 1, 0)
    normals = np.stack((normals[:, 1], -normals[:, 0]), 1)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6)
    for _ in range(int(_more_where_thin(width) * random.integers(300, 1100))):
        number = random.integers(len(body))
        share = random.random()
        root = share * body[number] + (1 - share) * body[(number + 1) % len(body)]
        heading = _turned(normals[number][None], lean + random.normal(0, 0.35))[0]
        root = root - heading * random.uniform(0, 5)
        tip = root + heading * length * random.uniform(0.3, 1.2)
        bend = random.normal(0, 0.15 * length, (2, 2))
        control = np.stack((root, root * 0.67 + tip * 0.33 + bend[0], root * 0.33 + tip * 0.67
                            + bend[1], tip))  # fmt: skip
        canvas.line(_spline(control, 10), width * random.uniform(0.6, 1.4), _shade(random))
    return canvas.finished()


def leaves(side: int, random: np.random.Generator) -> Drawn:
    """Pointed leaves along stems."""
    canvas = _Canvas(side)
    length, slim = random.uniform(0.03, 0.2) * side, random.uniform(0.12, 0.5)
    for _ in range(int(random.integers(2, 10))):
        control = _centre(side, random) + random.normal(0, 0.3 * side, (4, 2)).cumsum(0) * 0.6
        stem = _spline(control, 40)
        canvas.line(stem, random.uniform(0.6, 5), _shade(random))
        for _ in range(int(random.integers(6, 30))):
            root = stem[random.integers(len(stem))]
            canvas.fill(_leaf(root, length, slim, random), _shade(random))
    return canvas.finished()


def _leaf(root: Points, length: float, slim: float, random: np.random.Generator) -> Points:
    t = np.linspace(0, 1, 14)
    half = slim * np.sin(np.pi * t**0.8) * 0.5 * random.uniform(0.4, 1.2)
    bend = random.normal(0, 0.2) * t**2
    across = np.concatenate((half, -half[::-1])) + np.concatenate((bend, bend[::-1]))
    along = np.concatenate((t, t[::-1]))
    points = np.stack((along, across), 1) * length * random.uniform(0.6, 1.3)
    return _turned(points, random.uniform(0, 2 * np.pi)) + root


def net(side: int, random: np.random.Generator) -> Drawn:
    """A mesh of wires, square, slanted or with holes of three directions, sagging smoothly."""
    canvas = _Canvas(side)
    pitch, width = random.uniform(9, 60), random.uniform(0.7, 3.5)
    angle, slant = random.uniform(0, np.pi), random.uniform(0.9, 2.2)
    waves = [smooth_noise((64, 64), int(random.integers(2, 6)), random) for _ in "xy"]
    sag = random.uniform(0, 1.2) * pitch
    directions = [angle, angle + slant]
    if random.random() < 0.25:
        directions.append(angle + slant / 2)
    t = np.linspace(-0.8, 0.8, 60) * side
    for direction in directions:
        along, across = _turned(np.array(((1.0, 0.0), (0.0, 1.0))), direction)
        for place in np.arange(-0.8 * side, 0.8 * side, pitch):
            points = t[:, None] * along + place * across + side / 2
            at = np.clip(points / side * 63, 0, 63).astype(int)
            shift = np.stack([wave[at[:, 1], at[:, 0]] for wave in waves], 1)
            canvas.line(points + sag * shift, width, _shade(random, 25))
    if random.random() < 0.6:  # only a piece of it
        piece = np.zeros((side * _FINER,) * 2, np.uint8)
        edge = outline(_centre(side, random), random.uniform(0.3, 0.55) * side, 0.4, random)
        cv2.fillPoly(piece, [_fixed(edge)], 255, cv2.LINE_AA, _SHIFT)
        np.minimum(canvas.alpha, piece, out=canvas.alpha)
    return canvas.finished()


def torn(side: int, random: np.random.Generator) -> Drawn:
    """A body with a fractal edge: torn cloth, bark, rock, clumps of grass seen from afar."""
    finer = side * _FINER
    y, x = np.mgrid[:finer, :finer].astype(np.float32) / _FINER
    centre, radius = _centre(side, random), random.uniform(0.2, 0.42) * side
    field = radius - np.hypot(x - np.float32(centre[0]), y - np.float32(centre[1]))
    strength, decay = random.uniform(0.15, 0.7) * radius, random.uniform(0.4, 0.75)
    cells = int(random.integers(3, 7))
    while cells < 200:
        field = field + strength * smooth_noise(field.shape, cells, random)
        cells, strength = cells * 2, strength * decay
    soft = random.uniform(0.6, 2.5)
    alpha = np.clip(field / soft + 0.5, 0, 1).astype(np.float32)
    alpha = cv2.resize(alpha, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)
    return Drawn(alpha, _plain_shading(side, random))


def closed(side: int, random: np.random.Generator) -> Drawn:
    """One closed shape with a crisp edge: a flag, a sleeve, a box, a disc with holes."""
    canvas = _Canvas(side)
    draw = random.random()
    if draw < 0.4:
        canvas.fill(outline(_centre(side, random), random.uniform(0.15, 0.45) * side, 0.5, random),
                    128)  # fmt: skip
    elif draw < 0.7:
        _tube(canvas, random.uniform(0.05, 0.25) * side, random)
    else:
        sides = int(random.integers(3, 7))
        angles = np.sort(random.uniform(0, 2 * np.pi, sides))
        corner = np.stack((np.cos(angles), np.sin(angles)), 1) * random.uniform(0.2, 0.5) * side
        canvas.fill(corner + _centre(side, random), 128)
    for _ in range(int(random.integers(0, 4))):
        canvas.fill(outline(_centre(side, random), random.uniform(0.02, 0.12) * side, 0.4, random),
                    128, level=0)  # fmt: skip
    drawn = canvas.finished()
    return Drawn(drawn.alpha, _plain_shading(side, random))


def _tube(canvas: _Canvas, width: float, random: np.random.Generator) -> None:
    """A band of changing width along a curve, as a sleeve or a leg."""
    side = canvas.side
    control = random.uniform(-0.2, 1.2, (4, 2)) * side
    axis = _spline(control, 48)
    heading = np.gradient(axis, axis=0)
    normal = np.stack((-heading[:, 1], heading[:, 0]), 1)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
    t = np.linspace(0, 1, 48)
    half = 0.5 * width * (1 + 0.3 * np.sin(2 * np.pi * (t * random.uniform(0, 2)
                                                        + random.random())))  # fmt: skip
    left, right = axis + normal * half[:, None], axis - normal * half[:, None]
    canvas.fill(np.concatenate((left, right[::-1])), 128)


def moving_limb(side: int, random: np.random.Generator) -> Drawn:
    """A limb with motion blur."""
    canvas = _Canvas(side)
    for _ in range(int(random.integers(1, 3))):
        _tube(canvas, random.uniform(0.05, 0.2) * side, random)
    drawn = canvas.finished()
    return Drawn(_streaked(drawn.alpha, random.uniform(8, 60), random.uniform(0, np.pi)),
                 _plain_shading(side, random))  # fmt: skip


def _streaked(alpha: FloatImage, length_px: float, angle: float) -> FloatImage:
    size = 2 * (int(length_px) // 2 + 1) + 1
    kernel = np.zeros((size, size), np.float32)
    middle, half = size // 2, length_px / 2
    reach = np.array((np.cos(angle), np.sin(angle))) * half
    start, end = (tuple(int(v) for v in np.rint(middle + sign * reach)) for sign in (-1, 1))
    cv2.line(kernel, start, end, 1.0, 1)
    blurred = cv2.filter2D(alpha, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)
    return blurred.clip(0, 1).astype(np.float32)


def glass(side: int, random: np.random.Generator) -> Drawn:
    """A see-through body: a denser rim, an inside that varies smoothly, opaque streaks."""
    canvas = _Canvas(side)
    edge = outline(_centre(side, random), random.uniform(0.15, 0.4) * side, 0.4, random)
    canvas.fill(edge, 128)
    body = canvas.finished().alpha
    inside = cv2.distanceTransform((body > 0.5).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    rim = np.exp(-inside / random.uniform(2, 12)) * random.uniform(0.2, 1)
    level = random.uniform(0.05, 0.75) + 0.3 * smooth_noise(body.shape, 5, random)
    streaks = (smooth_noise(body.shape, 12, random) > 0.75) * random.uniform(0, 0.8)
    blurred = cv2.GaussianBlur(streaks.astype(np.float32), (0, 0), 1.5)
    alpha = body * np.clip(level + rim + blurred, 0.02, 1)
    return Drawn(alpha.astype(np.float32), _plain_shading(side, random))


def haze(side: int, random: np.random.Generator) -> Drawn:
    """Smoke or a veil: smooth fractal density that fades out."""
    alpha = np.zeros((side, side), np.float32)
    strength, cells = 1.0, int(random.integers(2, 5))
    while cells < 80:
        alpha += strength * smooth_noise(alpha.shape, cells, random)
        cells, strength = cells * 2, strength * random.uniform(0.35, 0.65)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    centre = _centre(side, random)
    away = np.hypot(x - np.float32(centre[0]), y - np.float32(centre[1]))
    fall = 1 - away / np.float32(random.uniform(0.25, 0.55) * side)
    alpha = np.clip((alpha * 0.5 + 1.2 * fall) * random.uniform(0.5, 1.6), 0, 1)
    return Drawn(alpha.astype(np.float32), _plain_shading(side, random))


def _plain_shading(side: int, random: np.random.Generator) -> FloatImage:
    """Folds and gradients of light."""
    field = smooth_noise((side, side), int(random.integers(2, 7)), random)
    shading: FloatImage = np.exp2(0.6 * field).astype(np.float32)
    return shading


DRAWERS: dict[str, tuple[Callable[[int, np.random.Generator], Drawn], float]] = {
    "strands": (strands, 0.2),
    "fur": (fur, 0.14),
    "leaves": (leaves, 0.14),
    "net": (net, 0.1),
    "torn": (torn, 0.1),
    "closed": (closed, 0.14),
    "moving_limb": (moving_limb, 0.07),
    "glass": (glass, 0.06),
    "haze": (haze, 0.05),
}
"""Drawing functions by name, each with the share of foregrounds that it draws."""


def draw_alpha(
    side: int, random: np.random.Generator, shapes: Sequence[str] = ()
) -> tuple[str, Drawn]:
    """The name of a drawer and what it drew; something of the picture is covered.

    shapes: drawers to choose from, all if there are none.
    """
    names = list(shapes or DRAWERS)
    shares = np.array([DRAWERS[name][1] for name in names])
    while True:
        name = names[random.choice(len(names), p=shares / shares.sum())]
        drawn = DRAWERS[name][0](side, random)
        if 0.01 < float(drawn.alpha.mean()) < 0.9:
            return name, drawn
