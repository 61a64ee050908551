"""`vfxmatte run`: a shot in, mattes out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from vfxmatte.cli.chunk_options import chunk_options, part_of, read_frames
from vfxmatte.cli.deliver import Delivery
from vfxmatte.cli.group import INTERRUPTED, NOTHING_DONE, SOME_FAILED
from vfxmatte.cli.pace import Pace
from vfxmatte.cli.report import Report, make_report
from vfxmatte.cli.shot_options import shot_of, shot_options
from vfxmatte.cli.totals import Totals, matte_pattern, suggestion
from vfxmatte.errors import UsageError, VfxmatteError
from vfxmatte.pipeline import Run
from vfxmatte.types import FrameResult


@click.command()
@shot_options
@click.option(
    "--movie",
    type=click.Path(path_type=Path),
    help="Also write a ProRes 4444 .mov: Rec.709, straight colour, alpha.",
)
@click.option(
    "--preview",
    "previews",
    type=click.Choice(["sheet", "movie"]),
    multiple=True,
    help="Draw the composite over a checker: preview.png or preview.mp4 beside the mattes.",
)
@click.option("--overwrite", is_flag=True, help="Do finished frames again.")
@click.option(
    "--chunk",
    is_flag=True,
    help="Do the --frames as one of many workers: no lock, no manifest; `merge` ends the job.",
)
@chunk_options
@click.option("--json", "as_json", is_flag=True, help="One JSON event a line; totals come last.")
@click.option("--quiet", is_flag=True, help="Print failures only.")
def run(
    movie: Path | None,
    previews: tuple[str, ...],
    overwrite: bool,
    chunk: bool,
    as_json: bool,
    quiet: bool,
    **values: Any,
) -> None:
    """Matte a shot: carry its keyframe trimaps through time and solve every frame.

    \b
    vfxmatte run shots/creature
    vfxmatte run --plate 'plate.####.exr' --trimaps DIR --output DIR --frames 1001-1100x2

    SHOT holds plate/ (an image sequence or a movie; or a movie plate.mov), trimaps/ (painted
    keyframes, NAME.FRAME.ext) and perhaps shot.toml; options override all three. Finished frames
    are kept: after a kill or Ctrl-C the same command goes on, and after a change of the plate, a
    keyframe or a setting exactly the affected frames are done again.

    Exit codes: 0 done; 1 some frames failed, the others are delivered; 2 wrong use; 3 nothing
    could be done; 130 stopped by Ctrl-C.
    """
    report = make_report(as_json=as_json, quiet=quiet, openjd=values["openjd"])
    session = _Session(report, movie, previews)
    click.get_current_context().exit(session.run(values, overwrite=overwrite, chunk=chunk))


class _Session:
    """One use of the command: what was asked for beside mattes, and what has come so far."""

    def __init__(self, report: Report, movie: Path | None, previews: Sequence[str]) -> None:
        self.report = report
        self.movie, self.previews = movie, previews
        self.pace = Pace()
        self.results: dict[int, FrameResult] = {}
        self.device: str | None = None
        self.lost = 0
        self.mattes: str | None = None
        self.files: list[str] = []

    def run(self, values: dict[str, Any], *, overwrite: bool, chunk: bool) -> int:
        """All of it; returns the exit code."""
        code, interrupted = 0, False
        with closing(self.report):
            try:
                self._check_wishes(chunk)
                shot = shot_of(read_frames(values))
                shot = replace(shot, settings=part_of(shot, values, chunk=chunk))
                with Run(shot, overwrite=overwrite, chunk=chunk) as prepared:
                    self._solve(prepared)
                    self._deliver(Delivery(prepared, self.results))
                code = self._code()
            except VfxmatteError as error:
                self.report.error(error)
                code = SOME_FAILED if self.pace.counts["written"] else error.exit_code
            except KeyboardInterrupt:
                code, interrupted = INTERRUPTED, True
            self.report.end(self._totals(interrupted))
        return code

    def _solve(self, prepared: Run) -> None:
        self.report.start(prepared)
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

    def _say_lost(self, prepared: Run) -> None:
        """Devices that were lost on the way, each once."""
        for text in prepared.lost_devices[self.lost :]:
            self.report.note(text)
        self.lost = len(prepared.lost_devices)

    def _deliver(self, delivery: Delivery) -> None:
        """Previews and the movie; without any matte there is nothing to show."""
        if not delivery.finished:
            return
        if "sheet" in self.previews:
            self._made(delivery.sheet())
        if "movie" in self.previews:
            self._made(delivery.movie_preview())
        if self.movie is not None:
            self._made(delivery.prores(self.movie))

    def _made(self, path: Path) -> None:
        self.files.append(str(path))

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
