"""`vfxmatte review`: one page to look at a shot's mattes, and a gate for farms."""

from __future__ import annotations

import json
import webbrowser
from pathlib import Path
from typing import Any

import click

from vfxmatte.cli.group import SOME_FAILED
from vfxmatte.cli.path_option import PathOption
from vfxmatte.cli.shot_options import shot_options
from vfxmatte.common.wording import counted
from vfxmatte.pipeline.options import shot_of
from vfxmatte.pipeline.prepared import PreparedRun
from vfxmatte.review.figures import CHECKS
from vfxmatte.review.flags import ranked
from vfxmatte.review.gate import conditions
from vfxmatte.review.session import Outcome, Review


@click.command()
@shot_options
@click.option(
    "--against",
    type=PathOption(exists=True),
    help="Another folder of mattes of this shot, or another shot folder, to compare with.",
)
@click.option(
    "--fail-on",
    metavar="CONDITION,…",
    help="Exit with 1 where a frame's figure is beyond a limit: flicker>0.08,leak>5%.",
)
@click.option("--open", "show", is_flag=True, help="Open the page in the browser.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def review(
    against: Path | None, fail_on: str | None, show: bool, as_json: bool, **values: Any
) -> None:
    """Write a page to look at the mattes of SHOT, with the frames flagged that need it.

    Beside the mattes: review.html, one file that opens in any browser; review.json; and
    review.junit.xml. Nothing is solved.

    \b
    Figures for --fail-on, of each frame:
    flicker, departs, jump, holes, islands, leak, clip, border, contradicted, area, unknown,
    confidence

    With --fail-on, a frame without a matte fails too.

    Exit codes: 0 done; 1 a condition of --fail-on holds; 2 wrong use; 3 nothing to review.
    """
    listed = conditions(fail_on, tuple(CHECKS)) if fail_on else []
    with PreparedRun(shot_of(values)) as run:
        outcome = Review(run=run, against=against, conditions=listed).write()
    _report(outcome, as_json=as_json)
    if show:
        webbrowser.open(outcome.page.resolve().as_uri())
    if outcome.failures:
        click.get_current_context().exit(SOME_FAILED)


def _report(outcome: Outcome, *, as_json: bool) -> None:
    flagged = ranked(outcome.frames)
    if as_json:
        plain = {
            "event": "review",
            "frames": len(outcome.frames),
            "notes": list(outcome.notes),
            "flagged": [frame.number for frame in flagged],
            "failures": {str(number): texts for number, texts in outcome.failures.items()},
            "files": [str(path) for path in outcome.files],
        }
        click.echo(json.dumps(plain))
        return
    for frame in flagged:
        click.echo(f"{frame.number}  {'; '.join(flag.text for flag in frame.flags)}")
    for note in outcome.notes:
        click.echo(f"note: {note}")
    click.echo(f"{len(flagged)} of {counted(len(outcome.frames), 'frame')} flagged")
    for number, texts in outcome.failures.items():
        click.echo(f"failed: frame {number}: {'; '.join(texts)}", err=True)
    click.echo(f"to see   {outcome.page}")
