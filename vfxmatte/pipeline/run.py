"""The stages in order: read, carry the trimaps, solve, write; and what to do after a kill.

A run is a chain of generators. Propagation reads the plate once, small, to find the motion; the
frames are then read again, one by one, with the trimap of each. Nothing is kept for longer than
it is needed, so memory does not grow with the shot. On several devices the frames are dealt out
to child processes, each of which runs the same chain.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vfxmatte.colour import ColourConfig, to_network
from vfxmatte.common.devices import check_devices, device_names, names_several
from vfxmatte.common.parallel import close, ordered_map, prefetch
from vfxmatte.engines.base import Engine, Task, open_engine
from vfxmatte.errors import OutputError, UsageError, VfxmatteError, concerns_all_frames
from vfxmatte.io.plates import Plate
from vfxmatte.io.writers import alpha_type
from vfxmatte.journal.chunks import ChunkJournal
from vfxmatte.journal.error_log import logged
from vfxmatte.journal.journal import Journal
from vfxmatte.journal.records import FrameRecord, RunRecord
from vfxmatte.journal.stale import move_aside
from vfxmatte.pipeline.crew import Crew
from vfxmatte.pipeline.footage import Footage
from vfxmatte.pipeline.frame import Work, failing_alone, record_of, result_of, solved
from vfxmatte.pipeline.manifest import manifest_header
from vfxmatte.pipeline.plan import Fingerprints, RunPlan, asked_of, make_plan
from vfxmatte.pipeline.results import Results
from vfxmatte.pipeline.rewriting import Rewriter, alpha_source
from vfxmatte.pipeline.settings import RunSettings, as_plain, usual_workers
from vfxmatte.pipeline.shot import Keyframes, Shot
from vfxmatte.pipeline.spans import split
from vfxmatte.propagation.confidence import trimap_stats
from vfxmatte.propagation.shot_trimaps import carry, proxy_size, trimaps_or_error
from vfxmatte.types import Failure, FrameResult, Trimap, numbers_as_text
from vfxmatte.version import __version__

_TRIMAPS_AHEAD = 4


class Run:
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
    ) -> None:
        """
        engine: one that is open already, which several runs may share in turn and which stays
            open; None opens the one of the settings when the first frame needs it. Settings with
            several devices (`cuda:0,1`) open none here: each device has a process of its own.
        chunk: take no lock, keep a journal of its own and write no manifest, so that many
            processes may work on one output; `merge` ends what they have begun.
        only: do these frames of the settings' range, finished or not, and no others.

        Raises:
            VfxmatteError: whatever makes the run impossible, naming the shot.
        """
        self.shot = shot
        self.settings = settings or shot.settings
        self.overwrite = overwrite
        self.chunk = chunk
        self.engine = engine
        self.device: str | None = engine.device if engine else None
        self.lost_devices: list[str] = []
        self._description: Mapping[str, Any] = {}
        self._fingerprints: dict[int, str] = {}
        self._only = None if only is None else frozenset(only)
        self._open_things = contextlib.ExitStack()
        try:
            if engine is None and names_several(self.settings.engine.device):
                check_devices(self.settings.engine.device)
            self.colours = ColourConfig.load(self.settings.ocio)
            self.plate = self._open_plate()
            self.plan: RunPlan = make_plan(shot, self.settings, self.plate.info)
            self._check_only()
            self.workers = self.settings.workers or usual_workers()
            self.results = Results(shot=shot, plate=self.plate.info, settings=self.settings.output)
            self._footage = self._as_footage()
            self.keyframes = Keyframes(
                self._needed_keyframes(), self.plate.info, self.settings.keyframe_growth
            )
        except BaseException as error:
            self.close()
            if isinstance(error, VfxmatteError):
                error.at(shot=shot.name)
            raise

    @property
    def numbers(self) -> tuple[int, ...]:
        """The frames to solve, ascending."""
        only = self._only
        return tuple(n for n in self.plan.numbers if only is None or n in only)

    def _check_only(self) -> None:
        outside = sorted((self._only or set()) - set(self.plan.numbers))
        if outside:
            raise UsageError(f"frames {numbers_as_text(outside)} are not in the range of the run")

    def _open_plate(self) -> Plate:
        plate = self.shot.open_plate(self.colours, self.settings)
        return self._open_things.enter_context(plate)

    def _as_footage(self) -> Footage:
        second = self._open_plate() if self.plate.info.kind == "movie" else self.plate
        return Footage(self.plate, second, self.plan, self.colours, self.workers)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the plate, and the engine if this run has opened it."""
        self._open_things.close()

    def frames(self) -> Iterator[FrameResult]:
        """Solve what is not done yet, yielding one result per frame of the range.

        Finished frames come first. On one device all come in order, on several as they are done.

        A frame that fails is a result with an error. What concerns all frames (output full or
        locked, device lost, unusable keyframe) is raised; the same run goes on from there later.
        Of several devices, one that is lost leaves its frames to the others: `lost_devices`.
        """
        try:
            self.check_keyframes()
            with self._journal() as journal:
                try:
                    yield from self._frames(journal)
                except BaseException:
                    with contextlib.suppress(Exception):  # what came first is what is reported
                        self.write_manifest(journal)
                    raise
                self.write_manifest(journal)
        except VfxmatteError as error:
            raise error.at(shot=self.shot.name) from error.__cause__

    def trimaps(self) -> Iterator[Trimap]:
        """The trimap of every frame to solve, carried from the keyframes, ascending.

        Nothing is solved and nothing written; painted ones come as they are. The first frame
        without a trimap ends it with its error, see `carried`.
        """
        return trimaps_or_error(self.carried())

    def carried(self) -> Generator[Trimap | Failure]:
        """As `trimaps`, but a frame that has none comes with its error, and the others follow."""
        return carry(
            self.keyframes,
            self.plan.trail,
            self.proxies,
            self.settings.propagation,
            wanted=set(self.numbers),
            workers=self.workers,
        )

    def check_keyframes(self) -> list[str]:
        """Read the painted trimaps, and say what is odd about them; raises TrimapError."""
        try:
            return self.keyframes.check()
        except VfxmatteError as error:
            raise error.at(shot=self.shot.name) from error.__cause__

    def _needed_keyframes(self) -> dict[int, Path]:
        """The keyframes that the frames to solve depend on; a whole run looks at all."""
        if not self.chunk:
            return dict(self.plan.keyframes)
        needed = {key for number in self.numbers for key in self.plan.segment(number)}
        return {n: path for n, path in self.plan.keyframes.items() if n in needed}

    def _journal(self) -> Journal | ChunkJournal:
        if not self.chunk:
            return Journal(self.shot.output)
        numbers = self.numbers or self.plan.skipped
        return ChunkJournal(self.shot.output, f"{numbers[0]}-{numbers[-1]}")

    def _frames(self, journal: Journal | ChunkJournal) -> Iterator[FrameResult]:
        self.results.refuse_painted_over(self.numbers, self.plan.keyframes)
        if self._only is None:
            for number in self.plan.skipped:
                yield FrameResult(number=number, status="skipped")
        if self.engine is None and names_several(self.settings.engine.device):
            yield from self._on_several(journal)
            return
        engine = self._engine()
        kept, todo = self._sorted_out(journal, engine.describe(), engine.device)
        yield from kept
        yield from self._rewritten(journal, todo)
        if todo:
            trimaps = self._trimaps(todo, journal.scratch)
            with contextlib.closing(self._written(trimaps, todo, engine)) as written:
                for work in written:
                    if work.error is not None:
                        self._settle(journal, work, work.error)
                    journal.add(self._record(work))
                    yield result_of(work)

    def _record(self, work: Work) -> FrameRecord:
        alpha = alpha_type(self.settings.output)
        return record_of(work, self.shot.output, alpha=alpha)

    def _rewritten(
        self, journal: Journal | ChunkJournal, todo: dict[int, str]
    ) -> Iterator[FrameResult]:
        """Write anew what has the right alpha in another kind of file, and take it off the list;
        what cannot be read stays there, to be solved."""
        if self.overwrite or self._only is not None:
            return
        output, settings = self.shot.output, self.settings.output
        wanted = {
            number: fingerprint
            for number, fingerprint in todo.items()
            if alpha_source(journal.records.get(number), fingerprint, settings, output)
        }
        if not wanted:
            return
        rewriter = Rewriter(
            footage=self._footage, results=self.results, attributes=self._attributes()
        )
        with contextlib.closing(rewriter.works(wanted, journal.records)) as works:
            for work in works:
                if work.error is None:
                    del todo[work.number]
                    journal.add(self._record(work))
                    yield result_of(work)

    def _settle(self, journal: Journal | ChunkJournal, work: Work, error: VfxmatteError) -> None:
        """A frame has failed: keep the traceback, and move away the matte of an earlier run, which
        must not pass for a new one."""
        error.at(shot=self.shot.name, path=self._plate_path(work.number))
        logged(error, self.shot.output)
        path = self.results.matte_path(work.number)
        record = journal.records.get(work.number)
        try:
            work.stale = move_aside(path, work.fingerprint, record.fingerprint if record else None)
        except OutputError as reason:
            if self._concerns_all(reason):
                raise
            error.hint = "\n  ".join(filter(None, (error.hint, str(reason))))

    def _plate_path(self, number: int) -> Path | None:
        source = self.plan.sources.get(number)
        return None if source is None else self.plate.path(source)

    def _concerns_all(self, error: Exception) -> bool:
        """Whether an error ends the run: nothing at all can be written, say."""
        if concerns_all_frames(error):
            return True
        return isinstance(error, OutputError) and not self.results.can_be_written()

    def _engine(self) -> Engine:
        if self.engine is None:
            self.engine = open_engine(self.settings.engine)
            self.device = self.engine.device
            self._open_things.callback(self.engine.close)
        return self.engine

    def _sorted_out(
        self, journal: Journal | ChunkJournal, description: Mapping[str, Any], device: str
    ) -> tuple[list[FrameResult], dict[int, str]]:
        """What is finished already; and the fingerprints of what is to be done."""
        if self.overwrite:
            journal.forget()
        self.expect(description, device)
        kept: list[FrameResult] = []
        todo: dict[int, str] = {}
        for number, fingerprint in self._fingerprints.items():
            done = journal.finished(number, fingerprint) if self._only is None else None
            if done is None:
                todo[number] = fingerprint
                continue
            stats = journal.records[number].stats
            kept.append(FrameResult(number=number, status="kept", path=done, stats=stats))
        if todo:
            asked = asked_of(self.settings.engine)
            journal.say(RunRecord(engine=dict(description), device=device, asked=asked))
        return kept, todo

    def expect(self, description: Mapping[str, Any], device: str | None) -> Mapping[int, str]:
        """The fingerprint that each frame's matte ought to have, see `Engine.describe`; the
        manifest will tell of this engine and device."""
        prints = Fingerprints(
            self.plan,
            self.settings,
            self.plate,
            engine=description,
            colour=self.colours.fingerprint,
        )
        self._description, self.device = description, device
        self._fingerprints = {number: prints.of(number) for number in self.numbers}
        return self._fingerprints

    # -- several devices -----------------------------------------------------------------------

    def _on_several(self, journal: Journal | ChunkJournal) -> Iterator[FrameResult]:
        """The same on several devices, a process each; results as they come."""
        devices = device_names(self.settings.engine.device)
        crew = Crew(devices, self.shot, self.settings, logs=journal.scratch)
        with contextlib.ExitStack() as stack:
            stack.callback(journal.fold)
            stack.enter_context(crew)
            self.lost_devices = crew.lost
            kept, todo = self._sorted_out(journal, *crew.ready())
            yield from kept
            yield from self._rewritten(journal, todo)
            pieces = self._divided(list(todo), len(devices))
            with contextlib.closing(crew.solve(pieces, self._divided)) as results:
                for result in results:
                    if result.error is not None and result.number in crew.given_up:
                        result.error.at(shot=self.shot.name, path=self._plate_path(result.number))
                        journal.add(self._given_up(result))
                    yield result

    def _given_up(self, result: FrameResult) -> FrameRecord:
        fingerprint = self._fingerprints[result.number]
        return FrameRecord(number=result.number, fingerprint=fingerprint, error=str(result.error))

    def _divided(self, numbers: Sequence[int], parts: int) -> list[list[int]]:
        return split(numbers, self.plan.trail, self.plan.keyframes.keys(), parts)

    # -- the stages, each from the one before --------------------------------------------------

    def _written(
        self, trimaps: Iterator[Work], todo: Mapping[int, str], engine: Engine
    ) -> Generator[Work]:
        """The chain of stages; closing it closes them all, from the last to the first."""
        ahead = prefetch(trimaps, depth=_TRIMAPS_AHEAD)
        encoded = self._each(self._encode, self._loaded(ahead, todo))
        return self._each(self._write, solved(engine, encoded))

    def _each(self, stage: Callable[[Work], None], works: Iterable[Work]) -> Generator[Work]:
        """One stage, several frames at once; what goes wrong with a frame is that frame's error."""
        alone = failing_alone(stage, shared=self._concerns_all)
        return ordered_map(alone, works, workers=self.workers)

    def _trimaps(self, todo: Mapping[int, str], scratch: Path) -> Generator[Work]:
        trimaps = carry(
            self.keyframes,
            self.plan.trail,
            self.proxies,
            self.settings.propagation,
            wanted=todo.keys(),
            workers=self.workers,
            scratch=scratch,
        )

        def carried() -> Iterator[Work]:
            started = time.perf_counter()
            try:
                for carried in trimaps:
                    work = Work(number=carried.number, fingerprint=todo[carried.number])
                    work.stats["trimap_ms"] = (time.perf_counter() - started) * 1000
                    if isinstance(carried, Failure):
                        work.fail(carried.error)
                    else:
                        work.trimap = carried
                    yield work
                    started = time.perf_counter()
            finally:
                close(trimaps)

        return self._each(self._keep, carried())

    def _keep(self, work: Work) -> None:
        """The trimap onto the disk, its numbers into the stats."""
        trimap = work.needed(work.trimap)
        with work.timed("trimap"):
            score = trimap_stats(trimap, self.plan.keyframes)
            work.stats["confidence"] = score.confidence
            work.stats["unknown_share"] = score.unknown_share
            work.stats["keyframe_distance"] = float(score.keyframe_distance)
            self.results.write_trimap(trimap)

    def proxies(self, numbers: Sequence[int]) -> Iterator[tuple[int, NDArray[np.uint8] | None]]:
        """Small display-like pictures to find the motion on; None where a frame is unreadable."""
        size = proxy_size(self.plate.info.canvas.shape, self.settings.propagation)
        return self._footage.proxies(numbers, size)

    def _loaded(self, trimaps: Iterable[Work], todo: Mapping[int, str]) -> Iterator[Work]:
        frames = self._footage.frames(list(todo))
        try:
            for work in trimaps:
                with work.timed("read"):
                    _, frame = next(frames)
                if isinstance(frame, Exception):
                    work.fail(frame)
                elif work.error is None:
                    work.frame = frame
                yield work
        finally:
            close(frames)
            close(trimaps)

    def _encode(self, work: Work) -> None:
        frame, trimap = work.needed(work.frame), work.needed(work.trimap)
        with work.timed("colour"):
            finite = np.isfinite(frame.pixels)
            if not finite.all():
                bad = np.count_nonzero(~finite.all(axis=2))
                work.stats["nonfinite_pixels"] = float(bad)
            work.task = Task(image=to_network(frame, self.colours), trimap=trimap)
            work.trimap = None

    def _write(self, work: Work) -> None:
        matte, frame = work.needed(work.matte), work.needed(work.frame)
        with work.timed("write"):
            path = self.results.write_matte(matte, frame, work.fingerprint, self._attributes())
            work.size_bytes = path.stat().st_size
        work.path, work.frame, work.matte = path, None, None

    # -- what is said about the run --------------------------------------------------------------

    def _attributes(self) -> dict[str, str]:
        described = self._description
        settings = {
            "keyframe_growth": self.settings.keyframe_growth,
            "propagation": as_plain(self.settings.propagation),
        }
        return {
            "vfxmatte/version": __version__,
            "vfxmatte/colorspace": self.plate.info.colour_space,
            "vfxmatte/settings": json.dumps(settings),
            **{f"vfxmatte/{key}": str(value) for key, value in described.items()},
        }

    def write_manifest(self, journal: Journal | ChunkJournal) -> None:
        """manifest.json for what the journal holds now; chunks leave it to `merge`."""
        if isinstance(journal, ChunkJournal) or not journal.records:
            return
        header = manifest_header(
            self.shot,
            self.settings,
            self.plate.info,
            self.plan,
            self.colours,
            engine=self._description,
            device=self.device,
            notes=self.lost_devices,
        )
        journal.write_manifest(header, self._fingerprints)


def run(
    shot: Shot, settings: RunSettings | None = None, *, overwrite: bool = False
) -> Iterator[FrameResult]:
    """Solve a shot; yields one result per frame, in order (finished ones first).

    shot: see `Shot.open`. settings: None takes the shot's own. overwrite: do finished frames
    again. See `Run` for what is raised; on several devices results come as they are done.
    """
    with Run(shot, settings, overwrite=overwrite) as prepared:
        yield from prepared.frames()
