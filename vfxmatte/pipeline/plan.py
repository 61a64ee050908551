"""The plan of a run: its frames, their files and keyframes; and the fingerprints of its mattes.

Made from names, headers and settings alone, before any pixel is read.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vfxmatte.common.wording import frames_text
from vfxmatte.engines.protocol import EngineSettings
from vfxmatte.errors import MissingFrameError, ShotError
from vfxmatte.foreground.estimation import COLOURS_VERSION
from vfxmatte.io.plate import Plate, PlateInfo
from vfxmatte.io.signatures import content_digest
from vfxmatte.io.writers import OutputSettings
from vfxmatte.journal.records import RunRecord
from vfxmatte.network.sidecar import read_sidecar
from vfxmatte.pipeline.clean_plates import CleanPlates
from vfxmatte.pipeline.coverage import coverage_note
from vfxmatte.pipeline.keyframe_sources import KeyframeSources
from vfxmatte.pipeline.limits import LIMIT_KINDS, LimitMattes
from vfxmatte.pipeline.settings import RunSettings, as_plain, digest
from vfxmatte.pipeline.shot import Shot
from vfxmatte.pipeline.subject_names import folders_beside
from vfxmatte.propagation.shot_trimaps import Segment, segment_of
from vfxmatte.types import numbers_as_text

_LATER_OUTPUT = ("foreground", "despill", "layers")

PIXELS_VERSION = 11
"""Raise this when a change of the program changes mattes: older results are stale then."""


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """The plan of a run: its frames, keyframes and mattes."""

    numbers: tuple[int, ...]
    """Frames to solve, ascending."""
    skipped: tuple[int, ...]
    """Frames of the range that the plate lacks and that are left out."""
    sources: Mapping[int, int]
    """The plate frame that each number is read from."""
    trail: tuple[int, ...]
    """Every frame that trimaps are carried along, to be solved or not."""
    keyframes: Mapping[int, Path]
    """The painted trimaps, finished mattes and locked mattes on frames of the plate."""
    finished: Mapping[int, Path] = field(default_factory=dict)
    """The keyframes that are finished mattes, locked ones included."""
    locked: Mapping[int, Path] = field(default_factory=dict)
    """The mattes of all locked frames, which no run touches."""
    limits: LimitMattes = field(default_factory=LimitMattes)
    """The garbage and core mattes."""
    clean: CleanPlates | None = None
    """The clean plates."""
    notes: tuple[str, ...]
    """Notes for the user before the run."""

    def segment(self, number: int) -> Segment:
        """Return the keyframes before and after a frame."""
        return segment_of(number, self.keyframes.keys())


def make_plan(
    shot: Shot,
    settings: RunSettings,
    plate: PlateInfo,
    signature: Callable[[int], str] | None = None,
) -> RunPlan:
    """Plan a run.

    Args:
        signature: the plate's, see `Plate.signature`; None does not compare the plates of locked
            frames.

    Raises:
        MissingFrameError: the plate lacks frames of the range, and `missing` is "error".
        ShotError: no usable keyframe, or a range without any frame of the plate.
        OutputError: the matte of a locked frame is gone.
    """
    requested = _requested_frames(settings, plate)
    present = set(plate.numbers)
    keys = KeyframeSources.find(shot, settings, plate)
    lacking = [n for n in requested if n not in present and n not in keys.locked]
    if lacking and settings.missing == "error":
        raise MissingFrameError(
            f"the plate lacks {len(lacking)} of {len(requested)} frames: "
            f"{numbers_as_text(lacking)}",
            shot=shot.name,
            path=plate.spec,
            hint="give --missing hold (the frame before is used) or --missing skip, "
            "or another --frames",
        )
    sources = {number: number for number in plate.numbers}
    if settings.missing == "hold":
        sources |= {n: _nearest_before(n, plate.numbers) for n in (*plate.missing, *lacking)}
    trail = tuple(sorted(sources))
    sources |= {n: _nearest_before(n, plate.numbers) for n in keys.locked if n not in sources}
    skipped = tuple(lacking) if settings.missing == "skip" else ()
    sides = shot.sides_with(settings)
    plan = RunPlan(
        numbers=tuple(number for number in requested if number in sources),
        skipped=skipped,
        sources=sources,
        trail=trail,
        keyframes=keys.used,
        finished=keys.used_finished,
        locked=keys.locked,
        limits=LimitMattes.find(sides, plate),
        clean=CleanPlates.find(sides.get("cleanplate"), plate),
        notes=(),
    )
    notes = [*_notes(shot, settings, plate, keys.used, lacking), *keys.notes(signature)]
    far = coverage_note(plan.numbers, plan.keyframes)
    notes += [far] if far else []
    return replace(plan, notes=(*notes, *_control_notes(plan, settings)))


def _control_notes(plan: RunPlan, settings: RunSettings) -> Iterator[str]:
    """Yield what there is to know of garbage and core mattes, clean plates and the edges'
    settings."""
    yield from plan.limits.notes(n for n in plan.numbers if n not in plan.finished)
    if plan.clean is not None:
        yield from plan.clean.notes(plan.trail, plan.keyframes)
    kept = sorted({*plan.finished, *plan.locked} & set(plan.numbers))
    if kept and (plan.limits or not settings.matte.is_neutral):
        yield (
            f"finished and locked mattes ({numbers_as_text(kept)}) stay as they are: neither "
            "garbage and core mattes nor settings of [matte] change them"
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
            f"{shot.plate.name}, {frames_text(plate.numbers)}; --frames takes less"
        )
    ignored = folders_beside(shot.keyframes.values())
    if ignored:
        notes.append(
            f"the keyframes have folders of images beside them ({', '.join(ignored)}), which are "
            "not taken as subjects"
        )
    notes += [
        f"{place} is empty: there is no {place.name} matte, and nothing is limited by one"
        for place in shot.empty
        if place.name in LIMIT_KINDS and place.name not in shot.sides_with(settings)
    ]
    outside = [number for number in shot.keyframes if number not in keyframes]
    if outside:
        notes.append(
            f"{frames_text(outside, ('is', 'are'), noun='keyframe')} not used: the plate has no "
            "such frame"
        )
    if settings.output.needs_colours:
        notes += _colour_notes(plate)
    if settings.output.despill == 0 and any(
        layer.kind == "despill" for layer in settings.output.parsed_layers
    ):
        notes.append("the layer despill has its spill still: --despill, 0 to 1, says how much goes")
    if lacking:
        done = "solved from the frame before" if settings.missing == "hold" else "left out"
        notes.append(f"{frames_text(lacking, ('is', 'are'))} missing from the plate: {done}")
    if plate.unreadable:
        will = (
            "cannot be read, or differs from the first one: it will fail",
            "cannot be read, or differ from the first one: they will fail",
        )
        notes.append(frames_text(plate.unreadable, will))
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
    return read_sidecar(engine.weights_path)


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


def alpha_part(fingerprint: str) -> str:
    """Return the part of a fingerprint that stands for what decides alpha."""
    return fingerprint.partition(_SEPARATOR)[0]


def same_alpha(first: str, second: str) -> bool:
    """Return True if two fingerprints differ at most in what decides only the file."""
    return alpha_part(first) == alpha_part(second)


def keyframe_digest(plan: RunPlan, number: int) -> str:
    """Return what stands for a keyframe in fingerprints."""
    content = content_digest(plan.keyframes[number])
    return f"finished {content}" if number in plan.finished else content


def locked_prints(plan: RunPlan) -> dict[int, str]:
    """Return what stands for the mattes of locked frames in the fingerprints of other subjects."""
    return {n: digest(["locked", content_digest(path)]) for n, path in plan.locked.items()}


def beside(fingerprint: str, others: Mapping[str, str | None]) -> str:
    """Return the fingerprint of a subject's matte beside those of others, which decide its file.

    Args:
        fingerprint: the subject's own.
        others: theirs by name, as of the same frame; None for one that has no matte there.
    """
    if not others:
        return fingerprint
    alpha, _, file = fingerprint.partition(_SEPARATOR)
    alphas = {name: other and alpha_part(other) for name, other in others.items()}
    return f"{alpha}{_SEPARATOR}{digest([file, alphas])[:12]}"


def beside_each_other(
    alone: Mapping[str, Mapping[int, str]], is_there: Callable[[str, int], bool]
) -> dict[str, dict[int, str]]:
    """Return the fingerprints of several subjects' mattes beside each other, by subject.

    Args:
        alone: those that each would have as the only subject.
        is_there: returns whether a subject has a matte of a frame, or is going to have it.
    """
    existing = {
        name: {n: print_ if is_there(name, n) else None for n, print_ in prints.items()}
        for name, prints in alone.items()
    }
    return {
        name: {
            n: beside(print_, {other: existing[other].get(n) for other in alone if other != name})
            for n, print_ in prints.items()
        }
        for name, prints in alone.items()
    }


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
        self._keyframes = {n: keyframe_digest(plan, n) for n in plan.keyframes}
        self._fit = engine.get("fit")
        self._steadies = settings.steadies
        self._colour_choice = settings.colorspace
        self._common = digest(
            {
                "pixels": PIXELS_VERSION,
                "engine": {key: value for key, value in engine.items() if key != "fit"},
                "colour": [plate.info.colour_space, colour],
                "picture": [plate.info.kind, settings.layer, settings.part, settings.first_frame],
                "canvas": as_plain(plate.info.canvas),
                "growth": settings.keyframe_growth,
                "temporal": settings.temporal if settings.steadies else None,
            }
        )
        self._file = _file_digest(settings.output)
        self._shaped_file = self._file
        if not settings.matte.is_neutral:
            self._shaped_file = digest([self._file, settings.matte])[:12]
        self._propagation = digest(settings.propagation)
        self._segments: dict[Segment, str] = {}

    def of(self, number: int) -> str:
        """Return a frame's fingerprint."""
        segment = self._plan.segment(number)
        if segment not in self._segments:
            self._segments[segment] = self._segment_digest(segment)
        own = self._plate.signature(self._plan.sources[number])
        parts: list[Any] = [self._common, self._segments[segment], own]
        if number in self._plan.finished:  # nothing limits or shapes it
            return f"{digest(parts)}{_SEPARATOR}{self._file}"
        limits = [self._plan.limits.digest(n) for n in self._that_decide(number)]
        if any(limits):
            parts = [*parts, *limits]
        return f"{digest(parts)}{_SEPARATOR}{self._shaped_file}"

    def _that_decide(self, number: int) -> Sequence[int]:
        """Return the frames whose garbage and core mattes decide a frame's alpha."""
        if self._steadies and number not in self._keyframes:
            return number - 1, number, number + 1
        return (number,)

    def _segment_digest(self, segment: Segment) -> str:
        """Digest a segment's keyframes and, unless it is a keyframe itself, all of its plates and
        the shot's fit."""
        before, after = segment
        keys = [(n, self._keyframes[n]) for n in segment if n is not None]
        if before == after:
            return digest(keys)
        first = before if before is not None else self._plan.trail[0]
        last = after if after is not None else self._plan.trail[-1]
        inside = [n for n in self._plan.trail if first <= n <= last]
        plates = [(n, self._plate.signature(self._plan.sources[n])) for n in inside]
        extras: list[Any] = [] if self._fit is None else [self._fit]
        if self._plan.clean is not None:
            clean = [self._plan.clean.signature(n) for n in inside]
            extras.append([self._colour_choice, clean])
        return digest([self._propagation, keys, plates, *extras])
