"""Odd pictures are right, or refused by name: never wrong without a word."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from tests.conformance import odd_files
from tests.conformance.odd_files import box, planes, ramp, save, with_attribute, write
from vfxmatte.errors import PlateError, UnforeseenError
from vfxmatte.io.plates import open_plate
from vfxmatte.io.stills.exr import read_exr_header, read_exr_pixels
from vfxmatte.io.stills.reading import read_header, read_image
from vfxmatte.types import Frame

COLOUR = ramp() / np.float32(255)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("PIL")
    folder = tmp_path_factory.mktemp("odd")
    odd_files.pillow_files(folder)
    odd_files.oiio_files(folder)
    odd_files.lying_files(folder)
    return folder


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [("palette.png", 0.2), ("palette.tif", 0.2), ("palette.bmp", 0.2), ("inks.jpg", 0.03),
     ("inks.tif", 0.01), ("ycbcr.tif", 0.02), ("profile.png", 1e-6), ("profile.jpg", 0.2),
     ("pages.tif", 1e-6), ("rgba.png", 1e-6), ("rgba.tif", 1e-6), ("rgba.tga", 1e-6),
     ("five.tif", 1e-6), ("planes.tif", 1e-6), ("turned.tif", 1e-6), ("ten.tif", 1e-3),
     ("double.tif", 1e-6), ("half.tif", 1e-3), ("latin_text.png", 1e-6)],
)  # fmt: skip
def test_right(pictures: Path, name: str, tolerance: float) -> None:
    image = read_image(pictures / name)
    np.testing.assert_allclose(image.colour, COLOUR, atol=tolerance)
    assert image.header.has_alpha == name.startswith(("rgba", "five"))


@pytest.mark.parametrize("kind", ["png", "tif", "bmp"])
def test_palettes_single_bits_and_grey_are_as_pillow_has_them(pictures: Path, kind: str) -> None:
    from PIL import Image

    for name in ("palette", "bits", "grey_pillow"):
        expected = np.asarray(Image.open(pictures / f"{name}.{kind}").convert("RGB"), np.float32)
        found = read_image(pictures / f"{name}.{kind}").colour
        np.testing.assert_allclose(found, expected / 255, atol=1.1 / 255)


@pytest.mark.parametrize(
    ("name", "words"),
    [("lab.tif", "CIELAB"), ("int32.tif", "of type int"), ("int8.tif", "of type int8"),
     ("int16.tif", "of type int16"), ("palette.gif", "GIF files are not taken"),
     ("lying.png", "limit|too large"), ("bomb.png", "too small"),
     ("lying.tga", "cannot read"), ("lying.ppm", "limit|too large|too small|damaged"),
     ("lying.exr", "announces 2000000001×2000000001 pixels")],
)  # fmt: skip
def test_refused_by_name(pictures: Path, name: str, words: str) -> None:
    with pytest.raises(PlateError, match=words) as caught:
        read_image(pictures / name)
    assert caught.value.path == str(pictures / name)


def test_what_is_ignored_is_noted_once(pictures: Path) -> None:
    with open_plate(pictures / "latin_artist_turned.jpg") as plate:
        assert ["orientation 6" in note for note in plate.info.notes] == [True]
        assert plate.info.display_window.width == 64
    with open_plate(pictures / "pages.tif") as plate:
        assert any("more than one picture" in note for note in plate.info.notes)
    with open_plate(pictures / "profile.png") as plate:
        assert plate.info.notes == (
            "not carried to the mattes: ICCProfile (a profile of the plate's colour)",
        )
    assert read_header(pictures / "rgba.png").notes == ()


def bmp(path: Path, bits: int, packing: int, masks: tuple[int, ...], height: int = 4) -> Path:
    body = bytes(2000)
    place = 54 + 4 * len(masks)
    path.write_bytes(
        struct.pack("<2sIII", b"BM", place + len(body), 0, place)
        + struct.pack("<IiiHHIIiiII", 40, 4, height, 1, bits, packing, len(body), 0, 0, 0, 0)
        + struct.pack(f"<{len(masks)}I", *masks)
        + body
    )
    return path


def test_bmp_with_bits_in_unusual_places(tmp_path: Path) -> None:
    assert read_image(bmp(tmp_path / "a.bmp", 32, 3, (0xFF0000, 0xFF00, 0xFF))).pixels.shape
    with pytest.raises(PlateError, match="bit fields"):
        read_image(bmp(tmp_path / "a.bmp", 32, 3, (0xFF, 0xFF00, 0xFF0000)))
    with pytest.raises(PlateError, match="overlap"):
        read_image(bmp(tmp_path / "a.bmp", 8, 0, ()))


def test_exr_names_that_are_not_utf8(tmp_path: Path) -> None:
    extra = {f"Lumiere.{n}": p + 1 for n, p in planes().items()}
    path = write(tmp_path / "a.exr", planes() | extra)
    path.write_bytes(path.read_bytes().replace(b"Lumiere.", b"Lumi\xe8re."))
    assert read_exr_header(path).other_channels == ("Lumière.B", "Lumière.G", "Lumière.R")
    np.testing.assert_array_equal(read_image(path).colour[..., 0], planes()["R"])
    header = read_exr_header(path, layer="Lumière")
    assert header.channels == ("Lumière.R", "Lumière.G", "Lumière.B")
    np.testing.assert_array_equal(read_exr_pixels(header)[..., 0], extra["Lumiere.R"])


def test_deep_is_called_deep_and_flat_with_its_attribute_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.exr", planes())
    with_attribute(path, b"deepImageState", b"deepImageState", b"\x02")
    np.testing.assert_array_equal(read_image(path).colour[..., 1], planes()["G"])
    deep = bytearray(write(tmp_path / "deep.exr", planes()).read_bytes())
    deep[5] |= 0x08  # the flag of files with deep parts
    deep = deep.replace(b"scanlineimage", b"deepscanlines")
    (tmp_path / "deep.exr").write_bytes(bytes(deep))
    with pytest.raises(PlateError, match="is deep"):
        read_image(tmp_path / "deep.exr")


@pytest.mark.parametrize(
    ("names", "kind", "words"),
    [("RGB", np.uint32, "whole numbers"), ("XYZ", np.float32, "no picture"),
     ("Z", np.float32, "no picture"), ("U", np.float32, "no picture")],
)  # fmt: skip
def test_exr_channels_that_are_no_picture(
    tmp_path: Path, names: str, kind: type, words: str
) -> None:
    path = write(tmp_path / "a.exr", {n: p.astype(kind) for n, p in planes(names, float).items()})
    with pytest.raises(PlateError, match=words):
        read_image(path)


def test_exr_channels_by_name(tmp_path: Path) -> None:
    normals = {f"N.{name}": plane for name, plane in planes("XYZ").items()}
    path = write(tmp_path / "a.exr", planes("XYZ") | normals)
    np.testing.assert_array_equal(read_image(path, layer="Z").colour[..., 0], planes("XYZ")["Z"])
    np.testing.assert_array_equal(read_image(path, layer="N.Y").colour[..., 0], normals["N.Y"])
    with pytest.raises(PlateError, match="no layer 'N'"):
        read_exr_header(path, layer="N")
    beside = planes() | {f"{n}": p for n, p in planes("XYZ").items()}
    np.testing.assert_array_equal(
        read_image(write(tmp_path / "b.exr", beside)).colour[..., 2], planes()["B"]
    )


def test_an_alpha_of_whole_numbers_is_not_used(tmp_path: Path) -> None:
    path = write(tmp_path / "a.exr", planes() | {"A": np.ones((48, 64), np.uint32)})
    image = read_image(path)
    assert (image.header.channels, image.header.has_alpha) == (("R", "G", "B"), False)
    np.testing.assert_array_equal(image.colour[..., 1], planes()["G"])


def test_alpha_in_some_frames_and_other_capitals(tmp_path: Path) -> None:
    write(tmp_path / "p.1.exr", planes())
    write(tmp_path / "p.2.exr", planes("RGBA"))
    write(tmp_path / "p.3.exr", planes("rgb"))
    with open_plate(tmp_path) as plate:
        assert plate.info.unreadable == ()
        for number in (1, 2, 3):
            np.testing.assert_array_equal(
                plate.read(number).pixels[..., 0], next(iter(planes().values()))
            )


@pytest.mark.parametrize("corner", [(4000, 3000), (200_000, 200_000), (-1_000_000_000, 0)])
def test_a_far_window_is_that_frames_error(tmp_path: Path, corner: tuple[int, int]) -> None:
    for number in (1, 2, 3):
        window = box(*(corner if number == 2 else (0, 0)), 64, 48)
        write(tmp_path / f"p.{number}.exr", planes(), dataWindow=window,
              displayWindow=box(0, 0, 64, 48))  # fmt: skip
    with open_plate(tmp_path) as plate:
        assert (plate.info.canvas.shape, plate.info.unreadable) == ((48, 64), (2,))
        found = dict(plate.frames([1, 2, 3]))
        assert isinstance(found[1], Frame) and isinstance(found[3], Frame)
        error = found[2]
        assert isinstance(error, PlateError)
        assert "times its pixels" in error.what or "this machine has" in error.what
        assert (error.frame, error.path) == (2, str(tmp_path / "p.2.exr"))
        assert any("frame 2: its data window" in note for note in plate.info.notes)


def test_an_absurd_display_window_is_that_frames_error(tmp_path: Path) -> None:
    for number, size in ((1, 2_000_000), (2, 64)):
        write(tmp_path / f"p.{number}.exr", planes(), displayWindow=box(0, 0, size, size))
    with open_plate(tmp_path) as plate:
        assert plate.info.unreadable == (1,)
        assert isinstance(dict(plate.frames([1, 2]))[2], Frame)


def test_whatever_a_header_does_is_that_frames_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vfxmatte.io import sequence_plate

    for number in (1, 2, 3):
        write(tmp_path / f"p.{number}.exr", planes())

    def broken(path: Path, **options: object) -> object:
        if path.name == "p.2.exr":
            raise KeyError("unforeseen")
        return read_header(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(sequence_plate, "read_header", broken)
    with open_plate(tmp_path) as plate:
        found = dict(plate.frames([1, 2, 3]))
    error = found[2]
    assert isinstance(error, UnforeseenError) and "KeyError" in error.what
    assert (error.frame, error.path) == (2, str(tmp_path / "p.2.exr"))
    assert isinstance(found[3], Frame)


def test_no_cut_header_raises_anything_else(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.exr", planes(), owner="us").read_bytes()
    random = np.random.default_rng(0)
    for cut in range(0, 420, 7):
        (tmp_path / "a.exr").write_bytes(whole[:cut])
        with pytest.raises(PlateError):
            read_image(tmp_path / "a.exr")
        changed = bytearray(whole)
        for at in random.integers(4, 420, 4):
            changed[at] = random.integers(0, 256)
        (tmp_path / "a.exr").write_bytes(bytes(changed))
        try:
            read_image(tmp_path / "a.exr")
        except PlateError as error:
            assert error.path == str(tmp_path / "a.exr")


def test_the_conformance_script_judges_a_file(tmp_path: Path) -> None:
    """In a child process, with limits."""
    from tests.conformance.run_over import watched

    path = save(tmp_path / "a.tif", COLOUR, "uint8")
    outcome = watched(path, seconds=60, memory_mib=4096)
    assert outcome.outcome in ("right", "read, nothing to compare with"), outcome.detail
