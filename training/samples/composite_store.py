"""A store of finished composites on disk: picture, trimap, alpha priors and alpha as bytes.

A store is one file of equal records, `composites.bin`, which readers map into memory, and
`composites.json`, which says how many of them are whole. A maker appends records while trainings
already read from the front: a record counts once the header says so.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vfxmatte.errors import OutputError, TrainingError
from vfxmatte.io.temporary import renamed_when_whole
from vfxmatte.types import FloatImage, Labels

STORE_VERSION = 1
RECORDS, HEADER = "composites.bin", "composites.json"
BRIGHTEST = 1.2
"""The encoded value that byte 255 of a picture stands for: the end of the network's input curve."""

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, eq=False)
class Composite:
    """One finished training picture.

    image: (H, W, 3) float32, network-encoded. labels: (H, W) uint8 trimap of 0, 128, 255.
    priors: (H, W, n) float32 in [0, 1]. alpha: (H, W) float32 in [0, 1], the truth.
    """

    image: FloatImage
    labels: Labels
    priors: FloatImage
    alpha: FloatImage

    def as_bytes(self) -> Bytes:
        """One record, (4 + n + 1, H, W): the picture, the trimap, the priors and alpha."""
        planes = np.concatenate(
            (
                self.image / BRIGHTEST,
                self.labels[:, :, None] / 255,
                self.priors,
                self.alpha[:, :, None],
            ),
            axis=2,
        )
        whole = np.rint(planes.clip(0, 1) * 255).astype(np.uint8).transpose(2, 0, 1)
        return np.ascontiguousarray(whole)


class StoreWriter:
    """Appends records to a store, or goes on with one that is there; one writer at a time."""

    def __init__(
        self, folder: Path, *, side_px: int, priors: int, description: dict[str, Any]
    ) -> None:
        """Open or create the store.

        Args:
            description: plain values that say how the composites are made; a store that is there
                must have the same. `pack` in it is the digest of what they are made from.

        Raises:
            TrainingError: the store that is there was made otherwise, or from another pack.
        """
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._header = {
            "version": STORE_VERSION,
            "side_px": side_px,
            "priors": priors,
            "made": json.loads(json.dumps(description)),
        }
        self.count = self._kept()
        self._file = (folder / RECORDS).open("ab")
        self._file.truncate(self.count * self._record_bytes)  # what a killed maker left

    @property
    def _record_bytes(self) -> int:
        side, priors = int(self._header["side_px"]), int(self._header["priors"])
        return (5 + priors) * side * side

    def _kept(self) -> int:
        if not (self.folder / HEADER).is_file():
            return 0
        header = _read_header(self.folder)
        count = int(header.pop("count"))
        stored, current = header["made"], self._header["made"]
        # stores of earlier versions do not name their pack
        if "pack" in current and stored.setdefault("pack", current["pack"]) != current["pack"]:
            raise TrainingError(
                "the composites of this store were made from another pack",
                path=self.folder / HEADER,
                hint="go on with the pack that it was begun with, or choose another folder",
            )
        if header != self._header:
            raise TrainingError(
                "the composites of this store were made with other settings",
                path=self.folder / HEADER,
                hint="go on with the settings in that file, or choose another folder",
            )
        return count

    def append(self, composites: list[Composite]) -> None:
        """Write records, then the header that counts them.

        Raises:
            OutputError: the disk is full, or the like; the store holds what it held.
        """
        try:
            for composite in composites:
                self._file.write(composite.as_bytes().tobytes())
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise OutputError(
                f"composites cannot be written: {error}", path=self.folder / RECORDS
            ) from error
        self.count += len(composites)
        with renamed_when_whole(self.folder / HEADER) as partial:
            partial.write_text(json.dumps({**self._header, "count": self.count}, indent=1) + "\n")

    def close(self) -> None:
        self._file.close()


class StoreReader:
    """Reads records of a store that may still grow."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        header = _read_header(folder)
        self.side_px, self.priors = int(header["side_px"]), int(header["priors"])
        self._records: NDArray[np.uint8] = np.empty(0, np.uint8)
        self.refresh()

    def refresh(self) -> int:
        """Take in what was appended since; returns how many records there are."""
        count = int(_read_header(self.folder)["count"])
        if count > len(self._records):
            shape = (count, 5 + self.priors, self.side_px, self.side_px)
            try:
                self._records = np.memmap(self.folder / RECORDS, np.uint8, "r", shape=shape)
            except (OSError, ValueError) as error:
                raise TrainingError(
                    f"the store is damaged: {error}",
                    path=self.folder / RECORDS,
                    hint="make it again with vfxmatte-train composites",
                ) from error
        return len(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def labels(self, number: int) -> Labels:
        """(H, W) uint8 trimap of a record, 0, 128 or 255."""
        labels: Labels = self._records[number, 3]
        return labels

    def record(self, number: int) -> Bytes:
        """(5 + priors, H, W) bytes of a record, a copy."""
        return np.array(self._records[number])

    def crop(self, number: int, rows: slice, columns: slice) -> Bytes:
        """(5 + priors, h, w) bytes of a record, a copy."""
        return np.array(self._records[number, :, rows, columns])


def _read_header(folder: Path) -> dict[str, Any]:
    path = folder / HEADER
    try:
        header: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = header["version"]
    except FileNotFoundError as error:
        raise TrainingError(
            "there is no store of composites",
            path=path,
            hint="make one with: vfxmatte-train composites PACK -o FOLDER",
        ) from error
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise TrainingError(f"the store's header is damaged: {error!r}", path=path) from error
    if version != STORE_VERSION:
        raise TrainingError(
            f"the store has version {version}, this program reads {STORE_VERSION}", path=path
        )
    return header
