"""`vfxmatte-train train` and `export`: from a packed library to weights."""

from __future__ import annotations

import json
import os
from collections import deque
from pathlib import Path

import click
import torch
from rich.console import Console

from training.config import setting_pairs
from training.loop.checkpoint import averaged_network, read_checkpoint
from training.loop.export_options import check_output, export_options
from training.loop.group import Group
from training.loop.show import show
from training.loop.starts import Start
from training.loop.trainer import Trainer
from training.recipes import RECIPES, load_config, open_source
from training.samples.sources import Source
from vfxmatte.errors import TrainingError
from vfxmatte.network.weights import save_weights

console = Console(soft_wrap=True)


@click.command()
@click.argument("library", type=click.Path(path_type=Path))
@click.option("-o", "--output", "folder", type=click.Path(path_type=Path), required=True,
              help="Folder for checkpoints, logs and pictures.")  # fmt: skip
@click.option("--recipe", type=click.Choice(sorted(RECIPES)), default="better", show_default=True)
@click.option("--config", "config_path", type=click.Path(path_type=Path),
              help="TOML file with changes to the recipe.")  # fmt: skip
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE",
              help="Change one key, e.g. network.width=0.5 or phases.0.steps=2000.")  # fmt: skip
@click.option("--encoder-init", type=click.Path(path_type=Path),
              help="VGG-16 weights (torchvision's naming) for the encoder.")  # fmt: skip
@click.option("--init", "init_path", type=click.Path(path_type=Path),
              help="Continue from these weights (.safetensors) with a new schedule.")  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--threads", type=int, default=0, help="CPU threads (0: as torch chooses).")
@click.option("--until", type=int, default=None, help="Stop at this step; run again to resume.")
@click.option("--fresh", is_flag=True, help="Refuse to resume: the folder must be new.")
def train(
    library: Path,
    folder: Path,
    recipe: str,
    config_path: Path | None,
    settings: tuple[str, ...],
    encoder_init: Path | None,
    init_path: Path | None,
    device: str,
    threads: int,
    until: int | None,
    fresh: bool,
) -> None:
    """Train on LIBRARY; a killed run resumes from its last checkpoint.

    LIBRARY is a pack (made by `vfxmatte-train pack`); for the recipe course a folder that holds
    images/ and mattes/.
    """
    config = load_config(recipe, config_path, setting_pairs(settings))
    if threads:
        torch.set_num_threads(threads)
    chosen = _device(device)
    first = os.environ.get("RANK", "0") == "0"
    say = console.print if first else lambda *_: None
    start = Start(encoder_init=encoder_init, weights=init_path, say=say)
    with Group(chosen) as group:
        source = open_source(library, config)
        trainer = Trainer(source, config, folder, chosen, start=start)
        if fresh and trainer.last_path.exists():
            raise TrainingError("there is a training already", path=folder)
        resumed = trainer.resume()
        if group.is_first:
            _introduce(trainer, source, resumed)
            total = until or trainer.config.total_steps
            show(trainer.run(until), console, total=total, at=trainer.step)
        else:
            deque(trainer.run(until), maxlen=0)


@click.command()
@export_options
def export(
    checkpoint: Path,
    output: Path,
    name: str,
    licence: str,
    notes: str,
    stage1_only: bool,
    overwrite: bool,
) -> None:
    """Turn a CHECKPOINT into weights for `vfxmatte run --weights`."""
    check_output(output, overwrite=overwrite)
    state = read_checkpoint(checkpoint)
    network = averaged_network(checkpoint, state, refine=not stage1_only)
    record = {"steps": state["step"], "config": state["config"], "notes": notes}
    info = save_weights(output, network.fold(), name=name, licence=licence, training=record)
    console.print(f"{info.path}: {info.path.stat().st_size / 1e6:.1f} MB, sha256 {info.sha256}")


def _introduce(trainer: Trainer, source: Source, resumed: bool) -> None:
    """Print the configuration, the library and the first step."""
    console.print(json.dumps(trainer.config.as_dict(), indent=1), highlight=False)
    console.print(
        f"{source}, {trainer.group.size} x {trainer.device.type}, "
        + (f"resumed at step {trainer.step}" if resumed else "from the start"),
        highlight=False,
    )
    if not source.held_out:
        console.print("nothing is held out: there will be no validation and no best checkpoint")


def _device(name: str) -> torch.device:
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if name == "auto":
        name = f"cuda:{local}" if torch.cuda.is_available() else "cpu"
    elif name == "cuda":
        name = f"cuda:{local}"
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise TrainingError("a GPU was asked for, and torch sees none", hint="use --device cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device
