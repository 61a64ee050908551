"""`vfxmatte-train export-light`: weights of the light network from a checkpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from training.loop.checkpoint import read_checkpoint
from training.loop.export_options import check_output, export_options
from vfxmatte.errors import TrainingError
from vfxmatte.network.light import LightConfig, LightMatting
from vfxmatte.network.weights_file import save_folded


@click.command()
@export_options
def export_light(
    checkpoint: Path,
    output: Path,
    name: str,
    licence: str,
    notes: str,
    stage1_only: bool,
    overwrite: bool,
) -> None:
    """Turn a CHECKPOINT of `vfxmatte-train light` into weights for `vfxmatte run --weights`."""
    check_output(output, overwrite=overwrite)
    state = read_checkpoint(checkpoint)
    try:
        config = LightConfig(**state["config"]["network"])
    except (KeyError, TypeError) as error:
        raise TrainingError(
            f"not a checkpoint of `vfxmatte-train light`: {error}",
            path=checkpoint,
            hint="checkpoints of `vfxmatte-train train` are exported by `export`",
        ) from error
    if stage1_only:
        config = replace(config, refinement=0)
    network = LightMatting(config)
    keys = network.state_dict().keys()
    network.load_state_dict({k: v for k, v in state["average"].items() if k in keys})
    record = {"steps": state["step"], "config": state["config"], "notes": notes}
    network = network.fold()
    sha256 = save_folded(
        output, network, network.config, name=name, licence=licence, training=record
    )
    Console(soft_wrap=True).print(f"{output}: {output.stat().st_size / 1e6:.1f} MB, {sha256}")
