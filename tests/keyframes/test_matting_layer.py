"""The matting Laplacian and the layer over it: against PyMatting, gradients, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from vfxmatte.errors import SolveError
from vfxmatte.keyframes.matting_layer import MattingLayer, solve_alpha
from vfxmatte.keyframes.systems import SolverSettings
from vfxmatte.prior.laplacian import MattingLaplacian

DIRECT = SolverSettings(method="direct", tolerance=1e-9)
CG = SolverSettings(method="cg", tolerance=1e-10, iterations=5000)


def picture(height: int, width: int, seed: int = 3) -> Tensor:
    """(1, 3, H, W) float64: a warm soft disc over a cool ground, with texture."""
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    distance = torch.hypot(y - height / 2, x - width / 2).double()
    alpha = ((min(height, width) / 3 - distance) / 4).clamp(0, 1)
    warm, cool = (
        torch.tensor(c).double().view(3, 1, 1) for c in ((0.8, 0.4, 0.2), (0.1, 0.3, 0.7))
    )
    mixed = alpha * warm + (1 - alpha) * cool
    return (mixed + 0.05 * torch.rand(3, height, width, generator=generator, dtype=torch.float64))[
        None
    ]


def scribbles(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Certain foreground and background (1, H, W) of 0 and 1, unknown between."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    distance = torch.hypot(y - height / 2, x - width / 2)
    inner, outer = min(height, width) / 3 - 6, min(height, width) / 3 + 2
    return (distance < inner).double()[None], (distance > outer).double()[None]


def test_the_laplacian_is_pymattings() -> None:
    laplacian_of = pytest.importorskip("pymatting").cf_laplacian
    image = picture(9, 12)
    ours = MattingLaplacian.of(image, epsilon=1e-5)
    theirs = laplacian_of(image[0].permute(1, 2, 0).contiguous().numpy(), epsilon=1e-5).toarray()
    np.testing.assert_allclose(ours.sparse(0).toarray(), theirs, atol=1e-10)
    x = torch.rand(1, 9, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    product = ours.product(x).numpy().ravel()
    np.testing.assert_allclose(product, theirs @ x.numpy().ravel(), atol=1e-9)


@pytest.mark.parametrize("settings", [DIRECT, CG], ids=["direct", "cg"])
def test_hard_labels_give_pymattings_closed_form_alpha(settings: SolverSettings) -> None:
    """With λ = 1e5 labels hold to about 1e-5; PyMatting's own solver stops at 1e-7."""
    pymatting = pytest.importorskip("pymatting")
    image, (foreground, background) = picture(40, 48), scribbles(40, 48)
    trimap = (foreground + 0.5 * (1 - foreground - background))[0].numpy()
    colours = image[0].permute(1, 2, 0).contiguous().numpy()
    expected = pymatting.estimate_alpha_cf(colours, trimap, laplacian_kwargs={"epsilon": 1e-5})
    laplacian = MattingLaplacian.of(image, epsilon=1e-5)
    weight = torch.tensor(1e5, dtype=torch.float64)
    alpha = solve_alpha(foreground, background, weight, laplacian, settings)
    assert (expected > 0.1).mean() > 0.1
    np.testing.assert_allclose(alpha[0].clamp(0, 1).numpy(), expected, atol=2e-4)


@pytest.mark.parametrize("settings", [DIRECT, CG], ids=["direct", "cg"])
def test_gradients_of_both_labels_and_their_weight(settings: SolverSettings) -> None:
    generator = torch.Generator().manual_seed(5)
    image = torch.cat((picture(4, 5), picture(4, 5, seed=8)))
    laplacian = MattingLaplacian.of(image, epsilon=1e-3)
    labels = torch.rand(2, 2, 4, 5, dtype=torch.float64, generator=generator) + 0.05
    inputs = (labels[0].requires_grad_(), labels[1].requires_grad_())
    weight = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda f, b, w: solve_alpha(f, b, w, laplacian, settings), (*inputs, weight)
    )


def test_a_batch_is_its_pictures_one_by_one() -> None:
    images = torch.cat((picture(24, 30), picture(24, 30, seed=9)))
    foreground, background = (label.expand(2, -1, -1) for label in scribbles(24, 30))
    weight = torch.tensor(50.0, dtype=torch.float64)
    together = solve_alpha(foreground, background, weight, MattingLaplacian.of(images), CG)
    for number in range(2):
        part = slice(number, number + 1)
        alone = solve_alpha(
            foreground[part], background[part], weight, MattingLaplacian.of(images[part]), DIRECT
        )
        torch.testing.assert_close(together[part], alone, atol=1e-6, rtol=0)


def test_single_precision_agrees_with_double() -> None:
    image, (foreground, background) = picture(40, 48), scribbles(40, 48)
    weight = torch.tensor(100.0, dtype=torch.float64)
    exact = solve_alpha(foreground, background, weight, MattingLaplacian.of(image), DIRECT)
    quick = solve_alpha(
        foreground.float(), background.float(), weight.float(), MattingLaplacian.of(image.float()),
        SolverSettings(method="cg", tolerance=2e-6),
    )  # fmt: skip
    torch.testing.assert_close(quick.double(), exact, atol=2e-3, rtol=0)


def test_a_solver_that_does_not_converge_says_so_with_its_residual() -> None:
    image, (foreground, background) = picture(40, 48), scribbles(40, 48)
    laplacian, weight = MattingLaplacian.of(image), torch.tensor(1.0, dtype=torch.float64)
    hasty = SolverSettings(method="cg", tolerance=1e-9, iterations=3)
    with pytest.raises(SolveError, match=r"after 3 steps: residual .*1e-09"):
        solve_alpha(foreground, background, weight, laplacian, hasty)


def test_a_picture_without_any_label_is_refused() -> None:
    empty, weight = torch.zeros(1, 8, 8).double(), torch.tensor(1.0, dtype=torch.float64)
    with pytest.raises(SolveError, match="neither foreground nor background"):
        solve_alpha(empty, empty, weight, MattingLaplacian.of(picture(8, 8)))


def test_not_a_number_is_never_a_result() -> None:
    foreground, background = scribbles(16, 16)
    foreground[0, 8, 8] = float("nan")
    weight = torch.tensor(1.0, dtype=torch.float64)
    for settings in (CG, DIRECT):
        with pytest.raises(SolveError):
            solve_alpha(
                foreground, background, weight, MattingLaplacian.of(picture(16, 16)), settings
            )


def test_nothing_but_background_gives_nothing() -> None:
    foreground, background = torch.zeros(1, 16, 16), torch.ones(1, 16, 16)
    laplacian = MattingLaplacian.of(picture(16, 16).float())
    for method in ("cg", "direct"):
        layer = MattingLayer(settings=SolverSettings(method=method))  # type: ignore[arg-type]
        assert layer(foreground, background, laplacian).abs().max() < 1e-4


@pytest.mark.parametrize("settings", [DIRECT, CG], ids=["direct", "cg"])
def test_a_picture_of_one_colour_goes_smoothly_from_side_to_side(settings: SolverSettings) -> None:
    flat = torch.full((1, 3, 12, 32), 0.4, dtype=torch.float64)
    foreground, background = torch.zeros(2, 1, 12, 32, dtype=torch.float64)
    foreground[..., :4], background[..., -4:] = 1, 1
    weight = torch.tensor(1e4, dtype=torch.float64)
    alpha = solve_alpha(foreground, background, weight, MattingLaplacian.of(flat), settings)
    row = alpha[0, 6]
    assert float(row[3]) > 0.99 and float(row[-4]) < 0.01 and 0.45 < float(row[16]) < 0.55
    assert bool((row[3:-3].diff() < 0).all())


def test_the_layer_learns_its_labels_and_its_weight() -> None:
    image, (certain, _) = picture(24, 24), scribbles(24, 24)
    logits = torch.zeros(2, 1, 24, 24, requires_grad=True)
    layer, laplacian = MattingLayer(weight=1.0), MattingLaplacian.of(image.float())
    optimiser = torch.optim.Adam([logits, *layer.parameters()], lr=0.2)
    losses = []
    for _ in range(25):
        alpha = layer(*logits.sigmoid(), laplacian)
        loss = (alpha - certain.float()).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]
    assert float(layer.log_weight.detach()) != 0


def test_wrong_shapes_are_refused() -> None:
    laplacian, weight = MattingLaplacian.of(picture(8, 8)), torch.tensor(1.0)
    right, wrong = torch.ones(1, 8, 8).double(), torch.ones(1, 8, 9).double()
    with pytest.raises(ValueError, match="background is"):
        solve_alpha(right, wrong, weight, laplacian)
    with pytest.raises(ValueError, match="above 0"):
        solve_alpha(right, right, torch.tensor(0.0), laplacian)
    with pytest.raises(ValueError, match="at least 3x3"):
        MattingLaplacian.of(torch.zeros(1, 3, 2, 9))
