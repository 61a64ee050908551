"""The matting layer (Shen, Tao, Gao, Zhou, Jia: Deep Automatic Portrait Matting, ECCV 2016).

Alpha minimises  λ αᵀBα + λ (α − 1)ᵀF(α − 1) + αᵀLα  (equation 4), with F and B the probabilities of
foreground and background on the diagonal and L the matting Laplacian of the picture, so it solves

    (λB + λF + L) α = λF·1.

Backward, with g the loss's gradient by α, v solves the same system for g (the matrix is symmetric):

    dF = λ v (1 − α),   dB = −λ v α,   dλ = Σ v (F − (F + B) α).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from vfxmatte.errors import SolveError
from vfxmatte.keyframes.systems import SolverSettings, System
from vfxmatte.prior.laplacian import MattingLaplacian


def solve_alpha(
    foreground: Tensor,
    background: Tensor,
    weight: Tensor,
    laplacian: MattingLaplacian,
    settings: SolverSettings | None = None,
) -> Tensor:
    """Solve alpha (N, H, W), not clamped; differentiable once by the first three arguments.

    Args:
        foreground, background: F and B, (N, H, W), not negative.
        weight: λ, above 0, as a tensor without dimensions.
        laplacian: of the same N pictures, dtype and device.
        settings: of the solver.

    Raises:
        ValueError: other shapes or dtypes.
        SolveError: a picture has no label at all, or the system cannot be solved.
    """
    expected = laplacian.count, *laplacian.shape
    for name, tensor in (("foreground", foreground), ("background", background)):
        if tensor.shape != expected or tensor.dtype != laplacian.planes.dtype:
            raise ValueError(
                f"{name} is {tuple(tensor.shape)} {tensor.dtype}, the Laplacian is of {expected} "
                f"{laplacian.planes.dtype}"
            )
    if weight.ndim != 0 or not float(weight.detach()) > 0:
        raise ValueError(f"weight must be a number above 0, found {weight}")
    alpha: Tensor = _Solve.apply(  # type: ignore[no-untyped-call]
        foreground, background, weight, laplacian, settings or SolverSettings()
    )
    return alpha


class MattingLayer(nn.Module):
    """`solve_alpha` with a learnt λ, stored as its logarithm."""

    def __init__(self, weight: float = 10.0, settings: SolverSettings | None = None) -> None:
        super().__init__()
        self.log_weight = nn.Parameter(torch.tensor(weight).log())
        self.settings = settings or SolverSettings()

    def forward(
        self, foreground: Tensor, background: Tensor, laplacian: MattingLaplacian
    ) -> Tensor:
        weight = self.log_weight.exp().to(foreground.dtype)
        return solve_alpha(foreground, background, weight, laplacian, self.settings)


class _Solve(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        foreground: Tensor,
        background: Tensor,
        weight: Tensor,
        laplacian: MattingLaplacian,
        settings: SolverSettings,
    ) -> Tensor:
        labelled = foreground + background
        if not bool((labelled.amax((1, 2)) > 0).all()):
            raise SolveError(
                "a picture has neither foreground nor background to start from",
                hint="label some of it",
            )
        system = System(laplacian, weight * labelled, settings)
        guess = foreground / labelled.clamp(min=torch.finfo(labelled.dtype).tiny)
        # By the right-hand side of α = 1: foreground and background count alike, none may be 0.
        reference = (weight * labelled).square().sum((1, 2)).sqrt()
        alpha = system.solve(weight * foreground, start=guess, reference=reference)
        ctx.system = system
        ctx.save_for_backward(foreground, background, weight, alpha)
        return alpha

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        foreground, background, weight, alpha = ctx.saved_tensors
        reference = gradient.square().sum((1, 2)).sqrt()
        reference = reference.clamp(min=torch.finfo(gradient.dtype).tiny)
        v = ctx.system.solve(gradient, start=torch.zeros_like(gradient), reference=reference)
        by_weight = (v * (foreground - (foreground + background) * alpha)).sum()
        return weight * v * (1 - alpha), -weight * v * alpha, by_weight, None, None
