"""The plan of a run: its frames, their files and keyframes; and the fingerprints of its mattes.

Made from names, headers and settings alone, before any pixel is read.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vfxmatte.engines.protocol import EngineSettings
from vfxmatte.errors import MissingFrameError, ShotError
from vfxmatte.foreground.estimation import COLOURS_VERSION
from vfxmatte.io.plates import Plate, PlateInfo
from vfxmatte.io.writers import OutputSettings
from vfxmatte.journal.records import RunRecord
from vfxmatte.network.sidecar import DEFAULT_WEIGHTS, read_sidecar
from vfxmatte.pipeline.settings import RunSettings, as_plain, digest
from vfxmatte.pipeline.shot import Shot, content_digest, keyframes_in
from vfxmatte.propagation.shot_trimaps import Segment, segment_of
from vfxmatte.types import numbers_as_text

_LATER_OUTPUT = ("foreground", "despill", "layers")

PIXELS_VERSION = 3
"""Raise this when a change of the program changes mattes: older results are stale then."""


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """What a run does."""

    numbers: tuple[int, ...]
    """Frames to solve, ascending."""
    skipped: tuple[int, ...]
    """Frames of the range that the plate lacks and that are left out."""
    sources: Mapping[int, int]
    """The plate frame that each number is read from."""
    trail: tuple[int, ...]
    """Every frame that trimaps are carried along, to be solved or not."""
    keyframes: Mapping[int, Path]
    """The painted trimaps on frames of the plate."""
    notes: tuple[str, ...]
    """What a person should know before the run."""

    def segment(self, number: int) -> Segment:
        """Return the keyframes before and after a frame."""
        return segment_of(number, self.keyframes.keys())


def make_plan(shot: Shot, settings: RunSettings, plate: PlateInfo) -> RunPlan:
    """Plan a run.

    Raises:
        MissingFrameError: the plate lacks frames of the range, and `missing` is "error".
        ShotError: no usable keyframe, or a range without any frame of the plate.
    """
    requested = _requested_frames(settings, plate)
    present = set(plate.numbers)
    lacking = [number for number in requested if number not in present]
    if lacking and settings.missing == "error":
        raise MissingFrameError(
            f"the plate lacks {len(lacking)} of {len(requested)} frames: "
            f"{numbers_as_text(lacking)}",
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
        numbers=tuple(number for number in requested if number in sources),
        skipped=skipped,
        sources=sources,
        trail=tuple(sorted(sources)),
        keyframes=keyframes,
        notes=tuple(_notes(shot, settings, plate, keyframes, lacking)),
    )


def _requested_frames(settings: RunSettings, plate: PlateInfo) -> list[int]:
    if settings.frames is None:
        return sorted({*plate.numbers, *plate.missing})
    requested = list(settings.frames)
    if requested[-1] < plate.numbers[0] or requested[0] > plate.numbers[-1]:
        raise ShotError(
            f"no frame of {settings.frames} is in the plate, which has "
            f"{numbers_as_text(plate.numbers)}",
            path=plate.spec,
            hint="give another --frames",
        )
    return requested


def _nearest_before(number: int, present: Sequence[int]) -> int:
    """Return the frame that stands in for a missing one; before the first frame, the first."""
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
    if settings.output.needs_colours:
        notes += _colour_notes(plate)
    if lacking:
        done = "solved from the frame before" if settings.missing == "hold" else "left out"
        notes.append(f"frames {numbers_as_text(lacking)} are missing from the plate: {done}")
    if plate.unreadable:
        notes.append(
            f"frames {numbers_as_text(plate.unreadable)} cannot be read, or differ from the "
            "first one: they will fail"
        )
    return notes


def _colour_notes(plate: PlateInfo) -> list[str]:
    if plate.bits is None or plate.bits > 8:
        return []
    return [
        f"the plate has {plate.bits} bits a channel: the foreground's colour will show their "
        "banding where it is graded; a 10-bit movie, a 16-bit or an EXR plate has finer steps"
    ]


def requested_engine(engine: EngineSettings) -> dict[str, Any]:
    """Return the settings that decide an engine's description, without weights and device."""
    requested = {"name": engine.name, "precision": engine.precision, "mode": engine.mode}
    if engine.name == "dim":
        return requested
    return {**requested, "classical": as_plain(engine.classical), "most_px": engine.max_window_px}


def weights_sidecar(engine: EngineSettings) -> dict[str, Any] | None:
    """Read the sidecar of an engine's weights; None for an engine that has no weights."""
    if engine.name != "dim":
        return None
    return read_sidecar(engine.weights or DEFAULT_WEIGHTS)


def last_description(
    runs: Sequence[RunRecord], engine: EngineSettings, sidecar: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return the description of an engine without opening it: that of the last run with the same
    settings, with the present weights; {} if there was none.

    Args:
        sidecar: of the present weights, see `weights_sidecar`.
    """
    requested = requested_engine(engine)
    same = [run for run in runs if run.requested == requested]
    if not same:
        return {}
    return dict(same[-1].engine) | ({} if sidecar is None else {"weights": str(sidecar["sha256"])})


_SEPARATOR = "."  # between the two parts of a fingerprint


def same_alpha(first: str, second: str) -> bool:
    """Return True if two fingerprints differ at most in what decides only the file."""
    return first.partition(_SEPARATOR)[0] == second.partition(_SEPARATOR)[0]


def _file_digest(output: OutputSettings) -> str:
    """Digest what decides only the file.

    Settings that came later count where they are used, so that older mattes stay finished.
    """
    values, usual = as_plain(output), as_plain(OutputSettings())
    unused = {name for name in _LATER_OUTPUT if values[name] == usual[name]}
    record = {name: value for name, value in values.items() if name not in unused}
    if output.needs_colours:
        record["estimation"] = COLOURS_VERSION
    return digest(record)[:12]


class Fingerprints:
    """Identifies everything that decides a frame's matte: equal fingerprint, equal pixels.

    The first part of a fingerprint stands for what decides alpha; the second, after a dot, for what
    decides only the file: format, pixel type, compression, attributes.
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
        Args:
            engine: its description, see `Engine.describe`.
            colour: the fingerprint of the colour configuration.
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
        self._file = _file_digest(settings.output)
        self._propagation = digest(settings.propagation)
        self._segments: dict[Segment, str] = {}

    def of(self, number: int) -> str:
        """Return a frame's fingerprint."""
        segment = self._plan.segment(number)
        if segment not in self._segments:
            self._segments[segment] = self._segment_digest(segment)
        own = self._plate.signature(self._plan.sources[number])
        alpha = digest([self._common, self._segments[segment], own])
        return f"{alpha}{_SEPARATOR}{self._file}"

    def _segment_digest(self, segment: Segment) -> str:
        """Digest a segment's keyframes and, unless it is a keyframe itself, all of its plates."""
        before, after = segment
        keys = [(n, self._keyframes[n]) for n in segment if n is not None]
        if before == after:
            return digest(keys)
        first = before if before is not None else self._plan.trail[0]
        last = after if after is not None else self._plan.trail[-1]
        inside = [n for n in self._plan.trail if first <= n <= last]
        plates = [(n, self._plate.signature(self._plan.sources[n])) for n in inside]
        return digest([self._propagation, keys, plates])
