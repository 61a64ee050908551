"""A run over a shot with several subjects, each with keyframes, mattes and a journal of its own.

They go through the frames in step: the plate is read as often as for a single subject, one engine
solves all, and where their alphas sum to more than 1 they give way, see `excess`. A subject that is
not chosen is not solved; its mattes still count, and are written anew where the chosen ones have
changed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from vfxmatte.common.devices import device_names, names_several
from vfxmatte.common.endings import ended_by
from vfxmatte.common.wording import frames_text
from vfxmatte.engines.protocol import Engine
from vfxmatte.errors import UsageError, VfxmatteError
from vfxmatte.io.result_names import matte_path
from vfxmatte.journal.chunks import ChunkJournal
from vfxmatte.journal.journal import Journal
from vfxmatte.pipeline.chain import stages
from vfxmatte.pipeline.crew import Crew
from vfxmatte.pipeline.frame import FrameState, result_of
from vfxmatte.pipeline.layered import LayeredMattes
from vfxmatte.pipeline.parts import Part, numbers_of
from vfxmatte.pipeline.plan import RunPlan, beside_each_other, locked_prints
from vfxmatte.pipeline.run import Run
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shared_proxies import SharedProxies, needed_proxies
from vfxmatte.pipeline.shot import Shot
from vfxmatte.pipeline.spans import split
from vfxmatte.pipeline.subject_fits import descriptions_of, fit_ahead, fitted, made_fits
from vfxmatte.pipeline.subject_shots import chosen_names, subject_settings, subject_shots
from vfxmatte.pipeline.unshared import has_own_alpha
from vfxmatte.propagation.proxy_store import ProxyStore
from vfxmatte.propagation.shot_trimaps import proxy_size
from vfxmatte.types import FrameResult

if TYPE_CHECKING:
    from vfxmatte.fitting.fit import FitProgress
    from vfxmatte.fitting.kept import KeptFit

Journals = Mapping[str, Journal | ChunkJournal]


class SubjectsRun:
    """One run over all subjects of a shot, used like `run.Run`; a context manager.

    Results name their subject; the plan's keyframes are those of all.
    """

    def __init__(self, shot: Shot, settings: RunSettings | None = None, **options: Any) -> None:
        """
        Args:
            shot: one with subjects, see `Shot.open`.
            settings, options: see `run.Run`.

        Raises:
            VfxmatteError: whatever makes the run impossible, naming shot and subject.
        """
        self.shot, self.settings = shot, settings or shot.settings
        self.chosen = chosen_names(shot)
        self.runs: dict[str, Run] = {}
        self._chunk = bool(options.get("chunk"))
        self._overwrite = bool(options.get("overwrite"))
        self._only = options.get("only") is not None
        self._open_files = ExitStack()
        try:
            for name, one in subject_shots(shot).items():
                self._open(name, one, options)
            self.layered = LayeredMattes.of(self) if self.settings.subject_layers else None
        except BaseException:
            self.close()
            raise
        self._first = next(iter(self.runs.values()))
        self.plan: RunPlan = self._common_plan()
        self.plate, self.colours = self._first.plate, self._first.colours
        self.lost_devices: list[str] = []

    def _open(self, name: str, shot: Shot, options: Mapping[str, Any]) -> None:
        """Open the run of a subject; one that is not chosen does not count if it is broken."""
        first = next(iter(self.runs.values()), None)
        try:
            settings = subject_settings(self.settings, name)
            run = Run(shot, settings, **options, beside=first)
        except VfxmatteError:
            if name in self.chosen:
                raise
            return
        self.runs[name] = self._open_files.enter_context(run)

    def _common_plan(self) -> RunPlan:
        keyframes = dict(item for run in self.runs.values() for item in run.plan.keyframes.items())
        notes = dict.fromkeys(note for name in self.chosen for note in self._notes(name))
        padding = self._first.plate.info.padding
        paths = {n: matte_path(self.shot.output, n, padding=padding) for n in self.numbers}
        earlier = [number for number, path in paths.items() if path.is_file()]
        if earlier and self.layered is None:
            has = "of an earlier run is not", "of an earlier run are not"
            text = frames_text(earlier, has, noun="matte")
            notes[f"{text} written anew without --subject-layers: {self.shot.output}"] = None
        return replace(self._first.plan, keyframes=keyframes, notes=tuple(notes))

    def _notes(self, name: str) -> list[str]:
        shared = set(self._first.plan.notes).intersection(
            *(r.plan.notes for r in self.runs.values())
        )
        return [n if n in shared else f"{name}: {n}" for n in self.runs[name].plan.notes]

    @property
    def numbers(self) -> tuple[int, ...]:
        """The frames to solve, ascending."""
        return self._first.numbers

    @property
    def results_per_frame(self) -> int:
        """Number of results of each frame."""
        return len(self.chosen)

    @property
    def count(self) -> int:
        """Number of results of the whole run."""
        return self.results_per_frame * self._first.count

    @property
    def subject_runs(self) -> dict[str | None, Run]:
        """The runs of the chosen subjects, by name."""
        return {name: self.runs[name] for name in self.chosen}

    @property
    def device(self) -> str | None:
        """The device that the engine runs on."""
        return self._first.device

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the plate, and the engine if this run has opened it."""
        self._open_files.close()

    def lend(self, engine: Engine | None) -> None:
        """Solve with an engine that is open already and stays open; None changes nothing."""
        for run in self.runs.values():
            run.lend(engine)

    def tell(self, on_fit: Callable[[FitProgress], None], on_note: Callable[[str], None]) -> None:
        """See `Run.tell`; progress and notes name the subject."""
        for name, run in self.runs.items():
            run.tell(partial(_report_fit, on_fit, name), partial(_report_note, on_note, name))

    def fits(self) -> dict[str, KeptFit | None]:
        """Make the fits of the chosen subjects and nothing else; see `Run.fit`."""
        return made_fits(self.runs, self.chosen)

    def check_keyframes(self) -> list[str]:
        """Read the painted trimaps and return what is odd about them; raises TrimapError."""
        return [
            f"{name}: {text}" for name in self.chosen for text in self.runs[name].check_keyframes()
        ]

    def frames(self) -> Generator[FrameResult]:
        """Solve what is not done yet, yielding one result per frame and chosen subject.

        Finished mattes come first, then frame by frame; see `run.Run.frames`.
        """
        try:
            self.check_keyframes()
            self._first.check_weights()
            with ExitStack() as stack:
                journals = {name: run.open_journal() for name, run in self.runs.items()}
                for journal in journals.values():
                    stack.enter_context(journal)
                with ended_by(lambda: self._write_manifests(journals)):
                    yield from self._frames(journals)
        except VfxmatteError as error:
            raise error.at(shot=self.shot.name) from error.__cause__

    def _write_manifests(self, journals: Journals) -> None:
        for name, run in self.runs.items():
            run.lost_devices = self.lost_devices
            run.write_manifest(journals[name])

    def _frames(self, journals: Journals) -> Iterator[FrameResult]:
        for name in self.chosen:
            yield from self.runs[name].skipped(name)
        if self._first.engine is None and names_several(self.settings.engine.device):
            yield from self._solved_on_several_devices(journals)
        else:
            engine = self._first.ready_engine()
            self.lend(engine)
            yield from self._solved(journals, *fitted(self.runs, self.chosen, engine))
        if self.layered is not None and not self._only:
            self.layered.write(self.plan.numbers)

    def _solved(
        self, journals: Journals, engine: Engine, descriptions: Mapping[str, Any]
    ) -> Iterator[FrameResult]:
        parts = yield from self._begun(journals, descriptions, engine.device)
        if not numbers_of(parts):
            return
        with self._proxies(parts) as proxies:
            for name, part in parts.items():
                part.run.read_proxies = proxies.reader(name)
            with closing(stages(parts, engine)) as states:
                for state in states:
                    self._record(journals, state)
                    if state.subject in self.chosen:
                        yield result_of(state)
                    if self.layered is not None and state.subject == [*parts][-1]:
                        self.layered.write([state.number])

    def _record(self, journals: Journals, state: FrameState) -> None:
        """Record a frame; a matte that is not to be solved stays if it cannot be written anew."""
        run, journal = self.runs[state.subject], journals[state.subject]
        if state.error is not None and state.subject not in self.chosen:
            return
        if state.error is not None:
            run.report_failure(journal, state, state.error)
        run.add(journal, state)

    def _proxies(self, parts: Mapping[str, Part]) -> SharedProxies:
        size = proxy_size(self.plate.info.canvas.shape, self.settings.propagation)
        needs = {
            name: needed_proxies(part.run.plan, [*part.solved]) for name, part in parts.items()
        }
        scratch = next(iter(parts.values())).scratch
        return SharedProxies(self._first.proxies, needs, ProxyStore(scratch / "shared", size))

    def _begun(
        self, journals: Journals, descriptions: Mapping[str, Any], device: str
    ) -> Generator[FrameResult, None, dict[str, Part]]:
        """Yield the mattes that are finished, and return what is to be done.

        Args:
            descriptions: of the engine, by subject.
            device: what it runs on.
        """
        if self._overwrite and not self._only:
            for name in self.chosen:
                self.runs[name].reset(journals[name])
        alone = self.expect(descriptions, device, journals)
        parts: dict[str, Part] = {}
        for name, run in self.runs.items():
            finished = run.finished(journals[name])
            if name in self.chosen:
                yield from (replace(result, subject=name) for result in finished)
            part = self._part(name, journals[name], alone[name], {r.number for r in finished})
            if part.numbers:
                run.record_engine(journals[name], descriptions[name], device)
            parts[name] = part
        return parts

    def _part(
        self,
        name: str,
        journal: Journal | ChunkJournal,
        alone: Mapping[int, str],
        finished: Collection[int],
    ) -> Part:
        run = self.runs[name]
        left = {n: print_ for n, print_ in run.expected.items() if n not in finished}
        kept = {n: p for n, p in left.items() if self._has_alpha(name, journal, n, alone)}
        todo = {n: p for n, p in left.items() if n not in kept and name in self.chosen}
        return Part(
            run=run,
            todo=todo,
            attributes={**run.attributes(), "vfxmatte/subject": name},
            scratch=journal.scratch,
            subject=name,
            kept=kept,
            alone=alone,
            records=dict(journal.records),
        )

    def _has_alpha(
        self, name: str, journal: Journal | ChunkJournal, number: int, alone: Mapping[int, str]
    ) -> bool:
        run = self.runs[name]
        record, settings = journal.records.get(number), run.settings.output
        return has_own_alpha(record, alone[number], settings, run.shot.output)

    def expect(
        self, descriptions: Mapping[str, Any], device: str | None, journals: Journals
    ) -> dict[str, dict[int, str]]:
        """Set the fingerprints that mattes have when an engine makes them, beside each other.

        Args:
            descriptions: of the engine, by subject, see `Engine.describe`.
            device: what it runs on.

        Returns:
            Those that each subject's would have if it were the only one.
        """
        alone = {
            name: {**run.expect(descriptions[name], device), **locked_prints(run.plan)}
            for name, run in self.runs.items()
        }
        expected = beside_each_other(
            alone,
            lambda name, n: (
                name in self.chosen
                or n in self.runs[name].plan.locked
                or self._has_alpha(name, journals[name], n, alone[name])
            ),
        )
        for name, run in self.runs.items():
            run.expected = {n: expected[name][n] for n in run.expected}
        return alone

    def _solved_on_several_devices(self, journals: Journals) -> Iterator[FrameResult]:
        """Solve in one child process per device, yielding results as they come."""
        devices = device_names(self.settings.engine.device)
        fit_ahead(self.runs, self.chosen)
        crew = Crew(devices, self.shot, self.settings, logs=next(iter(journals.values())).scratch)
        with ExitStack() as stack:
            for journal in journals.values():
                stack.callback(journal.fold)
            stack.enter_context(crew)
            self.lost_devices = crew.lost
            description, device = crew.ready()
            descriptions = descriptions_of(self.runs, description)
            parts = yield from self._begun(journals, descriptions, device)
            waiting: set[tuple[int, str | None]] = {
                (n, name) for name in self.chosen for n in parts[name].numbers
            }
            pieces = self._divided(numbers_of(parts), len(devices))
            with closing(crew.solve(pieces, self._divided)) as results:
                for result in results:
                    for one in self._given_up(journals, crew, result):
                        if (one.number, one.subject) in waiting:
                            waiting.remove((one.number, one.subject))
                            yield one

    def _given_up(
        self, journals: Journals, crew: Crew, result: FrameResult
    ) -> Iterator[FrameResult]:
        """Yield a child's result; for a frame that processes have died of, one for each subject."""
        if result.error is None or result.number not in crew.given_up:
            yield result
            return
        for name in self.chosen:
            run = self.runs[name]
            result.error.at(shot=run.shot.name, path=run.plate_path(result.number))
            journals[name].add(run.record_of_given_up(result))
            yield replace(result, subject=name)

    def _divided(self, numbers: Sequence[int], parts: int) -> list[list[int]]:
        keys = set.intersection(*(set(run.plan.keyframes) for run in self.runs.values()))
        return split(numbers, self.plan.trail, keys or self._first.plan.keyframes.keys(), parts)


def _report_fit(on_fit: Callable[[FitProgress], None], name: str, progress: FitProgress) -> None:
    on_fit(replace(progress, subject=name))


def _report_note(on_note: Callable[[str], None], name: str, text: str) -> None:
    on_note(f"{name}: {text}")


AnyRun = Run | SubjectsRun
"""A run over a shot with one or with several subjects."""


def open_run(shot: Shot, settings: RunSettings | None = None, **options: Any) -> AnyRun:
    """Open a run over a shot with one or several subjects; for arguments and errors see `Run`."""
    if shot.subjects:
        return SubjectsRun(shot, settings, **options)
    if (settings or shot.settings).subject_layers:
        raise UsageError(
            "there are no subjects to be layers: the keyframes lie in trimaps/ itself",
            shot=shot.name,
            hint="leave out --subject-layers, or move them into trimaps/NAME/ for each subject",
        )
    return Run(shot, settings, **options)
