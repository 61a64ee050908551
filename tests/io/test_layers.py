"""Layers of a matte's EXR: names that hosts read, and clear words for others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest

from tests.io.test_writers import CANVAS, DATA, shot
from vfxmatte.errors import UsageError
from vfxmatte.io.layers import KINDS, check_layer_name, parse_layers
from vfxmatte.io.mattes import read_matte
from vfxmatte.io.writers import OutputSettings, alpha_as_written, write_matte


def test_every_layer_has_channels_of_its_own_and_none_is_a_bare_y() -> None:
    layers = parse_layers(KINDS)
    names = [name for layer in layers for name in layer.channels]
    assert len(set(names)) == len(names) and "Y" not in names
    assert names[0] == "A" and {"fg.R", "bg.B", "trimap.Y", "confidence.Y"} <= set(names)
    assert all(not name.split(".")[0].isdigit() for name in names)


def test_a_name_of_ones_own() -> None:
    (layer,) = parse_layers(["foreground = hero_fg"])
    assert layer.channels == ("hero_fg.R", "hero_fg.G", "hero_fg.B")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("foregound", "did you mean foreground"),
        ("sky", "layers: alpha, foreground"),
        ("foreground=1", "begin with a letter"),
        ("foreground=2dog", "begin with a letter"),
        ("foreground=my fg", "letters, digits and _"),
        ("foreground=a.b", "letters, digits and _"),
        ("foreground=", "begin with a letter"),
        ("foreground=Vögel", "begin with a letter"),
        ("foreground=" + "x" * 40, "at most 31"),
        ("trimap=Y", "take that for a channel"),
        ("trimap=rgba", "take that for a channel"),
        ("trimap=other", "for a layer of their own"),
        ("alpha=matte", "channel A"),
    ],
)
def test_a_layer_that_no_host_would_show(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_layers([text])


def test_two_layers_of_one_name() -> None:
    with pytest.raises(UsageError, match="two layers have the name 'fg'"):
        parse_layers(["foreground", "background=FG"])
    assert check_layer_name("dog_2") == "dog_2"


@pytest.mark.parametrize("pixel_type", ["half", "float"])
def test_planes_stand_beside_alpha(tmp_path: Path, pixel_type: Any) -> None:
    matte, frame = shot()
    planes = {f"fg.{name}": frame.pixels[:, :, i] for i, name in enumerate("RGB")}
    planes |= {f"bg.{name}": frame.pixels[:, :, i] for i, name in enumerate("RGB")}
    planes["trimap.Y"] = np.full(CANVAS.shape, 0.5, np.float32)
    settings = OutputSettings(pixel_type=pixel_type)
    path = write_matte(matte, frame, settings, tmp_path / "a.1.exr", planes=planes)
    with OpenEXR.File(str(path), separate_channels=True) as file:
        found = {name: channel.pixels for name, channel in file.channels().items()}
    assert set(found) == {"A", *planes}
    assert all(one.dtype == (np.float16 if pixel_type == "half" else np.float32)
               for one in found.values())  # fmt: skip
    inside = frame.pixels[DATA.slices_in(CANVAS)]
    np.testing.assert_allclose(found["fg.R"], inside[:, :, 0], rtol=1e-3, atol=1e-4)
    alpha = read_matte(path, CANVAS)
    np.testing.assert_array_equal(alpha, alpha_as_written(matte.alpha, settings))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"foreground": "straight", "format": "png"}, "a foreground cannot be written as png"),
        ({"layers": ("trimap",), "format": "tiff"}, "layers cannot be written as tiff"),
        ({"foreground": "straight", "rgba": "straight"}, "give one of them"),
        ({"despill": 0.5}, "no foreground is written"),
        ({"despill": 1.5, "foreground": "straight"}, "despill must be 0 to 1"),
        ({"layers": ("trimp",)}, "did you mean trimap"),
    ],
)
def test_settings_that_clash(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        OutputSettings(**settings)
    assert words in str(caught.value)
