"""`vfxmatte cut`: every shot of a cut, one after the other, with one engine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from vfxmatte.cli.cut_options import cut_options, read_cut_file
from vfxmatte.cli.group import DONE, INTERRUPTED, NOTHING_DONE, SOME_FAILED
from vfxmatte.cli.path_option import PathOption
from vfxmatte.cli.report import make_report
from vfxmatte.cli.shot_options import settings_options
from vfxmatte.common.devices import names_several
from vfxmatte.editorial.cut import Cut, CutShot
from vfxmatte.editorial.mattes import check_target, write_mattes
from vfxmatte.engines.protocol import Engine, EngineSettings
from vfxmatte.engines.registry import open_engine
from vfxmatte.errors import VfxmatteError
from vfxmatte.pipeline.shot import Shot
from vfxmatte.reporting.events import Report, emit, error_values
from vfxmatte.reporting.inspection import Inspection, inspect
from vfxmatte.reporting.session import RunSession
from vfxmatte.types import numbers_as_text


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
@click.option("--dry-run", is_flag=True, help="Say what would be done, no more.")
@settings_options
@click.option(
    "--preview",
    "previews",
    type=click.Choice(["sheet", "movie"]),
    multiple=True,
    help="Draw the composite over a checker: preview.png or preview.mp4 beside the mattes.",
)
@click.option("--overwrite", is_flag=True, help="Do finished frames again.")
@click.option("--json", "as_json", is_flag=True, help="One JSON event a line; `end` comes last.")
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
    """Matte every shot of a cut: OpenTimelineIO, or an EDL.

    \b
    vfxmatte cut cut.otio --trimaps keys -o mattes --handles 8
    vfxmatte cut cut.edl --rate 25 --map 'P:/show=/mnt/show' --trimaps keys -o mattes

    Each plate gets one folder of mattes, of the frames that the cut shows of it; --trimaps ROOT
    holds keyframes in ROOT/NAME/, else they are looked for beside the plates.

    Exit codes: 0 every shot is whole; 1 some clips or frames are not; 2 wrong use; 3 nothing could
    be done; 130 stopped by Ctrl-C.
    """
    found = read_cut_file(file, values)
    if otio_out is not None:
        check_target(otio_out, found)
    voice = _Voice(as_json=as_json, quiet=quiet)
    context = click.get_current_context()
    if dry_run:
        context.exit(_listed(found, voice))
    context.exit(_run(found, voice, previews, otio_out, overwrite=overwrite))


def _run(
    cut: Cut, voice: _Voice, previews: Sequence[str], otio_out: Path | None, *, overwrite: bool
) -> int:
    """All shots of the cut; returns the exit code."""
    voice.found(cut)
    codes = []
    with _SharedEngine() as engine:
        for shot in cut.shots:
            codes.append(_matted(shot, engine, voice, previews, overwrite=overwrite))
            if codes[-1] == INTERRUPTED:
                return INTERRUPTED
    if otio_out is not None:
        voice.say("otio", path=str(write_mattes(cut, otio_out)))
    code = _code(codes, cut)
    voice.end(cut, codes, code)
    return code


def _matted(
    shot: CutShot,
    engine: _SharedEngine,
    voice: _Voice,
    previews: Sequence[str],
    *,
    overwrite: bool,
) -> int:
    """A shot's ranges one after the other; returns their exit code."""
    codes: list[int] = []
    for part in shot.parts():

        def found(part: Shot = part) -> Shot:
            return part

        session = RunSession(voice.report(), previews=previews, engine=engine.lend)
        codes.append(session.run(found, overwrite=overwrite and not codes))
        if codes[-1] == INTERRUPTED:
            return INTERRUPTED
        if codes[-1]:
            engine.close()  # whatever befell it is not the next shot's
    return _together(codes)


def _code(codes: Sequence[int], cut: Cut) -> int:
    """That of the whole: a clip that cannot be matted counts as a shot of which nothing is done."""
    return _together([*codes, *(NOTHING_DONE for _ in cut.problems)])


def _together(codes: Sequence[int]) -> int:
    """The exit code of several runs: 3 only where not one of them could do anything."""
    if not any(codes):
        return DONE
    return NOTHING_DONE if min(codes) > SOME_FAILED else SOME_FAILED


class _SharedEngine:
    """One open engine for all shots of the same engine settings; a context manager."""

    def __init__(self) -> None:
        self._settings: EngineSettings | None = None
        self._open = contextlib.ExitStack()
        self._engine: Engine | None = None

    def __enter__(self) -> _SharedEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Away with it; the next shot opens another."""
        self._engine = None
        self._open.close()

    @contextlib.contextmanager
    def lend(self, settings: EngineSettings) -> Iterator[Engine | None]:
        """Lend the engine; None for several devices, for each of which a run starts a process."""
        if names_several(settings.device):
            yield None
            return
        if self._engine is None or settings != self._settings:
            self.close()
            self._engine, self._settings = open_engine(settings), settings
            self._open.callback(self._engine.close)
        yield self._engine


class _Voice:
    """What is said of a cut, as lines or as JSON events; problems always."""

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self.as_json, self.quiet = as_json, quiet

    def report(self) -> Report:
        return make_report(as_json=self.as_json, quiet=self.quiet)

    def say(self, event: str, **values: Any) -> None:
        """One line, or one event."""
        if self.as_json:
            emit(event, **values)
        elif not self.quiet:
            click.echo(f"{event:<10} {' '.join(str(value) for value in values.values())}")

    def found(self, cut: Cut) -> None:
        """What the cut holds, and why clips of it cannot be matted."""
        if self.as_json:
            emit("cut", path=str(cut.path), shots=list(map(_plain, cut.shots)), notes=cut.notes)
        elif not self.quiet:
            click.echo(f"cut        {cut.path}: {len(cut.shots)} shots to matte")
            for line in _lines(cut):
                click.echo(line)
        self.problems(cut.problems)

    def problems(self, problems: Sequence[VfxmatteError]) -> None:
        for problem in problems:
            if self.as_json:
                emit("error", **error_values(problem))
            else:
                click.echo(f"error: {problem}", err=True)

    def end(self, cut: Cut, codes: Sequence[int], code: int) -> None:
        """How each shot ended."""
        bad = [s.name for s, found in zip(cut.shots, codes, strict=True) if found]
        if self.as_json:
            ends = {s.name: found for s, found in zip(cut.shots, codes, strict=True)}
            emit("end", exit_codes=ends, not_matted=len(cut.problems), exit_code=code)
        elif not self.quiet:
            click.echo(
                f"{len(codes) - len(bad)} of {len(codes)} shots whole"
                + (f"; with failures: {', '.join(bad)}" if bad else "")
                + (f"; {len(cut.problems)} clips or shots not matted" if cut.problems else "")
            )


def _lines(cut: Cut) -> Iterator[str]:
    for shot in cut.shots:
        frames = ",".join(map(str, shot.ranges))
        yield f"  {shot.name}  frames {frames}, keyframes {numbers_as_text(shot.keyframes)}"
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


def _listed(cut: Cut, voice: _Voice) -> int:
    """The dry run: what is there, and what each shot lacks."""
    voice.found(cut)
    codes = []
    for shot in cut.shots:
        found: list[Inspection] = [inspect(part) for part in shot.parts()]
        problems = {str(one): one for each in found for one in each.problems}
        voice.problems([one.at(shot=shot.name) for one in problems.values()])
        codes.append(max(each.exit_code for each in found))
        to_do = sum(each.to_do or 0 for each in found)
        voice.say("shot", name=shot.name, text=_state(codes[-1], to_do))
    code = _code(codes, cut)
    if voice.as_json:
        voice.end(cut, codes, code)
    return code


def _state(code: int, to_do: int) -> str:
    if code > SOME_FAILED:
        return "cannot run"
    return f"{to_do} frames to do" + (", some of them cannot be read" if code else "")
