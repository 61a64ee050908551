"""What a run will do: which frames, from which files, with which keyframes; and what is stale.

Made from names, headers and settings alone, before any pixel is read.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vfxmatte.engines.base import EngineSettings
from vfxmatte.errors import MissingFrameError, ShotError
from vfxmatte.io.plates import Plate, PlateInfo
from vfxmatte.journal.records import RunRecord
from vfxmatte.pipeline.settings import RunSettings, as_plain, digest
from vfxmatte.pipeline.shot import Shot, content_digest, keyframes_in
from vfxmatte.propagation.shot_trimaps import Segment, segment_of
from vfxmatte.types import numbers_as_text

PIXELS_VERSION = 3
"""Raised when a change of the program changes mattes; older results are then stale."""


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """numbers: frames to solve, ascending. skipped: frames of the range that the plate lacks and
    that are left out. sources: the plate frame that each number is read from. trail: every frame
    that trimaps are carried along, wanted or not. keyframes: the painted trimaps that count.
    notes: what a person should know before the run."""

    numbers: tuple[int, ...]
    skipped: tuple[int, ...]
    sources: Mapping[int, int]
    trail: tuple[int, ...]
    keyframes: Mapping[int, Path]
    notes: tuple[str, ...]

    def segment(self, number: int) -> Segment:
        return segment_of(number, self.keyframes.keys())


def make_plan(shot: Shot, settings: RunSettings, plate: PlateInfo) -> RunPlan:
    """Decide what to do.

    Raises:
        MissingFrameError: the plate lacks frames of the range, and `missing` is "error".
        ShotError: no usable keyframe, or a range without any frame of the plate.
    """
    asked = _asked(settings, plate)
    present = set(plate.numbers)
    lacking = [number for number in asked if number not in present]
    if lacking and settings.missing == "error":
        raise MissingFrameError(
            f"the plate lacks {len(lacking)} of {len(asked)} frames: {numbers_as_text(lacking)}",
            shot=shot.name,
            path=plate.spec,
            hint="give --missing hold (the frame before is used) or --missing skip, "
            "or another --frames",
        )
    keyframes = keyframes_in(shot.keyframes, plate)
    sources = {number: number for number in plate.numbers}
    if settings.missing == "hold":
        sources |= {n: _nearest_before(n, plate.numbers) for n in (*plate.missing, *lacking)}
    skipped = tuple(lacking) if settings.missing == "skip" else ()
    return RunPlan(
        numbers=tuple(number for number in asked if number in sources),
        skipped=skipped,
        sources=sources,
        trail=tuple(sorted(sources)),
        keyframes=keyframes,
        notes=tuple(_notes(shot, settings, plate, keyframes, lacking)),
    )


def _asked(settings: RunSettings, plate: PlateInfo) -> list[int]:
    if settings.frames is None:
        return sorted({*plate.numbers, *plate.missing})
    asked = list(settings.frames)
    if asked[-1] < plate.numbers[0] or asked[0] > plate.numbers[-1]:
        raise ShotError(
            f"no frame of {settings.frames} is in the plate, which has "
            f"{numbers_as_text(plate.numbers)}",
            path=plate.spec,
            hint="give another --frames",
        )
    return asked


def _nearest_before(number: int, present: Sequence[int]) -> int:
    """The frame that stands in for a missing one; before the first frame, the first."""
    return present[max(0, bisect_right(present, number) - 1)]


def _notes(
    shot: Shot,
    settings: RunSettings,
    plate: PlateInfo,
    keyframes: Mapping[int, Path],
    lacking: list[int],
) -> list[str]:
    notes = list(plate.notes)
    if shot.named_by is not None:
        notes.append(
            f"the plate is the whole sequence that {shot.named_by.name} is one frame of: "
            f"{shot.plate.name}, frames {numbers_as_text(plate.numbers)}; --frames takes less"
        )
    outside = [number for number in shot.keyframes if number not in keyframes]
    if outside:
        notes.append(
            f"keyframes {numbers_as_text(outside)} are not used: the plate has no such frames"
        )
    if lacking:
        done = "solved from the frame before" if settings.missing == "hold" else "left out"
        notes.append(f"frames {numbers_as_text(lacking)} are missing from the plate: {done}")
    if plate.unreadable:
        notes.append(
            f"frames {numbers_as_text(plate.unreadable)} cannot be read, or differ from the "
            "first one: they will fail"
        )
    return notes


def asked_of(engine: EngineSettings) -> dict[str, Any]:
    """The settings that decide how an engine describes itself, its weights and device apart."""
    asked = {"name": engine.name, "precision": engine.precision, "mode": engine.mode}
    if engine.name == "dim":
        return asked
    return {**asked, "classical": as_plain(engine.classical), "most_px": engine.max_window_px}


def last_description(
    runs: Sequence[RunRecord], engine: EngineSettings, weights: str | None
) -> dict[str, Any]:
    """How an engine of these settings would describe itself, without opening it: as in the last
    run that was asked for the like, with the weights of now; {} where there was none.

    weights: their sha256; None for an engine that has none.
    """
    asked = asked_of(engine)
    like = [run for run in runs if run.asked == asked]
    if not like:
        return {}
    return dict(like[-1].engine) | ({} if weights is None else {"weights": weights})


_PARTED = "."


def same_alpha(first: str, second: str) -> bool:
    """Whether two fingerprints differ at most in what decides only the file."""
    return first.partition(_PARTED)[0] == second.partition(_PARTED)[0]


class Fingerprints:
    """A name for everything that decides a frame's matte: equal name, equal pixels.

    Its first part names what decides alpha, its second, after a dot, what decides only the file:
    format, pixel type, compression, attributes.
    """

    def __init__(
        self,
        plan: RunPlan,
        settings: RunSettings,
        plate: Plate,
        *,
        engine: Mapping[str, Any],
        colour: str,
    ) -> None:
        """
        engine: how it describes itself. colour: names the colour configuration's content.
        """
        self._plan, self._plate = plan, plate
        self._keyframes = {n: content_digest(path) for n, path in plan.keyframes.items()}
        self._common = digest(
            {
                "pixels": PIXELS_VERSION,
                "engine": engine,
                "colour": [plate.info.colour_space, colour],
                "picture": [plate.info.kind, settings.layer, settings.part, settings.first_frame],
                "canvas": as_plain(plate.info.canvas),
                "growth": settings.keyframe_growth,
            }
        )
        self._file = digest(settings.output)[:12]
        self._propagation = digest(settings.propagation)
        self._segments: dict[Segment, str] = {}

    def of(self, number: int) -> str:
        segment = self._plan.segment(number)
        if segment not in self._segments:
            self._segments[segment] = self._segment_digest(segment)
        own = self._plate.signature(self._plan.sources[number])
        alpha = digest([self._common, self._segments[segment], own])
        return f"{alpha}{_PARTED}{self._file}"

    def _segment_digest(self, segment: Segment) -> str:
        """The segment's keyframes and, unless it is a keyframe itself, all of its plates."""
        before, after = segment
        keys = [(n, self._keyframes[n]) for n in segment if n is not None]
        if before == after:
            return digest(keys)
        first = before if before is not None else self._plan.trail[0]
        last = after if after is not None else self._plan.trail[-1]
        inside = [n for n in self._plan.trail if first <= n <= last]
        plates = [(n, self._plate.signature(self._plan.sources[n])) for n in inside]
        return digest([self._propagation, keys, plates])
