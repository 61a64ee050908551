"""`vfxmatte-train portraits`: train weights for automatic trimaps on packed portraits."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import torch
from rich.console import Console

from training.config import setting_pairs
from training.elements.pack import read_pack
from training.loop.picture import save_grid
from training.portraits.config import PortraitTraining
from training.portraits.measure import hard_labels
from training.portraits.trainer import PortraitTrainer, Step
from vfxmatte.common.configuration import changed, nested, read_toml
from vfxmatte.errors import OutputError, TrainingError
from vfxmatte.keyframes.portrait_weights import load_portrait_weights
from vfxmatte.network.weights_file import save_folded

console = Console(soft_wrap=True, highlight=False)


@click.command()
@click.argument("library", type=click.Path(path_type=Path))
@click.option("-o", "--output", "folder", type=click.Path(path_type=Path), required=True,
              help="Folder for the weights, the log and a picture.")  # fmt: skip
@click.option("--kind", help="Kind of the library's elements to train on [portrait, else all].")
@click.option("--config", "config_path", type=click.Path(path_type=Path),
              help="TOML file with changes to the settings.")  # fmt: skip
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE",
              help="Change one setting, e.g. label_steps=3000 or network.width=0.5.")  # fmt: skip
@click.option("--init", "init_path", type=click.Path(path_type=Path),
              help="Continue from these portrait weights and their shape.")  # fmt: skip
@click.option("--name", default="portraits", show_default=True, help="What to call the weights.")
@click.option("--licence", default="Apache-2.0", show_default=True, help="Of the weights.")
@click.option("--notes", default="", help="Data, hardware and time, for the sidecar.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda or cuda:N.")
@click.option("--threads", type=int, default=0, help="CPU threads (0: as torch chooses).")
def portraits(
    library: Path,
    folder: Path,
    kind: str | None,
    config_path: Path | None,
    settings: tuple[str, ...],
    init_path: Path | None,
    name: str,
    licence: str,
    notes: str,
    device: str,
    threads: int,
) -> None:
    """Train automatic trimaps on the portraits of LIBRARY (made by `vfxmatte-train pack`).

    First the labels alone, then end to end through the matting layer. Writes
    DIR/portrait.safetensors for `vfxmatte trimap auto --weights`, DIR/log.jsonl and held_out.png.
    """
    if (folder / "portrait.safetensors").exists():
        raise OutputError("there are weights already", path=folder, hint="give another --output")
    config = _config(config_path, settings)
    if threads:
        torch.set_num_threads(threads)
    start = None if init_path is None else load_portrait_weights(init_path)[0]
    pack = read_pack(library)
    trainer = PortraitTrainer(pack, config, torch.device(device), kind=kind, start=start)
    bank = trainer.compositor.bank
    console.print(
        f"{len(bank.foregrounds)} portraits, {len(bank.backdrops)} backgrounds, "
        f"{sum(len(b.alpha) for b in trainer.held_out)} held-out scenes"
    )
    record = {"config": trainer.config.as_dict(), "notes": notes}

    path = folder / "portrait.safetensors"

    def save(evaluation: dict[str, Any]) -> None:
        network = trainer.finished()
        save_folded(
            path, network, network.config, name=name, licence=licence,
            training=record, evaluation=evaluation,
        )  # fmt: skip

    save(_train(trainer, folder, save))
    _save_picture(trainer, folder / "held_out.png")
    console.print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def _train(
    trainer: PortraitTrainer, folder: Path, save: Callable[[dict[str, Any]], object]
) -> dict[str, Any]:
    """Do every step, printed and logged; returns the last errors of each part.

    Weights are saved whenever they are measured, so that a killed run leaves some.
    """
    began, ends = time.monotonic(), {}
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log.jsonl").open("w", encoding="utf-8") as log:
        for step in trainer.run():
            log.write(json.dumps(_record(step)) + "\n")
            log.flush()
            console.print(f"{_line(step)}  {time.monotonic() - began:.0f} s")
            if step.measured is not None:
                ends[f"held-out portraits, {step.part}"] = step.measured.as_dict()
                save(ends)
    return ends


@torch.no_grad()
def _save_picture(trainer: PortraitTrainer, path: Path) -> None:
    """Write a grid of held-out scenes: picture, hard labels, alpha, true alpha."""
    for batch in trainer.held_out[:1]:
        probabilities, _ = trainer.average.probabilities(batch.image)
        alpha = trainer.average.alpha(batch.image, probabilities)
        save_grid(path, (batch.image, hard_labels(probabilities), alpha, batch.alpha))


def _record(step: Step) -> dict[str, Any]:
    measured = None if step.measured is None else step.measured.as_dict()
    return {**vars(step), "measured": measured}


def _line(step: Step) -> str:
    line = f"{step.number:5d} {step.part:8s} loss {step.loss:.4f}  weight {step.weight:.3f}"
    line += f"  {step.unsolved} batches unsolved" if step.unsolved else ""
    if step.measured is None:
        return line
    m = step.measured
    return f"{line}  SAD alpha {m.alpha_sad:.3f}, labels {m.hard_sad:.3f} / {m.hard_two_sad:.3f}"


def _config(path: Path | None, settings: tuple[str, ...]) -> PortraitTraining:
    config = PortraitTraining()
    if path is not None:
        config = changed(config, read_toml(path, TrainingError), path=path, error=TrainingError)
    for key, value in setting_pairs(settings).items():
        config = changed(config, nested(key, value), error=TrainingError)
    return config
