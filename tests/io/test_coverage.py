"""Coverage from any still: its values exactly, and clear words for what is no coverage."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from vfxmatte.errors import TrimapError
from vfxmatte.io.coverage import check_coverage, read_coverage
from vfxmatte.io.stills.exr import write_exr
from vfxmatte.types import FloatImage, Window

WINDOW = Window.of_size(32, 24)
RAMP = np.linspace(0, 1, 24 * 32, dtype=np.float32).reshape(24, 32)
COLOUR = np.random.default_rng(1).random((24, 32, 3), np.float32)


def exr(
    path: Path, display: Window = WINDOW, data: Window | None = None, **planes: FloatImage
) -> Path:
    write_exr(path, planes, data_window=data or display, display_window=display)
    return path


def still(path: Path, values: np.ndarray) -> Path:
    path.write_bytes(cv2.imencode(path.suffix, values)[1].tobytes())
    return path


def read(path: Path, canvas: Window = WINDOW, display: Window = WINDOW) -> FloatImage:
    return read_coverage(path, canvas=canvas, display_window=display, name="garbage matte")[0]


def test_values_are_neither_converted_nor_rounded(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read(exr(tmp_path / "a.exr", A=RAMP)), RAMP)
    np.testing.assert_array_equal(read(exr(tmp_path / "y.exr", Y=RAMP)), RAMP)
    np.testing.assert_array_equal(read(exr(tmp_path / "g.exr", R=RAMP, G=RAMP, B=RAMP)), RAMP)
    levels = np.rint(RAMP * 65535).astype(np.uint16)
    for name in ("a.png", "a.tif"):
        found = read(still(tmp_path / name, levels))
        np.testing.assert_array_equal(np.rint(found * 65535), levels)
        np.testing.assert_allclose(found, levels / 65535, atol=1e-7)


def test_alpha_beside_colour_counts(tmp_path: Path) -> None:
    """Where it is 1 everywhere beside grey, it says nothing, and the grey counts."""
    r, g, b = np.moveaxis(COLOUR, 2, 0)
    np.testing.assert_array_equal(read(exr(tmp_path / "1.exr", R=r, G=g, B=b, A=RAMP)), RAMP)
    one = np.ones_like(RAMP)
    assert (read(exr(tmp_path / "2.exr", R=r, G=g, B=b, A=one)) == 1).all()
    grey = {"R": RAMP, "G": RAMP, "B": RAMP}
    np.testing.assert_array_equal(read(exr(tmp_path / "3.exr", **grey, A=one)), RAMP)
    empty = dict.fromkeys("RGB", np.zeros_like(RAMP))
    assert (read(exr(tmp_path / "4.exr", **empty, A=one)) == 0).all()
    assert (read(exr(tmp_path / "5.exr", **empty, A=one * 0.5)) == 0.5).all()


def test_a_cropped_exr_is_0_outside_and_a_smaller_picture_is_extended(tmp_path: Path) -> None:
    data = Window(x_min=4, y_min=6, x_max=13, y_max=15)
    found = read(exr(tmp_path / "a.exr", data=data, A=np.ones((10, 10), np.float32)))
    assert found.sum() == 100 and (found[6:16, 4:14] == 1).all()
    canvas = Window(x_min=-2, y_min=-2, x_max=33, y_max=25)
    extended = read(still(tmp_path / "a.png", np.full((24, 32), 255, np.uint8)), canvas=canvas)
    assert extended.shape == canvas.shape and (extended == 1).all()


def test_values_outside_of_0_to_1_are_clipped_and_reported(tmp_path: Path) -> None:
    path = exr(tmp_path / "a.exr", A=RAMP * 1.5 - 0.2)
    found, clipped = read_coverage(path, canvas=WINDOW, display_window=WINDOW, name="matte")
    assert clipped and found.min() == 0 and found.max() == 1


@pytest.mark.parametrize("suffix", [".png", ".tif", ".exr"])
def test_another_size_is_refused_with_both(tmp_path: Path, suffix: str) -> None:
    path, small = tmp_path / f"garbage.1001{suffix}", Window.of_size(16, 12)
    if suffix == ".exr":
        exr(path, small, A=np.zeros((12, 16), np.float32))
    else:
        still(path, np.zeros((12, 16), np.uint8))
    for refuse in (read, lambda p: check_coverage(
        p, canvas=WINDOW, display_window=WINDOW, name="garbage matte"
    )):  # fmt: skip
        with pytest.raises(TrimapError, match="garbage matte is 16x12, the plate is 32x2") as error:
            refuse(path)
        assert error.value.path == str(path) and "nothing is ever resized" in str(error.value)


def test_what_is_no_coverage_is_refused(tmp_path: Path) -> None:
    r, g, b = np.moveaxis(COLOUR, 2, 0)
    with pytest.raises(TrimapError, match="picture in colour, without alpha"):
        read(exr(tmp_path / "colour.exr", R=r, G=g, B=b))
    broken = RAMP.copy()
    broken[3, 3] = np.nan
    with pytest.raises(TrimapError, match="NaN or infinite"):
        read(exr(tmp_path / "nan.exr", A=broken))
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(TrimapError, match="garbage matte cannot be read") as error:
        read(tmp_path / "text.png")
    assert error.value.path == str(tmp_path / "text.png")
