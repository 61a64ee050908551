"""Half floats to single and back: every bit pattern, by OpenCV and without it."""

from __future__ import annotations

import numpy as np
import pytest

from vfxmatte.io.stills import halves
from vfxmatte.io.stills.halves import interleaved, narrowed, widened


@pytest.fixture(params=["opencv", "own"])
def _either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "own":
        monkeypatch.setattr(halves, "_opencv_knows_halves", lambda: False)


def same_bits(found: np.ndarray, expected: np.ndarray) -> None:
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    nan = np.isnan(expected)
    assert np.isnan(found[nan]).all()
    bits = f"u{expected.dtype.itemsize}"
    np.testing.assert_array_equal(found[~nan].view(bits), expected[~nan].view(bits))


@pytest.mark.usefixtures("_either_way")
def test_every_half_is_widened_exactly() -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    planes = [every.reshape(256, 256), every[::-1].reshape(256, 256), every.reshape(256, 256).T]
    for pixels in (planes[0], np.stack(planes, -1), planes[2]):
        same_bits(widened(pixels), pixels.astype(np.float32))


@pytest.mark.usefixtures("_either_way")
def test_narrowed_rounds_as_numpy_does() -> None:
    random = np.random.default_rng(0)
    any_bits = random.integers(0, 1 << 32, (500, 400), dtype=np.uint32).view(np.float32)
    halves_and_middles = (np.arange(200_000, dtype=np.uint32) << 12).view(np.float32)
    with np.errstate(all="ignore"):
        for values in (
            any_bits.reshape(250, -1, 2),
            random.random((300, 200), np.float32)[:, 5:],
            halves_and_middles.reshape(400, -1),
        ):
            same_bits(narrowed(values), values.astype(np.float16))


@pytest.mark.parametrize("kind", [np.float16, np.float32])
@pytest.mark.parametrize("count", [1, 3, 4])
def test_planes_are_interleaved_bit_for_bit(kind: type, count: int) -> None:
    random = np.random.default_rng(0)
    bits = random.integers(0, 256, (count, 7, 5, np.dtype(kind).itemsize), dtype=np.uint8)
    planes = list(bits.view(kind)[..., 0])
    found = interleaved(planes)
    assert found.dtype == kind
    assert found.tobytes() == np.stack(planes, -1).tobytes()
