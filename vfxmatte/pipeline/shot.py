"""A shot on disk: its plate, keyframe trimaps, settings and results.

    shot/plate/  (an image sequence or a movie)  or  shot/plate.mov
    shot/trimaps/NAME.FRAME.ext                  painted keyframes
    shot/keys/NAME.FRAME.ext                     finished mattes, which are keyframes too
    shot/garbage/, shot/core/                    mattes that limit alpha, see `limits`
    shot/cleanplate/                             what is behind the subject
    shot/shot.toml                               optional settings, see `settings.RunSettings`
    shot/matte/                                  results

Opening a shot reads names and headers, no pixels, and loads no torch.
"""

from __future__ import annotations

import hashlib
import threading
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from vfxmatte.colour import ColourConfig
from vfxmatte.common.configuration import changed, read_toml
from vfxmatte.common.paths import clean_path, is_same_place
from vfxmatte.common.wording import frames_text
from vfxmatte.errors import OutputError, ShotError, TrimapError, VfxmatteError, as_foreseen
from vfxmatte.io.plates import Plate, PlateInfo, open_plate
from vfxmatte.io.sequence import (
    find_sequence,
    frame_number,
    is_hidden,
    is_image,
    is_movie,
    split_pattern,
    whole_sequence,
)
from vfxmatte.io.stills.reading import read_image
from vfxmatte.pipeline.finished import finished_trimap
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.subject_names import find_subjects
from vfxmatte.trimaps import grow, labels_from_image, oddity, place
from vfxmatte.types import UNKNOWN, Trimap, numbers_as_text

PLATE_FOLDER = "plate"
TRIMAP_FOLDER = "trimaps"
MATTE_FOLDER = "matte"
SETTINGS_FILE = "shot.toml"
SIDE_FOLDERS = ("keys", "garbage", "core", "cleanplate")
"""Folders of a shot beside plate and trimaps; settings of the same names win over them."""
SHARED_FOLDERS = ("cleanplate",)
"""Those that all subjects share; the others hold a folder for each of several."""


@dataclass(frozen=True, kw_only=True)
class Shot:
    """The paths of a shot, and its settings."""

    name: str
    """For messages."""
    plate: Path
    """A folder, a file pattern or a movie; one file of an image sequence becomes its pattern."""
    keyframes: Mapping[int, Path]
    """The painted trimaps by frame number; {} for a shot with several subjects."""
    output: Path
    """The folder for results."""
    settings: RunSettings = field(default_factory=RunSettings)
    """From shot.toml, or the defaults."""
    named_by: Path | None = None
    """The one file that the plate's sequence was named by; None if the plate itself was."""
    sides: Mapping[str, Path] = field(default_factory=dict)
    """The folders of `SIDE_FOLDERS` that the shot's folder has, by name."""
    subjects: Mapping[str, Mapping[int, Path]] = field(default_factory=dict)
    """The painted trimaps of each of several subjects, by name, see `subjects`."""
    chosen: frozenset[str] = frozenset()
    """The subjects to matte; empty for all."""
    subject: str = ""
    """The subject that this is, as a shot of its own; "" for a shot that is none of several."""

    def __post_init__(self) -> None:
        named = clean_path(self.plate)
        plate = whole_sequence(named)
        if plate != named:
            object.__setattr__(self, "named_by", named)
        object.__setattr__(self, "plate", plate)
        object.__setattr__(self, "output", clean_path(self.output))

    @classmethod
    def open(cls, folder: str | Path, *, output: str | Path | None = None) -> Shot:
        """Open a shot folder.

        Raises:
            ShotError: no such folder, no plate, a broken shot.toml. UsageError: a setting in it
                that cannot be.
            TrimapError: the trimaps folder holds something that cannot be a keyframe.
        """
        folder = clean_path(folder)
        if folder.is_file():
            raise ShotError(
                "this is a file, not a shot folder",
                path=folder,
                hint="`vfxmatte paint MOVIE` makes a shot folder of a movie; "
                "`vfxmatte batch` and `vfxmatte farm` take lists named .txt or .list",
            )
        if not folder.is_dir():
            raise ShotError(
                "there is no such shot folder",
                path=folder,
                hint="a shot folder holds plate/ and trimaps/; see `vfxmatte run --help`",
            )
        name = folder.resolve().name
        try:
            shot = cls(
                name=name,
                plate=find_plate(folder),
                keyframes={},
                output=folder / MATTE_FOLDER if output is None else clean_path(output),
                settings=read_settings(folder / SETTINGS_FILE),
                sides=side_folders(folder),
            )
            return shot.with_keyframes(folder / TRIMAP_FOLDER)
        except VfxmatteError as error:
            raise error.at(shot=folder) from error.__cause__

    def open_plate(self, colours: ColourConfig, settings: RunSettings | None = None) -> Plate:
        """Open the plate.

        Args:
            settings: how to read it; None takes the shot's own.

        Raises:
            PlateError, ColourError: as their names say.
            OutputError: results would be written among the plate's files.
        """
        settings = settings or self.settings
        self.check_output()
        return open_plate(
            self.plate,
            layer=settings.layer,
            part=settings.part,
            colour_space=settings.colorspace,
            first_frame=settings.first_frame,
            config=colours,
        )

    @classmethod
    def from_parts(
        cls,
        *,
        plate: str | Path,
        trimaps: str | Path,
        output: str | Path,
        settings: RunSettings | None = None,
    ) -> Shot:
        """Make a shot of parts that lie anywhere.

        Args:
            plate: a folder, a pattern or a movie.
            trimaps: a folder of keyframes, or one trimap file.
            output: the folder for results.
            settings: None takes the defaults.
        """
        plate = clean_path(plate)
        split = None if plate.is_dir() else split_pattern(whole_sequence(plate).name)
        stem = split[0] if split else plate.stem
        shot = cls(
            name=stem.strip(" ._-") or plate.name,
            plate=plate,
            keyframes={},
            output=clean_path(output),
            settings=settings or RunSettings(),
        )
        return shot.with_keyframes(clean_path(trimaps))

    def with_keyframes(self, place: Path) -> Shot:
        """Return the shot with the keyframes in a folder, or those of the subjects in it.

        Raises:
            TrimapError: something that cannot be a keyframe.
            ShotError: a folder that cannot be a subject.
        """
        keyframes = find_keyframes(place)
        subjects = {} if keyframes else find_subjects(place, find_keyframes)
        return replace(self, keyframes=keyframes, subjects=subjects)

    @property
    def trimap_output(self) -> Path:
        """The folder that propagated trimaps are written to."""
        return self.output / TRIMAP_FOLDER

    def sides_with(self, settings: RunSettings) -> dict[str, Path]:
        """Return the places of `SIDE_FOLDERS` by name; settings win."""
        chosen = {name: getattr(settings, name) for name in SIDE_FOLDERS}
        return {**self.sides, **{name: place for name, place in chosen.items() if place}}

    def check_output(self) -> None:
        """Raise OutputError if results would be written among the plate or the keyframes."""
        inputs = {path.parent: "the painted keyframes" for path in self.keyframes.values()}
        for name, side in self.sides_with(self.settings).items():
            inputs.setdefault(side if side.is_dir() else side.parent, f"the files of {name}")
        for target in (self.output, self.trimap_output):
            self.check_apart(target)
            for folder, files in inputs.items():
                if is_same_place(target, folder):
                    raise _among(target, files)

    def check_apart(self, target: Path) -> None:
        """Raise OutputError if the folder to write to is the one that holds the plate."""
        folder = plate_folder(self.plate)
        if folder is not None and is_same_place(target, folder):
            raise _among(target, "the plate's files")


def plate_folder(plate: Path) -> Path | None:
    """Return the folder that must hold nothing but the plate; None for a movie file."""
    if plate.is_dir():
        return plate
    return None if is_movie(plate) else plate.parent


def _among(target: Path, files: str) -> OutputError:
    return OutputError(
        f"results would be written among {files}",
        path=target,
        hint="give another --output: the next run could not tell them apart",
    )


def find_plate(folder: Path) -> Path:
    """Return `plate/`, or a movie called `plate`; raises ShotError."""
    candidates = sorted(
        p
        for p in folder.iterdir()
        if not is_hidden(p.name)
        and ((p.is_dir() and p.name == PLATE_FOLDER) or (p.stem == PLATE_FOLDER and is_movie(p)))
    )
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        names = " and ".join(p.name for p in candidates)
        raise ShotError(f"the shot has more than one plate: {names}", hint="keep one of them")
    raise ShotError(
        "the shot has no plate",
        path=folder / PLATE_FOLDER,
        hint="put an image sequence or a movie into plate/, or a movie beside it as plate.mov",
    )


def side_folders(folder: Path | None) -> dict[str, Path]:
    """Return those of `SIDE_FOLDERS` that a shot's folder has and that are not empty, by name."""
    if folder is None:
        return {}
    places = {name: folder / name for name in SIDE_FOLDERS}
    return {name: place for name, place in places.items() if _holds_files(place)}


def _holds_files(place: Path) -> bool:
    return place.is_dir() and any(not is_hidden(path.name) for path in place.iterdir())


def read_settings(path: Path) -> RunSettings:
    """Read shot.toml; without one, return the defaults.

    The places of `SIDE_FOLDERS` are named in it relative to its folder.

    Raises:
        ShotError: it cannot be read.
        UsageError: an invalid setting.
    """
    if not path.is_file():
        return RunSettings()
    settings = changed(RunSettings(), read_toml(path, ShotError), path=path)
    places = {name: getattr(settings, name) for name in SIDE_FOLDERS}
    return replace(settings, **{n: path.parent / place for n, place in places.items() if place})


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
    found = find_keyframes(place, "finished matte")
    if found:
        return found
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
        self._unknown_px: dict[int, int] = {}

    def __getitem__(self, number: int) -> Trimap:
        with self._lock:
            if number not in self._labels:
                trimap = self._read(number)
                self._labels[number] = zlib.compress(trimap.labels.tobytes(), 1)
                self._unknown_px[number] = int(np.count_nonzero(trimap.labels == UNKNOWN))
                return trimap
            packed = self._labels[number]
        labels = np.frombuffer(bytearray(zlib.decompress(packed)), np.uint8)
        shape = self._plate.canvas.shape
        return Trimap(number=number, labels=labels.reshape(shape), is_keyframe=True)

    def unknown_px(self, number: int) -> int:
        """Return the unknown area of a keyframe."""
        if number not in self._unknown_px:
            self[number]
        return self._unknown_px[number]

    def _read(self, number: int) -> Trimap:
        path = self._paths[number]
        if number not in self._finished:
            return read_keyframe(path, number, self._plate, self._growth_px)
        found = finished_trimap(path, number, self._plate, self._growth_px)
        trimap, self._remarks[number] = found
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


def content_digest(path: Path) -> str:
    """Return a digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:24]
