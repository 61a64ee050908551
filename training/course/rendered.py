"""Pictures with mattes rendered from a pack: its portraits over backgrounds.

The pack's held-out elements and backgrounds stay held out: they are named in held_out.txt.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training.course.layout import HELD_OUT
from training.course.settings import MattedConfig
from training.elements.pack import Background, Element, Pack
from training.measure.samples import composite, cut_background
from vfxmatte.errors import OutputError, TrainingError
from vfxmatte.types import FloatImage

_JPEG_QUALITY = 95


@dataclass(frozen=True, kw_only=True)
class RenderedSize:
    """The size and number of pictures."""

    width_px: int = 300
    height_px: int = 400
    per_element: int = 4
    """Pictures of each element that is trained on, over different backgrounds if possible."""
    per_held_out: int = 7
    """Pictures of each element that is held out."""


def write_rendered(
    pack: Pack, folder: Path, size: RenderedSize, *, kind: str = "portrait", seed: int = 7
) -> tuple[int, int]:
    """Write images/, mattes/ and held_out.txt; the folder appears only when it is complete.

    Returns:
        The number of training and of held-out pictures.

    Raises:
        TrainingError: the pack has no elements of this kind on both sides of its split.
        OutputError: the folder is there already, or cannot be written.
    """
    sides = [_of_kind(side, kind) for side in (pack.training(), pack.validation())]
    if any(not side.elements or not side.backgrounds for side in sides):
        raise TrainingError(
            f"the pack needs elements of the kind {kind!r} and backgrounds on both sides of its "
            f"split, found {sides[0]} and {sides[1]}",
            hint=f"kinds: {', '.join(sorted({e.kind for e in pack.elements}))}",
        )
    if folder.exists():
        raise OutputError("there is something already", path=folder, hint="name a new folder")
    counts = (size.per_element, size.per_held_out)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            names = [
                _write_side(partial, side, each, size, seed)
                for side, each in zip(sides, counts, strict=True)
            ]
            text = "# Rendered from the pack's held-out elements.\n" + "\n".join(names[1]) + "\n"
            (partial / HELD_OUT).write_text(text, encoding="utf-8")
            partial.chmod(0o755)
            os.replace(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise OutputError(f"the pictures cannot be written: {error}", path=folder) from error
    return len(names[0]), len(names[1])


def _of_kind(pack: Pack, kind: str) -> Pack:
    elements = tuple(e for e in pack.elements if e.kind == kind)
    return Pack(elements=elements, backgrounds=pack.backgrounds)


def _write_side(folder: Path, pack: Pack, each: int, size: RenderedSize, seed: int) -> list[str]:
    names = []
    for name, image, alpha in _pictures(pack, each, size, seed):
        _write(folder / MattedConfig.images / f"{name}.jpg", image)
        _write(folder / MattedConfig.mattes / f"{name}.png", alpha)
        names.append(name)
    return names


def _write(path: Path, picture: FloatImage) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    if data.ndim == 3:
        data = np.ascontiguousarray(data[..., ::-1])
    options = (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY) if path.suffix == ".jpg" else ()
    path.write_bytes(cv2.imencode(path.suffix, data, options)[1].tobytes())


def _pictures(
    pack: Pack, each: int, size: RenderedSize, seed: int
) -> Iterator[tuple[str, FloatImage, FloatImage]]:
    for element in pack.elements:
        random = np.random.default_rng([seed, zlib.crc32(element.name.encode())])
        for number, background in enumerate(_drawn(pack.backgrounds, each, random)):
            name = f"{element.name.replace('/', '_')}_{number:02d}"
            image, alpha = _picture(element, background, size, random)
            yield name, image, alpha


def _drawn(
    backgrounds: tuple[Background, ...], count: int, random: np.random.Generator
) -> Iterable[Background]:
    order = random.permutation(len(backgrounds))
    return [backgrounds[order[n % len(order)]] for n in range(count)]


def _picture(
    element: Element, background: Background, size: RenderedSize, random: np.random.Generator
) -> tuple[FloatImage, FloatImage]:
    """Cut an element to the picture's shape, mix it in linear light, and reduce both."""
    rows, columns = _cut(element.alpha, size)
    scale = np.float32(np.iinfo(element.alpha.dtype).max)
    alpha = (element.alpha[rows, columns] / scale).astype(np.float32)
    behind = cut_background(background.colour, alpha.shape, random)
    image = composite(np.ascontiguousarray(element.colour[rows, columns]), behind, alpha)
    shape = (size.width_px, size.height_px)
    reduced = cv2.resize(image, shape, interpolation=cv2.INTER_AREA)
    matte = cv2.resize(alpha, shape, interpolation=cv2.INTER_AREA)
    return reduced.astype(np.float32), matte.astype(np.float32)


def _cut(alpha: NDArray[np.uint8] | NDArray[np.uint16], size: RenderedSize) -> tuple[slice, slice]:
    """Return the largest part of the picture's aspect, at the bottom, centred on the matte."""
    height, width = alpha.shape
    rows = min(height, round(width * size.height_px / size.width_px))
    columns = min(width, round(height * size.width_px / size.height_px))
    weights = alpha.astype(np.float64).sum(0)
    middle = float((weights * np.arange(width)).sum() / max(weights.sum(), 1))
    left = int(np.clip(round(middle - columns / 2), 0, width - columns))
    return slice(height - rows, height), slice(left, left + columns)
