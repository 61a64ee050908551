"""A training library in one file: elements, backgrounds and the held-out split.

A pack is an uncompressed zip: `index.json`, one picture for the colour and one for the alpha of
every element (lossless by default), one JPEG per background. It is made where the library's
formats can be read, and copied to the machine that trains, which opens it with NumPy and OpenCV.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vfxmatte.errors import OutputError, TrainingError
from vfxmatte.io.temporary import renamed_when_whole

PACK_VERSION = 1

_WEBP_LONGEST_SIDE_PX = 16383
_WEBP_LOSSLESS = 101  # OpenCV's quality above 100


@dataclass(frozen=True, kw_only=True, eq=False)
class Element:
    """One foreground with its coverage."""

    name: str
    kind: str
    colour: NDArray[np.uint8]
    """(H, W, 3) RGB, straight (un-premultiplied), sRGB-encoded, defined everywhere."""
    alpha: NDArray[np.uint8] | NDArray[np.uint16]
    """(H, W) linear coverage; the dtype's maximum is fully opaque."""
    sequence: str | None = None
    """The sequence that the element is a frame of."""
    frame: int | None = None
    """Its frame number."""

    def __post_init__(self) -> None:
        _check_colour(self.name, self.colour)
        if self.alpha.dtype not in (np.uint8, np.uint16):
            raise ValueError(f"{self.name}: alpha must be uint8 or uint16: {self.alpha.dtype}")
        if self.alpha.shape != self.colour.shape[:2]:
            raise ValueError(f"{self.name}: alpha {self.alpha.shape}, colour {self.colour.shape}")

    def __repr__(self) -> str:
        return f"Element({self.name!r}, {self.kind!r}, {self.alpha.shape})"


@dataclass(frozen=True, kw_only=True, eq=False)
class Background:
    """One background."""

    name: str
    colour: NDArray[np.uint8]
    """(H, W, 3) RGB, sRGB-encoded."""

    def __post_init__(self) -> None:
        _check_colour(self.name, self.colour)

    def __repr__(self) -> str:
        return f"Background({self.name!r}, {self.colour.shape[:2]})"


@dataclass(frozen=True, kw_only=True, eq=False)
class Pack:
    """The pictures of a training and its validation."""

    elements: tuple[Element, ...]
    backgrounds: tuple[Background, ...]
    held_out: frozenset[str] = frozenset()
    """Elements that training never sees, by name."""
    held_out_backgrounds: frozenset[str] = frozenset()
    """Backgrounds that training never sees, by name."""
    notes: str = ""
    """Where the pictures come from, and their terms."""
    split_seed: int | None = None

    def __post_init__(self) -> None:
        _check_names("element", [e.name for e in self.elements], self.held_out)
        _check_names("background", [b.name for b in self.backgrounds], self.held_out_backgrounds)

    def training(self) -> Pack:
        """Return the part that is trained on."""
        return replace(
            self,
            elements=tuple(e for e in self.elements if e.name not in self.held_out),
            backgrounds=tuple(
                b for b in self.backgrounds if b.name not in self.held_out_backgrounds
            ),
            held_out=frozenset(),
            held_out_backgrounds=frozenset(),
        )

    def validation(self) -> Pack:
        """Return the held-out part; with all backgrounds if none are held out."""
        names = self.held_out_backgrounds or {b.name for b in self.backgrounds}
        return replace(
            self,
            elements=tuple(e for e in self.elements if e.name in self.held_out),
            backgrounds=tuple(b for b in self.backgrounds if b.name in names),
        )

    def digest(self) -> str:
        """Compute a digest of the names and pixels of all pictures, in order."""
        planes: list[tuple[str, NDArray[Any]]] = [(b.name, b.colour) for b in self.backgrounds]
        for element in self.elements:
            planes += [(element.name, element.colour), (element.name, element.alpha)]
        digest = hashlib.sha256()
        for name, picture in planes:
            digest.update(f"{name} {picture.dtype} {picture.shape}\n".encode())
            digest.update(picture.tobytes())
        return digest.hexdigest()[:24]

    @property
    def is_empty(self) -> bool:
        """Return True if nothing can be composited from it."""
        return not self.elements or not self.backgrounds

    def __repr__(self) -> str:
        return (
            f"Pack({len(self.elements)} elements, {len(self.held_out)} of them held out; "
            f"{len(self.backgrounds)} backgrounds)"
        )


def _check_colour(name: str, colour: NDArray[np.uint8]) -> None:
    if colour.dtype != np.uint8 or colour.ndim != 3 or colour.shape[2] != 3 or not colour.size:
        raise ValueError(
            f"{name}: colour must be (H, W, 3) uint8, found {colour.dtype} {colour.shape}"
        )


def _check_names(what: str, names: list[str], held_out: frozenset[str]) -> None:
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"two {what}s are named {twice!r}")
    if unknown := held_out - set(names):
        raise ValueError(f"held-out {what} {min(unknown)!r} is not in the pack")


def write_pack(
    path: str | Path,
    pack: Pack,
    *,
    background_quality: int = 95,
    colour_quality: int | None = None,
) -> None:
    """Write `pack` to one file.

    Alpha is always lossless. The file appears under its name only when it is complete.

    Args:
        path: the file.
        pack: its contents.
        background_quality: JPEG quality of backgrounds, 1 to 100.
        colour_quality: WebP quality of elements' colour, 1 to 100; None is lossless.

    Raises:
        OutputError: the file cannot be written.
    """
    path = Path(path)
    try:
        with renamed_when_whole(path) as partial, zipfile.ZipFile(partial, "w") as archive:
            _write_members(archive, pack, background_quality, colour_quality or _WEBP_LOSSLESS)
    except OutputError as error:
        raise OutputError(f"the pack cannot be written: {error.__cause__}", path=path) from error


def _write_members(
    archive: zipfile.ZipFile, pack: Pack, background_quality: int, colour_quality: int
) -> None:
    elements: list[dict[str, Any]] = []
    backgrounds: list[dict[str, Any]] = []
    for number, element in enumerate(pack.elements):
        stem, colour = f"elements/{number:05d}", _encode_colour(element.colour, colour_quality)
        elements.append({
            "name": element.name, "kind": element.kind, "held_out": element.name in pack.held_out,
            "sequence": element.sequence, "frame": element.frame,
            "colour": _add(archive, f"{stem}.colour", *colour),
            "alpha": _add(archive, f"{stem}.alpha", *_encode_png(element.alpha)),
        })  # fmt: skip
    for number, background in enumerate(pack.backgrounds):
        data = _encode(".jpg", background.colour, cv2.IMWRITE_JPEG_QUALITY, background_quality)
        backgrounds.append({
            "name": background.name, "held_out": background.name in pack.held_out_backgrounds,
            "colour": _add(archive, f"backgrounds/{number:05d}", ".jpg", data),
        })  # fmt: skip
    index = {"version": PACK_VERSION, "notes": pack.notes, "split_seed": pack.split_seed}
    index |= {"elements": elements, "backgrounds": backgrounds}
    _add(archive, "index", ".json", json.dumps(index, indent=1).encode())


def _add(archive: zipfile.ZipFile, stem: str, suffix: str, data: bytes) -> str:
    # ZipInfo has a fixed date, so that the same library always gives the same bytes.
    archive.writestr(zipfile.ZipInfo(stem + suffix), data)
    return stem + suffix


def _encode(suffix: str, picture: NDArray[Any], *options: int) -> bytes:
    if picture.ndim == 3:
        picture = np.ascontiguousarray(picture[..., ::-1])
    return cv2.imencode(suffix, picture, options)[1].tobytes()


def _encode_png(picture: NDArray[Any]) -> tuple[str, bytes]:
    return ".png", _encode(".png", picture, cv2.IMWRITE_PNG_COMPRESSION, 9)


def _encode_colour(colour: NDArray[np.uint8], quality: int) -> tuple[str, bytes]:
    if max(colour.shape) > _WEBP_LONGEST_SIDE_PX:
        return _encode_png(colour)
    return ".webp", _encode(".webp", colour, cv2.IMWRITE_WEBP_QUALITY, quality)


def read_pack(path: str | Path) -> Pack:
    """Read a pack; all its pictures are decoded into memory.

    Raises:
        TrainingError: the file is missing, damaged, not a pack, or of a newer version.
    """
    path = Path(path)
    if not path.is_file():
        raise TrainingError("there is no such pack", path=path, hint=_HOW_TO_PACK)
    try:
        with zipfile.ZipFile(path) as archive:
            return _read_members(archive, path)
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError, EOFError, OSError) as error:
        raise TrainingError(
            f"the pack is damaged or not a pack: {error}", path=path, hint=_HOW_TO_PACK
        ) from error


_HOW_TO_PACK = "make it with: vfxmatte-train pack FOREGROUNDS --backgrounds FOLDER -o FILE"


def _read_members(archive: zipfile.ZipFile, path: Path) -> Pack:
    index = json.loads(archive.read("index.json"))
    if index["version"] != PACK_VERSION:
        raise TrainingError(
            f"the pack has version {index['version']}, this program reads {PACK_VERSION}",
            path=path,
            hint=_HOW_TO_PACK,
        )

    def picture(member: str) -> NDArray[Any]:
        return _decode(member, archive.read(member))

    return Pack(
        elements=tuple(_read_element(entry, picture) for entry in index["elements"]),
        backgrounds=tuple(
            Background(name=entry["name"], colour=picture(entry["colour"]))
            for entry in index["backgrounds"]
        ),
        held_out=_held_out(index["elements"]),
        held_out_backgrounds=_held_out(index["backgrounds"]),
        notes=index["notes"],
        split_seed=index["split_seed"],
    )


def _read_element(entry: dict[str, Any], picture: Callable[[str], NDArray[Any]]) -> Element:
    return Element(
        name=entry["name"],
        kind=entry["kind"],
        colour=picture(entry["colour"]),
        alpha=picture(entry["alpha"]),
        sequence=entry["sequence"],
        frame=entry["frame"],
    )


def _held_out(entries: Iterable[dict[str, Any]]) -> frozenset[str]:
    return frozenset(entry["name"] for entry in entries if entry["held_out"])


def _decode(member: str, data: bytes) -> NDArray[Any]:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise ValueError(f"{member} cannot be decoded")
    if picture.ndim == 3:
        picture = np.ascontiguousarray(picture[..., ::-1])
    return picture
