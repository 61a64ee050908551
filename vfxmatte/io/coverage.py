"""Read coverage from pictures of any kind: finished mattes, garbage and core mattes.

Values are linear coverage: they are neither converted nor rounded.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vfxmatte.errors import TrimapError, as_foreseen
from vfxmatte.io.canvas import lay_on
from vfxmatte.io.mattes import matte_header
from vfxmatte.io.stills.image import Image, ImageHeader
from vfxmatte.io.stills.reading import read_pixels
from vfxmatte.trimaps import covered_window, place
from vfxmatte.types import FloatImage, Window

_GREY_WITHIN = 0.02  # R, G and B of a grey picture differ at most by this, after JPEG for example


def read_coverage(
    path: Path, *, canvas: Window, display_window: Window, name: str
) -> tuple[FloatImage, bool]:
    """Read (H, W) float32 coverage over the canvas, in [0, 1].

    A picture that covers less than the canvas is extended by its edges, as trimaps are. An EXR
    whose data window is smaller than its picture is 0 outside of it.

    Args:
        canvas, display_window: the plate's.
        name: of the kind of picture, for messages: `garbage matte`.

    Returns:
        The coverage, and whether values were outside of 0 to 1 and have been clipped.

    Raises:
        TrimapError: unreadable, of another size than the plate, a coloured picture, NaN.
    """
    try:
        header = matte_header(path)
        covered = _covered(header, canvas, display_window, name)
        image = Image(header=header, pixels=read_pixels(header))
        values = coverage_of(image.pixels[:, :, : len(header.colour_channels)], image.alpha, name)
    except TrimapError as error:
        raise error.at(path=path) from error.__cause__
    except Exception as error:
        what = f"the {name} cannot be read: {as_foreseen(error).what}"
        raise TrimapError(what, path=path) from error
    if covered is None:
        values = lay_on(values, header.data_window, canvas)
    else:
        values = place(values, covered, canvas=canvas, display_window=display_window, name=name)
    clipped = bool(values.size and (values.min() < 0 or values.max() > 1))
    return np.ascontiguousarray(values.clip(0, 1), np.float32), clipped


def check_coverage(path: Path, *, canvas: Window, display_window: Window, name: str) -> None:
    """Read a header; raises TrimapError if that fails, or for another size than the plate's."""
    try:
        _covered(matte_header(path), canvas, display_window, name)
    except TrimapError as error:
        raise error.at(path=path) from error.__cause__
    except Exception as error:
        what = f"the {name} cannot be read: {as_foreseen(error).what}"
        raise TrimapError(what, path=path) from error


def coverage_of(colours: FloatImage, alpha: FloatImage | None, name: str) -> FloatImage:
    """Return the (H, W) float32 coverage in (H, W, C) colours and (H, W) alpha, if there is any.

    An alpha that is 1 everywhere beside grey says nothing: programs add it to any picture.

    Raises:
        TrimapError: a coloured picture without alpha, NaN.
    """
    values = _alpha_or_grey(colours, alpha, name)
    if not np.isfinite(values).all():
        raise TrimapError(f"the {name} has NaN or infinite pixels", hint="write it again")
    return values


def _alpha_or_grey(colours: FloatImage, alpha: FloatImage | None, name: str) -> FloatImage:
    first = colours[:, :, 0]
    spread = np.ptp(colours, axis=2).max() if colours.size and colours.shape[2] > 1 else 0.0
    if alpha is not None and not (spread <= _GREY_WITHIN and (alpha >= 1).all()):
        return alpha
    if spread > _GREY_WITHIN:
        raise TrimapError(
            f"the {name} is a picture in colour, without alpha",
            hint="write it as grey, or into the alpha channel",
        )
    return first if spread == 0 else np.asarray(colours.mean(axis=2), np.float32)


def _covered(
    header: ImageHeader, canvas: Window, display_window: Window, name: str
) -> Window | None:
    """Return the part of the plate that a picture covers; None for an EXR that is cropped."""
    window = header.data_window if header.file_type == "EXR" else None
    as_large = header.display_window.shape == display_window.shape
    if window is not None and as_large and window not in (canvas, display_window):
        return None
    return covered_window(
        header.data_window.shape, window, canvas=canvas, display_window=display_window, name=name
    )
