"""Metadata never costs a matte: carried, repaired, or left out with a note; decided by writing."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest

from tests.conformance.odd_files import planes, with_attribute, write
from vfxmatte.io.attributes import carried, left_out_note
from vfxmatte.io.exr import read_exr_header, read_exr_pixels
from vfxmatte.io.images import read_image
from vfxmatte.io.plates import open_plate
from vfxmatte.io.writers import OutputSettings, write_matte
from vfxmatte.types import Matte

HELD: dict[str, Any] = {
    "text": "Jürgen", "latin": "J\udcfcrgen", "empty": "", "count": 7, "flag": True, "big": 2**40,
    "float": 1.5, "infinite": float("inf"), "not a number": float("nan"), "wide": 1e30,
    "rate": Fraction(24000, 1001), "numpy": np.float32(2.5), "whole": np.int64(3),
    "pair": (1, 2), "three": [1.0, 2.0, 3.0], "five": [1, 2, 3, 4, 5], "nine": tuple(range(9)),
    "texts": ("a", "b"), "matrix": np.eye(3, dtype=np.float32), "bytes": b"abc",
    "array": np.arange(5, dtype=np.uint8), "v2": np.array([1, 2], np.float32),
    "box": (np.array([0, 1], np.int32), np.array([2, 3], np.int32)),
    "timeCode": "01:02:03:04", "framesPerSecond": 23.976,
    "x" * 200: "a long name", "n\udcfcme": "a name in Latin-1",
}  # fmt: skip
LEFT_OUT: dict[str, Any] = {
    "object": object(), "nothing": None, "map": {"a": 1}, "mixed": [1, "a"], "huge": 1e300,
    "ICCProfile": np.arange(9, dtype=np.uint8), "ICCProfile:model": "0", "": "no name",
    "x" * 300: "too long a name", "chromaticities": "no numbers", "channels": "its own",
    "compression": "its own", "vast": 10**400, "bigger": Fraction(2**40 + 1, 3),
}  # fmt: skip


def through(tmp_path: Path, metadata: dict[str, Any]) -> dict[str, Any]:
    """The attributes of a matte made from a frame with this metadata."""
    write(tmp_path / "plate.1001.exr", planes())
    with open_plate(tmp_path) as plate:
        frame = plate.read(1001)
    object.__setattr__(frame, "metadata", metadata)
    alpha = np.zeros(frame.canvas.shape, np.float32)
    path = write_matte(Matte(number=1001, alpha=alpha), frame, OutputSettings(), tmp_path / "m.exr")
    return dict(read_exr_header(path).metadata)


@pytest.mark.parametrize("name", HELD, ids=lambda name: name[:12].encode("ascii", "replace"))
def test_what_exr_can_hold_is_carried(tmp_path: Path, name: str) -> None:
    assert carried({name: HELD[name]}).left_out == {}
    assert set(through(tmp_path, {name: HELD[name]})) - {"pixelAspectRatio"} != set()


@pytest.mark.parametrize("name", LEFT_OUT, ids=lambda name: name[:12] or "no name")
def test_what_exr_cannot_hold_is_left_out_and_named(tmp_path: Path, name: str) -> None:
    result = carried({"owner": "us", name: LEFT_OUT[name]})
    assert set(result.values) == {"owner"}
    assert list(result.left_out) == [name.partition(":")[0]]
    assert name[:10].partition(":")[0] in left_out_note(result.left_out)
    assert through(tmp_path, {"owner": "us", name: LEFT_OUT[name]})["owner"] == "us"


def test_values_come_back_the_same_or_repaired(tmp_path: Path) -> None:
    found = through(tmp_path, HELD | LEFT_OUT)
    assert found["text"] == found["latin"] == "Jürgen"
    assert found["näme".replace("ä", "ü")] == "a name in Latin-1"
    assert (found["count"], found["big"], found["rate"]) == (7, 2**40, Fraction(24000, 1001))
    assert found["framesPerSecond"] == Fraction(24000, 1001)
    assert found["texts"] == ["a", "b"] and found["five"] == [1, 2, 3, 4, 5]
    assert str(found["timeCode"]).startswith("(1, 2, 3, 4")
    np.testing.assert_array_equal(found["matrix"], np.eye(3))


ATTRIBUTES = {
    "owner": (b"string", "Jürgen".encode("latin-1"), "Jürgen"),
    "comments": (b"string", "合成".encode("shift_jis"), None),
    "many": (b"stringvector", b"\x02\0\0\0a\xe4", ["aä"]),
    "studio": (b"studioStuff", bytes(range(40)), bytes(range(40))),
    "timeCode": (b"timecode", b"\xff" * 8, None),
    "framesPerSecond": (b"rational", bytes(8), None),
    "precise": (b"double", struct.pack("<d", 0.1), pytest.approx(0.1)),
    "keyCode": (b"keycode", b"\xff" * 28, None),
    "deepImageState": (b"deepImageState", b"\x02", None),
}


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_attributes_that_the_openexr_module_refuses(tmp_path: Path, name: str) -> None:
    kind, payload, expected = ATTRIBUTES[name]
    path = write(tmp_path / "plate.1001.exr", planes())
    with_attribute(path, name.encode(), kind, payload)
    with open_plate(tmp_path) as plate:
        frame = plate.read(1001)
        notes = plate.info.notes
    np.testing.assert_array_equal(frame.pixels[..., 0], planes()["R"].astype(np.float32))
    alpha = np.zeros(frame.canvas.shape, np.float32)
    matte = write_matte(Matte(number=1, alpha=alpha), frame, OutputSettings(), tmp_path / "m.exr")
    found = read_exr_header(matte).metadata.get(name)
    found = bytes(found.data) if isinstance(found, OpenEXR.OpaqueAttribute) else found
    if expected is not None:
        assert found == expected
    elif found is None and name != "deepImageState":  # it would say how the matte's pixels lie
        assert any(name in note for note in notes)


def tiles(mode: object) -> object:
    description = OpenEXR.TileDescription()
    description.xSize = description.ySize = 16
    description.mode = mode
    return description


@pytest.mark.parametrize("mode", [OpenEXR.ONE_LEVEL, OpenEXR.MIPMAP_LEVELS])
def test_tiles_with_an_attribute_that_nobody_knows(tmp_path: Path, mode: object) -> None:
    path = write(tmp_path / "a.exr", planes(), type=OpenEXR.tiledimage, tiles=tiles(mode))
    with_attribute(path, b"deepImageState", b"deepImageState", b"\x02")
    with_attribute(path, b"owner", b"string", b"J\xfcrgen")
    image = read_image(path)
    assert image.header.metadata["owner"] == "Jürgen"
    np.testing.assert_array_equal(image.colour[..., 0], planes()["R"])


def test_parts_with_names_and_texts_that_are_not_utf8(tmp_path: Path) -> None:
    header = {"type": OpenEXR.scanlineimage, "owner": "JXrgen"}
    parts = [
        OpenEXR.Part(dict(header), {n: p + i for n, p in planes().items()}, f"hXir{i}")
        for i in range(2)
    ]
    path = tmp_path / "a.exr"
    OpenEXR.File(parts).write(str(path))
    data = path.read_bytes().replace(b"JXrgen", b"J\xfcrgen").replace(b"hXir", b"h\xe4ir")
    path.write_bytes(data)
    for part in (1, "häir1"):
        found = read_exr_header(path, part=part)
        assert (found.part, found.metadata["owner"]) == (1, "Jürgen")
        np.testing.assert_array_equal(read_exr_pixels(found)[..., 0], planes()["R"] + 1)


def test_every_type_is_read_as_the_openexr_module_reads_it(tmp_path: Path) -> None:
    values: dict[str, Any] = {
        "a": 1, "b": 1.5, "c": "é", "d": ["a", "b"], "e": [1.0, 2.0], "f": Fraction(1, 3),
        "g": OpenEXR.TimeCode(23, 59, 58, 29, 1, 0, 1, 0, 1, 0, *range(8)),
        "h": OpenEXR.KeyCode(1, 2, 3, 4, 5, 4, 64), "i": tuple(float(i) for i in range(8)),
        "j": OpenEXR.Envmap(1), "k": np.eye(4), "l": np.array([1, 2, 3], np.int32),
        "m": np.array([1, 2], np.float64), "n": np.eye(3, dtype=np.float32),
        "o": (np.array([1, 2], np.float32), np.array([3, 4], np.float32)),
    }  # fmt: skip
    path = write(tmp_path / "a.exr", planes(), **values)
    theirs = OpenEXR.File(str(path), separate_channels=True, header_only=True).parts[0].header
    ours = read_exr_header(path).metadata
    for name in values:
        assert type(ours[name]) is type(theirs[name]), name
        assert str(ours[name]) == str(theirs[name]), name


def test_a_disk_without_room_is_not_taken_for_a_bad_attribute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vfxmatte.errors import OutputError

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(OutputError, match="temporary files cannot be written"):
        carried({"never seen before": 12345})
