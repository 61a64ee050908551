"""`vfxmatte cut`: matte every shot of a cut, one after another, with one engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from vfxmatte.cli.cut_options import cut_options, read_cut_file
from vfxmatte.cli.group import DONE, INTERRUPTED, NOTHING_DONE, SOME_FAILED
from vfxmatte.cli.path_option import PathOption
from vfxmatte.cli.report import make_report
from vfxmatte.cli.shot_options import preview_option, settings_options
from vfxmatte.common.wording import counted, frames_text
from vfxmatte.editorial.cut import Cut
from vfxmatte.editorial.cut_shot import CutShot
from vfxmatte.editorial.mattes import check_target, write_mattes
from vfxmatte.errors import VfxmatteError
from vfxmatte.pipeline.shot import Shot
from vfxmatte.reporting.events import Report, emit, error_values
from vfxmatte.reporting.inspection import Inspection, inspect
from vfxmatte.reporting.session import RunSession
from vfxmatte.serve.engine_cache import EngineCache


@click.command()
@click.argument("file", type=PathOption(exists=True, dir_okay=False))
@click.option("--trimaps", type=PathOption(exists=True), help="Folder with one for each shot.")
@click.option(
    "-o", "--output", "folder", type=PathOption(), required=True, help="Each shot gets OUTPUT/NAME."
)
@cut_options
@click.option(
    "--otio-out",
    type=PathOption(dir_okay=False),
    help="Also write the cut with a track of mattes above each video track.",
)
@click.option("--dry-run", is_flag=True, help="List what would be done; write nothing.")
@settings_options
@preview_option
@click.option("--overwrite", is_flag=True, help="Solve finished frames again.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON events; `end` is the last.")
@click.option("--quiet", is_flag=True, help="Print failures only.")
def cut(
    file: Path,
    otio_out: Path | None,
    dry_run: bool,
    previews: tuple[str, ...],
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    **values: Any,
) -> None:
    """Matte every shot of a cut (OpenTimelineIO or EDL).

    \b
    vfxmatte cut cut.otio --trimaps keys -o mattes --handles 8
    vfxmatte cut cut.edl --rate 25 --map 'P:/show=/mnt/show' --trimaps keys -o mattes

    Each plate gets one folder of mattes, for the frames that the cut shows. --trimaps ROOT holds
    keyframes in ROOT/NAME/; without it they are searched for beside the plates.

    Exit codes: 0 every shot is whole; 1 some clips or frames are not; 2 wrong use; 3 nothing could
    be done; 130 stopped by Ctrl-C.
    """
    content = read_cut_file(file, values)
    if otio_out is not None:
        check_target(otio_out, content)
    report = _CutReport(as_json=as_json, quiet=quiet)
    context = click.get_current_context()
    if dry_run:
        context.exit(_list(content, report))
    context.exit(_run(content, report, previews, otio_out, overwrite=overwrite))


def _run(
    cut: Cut, report: _CutReport, previews: Sequence[str], otio_out: Path | None, *, overwrite: bool
) -> int:
    """Matte all shots of the cut; return the exit code."""
    report.start(cut)
    codes = []
    engines = EngineCache(capacity=1)
    try:
        for shot in cut.shots:
            codes.append(_run_shot(shot, engines, report, previews, overwrite=overwrite))
            if codes[-1] == INTERRUPTED:
                return INTERRUPTED
    finally:
        engines.close_unused(now=True)
    if otio_out is not None:
        report.line("otio", path=str(write_mattes(cut, otio_out)))
    code = _code(codes, cut)
    report.end(cut, codes, code)
    return code


def _run_shot(
    shot: CutShot,
    engines: EngineCache,
    report: _CutReport,
    previews: Sequence[str],
    *,
    overwrite: bool,
) -> int:
    """Matte a shot's ranges one after another; return their exit code."""
    codes: list[int] = []
    for part in shot.parts():

        def find(part: Shot = part) -> Shot:
            return part

        session = RunSession(report.of_shot(), previews=previews, engine=engines.lend)
        codes.append(session.run(find, overwrite=overwrite and not codes))
        if codes[-1] == INTERRUPTED:
            return INTERRUPTED
        if codes[-1]:
            engines.close_unused(now=True)  # a failed engine must not affect the next shot
    return _together(codes)


def _code(codes: Sequence[int], cut: Cut) -> int:
    """Return the exit code of the cut; clips with problems count as shots without mattes."""
    return _together([*codes, *(NOTHING_DONE for _ in cut.problems)])


def _together(codes: Sequence[int]) -> int:
    """Return the exit code of several runs: 3 only if none of them wrote anything."""
    if not any(codes):
        return DONE
    return NOTHING_DONE if min(codes) > SOME_FAILED else SOME_FAILED


class _CutReport:
    """Reports on a cut, as lines or JSON events; problems are always printed."""

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self.as_json, self.quiet = as_json, quiet

    def of_shot(self) -> Report:
        """Create the report of one run."""
        return make_report(as_json=self.as_json, quiet=self.quiet)

    def line(self, event: str, **values: Any) -> None:
        """Print one line or event."""
        if self.as_json:
            emit(event, **values)
        elif not self.quiet:
            click.echo(f"{event:<10} {' '.join(str(value) for value in values.values())}")

    def start(self, cut: Cut) -> None:
        """Print the content of the cut, and the problems of its clips."""
        if self.as_json:
            emit("cut", path=str(cut.path), shots=list(map(_plain, cut.shots)), notes=cut.notes)
        elif not self.quiet:
            click.echo(f"cut        {cut.path}: {counted(len(cut.shots), 'shot')} to matte")
            for line in _lines(cut):
                click.echo(line)
        self.problems(cut.problems)

    def problems(self, problems: Sequence[VfxmatteError]) -> None:
        """Print problems of clips or shots."""
        for problem in problems:
            if self.as_json:
                emit("error", **error_values(problem))
            else:
                click.echo(f"error: {problem}", err=True)

    def end(self, cut: Cut, codes: Sequence[int], code: int) -> None:
        """Print how each shot ended."""
        ends = {shot.name: own for shot, own in zip(cut.shots, codes, strict=True)}
        bad = [name for name, own in ends.items() if own]
        if self.as_json:
            emit("end", exit_codes=ends, not_matted=len(cut.problems), exit_code=code)
        elif not self.quiet:
            click.echo(
                f"{len(codes) - len(bad)} of {counted(len(codes), 'shot')} whole"
                + (f"; with failures: {', '.join(bad)}" if bad else "")
                + (f"; {_not_matted(len(cut.problems))}" if cut.problems else "")
            )


def _not_matted(count: int) -> str:
    return "1 clip or shot not matted" if count == 1 else f"{count} clips or shots not matted"


def _lines(cut: Cut) -> Iterator[str]:
    for shot in cut.shots:
        noun = "frame" if sum(map(len, shot.ranges)) == 1 else "frames"
        frames = f"{noun} {','.join(map(str, shot.ranges))}"
        yield f"  {shot.name}  {frames}, {frames_text(shot.keyframes, noun='keyframe')}"
        yield f"    of {shot.media.plate} into {shot.output}"
        yield from (f"    note: {note}" for note in shot.notes)
    yield from (f"  note: {note}" for note in cut.notes)


def _plain(shot: CutShot) -> dict[str, Any]:
    return {
        "shot": shot.name,
        "clips": [clip.name for clip in shot.clips],
        "plate": str(shot.media.plate),
        "frames": [str(one) for one in shot.ranges],
        "keyframes": list(shot.keyframes),
        "output": str(shot.output),
        "notes": list(shot.notes),
    }


def _list(cut: Cut, report: _CutReport) -> int:
    """Print what would be done, and what each shot lacks; return the exit code."""
    report.start(cut)
    codes = []
    for shot in cut.shots:
        parts: list[Inspection] = [inspect(part) for part in shot.parts()]
        problems = {str(one): one for part in parts for one in part.problems}
        report.problems([one.at(shot=shot.name) for one in problems.values()])
        codes.append(max(part.exit_code for part in parts))
        to_do = sum(part.to_do or 0 for part in parts)
        report.line("shot", name=shot.name, text=_state(codes[-1], to_do))
    code = _code(codes, cut)
    if report.as_json:
        report.end(cut, codes, code)
    return code


def _state(code: int, to_do: int) -> str:
    if code > SOME_FAILED:
        return "cannot run"
    return counted(to_do, "frame") + " to do" + (", some of them cannot be read" if code else "")
