"""The rule by which subjects give way: sums, continuity, and what stays as it is."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from vfxmatte.pipeline.excess import without_excess
from vfxmatte.types import FloatImage


def shared(*alphas: FloatImage, kind: str = "half") -> list[FloatImage]:
    """Whole alphas after they have given way."""
    results = []
    changes = without_excess(alphas, kind)
    for alpha, (pixels, values) in zip(alphas, changes, strict=True):
        result = alpha.copy()
        result.reshape(-1)[pixels] = values
        results.append(result)
    return results


def pixel(*alphas: float, kind: str = "float") -> list[float]:
    return [
        float(a[0, 0]) for a in shared(*(np.full((1, 1), v, np.float32) for v in alphas), kind=kind)
    ]


def as_kept(alphas: NDArray[np.float32], kind: str) -> NDArray[np.float32]:
    if kind == "half":
        return alphas.astype(np.float16).astype(np.float32)
    if kind == "uint16":
        return (np.rint(alphas * 65535) / np.float32(65535)).astype(np.float32)
    return alphas


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("kind", ["half", "float", "uint16"])
def test_sums_are_at_most_1_and_others_are_untouched(count: int, kind: str) -> None:
    rng = np.random.default_rng(count)
    alphas = rng.random((count, 40, 50)).astype(np.float32) ** rng.choice(
        [0.3, 1, 4], (count, 1, 1)
    )
    alphas = as_kept(alphas.astype(np.float32), kind)
    alphas[0, :5], alphas[1, 3:8], alphas[:, 10] = 1, 1, 0
    before = alphas.astype(np.float64).sum(axis=0)
    after = np.stack(shared(*alphas, kind=kind))
    if kind == "uint16":
        assert np.rint(after.astype(np.float64) * 65535).sum(axis=0).max() <= 65535
    else:
        assert after.astype(np.float64).sum(axis=0).max() <= 1
    assert (after >= 0).all() and (after <= alphas).all()
    assert (after == alphas)[:, before <= 1].all()
    over = before > 1
    assert after.sum(axis=0)[over].min() > 1 - count * 2e-3
    assert (as_kept(after, kind) == after).all()


def test_the_surer_one_gives_less() -> None:
    assert pixel(0.9, 0.9) == pytest.approx([0.5, 0.5], abs=1e-6)
    sure, unsure = pixel(0.9, 0.6)
    assert (sure, unsure) == pytest.approx(
        (0.9 - 0.5 * 0.09 / 0.33, 0.6 - 0.5 * 0.24 / 0.33), abs=1e-6
    )
    assert pixel(1, 0.3) == [1, 0]
    assert pixel(1, 1) == pytest.approx([0.5, 0.5])
    assert pixel(1, 1, 0.4) == pytest.approx([0.5, 0.5, 0])


def test_a_small_excess_takes_little() -> None:
    """No step where a sum passes 1."""
    assert pixel(0.7, 0.3 + 1e-4) == pytest.approx([0.7, 0.3], abs=1e-4)
    assert pixel(0.999, 0.3) == pytest.approx([0.999, 0], abs=3e-3)


def test_a_rounded_half_is_rounded_down() -> None:
    """0.50024 and 0.50024, half floats above 0.5, do not both become 0.5 and something."""
    above = float(np.nextafter(np.float16(0.5), np.float16(1)))
    assert sum(pixel(above, above, above, kind="half")) <= 1
