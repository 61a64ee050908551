"""The steps of a fit: the same bits on any number of threads.

Each square goes through the network alone, by one thread; its gradients are added to the others' in
the squares' order. It learns on the processor, whatever the frames are solved on.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from vfxmatte.engines.single_threaded import single_threads, threads_at_once
from vfxmatte.fitting.examples import Example, Square, square
from vfxmatte.fitting.settings import FitSettings
from vfxmatte.network.expected_error import negative_log_likelihood
from vfxmatte.network.light import LightMatting

_SEED = 20
_WARMUP, _LEFT = 10, 0.02  # steps; share of the learning rate that is left at the end
_GRADIENT, _ERROR = 0.3, 0.04  # weights of the losses beside the absolute difference
_WEIGHT_DECAY, _CLIP = 0.01, 1.0

OnStep = Callable[[int, float], None]


def learn(
    network: LightMatting,
    examples: Sequence[Example],
    settings: FitSettings,
    *,
    steps: int,
    on_step: OnStep = lambda step, error: None,
) -> LightMatting:
    """Return a copy of a folded network that has learned from examples, in eval mode.

    Args:
        steps: a cosine from the settings' learning rate to nearly nothing.
        on_step: called after each step with its number, from 1, and the mean absolute error of
            alpha in it; what it raises ends the fit.
    """
    network = copy.deepcopy(network).float().requires_grad_(False)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    trained = list(network.stage_parameters(1))
    for parameter in trained:
        parameter.requires_grad_(True)
    optimiser = _AdamW(trained)
    random = np.random.default_rng(_SEED)

    def draw() -> list[Square]:
        return [square(examples, settings.crop_px, random) for _ in range(settings.batch)]

    with single_threads(1) as alone, single_threads(_at_once(settings)) as pool:
        drawn = alone.submit(draw)
        for step in range(steps):
            squares = drawn.result()
            drawn = alone.submit(draw)  # while these are learned from
            parts = _gradients(network, trained, squares, pool)
            rate = settings.learning_rate * _share(step, steps)
            error = alone.submit(_advance, optimiser, trained, parts, rate).result()
            on_step(step + 1, error)
    return network.requires_grad_(False).eval()


def _at_once(settings: FitSettings) -> int:
    return min(settings.batch, threads_at_once())


def _share(step: int, steps: int) -> float:
    """Share of the learning rate at a step."""
    cosine = 0.5 * (1 + math.cos(math.pi * step / steps))
    return min(1.0, (step + 1) / _WARMUP) * (_LEFT + (1 - _LEFT) * cosine)


_Gradients = tuple[float, Sequence[Tensor]]


def _gradients(
    network: LightMatting,
    trained: list[nn.Parameter],
    squares: Sequence[Square],
    pool: ThreadPoolExecutor,
) -> list[_Gradients]:
    """Mean absolute error and gradients for each square, in order."""

    def one(cut: Square) -> _Gradients:
        seen = cut.input.contiguous(memory_format=torch.channels_last)
        output = network(seen, refine=False)
        loss, error = _loss(output.stage1, output.log_error, cut.alpha, cut.unknown)
        return float(error), torch.autograd.grad(loss, trained)

    return list(pool.map(one, squares))


class _AdamW:
    """`torch.optim.AdamW` by its own function: its class loads torch's compiler, for a second."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        self._parameters: list[Tensor] = [*parameters]
        self._means = [torch.zeros_like(parameter) for parameter in parameters]
        self._squares = [torch.zeros_like(parameter) for parameter in parameters]
        self._counts = [torch.zeros(()) for _ in parameters]

    @torch.no_grad()
    def step(self, gradients: list[Tensor], rate: float) -> None:
        """Take a step by the parameters' gradients, in their order."""
        adamw(self._parameters, gradients, self._means, self._squares, [], self._counts,
              foreach=False, amsgrad=False, beta1=0.9, beta2=0.999, lr=rate,
              weight_decay=_WEIGHT_DECAY, eps=1e-8, maximize=False)  # fmt: skip


def _advance(
    optimiser: _AdamW,
    trained: list[nn.Parameter],
    parts: Sequence[_Gradients],
    rate: float,
) -> float:
    """Take one step by the mean of the gradients; returns the mean error."""
    means: list[Tensor] = []
    for number, parameter in enumerate(trained):
        total = parts[0][1][number].clone()
        for _, gradients in parts[1:]:
            total += gradients[number]
        means.append(total / len(parts))
        parameter.grad = means[-1]
    nn.utils.clip_grad_norm_(trained, _CLIP)  # in place
    optimiser.step(means, rate)
    return sum(error for error, _ in parts) / len(parts)


def _loss(
    alpha: Tensor, log_error: Tensor, truth: Tensor, unknown: Tensor
) -> tuple[Tensor, Tensor]:
    """The loss over the unknown region, and the mean absolute error in it."""
    count = unknown.sum().clamp(min=1)
    wrong = (alpha - truth) * unknown
    error = wrong.abs().sum() / count
    across = (wrong[..., 1:] - wrong[..., :-1]).abs().sum() / count
    down = (wrong[..., 1:, :] - wrong[..., :-1, :]).abs().sum() / count
    unlikely = (negative_log_likelihood(log_error, alpha, truth) * unknown).sum() / count
    return error + _GRADIENT * (across + down) + _ERROR * unlikely, error.detach()
