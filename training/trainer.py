"""The training loop: phases, averaging, validation, checkpoints, recovery.

One step: make a batch on the device from the step's own seed, forward, losses on the unknown
region, backward, clip, Adam, update the average. Every step's randomness follows from the seed
and the step, so that a resumed run goes on as the killed one would have.
"""

from __future__ import annotations

import copy
import csv
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from training.averaging import Averaged
from training.bank import PictureBank
from training.checkpoint import load_checkpoint, save_checkpoint
from training.compose import Batch, Compositor
from training.config import Phase, TrainConfig
from training.losses import loss_terms, masked_mean, total_loss
from training.pack import Pack
from vfxmatte.errors import TrainingError
from vfxmatte.net.dim import DeepImageMatting
from vfxmatte.stream import prefetch

_MOST_ROLLBACKS = 3


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What the trainer reports every `log_every` steps."""

    step: int
    phase: str
    losses: dict[str, float]
    lr: float
    samples_per_second: float
    data_share: float
    peak_memory_bytes: int


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Mean absolute and squared error over the unknown region of the held-out composites."""

    step: int
    mad: float
    mse: float
    best: bool


Event = Progress | Validation | str


class Trainer:
    """Trains one network in one folder; `run()` yields what there is to tell."""

    def __init__(
        self,
        pack: Pack,
        config: TrainConfig,
        folder: Path,
        device: torch.device,
        *,
        start: Callable[[DeepImageMatting, Compositor], DeepImageMatting] | None = None,
    ) -> None:
        self.config, self.folder, self.device = config, folder, device
        self.rank = int(os.environ.get("RANK", "0"))
        self.world = int(os.environ.get("WORLD_SIZE", "1"))
        if config.batch % self.world:
            raise TrainingError(f"batch {config.batch} does not divide over {self.world} devices")
        self.local_batch = config.batch // self.world
        self.micro = config.micro_batch or self.local_batch
        self.compositor = Compositor(PictureBank(pack.training(), device), config.synthesis)
        self.held_out = self._held_out(pack)
        torch.manual_seed(config.seed)
        network = DeepImageMatting(config.network)
        if start is not None:
            network = start(network, self.compositor)
        self.network = network.to(device)
        if config.channels_last:
            self.network = self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = Averaged(self.network, config.ema)
        self.step, self.best, self.salt, self.rollbacks = 0, math.inf, 0, 0
        self.entered = -1
        self.ahead: Iterator[Batch] | None = None
        self.ahead_at = (-1, -1)
        folder.mkdir(parents=True, exist_ok=True)

    # -- state ------------------------------------------------------------------------------

    @property
    def last_path(self) -> Path:
        return self.folder / "last.pt"

    @property
    def best_path(self) -> Path:
        return self.folder / "best.pt"

    def resume(self) -> bool:
        """Continue from the folder's last checkpoint, if there is one."""
        if not self.last_path.is_file():
            return False
        self._restore(load_checkpoint(self.last_path, self.config))
        return True

    def _restore(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.average.network.load_state_dict(state["average"])
        self.average.steps = state["average_steps"]
        self.step, self.best, self.salt = state["step"], state["best"], state["salt"]
        self._enter_phase(state["phase"], fresh=False)
        self.optimiser.load_state_dict(state["optimiser"])
        for group in self.optimiser.param_groups:
            group["fused"] = True

    def _state(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "average": self.average.network.state_dict(),
            "average_steps": self.average.steps,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "phase": self.entered,
            "best": self.best,
            "salt": self.salt,
        }

    # -- phases -----------------------------------------------------------------------------

    def _phase_at(self, step: int) -> tuple[int, int]:
        """Index of the phase that `step` is in, and the step within it."""
        for index, phase in enumerate(self.config.phases):
            if step < phase.steps:
                return index, step
            step -= phase.steps
        raise IndexError(step)

    def _enter_phase(self, index: int, *, fresh: bool) -> None:
        """Freeze, unfreeze, and make the phase's optimiser.

        A later phase goes on from the averaged weights of the one before.
        """
        phase, config = self.config.phases[index], self.config
        if fresh and index > 0 and config.ema:
            self.network.load_state_dict(self.average.network.state_dict())
        trained = set(self._trained(phase))
        for parameter in self.network.parameters():
            parameter.requires_grad_(parameter in trained)
        parameters = [p for p in self.network.parameters() if p in trained]
        if not parameters:
            raise TrainingError(f"phase {phase.name!r} trains nothing: the network has no stage 2")
        make = torch.optim.AdamW if config.optimiser == "adamw" else torch.optim.Adam
        self.optimiser = make(parameters, lr=phase.lr, weight_decay=config.weight_decay, fused=True)
        self.entered = index
        self.forward: nn.Module = self.network
        if config.compile:
            self.forward = torch.compile(self.network)  # type: ignore[assignment]
        if self.world > 1:
            ids = [self.device.index] if self.device.type == "cuda" else None
            self.forward = DistributedDataParallel(self.network, device_ids=ids)

    def _trained(self, phase: Phase) -> Iterator[nn.Parameter]:
        if phase.trains in ("stage1", "all"):
            yield from self.network.stage_parameters(1)
        if phase.trains in ("refinement", "all"):
            yield from self.network.stage_parameters(2)

    def _set_mode(self, phase: Phase) -> None:
        """Frozen parts stay in eval mode, so that their batch-norms do not drift."""
        self.network.train()
        if phase.trains == "refinement":
            self.network.encoder.eval()
            self.network.decoder.eval()

    def learning_rate(self, phase: Phase, step: int) -> float:
        """Linear warm-up, then a cosine from `lr` to `lr · final_lr`; step within the phase."""
        if step < phase.warmup:
            return phase.lr * (step + 1) / phase.warmup
        done = (step - phase.warmup) / max(1, phase.steps - phase.warmup)
        cosine = 0.5 * (1 + math.cos(math.pi * done))
        return phase.lr * (phase.final_lr + (1 - phase.final_lr) * cosine)

    # -- the loop ---------------------------------------------------------------------------

    def run(self, until: int | None = None) -> Iterator[Event]:
        """Train to the end, or to step `until`, yielding progress, validations and messages."""
        try:
            yield from self._run(until)
        finally:
            self.close()

    def _run(self, until: int | None) -> Iterator[Event]:
        config = self.config
        stop = min(config.total_steps, until if until is not None else config.total_steps)
        clock = _Clock(self.device)
        while self.step < stop:
            index, within = self._phase_at(self.step)
            if index != self.entered:
                self._enter_phase(index, fresh=True)
                yield f"phase {config.phases[index].name!r} begins at step {self.step}"
            phase = config.phases[index]
            terms, message = self._guarded_step(phase, within, clock)
            if message:
                yield message
                continue
            self.step += 1
            if self.step % config.log_every == 0:
                yield self._progress(phase, terms, within, clock)
            if self.step % config.validate_every == 0 or self.step == stop:
                yield self._validate()
            if self.step % config.checkpoint_every == 0 or self.step == stop:
                self._save(self.last_path)

    def _guarded_step(
        self, phase: Phase, within: int, clock: _Clock
    ) -> tuple[dict[str, float], str | None]:
        """One step; out of memory and NaN become a message and another try."""
        try:
            terms = self._one_step(phase, within, clock)
        except torch.OutOfMemoryError:
            self.optimiser.zero_grad(set_to_none=True)
            if self.micro <= (2 if self.config.synthesis.moving_pairs else 1):
                raise TrainingError(
                    "out of memory with one sample at a time", hint="choose a smaller crop_px"
                ) from None
            self.micro = max(1, self.micro // 2)
            torch.cuda.empty_cache()
            return {}, f"out of memory: from here {self.micro} samples at a time, accumulated"
        bad = [name for name, value in terms.items() if not math.isfinite(value)]
        if not bad:
            return terms, None
        return {}, self._roll_back(bad)

    def _one_step(self, phase: Phase, within: int, clock: _Clock) -> dict[str, float]:
        config = self.config
        self._set_mode(phase)
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate(phase, within)
        with clock.data():
            batch = self._next_batch()
        self.optimiser.zero_grad(set_to_none=True)
        sums: dict[str, float] = {}
        parts = math.ceil(self.local_batch / self.micro)
        for part in range(parts):
            piece = batch.part(part * self.micro, (part + 1) * self.micro) if parts > 1 else batch
            share = len(piece.image) / self.local_batch
            last = part == parts - 1 or self.world == 1
            with nullcontext() if last else self.forward.no_sync():  # type: ignore[operator]
                loss, terms = self._loss(piece, phase)
                (loss * share).backward()
            for name, value in {**terms, "loss": loss}.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach()) * share
        if not all(math.isfinite(value) for value in sums.values()):
            return sums
        if config.clip_norm:
            trained = [p for p in self.network.parameters() if p.grad is not None]
            sums["gradient"] = float(nn.utils.clip_grad_norm_(trained, config.clip_norm))
            if not math.isfinite(sums["gradient"]):
                return sums
        self.optimiser.step()
        if config.ema:
            self.average.update(self.network)
        clock.samples += config.batch
        return sums

    def _loss(self, batch: Batch, phase: Phase) -> tuple[Tensor, dict[str, Tensor]]:
        config = self.config
        image = batch.input
        if config.channels_last:
            image = image.contiguous(memory_format=torch.channels_last)
        with torch.autocast(
            self.device.type, torch.bfloat16, enabled=config.precision == "bfloat16"
        ):
            output = self.forward(image, refine=phase.trains != "stage1")
        named: dict[str, Tensor] = {}
        losses = []
        if phase.trains != "refinement":
            terms = loss_terms(output.stage1.float(), batch, config.losses)
            losses.append(total_loss(terms, config.losses))
            named.update(terms)
        if output.stage2 is not None:
            terms = loss_terms(output.stage2.float(), batch, config.refinement_losses)
            losses.append(total_loss(terms, config.refinement_losses))
            named.update({f"refined {name}": value for name, value in terms.items()})
        return torch.stack(losses).sum(), named

    def _next_batch(self) -> Batch:
        """This step's batch; on a CPU the next one is made meanwhile, by a thread of its own."""
        if self.device.type != "cpu":
            return self.compositor.batch(self.local_batch, self._seed(self.step))
        key = (self.step, self.salt)
        if self.ahead is None or self.ahead_at != key:
            self.close()
            self.ahead = prefetch(self._batches_from(self.step), depth=1)
        self.ahead_at = (self.step + 1, self.salt)
        return next(self.ahead)

    def _batches_from(self, step: int) -> Iterator[Batch]:
        torch.set_num_threads(1)  # of this thread; the network's own threads keep the cores
        while True:
            yield self.compositor.batch(self.local_batch, self._seed(step))
            step += 1

    def close(self) -> None:
        """Stop making batches ahead."""
        if self.ahead is not None:
            self.ahead.close()  # type: ignore[attr-defined]
            self.ahead = None

    def _seed(self, step: int) -> int:
        """Of one step on this device; another one after a roll-back."""
        seed = self.config.seed * 1_000_003 + step
        return (seed * 64 + self.rank) * 16 + self.salt

    def _roll_back(self, bad: list[str]) -> str:
        self.rollbacks += 1
        if self.rollbacks > _MOST_ROLLBACKS:
            raise TrainingError(
                f"{', '.join(bad)} not finite for the {self.rollbacks}th time at step {self.step}",
                hint="lower the learning rate, or train in float32",
            )
        at = self.step
        if self.last_path.is_file():
            self._restore(load_checkpoint(self.last_path, self.config))
        self.salt = self.rollbacks
        return (
            f"{', '.join(bad)} not finite at step {at}: back to step {self.step}, "
            f"with other samples from here"
        )

    # -- what is told -----------------------------------------------------------------------

    def _progress(
        self, phase: Phase, terms: dict[str, float], within: int, clock: _Clock
    ) -> Progress:
        rate, share = clock.read()
        progress = Progress(
            step=self.step, phase=phase.name, losses=terms,
            lr=self.learning_rate(phase, within), samples_per_second=rate,
            data_share=share, peak_memory_bytes=_peak_memory(self.device),
        )  # fmt: skip
        self._log("log.csv", {"step": self.step, "phase": phase.name, "lr": progress.lr,
                              "loss": terms.get("loss", math.nan), "samples_per_second": rate,
                              "data_share": share})  # fmt: skip
        return progress

    def _held_out(self, pack: Pack) -> list[Batch]:
        """Fixed composites of foregrounds and backgrounds that training never sees."""
        held_out = pack.validation()
        if not held_out.elements or not held_out.backgrounds or not self.config.validation_samples:
            return []
        settings = copy.copy(self.config.synthesis)
        compositor = Compositor(PictureBank(held_out, self.device), settings)
        count = self.config.validation_samples
        sizes = [8] * (count // 8) + ([count % 8] if count % 8 else [])
        return [compositor.batch(size + size % 2, 7_000_000 + n) for n, size in enumerate(sizes)]

    @torch.no_grad()
    def _validate(self) -> Validation:
        network = self.average.network if self.config.ema else copy.deepcopy(self.network).eval()
        index, _ = self._phase_at(max(0, self.step - 1))
        refine = any(p.trains != "stage1" for p in self.config.phases[: index + 1])
        errors = []
        for batch in self.held_out:
            with torch.autocast(
                self.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16"
            ):
                alpha = network(batch.input, refine=refine).alpha.float()
            difference = alpha - batch.alpha
            errors.append((float(masked_mean(difference.abs(), batch.unknown)),
                           float(masked_mean(difference**2, batch.unknown))))  # fmt: skip
        mad, mse = (sum(e) / max(1, len(errors)) for e in zip(*errors, strict=True)) if errors else (
            math.nan, math.nan)  # fmt: skip
        best = mad < self.best
        if best:
            self.best = mad
            self._save(self.best_path)
        self._log("validation.csv", {"step": self.step, "mad": mad, "mse": mse})
        self._picture(network, refine)
        return Validation(step=self.step, mad=mad, mse=mse, best=best)

    def _picture(self, network: nn.Module, refine: bool) -> None:
        if self.rank == 0 and self.held_out:
            from training.picture import save_grid

            batch = self.held_out[0]
            alpha = network(batch.input, refine=refine).alpha.float()
            save_grid(
                self.folder / f"validation.{self.step:07d}.png",
                (batch.image, batch.trimap, batch.alpha, alpha),
            )

    def _log(self, name: str, row: dict[str, object]) -> None:
        if self.rank:
            return
        path = self.folder / name
        new = not path.exists()
        with path.open("a", newline="") as stream:
            writer = csv.DictWriter(stream, list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)

    def _save(self, path: Path) -> None:
        if self.rank == 0:
            save_checkpoint(path, self._state(), self.config)
        if self.world > 1:
            dist.barrier()


class _Clock:
    """Samples per second and the share of the time that making data took, since the last look."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.samples, self.making, self.started = 0, 0.0, time.perf_counter()

    def data(self) -> _Clock:
        return self

    def __enter__(self) -> None:
        self._entered = self._now()

    def __exit__(self, *_: object) -> None:
        self.making += self._now() - self._entered

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def read(self) -> tuple[float, float]:
        spent = max(1e-9, self._now() - self.started)
        rate, share = self.samples / spent, self.making / spent
        self.samples, self.making, self.started = 0, 0.0, time.perf_counter()
        return rate, share


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
