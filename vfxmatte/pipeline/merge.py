"""The end of a shot that was solved in chunks: every frame looked at, one journal, one manifest.

A frame counts when its matte is there, whole, readable to the last pixel, and made from what it
ought to be made from now. What is not so is named, and done again by the next run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vfxmatte.common.parallel import ordered_map
from vfxmatte.errors import OutputError, VfxmatteError, as_foreseen
from vfxmatte.io.images import read_image
from vfxmatte.journal.journal import Journal
from vfxmatte.journal.records import FrameRecord, RunRecord, file_of
from vfxmatte.journal.stale import written_fingerprint
from vfxmatte.network.sidecar import DEFAULT_WEIGHTS, read_sidecar
from vfxmatte.pipeline.plan import last_description
from vfxmatte.pipeline.run import Run
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot
from vfxmatte.types import Window, numbers_as_text


@dataclass(frozen=True, kw_only=True)
class MergeReport:
    """What became of every frame of the range.

    good: delivered. missing: no worker has written it, or its file is gone. failed: with the
    worker's error. damaged: with what is wrong with the file. stale: made from other plates,
    keyframes, weights or settings than now. skipped: the plate lacks it, and that was allowed.
    """

    good: tuple[int, ...] = ()
    missing: tuple[int, ...] = ()
    failed: Mapping[int, str] = field(default_factory=dict)
    damaged: Mapping[int, str] = field(default_factory=dict)
    stale: tuple[int, ...] = ()
    skipped: tuple[int, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return not (self.missing or self.failed or self.damaged or self.stale)

    def lines(self) -> list[str]:
        """What is wrong, a line a kind; each failed and damaged frame with its reason."""
        said = [f"missing   frames {numbers_as_text(self.missing)}"] if self.missing else []
        said += [f"stale     frames {numbers_as_text(self.stale)}"] if self.stale else []
        said += [f"failed    frame {n}: {why}" for n, why in sorted(self.failed.items())]
        return said + [f"damaged   frame {n}: {why}" for n, why in sorted(self.damaged.items())]


def merge(
    shot: Shot,
    settings: RunSettings | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> MergeReport:
    """Fold the chunks' journals into the output's own, check every frame, write manifest.json.

    settings: those that the chunks were told, `frames` apart: None takes the shot's own.
    progress: told how many frames have been looked at, and of how many.

    Raises:
        OutputLockedError: a run is writing here now. OutputError: nothing has been solved here.
        VfxmatteError: whatever makes a run impossible.
    """
    with Run(shot, settings) as run:
        try:
            _refuse_nothing(shot)
            with Journal(shot.output) as journal:
                return _merge(run, journal, progress or (lambda done, total: None))
        except VfxmatteError as error:
            raise error.at(shot=shot.name) from error.__cause__


def _refuse_nothing(shot: Shot) -> None:
    if not Journal.peek(shot.output).records:
        raise OutputError(
            "there is nothing to merge: no frame has been solved here",
            path=shot.output,
            hint="solve frames first: vfxmatte run SHOT --frames 1001-1048 --chunk",
        )


def _merge(run: Run, journal: Journal, progress: Callable[[int, int], None]) -> MergeReport:
    description = _description(journal.runs, run.settings)
    wanted = run.expect(description, _devices(journal.runs, description))
    judged: dict[int, tuple[str, str]] = {}
    judges = ordered_map(
        lambda n: (n, _judge(journal, n, wanted[n], run.plate.info.canvas)),
        run.plan.numbers,
        workers=run.workers,
    )
    for number, (kind, why) in judges:
        judged[number] = kind, why
        progress(len(judged), len(wanted))
        if kind == "damaged":  # so that the next run does it again
            journal.add(FrameRecord(number=number, fingerprint=wanted[number], error=why))
    report = _report(judged, run.plan.skipped)
    journal.clear(nobody_writes=report.complete)
    run.write_manifest(journal)
    return report


def _report(judged: Mapping[int, tuple[str, str]], skipped: tuple[int, ...]) -> MergeReport:
    kinds: dict[str, dict[int, str]] = {}
    for number, (kind, why) in judged.items():
        kinds.setdefault(kind, {})[number] = why
    return MergeReport(
        good=tuple(kinds.get("good", ())),
        missing=tuple(kinds.get("missing", ())),
        failed=kinds.get("failed", {}),
        damaged=kinds.get("damaged", {}),
        stale=tuple(kinds.get("stale", ())),
        skipped=skipped,
    )


def _judge(journal: Journal, number: int, wanted: str, canvas: Window) -> tuple[str, str]:
    """The frame's kind, and why."""
    record = journal.records.get(number)
    if record is None:
        return "missing", ""
    if record.error is not None:
        return "failed", record.error
    if record.fingerprint != wanted:
        return "stale", ""
    path = journal.output / (record.file or "")
    if not path.is_file():
        return "missing", ""
    if file_of(record, journal.output) is None:
        return "damaged", f"{path} has {path.stat().st_size} bytes, {record.size_bytes} expected"
    return _judge_file(path, wanted, canvas)


def _judge_file(path: Path, wanted: str, canvas: Window) -> tuple[str, str]:
    """Read all of a matte."""
    try:
        image = read_image(path)
        if (written_fingerprint(path) or wanted) != wanted:
            return "stale", ""
    except Exception as error:
        return "damaged", str(as_foreseen(error))
    if not canvas.contains(image.header.data_window):
        return "damaged", f"{path} covers {image.header.data_window}, the plate {canvas}"
    return "good", ""


def _description(runs: list[RunRecord], settings: RunSettings) -> dict[str, Any]:
    engine = settings.engine
    if engine.name != "dim":
        return last_description(runs, engine, None)
    weights = read_sidecar(engine.weights or DEFAULT_WEIGHTS)
    return last_description(runs, engine, weights["sha256"])


def _devices(runs: list[RunRecord], description: Mapping[str, Any]) -> str:
    """What the frames were solved on, as far as they are current."""
    return ", ".join(sorted({run.device for run in runs if dict(run.engine) == description}))
