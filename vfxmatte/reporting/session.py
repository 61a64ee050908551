"""A run with its reports: what the command line and the server do with one shot."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from pathlib import Path

from vfxmatte.common.exit_codes import DONE, INTERRUPTED, NOTHING_DONE, SOME_FAILED
from vfxmatte.engines.protocol import Engine, EngineSettings
from vfxmatte.errors import UsageError, VfxmatteError
from vfxmatte.io.result_names import matte_pattern
from vfxmatte.journal.error_log import logged
from vfxmatte.journal.journal import Journal
from vfxmatte.pipeline.shot import Shot
from vfxmatte.pipeline.subjects_run import AnyRun, open_run
from vfxmatte.reporting.events import Report
from vfxmatte.reporting.pace import Pace
from vfxmatte.reporting.totals import Totals, suggestion
from vfxmatte.reporting.weak_ranges import Stats, changes, weak_ranges
from vfxmatte.review.delivery import Delivery
from vfxmatte.types import FrameResult

LendEngine = Callable[[EngineSettings], AbstractContextManager[Engine | None]]


class RunSession:
    """One run of one shot: its events are reported, and its previews and movie delivered.

    Whatever ends the run is reported, and the totals come last.
    """

    def __init__(
        self,
        report: Report,
        *,
        movie: Path | None = None,
        previews: Sequence[str] = (),
        engine: LendEngine = lambda settings: nullcontext(None),
        stop: type[BaseException] = KeyboardInterrupt,
        check_stopped: Callable[[], None] | None = None,
    ) -> None:
        """
        Args:
            report: receives the events; the caller closes it.
            movie: a ProRes .mov to write when the frames are done.
            previews: "sheet" and "movie", drawn when the frames are done.
            engine: lends an open engine for the run; None lets the run open its own.
            stop: the exception that interrupts the run.
            check_stopped: see `Run`.
        """
        self.report, self.movie, self.previews = report, movie, previews
        self.pace = Pace()
        self.results: dict[str | None, dict[int, FrameResult]] = {}
        """The results by subject (None for a shot with a single one) and frame number."""
        self.failure: VfxmatteError | None = None
        """The error that ended the run before its last frame."""
        self.interrupted = False
        self._engine, self._stop, self._check_stopped = engine, stop, check_stopped
        self._output: Path | None = None
        self._before: dict[str | None, dict[int, Stats]] = {}
        self._device: str | None = None
        self._mattes: dict[str | None, str] = {}
        self._files: list[str] = []
        self._undelivered = 0
        self._devices_lost = 0
        self._noted_pieces = False
        self._cuts: set[float] = set()

    def run(self, find: Callable[[], Shot], *, overwrite: bool, chunk: bool = False) -> int:
        """Do all steps and close the report; returns the exit code."""
        with closing(self.report):
            for _ in self.steps(find, overwrite=overwrite, chunk=chunk):
                pass
        return self.exit_code

    def steps(
        self, find: Callable[[], Shot], *, overwrite: bool, chunk: bool = False
    ) -> Generator[None, None, Totals]:
        """Do the run frame by frame, yielding once the engine is lent and after each frame.

        Args:
            find: opens the shot; its errors are reported too.
            overwrite, chunk: see `Run`.
        """
        try:
            self._check_deliveries(chunk)
            shot = find()
            self._output = shot.output
            with ExitStack() as stack:
                check = self._check_stopped
                run = open_run(shot, overwrite=overwrite, chunk=chunk, check_stopped=check)
                stack.enter_context(run)
                if self.movie is not None:
                    self._check_movie(run, self.movie)
                run.tell(self.report.fit, self.report.note)
                self._start(run)
                self._before = {
                    name: {n: r.stats for n, r in Journal.peek(one.shot.output).records.items()}
                    for name, one in run.subject_runs.items()
                }
                run.lend(stack.enter_context(self._engine(run.settings.engine)))
                self._device = run.device
                yield
                yield from self._frames(run)
                self._deliver(run)
        except BrokenPipeError:  # nobody reads the report
            raise
        except Exception as error:
            self.failure = logged(error, self._output)
            self.report.error(self.failure)
        except self._stop:
            self.interrupted = True
        totals = self._totals()
        self.report.end(totals)
        return totals

    @property
    def exit_code(self) -> int:
        """The exit code of a command that has done all steps."""
        counts = self.pace.counts
        if self.interrupted:
            return INTERRUPTED
        if self.failure is not None:
            return SOME_FAILED if counts["written"] else self.failure.exit_code
        if self._undelivered:
            return SOME_FAILED
        if not counts["failed"]:
            return DONE
        return SOME_FAILED if counts["written"] or counts["kept"] else NOTHING_DONE

    def _check_deliveries(self, chunk: bool) -> None:
        if chunk and (self.movie or self.previews):
            raise UsageError(
                "a chunk makes no movie and no preview",
                hint="run again without --chunk when all chunks are merged: nothing is solved then",
            )
        if self.movie is not None and self.movie.suffix.lower() != ".mov":
            raise UsageError(
                f"ProRes is written as .mov, found {self.movie.name}", hint="give --movie NAME.mov"
            )

    def _check_movie(self, run: AnyRun, movie: Path) -> None:
        if run.results_per_frame > 1:
            raise UsageError(
                f"a movie holds one matte, and this run makes {run.results_per_frame}",
                hint="add --subject NAME; all mattes of a frame in one file: --subject-layers",
            )
        run.shot.check_apart(movie.parent)

    def _start(self, run: AnyRun) -> None:
        self.report.start(run)
        for text in run.check_keyframes():
            self.report.note(text)

    def _frames(self, run: AnyRun) -> Generator[None]:
        format, padding = run.settings.output.format, run.plate.info.padding
        patterns = {
            name: matte_pattern(one.shot.output, format, padding=padding)
            for name, one in run.subject_runs.items()
        }
        with closing(run.frames()) as frames:
            for result in frames:
                self._device = run.device
                self._note_lost_devices(run)
                if result.path:
                    self._mattes[result.subject] = patterns[result.subject]
                self.results.setdefault(result.subject, {})[result.number] = result
                self.pace.add(result)
                self.report.frame(result, self.pace)
                self._note_pieces(result)
                self._note_cut(result)
                yield

    def _note_lost_devices(self, run: AnyRun) -> None:
        """Report each lost device once."""
        for text in run.lost_devices[self._devices_lost :]:
            self.report.note(text)
        self._devices_lost = len(run.lost_devices)

    def _note_pieces(self, result: FrameResult) -> None:
        """Report the first frame that has more unknown pixels than its engine solves at once."""
        pieces = int(result.stats.get("pieces", 1))
        if pieces > 1 and result.status == "written" and not self._noted_pieces:
            self._noted_pieces = True
            self.report.note(
                f"frame {result.number} was too large to be solved at once: coarse first, then in "
                f"{pieces} overlapping pieces; so are others like it (engine.max_window_px)"
            )

    def _note_cut(self, result: FrameResult) -> None:
        """Report each cut inside the plate once."""
        cut = result.stats.get("cut")
        if cut is not None and cut not in self._cuts:
            self._cuts.add(cut)
            self.report.note(
                f"there is a cut in the plate before frame {cut:.0f}: no keyframe is carried "
                "across it, so paint one on either side, or matte the two shots apart"
            )

    def _deliver(self, run: AnyRun) -> None:
        """Make previews and movie from the finished mattes; one that fails does not stop others."""
        for name, one in run.subject_runs.items():
            delivery = Delivery(one, self.results.get(name, {}))
            if delivery.finished:
                self._deliver_one(delivery)

    def _deliver_one(self, delivery: Delivery) -> None:
        if "sheet" in self.previews:
            self._make(delivery.sheet)
        if "movie" in self.previews:
            self._make(delivery.movie_preview)
        movie = self.movie
        if movie is not None:
            self._make(lambda: delivery.prores(movie))

    def _make(self, make: Callable[[], Path]) -> None:
        try:
            self._files.append(str(make()))
        except Exception as error:
            self._undelivered += 1
            self.report.error(logged(error, self._output))

    def _totals(self) -> Totals:
        return Totals.of(
            self.pace,
            device=self._device,
            mattes=next(iter(self._mattes.values()), None),
            subjects={name: mattes for name, mattes in self._mattes.items() if name},
            files=tuple(self._files),
            interrupted=self.interrupted,
            weak=tuple(weak_ranges(self.results)),
            changes={
                subject: changes(self._before.get(subject, {}), ones.values())
                for subject, ones in self.results.items()
            },
            **suggestion(r for frames in self.results.values() for r in frames.values()),
        )
