"""`vfxmatte batch`: check many shots, then matte them, with one progress and one report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from vfxmatte.batch.checked import CheckedShot, checked_shots, find_clash, full_disks
from vfxmatte.batch.outcome import worst_code
from vfxmatte.batch.report_files import ReportFiles
from vfxmatte.batch.session import BatchSession
from vfxmatte.cli.batch_report import BatchScreen, JsonEvents, ScreenReport
from vfxmatte.cli.path_option import PathOption
from vfxmatte.cli.shot_list import ShotList, find_shots
from vfxmatte.cli.shot_options import preview_option, settings_options
from vfxmatte.common.exit_codes import SOME_FAILED
from vfxmatte.errors import OutputError

_REPORT = "batch_report.html"


@click.command()
@click.argument("shots", nargs=-1, required=True, metavar="SHOTS...|FILE")
@click.option("-o", "--output", "folder", type=PathOption(),
              help="Each shot gets OUTPUT/NAME [its own SHOT/matte].")  # fmt: skip
@settings_options
@preview_option
@click.option("--overwrite", is_flag=True, help="Do finished frames again.")
@click.option("--keep-going", is_flag=True,
              help="Do the other shots when one cannot run, or is ended by an error.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Check all shots; write nothing.")
@click.option("--report", "page", type=PathOption(dir_okay=False), metavar="NAME.html|.md",
              help=f"The report; NAME.json beside it [{_REPORT} beside the list or the shots].",
              )  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON event a line; `end` comes last.")
@click.option("--quiet", is_flag=True, help="Print failures only.")
def batch(
    shots: tuple[str, ...],
    dry_run: bool,
    page: Path | None,
    as_json: bool,
    quiet: bool,
    previews: tuple[str, ...],
    overwrite: bool,
    keep_going: bool,
    **values: Any,
) -> None:
    """Matte many shots: all are checked first, then done one after another.

    \b
    vfxmatte batch shots                       every shot in a folder
    vfxmatte batch 'show/*/sh0*' --preview sheet
    vfxmatte batch tonight.txt --keep-going

    A list has a shot a line, with options of its own as after `vfxmatte run`: `sh010 --mode fast`.
    Options here are for all shots. If one cannot run nothing is begun, and an error that ends one
    ends the batch, unless --keep-going is given; single frames that fail never do. The same command
    goes on where a batch was stopped.

    Exit codes, of the worst shot: 0 done; 1 some frames failed; 2 wrong use; 3 nothing could be
    done; 130 stopped by Ctrl-C.
    """
    listed = find_shots(shots, _common(values))
    screen: BatchScreen = JsonEvents() if as_json else ScreenReport(quiet=quiet)
    target = page or (values["folder"] or listed.home) / _REPORT
    files = ReportFiles(target)
    if not dry_run:
        files.check()
    checked, notes = _checked(listed, screen)
    context = click.get_current_context()
    if dry_run:
        context.exit(max(one.exit_code for one in checked))
    session = BatchSession(
        checked,
        screen,
        previews=previews,
        overwrite=overwrite,
        keep_going=keep_going,
        changed=lambda: _keep(files, session, notes, screen),
    )
    files.write(session.outcomes, notes, ended=False)  # a folder that cannot be written, in time
    _run(session, screen)
    code = worst_code(session.outcomes)
    kept = _keep(files, session, notes, screen, ended=True)
    screen.end(session.outcomes, code, [str(files.page), str(files.data)] if kept else [])
    context.exit(code if kept else max(code, SOME_FAILED))


def _keep(
    files: ReportFiles,
    session: BatchSession,
    notes: list[str],
    screen: BatchScreen,
    *,
    ended: bool = False,
) -> bool:
    """Write the report; one that cannot be written does not stop the batch."""
    try:
        files.write(session.outcomes, notes, ended=ended)
    except OutputError as error:
        screen.problem(error)
        return False
    return True


def _run(session: BatchSession, screen: BatchScreen) -> None:
    if session.is_refused:
        bad = [one.name for one in session.outcomes if one.state == "cannot run"]
        screen.refused(bad, len(session.outcomes) - len(bad))
        return
    screen.begin(session.frames, session.pace)
    session.run()


def _checked(listed: ShotList, screen: BatchScreen) -> tuple[list[CheckedShot], list[str]]:
    """Check all shots, one by one and together; return them and the notes on the whole."""
    for text in listed.notes:
        screen.note(text)
    checked: list[CheckedShot] = []
    for one in checked_shots(listed.shots):
        find_clash(one, checked)
        checked.append(one)
        screen.checked(one)
    disks = full_disks(checked)
    for text in disks:
        screen.note(text)
    return checked, [*listed.notes, *disks]


def _common(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of all shots, with those that a shot alone can have unset."""
    return {**values, "shot": None, "plate": None, "trimaps": None, "frames": None}
