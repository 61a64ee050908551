"""`vfxmatte-train light`: train the light network on stores of composites."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import click
import torch
from rich.console import Console

from training.config import setting_pairs
from training.elements.pack import read_pack
from training.light.trainer import Cycle, LightTrainer, LightTraining
from training.light.validation import validation_pictures
from training.samples.composite_store import StoreReader
from training.samples.device_crops import DeviceCrops
from training.samples.store_crops import CropSource, StoreCrops
from vfxmatte.common.configuration import changed, nested, read_toml
from vfxmatte.engines.model import choose_device
from vfxmatte.errors import TrainingError, UsageError


@click.command()
@click.argument("stores", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", "folder", type=click.Path(path_type=Path), required=True,
              help="Folder of checkpoints and logs; a run that is there goes on.")  # fmt: skip
@click.option("--pack", type=click.Path(path_type=Path), required=True,
              help="The library, whose held-out part validates.")  # fmt: skip
@click.option("--photographs", type=click.Path(path_type=Path),
              help="Folder with input/ alpha/ trimap1/ trimap2/, to --choose from.")  # fmt: skip
@click.option("--choose", multiple=True, metavar="NAME",
              help="A photograph of it that validates too, such as GT01.")  # fmt: skip
@click.option("--config", "config_path", type=click.Path(path_type=Path), help="TOML file.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change one key.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1))
@click.option("--until", type=int, help="Stop at this step; the same command goes on.")
def light(
    stores: tuple[Path, ...],
    folder: Path,
    pack: Path,
    photographs: Path | None,
    choose: tuple[str, ...],
    config_path: Path | None,
    settings: tuple[str, ...],
    device: str,
    threads: int,
    until: int | None,
) -> None:
    """Train on STORES made by `vfxmatte-train composites`; a killed run goes on where it was."""
    if (photographs is None) != (not choose):
        raise UsageError(
            "--photographs and --choose go together",
            hint="--photographs FOLDER --choose GT01 --choose GT03",
        )
    torch.set_num_threads(threads)
    config = load_light_training(config_path, settings)
    folder.mkdir(parents=True, exist_ok=True)
    console = Console(soft_wrap=True, highlight=False)
    readers = [StoreReader(store) for store in stores]
    if not sum(len(reader) for reader in readers):
        raise TrainingError(
            "the stores hold no composites yet",
            path=stores[0],
            hint="make some with vfxmatte-train composites; a training takes in further ones",
        )
    pictures = validation_pictures(read_pack(pack), photographs, choose, folder / "validation.npz")
    where = choose_device(device)
    crops: CropSource
    if where.type == "cpu":
        crops = StoreCrops(readers, config.crops)
    else:
        torch.backends.cudnn.benchmark = True  # few sizes, each many times
        crops = DeviceCrops(readers, config.crops, where)
    crops.refresh()
    trainer = LightTrainer(crops, config, folder, pictures, where)
    resumed = trainer.resume()
    console.print(
        f"{'resumed' if resumed else 'begins'} at step {trainer.step}: {config.as_dict()}"
    )
    begun = time.monotonic()
    for line in trainer.run(until):
        console.print(f"{time.strftime('%H:%M:%S')} {time.monotonic() - begun:.0f} s {line}")


def load_light_training(path: Path | None, settings: tuple[str, ...] = ()) -> LightTraining:
    """The defaults, changed by a TOML file and then by `key=value` pairs.

    Raises:
        TrainingError: an unknown key, or a value of the wrong kind.
    """
    config = LightTraining()
    if path is not None:
        record = read_toml(path, TrainingError)
        cycles = tuple(
            changed(Cycle(), one, path=path, error=TrainingError, within="cycles.")
            for one in record.pop("cycles", [])
        )
        config = changed(config, record, path=path, error=TrainingError)
        config = replace(config, cycles=cycles or config.cycles)
    for key, value in setting_pairs(settings).items():
        config = changed(config, nested(key, value), error=TrainingError)
    return config
