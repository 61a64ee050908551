"""The keyframes of a shot: painted trimaps and finished mattes, found by name and read."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import numpy as np

from vfxmatte.common.wording import frames_text
from vfxmatte.errors import ShotError, TrimapError, as_foreseen
from vfxmatte.io.plate import PlateInfo
from vfxmatte.io.sequence import find_sequence, frame_number, is_hidden, is_image
from vfxmatte.io.stills.reading import read_image
from vfxmatte.pipeline.finished import finished_trimap
from vfxmatte.trimaps import grow, labels_from_image, oddity, place
from vfxmatte.types import FOREGROUND, UNKNOWN, Labels, Trimap, numbers_as_text


def find_keyframes(place: Path, name: str = "trimap") -> dict[int, Path]:
    """Return the painted trimaps of a folder by frame number, ascending; {} without a folder.

    A single file is a keyframe by itself.

    Args:
        name: of the kind of keyframe, for messages: `finished matte` for those of `keys/`.

    Raises:
        TrimapError: a name has no frame number, or two files claim one frame.
    """
    if place.is_file():
        files = [place]
    elif place.is_dir():
        files = sorted(p for p in place.iterdir() if is_image(p) and not is_hidden(p.name))
    else:
        return {}
    keyframes: dict[int, Path] = {}
    for path in files:
        number = frame_number(path)
        if number is None:
            raise TrimapError(
                f"this {name}'s name has no frame number",
                path=path,
                hint=f"call it NAME.FRAME.ext, e.g. {name.split()[-1]}.1001{path.suffix}",
            )
        if number in keyframes:
            raise TrimapError(
                f"two {name}s claim frame {number}: {keyframes[number].name} and {path.name}",
                frame=number,
                path=path,
                hint="keep one of them",
            )
        keyframes[number] = path
    return dict(sorted(keyframes.items()))


def find_finished(place: Path) -> dict[int, Path]:
    """Return finished mattes by frame number, ascending, from a folder, a pattern or a file.

    Raises:
        ShotError: there are none.
        TrimapError: see `find_keyframes`.
    """
    mattes = find_keyframes(place, "finished matte")
    if mattes:
        return mattes
    sequence = find_sequence(place)
    return {number: sequence.path(number) for number in sequence.numbers}


def read_keyframe(path: Path, number: int, plate: PlateInfo, growth_px: float = 0.0) -> Trimap:
    """Read a painted trimap over the plate's canvas, its band widened by `growth_px`.

    Raises:
        TrimapError: unreadable, of another size than the plate (both sizes are named), or NaN.
    """
    try:
        image = read_image(path)
        labels = labels_from_image(image.pixels, image.header.channels)
        window = image.header.data_window if path.suffix.lower() == ".exr" else None
        labels = place(
            labels,
            window,
            canvas=plate.canvas,
            display_window=plate.display_window,
        )
    except TrimapError as error:
        raise error.at(frame=number, path=path) from error.__cause__
    except Exception as error:
        raise TrimapError(
            f"this trimap cannot be read: {as_foreseen(error).what}", frame=number, path=path
        ) from error
    return Trimap(number=number, labels=grow(labels, growth_px), is_keyframe=True)


class Keyframes(Mapping[int, Trimap]):
    """The painted trimaps and those of finished mattes, each read when it is first needed.

    A shot may have many, so they are held compressed. Thread safe.
    """

    def __init__(
        self,
        paths: Mapping[int, Path],
        plate: PlateInfo,
        growth_px: float,
        finished: Collection[int] = (),
    ) -> None:
        """
        Args:
            paths: by frame number.
            finished: the numbers of those that are finished mattes.
        """
        self._paths, self._plate, self._growth_px = paths, plate, growth_px
        self._finished = finished
        self._lock = threading.Lock()
        self._oddities: list[str] | None = None
        self._remarks: dict[int, str] = {}
        self._labels: dict[int, bytes] = {}
        self._areas: dict[int, tuple[int, int]] = {}

    def __getitem__(self, number: int) -> Trimap:
        with self._lock:
            if number not in self._labels:
                trimap = self._read(number)
                self._labels[number] = zlib.compress(trimap.labels.tobytes(), 1)
                self._areas[number] = _areas(trimap.labels)
                return trimap
            packed = self._labels[number]
        labels = np.frombuffer(bytearray(zlib.decompress(packed)), np.uint8)
        shape = self._plate.canvas.shape
        return Trimap(number=number, labels=labels.reshape(shape), is_keyframe=True)

    def areas_px(self, number: int) -> tuple[int, int]:
        """Return the areas of a keyframe that are unknown and foreground."""
        if number not in self._areas:
            self[number]
        return self._areas[number]

    def _read(self, number: int) -> Trimap:
        path = self._paths[number]
        if number not in self._finished:
            return read_keyframe(path, number, self._plate, self._growth_px)
        trimap, remark = finished_trimap(path, number, self._plate, self._growth_px)
        self._remarks[number] = remark
        return trimap

    def __iter__(self) -> Iterator[int]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def check(self) -> list[str]:
        """Read all, so that a bad one is reported before hours of work; raises TrimapError.

        Returns:
            A sentence for each keyframe that is odd.
        """
        if self._oddities is None:
            oddities = {number: self._oddity(number) for number in self}
            self._oddities = [f"keyframe {n}: {text}" for n, text in oddities.items() if text]
        return self._oddities

    def _oddity(self, number: int) -> str:
        labels = self[number].labels  # reads it; a finished matte may well be empty or full
        return self._remarks[number] if number in self._finished else oddity(labels)


def _areas(labels: Labels) -> tuple[int, int]:
    unknown, foreground = (np.count_nonzero(labels == label) for label in (UNKNOWN, FOREGROUND))
    return int(unknown), int(foreground)


def keyframes_in(keyframes: Mapping[int, Path], plate: PlateInfo) -> dict[int, Path]:
    """Return the keyframes on frames of the plate.

    Raises:
        ShotError: no keyframe at all, or none on a frame of the plate.
    """
    if not keyframes:
        raise ShotError(
            "the shot has no keyframe trimap",
            hint="paint one (0 background, 0.5 unknown, 1 foreground) into trimaps/, or make one "
            "from a roto with `vfxmatte trimap from-matte`; or put a finished matte into keys/",
        )
    inside = {number: path for number, path in keyframes.items() if number in plate.numbers}
    if not inside:
        raise ShotError(
            "no keyframe stands on a frame of the plate: "
            f"{frames_text(keyframes, noun='keyframe')}, plate {numbers_as_text(plate.numbers)}",
            hint="frame numbers of trimaps and plate must agree",
        )
    return inside
