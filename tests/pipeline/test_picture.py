"""One picture, arrays in, array out."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vfxmatte
from vfxmatte.engines.protocol import EngineSettings
from vfxmatte.errors import ColourError, TrimapError, UsageError, WeightsError

LABELS = np.zeros((33, 57), np.uint8)
LABELS[10:20, 10:30] = 128
LABELS[20:, 10:30] = 255


@pytest.fixture
def engine(tiny_weights: Path) -> EngineSettings:
    return EngineSettings(weights=tiny_weights, device="cpu")


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (33, 57, 3), np.uint8)


def test_known_pixels_are_exact_and_the_rest_is_solved(engine: EngineSettings) -> None:
    alpha = vfxmatte.matte(picture(), LABELS, engine=engine)
    assert alpha.shape == (33, 57) and alpha.dtype == np.float32
    assert (alpha[LABELS == 0] == 0).all() and (alpha[LABELS == 255] == 1).all()
    assert alpha[LABELS == 128].std() > 0


def test_integers_and_floats_mean_the_same(engine: EngineSettings) -> None:
    image = picture()
    expected = vfxmatte.matte(image, LABELS, engine=engine)
    trimap = LABELS / 255
    for same in (image / 255, (image / np.float32(255)), image.astype(np.uint16) * 257):
        np.testing.assert_allclose(vfxmatte.matte(same, trimap, engine=engine), expected, atol=1e-4)


def test_a_trimap_may_be_painted_in_colour(engine: EngineSettings) -> None:
    expected = vfxmatte.matte(picture(), LABELS, engine=engine)
    painted = np.dstack([LABELS] * 3)
    np.testing.assert_array_equal(vfxmatte.matte(picture(), painted, engine=engine), expected)


def test_the_colour_space_matters(engine: EngineSettings) -> None:
    linear = picture() / np.float32(255)
    shown = vfxmatte.matte(linear, LABELS, engine=engine)
    scene = vfxmatte.matte(linear, LABELS, colorspace="ACEScg", engine=engine)
    assert np.abs(shown - scene).max() > 1e-3


def test_bright_dark_and_missing_values_are_welcome(engine: EngineSettings) -> None:
    image = picture().astype(np.float32) * 4 - 10
    image[12, 12], image[13, 13, 0] = np.nan, np.inf
    alpha = vfxmatte.matte(image, LABELS, colorspace="ACEScg", engine=engine)
    assert np.isfinite(alpha).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1)])
def test_the_smallest_pictures(engine: EngineSettings, size: tuple[int, int]) -> None:
    trimap = np.full(size, 128, np.uint8)
    assert vfxmatte.matte(np.zeros((*size, 3), np.uint8), trimap, engine=engine).shape == size


@pytest.mark.parametrize(
    ("image", "trimap", "says"),
    [
        (np.zeros((8, 8)), np.zeros((8, 8)), r"image must be \(H, W, 3\), found \(8, 8\)"),
        (np.zeros((8, 8, 4)), np.zeros((8, 8)), r"found \(8, 8, 4\)"),
        (np.zeros((8, 8, 3)), np.zeros((8, 9)), r"trimap is \(8, 9\), the image is \(8, 8, 3\)"),
        (np.zeros((8, 8, 3), int), np.zeros((8, 8)), "image must be float, uint8 or uint16"),
        (np.zeros((8, 8, 3)), np.zeros((8, 8), bool), "trimap must be float, uint8 or uint16"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    engine: EngineSettings, image: Any, trimap: Any, says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        vfxmatte.matte(image, trimap, engine=engine)


def test_other_mistakes_have_their_own_errors(engine: EngineSettings, tmp_path: Path) -> None:
    with pytest.raises(ColourError, match="unknown colour space 'ACESgc'"):
        vfxmatte.matte(picture(), LABELS, colorspace="ACESgc", engine=engine)
    with pytest.raises(TrimapError, match="NaN"):
        vfxmatte.matte(picture(), np.full((33, 57), np.nan), engine=engine)
    with pytest.raises(WeightsError, match="no such weights file"):
        vfxmatte.matte(picture(), LABELS, engine=EngineSettings(weights=tmp_path / "none"))


def test_a_changed_ocio_is_seen(
    engine: EngineSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    expected = vfxmatte.matte(picture(), LABELS, engine=engine)
    broken = tmp_path / "config.ocio"
    broken.write_text("no configuration", encoding="utf-8")
    monkeypatch.setenv("OCIO", str(broken))
    with pytest.raises(ColourError):
        vfxmatte.matte(picture(), LABELS, engine=engine)
    monkeypatch.delenv("OCIO")
    assert (vfxmatte.matte(picture(), LABELS, engine=engine) == expected).all()


def test_replaced_weights_are_loaded(tiny_weights: Path, tmp_path: Path) -> None:
    weights = tmp_path / "own.safetensors"
    for suffix in (".safetensors", ".json"):
        shutil.copy2(tiny_weights.with_suffix(suffix), weights.with_suffix(suffix))
    engine = EngineSettings(weights=weights, device="cpu")
    vfxmatte.matte(picture(), LABELS, engine=engine)
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(WeightsError):
        vfxmatte.matte(picture(), LABELS, engine=engine)


def test_garbage_and_core_mattes_hold_for_trimap_and_alpha(engine: EngineSettings) -> None:
    garbage, core = np.full((33, 57), 255, np.uint8), np.zeros((33, 57), np.float32)
    garbage[:, :15], garbage[:, 20] = 0, 51
    core[15:, 12:], core[12, 25] = 1, 0.75
    alpha = vfxmatte.matte(picture(), LABELS, engine=engine, garbage=garbage, core=core)
    assert (alpha[:, :15] == 0).all()  # garbage wins
    assert (alpha[15:, 15:20] == 1).all()
    assert (alpha[:, 20] <= np.float32(0.2)).all() and alpha[12, 25] >= 0.75
    painted = np.where(garbage == 0, 0, np.where(core == 1, 255, LABELS)).astype(np.uint8)
    solved = vfxmatte.matte(picture(), painted, engine=engine)
    free = (garbage == 255) & (core == 0)
    np.testing.assert_array_equal(alpha[free], solved[free])


@pytest.mark.parametrize(
    ("mattes", "message"),
    [
        ({"garbage": np.zeros((33, 56))}, r"the garbage matte is \(33, 56\), the image is"),
        ({"core": np.zeros((33, 57, 1))}, r"the core matte is \(33, 57, 1\)"),
        ({"core": np.full((33, 57), np.nan)}, "the core matte has NaN"),
        ({"garbage": np.zeros((33, 57), bool)}, "garbage matte must be float, uint8 or uint16"),
    ],
)
def test_mattes_that_cannot_limit_a_picture_are_refused(
    engine: EngineSettings, mattes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        vfxmatte.matte(picture(), LABELS, engine=engine, **mattes)
