"""`python -m training.render`: foreground elements and moving shots from the command line."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path

import click

from training.render import contact_sheet, finish
from training.render.blender import BlenderProcess, Outcome, find_interpreter, run_jobs
from training.render.foregrounds import Format, parse_seeds, render_foregrounds
from training.render.jobs import ShotJob
from training.render.kinds import KINDS
from training.render.scene import Quality
from training.render.shots import FIRST_FRAME, FRAME_COUNT, SHOTS, rendered_paths
from vfxmatte.cli.program import ProgramGroup
from vfxmatte.errors import UsageError
from vfxmatte.types import FrameRange

_blender_python = click.option(
    "--blender-python",
    type=click.Path(path_type=Path),
    help="The Python that has bpy; else $VFXMATTE_BLENDER_PYTHON, else this one.",
)
_workers = click.option("--workers", default=1, show_default=True, help="Processes at once.")


@click.group(cls=ProgramGroup, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Render foreground elements and moving shots with exact alpha, with Blender as a module.

    Exit codes: 0 done, 1 some failed (run again to render these alone), 2 wrong use.
    """


@cli.command()
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--seeds", required=True, help="6..20, or several with commas; ends included.")
@click.option("--kind", help=f"Every seed as this kind: {', '.join(KINDS)}.")
@click.option("--size", default=512, show_default=True, help="Pixels of each side.")
@click.option("--samples", default=64, show_default=True, help="Samples a pixel of the alpha.")
@click.option("--colour-samples", default=12, show_default=True, help="Of the denoised colour.")
@click.option("--format", "file_format", type=click.Choice(["webp", "exr"]), default="webp")
@click.option("--sheet", type=click.Path(path_type=Path), help="Write a contact sheet (PNG).")
@_workers
@_blender_python
def foregrounds(
    out: Path,
    seeds: str,
    kind: str | None,
    size: int,
    samples: int,
    colour_samples: int,
    file_format: Format,
    sheet: Path | None,
    workers: int,
    blender_python: Path | None,
) -> None:
    """Render one element per seed into OUT; existing elements are skipped.

    Seeds 2000 to 4999 are heads and shoulders. The project keeps seeds from 5000 on for its own
    tests: figures on them mean nothing for weights trained on them.
    """
    numbers = parse_seeds(seeds)
    interpreter = find_interpreter(blender_python)
    quality = Quality(
        width=size, height=size, foreground_samples=colour_samples, alpha_samples=samples
    )
    outcomes = render_foregrounds(
        out, numbers, lambda: BlenderProcess(interpreter),
        quality=quality, workers=workers, file_format=file_format, kind=kind,
    )  # fmt: skip
    failed = _report(outcomes)
    files = sorted(out.glob(f"[0-9]*.{file_format}"))
    if sheet is not None and files:
        contact_sheet.element_sheet(files, sheet)
    sys.exit(1 if failed else 0)


@cli.command()
@click.option("--shot", required=True, type=click.Choice(sorted(SHOTS)))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path, file_okay=False))
@click.option("--seed", default=0, show_default=True)
@click.option("--size", default="640x360", show_default=True, help="WIDTHxHEIGHT.")
@click.option(
    "--frames", default=f"{FIRST_FRAME}-{FIRST_FRAME + FRAME_COUNT - 1}", show_default=True
)
@click.option("--samples", default=56, show_default=True, help="Samples a pixel of the alpha.")
@click.option("--colour-samples", default=9, show_default=True, help="Of the denoised colour.")
@click.option(
    "--colour-scale", default=1.0, show_default=True,
    help="Render the colour this much smaller and enlarge it: faster, softer inside.",
)  # fmt: skip
@click.option("--layers", type=click.Path(path_type=Path), help="Keep the rendered layers here.")
@click.option("--sheet", type=click.Path(path_type=Path), help="Write a contact sheet (PNG).")
@_workers
@_blender_python
def shots(
    shot: str,
    output: Path,
    seed: int,
    size: str,
    frames: str,
    samples: int,
    colour_samples: int,
    colour_scale: float,
    layers: Path | None,
    sheet: Path | None,
    workers: int,
    blender_python: Path | None,
) -> None:
    """Render a moving shot into OUTPUT: plate/, alpha/, trimaps/ and shot.toml.

    With --layers, a stopped run resumes where it was.
    """
    width, height = parse_size(size)
    span = FrameRange.parse(frames)
    interpreter = find_interpreter(blender_python)
    if not 0.1 <= colour_scale <= 1:
        raise UsageError(f"--colour-scale must be within 0.1 and 1, found {colour_scale}")
    quality = Quality(
        width=width,
        height=height,
        foreground_samples=colour_samples,
        alpha_samples=samples,
        foreground_scale=colour_scale,
    )
    with nullcontext(str(layers)) if layers else tempfile.TemporaryDirectory() as folder:
        jobs = [
            ShotJob(
                shot=shot, seed=seed, first=span.first, last=span.last, frame=frame,
                folder=Path(folder), quality=quality,
            )
            for frame in span
            if not all(path.exists() for path in rendered_paths(shot, Path(folder), frame))
        ]  # fmt: skip
        if _report(run_jobs(jobs, lambda: BlenderProcess(interpreter), workers=workers)):
            sys.exit(1)
        finish.finish_shot(shot, Path(folder), span.as_range(), output, seed=seed)
    if sheet is not None:
        contact_sheet.shot_sheet(output, span.as_range(), sheet)


def parse_size(text: str) -> tuple[int, int]:
    """Parse width and height from `640x360`; raises UsageError."""
    width, cross, height = text.lower().partition("x")
    if not cross or not width.isdecimal() or not height.isdecimal() or not int(width) * int(height):
        raise UsageError(f"not a size: {text!r}", hint="write WIDTHxHEIGHT, e.g. 640x360")
    return int(width), int(height)


def _report(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Print each outcome as it comes; returns the failed ones."""
    failed: list[Outcome] = []
    for outcome in outcomes:
        if outcome.error is None:
            click.echo(f"rendered {outcome.job.name}")
        else:
            failed.append(outcome)
            click.echo(f"failed {outcome.job.name}: {outcome.error}", err=True)
    if failed:
        click.echo(f"{len(failed)} failed; run again to try these alone", err=True)
    return failed


if __name__ == "__main__":
    cli(prog_name="python -m training.render")
