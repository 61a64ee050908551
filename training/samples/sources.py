"""What a training draws from: a pack whose elements are composited, or photographs with mattes."""

from __future__ import annotations

from pathlib import Path

import torch

from training.config import TrainConfig
from training.course.batches import MattedBatches
from training.course.layout import MattedSet, open_matted
from training.elements.pack import Pack, read_pack
from training.samples.bank import PictureBank
from training.samples.compose import Compositor
from training.samples.epochs import Epochs
from training.samples.maker import BatchMaker
from training.samples.priors import WithPriors, threads_beside
from vfxmatte.errors import TrainingError

Library = Pack | MattedSet


def open_library(path: Path, config: TrainConfig) -> Library:
    """The library that the configuration trains on.

    Raises TrainingError where it is not there, damaged, or of the other kind.
    """
    if config.pictures == "matted":
        if path.is_file():
            raise TrainingError(
                f"the recipe {config.recipe} trains on a folder of images and mattes, not on a "
                "pack",
                path=path,
                hint="render such a folder from a pack: vfxmatte-train course-set PACK -o FOLDER",
            )
        return open_matted(path, config.matted)
    if path.is_dir():
        raise TrainingError(
            f"the recipe {config.recipe} trains on a pack, and this is a folder",
            path=path,
            hint="make a pack of it with vfxmatte-train pack; finished photographs with mattes are "
            "for --recipe course",
        )
    return read_pack(path)


def batch_maker(library: Library, config: TrainConfig, device: torch.device) -> BatchMaker:
    """Of a whole library; give it `library.training()` or `library.validation()`."""
    maker: BatchMaker
    if isinstance(library, MattedSet):
        maker = MattedBatches(library, config, device)
    else:
        maker = Compositor(PictureBank(library, device), config.composited)
    if not config.network.prior:
        return maker
    return WithPriors(
        maker,
        missing=config.prior_missing,
        threads=threads_beside(device),
        crop_px=config.synthesis.crop_px if config.prior_context_px else None,
        crops=config.prior_crops,
    )


def epochs_of(library: Library, config: TrainConfig) -> Epochs:
    """In which order a library's training part is gone through."""
    seen = library.training()
    if isinstance(seen, MattedSet):
        return Epochs(len(seen.files), 1, 1, config.seed)
    each = config.backgrounds_per_foreground
    return Epochs(len(seen.elements), len(seen.backgrounds), each, config.seed)


def in_words(library: Library) -> str:
    """For the screen."""
    seen = library.training()
    if isinstance(seen, MattedSet):
        return f"{len(seen.files)} pictures, {len(library.held_out)} pictures held out"
    return (
        f"{len(seen.elements)} foregrounds, {len(seen.backgrounds)} backgrounds, "
        f"{len(library.held_out)} foregrounds held out"
    )
