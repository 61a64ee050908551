"""Alpha corrected along colour lines where it is unsure."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse.linalg
import torch

from vfxmatte.engines import colour_lines
from vfxmatte.engines.colour_lines import EPSILON, STEPS, TRUST, UNSURE, along_colour_lines
from vfxmatte.engines.torchscript_lines import corrected
from vfxmatte.prior.laplacian import MattingLaplacian
from vfxmatte.types import FloatImage, Mask

Corrected = Callable[[FloatImage, FloatImage, FloatImage], FloatImage]


def on_the_cpu(image: FloatImage, alpha: FloatImage, error: FloatImage) -> FloatImage:
    return along_colour_lines(image, alpha, error, device=torch.device("cpu"))


def in_torch(image: FloatImage, alpha: FloatImage, error: FloatImage) -> FloatImage:
    """As on a GPU, and as TorchScript compiles it."""
    planes = (torch.from_numpy(values) for values in (image.transpose(2, 0, 1), alpha, error))
    compiled = torch.jit.script(corrected)
    result: FloatImage = compiled(*planes, UNSURE, TRUST, STEPS, EPSILON).numpy()
    return result


pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")

BOTH = pytest.mark.parametrize("correct", [on_the_cpu, in_torch])


def mixed(height: int, width: int) -> tuple[FloatImage, FloatImage]:
    """Two colours mixed in light by a soft disc: the picture, encoded, and the disc."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    alpha = np.clip(0.5 + (height / 3 - np.hypot(y - height / 2, x - width / 2)) / 9, 0, 1)
    colours = np.array([[0.1, 0.3, 0.2], [0.7, 0.4, 0.1]], np.float32)
    light = alpha[:, :, None] * colours[1] + (1 - alpha[:, :, None]) * colours[0]
    return np.sqrt(light).astype(np.float32), alpha.astype(np.float32)


def guessed(alpha: FloatImage) -> tuple[FloatImage, FloatImage, Mask]:
    """A guess at alpha that is wrong by up to .3 at some pixels, the expected error, and where."""
    random, soft = np.random.default_rng(4), (alpha > 0) & (alpha < 1)
    unsure = soft & (random.random(alpha.shape) < 0.7)
    wrong = alpha + random.uniform(-0.3, 0.3, alpha.shape).astype(np.float32)
    error = np.where(unsure, np.float32(0.15), np.float32(0.01) * soft)
    return np.where(unsure, wrong.clip(0, 1), alpha), error.astype(np.float32), unsure


@BOTH
def test_what_the_colours_tell_is_found_and_the_rest_stays(correct: Corrected) -> None:
    image, alpha = mixed(90, 120)
    guess, error, unsure = guessed(alpha)
    found = correct(image, guess, error)
    assert found.dtype == np.float32 and found.min() >= 0 and found.max() <= 1
    assert (found[~unsure] == guess[~unsure]).all()
    before, after = (np.abs(values - alpha)[unsure].mean() for values in (guess, found))
    assert before > 0.1 and after < before / 10


@BOTH
def test_the_less_a_network_expects_to_err_the_more_it_is_believed(correct: Corrected) -> None:
    image, alpha = mixed(60, 60)
    guess, error, unsure = guessed(alpha)
    moved = [
        np.abs(correct(image, guess, np.where(unsure, np.float32(e), error)) - guess).mean()
        for e in (0.03, 0.031, 0.06, 0.15)
    ]
    assert moved[0] == 0 < moved[1] < moved[2] < moved[3]


def test_it_is_the_solution_of_the_equations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(colour_lines, "STEPS", 2000)
    random = np.random.default_rng(1)
    image = random.random((24, 31, 3)).astype(np.float32)
    alpha, error = random.random((2, 24, 31)).astype(np.float32)
    error *= np.float32(0.2)
    unsure = error > UNSURE
    square = torch.from_numpy(np.square(image)).permute(2, 0, 1)[None].double()
    rows = MattingLaplacian.of(square, epsilon=EPSILON).sparse(0).tocsr()[unsure.ravel()]
    trust = (TRUST / error[unsure].astype(np.float64)) ** 2
    right = trust * alpha[unsure] - rows[:, ~unsure.ravel()] @ alpha[~unsure]
    matrix = (rows[:, unsure.ravel()] + scipy.sparse.diags(trust)).tocsc()
    exact = scipy.sparse.linalg.spsolve(matrix, right).clip(0, 1)
    assert np.abs(on_the_cpu(image, alpha, error)[unsure] - exact).max() < 2e-3


def test_cpu_and_torch_agree_on_texture() -> None:
    random = np.random.default_rng(2)
    image = random.random((70, 53, 3)).astype(np.float32)
    alpha, error = random.random((2, 70, 53)).astype(np.float32)
    error *= np.float32(0.2)
    difference = np.abs(on_the_cpu(image, alpha, error) - in_torch(image, alpha, error))
    assert difference.max() < 1e-4


@BOTH
@pytest.mark.parametrize("shape", [(1, 1), (2, 9), (9, 2), (3, 3)])
def test_tiny_pictures(correct: Corrected, shape: tuple[int, int]) -> None:
    """Where no window fits, alpha stays."""
    random = np.random.default_rng(3)
    image, alpha = random.random((*shape, 3), np.float32), random.random(shape, np.float32)
    found = correct(image, alpha, np.full(shape, 0.2, np.float32))
    assert np.isfinite(found).all() and (min(shape) > 2 or (found == alpha).all())


def test_threads_make_no_difference() -> None:
    image, alpha = mixed(300, 200)
    guess, error, _ = guessed(alpha)
    threads = torch.get_num_threads()
    try:
        found = []
        for count in (1, 4):
            torch.set_num_threads(count)
            found.append(on_the_cpu(image, guess, error))
    finally:
        torch.set_num_threads(threads)
    assert (found[0] == found[1]).all()
