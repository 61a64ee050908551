"""Training of the light network on stores of composites: cycles, averaging, checkpoints.

A cycle is a cosine from its learning rate to nearly nothing; each begins from the best averaged
weights so far. A run may be killed at any moment and goes on from its last checkpoint.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from training.light.losses import LightLosses, light_terms, weighted
from training.light.validation import Errors, Picture, pictures_digest, validate_light
from training.loop.checkpoint import read_checkpoint, save_state
from training.loop.logbook import ERRORS, LOSSES, Logbook
from training.samples.store_crops import CropBatch, CropConfig, CropSource
from vfxmatte.errors import TrainingError
from vfxmatte.network.light import PRIORS, STRIDE, LightConfig, LightMatting

Trained = Literal["stage1", "refinement", "all"]
_CPU = torch.device("cpu")
_PICTURE = 4 + PRIORS  # channels of the input that stage 2 sees


@dataclass(frozen=True, kw_only=True)
class Cycle:
    """One cosine."""

    steps: int = 1000
    lr: float = 1e-3
    final_lr: float = 0.02
    """Share of `lr` that is left at the end."""
    warmup: int = 50
    batch: int = 8
    side_px: int = 256
    sides_px: tuple[int, ...] = ()
    """Sides that batches have in turn, `side_px` if there are none; smaller crops are as many more
    as make the same number of pixels."""
    trains: Trained = "stage1"
    frozen_norms: bool = False
    """Whether batch-norms keep the statistics that they have."""

    def __post_init__(self) -> None:
        least = STRIDE if self.trains == "stage1" else 2 * STRIDE  # stage 1 may see half the size
        for side in (self.side_px, *self.sides_px):
            if side < least or side % least:
                raise TrainingError(f"side_px must be a multiple of {least}, found {side}")
        if self.steps < 1 or self.batch < 1:
            raise TrainingError("steps and batch must be 1 or more")

    def crops_at(self, step: int) -> tuple[int, int]:
        """Return the number of crops of a step, and their side in px."""
        side = self.sides_px[step % len(self.sides_px)] if self.sides_px else self.side_px
        return max(1, round(self.batch * self.side_px**2 / side**2)), side

    def learning_rate(self, within: int) -> float:
        """The rate of a step of this cycle, counted from 0."""
        if within < self.warmup:
            return self.lr * (within + 1) / self.warmup
        share = (within - self.warmup) / max(1, self.steps - self.warmup)
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
        return self.lr * (self.final_lr + (1 - self.final_lr) * cosine)


@dataclass(frozen=True, kw_only=True)
class LightTraining:
    """A run's settings."""

    network: LightConfig = field(default_factory=LightConfig)
    losses: LightLosses = field(default_factory=LightLosses)
    crops: CropConfig = field(default_factory=CropConfig)
    cycles: tuple[Cycle, ...] = (Cycle(),)
    seed: int = 1
    ema: float = 0.998
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    precision: Literal["float32", "bfloat16"] = "float32"
    compile: bool = False
    """Whether torch compiles the network, which takes a C++ compiler and half a minute for each
    size: a sixth less time a step on a processor."""
    log_every: int = 20
    validate_every: int = 250
    checkpoint_every: int = 25

    def cycle_at(self, step: int) -> tuple[int, int]:
        """Return the number of the cycle that a step lies in, and the step's number within it."""
        for number, cycle in enumerate(self.cycles):
            if step < cycle.steps:
                return number, step
            step -= cycle.steps
        return len(self.cycles) - 1, self.cycles[-1].steps

    @property
    def total_steps(self) -> int:
        return sum(cycle.steps for cycle in self.cycles)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def score(errors: dict[str, Errors]) -> float:
    """Return SAD as a share of the priors' mean, averaged over the groups; the least is best."""
    if not errors:
        return math.inf
    return sum(one.ratio for one in errors.values()) / len(errors)


class LightTrainer:
    """Trains in one folder; `run` yields lines to show."""

    def __init__(self, crops: CropSource, config: LightTraining, folder: Path,
                 pictures: Sequence[Picture], device: torch.device = _CPU) -> None:  # fmt: skip
        self.crops, self.config, self.folder = crops, config, folder
        self.device = device
        self.pictures = tuple(pictures)
        self.validated_on = pictures_digest(pictures)
        self.is_comparable = True  # with errors from before it was resumed
        torch.manual_seed(config.seed)
        network = LightMatting(config.network)
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network: LightMatting = network.to(device)
        self._forward = torch.compile(self.network) if config.compile else self.network
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.averaged, self.step, self.entered = 0, 0, -1
        self.best, self.reference = math.inf, dict[str, Errors]()
        folder.mkdir(parents=True, exist_ok=True)
        self.logbook = Logbook(folder)
        self.optimiser: torch.optim.Optimizer

    # -- state ------------------------------------------------------------------------------

    @property
    def last_path(self) -> Path:
        return self.folder / "last.pt"

    @property
    def best_path(self) -> Path:
        return self.folder / "best.pt"

    def _state(self) -> dict[str, Any]:
        return {
            "config": self.config.as_dict(),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "averaged": self.averaged,
            "optimiser": self.optimiser.state_dict() if self.entered >= 0 else {},
            "step": self.step,
            "entered": self.entered,
            "best": self.best,
            "validated_on": self.validated_on,
            "reference": {group: asdict(errors) for group, errors in self.reference.items()},
        }

    def _save(self, path: Path) -> None:
        save_state(path, self._state())

    def resume(self) -> bool:
        """Go on from the last checkpoint, if there is one."""
        if not self.last_path.is_file():
            return False
        state = read_checkpoint(self.last_path)
        load_fitting(self.network, state["network"], self.last_path)
        load_fitting(self.average, state["average"], self.last_path)
        self.averaged, self.step, self.best = state["averaged"], state["step"], state["best"]
        self.reference = {group: Errors(**one) for group, one in state["reference"].items()}
        self.is_comparable = state.get("validated_on", self.validated_on) == self.validated_on
        if not self.is_comparable:
            self.best, self.reference = math.inf, {}
        number, _ = self.config.cycle_at(self.step)
        if number == state["entered"]:
            self._begin_optimiser(number)
            self.optimiser.load_state_dict(state["optimiser"])
        self.logbook.cut_back(self.step)
        return True

    # -- cycles -----------------------------------------------------------------------------

    def _enter(self, number: int) -> str:
        """Begin a cycle from the best averaged weights."""
        if number > 0 and self.best_path.is_file():
            best = read_checkpoint(self.best_path)["average"]
            load_fitting(self.network, best, self.best_path)
            load_fitting(self.average, best, self.best_path)
            self.averaged = 0
        self._begin_optimiser(number)
        cycle = self.config.cycles[number]
        if cycle.trains != self.config.cycles[max(0, number - 1)].trains:
            self.best = math.inf  # measured with the other stage's alpha
        return f"cycle {number} begins at step {self.step}: {cycle}"

    def _begin_optimiser(self, number: int) -> None:
        cycle, chosen = self.config.cycles[number], set[nn.Parameter]()
        if cycle.trains in ("stage1", "all"):
            chosen |= set(self.network.stage_parameters(1))
        if cycle.trains in ("refinement", "all"):
            chosen |= set(self.network.stage_parameters(2))
        for parameter in self.network.parameters():
            parameter.requires_grad_(parameter in chosen)
        parameters = [p for p in self.network.parameters() if p in chosen]
        decayed = [p for p in parameters if p.ndim > 1]
        plain = [p for p in parameters if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": self.config.weight_decay},
                  {"params": plain, "weight_decay": 0.0}]  # fmt: skip
        self.optimiser = torch.optim.AdamW(groups, lr=cycle.lr, fused=True)
        self.entered = number

    def _set_mode(self, cycle: Cycle) -> None:
        self.network.train()
        if cycle.frozen_norms or cycle.trains == "refinement":
            freeze_norms(self.network)

    # -- the loop ---------------------------------------------------------------------------

    def run(self, until: int | None = None) -> Iterator[str]:
        """Train to the end, or to step `until`."""
        stop = min(self.config.total_steps, until or self.config.total_steps)
        if not self.is_comparable:
            yield "other pictures to validate on than before: the best is chosen anew"
        if not self.reference:
            yield self._first_validation()
        sums: dict[str, float] = {}
        while self.step < stop:
            number, within = self.config.cycle_at(self.step)
            if number != self.entered:
                yield self._enter(number)
            for name, value in self._one_step(self.config.cycles[number], within).items():
                sums[name] = sums.get(name, 0.0) + value
            self.step += 1
            if self.step % self.config.log_every == 0:
                yield self._progress(sums)
                sums = {}
            ends = within + 1 == self.config.cycles[number].steps
            if self.step % self.config.validate_every == 0 or ends:
                yield self._validate(self.config.cycles[number])
            if self.step % self.config.checkpoint_every == 0 or ends or self.step == stop:
                self._save(self.last_path)

    def _one_step(self, cycle: Cycle, within: int) -> dict[str, float]:
        count, side = cycle.crops_at(self.step)
        self.crops.config = replace(self.crops.config, side_px=side)
        self._set_mode(cycle)
        for group in self.optimiser.param_groups:
            group["lr"] = cycle.learning_rate(within)
        batch = self.crops.batch(count, (self.config.seed, self.step))
        self.optimiser.zero_grad(set_to_none=True)
        loss, values = self._loss(batch, cycle)
        loss.backward()  # type: ignore[no-untyped-call]
        trained = [p for p in self.network.parameters() if p.grad is not None]
        values["gradient_norm"] = float(nn.utils.clip_grad_norm_(trained, self.config.clip_norm))
        if not all(math.isfinite(value) for value in values.values()):
            return {"skipped": 1.0}
        self.optimiser.step()
        self._update_average()
        return values

    def _loss(self, batch: CropBatch, cycle: Cycle) -> tuple[Tensor, dict[str, float]]:
        low = self.config.precision == "bfloat16"
        x, picture = batch.input, batch.input[:, :_PICTURE]
        if cycle.trains != "stage1" and self.step % 3:
            x = reduced_input(x)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=low):
            output = self._forward(x, refine=cycle.trains != "stage1", picture=picture)
        losses, values = [], dict[str, float]()
        if cycle.trains != "refinement":
            terms = light_terms(output.stage1.float(), output.log_error.float(),
                                batch.alpha, batch.unknown)  # fmt: skip
            losses.append(weighted(terms, self.config.losses))
            values |= {name: float(value.detach()) for name, value in terms.items()}
        if output.stage2 is not None:
            terms = light_terms(output.stage2.float(), None, batch.alpha, batch.unknown)
            losses.append(weighted(terms, self.config.losses))
            values |= {f"refined_{name}": float(value.detach()) for name, value in terms.items()}
        return torch.stack(losses).sum(), values

    @torch.no_grad()
    def _update_average(self) -> None:
        self.averaged += 1
        decay = min(self.config.ema, (1 + self.averaged) / (10 + self.averaged))
        means, live = self.average.state_dict(), self.network.state_dict()
        floating = [name for name, mean in means.items() if mean.is_floating_point()]
        mix = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        mix([means[name] for name in floating], [live[name] for name in floating], 0)
        for name in means.keys() - set(floating):
            means[name].copy_(live[name])

    # -- what is told -----------------------------------------------------------------------

    def _progress(self, sums: dict[str, float]) -> str:
        count = self.crops.refresh()
        means = {name: value / self.config.log_every for name, value in sums.items()}
        self.logbook.append(LOSSES, {"step": self.step, "composites": count, **means})
        losses = " ".join(f"{name} {value:.4f}" for name, value in means.items())
        rate = self.optimiser.param_groups[0]["lr"]
        return f"step {self.step} lr {rate:.1e} composites {count} {losses}"

    def _first_validation(self) -> str:
        """Validate the untrained network, whose alpha is the mean of the priors."""
        with torch.random.fork_rng(devices=[]):
            untrained = LightMatting(self.config.network).to(self.device)
        self.reference = validate_light(untrained, self.pictures, refine=False)
        return f"step 0, the mean of the priors: {_in_words(self.reference)}"

    def _validate(self, cycle: Cycle) -> str:
        errors = validate_light(self.average, self.pictures, refine=cycle.trains != "stage1")
        reached = score(errors)
        row: dict[str, float] = {"step": self.step, "score": reached}
        for group, one in errors.items():
            row |= {f"{group}_{name}": value for name, value in asdict(one).items()}
        self.logbook.append(ERRORS, row)
        better = reached < self.best
        if better:
            self.best = reached
            self._save(self.best_path)
        return (
            f"step {self.step} score {reached:.4f}{' best' if better else ''}: {_in_words(errors)}"
        )


def freeze_norms(network: nn.Module) -> None:
    """Batch-norms use and keep their running statistics, so that small batches train well."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def reduced_input(x: Tensor) -> Tensor:
    """Stage 1's input at half the size, as large frames give it.

    The trimap stays unknown where any pixel is; distances halve, so their Gaussians' fourth root
    is taken.
    """
    half = nn.functional.avg_pool2d(x, 2)
    trimap = half[:, 3:4]
    certain = (trimap == 0) | (trimap == 1)
    return torch.cat((half[:, :3], torch.where(certain, trimap, 0.5), half[:, 4:_PICTURE],
                      half[:, _PICTURE:].pow(0.25)), 1)  # fmt: skip


def load_fitting(network: LightMatting, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Load a state of a checkpoint; parts that it lacks (a guided enlarger) stay as they are.

    Raises:
        TrainingError: it is of another network.
    """
    own = network.state_dict()
    misfits = [n for n, one in tensors.items() if n not in own or own[n].shape != one.shape]
    misfits += [name for name in own if name not in tensors and ".by_" not in name]
    if misfits:
        raise TrainingError(
            f"the checkpoint is of another network: {', '.join(misfits[:4])}",
            path=path,
            hint="resume with the configuration that began the run, or choose another folder",
        )
    network.load_state_dict(dict(tensors), strict=False)


def _in_words(errors: dict[str, Errors]) -> str:
    return ", ".join(
        f"{group} {one.sad:.3f} / {one.mse:.4f} (ratio {one.ratio:.3f}, r {one.off:.2f})"
        for group, one in errors.items()
    )
