"""Measurement of foreground colours: composites over new backgrounds against the true ones.

A colour's error is what shows in a composite: the mean CIEDE2000 over the band, composited with the
true alpha over black, white, mid grey and a saturated green.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from training.elements.pack import Pack
from training.measure.colour_difference import ciede2000, lab_of
from training.measure.photographs import read_alpha
from training.measure.samples import composites
from vfxmatte.colour import decode_from_network, decode_srgb, encode_for_network
from vfxmatte.foreground.estimation import estimate_colours
from vfxmatte.io.sequence import find_sequence
from vfxmatte.io.stills.reading import read_image
from vfxmatte.propagation.flow import dense_flow, grey
from vfxmatte.trimaps import SOFT_HIGH, SOFT_LOW, from_matte
from vfxmatte.types import UNKNOWN, FloatImage, Floats, Mask

GROUNDS = {
    "black": (0.0, 0.0, 0.0),
    "white": (1.0, 1.0, 1.0),
    "grey": (0.18, 0.18, 0.18),
    "green": (0.0, 0.6, 0.05),
}
"""Backgrounds of the composites, scene-linear Rec.709."""

SHOT_BAND_PX = 14.0
"""Width of a shot's band, as of its keyframes."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """A picture whose foreground is known."""

    name: str
    plate: FloatImage
    """(H, W, 3) scene-linear Rec.709."""
    alpha: FloatImage
    """(H, W), the true one."""
    truth: FloatImage
    """(H, W, 3), the true foreground, straight."""
    band: Mask
    """(H, W), what is unknown."""

    @property
    def soft(self) -> Mask:
        """The part of the band where alpha is between 0.02 and 0.98."""
        return self.band & (self.alpha > SOFT_LOW) & (self.alpha < SOFT_HIGH)


Method = Callable[[FloatImage, FloatImage], FloatImage]
"""Returns the foreground (H, W, 3) of a plate and its alpha."""


def plate_colour(plate: FloatImage, alpha: FloatImage) -> FloatImage:
    """Return the plate itself."""
    return plate


def own_colour(plate: FloatImage, alpha: FloatImage) -> FloatImage:
    """Return the foreground as `vfxmatte run --foreground` has it."""
    return estimate_colours(plate, alpha).foreground


def pymatting_colour(plate: FloatImage, alpha: FloatImage) -> FloatImage:
    """Return the foreground by PyMatting's multi-level method."""
    from pymatting import estimate_foreground_ml

    return cast(FloatImage, estimate_foreground_ml(plate, alpha))


METHODS: dict[str, Method] = {
    "plate": plate_colour,
    "vfxmatte": own_colour,
    "pymatting": pymatting_colour,
}


@dataclass(kw_only=True)
class Errors:
    """One method's errors on one set."""

    band: list[float] = field(default_factory=list)
    """Mean difference over the band of each picture."""
    soft: list[float] = field(default_factory=list)
    """The error where alpha is partial."""
    boil: float | None = None
    """Mean difference between a shot's frame and the next one, moved back along the motion."""

    def add(self, case: Case, colour: FloatImage) -> None:
        """Add the errors of an estimate."""
        differences = composite_differences(case, colour)
        self.band.append(float(differences.mean()))
        self.soft.append(float(differences[case.soft[case.band]].mean()))


def composite_differences(case: Case, colour: FloatImage) -> Floats:
    """Return the mean difference over all `GROUNDS` for each pixel of the band, (n,)."""
    share = case.alpha[case.band][:, None]
    total = np.zeros(len(share))
    for ground in GROUNDS.values():
        behind = (1 - share) * np.array(ground)
        estimated, true = (share * one[case.band] + behind for one in (colour, case.truth))
        total += ciede2000(lab_of(estimated), lab_of(true))
    return total / len(GROUNDS)


def pack_cases(pack: Pack, *, per_element: int = 1, seed: int = 7) -> Iterator[Case]:
    """Yield the composites of a pack's elements, see `samples.composites`."""
    for sample, element in zip(
        composites(pack, per_element=per_element, seed=seed),
        (element for element in pack.elements for _ in range(per_element)),
        strict=True,
    ):
        yield Case(
            name=sample.name,
            plate=decode_from_network(sample.image),
            alpha=sample.truth,
            truth=np.asarray(decode_srgb(element.colour / np.float32(255)), np.float32),
            band=sample.labels == UNKNOWN,
        )


def shot_cases(folder: Path) -> Iterator[Case]:
    """Yield the frames of a shot that have a true foreground: foreground/, plate/ and alpha/.

    The files hold it where alpha is partial; where alpha is 1 the plate is the truth.
    """
    foregrounds = find_sequence(folder / "foreground")
    for number in foregrounds.numbers:
        plate, alpha = read_frame(folder, number)
        stored = read_image(foregrounds.existing_path(number)).colour
        labels = from_matte(alpha, erode_px=SHOT_BAND_PX / 2, dilate_px=SHOT_BAND_PX / 2)
        yield Case(
            name=f"{folder.name}.{number}",
            plate=plate,
            alpha=alpha,
            truth=np.where(alpha[:, :, None] >= 1, plate, stored),
            band=labels == UNKNOWN,
        )


def read_frame(folder: Path, number: int) -> tuple[FloatImage, FloatImage]:
    """Read a shot's linear plate (H, W, 3) and its true alpha (H, W)."""
    plate = read_image(find_sequence(folder / "plate").existing_path(number)).colour
    return plate, read_alpha(find_sequence(folder / "alpha").existing_path(number))


def measure(cases: Iterable[Case], methods: dict[str, Method]) -> dict[str, Errors]:
    """Measure all methods on the same pictures."""
    errors = {name: Errors() for name in methods}
    for case in cases:
        for name, method in methods.items():
            errors[name].add(case, method(case.plate, case.alpha))
    return errors


def boiling(folder: Path, method: Method) -> float:
    """Return how much a shot's foreground changes from frame to frame beside its motion.

    The mean absolute difference, in display values from 0 to 1 and weighted by alpha, between the
    colours of each frame where alpha is partial and those of the next frame, followed back along
    the plate's motion.
    """
    steps: list[float] = []
    before: tuple[FloatImage, FloatImage, FloatImage] | None = None
    for number in find_sequence(folder / "plate").numbers:
        plate, alpha = read_frame(folder, number)
        displayed = np.clip(encode_for_network(method(plate, alpha)), 0, 1)
        picture = np.clip(encode_for_network(plate), 0, 1)
        if before is not None:
            steps.append(_step(before, (picture, alpha, displayed)))
        before = picture, alpha, displayed
    return float(np.mean(steps))


def _step(
    before: tuple[FloatImage, FloatImage, FloatImage],
    after: tuple[FloatImage, FloatImage, FloatImage],
) -> float:
    first, second = (grey(np.rint(one[0] * 255).astype(np.uint8)) for one in (before, after))
    flow = dense_flow(first, second)
    rows, columns = np.indices(flow.shape[:2], np.float32)
    maps = columns + flow[:, :, 0], rows + flow[:, :, 1]
    alpha, displayed = (
        cv2.remap(one, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for one in after[1:]
    )
    weight = np.minimum(before[1], alpha) * ((before[1] > 0) & (before[1] < 1))
    difference = np.abs(displayed - before[2]).mean(2)
    return float((difference * weight).sum() / max(weight.sum(), 1e-9))


def seconds_of_a_frame(
    method: Method, *, size: tuple[int, int] = (1080, 1920), unknown: float = 0.1, repeats: int = 3
) -> float:
    """Return the processor time of one frame with so much of it unknown; the least of some."""
    random = np.random.default_rng(0)
    noise = cv2.GaussianBlur(random.random(size, np.float32), (0, 0), size[0] / 90)
    order = np.argsort(np.abs(noise - np.median(noise)), axis=None)
    width = np.abs(noise - np.median(noise)).flat[order[int(unknown * noise.size)]]
    alpha = np.clip((noise - np.median(noise)) / (2 * width) + 0.5, 0, 1).astype(np.float32)
    plate = cast(FloatImage, cv2.GaussianBlur(random.random((*size, 3), np.float32), (0, 0), 2))
    method(plate, alpha)  # compiles, fills caches
    spent = []
    for _ in range(repeats):
        began = time.process_time()
        method(plate, alpha)
        spent.append(time.process_time() - began)
    return min(spent)
