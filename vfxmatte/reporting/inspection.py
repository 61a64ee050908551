"""What a run would find, lack and do, from headers, keyframes and the journal; loads no torch."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from vfxmatte.colour import ColourConfig
from vfxmatte.common.parallel import ordered_map
from vfxmatte.engines.base import check_name
from vfxmatte.engines.classical.optional import check_installed
from vfxmatte.errors import OutputError, VfxmatteError, as_foreseen
from vfxmatte.io.plates import Plate, PlateInfo
from vfxmatte.journal.error_log import logged
from vfxmatte.journal.journal import Journal
from vfxmatte.network.sidecar import DEFAULT_WEIGHTS, read_sidecar
from vfxmatte.pipeline.plan import Fingerprints, RunPlan, last_description, make_plan
from vfxmatte.pipeline.rewriting import alpha_source
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot, read_keyframe
from vfxmatte.trimaps import oddity

Value = TypeVar("Value")

_WORKERS = 4


@dataclass(frozen=True, kw_only=True)
class KeyframeFinding:
    """One painted trimap.

    unknown_share: 0 to 1, None where it cannot be read. used: whether it stands on a frame of
    the plate. remark: what is odd about it, "" where nothing is. error: why it cannot be used.
    """

    number: int
    path: Path
    used: bool
    unknown_share: float | None = None
    remark: str = ""
    error: VfxmatteError | None = None


@dataclass(kw_only=True)
class Inspection:
    """Everything that was found; what could not be found out is None.

    finished: frames of the plan that an earlier run has done with the same settings. rewritten:
    frames whose matte would be written anew from itself. stale: frames that have a matte which
    would be solved again. needed_bytes: at most, for the mattes to come.
    problems: why a run cannot start. remarks: what a person should know.
    """

    shot: Shot
    plate: PlateInfo | None = None
    keyframes: list[KeyframeFinding] = field(default_factory=list)
    plan: RunPlan | None = None
    finished: int = 0
    rewritten: int = 0
    stale: int = 0
    needed_bytes: int | None = None
    free_bytes: int | None = None
    weights: str | None = None
    problems: list[VfxmatteError] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def to_do(self) -> int | None:
        return None if self.plan is None else len(self.plan.numbers) - self.finished

    @property
    def exit_code(self) -> int:
        """That of the run to come: 0, 1 where single frames would fail, 3 where it cannot start."""
        if self.problems:
            return max(problem.exit_code for problem in self.problems)
        return 1 if self.plate is not None and self.plate.unreadable else 0


def inspect(shot: Shot) -> Inspection:
    """Look at everything; problems are collected, not raised."""
    found = Inspection(shot=shot)
    _tried(found, lambda: _check_engine(shot.settings.engine.name))
    sidecar = _tried(found, lambda: _weights(shot.settings))
    if sidecar is not None:
        found.weights = str(sidecar.get("name") or sidecar["sha256"][:12])
    colours = _tried(found, lambda: ColourConfig.load(shot.settings.ocio))
    if colours is not None:
        plate = _tried(found, lambda: shot.open_plate(colours))
        if plate is not None:
            with plate:
                _look_at_plate(found, plate, colours, sidecar)
    _look_at_disk(found)
    return found


def _look_at_plate(
    found: Inspection, plate: Plate, colours: ColourConfig, sidecar: Mapping[str, Any] | None
) -> None:
    shot = found.shot
    found.plate = plate.info
    found.keyframes = _keyframes(shot, plate.info)
    found.problems += [k.error for k in found.keyframes if k.error and k.used]
    plan = _tried(found, lambda: make_plan(shot, shot.settings, plate.info))
    if plan is not None:
        found.plan = plan
        found.remarks += plan.notes
        _tried(found, lambda: _look_at_results(found, plan, plate, colours, sidecar))


def _tried(found: Inspection, look: Callable[[], Value]) -> Value | None:
    try:
        return look()
    except Exception as error:
        found.problems.append(logged(error).at(shot=found.shot.name))
        return None


def _check_engine(name: str) -> None:
    """Raises UsageError for an engine that there is not, or that lacks its package."""
    check_name(name)
    check_installed(name)


def _weights(settings: RunSettings) -> dict[str, Any] | None:
    """The sidecar of the weights; None for an engine that has none of its own kind."""
    if settings.engine.name != "dim":
        return None
    return read_sidecar(settings.engine.weights or DEFAULT_WEIGHTS)


def _keyframes(shot: Shot, plate: PlateInfo) -> list[KeyframeFinding]:
    def look(item: tuple[int, Path]) -> KeyframeFinding:
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

    return list(ordered_map(look, sorted(shot.keyframes.items()), workers=_WORKERS))


def _look_at_results(
    found: Inspection,
    plan: RunPlan,
    plate: Plate,
    colours: ColourConfig,
    sidecar: Mapping[str, Any] | None,
) -> None:
    """Which frames are done already, in chunks or in whole runs."""
    shot = found.shot
    journal = Journal.peek(shot.output)
    weights = None if sidecar is None else str(sidecar["sha256"])
    engine = last_description(journal.runs, shot.settings.engine, weights)
    prints = Fingerprints(plan, shot.settings, plate, engine=engine, colour=colours.fingerprint)
    done = [n for n in plan.numbers if n in journal.records and journal.records[n].file]
    fresh = [n for n in done if journal.finished(n, prints.of(n)) is not None]
    output, settings = shot.output, shot.settings.output
    again = [
        n
        for n in done
        if n not in fresh and alpha_source(journal.records[n], prints.of(n), settings, output)
    ]
    found.finished, found.rewritten = len(fresh), len(again)
    found.stale = len(done) - len(fresh) - len(again)
    sizes = [journal.records[n].size_bytes for n in done]
    each = max(sizes) if sizes else _largest_matte_bytes(shot.settings, plate.info)
    found.needed_bytes = each * (len(plan.numbers) - len(fresh))


def _largest_matte_bytes(settings: RunSettings, plate: PlateInfo) -> int:
    """One matte without compression."""
    output = settings.output
    wide = output.format == "exr" and output.pixel_type == "float"
    channels = 4 if output.rgba else 1
    return plate.canvas.width * plate.canvas.height * channels * (4 if wide else 2)


def _look_at_disk(found: Inspection) -> None:
    folder = found.shot.output.absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        found.problems.append(
            OutputError(
                "results cannot be written here",
                path=folder,
                hint="give a writable folder to --output",
            )
        )
        return
    found.free_bytes = shutil.disk_usage(folder).free
    if found.needed_bytes is not None and found.free_bytes < found.needed_bytes:
        found.remarks.append("the disk may be too full for the mattes to come")
