"""What a run would find, lack and do, from headers, keyframes and the journal.

Loads no torch.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from vfxmatte.colour import ColourConfig
from vfxmatte.common.parallel import ordered_map
from vfxmatte.engines.classical.optional import check_installed
from vfxmatte.engines.registry import check_name
from vfxmatte.errors import OutputError, VfxmatteError, as_foreseen
from vfxmatte.io.plates import Plate, PlateInfo
from vfxmatte.journal.error_log import logged
from vfxmatte.journal.journal import Journal
from vfxmatte.pipeline.plan import (
    Fingerprints,
    RunPlan,
    last_description,
    make_plan,
    weights_sidecar,
)
from vfxmatte.pipeline.rewriting import alpha_source
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot, read_keyframe
from vfxmatte.trimaps import oddity
from vfxmatte.types import numbers_as_text

Value = TypeVar("Value")

_WORKERS = 4


@dataclass(frozen=True, kw_only=True)
class KeyframeFinding:
    """One painted trimap."""

    number: int
    path: Path
    used: bool
    """Whether the plate has such a frame."""
    unknown_share: float | None = None
    """0 to 1; None if it cannot be read."""
    remark: str = ""
    """What is odd about it."""
    error: VfxmatteError | None = None
    """Why it cannot be used."""


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
    """At most, for the mattes to come."""
    free_bytes: int | None = None
    weights: str | None = None
    problems: list[VfxmatteError] = field(default_factory=list)
    """Why a run cannot start."""
    remarks: list[str] = field(default_factory=list)
    """What a person should know."""

    @property
    def to_do(self) -> int | None:
        """Number of frames that a run would solve or rewrite."""
        return None if self.plan is None else len(self.plan.numbers) - self.finished

    @property
    def exit_code(self) -> int:
        """Exit code of a run: 0, 1 if single frames would fail, 3 if it cannot start."""
        if self.problems:
            return max(problem.exit_code for problem in self.problems)
        return 1 if self.plate is not None and self.plate.unreadable else 0


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
                _inspect_plate(inspection, plate, colours, sidecar)
    _inspect_disk(inspection)
    return inspection


def _inspect_plate(
    inspection: Inspection, plate: Plate, colours: ColourConfig, sidecar: Mapping[str, Any] | None
) -> None:
    shot = inspection.shot
    inspection.plate = plate.info
    inspection.keyframes = _keyframes(shot, plate.info)
    inspection.problems += [k.error for k in inspection.keyframes if k.error and k.used]
    plan = _tried(inspection, lambda: make_plan(shot, shot.settings, plate.info))
    if plan is not None:
        inspection.plan = plan
        inspection.remarks += plan.notes
        _tried(inspection, lambda: _inspect_results(inspection, plan, plate, colours, sidecar))


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
    def inspect_one(item: tuple[int, Path]) -> KeyframeFinding:
        number, path = item
        used = number in plate.numbers
        try:
            trimap = read_keyframe(path, number, plate)
        except Exception as error:
            foreseen = as_foreseen(error).at(frame=number, path=path)
            return KeyframeFinding(number=number, path=path, used=used, error=logged(foreseen))
        return KeyframeFinding(
            number=number,
            path=path,
            used=used,
            unknown_share=trimap.unknown_share,
            remark=oddity(trimap.labels),
        )

    return list(ordered_map(inspect_one, sorted(shot.keyframes.items()), workers=_WORKERS))


def _inspect_results(
    inspection: Inspection,
    plan: RunPlan,
    plate: Plate,
    colours: ColourConfig,
    sidecar: Mapping[str, Any] | None,
) -> None:
    """Count the frames that are done already, in chunks or in whole runs."""
    shot = inspection.shot
    journal = Journal.peek(shot.output)
    engine = last_description(journal.runs, shot.settings.engine, sidecar)
    prints = Fingerprints(plan, shot.settings, plate, engine=engine, colour=colours.fingerprint)
    done = [n for n in plan.numbers if n in journal.records and journal.records[n].file]
    fresh = [n for n in done if journal.finished(n, prints.of(n)) is not None]
    output, settings = shot.output, shot.settings.output
    again = [
        n
        for n in done
        if n not in fresh and alpha_source(journal.records[n], prints.of(n), settings, output)
    ]
    inspection.finished, inspection.rewritten = len(fresh), len(again)
    inspection.stale = len(done) - len(fresh) - len(again)
    sizes = [journal.records[n].size_bytes for n in done]
    each = max(sizes) if sizes else _largest_matte_bytes(shot.settings, plate.info)
    inspection.needed_bytes = each * (len(plan.numbers) - len(fresh))


def _largest_matte_bytes(settings: RunSettings, plate: PlateInfo) -> int:
    """Return the size of one matte without compression."""
    output = settings.output
    wide = output.format == "exr" and output.pixel_type == "float"
    layers = sum(len(layer.channels) for layer in output.parsed_layers if layer.name)
    channels = layers + (4 if output.rgba or output.foreground else 1)
    return plate.canvas.width * plate.canvas.height * channels * (4 if wide else 2)


def _inspect_disk(inspection: Inspection) -> None:
    folder = inspection.shot.output.absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
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
        "keyframes": [
            {
                "frame": one.number,
                "path": str(one.path),
                "used": one.used,
                "unknown_share": one.unknown_share,
                "remark": one.remark,
                "error": None if one.error is None else str(one.error),
            }
            for one in inspection.keyframes
        ],
        "weights": inspection.weights,
        "frames": None if plan is None else numbers_as_text(plan.numbers),
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
