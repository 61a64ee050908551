"""Training of automatic portrait matting: the labels first, then end to end through the layer.

Each batch follows from (seed, step). The averaged weights are measured and written.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from training.elements.pack import Pack
from training.portraits.config import PortraitTraining
from training.portraits.losses import alpha_loss, label_loss, rarity
from training.portraits.measure import Measured, measure
from training.portraits.scenes import PortraitCompositor, labels_of
from training.samples.bank import PictureBank
from training.samples.compose import Batch
from vfxmatte.errors import SolveError, TrainingError
from vfxmatte.keyframes.portrait_network import PortraitMatting
from vfxmatte.keyframes.shape_mask import fit, mean_matte, placed

PORTRAIT = "portrait"
"""The kind of elements that is trained on by default."""

_LIKE_PORTRAITS = ("long_hair",)  # never behind a portrait, as nothing distinguishes the two
_RARITY_BATCHES = 24
_HELD_OUT_BATCH = 8
_HELD_OUT_SEED = 7_000_000
_UNSOLVED_SHARE = 0.05  # of the second part's batches; more of them are an error
_LAYER_RATE = 20  # learning rate of the layer's one weight over that of the labels
_WARMUP = 50  # steps, or fewer in a short part


@dataclass(frozen=True, kw_only=True)
class Step:
    """A report every `log_every` steps and at the end of each part."""

    number: int
    part: str
    loss: float
    """Mean since the last report."""
    weight: float
    """The matting layer's weight of the labels."""
    unsolved: int = 0
    """Batches so far that the matting layer could not solve and that were left out."""
    measured: Measured | None = None
    """Errors on held-out pictures, every `validate_every` steps and at the end of each part."""


def portraits_of(pack: Pack, kind: str | None) -> tuple[Pack, Pack]:
    """Return the elements of a kind, and those that may stand behind them.

    Args:
        pack: the library.
        kind: None is `portrait`, or all elements if none is of that kind.

    Raises:
        TrainingError: there are no elements of the kind.
    """
    kinds = {element.kind for element in pack.elements}
    target = kind or (PORTRAIT if PORTRAIT in kinds else None)
    chosen = tuple(e for e in pack.elements if target in (None, e.kind))
    if not chosen:
        raise TrainingError(
            f"no foreground is a {kind!r}; there are {', '.join(sorted(kinds)) or 'none'}",
            hint="give another --kind",
        )
    apart = tuple(
        e for e in pack.elements if target not in (None, e.kind) and e.kind not in _LIKE_PORTRAITS
    )
    return _only(pack, chosen), _only(pack, apart)


class PortraitTrainer:
    """The training of one network on a pack; `run` yields its steps."""

    def __init__(
        self,
        pack: Pack,
        config: PortraitTraining,
        device: torch.device,
        *,
        kind: str | None = None,
        start: PortraitMatting | None = None,
    ) -> None:
        """Prepare a training; `start` is a folded network to continue from, with its shape."""
        if start is not None:
            config = replace(config, network=start.config)
        self.config, self.device, self.unsolved = config, device, 0
        torch.manual_seed(config.seed)
        chosen, others = portraits_of(pack, kind)
        self.compositor = _compositor(chosen.training(), others.training(), config, device)
        self.network = (start or PortraitMatting(config.network)).to(device)
        if start is None:
            self.network.mean_matte.copy_(_mean_of(self.compositor.bank))
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.held_out = self._held_out(chosen, others)
        self.weights = torch.ones(1)

    def run(self) -> Iterator[Step]:
        """Train both parts, yielding a report every `log_every` steps."""
        self.weights = self._rarity().to(self.device)
        yield from self._part("labels", 0, self.config.label_steps, self._label_loss)
        yield from self._part("together", self.config.label_steps, self.config.joint_steps,
                              self._joint_loss)  # fmt: skip

    def finished(self) -> PortraitMatting:
        """Return a copy of the averaged network, folded, on the CPU."""
        return copy.deepcopy(self.average).cpu().fold()

    def measured(self) -> Measured | None:
        """Measure the averaged network; returns None if nothing is held out."""
        return measure(self.average, self.held_out) if self.held_out else None

    # -- one part ----------------------------------------------------------------------------

    def _part(
        self, name: str, first: int, steps: int, loss_of: Callable[[Batch, Tensor], Tensor]
    ) -> Iterator[Step]:
        lr = self.config.lr if name == "labels" else self.config.joint_lr
        optimiser = self._optimiser(lr)
        base = [group["lr"] for group in optimiser.param_groups]
        losses: list[float] = []
        for step in range(steps):
            for group, peak in zip(optimiser.param_groups, base, strict=True):
                group["lr"] = peak * _schedule(step, steps)
            losses.append(self._step(first + step, optimiser, loss_of))
            self._update_average()
            logged, last = (step + 1) % self.config.log_every == 0, step + 1 == steps
            if logged or last:
                due = last or (step + 1) % self.config.validate_every == 0
                yield Step(
                    number=first + step + 1, part=name,
                    loss=_mean(losses), weight=float(self.network.layer.log_weight.detach().exp()),
                    unsolved=self.unsolved,
                    measured=self.measured() if due else None,
                )  # fmt: skip
                losses.clear()

    def _step(
        self,
        number: int,
        optimiser: torch.optim.Optimizer,
        loss_of: Callable[[Batch, Tensor], Tensor],
    ) -> float:
        batch = self.compositor.samples(self.config.batch, 1000 * self.config.seed + number)
        self.network.train()
        optimiser.zero_grad(set_to_none=True)
        try:
            loss = loss_of(batch, self._masks(batch, number))
            if not bool(loss.isfinite()):
                raise TrainingError(f"the loss is {float(loss.detach())} at step {number}")
            loss.backward()  # type: ignore[no-untyped-call]
        except SolveError as error:
            self._count_unsolved(number, error)
            return math.nan
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        optimiser.step()
        return float(loss.detach())

    def _count_unsolved(self, number: int, error: SolveError) -> None:
        """Count a batch that the layer cannot solve; raises TrainingError for too many."""
        self.unsolved += 1
        if self.unsolved > max(3, _UNSOLVED_SHARE * self.config.joint_steps):
            raise TrainingError(
                f"{self.unsolved} batches could not be solved, the last at step {number}: "
                f"{error.what}",
                hint="a larger network.epsilon makes the systems easier",
            ) from error

    def _label_loss(self, batch: Batch, mask: Tensor) -> Tensor:
        scores = self.network.labels(batch.image, mask)
        return label_loss(scores, labels_of(batch.alpha, self.config.band_px))

    def _joint_loss(self, batch: Batch, mask: Tensor) -> Tensor:
        scores, alpha = self.network(batch.image, mask)
        labels = label_loss(scores, labels_of(batch.alpha, self.config.band_px))
        return alpha_loss(alpha, batch.alpha, self.weights) + self.config.label_loss * labels

    def _masks(self, batch: Batch, number: int) -> Tensor:
        """Draw shape masks near the truth, anywhere in empty scenes, some left out."""
        c, count = self.config, len(batch.alpha)
        rng = torch.Generator(self.device).manual_seed(c.seed + 31 * number)
        pose = fit(self.network.mean_matte, batch.alpha)
        shift = torch.randn(pose.shape, generator=rng, device=self.device)
        empty = batch.alpha.amax((1, 2, 3)) < 0.5
        anywhere = pose.new_tensor((0, 0, -0.3, -0.3, 0)) + 0.3 * shift
        pose = torch.where(empty[:, None], anywhere, pose + c.mask_jitter * shift)
        present = torch.rand((count, 1, 1, 1), generator=rng, device=self.device) >= c.maskless
        return placed(self.network.mean_matte, pose, batch.alpha) * present

    def _optimiser(self, lr: float) -> torch.optim.Optimizer:
        layer = list(self.network.layer.parameters())
        groups = [
            {"params": self.network.labels.parameters(), "lr": lr},
            {"params": layer, "lr": _LAYER_RATE * lr, "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, weight_decay=self.config.weight_decay)

    @torch.no_grad()
    def _update_average(self) -> None:
        """Move the average towards the live network, and copy the buffers."""
        for mean, live in zip(self.average.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(live, 1 - self.config.ema)
        for copied, buffer in zip(self.average.buffers(), self.network.buffers(), strict=True):
            copied.copy_(buffer)

    # -- measuring -----------------------------------------------------------------------------

    def _rarity(self) -> Tensor:
        seeds = range(_HELD_OUT_SEED // 2, _HELD_OUT_SEED // 2 + _RARITY_BATCHES)
        return rarity(self.compositor.samples(self.config.batch, s).alpha for s in seeds)

    def _held_out(self, chosen: Pack, others: Pack) -> list[Batch]:
        """Make fixed scenes with a portrait each; none if the pack holds nothing out."""
        seen = chosen.validation()
        if not seen.elements or not self.config.validation:
            return []
        config = replace(self.config, empty=0.0, gamma=0.0)
        compositor = _compositor(seen, others.validation(), config, self.device)
        count = self.config.validation
        starts = range(0, count, _HELD_OUT_BATCH)
        sizes = [min(_HELD_OUT_BATCH, count - start) for start in starts]
        return [compositor.samples(size, _HELD_OUT_SEED + n) for n, size in enumerate(sizes)]


def _compositor(
    chosen: Pack, others: Pack, config: PortraitTraining, device: torch.device
) -> PortraitCompositor:
    behind = PictureBank(others, device) if others.elements else None
    return PortraitCompositor(PictureBank(chosen, device), config, behind)


def _mean_of(bank: PictureBank) -> Tensor:
    mattes = [f.premultiplied[None, 3:].float() for f in bank.foregrounds]
    return mean_matte(torch.cat([F.interpolate(m, (64, 64), mode="area") for m in mattes]))


def _only(pack: Pack, elements: tuple[Any, ...]) -> Pack:
    names = {element.name for element in elements}
    return replace(pack, elements=elements, held_out=frozenset(pack.held_out & names))


def _mean(losses: list[float]) -> float:
    solved = [loss for loss in losses if not math.isnan(loss)]
    return sum(solved) / len(solved) if solved else math.nan


def _schedule(step: int, steps: int) -> float:
    warmup = min(_WARMUP, steps // 5 + 1)
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
