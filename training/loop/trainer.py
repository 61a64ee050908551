"""The training loop: phases, averaging, validation, checkpoints, recovery.

One step: make a batch on the device from the step's own seed, forward, losses on the unknown
region, backward, clip, optimiser, update the average. Every step's randomness follows from the
seed and the step, so that a resumed run continues as the killed one would have.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training.config import Phase, TrainConfig
from training.loop.averaging import Averaged
from training.loop.checkpoint import load_checkpoint, save_checkpoint
from training.loop.clock import Clock, peak_memory
from training.loop.curve import draw_curve
from training.loop.events import Event, Progress, Validation
from training.loop.group import Group
from training.loop.held_out import HeldOut, held_out_digest
from training.loop.logbook import ERRORS, LOSSES, Logbook
from training.losses import loss_terms, total_loss
from training.samples.compose import Batch
from training.samples.maker import BatchMaker
from training.samples.sources import Source
from vfxmatte.common.parallel import prefetch
from vfxmatte.errors import TrainingError
from vfxmatte.network.dim import DeepImageMatting

_MOMENTUM = 0.9  # of SGD
_MAX_ROLLBACKS = 3  # without a new checkpoint in between


class Trainer:
    """The training of one network in one folder; `run` yields its events."""

    def __init__(
        self,
        source: Source,
        config: TrainConfig,
        folder: Path,
        device: torch.device,
        *,
        start: Callable[[DeepImageMatting, BatchMaker], DeepImageMatting] | None = None,
    ) -> None:
        self.epochs = source.epochs(config) if config.order == "epoch" else None
        if self.epochs is not None:
            config = config.in_steps(len(self.epochs))
        self.config, self.folder, self.device = config, folder, device
        self.group = Group(device)
        self.local_batch = self.group.share_of(config.batch)
        self.micro = self._first_micro()
        self.compositor = source.batches(config, device)
        self.held_out = HeldOut(source.held_out_batches(config, device), config.precision, device)
        self.library, self.held_out_digest = str(source), held_out_digest(source)
        self.network = self._first_network(start)
        self.average = Averaged(self.network, config.ema)
        self.step, self.best, self.salt, self.rollbacks = 0, math.inf, 0, 0
        self.entered = -1
        self.ahead: Iterator[Batch] | None = None
        self.ahead_at = (-1, -1)
        self.logbook = Logbook(folder)
        folder.mkdir(parents=True, exist_ok=True)

    # -- the beginning ----------------------------------------------------------------------

    def _first_micro(self) -> int:
        """Return the samples at a time; even with moving pairs, so that pairs stay together."""
        micro = min(self.config.micro_batch or self.local_batch, self.local_batch)
        if not self.config.synthesis.moving_pairs:
            return micro
        if self.local_batch % 2:
            raise TrainingError(f"moving pairs need an even batch, found {self.local_batch}")
        return max(2, micro - micro % 2)

    def _first_network(
        self, start: Callable[[DeepImageMatting, BatchMaker], DeepImageMatting] | None
    ) -> DeepImageMatting:
        torch.manual_seed(self.config.seed)
        network = self.config.network.build()
        if start is not None:
            network = start(network, self.compositor)
        network = self.group.prepare(network).to(self.device)
        if self.config.channels_last:
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network

    # -- state ------------------------------------------------------------------------------

    @property
    def last_path(self) -> Path:
        """The newest checkpoint."""
        return self.folder / "last.pt"

    @property
    def best_path(self) -> Path:
        """The checkpoint with the smallest validation error."""
        return self.folder / "best.pt"

    def resume(self) -> bool:
        """Load the folder's last checkpoint; returns False if there is none.

        Raises:
            TrainingError: it is damaged, of another architecture, or of another library.
        """
        state = None
        if self.group.is_first and self.last_path.is_file():
            state = load_checkpoint(self.last_path, self.config)
        state = self.group.from_first(state)
        if state is None:
            return False
        self._check_library(state)
        self._restore(state)
        return True

    def _check_library(self, state: dict[str, Any]) -> None:
        """Refuse another held-out part; checkpoints of earlier versions do not name theirs."""
        if state.get("held_out", self.held_out_digest) != self.held_out_digest:
            raise TrainingError(
                "the run was begun with another pack: this one holds out other pictures "
                f"({self.library})",
                path=self.folder,
                hint="resume with the pack that it was begun with, or choose another folder",
            )

    def _restore(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.average.network.load_state_dict(state["average"])
        self.average.steps = state["average_steps"]
        self.step, self.best, self.salt = state["step"], state["best"], state["salt"]
        self._enter_phase(state["phase"], fresh=False)
        self.optimiser.load_state_dict(state["optimiser"])
        for group in self.optimiser.param_groups:
            group |= {"fused": True, "weight_decay": self.config.weight_decay}
        if self.group.is_first:
            self.logbook.cut_back(self.step)

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
            "held_out": self.held_out_digest,
        }

    # -- phases -----------------------------------------------------------------------------

    def _enter_phase(self, index: int, *, fresh: bool) -> None:
        """Freeze, unfreeze, and create the phase's optimiser.

        A later phase starts from the averaged weights of the one before.
        """
        phase, config = self.config.phases[index], self.config
        if fresh and index > 0 and config.ema:
            self.network.load_state_dict(self.average.network.state_dict())
        self.forward: nn.Module = self.network
        self.network.zero_grad(set_to_none=True)  # frozen gradients must not count when clipping
        trained = set(self._trained(phase))
        for parameter in self.network.parameters():
            parameter.requires_grad_(parameter in trained)
        parameters = [p for p in self.network.parameters() if p in trained]
        self.optimiser = _optimiser(parameters, phase, config)
        self.entered = index
        self.forward = self.group.wrap(self.network)
        if config.compile:
            self.forward = torch.compile(self.forward)  # type: ignore[assignment]

    def _trained(self, phase: Phase) -> Iterator[nn.Parameter]:
        if phase.trains in ("stage1", "all"):
            yield from self.network.stage_parameters(1)
        if phase.trains in ("refinement", "all"):
            yield from self.network.stage_parameters(2)

    def _set_mode(self, phase: Phase) -> None:
        """Keep frozen parts in eval mode, so that their batch-norms do not drift."""
        self.network.train()
        if phase.trains == "refinement":
            self.network.encoder.eval()
            self.network.decoder.eval()

    # -- the loop ---------------------------------------------------------------------------

    def run(self, until: int | None = None) -> Iterator[Event]:
        """Train to the end, or to step `until`, yielding progress, validations and messages."""
        try:
            yield from self._steps(until)
        finally:
            self.close()

    def _steps(self, until: int | None) -> Iterator[Event]:
        config = self.config
        stop = min(config.total_steps, until if until is not None else config.total_steps)
        clock = Clock(self.device)
        while self.step < stop:
            index, within = config.phase_at(self.step)
            if index != self.entered:
                self._enter_phase(index, fresh=True)
                yield f"phase {config.phases[index].name!r} begins at step {self.step}"
                if self.step == 0:
                    self._save(self.last_path)  # so that there is something to roll back to
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
                self.rollbacks = 0

    def _guarded_step(
        self, phase: Phase, within: int, clock: Clock
    ) -> tuple[dict[str, float], str | None]:
        """Do one step; out of memory and NaN become a message and another attempt."""
        try:
            terms = self._one_step(phase, within, clock)
        except torch.OutOfMemoryError:
            self.optimiser.zero_grad(set_to_none=True)
            return {}, self._take_less()
        bad = [name for name, value in terms.items() if not math.isfinite(value)]
        return (terms, None) if not bad else ({}, self._roll_back(bad))

    def _take_less(self) -> str:
        """Halve the samples at a time; the optimiser's batch stays."""
        if self.group.size > 1:  # the others wait in the middle of the step
            raise TrainingError(
                f"out of memory with {self.micro} samples at a time on each device",
                hint=f"resume with --set micro_batch={max(1, self.micro // 2)}",
            )
        least = 2 if self.config.synthesis.moving_pairs else 1
        if self.micro <= least:
            raise TrainingError(
                f"out of memory with {least} at a time",
                hint="choose a smaller synthesis.crop_px, batch or network.width",
            )
        half = self.micro // 2
        self.micro = max(least, half - half % least)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return f"out of memory: from here {self.micro} samples at a time, gradients accumulated"

    def _one_step(self, phase: Phase, within: int, clock: Clock) -> dict[str, float]:
        """Do a step; returns its losses by name. Weights move only if all of them are finite."""
        config = self.config
        self._set_mode(phase)
        for group in self.optimiser.param_groups:
            group["lr"] = phase.learning_rate(within)
        with clock:
            batch = self._next_batch()
        sums = self._backward(batch, phase)
        if config.clip_norm and all(math.isfinite(value) for value in sums.values()):
            trained = [p for p in self.network.parameters() if p.grad is not None]
            sums["gradient"] = float(nn.utils.clip_grad_norm_(trained, config.clip_norm))
        finite = all(math.isfinite(value) for value in sums.values())
        if self.group.any(not finite):
            return sums if not finite else {"loss on another device": math.nan}
        self.optimiser.step()
        if config.ema:
            self.average.update(self.network)
        clock.samples += config.batch
        return sums

    def _backward(self, batch: Batch, phase: Phase) -> dict[str, float]:
        """Accumulate the batch's gradients, `micro` samples at a time; returns its losses."""
        self.optimiser.zero_grad(set_to_none=True)
        sums: dict[str, float] = {}
        starts = range(0, self.local_batch, self.micro)
        for start in starts:
            piece = batch.part(start, start + self.micro) if len(starts) > 1 else batch
            share = len(piece.image) / self.local_batch
            last = start == starts[-1] or self.group.size == 1
            with nullcontext() if last else self.forward.no_sync():  # type: ignore[operator]
                loss, terms = self._loss(piece, phase)
                (loss * share).backward()  # type: ignore[no-untyped-call]
            for name, value in {**terms, "loss": loss}.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach()) * share
        return sums

    def _loss(self, batch: Batch, phase: Phase) -> tuple[Tensor, dict[str, Tensor]]:
        config = self.config
        image = batch.input
        if config.channels_last:
            image = image.contiguous(memory_format=torch.channels_last)
        low = config.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=low):
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

    def _roll_back(self, bad: list[str]) -> str:
        """Reload the last checkpoint and continue with other samples."""
        at, self.rollbacks, salt = self.step, self.rollbacks + 1, self.salt
        names = ", ".join(bad)
        if self.rollbacks > _MAX_ROLLBACKS:
            raise TrainingError(
                f"{names} not finite at step {at}, after {_MAX_ROLLBACKS} roll-backs",
                path=self.last_path,
                hint="the checkpoint is intact; lower the learning rate, or train in float32",
            )
        self.resume()
        self.salt = salt + 1
        return f"{names} not finite at step {at}: back to step {self.step}, with other samples"

    # -- batches ----------------------------------------------------------------------------

    def _next_batch(self) -> Batch:
        """Return this step's batch; work of the CPU is done during the step before."""
        if self.device.type != "cpu" and not self.config.network.prior:
            return self._batch_of(self.step)
        key = (self.step, self.salt)
        if self.ahead is None or self.ahead_at != key:
            self.close()
            self.ahead = prefetch(self._batches_from(self.step), depth=2)
        self.ahead_at = (self.step + 1, self.salt)
        return next(self.ahead)

    def _batches_from(self, step: int) -> Iterator[Batch]:
        torch.set_num_threads(1)  # in this thread; the cores are for the network's threads
        while True:
            yield self._batch_of(step)
            step += 1

    def _batch_of(self, step: int) -> Batch:
        chosen = None
        if self.epochs is not None:
            count = self.local_batch // (2 if self.config.synthesis.moving_pairs else 1)
            chosen = self.epochs.samples((step * self.group.size + self.group.rank) * count, count)
        return self.compositor.batch(self.local_batch, self._seed(step), chosen=chosen)

    def _seed(self, step: int) -> int:
        """Return the seed of a step on this device; roll-backs change it."""
        seed = self.config.seed * 1_000_003 + step
        return (seed * 64 + self.group.rank) * 16 + self.salt

    def close(self) -> None:
        """Stop making batches ahead."""
        if self.ahead is not None:
            self.ahead.close()  # type: ignore[attr-defined]
            self.ahead = None

    # -- reports ----------------------------------------------------------------------------

    def _progress(
        self, phase: Phase, terms: dict[str, float], within: int, clock: Clock
    ) -> Progress:
        rate, share = clock.read()
        losses = dict(zip(terms, self.group.mean(list(terms.values())), strict=True))
        progress = Progress(
            step=self.step, phase=phase.name, losses=losses,
            lr=phase.learning_rate(within), samples_per_second=rate,
            data_share=share, peak_memory_bytes=peak_memory(self.device),
        )  # fmt: skip
        self._log(LOSSES, {"step": self.step, "phase": phase.name, "lr": progress.lr,
                           "loss": losses["loss"], "samples_per_second": rate,
                           "data_share": share})  # fmt: skip
        return progress

    def _validate(self) -> Validation:
        """Validate in the first process; the others receive its errors."""
        index, _ = self.config.phase_at(self.step - 1)
        refine = any(p.trains != "stage1" for p in self.config.phases[: index + 1])
        errors = (math.nan, math.nan)
        if self.group.is_first:
            network = self.average.network if self.config.ema else self._frozen_copy()
            errors = self.held_out.errors(network, refine=refine)
            picture = self.folder / f"validation.{self.step:07d}.png"
            self.held_out.save_picture(picture, network, refine=refine)
        mad, mse = self.group.from_first(errors)
        best = mad < self.best
        if best:
            self.best = mad
            self._save(self.best_path)
        self._log(ERRORS, {"step": self.step, "mad": mad, "mse": mse})
        if self.group.is_first:
            draw_curve(self.folder)
        return Validation(step=self.step, mad=mad, mse=mse, best=best)

    def _frozen_copy(self) -> DeepImageMatting:
        return copy.deepcopy(self.network).eval()

    def _log(self, name: str, row: dict[str, object]) -> None:
        if self.group.is_first:
            self.logbook.append(name, row)

    def _save(self, path: Path) -> None:
        if self.group.is_first:
            save_checkpoint(path, self._state(), self.config)
        self.group.wait()


def _optimiser(
    parameters: list[nn.Parameter], phase: Phase, config: TrainConfig
) -> torch.optim.Optimizer:
    lr, decay = phase.lr, config.weight_decay
    if config.optimiser == "sgd":
        return torch.optim.SGD(
            parameters, lr=lr, weight_decay=decay, momentum=_MOMENTUM, fused=True
        )
    make = torch.optim.AdamW if config.optimiser == "adamw" else torch.optim.Adam
    return make(parameters, lr=lr, weight_decay=decay, fused=True)
