"""Stills other than EXR: scaling, alpha left alone, damage refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio
import pytest

from vfxmatte.errors import PlateError
from vfxmatte.io.stills.reading import read_image


def save(path: Path, pixels: np.ndarray, kind: str, **attributes: Any) -> np.ndarray:
    """Write (H, W, C) float pixels as `kind`; colour under alpha is stored as given."""
    spec = oiio.ImageSpec(pixels.shape[1], pixels.shape[0], pixels.shape[2], kind)
    spec.attribute("oiio:UnassociatedAlpha", 1)
    for name, value in attributes.items():
        spec.attribute(name.replace("__", ":"), value)
    output = oiio.ImageOutput.create(str(path))
    assert output.open(str(path), spec), output.geterror()
    assert output.write_image(pixels.astype(np.float32)), output.geterror()
    output.close()
    return pixels


def ramp(channels: int) -> np.ndarray:
    columns = np.linspace(0, 1, 64, dtype=np.float32)
    return np.stack([np.tile(np.roll(columns, 9 * i), (48, 1)) for i in range(channels)], -1)


@pytest.mark.parametrize(
    ("name", "kind", "step", "bits"),
    [("a.png", "uint8", 1 / 255, 8), ("a.png", "uint16", 1 / 65535, 16),
     ("a.tif", "uint8", 1 / 255, 8), ("a.tif", "uint16", 1 / 65535, 16),
     ("a.tif", "float", 1e-7, 32)],
)  # fmt: skip
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_values_are_scaled_and_alpha_left_alone(
    tmp_path: Path, name: str, kind: str, step: float, bits: int, channels: int
) -> None:
    pixels = save(tmp_path / name, ramp(channels), kind)
    image = read_image(tmp_path / name)
    np.testing.assert_allclose(image.pixels, pixels, atol=0.51 * step)
    assert image.header.bits == bits
    assert image.header.is_float == (kind == "float")
    assert image.colour.shape == (48, 64, 3)
    if channels in (2, 4) and name.endswith("png"):
        np.testing.assert_allclose(image.alpha, pixels[:, :, -1], atol=0.51 * step)


def test_float_tiff_keeps_hdr_and_negative_values(tmp_path: Path) -> None:
    save(tmp_path / "a.tif", ramp(3) * 20 - 5, "float")
    values = read_image(tmp_path / "a.tif").pixels
    assert values.min() == pytest.approx(-5)
    assert values.max() == pytest.approx(15)


def test_dpx_and_jpeg(tmp_path: Path) -> None:
    save(tmp_path / "a.dpx", ramp(3), "uint16", oiio__BitsPerSample=10)
    dpx = read_image(tmp_path / "a.dpx")
    np.testing.assert_allclose(dpx.pixels, ramp(3), atol=1 / 1023)
    assert (dpx.header.file_type, dpx.header.bits) == ("DPX", 10)
    save(tmp_path / "a.jpg", np.full((48, 64, 3), 0.5, np.float32), "uint8")
    jpeg = read_image(tmp_path / "a.jpg")
    np.testing.assert_allclose(jpeg.pixels, 0.5, atol=0.01)
    assert jpeg.header.description == "JPEG 8-bit, channels R G B"


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg", "a.dpx", "a.webp"])
def test_truncated_files_are_refused(tmp_path: Path, name: str) -> None:
    noise = np.random.default_rng(0).random((48, 64, 3))
    save(tmp_path / name, noise, "uint8")
    whole = (tmp_path / name).read_bytes()
    for share in (0.0, 0.7):
        (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(PlateError) as caught:
            read_image(tmp_path / name)
        assert name in str(caught.value)


def test_missing_file_and_layers_of_a_png(tmp_path: Path) -> None:
    with pytest.raises(PlateError, match="no such file"):
        read_image(tmp_path / "a.png")
    save(tmp_path / "a.png", ramp(3), "uint8")
    with pytest.raises(PlateError, match="only EXR"):
        read_image(tmp_path / "a.png", layer="hair")
