"""Conjugate gradients and inverses that solve what the other packages build."""

from __future__ import annotations

import numpy as np
import pytest

from vfxmatte.common import symmetric
from vfxmatte.common.conjugate_gradients import conjugate_gradients
from vfxmatte.types import Floats


def positive(size: int) -> Floats:
    """A random symmetric positive definite matrix."""
    root = np.random.default_rng(1).normal(size=(size, size))
    return np.asarray(root @ root.T + np.diag(np.linspace(1, 100, size)))


@pytest.mark.parametrize("preconditioned", [False, True])
def test_a_system_is_solved_from_any_start(preconditioned: bool) -> None:
    matrix, right, start = positive(30), np.arange(30.0), np.full(30, 3.0)
    diagonal = matrix.diagonal()
    x, steps = conjugate_gradients(
        lambda x: matrix @ x,
        right,
        start,
        goal=1e-10,
        steps=100,
        precondition=(lambda r: r / diagonal) if preconditioned else None,
    )
    np.testing.assert_allclose(x, np.linalg.solve(matrix, right), rtol=1e-8)
    assert 0 < steps < 100
    np.testing.assert_array_equal(start, 3.0)


def test_single_precision_stays_single() -> None:
    matrix, right = positive(8).astype(np.float32), np.ones(8, np.float32)
    x, _ = conjugate_gradients(lambda x: matrix @ x, right, 0 * right, goal=1e-4, steps=50)
    assert x.dtype == np.float32
    np.testing.assert_allclose(matrix @ x, right, atol=1e-3)


def test_it_ends_at_the_goal_at_the_last_step_and_at_a_breakdown() -> None:
    matrix, right = positive(30), np.ones(30)
    solution = np.linalg.solve(matrix, right)
    for start, goal, expected in ((solution, 1e-6, 0), (0 * right, 0.0, 3)):
        _, steps = conjugate_gradients(lambda x: matrix @ x, right, start, goal=goal, steps=3)
        assert steps == expected
    x, steps = conjugate_gradients(lambda x: 0 * x, right, 0 * right, goal=1e-6, steps=50)
    assert steps < 50 and not np.isfinite(x).all()


def test_a_least_curvature_keeps_steps_finite() -> None:
    right = np.ones(4)
    x, _ = conjugate_gradients(
        lambda x: 0 * x, right, 0 * right, goal=1e-6, steps=2, least_curvature=1e-3
    )
    assert np.isfinite(x).all()


def test_symmetric_matrices_are_inverted() -> None:
    matrices = np.stack([positive(3), positive(3) + 1])
    planes = symmetric.inverse([matrices[:, i, j] for i, j in symmetric.PAIRS])
    expected = np.linalg.inv(matrices)
    for (i, j), plane in zip(symmetric.PAIRS, planes, strict=True):
        np.testing.assert_allclose(plane, expected[:, i, j], rtol=1e-10)
