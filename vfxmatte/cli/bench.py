"""`vfxmatte bench`: measure the speed of this machine, at a size and on a device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vfxmatte.common.wording import counted
from vfxmatte.errors import UsageError

if TYPE_CHECKING:
    from vfxmatte.bench.measure import BenchSettings, Costs


@click.command()
@click.option("--size", default="1920x1080", show_default=True, help="Size of the frames, in px.")
@click.option("--unknown", default=0.1, show_default=True, help="Share of unknown pixels.")
@click.option("--frames", default=12, show_default=True, help="Frames of the shot; 0 skips it.")
@click.option("--repeats", default=3, show_default=True, help="Timed repeats on one frame.")
@click.option("--engine", "name", default="dim", show_default=True, help="Matting engine.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
    default="auto",
    show_default=True,
    help="Precision of the network.",
)
@click.option(
    "--mode",
    type=click.Choice(["exact", "fast", "windows", "dense"]),
    default="exact",
    show_default=True,
    help="Mode of the network, see `vfxmatte run`.",
)
@click.option("--weights", type=click.Path(path_type=Path), help="Weights [the default ones].")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON with every repeat.")
def command(
    size: str, unknown: float, frames: int, repeats: int, as_json: bool, **engine: Any
) -> None:
    """Measure how fast this machine mattes, at this size and on this device.

    The frames are synthetic. First the engine (alpha prior and network) is timed on one frame in
    memory, then a whole run from EXR to EXR, without a fit to the shot.

    \b
    vfxmatte bench
    vfxmatte bench --size 3840x2160 --unknown 0.05 --device cuda
    """
    from vfxmatte.bench.machine import commit, machine, threads, versions
    from vfxmatte.bench.measure import BenchSettings, measure
    from vfxmatte.engines.protocol import EngineSettings

    width, height = _size(size)
    settings = BenchSettings(
        width=width, height=height, unknown_share=unknown, frames=frames, repeats=repeats
    )
    costs = measure(settings, EngineSettings(**engine))
    if not as_json:
        click.echo("\n".join(_lines(settings, costs)))
        return
    provenance = {
        "machine": machine(), "versions": versions(), "threads": threads(), "commit": commit(),
    }  # fmt: skip
    click.echo(json.dumps({"settings": vars(settings), **provenance, **costs.as_dict()}))


def _lines(settings: BenchSettings, costs: Costs) -> list[str]:
    from vfxmatte.bench.machine import machine_in_words, threads

    timing, shot = costs.engine.seconds_per_frame, costs.shot
    precision = costs.engine.engine.get("precision", "")
    lines = [
        f"machine     {machine_in_words()}, {counted(threads()['torch'], 'thread')}",
        f"engine      {timing.median:.2f} s a frame ({min(timing.seconds):.2f} to "
        f"{max(timing.seconds):.2f}), {settings.width}×{settings.height}, "
        f"{settings.unknown_share:.0%} unknown, {costs.engine.device} {precision}".rstrip(),
    ]
    if shot is not None:
        stage = f", slowest stage: {shot.slowest_stage}" if shot.slowest_stage else ""
        cpu = shot.cpu_seconds / shot.frames
        lines.append(
            f"EXR to EXR  {shot.fps:.2f} frames/s over {shot.frames} frames, {cpu:.2f} s of CPU "
            f"each, without a fit to the shot{stage}"
        )
    peaks = (("memory", costs.peak_rss_bytes), ("GPU memory", costs.peak_gpu_bytes))
    lines += [f"{name:<11} {peak / 2**30:.2f} GiB peak" for name, peak in peaks if peak]
    return lines


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.strip().replace("×", "x").partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise UsageError(f"not a size: {text!r}", hint="write WIDTHxHEIGHT, e.g. 1920x1080")
    return int(width), int(height)
