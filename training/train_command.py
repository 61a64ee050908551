"""`vfxmatte-train train` and `export`: from a packed library to weights."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import click
import torch
import torch.distributed as dist
from rich.console import Console

from training.compose import Compositor
from training.config import RECIPES, TrainConfig, load_config
from training.pack import read_pack
from training.starts import load_encoder, unfold, xavier_decoder
from training.trainer import Event, Progress, Trainer, Validation
from vfxmatte.errors import TrainingError, VfxmatteError
from vfxmatte.net.dim import DeepImageMatting
from vfxmatte.net.weights import load_weights, save_weights

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
              help="Go on from these weights (.safetensors) with a new schedule.")  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--threads", type=int, default=0, help="CPU threads (0: as torch chooses).")
@click.option("--until", type=int, default=None, help="Stop at this step; resume goes on.")
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
    """Train on LIBRARY (made by `vfxmatte-train pack`); a killed run goes on where it was."""
    config = load_config(recipe, config_path, _pairs(settings))
    if threads:
        torch.set_num_threads(threads)
    chosen = _device(device)
    with _process_group(chosen):
        pack = read_pack(library)
        trainer = Trainer(
            pack, config, folder, chosen, start=_Start(encoder_init, init_path, config)
        )
        resumed = not fresh and trainer.resume()
        if fresh and trainer.last_path.exists():
            raise TrainingError("there is a training already", path=folder)
        if trainer.rank == 0:
            console.print(json.dumps(config.as_dict(), indent=1), highlight=False)
            state = f"resumed at step {trainer.step}" if resumed else "from the start"
            console.print(
                f"{len(pack.training().elements)} foregrounds, "
                f"{len(pack.training().backgrounds)} backgrounds, {chosen}, {state}"
            )
        _show(trainer.run(until), config, silent=trainer.rank != 0)


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True,
              help="The .safetensors to write; its .json is written beside it.")  # fmt: skip
@click.option("--name", required=True, help="What to call these weights.")
@click.option("--licence", default="Apache-2.0", show_default=True)
@click.option("--notes", default="", help="Data, hardware and time, for the sidecar.")
@click.option("--stage1-only", is_flag=True, help="Leave the refinement out.")
def export(
    checkpoint: Path, output: Path, name: str, licence: str, notes: str, stage1_only: bool
) -> None:
    """Turn a CHECKPOINT into weights for `vfxmatte run --weights`."""
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for damaged files
        raise TrainingError(f"the checkpoint cannot be read: {error}", path=checkpoint) from error
    network = averaged_network(state, refine=not stage1_only)
    record = {"steps": state["step"], "config": state["config"], "notes": notes}
    info = save_weights(output, network.fold(), name=name, licence=licence, training=record)
    console.print(f"{info.path}: {info.path.stat().st_size / 1e6:.1f} MB, sha256 {info.sha256}")


def averaged_network(state: dict, *, refine: bool) -> DeepImageMatting:  # type: ignore[type-arg]
    """The averaged (or, without averaging, the live) network of a checkpoint, not yet folded."""
    from vfxmatte.net.dim import DimConfig

    saved = DimConfig(**state["config"]["network"])
    network = DeepImageMatting(DimConfig(**{**saved.as_dict(), "refine": refine and saved.refine}))
    tensors = state["average"] if state["config"]["ema"] else state["network"]
    wanted = network.state_dict().keys()
    network.load_state_dict({k: v for k, v in tensors.items() if k in wanted})
    return network


class _Start:
    """Makes the first weights: from a file, or Xavier and perhaps a VGG-16."""

    def __init__(
        self, encoder_init: Path | None, init_path: Path | None, config: TrainConfig
    ) -> None:
        if encoder_init and init_path:
            raise TrainingError("give --encoder-init or --init, not both")
        self.encoder_init, self.init_path, self.config = encoder_init, init_path, config

    def __call__(self, network: DeepImageMatting, compositor: Compositor) -> DeepImageMatting:
        if self.init_path is not None:
            return self._from_weights(network, compositor, self.init_path)
        if not self.config.network.batch_norm:
            xavier_decoder(network)
        if self.encoder_init is not None:
            for line in load_encoder(network, self.encoder_init):
                console.print(line)
        return network

    def _from_weights(
        self, network: DeepImageMatting, compositor: Compositor, path: Path
    ) -> DeepImageMatting:
        plain, _ = load_weights(path)
        wanted = {**network.config.as_dict(), "batch_norm": False, "refine": plain.config.refine}
        if plain.config.as_dict() != wanted:
            raise TrainingError(
                f"these weights are {plain.config}, the configuration has {network.config}",
                path=path,
            )
        if not network.config.batch_norm:
            network.load_state_dict(plain.state_dict(), strict=False)
            return network
        pictures = torch.cat([compositor.batch(8, seed).input.cpu() for seed in range(4)])
        return unfold(plain, pictures, refine=network.config.refine)


def _pairs(settings: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise TrainingError(f"--set wants KEY=VALUE, found {setting!r}")
        pairs[key] = value
    return pairs


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


class _process_group:
    """Joins the other processes when torchrun started this one."""

    def __init__(self, device: torch.device) -> None:
        self.wanted = int(os.environ.get("WORLD_SIZE", "1")) > 1
        self.backend = "nccl" if device.type == "cuda" else "gloo"

    def __enter__(self) -> None:
        if self.wanted:
            dist.init_process_group(self.backend)

    def __exit__(self, *_: object) -> None:
        if self.wanted:
            dist.destroy_process_group()


def _show(events: Iterator[Event], config: TrainConfig, *, silent: bool) -> None:
    """Print what the trainer tells; a line each, so that logs stay readable."""
    try:
        for event in events:
            if not silent:
                console.print(_line(event, config), highlight=False)
    except KeyboardInterrupt:
        raise VfxmatteError("stopped; the same command goes on from the last checkpoint") from None


def _line(event: Event, config: TrainConfig) -> str:
    if isinstance(event, Progress):
        losses = " ".join(f"{name} {value:.4f}" for name, value in event.losses.items())
        return (
            f"step {event.step}/{config.total_steps} {event.phase}: {losses} lr {event.lr:.2e} "
            f"{event.samples_per_second:.1f} samples/s, making data {event.data_share:.0%}, "
            f"peak {event.peak_memory_bytes / 2**30:.1f} GiB"
        )
    if isinstance(event, Validation):
        best = ", the best so far" if event.best else ""
        return f"validation at step {event.step}: MAD {event.mad:.4f}, MSE {event.mse:.4f}{best}"
    return event
