"""A library gone through once: findings, duplicates and a small picture of every element."""

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
    """One element and what was found.

    look: its hash, see `duplicates`; None where it is unusable. repeats: the earlier element that
    it looks like. thumbnail: (h, w, 3) uint8 over a checker.
    """

    file: ElementFile
    findings: tuple[Finding, ...]
    look: NDArray[np.uint8] | None = None
    repeats: ElementFile | None = None
    thumbnail: NDArray[np.uint8] | None = None

    @property
    def is_unusable(self) -> bool:
        return any(finding.unusable for finding in self.findings)


def inspect_library(files: Sequence[ElementFile], *, thumbnail_px: int = 0) -> Iterator[Inspected]:
    """Read and check every element, in order; holds one picture at a time.

    A duplicate is found against all earlier elements. thumbnail_px: longest side; 0 makes none.
    """
    seen: list[Inspected] = []
    for file in files:
        found = _inspect(file, thumbnail_px)
        if found.look is not None:
            found = _compared(found, seen)
            seen.append(replace(found, thumbnail=None))
        yield found


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


def _compared(found: Inspected, seen: list[Inspected]) -> Inspected:
    """With a finding where an earlier element of another group looks the same."""
    hashes = [e.look for e in seen if e.look is not None]
    if found.look is None:
        return found
    index = find_duplicate(found.look, hashes, [e.file.group == found.file.group for e in seen])
    if index is None:
        return found
    earlier = seen[index].file
    finding = Finding(trouble="duplicate", what=f"looks like {earlier.name}", unusable=False)
    return replace(found, findings=(*found.findings, finding), repeats=earlier)


def over_checker(colour: FloatImage, alpha: FloatImage, side_px: int) -> NDArray[np.uint8]:
    """Straight encoded colour over a checker, reduced to `side_px`; (h, w, 3) uint8."""
    scale = min(1.0, side_px / max(alpha.shape))
    size = (max(1, round(alpha.shape[1] * scale)), max(1, round(alpha.shape[0] * scale)))
    over = cv2.resize(colour * alpha[..., None], size, interpolation=cv2.INTER_AREA)
    cover = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)[..., None]
    y, x = np.mgrid[0 : size[1], 0 : size[0]] // 10
    checker = np.where((x + y) % 2, 0.62, 0.42)[..., None]
    return np.asarray(np.clip((over + checker * (1 - cover)) * 255, 0, 255), np.uint8)
