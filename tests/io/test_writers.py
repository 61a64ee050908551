"""Mattes on disk: windows and attributes kept, files whole or absent."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest

from vfxmatte.errors import OutputError, UsageError
from vfxmatte.io.mattes import read_matte
from vfxmatte.io.result_names import matte_path
from vfxmatte.io.stills.exr import read_exr_header
from vfxmatte.io.stills.reading import read_image
from vfxmatte.io.writers import (
    OutputSettings,
    write_labels,
    write_matte,
)
from vfxmatte.types import Frame, Matte, Trimap, Window

DISPLAY = Window.of_size(30, 20)
DATA = Window(x_min=-4, y_min=3, x_max=24, y_max=25)
CANVAS = DISPLAY.union(DATA)


def shot(**metadata: Any) -> tuple[Matte, Frame]:
    random = np.random.default_rng(0)
    pixels = np.zeros((*CANVAS.shape, 3), np.float32)
    alpha = np.zeros(CANVAS.shape, np.float32)
    inside = DATA.slices_in(CANVAS)
    pixels[inside] = random.normal(1, 4, (*DATA.shape, 3))
    alpha[inside] = random.random(DATA.shape)
    frame = Frame(number=1001, pixels=pixels, canvas=CANVAS, data_window=DATA,
                  display_window=DISPLAY, colour_space="ACEScg", pixel_aspect=2.0,
                  metadata=metadata)  # fmt: skip
    return Matte(number=1001, alpha=alpha), frame


@pytest.mark.parametrize("pixel_type", ["half", "float"])
@pytest.mark.parametrize("compression", ["none", "zips", "zip", "piz", "dwaa"])
def test_alpha_alone(tmp_path: Path, pixel_type: Any, compression: Any) -> None:
    matte, frame = shot(
        framesPerSecond=Fraction(24000, 1001), owner="us", name="beauty",
        timeCode=OpenEXR.TimeCode(1, 2, 3, 4, *([0] * 14)), tiles="x",
    )  # fmt: skip
    settings = OutputSettings(pixel_type=pixel_type, compression=compression,
                              attributes={"vfxmatte/weights": "ab" * 32})  # fmt: skip
    path = write_matte(matte, frame, settings, matte_path(tmp_path / "new é", 1001))
    assert [p.name for p in path.parent.iterdir()] == ["matte.1001.exr"]
    header = read_exr_header(path)
    assert (header.channels, header.other_channels) == (("A",), ())
    assert (header.data_window, header.display_window) == (DATA, DISPLAY)
    assert (header.value_type, header.pixel_aspect) == (pixel_type, 2.0)
    assert header.metadata["framesPerSecond"] == Fraction(24000, 1001)
    assert str(header.metadata["timeCode"]).startswith("(1, 2, 3, 4")
    assert header.metadata["vfxmatte/weights"] == "ab" * 32
    assert "name" not in header.metadata
    tolerance = 0.05 if compression == "dwaa" else 1e-3
    np.testing.assert_allclose(read_matte(path, CANVAS), matte.alpha, atol=tolerance)


@pytest.mark.parametrize("rgba", ["premultiplied", "straight"])
def test_rgba_keeps_hdr_and_negative_values(tmp_path: Path, rgba: Any) -> None:
    matte, frame = shot()
    settings = OutputSettings(rgba=rgba, pixel_type="float")
    path = write_matte(matte, frame, settings, matte_path(tmp_path, 7, settings.format))
    image = read_image(path)
    assert image.header.channels == ("R", "G", "B", "A")
    inside = DATA.slices_in(CANVAS)
    factor = matte.alpha[inside][:, :, None] if rgba == "premultiplied" else 1
    np.testing.assert_allclose(image.colour, frame.pixels[inside] * factor, atol=1e-6)
    assert image.colour.min() < 0 and image.colour.max() > 2
    np.testing.assert_allclose(read_matte(path, CANVAS), matte.alpha)


def test_infinity_outside_the_matte_does_not_spoil_premultiplied_colour(tmp_path: Path) -> None:
    matte, frame = shot()
    inside = DATA.slices_in(CANVAS)
    frame.pixels[inside][0, 0], matte.alpha[inside][0, 0] = np.inf, 0.0
    settings = OutputSettings(rgba="premultiplied")
    colour = read_image(write_matte(matte, frame, settings, tmp_path / "a.1.exr")).colour
    assert (colour[0, 0] == 0).all()


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_sixteen_bit_alpha(tmp_path: Path, kind: Any) -> None:
    matte, frame = shot()
    settings = OutputSettings(format=kind)
    path = write_matte(matte, frame, settings, matte_path(tmp_path, -3, settings.format))
    assert path.name.startswith("matte.-0003.")
    image = read_image(path)
    assert (image.header.bits, image.pixels.shape) == (16, (20, 30, 1))
    expected = matte.alpha[DISPLAY.slices_in(CANVAS)]
    np.testing.assert_allclose(image.pixels[:, :, 0], expected, atol=1e-5)


def test_attributes_of_other_formats(tmp_path: Path) -> None:
    matte, frame = shot(**{
        "smpte:TimeCode": "10:11:12;13", "FramesPerSecond": 25.0, "oiio:BitsPerSample": 10,
        "dpx:Transfer": "Linear", "big": 2**40, "odd": object(), "pair": (1, 2),
    })  # fmt: skip
    header = read_exr_header(write_matte(matte, frame, OutputSettings(), tmp_path / "a.1.exr"))
    assert header.metadata["framesPerSecond"] == 25
    assert str(header.metadata["timeCode"]).startswith("(10, 11, 12, 13")
    assert header.metadata["timeCode"].dropFrame
    assert header.metadata["dpx:Transfer"] == "Linear"
    assert not {"odd", "oiio:BitsPerSample"} & set(header.metadata)


def test_labels_round_trip(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).choice([0, 128, 255], CANVAS.shape).astype(np.uint8)
    trimap = Trimap(number=1, labels=labels, is_keyframe=False)
    path = write_labels(trimap, tmp_path / "trimaps" / "trimap.0001.png", CANVAS)
    image = read_image(path)
    np.testing.assert_array_equal(np.rint(image.pixels[:, :, 0] * 255), labels)
    assert image.header.description.startswith("PNG 8-bit")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    matte, frame = shot()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError) as caught:
        write_matte(matte, frame, OutputSettings(), tmp_path / "file" / "matte.1001.exr")
    assert caught.value.frame == 1001
    assert "matte.1001.exr" in str(caught.value)


FULL_DISK = """
import resource, signal, sys
import numpy as np
from vfxmatte.errors import OutputError
from vfxmatte.io.result_names import matte_path
from vfxmatte.errors import OutputError, UsageError
from vfxmatte.io.writers import OutputSettings, write_matte
from vfxmatte.types import Frame, Matte, Window
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
window = Window.of_size(300, 200)
alpha = np.random.default_rng(0).random(window.shape).astype(np.float32)
frame = Frame(number=7, pixels=np.zeros((200, 300, 3), np.float32), canvas=window,
              data_window=window, display_window=window, colour_space="ACEScg")
try:
    write_matte(Matte(number=7, alpha=alpha), frame, OutputSettings(format=sys.argv[2]),
                sys.argv[1])
except OutputError as error:
    print("refused", error.frame, error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file size limit to set")
@pytest.mark.parametrize("kind", ["exr", "png", "tiff"])
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, kind: str) -> None:
    target = tmp_path / f"matte.0007.{kind}"
    target.write_bytes(b"the matte of an earlier run")
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(target), kind], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, check=False,
    )  # fmt: skip
    assert run.stdout.startswith("refused 7"), run.stderr
    assert target.name in run.stdout
    assert [p.name for p in tmp_path.iterdir()] == [target.name]
    assert target.read_bytes() == b"the matte of an earlier run"


def test_rgba_is_for_exr() -> None:
    with pytest.raises(UsageError, match="RGBA cannot be written as png"):
        OutputSettings(format="png", rgba="straight")
