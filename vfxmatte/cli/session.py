"""One use of `vfxmatte run` on one shot: what was asked for, what has come, how it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from vfxmatte.cli.group import INTERRUPTED, NOTHING_DONE, SOME_FAILED
from vfxmatte.cli.report import Report
from vfxmatte.engines.base import Engine
from vfxmatte.errors import UsageError
from vfxmatte.journal.error_log import logged
from vfxmatte.pipeline.run import Run
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot
from vfxmatte.reporting.pace import Pace
from vfxmatte.reporting.totals import Totals, matte_pattern, suggestion
from vfxmatte.review.delivery import Delivery
from vfxmatte.types import FrameResult


class Session:
    """One use of the command: what was asked for beside mattes, and what has come so far."""

    def __init__(
        self,
        report: Report,
        movie: Path | None,
        previews: Sequence[str],
        engine: Callable[[RunSettings], Engine | None] = lambda settings: None,
    ) -> None:
        """engine: gives one that is open already; None lets the run open its own."""
        self.report, self.engine = report, engine
        self.movie, self.previews = movie, previews
        self.pace = Pace()
        self.results: dict[int, FrameResult] = {}
        self.device: str | None = None
        self.lost = 0
        self.pieced = False
        self.mattes: str | None = None
        self.files: list[str] = []
        self.undelivered = 0
        self.output: Path | None = None

    def run(self, find: Callable[[], Shot], *, overwrite: bool, chunk: bool = False) -> int:
        """All of it, from finding the shot on; returns the exit code.

        Whatever ends it is reported, and the totals come last.
        """
        code, interrupted = 0, False
        with closing(self.report):
            try:
                self._check_wishes(chunk)
                shot = find()
                self.output = shot.output
                engine = self.engine(shot.settings)
                with Run(shot, overwrite=overwrite, chunk=chunk, engine=engine) as prepared:
                    if self.movie is not None:
                        shot.check_apart(self.movie.parent)
                    self._solve(prepared)
                    self._deliver(Delivery(prepared, self.results))
                code = self._code()
            except BrokenPipeError:  # nobody reads what is reported
                raise
            except Exception as error:
                failure = logged(error, self.output)
                self.report.error(failure)
                code = SOME_FAILED if self.pace.counts["written"] else failure.exit_code
            except KeyboardInterrupt:
                code, interrupted = INTERRUPTED, True
            self.report.end(self._totals(interrupted))
        return code

    def _solve(self, prepared: Run) -> None:
        self.report.start(prepared)
        for text in prepared.check_keyframes():
            self.report.note(text)
        suffix = {"tiff": ".tif"}.get(
            prepared.settings.output.format, f".{prepared.settings.output.format}"
        )
        pattern = matte_pattern(prepared.shot.output, prepared.plate.info.padding, suffix)
        with closing(prepared.frames()) as frames:  # type: ignore[type-var]
            for result in frames:
                self.device = prepared.device
                self._say_lost(prepared)
                self.mattes = pattern if result.path else self.mattes
                self.results[result.number] = result
                self.pace.add(result)
                self.report.frame(result, self.pace)
                self._say_pieces(result)

    def _say_lost(self, prepared: Run) -> None:
        """Devices that were lost on the way, each once."""
        for text in prepared.lost_devices[self.lost :]:
            self.report.note(text)
        self.lost = len(prepared.lost_devices)

    def _say_pieces(self, result: FrameResult) -> None:
        """Once: a frame has more unknown pixels than its engine solves at once."""
        pieces = int(result.stats.get("pieces", 1))
        if pieces > 1 and result.status == "written" and not self.pieced:
            self.pieced = True
            self.report.note(
                f"frame {result.number} was too large to be solved at once: coarse first, then in "
                f"{pieces} overlapping pieces; so are others like it (engine.max_window_px)"
            )

    def _deliver(self, delivery: Delivery) -> None:
        """Previews and the movie, each whether or not another can be made; without any matte there
        is nothing to show."""
        if not delivery.finished:
            return
        if "sheet" in self.previews:
            self._made(delivery.sheet)
        if "movie" in self.previews:
            self._made(delivery.movie_preview)
        movie = self.movie
        if movie is not None:
            self._made(lambda: delivery.prores(movie))

    def _made(self, make: Callable[[], Path]) -> None:
        try:
            self.files.append(str(make()))
        except Exception as error:
            self.undelivered += 1
            self.report.error(logged(error, self.output))

    def _check_wishes(self, chunk: bool) -> None:
        if chunk and (self.movie or self.previews):
            raise UsageError(
                "a chunk makes no movie and no preview",
                hint="run again without --chunk when all chunks are merged: nothing is solved then",
            )
        if self.movie is not None and self.movie.suffix.lower() != ".mov":
            raise UsageError(
                f"ProRes is written as .mov, found {self.movie.name}", hint="give --movie NAME.mov"
            )

    def _code(self) -> int:
        counts = self.pace.counts
        if self.undelivered:
            return SOME_FAILED
        if not counts["failed"]:
            return 0
        return SOME_FAILED if counts["written"] or counts["kept"] else NOTHING_DONE

    def _totals(self, interrupted: bool) -> Totals:
        return Totals.of(
            self.pace,
            device=self.device,
            mattes=self.mattes,
            files=tuple(self.files),
            interrupted=interrupted,
            **suggestion(self.results.values()),
        )
