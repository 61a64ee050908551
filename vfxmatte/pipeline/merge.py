"""Merging the chunks of a shot: every frame is checked, the journals become one, with a manifest.

A frame is good if its matte exists, is whole and readable to the last pixel, and has the present
fingerprint. Others are reported, and the next run does them again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from vfxmatte.common.parallel import ordered_map
from vfxmatte.common.wording import frames_text
from vfxmatte.errors import OutputError, VfxmatteError, as_foreseen
from vfxmatte.io.mattes import matte_image
from vfxmatte.journal.journal import Journal
from vfxmatte.journal.records import FrameRecord, RunRecord, file_of
from vfxmatte.journal.stale import written_fingerprint
from vfxmatte.pipeline.fitting import described
from vfxmatte.pipeline.plan import last_description, weights_sidecar
from vfxmatte.pipeline.run import Run
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot
from vfxmatte.pipeline.subject_fits import descriptions_of
from vfxmatte.pipeline.subjects_run import SubjectsRun, open_run
from vfxmatte.types import Window


@dataclass(frozen=True, kw_only=True)
class MergeReport:
    """The outcome for every frame of the range."""

    good: tuple[int, ...] = ()
    missing: tuple[int, ...] = ()
    """No worker has written it, or its file is gone."""
    failed: Mapping[int, str] = field(default_factory=dict)
    """The error that the worker reported, by frame."""
    damaged: Mapping[int, str] = field(default_factory=dict)
    """The fault of the file, by frame."""
    stale: tuple[int, ...] = ()
    """Made from other plates, keyframes, weights or settings than the present ones."""
    skipped: tuple[int, ...] = ()
    """The plate lacks it, and it is left out."""
    subjects: Mapping[str, MergeReport] = field(default_factory=dict)
    """The report of each of several subjects; the others then say what holds for any of them, and
    `good` what holds for all."""

    @property
    def complete(self) -> bool:
        """True if nothing is left to do."""
        return not (self.missing or self.failed or self.damaged or self.stale)

    def lines(self) -> list[str]:
        """Return the problems, a line per kind; failed and damaged frames each with its reason."""
        if self.subjects:
            reports = self.subjects.items()
            return [f"{name}: {line}" for name, report in reports for line in report.lines()]
        lines = [f"missing   {frames_text(self.missing)}"] if self.missing else []
        lines += [f"stale     {frames_text(self.stale)}"] if self.stale else []
        lines += [f"failed    frame {n}: {why}" for n, why in sorted(self.failed.items())]
        return lines + [f"damaged   frame {n}: {why}" for n, why in sorted(self.damaged.items())]


def merge(
    shot: Shot,
    settings: RunSettings | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> MergeReport:
    """Fold the chunks' journals into the output's own, check every frame, write manifest.json.

    Args:
        settings: those of the chunks, except `frames`; None takes the shot's own.
        progress: called with the number of frames checked so far, and of all.

    Raises:
        OutputLockedError: a run is writing here now.
        OutputError: nothing has been solved here.
        VfxmatteError: whatever makes a run impossible.
    """
    report_progress = progress or (lambda done, total: None)
    with open_run(shot, settings) as run:
        try:
            if isinstance(run, SubjectsRun):
                return _merge_subjects(run, report_progress)
            _refuse_empty(run.shot)
            with Journal(run.shot.output) as journal:
                run.expect(*_last_engine(run, journal))
                return _merge(run, journal, report_progress)
        except VfxmatteError as error:
            raise error.at(shot=shot.name) from error.__cause__


def _merge_subjects(run: SubjectsRun, progress: Callable[[int, int], None]) -> MergeReport:
    for name in run.chosen:
        _refuse_empty(run.runs[name].shot)
    reports: dict[str, MergeReport] = {}
    with ExitStack() as stack:
        journals = {
            name: stack.enter_context(Journal(one.shot.output)) for name, one in run.runs.items()
        }
        first = run.chosen[0]
        engine, devices = _last_engine(run.runs[first], journals[first])
        run.expect(descriptions_of(run.runs, engine), devices, journals)
        for index, name in enumerate(run.chosen):
            before = partial(_of_all_subjects, progress, index, len(run.chosen))
            reports[name] = _merge(run.runs[name], journals[name], before)
        if run.layered is not None:
            run.layered.write(run.plan.numbers)
    return _of_all(reports)


def _of_all_subjects(
    progress: Callable[[int, int], None], before: int, subjects: int, done: int, total: int
) -> None:
    """Report the progress of one subject, behind others, as that of all."""
    progress(before * total + done, subjects * total)


def _of_all(reports: Mapping[str, MergeReport]) -> MergeReport:
    each = list(reports.values())

    def numbers(kind: str) -> tuple[int, ...]:
        return tuple(sorted(set[int]().union(*(getattr(one, kind) for one in each))))

    def reasons(kind: str) -> dict[int, str]:
        rows = [
            (n, f"{name}: {why}")
            for name, one in reports.items()
            for n, why in getattr(one, kind).items()
        ]
        return {n: "; ".join(why for m, why in rows if m == n) for n in dict(rows)}

    return MergeReport(
        good=tuple(n for n in each[0].good if all(n in one.good for one in each)),
        missing=numbers("missing"),
        failed=reasons("failed"),
        damaged=reasons("damaged"),
        stale=numbers("stale"),
        skipped=each[0].skipped,
        subjects=dict(reports),
    )


def _last_engine(run: Run, journal: Journal) -> tuple[dict[str, Any], str]:
    """Return the description of the engine of the last run, and the devices that it ran on."""
    engine = run.settings.engine
    description = described(run, last_description(journal.runs, engine, weights_sidecar(engine)))
    return description, _devices(journal.runs, description)


def _refuse_empty(shot: Shot) -> None:
    if not Journal.peek(shot.output).records:
        raise OutputError(
            "there is nothing to merge: no frame has been solved here",
            path=shot.output,
            hint="solve frames first: vfxmatte run SHOT --frames 1001-1048 --chunk",
        )


def _merge(run: Run, journal: Journal, progress: Callable[[int, int], None]) -> MergeReport:
    fingerprints = run.expected
    checked: dict[int, tuple[str, str]] = {}
    checks = ordered_map(
        lambda n: (n, _check(journal, n, fingerprints.get(n), run)),
        run.plan.numbers,
        workers=run.workers,
    )
    for number, (kind, why) in checks:
        checked[number] = kind, why
        progress(len(checked), len(run.plan.numbers))
        if kind == "damaged" and number in fingerprints:  # so that the next run does it again
            journal.add(FrameRecord(number=number, fingerprint=fingerprints[number], error=why))
    report = _report(checked, run.plan.skipped)
    journal.remove_leftovers(nobody_writes=report.complete)
    run.write_manifest(journal)
    return report


def _report(checked: Mapping[int, tuple[str, str]], skipped: tuple[int, ...]) -> MergeReport:
    kinds: dict[str, dict[int, str]] = {}
    for number, (kind, why) in checked.items():
        kinds.setdefault(kind, {})[number] = why
    return MergeReport(
        good=tuple(kinds.get("good", ())),
        missing=tuple(kinds.get("missing", ())),
        failed=kinds.get("failed", {}),
        damaged=kinds.get("damaged", {}),
        stale=tuple(kinds.get("stale", ())),
        skipped=skipped,
    )


def _check(journal: Journal, number: int, fingerprint: str | None, run: Run) -> tuple[str, str]:
    """Return a frame's kind (a field of `MergeReport`), and why.

    Args:
        fingerprint: what it ought to be made from; None for a locked frame.
    """
    canvas = run.plate.info.canvas
    if fingerprint is None:
        return _check_file(run.plan.locked[number], None, canvas)
    record = journal.records.get(number)
    if record is None:
        return "missing", ""
    if record.error is not None:
        return "failed", record.error
    if record.fingerprint != fingerprint:
        return "stale", ""
    path = journal.output / (record.file or "")
    if not path.is_file():
        return "missing", ""
    if file_of(record, journal.output) is None:
        return "damaged", f"{path} has {path.stat().st_size} bytes, {record.size_bytes} expected"
    return _check_file(path, fingerprint, canvas)


def _check_file(path: Path, fingerprint: str | None, canvas: Window) -> tuple[str, str]:
    """Read a whole matte; returns its kind, and why."""
    try:
        image = matte_image(path)
        if fingerprint is not None and (written_fingerprint(path) or fingerprint) != fingerprint:
            return "stale", ""
    except Exception as error:
        return "damaged", str(as_foreseen(error))
    if not canvas.contains(image.header.data_window):
        return "damaged", f"{path} covers {image.header.data_window}, the plate {canvas}"
    return "good", ""


def _devices(runs: list[RunRecord], description: Mapping[str, Any]) -> str:
    """Return the devices of the runs with the present engine."""
    return ", ".join(sorted({run.device for run in runs if dict(run.engine) == description}))
