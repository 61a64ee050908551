"""The course recipe: its configuration, and the library that it trains on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from training.config import Phase, TrainConfig
from training.course.layout import open_matted
from training.course.settings import MattedConfig
from training.course.source import PhotographSource
from training.losses import LossWeights
from training.samples.synthesis import SynthesisConfig
from vfxmatte.errors import TrainingError
from vfxmatte.network.course import CourseConfig


@dataclass(frozen=True, kw_only=True)
class CourseTraining(TrainConfig):
    """The full configuration of a training run on photographs with mattes.

    Of the synthesis it takes the bands of the trimaps alone. Each photograph comes once in an
    epoch.
    """

    network: CourseConfig = field(default_factory=lambda: CourseConfig(batch_norm=True, skips=True))
    matted: MattedConfig = field(default_factory=MattedConfig)
    """Which photographs are used, and how."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.losses.composition or self.refinement_losses.composition:
            raise TrainingError(
                "the composition loss needs the true foreground and background, and finished "
                "photographs have none",
                hint="set losses.composition and refinement_losses.composition to 0",
            )
        if self.synthesis.moving_pairs:
            raise TrainingError("photographs have no next frame: moving_pairs must be off")
        if self.prior_context_px:
            raise TrainingError("prior_context_px is for composites, and photographs are none")


def course_recipe() -> CourseTraining:
    """Create the student project's recipe: stage 1 alone, on 600×800 portraits with mattes.

    It has the alpha prediction loss, batches of 64, a constant rate of 0.01 and ten epochs. What
    its report leaves open is chosen here: SGD with momentum, bands of 5 to 25 px, turns of 15°.
    """
    return CourseTraining(
        recipe="course",
        network=CourseConfig(),
        synthesis=SynthesisConfig(band_px=(5, 25)),
        losses=LossWeights(alpha=1.0, composition=0.0, l1=0.0, laplacian=0.0),
        phases=(Phase(name="stage 1", trains="stage1", epochs=10, lr=0.01, final_lr=1.0),),
        optimiser="sgd", weight_decay=0.0, clip_norm=0.0, batch=64, micro_batch=4, ema=0.0,
        precision="float32", order="epoch", backgrounds_per_foreground=1,
        log_every=5, validate_every=50, checkpoint_every=50,
    )  # fmt: skip


def open_photographs(path: Path, config: TrainConfig) -> PhotographSource:
    """Open a folder of photographs with mattes.

    Raises:
        TrainingError: the path is a file, or the folder is not as `open_matted` expects it.
    """
    if not isinstance(config, CourseTraining):
        raise TrainingError(f"the recipe {config.recipe} is not for photographs", path=path)
    if path.is_file():
        raise TrainingError(
            f"the recipe {config.recipe} trains on a folder of images and mattes, not on a pack",
            path=path,
            hint="render such a folder from a pack: vfxmatte-train course-set PACK -o FOLDER",
        )
    return PhotographSource(open_matted(path, config.matted), config.matted)
