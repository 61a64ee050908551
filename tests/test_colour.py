"""Colour: names, defaults, and the network's input."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import PyOpenColorIO as ocio
import pytest

from vfxmatte.colour import (
    ColourConfig,
    ColourTags,
    decode_from_network,
    decode_srgb,
    encode_by_table,
    encode_for_network,
    to_network,
)
from vfxmatte.errors import ColourError
from vfxmatte.types import Frame, Window


@pytest.fixture(scope="module")
def config() -> ColourConfig:
    return ColourConfig.load("ocio://studio-config-latest")


def frame(pixels: np.ndarray, space: str) -> Frame:
    window = Window.of_size(pixels.shape[1], pixels.shape[0])
    return Frame(number=1, pixels=pixels.astype(np.float32), canvas=window, data_window=window,
                 display_window=window, colour_space=space)  # fmt: skip


def test_table_equals_the_formula() -> None:
    random = np.random.default_rng(0)
    values = np.concatenate(
        [random.normal(0.4, 0.5, 200_000), 10 ** random.uniform(-8, 5, 200_000),
         -(10 ** random.uniform(-8, 5, 1000)), [0, 1, 0.0031308, np.nan, np.inf, -np.inf]]
    ).astype(np.float32)  # fmt: skip
    out = np.empty_like(values)
    encode_by_table(values, out)
    np.testing.assert_allclose(out, encode_for_network(values), atol=1e-4)
    ascending = np.sort(values[np.isfinite(values)])
    encode_by_table(ascending, sorted_out := np.empty_like(ascending))
    assert (np.diff(sorted_out) >= 0).all()


def test_encoding_is_srgb_up_to_one() -> None:
    values = np.linspace(0, 1, 1000)
    np.testing.assert_allclose(decode_srgb(encode_for_network(values)), values, atol=1e-6)


def test_names_aliases_and_case(config: ColourConfig) -> None:
    assert config.resolve("acescg") == "ACEScg"
    assert config.resolve("lin_ap1") == config.resolve("scene_linear") == "ACEScg"
    with pytest.raises(ColourError, match=r"unknown colour space 'ACESgc'[\s\S]*ACEScg"):
        config.resolve("ACESgc")
    with pytest.raises(ColourError, match="ARRI LogC3"):
        config.resolve("log c3")


def test_to_network_of_known_colours(config: ColourConfig) -> None:
    srgb = np.random.default_rng(0).random((7, 9, 3)).astype(np.float32)
    seen = to_network(frame(srgb, "srgb_tx"), config)
    np.testing.assert_allclose(seen, srgb, atol=2e-4)  # a display-encoded picture is kept
    grey = np.full((3, 3, 3), 0.18)
    for space in ("ACEScg", "ACES2065-1", "lin_rec709", "lin_rec2020"):
        seen = to_network(frame(grey, space), config)
        np.testing.assert_allclose(seen, encode_for_network(np.float64(0.18) * np.ones(1))[0],
                                   atol=3e-4)  # fmt: skip
    logc3_grey = np.full((3, 3, 3), 0.391)
    seen = to_network(frame(logc3_grey, "ARRI LogC3 (EI800)"), config)
    np.testing.assert_allclose(seen, 0.4613, atol=3e-3)


def test_nan_and_infinity_stay_where_they_are(config: ColourConfig) -> None:
    pixels = np.full((4, 4, 3), 0.18, np.float32)
    pixels[0, 0], pixels[1, 1], pixels[2, 2] = np.nan, np.inf, -np.inf
    seen = to_network(frame(pixels, "ACEScg"), config)
    assert np.isfinite(seen).all()
    assert seen.min() >= -0.1 and seen.max() <= 1.2
    np.testing.assert_allclose(seen[0, 0], 0, atol=1e-6)
    assert (seen[1, 1] > 1.19).all()
    np.testing.assert_allclose(seen[3], to_network(frame(pixels[3:], "ACEScg"), config)[0])
    assert np.isnan(pixels[0, 0]).all()


def test_threads_agree(config: ColourConfig) -> None:
    pixels = np.random.default_rng(1).random((300, 400, 3)).astype(np.float32)
    expected = to_network(frame(pixels, "ACEScct"), config)
    fresh = ColourConfig.load("ocio://studio-config-latest")
    with ThreadPoolExecutor(4) as pool:
        seen = list(pool.map(lambda _: to_network(frame(pixels, "ACEScct"), fresh), range(8)))
    assert all(np.array_equal(one, expected) for one in seen)


@pytest.mark.parametrize(
    ("tags", "name", "reason"),
    [(ColourTags(kind="float"), "ACEScg", "floating-point"),
     (ColourTags(kind="display"), "srgb_tx", "8 and 16-bit"),
     (ColourTags(kind="log"), "ACEScct", "log"),
     (ColourTags(kind="log", transfer="Linear"), "ACEScg", "linear"),
     (ColourTags(kind="movie"), "g24_rec709", "Rec.709"),
     (ColourTags(kind="movie", transfer="smpte2084"), "Rec.2100-PQ - Display", "PQ"),
     (ColourTags(kind="float", interop_id="lin_rec709_scene"), "lin_rec709", "colorInteropID"),
     (ColourTags(kind="float", chromaticities=(.64, .33, .3, .6, .15, .06, .3127, .329)),
      "lin_rec709", "Rec.709"),
     (ColourTags(kind="float", chromaticities=(.713, .293, .165, .83, .128, .044, .32168, .33767)),
      "ACEScg", "AP1")],
)  # fmt: skip
def test_defaults(config: ColourConfig, tags: ColourTags, name: str, reason: str) -> None:
    choice = config.default_space(tags)
    assert choice.name == config.resolve(name)
    assert reason in choice.reason


def studio_config(path: Path, *, interchange: bool) -> Path:
    """A small configuration without a Rec.709 space; its reference is ACES2065-1."""
    made = ocio.Config()
    made.setVersion(2, 0)
    made.addColorSpace(ocio.ColorSpace(name="house_ref", encoding="scene-linear"))
    half = ocio.MatrixTransform([0.5, 0, 0, 0, 0, 0.5, 0, 0, 0, 0, 0.5, 0, 0, 0, 0, 1])
    made.addColorSpace(ocio.ColorSpace(name="house_half", toReference=half))
    made.setRole("scene_linear", "house_ref")
    made.setRole("default", "house_ref")
    if interchange:
        made.setRole("aces_interchange", "house_ref")
    rules = ocio.FileRules()
    rules.insertRule(0, "halves", "house_half", "*half*", "exr")
    rules.setDefaultRuleColorSpace("house_ref")
    made.setFileRules(rules)
    made.addDisplayView("screen", "raw", "house_ref", "")
    path.write_text(made.serialize())
    return path


def test_a_studios_own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCIO", str(studio_config(tmp_path / "a é.ocio", interchange=True)))
    config = ColourConfig.load()
    seen = to_network(frame(np.full((2, 2, 3), 0.36), "house_half"), config)
    np.testing.assert_allclose(seen, encode_for_network(np.full(1, 0.18))[0], atol=3e-4)
    by_rule = config.default_space(ColourTags(kind="float", path=Path("/s/half.0001.exr")))
    assert (by_rule.name, "rule" in by_rule.reason) == ("house_half", True)
    other = config.default_space(ColourTags(kind="float", path=Path("/s/plate.0001.exr")))
    assert other.name == "house_ref"


def test_configurations_that_cannot_be_used(tmp_path: Path) -> None:
    config = ColourConfig.load(studio_config(tmp_path / "a.ocio", interchange=False))
    with pytest.raises(ColourError, match=r"no way from[\s\S]*aces_interchange"):
        to_network(frame(np.ones((1, 1, 3)), "house_half"), config)
    with pytest.raises(ColourError, match="no colour space that fits"):
        config.default_space(ColourTags(kind="display"))
    with pytest.raises(ColourError, match=r"cannot read[\s\S]*OCIO"):
        ColourConfig.load(tmp_path / "none.ocio")


def test_a_builtin_configuration_survives_being_a_path() -> None:
    found = ColourConfig.load(Path("ocio://cg-config-latest"))
    assert found.source == "ocio://cg-config-latest"


def test_decoding_is_the_inverse_of_the_networks_encoding() -> None:
    import torch

    values = np.concatenate([np.linspace(-0.0077, 1.2, 5001), 10 ** np.linspace(0, 2, 500)])
    encoded = encode_for_network(values)
    np.testing.assert_allclose(decode_from_network(encoded), values, rtol=1e-6, atol=1e-9)
    tensor = torch.from_numpy(encoded)
    np.testing.assert_allclose(decode_from_network(tensor).numpy(), decode_from_network(encoded))
    bright = encode_for_network(np.array([60000.0, np.inf]))
    np.testing.assert_allclose(decode_from_network(bright), [60000.0, 65504.0], rtol=1e-6)
    assert decode_from_network(np.array([1.2, 5.0])).max() <= 65504.1
    single = decode_from_network(encode_for_network(np.array([0.18, 3.0], np.float32)))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, [0.18, 3.0], rtol=1e-5)
