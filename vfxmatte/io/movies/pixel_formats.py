"""Layouts of FFmpeg's pixel formats: where components are in a decoded frame's planes.

Formats without a layout are refused (palette pictures need none). Every layout is compared with
FFmpeg's own conversion in `tests/io/movies/test_pixel_formats.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np

from vfxmatte.types import FloatImage

_SUBSAMPLING = {
    "410": (4, 4), "411": (4, 1), "420": (2, 2), "422": (2, 1), "440": (1, 2), "444": (1, 1),
}  # fmt: skip
_ENDS = (("le", "<"), ("be", ">"))
_BYTES = ("", "u1", 8, 0)  # like the tuples of `_words`


@dataclass(frozen=True)
class Component:
    """One of R, G, B, Y, Cb, Cr: every `step`-th word of a plane's rows, from `offset` on."""

    plane: int
    offset: int = 0
    step: int = 1
    shift: int = 0
    bits: int = 8


@dataclass(frozen=True)
class Layout:
    """A pixel format whose components are read directly."""

    kind: Literal["rgb", "yuv", "grey"]
    word: str
    """NumPy type of the words that hold the components."""
    components: tuple[Component, ...]
    """R, G, B, or Y, Cb, Cr, or Y alone."""
    subsampling: tuple[int, int] = (1, 1)
    """Luma samples per chroma sample, across and down."""
    alpha: Component | None = None
    """Alpha, at luma's size; None for a format without."""

    @property
    def is_float(self) -> bool:
        return "f" in self.word

    def values(self, frame: Any, index: int) -> FloatImage:
        """Read code values of a component as (h, w) float32; chroma at its own size."""
        across, down = self.subsampling if self.kind == "yuv" and index else (1, 1)
        return self._values(frame, self.components[index], across, down)

    def levels(self, frame: Any, component: Component) -> FloatImage:
        """Read a component of full range as (H, W) float32, 0 to 1; floats are unchanged."""
        values = self._values(frame, component)
        if self.is_float:
            return values
        return values / np.float32((1 << component.bits) - 1)

    def _values(
        self, frame: Any, component: Component, across: int = 1, down: int = 1
    ) -> FloatImage:
        plane, word = frame.planes[component.plane], np.dtype(self.word)
        height, width = -(-frame.height // down), -(-frame.width // across)
        rows = np.ndarray((height, plane.line_size // word.itemsize), word, plane)
        words = rows[:, component.offset :: component.step][:, :width]
        if component.shift or (component.bits < 8 * word.itemsize and not self.is_float):
            words = (words >> component.shift) & ((1 << component.bits) - 1)
        return words.astype(np.float32)


def layout_of(name: str) -> Layout | None:
    """Look up a pixel format by FFmpeg's name; None if it is not supported."""
    return _table().get(name)


@cache
def _table() -> dict[str, Layout]:
    return dict(
        entry
        for family in (_planar_yuv, _semiplanar, _packed_yuv, _grey, _planar_rgb, _packed_rgb)
        for entry in family()
    )


def _words(bits: tuple[int, ...]) -> Iterator[tuple[str, str, int, int]]:
    """Yield name suffix, word type, bits and shift for depths from 9 to 16 in 16-bit words."""
    for depth in bits:
        for end, order in _ENDS:
            yield f"{depth}{end}", f"{order}u2", depth, 0
            if depth in (10, 12):
                yield f"{depth}msb{end}", f"{order}u2", depth, 16 - depth


def _planes(order: tuple[int, ...], bits: int, shift: int = 0) -> tuple[Component, ...]:
    return tuple(Component(plane, bits=bits, shift=shift) for plane in order)


def _fourth(has_alpha: bool, bits: int, shift: int = 0) -> Component | None:
    """Return the alpha of a planar format, which is its last plane."""
    return Component(3, bits=bits, shift=shift) if has_alpha else None


def _planar_yuv() -> Iterator[tuple[str, Layout]]:
    for subsampling, ratio in _SUBSAMPLING.items():
        for prefix, has_alpha in (("yuv", False), ("yuva", True)):
            name, order = f"{prefix}{subsampling}p", (0, 1, 2)
            for end, word, bits, shift in (_BYTES, *_words((9, 10, 12, 14, 16))):
                alpha = _fourth(has_alpha, bits, shift)
                yield name + end, Layout("yuv", word, _planes(order, bits, shift), ratio, alpha)
        yield f"yuvj{subsampling}p", Layout("yuv", "u1", _planes((0, 1, 2), 8), ratio)


def _semiplanar() -> Iterator[tuple[str, Layout]]:
    def layout(word: str, bits: int, shift: int, ratio: str, blue: int = 0) -> Layout:
        pair = (Component(1, at, 2, shift, bits) for at in (blue, 1 - blue))
        return Layout("yuv", word, (Component(0, 0, 1, shift, bits), *pair), _SUBSAMPLING[ratio])

    for name, ratio, blue in (("nv12", "420", 0), ("nv21", "420", 1), ("nv16", "422", 0),
                              ("nv24", "444", 0), ("nv42", "444", 1)):  # fmt: skip
        yield name, layout("u1", 8, 0, ratio, blue)
    for end, order in _ENDS:
        yield f"nv20{end}", layout(f"{order}u2", 10, 0, "422")
        for digit, ratio in (("0", "420"), ("2", "422"), ("4", "444")):
            for bits in (10, 12, 16):
                yield f"p{digit}{bits}{end}", layout(f"{order}u2", bits, 16 - bits, ratio)


def _packed_yuv() -> Iterator[tuple[str, Layout]]:
    def paired(word: str, luma: int, blue: int, red: int, bits: int = 8) -> Layout:
        places = ((luma, 2), (blue, 4), (red, 4))
        shift = 8 * np.dtype(word).itemsize - bits
        parts = tuple(Component(0, at, step, shift, bits) for at, step in places)
        return Layout("yuv", word, parts, (2, 1))

    yield "yuyv422", paired("u1", 0, 1, 3)
    yield "uyvy422", paired("u1", 1, 0, 2)
    yield "yvyu422", paired("u1", 0, 3, 1)
    for letters in ("vuya", "vuyx", "ayuv", "uyva", "vyu"):
        name = "vyu444" if letters == "vyu" else letters
        yield name, _lettered("yuv", letters, "u1", 8)
    for end, order in _ENDS:
        word = f"{order}u2"
        for bits in (10, 12, 16):
            yield f"y2{bits}{end}", paired(word, 0, 1, 3, bits)
        yield f"ayuv64{end}", _lettered("yuv", "ayuv", word, 16)
        yield f"xv36{end}", _lettered("yuv", "uyvx", word, 12, shift=4)
        yield f"xv48{end}", _lettered("yuv", "uyvx", word, 16)
        yield f"xv30{end}", _bit_fields("yuv", f"{order}u4", (10, 0, 20), (10, 10, 10))
        yield f"v30x{end}", _bit_fields("yuv", f"{order}u4", (12, 2, 22), (10, 10, 10))


def _grey() -> Iterator[tuple[str, Layout]]:
    """Yield grey formats of integers; FFmpeg would read grey floats as legal range."""
    yield "gray", Layout("grey", "u1", (Component(0),))
    yield "ya8", Layout("grey", "u1", (Component(0, 0, 2),), alpha=Component(0, 1, 2))
    for end, word, bits, shift in _words((9, 10, 12, 14, 16)):
        yield f"gray{end}", Layout("grey", word, _planes((0,), bits, shift))
    for end, order in _ENDS:
        grey, alpha = (Component(0, at, 2, 0, 16) for at in (0, 1))
        yield f"ya16{end}", Layout("grey", f"{order}u2", (grey,), alpha=alpha)


def _planar_rgb() -> Iterator[tuple[str, Layout]]:
    order = (2, 0, 1)  # planes are G, B, R
    floats = [(f"f{b}{end}", f"{sign}f{b // 8}", b, 0) for end, sign in _ENDS for b in (16, 32)]
    for name, has_alpha in (("gbrp", False), ("gbrap", True)):
        for end, word, bits, shift in (_BYTES, *_words((9, 10, 12, 14, 16)), *floats):
            alpha = _fourth(has_alpha, bits, shift)
            yield name + end, Layout("rgb", word, _planes(order, bits, shift), alpha=alpha)


def _packed_rgb() -> Iterator[tuple[str, Layout]]:
    for letters in ("rgb", "bgr", "rgba", "bgra", "argb", "abgr", "rgb0", "bgr0", "0rgb", "0bgr"):
        yield letters + ("24" if len(letters) == 3 else ""), _lettered("rgb", letters, "u1", 8)
    for end, order in _ENDS:
        for letters in ("rgb", "bgr", "rgba", "bgra"):
            name = f"{letters}{16 * len(letters)}{end}"
            yield name, _lettered("rgb", letters, f"{order}u2", 16)
        for letters in ("rgb", "rgba"):
            for bits in (16, 32):
                name = f"{letters}f{bits}{end}"
                yield name, _lettered("rgb", letters, f"{order}f{bits // 8}", bits)
        for letters, step in (("rgb", -1), ("bgr", 1)):
            fields = {"444": (4, 4, 4), "555": (5, 5, 5), "565": (5, 6, 5)}
            for name, bits3 in fields.items():
                shifts = (0, bits3[2], bits3[2] + bits3[1])[::step]
                yield f"{letters}{name}{end}", _bit_fields("rgb", f"{order}u2", shifts, bits3)
            shifts = (0, 10, 20)[::step]
            yield f"x2{letters}10{end}", _bit_fields("rgb", f"{order}u4", shifts, (10, 10, 10))


def _lettered(
    kind: Literal["rgb", "yuv"], letters: str, word: str, bits: int, *, shift: int = 0
) -> Layout:
    """Lay out packed components, a word each, in the order of the letters."""
    parts = {c: Component(0, letters.index(c), len(letters), shift, bits) for c in letters}
    return Layout(kind, word, tuple(parts[c] for c in kind), alpha=parts.get("a"))


def _bit_fields(
    kind: Literal["rgb", "yuv"], word: str, shifts: tuple[int, ...], bits: tuple[int, ...]
) -> Layout:
    """Lay out all components of a pixel in one word."""
    pairs = zip(shifts, bits, strict=True)
    return Layout(kind, word, tuple(Component(0, 0, 1, shift, depth) for shift, depth in pairs))
