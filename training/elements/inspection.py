"""One pass over a library: findings, duplicates and a thumbnail of every element."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from training.elements.check import Finding, check_element
from training.elements.duplicates import find_duplicate, look_hash
from training.elements.library import ElementFile
from training.elements.pack import Element
from training.elements.read_element import prepare
from vfxmatte.errors import VfxmatteError
from vfxmatte.types import FloatImage


@dataclass(frozen=True, kw_only=True, eq=False)
class Inspected:
    """One checked element."""

    file: ElementFile
    findings: tuple[Finding, ...]
    look: NDArray[np.uint8] | None = None
    """The hash from `duplicates`; None if unusable."""
    repeats: ElementFile | None = None
    """The earlier element that it duplicates."""
    thumbnail: NDArray[np.uint8] | None = None
    """(h, w, 3) uint8 over a checkerboard."""

    @property
    def is_unusable(self) -> bool:
        """Return True if training cannot use the element."""
        return any(finding.unusable for finding in self.findings)


def inspect_library(files: Sequence[ElementFile], *, thumbnail_px: int = 0) -> Iterator[Inspected]:
    """Read and check every element, in order; holds one picture at a time.

    Args:
        files: elements; each is compared with all earlier ones for duplicates.
        thumbnail_px: longest side of the thumbnails; 0 makes none.
    """
    seen: list[Inspected] = []
    for file in files:
        element = _inspect(file, thumbnail_px)
        if element.look is not None:
            element = _compared(element, element.look, seen)
            seen.append(replace(element, thumbnail=None))
        yield element


def _inspect(file: ElementFile, thumbnail_px: int) -> Inspected:
    findings, raw = check_element(file)
    unusable = any(finding.unusable for finding in findings)
    if raw is None or raw.alpha is None:
        return Inspected(file=file, findings=tuple(findings))
    try:
        element = prepare(raw, file)
    except VfxmatteError as error:
        finding = Finding(trouble="unreadable", what=error.what, unusable=True)
        return Inspected(file=file, findings=(*findings, finding))
    colour, alpha = _floats(element)
    return Inspected(
        file=file,
        findings=tuple(findings),
        look=None if unusable else look_hash(colour, alpha),
        thumbnail=over_checker(colour, alpha, thumbnail_px) if thumbnail_px else None,
    )


def _floats(element: Element) -> tuple[FloatImage, FloatImage]:
    alpha = element.alpha / np.float32(np.iinfo(element.alpha.dtype).max)
    return (element.colour / np.float32(255)).astype(np.float32), alpha.astype(np.float32)


def _compared(element: Inspected, look: NDArray[np.uint8], seen: list[Inspected]) -> Inspected:
    """Add a finding if an earlier element of another group looks the same."""
    hashes = [e.look for e in seen if e.look is not None]
    index = find_duplicate(look, hashes, [e.file.group == element.file.group for e in seen])
    if index is None:
        return element
    earlier = seen[index].file
    finding = Finding(trouble="duplicate", what=f"looks like {earlier.name}", unusable=False)
    return replace(element, findings=(*element.findings, finding), repeats=earlier)


def over_checker(colour: FloatImage, alpha: FloatImage, side_px: int) -> NDArray[np.uint8]:
    """Lay straight encoded colour over a checkerboard, reduced to `side_px`; (h, w, 3) uint8."""
    scale = min(1.0, side_px / max(alpha.shape))
    size = (max(1, round(alpha.shape[1] * scale)), max(1, round(alpha.shape[0] * scale)))
    over = cv2.resize(colour * alpha[..., None], size, interpolation=cv2.INTER_AREA)
    cover = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)[..., None]
    y, x = np.mgrid[0 : size[1], 0 : size[0]] // 10
    checker = np.where((x + y) % 2, 0.62, 0.42)[..., None]
    return np.asarray(np.clip((over + checker * (1 - cover)) * 255, 0, 255), np.uint8)
