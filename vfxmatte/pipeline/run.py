"""A run over one shot: what is finished is kept, and the other frames pass a chain of stages.

On several devices the frames are dealt out to child processes, each of which runs the same chain.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from typing import Any

from vfxmatte.common.devices import device_names, names_several
from vfxmatte.common.endings import ended_by
from vfxmatte.engines.protocol import Engine
from vfxmatte.errors import OutputError, VfxmatteError
from vfxmatte.io.writers import alpha_type
from vfxmatte.journal.chunks import ChunkJournal
from vfxmatte.journal.error_log import logged
from vfxmatte.journal.journal import Journal
from vfxmatte.journal.locks import read_locks
from vfxmatte.journal.records import FrameRecord, RunRecord
from vfxmatte.journal.stale import move_aside
from vfxmatte.pipeline.chain import stages
from vfxmatte.pipeline.crew import Crew
from vfxmatte.pipeline.equipped import EquippedRun
from vfxmatte.pipeline.fitting import described
from vfxmatte.pipeline.frame import FrameState, record_of, result_of
from vfxmatte.pipeline.manifest import header_attributes, manifest_header
from vfxmatte.pipeline.parts import Part
from vfxmatte.pipeline.plan import Fingerprints, requested_engine
from vfxmatte.pipeline.prepared import PreparedRun
from vfxmatte.pipeline.rewriting import rewrite
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot
from vfxmatte.pipeline.solved import alpha_source, forget_solved, is_as_recorded
from vfxmatte.pipeline.spans import split
from vfxmatte.types import FrameResult


class Run(EquippedRun):
    """One run over one shot: opened, checked and planned when it is made; a context manager.

    Making it reads headers only and loads no torch. `frames()` does the work.
    """

    def __init__(
        self,
        shot: Shot,
        settings: RunSettings | None = None,
        *,
        overwrite: bool = False,
        engine: Engine | None = None,
        chunk: bool = False,
        only: Collection[int] | None = None,
        check_stopped: Callable[[], None] | None = None,
        beside: PreparedRun | None = None,
    ) -> None:
        """
        Args:
            shot: see `Shot.open`; of several subjects one is chosen.
            settings: None takes the shot's own.
            overwrite: do finished frames again.
            engine: one that is open already, which several runs may share in turn and which stays
                open; None opens the one of the settings when the first frame needs it. Settings
                with several devices (`cuda:0,1`) open none here: each has a process of its own.
            chunk: take no lock, keep a journal of its own and write no manifest, so that many
                processes may work on one output; `merge` ends what they have begun.
            only: do these frames of the settings' range, finished or not, and no others.
            check_stopped: called while the motion is estimated, which may take long before the
                first frame; what it raises ends the run.
            beside: a run of another subject of the shot, whose open plate is used.

        Raises:
            VfxmatteError: whatever makes the run impossible, naming the shot.
        """
        self.overwrite = overwrite
        self.lost_devices: list[str] = []
        self._description: Mapping[str, Any] = {}
        self.expected: dict[int, str] = {}
        """The fingerprint that each frame's matte ought to have, see `expect`."""
        super().__init__(
            shot,
            settings,
            engine=engine,
            chunk=chunk,
            only=only,
            check_stopped=check_stopped,
            beside=beside,
        )

    @property
    def results_per_frame(self) -> int:
        """Number of results of each frame."""
        return 1

    @property
    def count(self) -> int:
        """Number of results of the whole run."""
        return len(self.plan.numbers) + len(self.plan.skipped)

    @property
    def subject_runs(self) -> dict[str | None, Run]:
        """This run, as that of the one subject."""
        return {None: self}

    def frames(self) -> Generator[FrameResult]:
        """Solve what is not done yet, yielding one result per frame of the range.

        Finished frames come first. On one device all come in order, on several as they are done.

        A frame that fails is a result with an error. What concerns all frames (output full or
        locked, device lost, unusable keyframe) is raised; the same run goes on from there later.
        Of several devices, one that is lost leaves its frames to the others: `lost_devices`.
        """
        try:
            self.check_keyframes()
            self.check_weights()
            with self.open_journal() as journal, ended_by(lambda: self.write_manifest(journal)):
                yield from self._frames(journal)
        except VfxmatteError as error:
            raise error.at(shot=self.shot.name) from error.__cause__

    def open_journal(self) -> Journal | ChunkJournal:
        """Return the journal of the output, or of this chunk, yet to be entered."""
        if not self.chunk:
            return Journal(self.shot.output)
        numbers = self.numbers or self.plan.skipped or self.plan.numbers
        return ChunkJournal(self.shot.output, f"{numbers[0]}-{numbers[-1]}")

    def _frames(self, journal: Journal | ChunkJournal) -> Iterator[FrameResult]:
        yield from self.skipped()
        if self.engine is None and names_several(self.settings.engine.device):
            yield from self._solved_on_several_devices(journal)
        else:
            yield from self._solved(journal, self.fitted(self.ready_engine()))

    def skipped(self, subject: str | None = None) -> Iterator[FrameResult]:
        """Yield the frames that the plate lacks; raises TrimapError for trimaps painted over."""
        self.results.refuse_painted_over(self.numbers, self.plan.keyframes)
        if self._only is None:
            for number in self.plan.skipped:
                yield FrameResult(number=number, status="skipped", subject=subject)

    def _solved(self, journal: Journal | ChunkJournal, engine: Engine) -> Iterator[FrameResult]:
        todo = yield from self._without_solving(journal, engine.describe(), engine.device)
        if not todo:
            return
        part = Part(run=self, todo=todo, attributes=self.attributes(), scratch=journal.scratch)
        chain = stages({"": part}, engine)
        with contextlib.closing(chain) as states:
            for state in states:
                if state.error is not None:
                    self.report_failure(journal, state, state.error)
                self.add(journal, state)
                yield result_of(state)

    def _solved_on_several_devices(self, journal: Journal | ChunkJournal) -> Iterator[FrameResult]:
        """Solve in one child process per device, yielding results as they come."""
        devices = device_names(self.settings.engine.device)
        self.fit_ahead()
        crew = Crew(devices, self.shot, self.settings, logs=journal.scratch)
        with contextlib.ExitStack() as stack:
            stack.callback(journal.fold)
            stack.enter_context(crew)
            self.lost_devices = crew.lost
            description, device = crew.ready()
            todo = yield from self._without_solving(journal, described(self, description), device)
            pieces = self._divided(list(todo), len(devices))
            with contextlib.closing(crew.solve(pieces, self._divided)) as results:
                for result in results:
                    if result.error is not None and result.number in crew.given_up:
                        result.error.at(shot=self.shot.name, path=self.plate_path(result.number))
                        journal.add(self.record_of_given_up(result))
                    yield result

    def _divided(self, numbers: Sequence[int], parts: int) -> list[list[int]]:
        return split(numbers, self.plan.trail, self.plan.keyframes.keys(), parts)

    def _without_solving(
        self, journal: Journal | ChunkJournal, description: Mapping[str, Any], device: str
    ) -> Generator[FrameResult, None, dict[int, str]]:
        """Yield the frames that are finished, and those of which only the file has to change.

        Args:
            description, device: of the engine.

        Returns:
            The fingerprints of the frames to solve.
        """
        if self.overwrite:
            self.reset(journal)
        todo = dict(self.expect(description, device))
        finished = [] if self._only is not None else self.finished(journal)
        for result in finished:
            todo.pop(result.number, None)
        if todo:
            self.record_engine(journal, description, device)
        yield from finished
        if self._only is None and not self.overwrite:
            yield from self._rewritten(journal, todo)
        return todo

    def record_engine(
        self, journal: Journal | ChunkJournal, description: Mapping[str, Any], device: str
    ) -> None:
        """Record which engine solves the frames to come, and on what."""
        requested = requested_engine(self.settings.engine)
        journal.add_run(RunRecord(engine=dict(description), device=device, requested=requested))

    def reset(self, journal: Journal | ChunkJournal) -> None:
        """Forget all frames but the locked ones."""
        locked = [r for n, r in journal.records.items() if n in self.plan.locked]
        journal.reset()
        for record in locked:
            journal.add(record)

    def finished(self, journal: Journal | ChunkJournal) -> list[FrameResult]:
        """Return the results of the frames that have the mattes they are expected to have."""
        size_tells = self.settings.output.compression != "none"
        results = [self._locked(journal, n) for n in self.plan.numbers if n in self.plan.locked]
        for number, fingerprint in self.expected.items():
            path = journal.finished(number, fingerprint)
            if path is not None and (size_tells or is_as_recorded(path, fingerprint)):
                stats = journal.records[number].stats
                results.append(FrameResult(number=number, status="kept", path=path, stats=stats))
        return sorted(results, key=lambda result: result.number)

    def _locked(self, journal: Journal | ChunkJournal, number: int) -> FrameResult:
        """Return the result of a locked frame, which counts as a keyframe."""
        record = journal.records.get(number)
        stats = {} if record is None else dict(record.stats)
        stats |= {"locked": 1.0, "confidence": 1.0, "keyframe_distance": 0.0}
        stats.setdefault("unknown_share", 0.0)
        path = self.plan.locked[number]
        return FrameResult(number=number, status="kept", path=path, stats=stats)

    def _rewritten(
        self, journal: Journal | ChunkJournal, todo: dict[int, str]
    ) -> Iterator[FrameResult]:
        """Write the frames anew whose alpha is right and whose file is not, and remove them from
        `todo`; one that cannot be read stays there, to be solved."""
        output, settings = self.shot.output, self.settings.output
        rewritable = {
            number: fingerprint
            for number, fingerprint in todo.items()
            if alpha_source(journal.records.get(number), fingerprint, settings, output)
        }
        if not rewritable:
            return
        records = dict(journal.records)
        states = rewrite(self, rewritable, records, self.attributes())
        with contextlib.closing(states):
            for state in states:
                if state.error is None:
                    del todo[state.number]
                    self.add(journal, state)
                    yield result_of(state)

    def report_failure(
        self, journal: Journal | ChunkJournal, state: FrameState, error: VfxmatteError
    ) -> None:
        """Keep the traceback of a failed frame, and move its matte of an earlier run away, which
        must not pass for a new one."""
        error.at(shot=self.shot.name, path=self.plate_path(state.number))
        logged(error, self.shot.output)
        if state.number in read_locks(self.shot.output):  # locked since the run was planned
            return
        path = self.results.matte_path(state.number)
        record = journal.records.get(state.number)
        recorded = record.fingerprint if record else None
        try:
            state.stale = move_aside(path, state.fingerprint, recorded)
        except OutputError as reason:
            if self.concerns_all(reason):
                raise
            error.hint = "\n  ".join(filter(None, (error.hint, str(reason))))

    def add(self, journal: Journal | ChunkJournal, state: FrameState) -> None:
        """Record a frame; solved alpha that its matte holds again is not kept twice."""
        before = journal.records.get(state.number)
        journal.add(self.record(state))
        if state.error is None and state.solved is None:
            forget_solved(before, self.shot.output)

    def record(self, state: FrameState) -> FrameRecord:
        """Return the journal's record of a frame that has passed all stages."""
        return record_of(state, self.shot.output, alpha=alpha_type(self.settings.output))

    def record_of_given_up(self, result: FrameResult) -> FrameRecord:
        """Return the record of a frame that processes have died of."""
        fingerprint = self.expected[result.number]
        return FrameRecord(number=result.number, fingerprint=fingerprint, error=str(result.error))

    def expect(self, description: Mapping[str, Any], device: str | None) -> Mapping[int, str]:
        """Return the fingerprint that each frame's matte has when an engine makes it.

        Headers and manifest name this engine from now on.

        Args:
            description: see `Engine.describe`.
            device: what the engine runs on.
        """
        prints = Fingerprints(
            self.plan,
            self.settings,
            self.plate,
            engine=description,
            colour=self.colours.fingerprint,
        )
        self._description, self.device = description, device
        self.expected = {number: prints.of(number) for number in self.numbers}
        return self.expected

    def attributes(self) -> dict[str, str]:
        """Return the attributes that every matte carries in its header."""
        return header_attributes(self, self._description)

    def write_manifest(self, journal: Journal | ChunkJournal) -> None:
        """Write manifest.json for the journal's present records; chunks leave it to `merge`."""
        if isinstance(journal, ChunkJournal) or not journal.records:
            return
        header = manifest_header(
            self, engine=self._description, device=self.device, notes=self.lost_devices
        )
        journal.write_manifest(header, self.expected, self.plan.locked)


def run(
    shot: Shot, settings: RunSettings | None = None, *, overwrite: bool = False
) -> Iterator[FrameResult]:
    """Solve a shot, yielding one result per frame in order; finished ones come first.

    Of several subjects each has a result per frame. On several devices results come as they are
    done.

    Args:
        shot: see `Shot.open`.
        settings: None takes the shot's own.
        overwrite: do finished frames again.

    Raises:
        VfxmatteError: see `Run`.
    """
    from vfxmatte.pipeline.subjects_run import open_run  # which builds on this module

    with open_run(shot, settings, overwrite=overwrite) as prepared:
        yield from prepared.frames()
