"""`vfxmatte-train composites`: finished composites with priors, made once and kept in a store."""

from __future__ import annotations

from pathlib import Path

import click
import torch
from rich.console import Console

from training.elements.pack import read_pack
from training.samples.bank import PictureBank
from training.samples.composite_store import StoreWriter
from training.samples.procedural_alpha import DRAWERS
from training.samples.varied_composites import VarietyConfig, make_composite, varied_compositor
from vfxmatte.errors import UsageError
from vfxmatte.prior.constants import PRIORS

_AT_ONCE = 8  # records between two headers


@click.command()
@click.argument("pack", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True,
              help="Folder of the store; a store that is there goes on.")  # fmt: skip
@click.option("--count", default=10_000, show_default=True, type=click.IntRange(1),
              help="Composites that the store is to hold in the end.")  # fmt: skip
@click.option("--side", "side_px", default=512, show_default=True, type=click.IntRange(64),
              help="Side of a composite in px, a multiple of 32.")  # fmt: skip
@click.option("--procedural", default=VarietyConfig.procedural, show_default=True,
              type=click.FloatRange(0, 1),
              help="Share of foregrounds cut out of photographs by rule.")  # fmt: skip
@click.option("--shape", "shapes", multiple=True, type=click.Choice(list(DRAWERS)),
              help="What is drawn by rule: strands, fur and so on [all].")  # fmt: skip
@click.option("--seed", default=1, show_default=True, help="Of all that is random.")
def composites(
    pack: Path,
    output: Path,
    count: int,
    side_px: int,
    procedural: float,
    shapes: tuple[str, ...],
    seed: int,
) -> None:
    """Make training composites from the training part of PACK and keep them in a store.

    May be stopped at any moment: the same command goes on, with the same result.
    """
    if side_px % 32:
        raise UsageError(
            f"--side must be a multiple of 32, found {side_px}",
            hint=f"use --side {max(32, round(side_px / 32) * 32)}",
        )
    torch.set_num_threads(1)
    config = VarietyConfig(procedural=procedural, shapes=shapes)
    training_part = read_pack(pack).training()
    bank = PictureBank(training_part, torch.device("cpu"))
    compositor, config = varied_compositor(bank, config, side_px=side_px)
    description = {"seed": seed, "variety": config.as_dict(), "pack": training_part.digest()}
    writer = StoreWriter(output, side_px=side_px, priors=PRIORS, description=description)
    console = Console(stderr=True, soft_wrap=True)
    if writer.count < count:
        console.print(f"{output}: {writer.count} of {count} composites are there")
    waiting = []
    for number in range(writer.count, count):
        waiting.append(make_composite(compositor, config, (seed, number)))
        if len(waiting) == _AT_ONCE or number == count - 1:
            writer.append(waiting)
            waiting = []
        if (number + 1) % 200 == 0:
            console.print(f"{number + 1} of {count} composites")
    writer.close()
    console.print(f"{output}: {writer.count} of {count} composites are there")
