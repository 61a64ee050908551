"""Rendering of many still elements into a folder, one file per seed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from training.render import finish
from training.render.blender import Outcome, Renderer, run_jobs
from training.render.jobs import StillJob
from training.render.kinds import KINDS, kind_of
from training.render.scene import Quality
from training.render.shots import layer_paths
from vfxmatte.colour import encode_for_network
from vfxmatte.errors import OutputError, UsageError
from vfxmatte.io.temporary import renamed_when_whole
from vfxmatte.types import FloatImage

Format = Literal["webp", "exr"]

_BRIGHTEST = 0.98
"""Display files hold no light above 1: the element is exposed so that its brightest parts fit."""


def element_path(folder: Path, seed: int, kind: str, file_format: Format) -> Path:
    """Return the file's name, `NNNNN_kind.webp` or `.exr`."""
    return folder / f"{seed:05d}_{kind}.{file_format}"


def parse_seeds(text: str) -> list[int]:
    """Parse seeds from `6..20`, `7`, or several of these with commas; the ends are included.

    Raises:
        UsageError: the text is not such a list, or a range runs backwards.
    """
    seeds: list[int] = []
    for part in text.split(","):
        first, dots, last = part.strip().partition("..")
        if not first.isdecimal() or (dots and not last.isdecimal()):
            raise UsageError(f"not a list of seeds: {text!r}", hint="write e.g. 6..20 or 6..20,31")
        numbers = range(int(first), int(last or first) + 1)
        if not numbers:
            raise UsageError(f"the seeds {part.strip()} run backwards", hint="write LOW..HIGH")
        seeds.extend(numbers)
    return list(dict.fromkeys(seeds))


def render_foregrounds(
    folder: Path,
    seeds: Sequence[int],
    start: Callable[[], Renderer],
    *,
    quality: Quality,
    workers: int = 1,
    file_format: Format = "webp",
    kind: str | None = None,
) -> Iterator[Outcome]:
    """Render the seeds that are not in `folder` yet, yielding their outcomes.

    `kind` renders every seed as this kind instead of its own.

    Raises:
        UsageError: no such kind.
    """
    if kind is not None and kind not in KINDS:
        raise UsageError(f"no such kind of element: {kind}", hint=f"one of {', '.join(KINDS)}")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".render-", dir=folder) as scratch:
        todo = list(_missing(folder, seeds, kind, file_format, Path(scratch), quality))
        for outcome in run_jobs(todo, start, workers=workers):
            yield _kept(outcome, folder, file_format)


def _missing(
    folder: Path,
    seeds: Iterable[int],
    kind: str | None,
    file_format: Format,
    scratch: Path,
    quality: Quality,
) -> Iterator[StillJob]:
    for seed in seeds:
        mine = kind or kind_of(seed)
        if not element_path(folder, seed, mine, file_format).exists():
            yield StillJob(kind=mine, seed=seed, folder=scratch, quality=quality)


def _kept(outcome: Outcome, folder: Path, file_format: Format) -> Outcome:
    """Convert the layers to the element's file; a failure becomes the outcome's error."""
    job = outcome.job
    if outcome.error is not None or not isinstance(job, StillJob):
        return outcome
    try:
        colour, alpha = finish.read_element(job.folder, job.seed)
        write_element(element_path(folder, job.seed, job.kind, file_format), colour, alpha)
    except (OSError, RuntimeError, OutputError) as error:
        return Outcome(job, f"{type(error).__name__}: {error}")
    finally:
        for path in layer_paths(job.folder, job.seed):
            path.unlink(missing_ok=True)
    return outcome


def write_element(path: Path, colour: FloatImage, alpha: FloatImage) -> None:
    """Write straight scene-linear colour (H, W, 3) and alpha (H, W) to `.webp` or `.exr`.

    WebP: straight sRGB, exposed to stay below 1, with 8-bit alpha, lossless. EXR: premultiplied
    scene-linear half float as rendered.
    """
    with renamed_when_whole(path) as part:
        if path.suffix == ".exr":
            finish.write_rgba(part, np.dstack([colour * alpha[..., None], alpha]))
            return
        straight = encode_for_network(np.clip(colour * _exposure(colour, alpha), 0, 1))
        pixels = np.round(np.dstack([straight[..., ::-1], alpha]) * 255).astype(np.uint8)
        part.write_bytes(
            cv2.imencode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
        )


def _exposure(colour: FloatImage, alpha: FloatImage) -> float:
    covered = colour[alpha > 0.2]
    if not covered.size:
        return 1.0
    return min(1.0, _BRIGHTEST / max(1e-6, float(np.percentile(covered.max(axis=1), 99))))
