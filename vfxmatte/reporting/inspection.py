"""Inspect what a run would find, lack and do, from headers, keyframes and the journal.

Loads no torch.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from vfxmatte.colour import ColourConfig
from vfxmatte.common.paths import existing_folder
from vfxmatte.common.wording import frames_text
from vfxmatte.engines.classical.optional import check_installed
from vfxmatte.engines.registry import check_name
from vfxmatte.errors import OutputError, VfxmatteError
from vfxmatte.io.plate import Plate, PlateInfo
from vfxmatte.journal.error_log import logged
from vfxmatte.journal.journal import Journal
from vfxmatte.pipeline.clean_plates import CleanPlateReader
from vfxmatte.pipeline.finished import finished_trimap
from vfxmatte.pipeline.fitting import described, is_to_come
from vfxmatte.pipeline.keyframes import read_keyframe
from vfxmatte.pipeline.limit_doubts import limit_doubts
from vfxmatte.pipeline.locking import edited_since_locked
from vfxmatte.pipeline.plan import (
    Fingerprints,
    RunPlan,
    beside_each_other,
    last_description,
    locked_prints,
    make_plan,
    weights_sidecar,
)
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot
from vfxmatte.pipeline.solved import alpha_source
from vfxmatte.pipeline.subject_shots import (
    chosen,
    chosen_names,
    is_keyed,
    subject_shots,
    subjects_without_keyframes,
)
from vfxmatte.pipeline.unshared import has_own_alpha
from vfxmatte.reporting.keyframe_findings import KeyframeFinding, findings, finished_findings
from vfxmatte.trimaps import oddity
from vfxmatte.types import Labels, Trimap, numbers_as_text

Value = TypeVar("Value")


@dataclass(kw_only=True)
class Inspection:
    """The findings about a shot; None for what is unknown."""

    shot: Shot
    plate: PlateInfo | None = None
    keyframes: list[KeyframeFinding] = field(default_factory=list)
    plan: RunPlan | None = None
    finished: int = 0
    """Frames of the plan that an earlier run has done with the same settings."""
    rewritten: int = 0
    """Frames whose matte would be written anew from itself."""
    stale: int = 0
    """Frames with a matte that would be solved again."""
    needed_bytes: int | None = None
    """Upper bound of the disk space that the remaining mattes need."""
    free_bytes: int | None = None
    weights: str | None = None
    problems: list[VfxmatteError] = field(default_factory=list)
    """The errors that keep a run from starting."""
    remarks: list[str] = field(default_factory=list)
    """Remarks for the user."""
    subjects: dict[str, Inspection] = field(default_factory=dict)
    """The findings about each of several subjects that would be matted."""

    @property
    def to_do(self) -> int | None:
        """Number of mattes that a run would solve or rewrite."""
        if self.plan is None:
            return None
        return max(1, len(self.subjects)) * len(self.plan.numbers) - self.finished

    @property
    def exit_code(self) -> int:
        """Exit code of a run: 0, 1 if single frames would fail, 3 if it cannot start."""
        if self.problems:
            return max(problem.exit_code for problem in self.problems)
        return 1 if self.plate is not None and self.plate.unreadable else 0


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """See `pipeline.fitting.Opened`."""

    shot: Shot
    settings: RunSettings
    plan: RunPlan
    plate: Plate
    colours: ColourConfig


def inspect(shot: Shot) -> Inspection:
    """Inspect a shot; problems are collected, not raised."""
    inspection = Inspection(shot=shot)
    _tried(inspection, lambda: _check_engine(shot.settings.engine.name))
    sidecar = _tried(inspection, lambda: weights_sidecar(shot.settings.engine))
    if sidecar is not None:
        inspection.weights = str(sidecar.get("name") or sidecar["sha256"][:12])
    colours = _tried(inspection, lambda: ColourConfig.load(shot.settings.ocio))
    if colours is not None:
        plate = _tried(inspection, lambda: shot.open_plate(colours))
        if plate is not None:
            with plate:
                _inspect_plate(inspection, _Known(plate, colours, sidecar))
    _inspect_disk(inspection)
    return inspection


@dataclass(frozen=True)
class _Known:
    """The plate, colours and weights of a shot, the same for all its subjects."""

    plate: Plate
    colours: ColourConfig
    sidecar: Mapping[str, Any] | None
    """The sidecar of the weights, if the engine has any."""


def _inspect_plate(inspection: Inspection, known: _Known) -> None:
    shot = inspection.shot
    inspection.plate = known.plate.info
    if shot.subjects:
        _tried(inspection, lambda: _inspect_subjects(inspection, known))
        return
    _inspect_keyframes(inspection, known)
    if inspection.plan is not None:
        _tried(inspection, lambda: _Mattes(inspection, known).count())


def _inspect_keyframes(inspection: Inspection, known: _Known) -> None:
    shot, plate = inspection.shot, known.plate.info
    inspection.plate = plate
    inspection.keyframes = _keyframes(shot, plate)
    signature = known.plate.signature
    plan = _tried(inspection, lambda: make_plan(shot, shot.settings, plate, signature))
    if plan is not None:
        inspection.keyframes += finished_findings(plan, plate)
    inspection.problems += [k.error for k in inspection.keyframes if k.error and _counts(k, plan)]
    if plan is not None:
        inspection.plan = plan
        inspection.remarks += plan.notes
        _inspect_controls(inspection, plan, known)


def _inspect_subjects(inspection: Inspection, known: _Known) -> None:
    shot = inspection.shot
    lacking = subjects_without_keyframes(shot)
    inspection.problems += lacking
    if lacking:
        shot = chosen(shot, [name for name in chosen_names(shot) if is_keyed(shot, name)])
    parts = {name: Inspection(shot=one) for name, one in subject_shots(shot).items()}
    for one in parts.values():
        _inspect_keyframes(one, known)
    names = chosen_names(shot)
    inspection.subjects = {name: parts[name] for name in names}
    inspection.plan = parts[names[0]].plan
    planned = {name: one for name, one in parts.items() if one.plan is not None}
    if planned.keys() >= set(names):
        _tried(inspection, lambda: _count_beside_each_other(planned, names, known))
    _sum_up(inspection)


def _count_beside_each_other(
    parts: Mapping[str, Inspection], names: Sequence[str], known: _Known
) -> None:
    mattes = {name: _Mattes(one, known) for name, one in parts.items()}
    alone = {name: one.prints for name, one in mattes.items()}
    expected = beside_each_other(
        alone, lambda name, n: name in names or mattes[name].has_own_alpha(n)
    )
    for name, one in mattes.items():
        one.expected = expected[name]
        one.count()


def _sum_up(inspection: Inspection) -> None:
    """Add the findings about the subjects to those about the shot."""
    each = list(inspection.subjects.values())
    inspection.finished = sum(one.finished for one in each)
    inspection.rewritten = sum(one.rewritten for one in each)
    inspection.stale = sum(one.stale for one in each)
    inspection.problems += [problem for one in each for problem in one.problems]
    inspection.remarks = list(dict.fromkeys(r for one in each for r in one.remarks))
    if all(one.needed_bytes is not None for one in each):
        inspection.needed_bytes = sum(one.needed_bytes or 0 for one in each)


def _counts(keyframe: KeyframeFinding, plan: RunPlan | None) -> bool:
    """Return True if a run would read this keyframe."""
    if plan is None:
        return keyframe.used
    return plan.keyframes.get(keyframe.number) == keyframe.path


def _inspect_controls(inspection: Inspection, plan: RunPlan, known: _Known) -> None:
    """Inspect locked frames, garbage and core mattes, and clean plates."""
    plate, colorspace = known.plate.info, inspection.shot.settings.colorspace
    edited = edited_since_locked(inspection.shot.output)
    if edited:
        inspection.remarks.append(
            f"locked {frames_text(edited, ('was', 'were'))} edited since the lock"
        )
    needed = [n for n in plan.numbers if n not in plan.finished and n not in plan.locked]
    doubts = _tried(inspection, lambda: _limit_doubts(inspection, plan, needed, plate))
    inspection.remarks += doubts or []
    plan.limits.close()
    clean = plan.clean
    if clean is not None:
        reader = _tried(
            inspection, lambda: CleanPlateReader(clean, plate, colorspace, known.colours)
        )
        if reader is not None:
            inspection.remarks += reader.notes
            reader.close()


def _limit_doubts(
    inspection: Inspection, plan: RunPlan, numbers: Sequence[int], plate: PlateInfo
) -> list[str]:
    """Return where garbage and core mattes contradict keyframes.

    Raises:
        TrimapError, ShotError: one of them cannot be used, see `LimitMattes.check`.
    """
    plan.limits.check(numbers, plate)
    name = f"{inspection.shot.subject}: " if inspection.shot.subject else ""
    usable = [one.number for one in inspection.keyframes if not one.error and _counts(one, plan)]

    def read(number: int) -> Labels:
        path = plan.keyframes[number]
        if number in plan.finished:
            return finished_trimap(path, number, plate)[0].labels
        return read_keyframe(path, number, plate).labels

    return [f"{name}{text}" for text in limit_doubts(plan, usable, read)]


def _tried(inspection: Inspection, function: Callable[[], Value]) -> Value | None:
    try:
        return function()
    except Exception as error:
        inspection.problems.append(logged(error).at(shot=inspection.shot.name))
        return None


def _check_engine(name: str) -> None:
    """Raise UsageError for an unknown engine, or one that lacks its package."""
    check_name(name)
    check_installed(name)


def _keyframes(shot: Shot, plate: PlateInfo) -> list[KeyframeFinding]:
    def read(number: int, path: Path) -> tuple[Trimap, str]:
        trimap = read_keyframe(path, number, plate)
        return trimap, oddity(trimap.labels)

    return findings(shot.keyframes, plate, read)


def _needed(value: Value | None) -> Value:
    """Return a finding that others are made from; raises RuntimeError for None."""
    if value is None:
        raise RuntimeError("an inspection has left something out")
    return value


class _Mattes:
    """The mattes that are there already, of chunks or of whole runs."""

    def __init__(self, inspection: Inspection, known: _Known) -> None:
        shot, plan = inspection.shot, _needed(inspection.plan)
        self._inspection, self._numbers = inspection, plan.numbers
        self._journal = Journal.peek(shot.output)
        settings, colour = shot.settings, known.colours.fingerprint
        engine = last_description(self._journal.runs, settings.engine, known.sidecar)
        opened = _Opened(
            shot=shot, settings=settings, plan=plan, plate=known.plate, colours=known.colours
        )
        engine = described(opened, engine)
        if is_to_come(engine):
            name = f"{shot.subject}: " if shot.subject else ""
            minutes, longest = settings.fit.minutes, settings.fit.longest_minutes
            duration = (
                f"{minutes:g} min" if longest == minutes else f"{minutes:g} to {longest:g} min"
            )
            inspection.remarks.append(
                f"{name}a light network is fitted to the keyframes before the first frame: about "
                f"{duration} on two cores (--fit off does without)"
            )
        prints = Fingerprints(plan, settings, known.plate, engine=engine, colour=colour)
        self._locked = [n for n in plan.numbers if n in plan.locked]
        self.prints = {**{n: prints.of(n) for n in plan.numbers}, **locked_prints(plan)}
        """The fingerprints of all frames, as of the only subject."""
        self.expected: Mapping[int, str] = self.prints
        """The fingerprints that the mattes are expected to have."""

    def has_own_alpha(self, number: int) -> bool:
        """Return True if a subject's alpha can be had from its matte, or is locked."""
        if number in self._locked:
            return True
        shot, record = self._inspection.shot, self._journal.records.get(number)
        return has_own_alpha(record, self.prints[number], shot.settings.output, shot.output)

    def count(self) -> None:
        """Count the frames that are done already, and those of which only the file changes."""
        inspection, records = self._inspection, self._journal.records
        done = [n for n in self._numbers if n in records and records[n].file]
        done = [n for n in done if n not in self._locked]
        fresh = {n for n in done if self._journal.finished(n, self.expected[n]) is not None}
        again = {n for n in done if n not in fresh and self._is_rewritten(n)}
        inspection.finished = len(fresh) + len(self._locked)
        inspection.rewritten = len(again)
        inspection.stale = len(done) - len(fresh) - len(again)
        sizes = [records[n].size_bytes for n in done]
        settings, plate = inspection.shot.settings, _needed(inspection.plate)
        each = max(sizes) if sizes else _largest_matte_bytes(settings, plate)
        inspection.needed_bytes = each * (len(self._numbers) - inspection.finished)

    def _is_rewritten(self, number: int) -> bool:
        if self.expected is not self.prints:
            return self.has_own_alpha(number)
        shot, record = self._inspection.shot, self._journal.records[number]
        return bool(alpha_source(record, self.prints[number], shot.settings.output, shot.output))


def _largest_matte_bytes(settings: RunSettings, plate: PlateInfo) -> int:
    """Return the size of one matte without compression."""
    output = settings.output
    wide = output.format == "exr" and output.pixel_type == "float"
    layers = sum(len(layer.channels) for layer in output.parsed_layers if layer.name)
    channels = layers + (4 if output.rgba or output.foreground else 1)
    return plate.canvas.width * plate.canvas.height * channels * (4 if wide else 2)


def _inspect_disk(inspection: Inspection) -> None:
    folder = existing_folder(inspection.shot.output)
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        inspection.problems.append(
            OutputError(
                "results cannot be written here",
                path=folder,
                hint="give a writable folder to --output",
            )
        )
        return
    inspection.free_bytes = shutil.disk_usage(folder).free
    if inspection.needed_bytes is not None and inspection.free_bytes < inspection.needed_bytes:
        inspection.remarks.append("the disk may be too full for the mattes to come")


def as_plain(inspection: Inspection) -> dict[str, Any]:
    """Return an inspection's values for JSON; unknown ones are None."""
    plate, plan = inspection.plate, inspection.plan
    return {
        "event": "check",
        "shot": inspection.shot.name,
        "output": str(inspection.shot.output),
        "plate": None
        if plate is None
        else {
            "spec": plate.spec,
            "frames": numbers_as_text(plate.numbers),
            "missing": numbers_as_text(plate.missing),
            "unreadable": numbers_as_text(plate.unreadable),
            "width": plate.display_window.width,
            "height": plate.display_window.height,
            "fps": None if plate.fps is None else float(plate.fps),
            "description": plate.description,
            "colorspace": plate.colour_space,
            "colorspace_reason": plate.colour_reason,
        },
        "keyframes": [_keyframe_as_plain(one) for one in inspection.keyframes],
        "subjects": {name: _subject_as_plain(one) for name, one in inspection.subjects.items()},
        "weights": inspection.weights,
        "frames": None if plan is None else numbers_as_text(plan.numbers),
        "locked": None if plan is None else numbers_as_text(plan.locked),
        "limits": None if plan is None or inspection.subjects else plan.limits.texts(),
        "to_do": inspection.to_do,
        "finished": inspection.finished,
        "rewritten": inspection.rewritten,
        "stale": inspection.stale,
        "needed_bytes": inspection.needed_bytes,
        "free_bytes": inspection.free_bytes,
        "notes": inspection.remarks,
        "problems": [str(problem) for problem in inspection.problems],
        "exit_code": inspection.exit_code,
    }


def _subject_as_plain(inspection: Inspection) -> dict[str, Any]:
    plan = inspection.plan
    return {
        "locked": None if plan is None else numbers_as_text(plan.locked),
        "limits": None if plan is None else plan.limits.texts(),
        "output": str(inspection.shot.output),
        "keyframes": [_keyframe_as_plain(one) for one in inspection.keyframes],
        "to_do": inspection.to_do,
        "finished": inspection.finished,
        "rewritten": inspection.rewritten,
        "stale": inspection.stale,
    }


def _keyframe_as_plain(one: KeyframeFinding) -> dict[str, Any]:
    return {
        "frame": one.number,
        "path": str(one.path),
        "used": one.used,
        "unknown_share": one.unknown_share,
        "remark": one.remark,
        "error": None if one.error is None else str(one.error),
    }
