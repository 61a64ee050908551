"""`vfxmatte paint`: paint keyframes and see their mattes, in the browser."""

from __future__ import annotations

import signal
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from vfxmatte.cli.path_option import PathOption
from vfxmatte.cli.shot_options import settings_options
from vfxmatte.common.wording import frames_text
from vfxmatte.errors import UsageError
from vfxmatte.pipeline.options import settings_with
from vfxmatte.pipeline.shot import Shot


@click.command("paint")
@click.argument("place", metavar="SHOT", type=PathOption())
@click.option("--frames", help="Frames to show and run: 1001-1100, 1001-1010,1020 [all].")
@settings_options
@click.option("--no-browser", is_flag=True, help="Print the page's address and open no browser.")
def paint(place: Path, no_browser: bool, **values: Any) -> None:
    """Paint keyframes and see their mattes, in the browser.

    \b
    vfxmatte paint shots/creature
    vfxmatte paint clip.mov          a movie and nothing else: makes the shot folder clip/

    The page is served by this machine to this machine alone; Ctrl-C ends it.
    """
    try:
        from vfxmatte.paint.desk import Desk
        from vfxmatte.paint.server import PaintServer
    except ImportError as error:
        raise UsageError(
            f"the page needs a package that is missing: {error.name}",
            hint="install vfxmatte again: pip install vfxmatte",
        ) from error
    folder = _folder_of(place)
    shot = Shot.open(folder)
    shot = replace(shot, settings=settings_with(shot.settings, values))
    with Desk(shot, folder) as desk, closing(PaintServer(desk)) as server:
        for name in ("SIGTERM", "SIGHUP"):  # what is painted is written before the end
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), lambda *_: server.stop())
        with suppress(KeyboardInterrupt):
            click.echo(f"{shot.name}: {desk.info}")
            click.echo(f"paint here: {server.address}")
            click.echo("Ctrl-C ends it")
            server.serve(browser=not no_browser)
        unsaved = desk.leave()
    if unsaved:
        frames = frames_text(unsaved)
        click.echo(f"painted, not saved as keyframes, and there again next time: {frames}")


def _folder_of(place: Path) -> Path:
    """Return the shot's folder; for a movie one that is made beside it."""
    if place.is_dir() or not place.exists():
        return place.absolute()  # `Shot.open` reports a folder that is none
    from vfxmatte.paint.clip import shot_folder_of

    folder, is_new = shot_folder_of(place.absolute())
    click.echo(f"{'made' if is_new else 'found'} the shot folder {folder}")
    return folder
