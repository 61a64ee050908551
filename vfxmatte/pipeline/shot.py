"""A shot on disk: its plate, keyframe trimaps, settings and results.

Opening a shot reads names and headers, no pixels, and loads no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from vfxmatte.colour import ColourConfig
from vfxmatte.common.paths import clean_path, is_same_place
from vfxmatte.errors import OutputError, ShotError, VfxmatteError
from vfxmatte.io.plate import Plate
from vfxmatte.io.plates import open_plate
from vfxmatte.io.sequence import split_pattern, whole_sequence
from vfxmatte.pipeline.keyframes import find_keyframes
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot_folder import (
    MATTE_FOLDER,
    SETTINGS_FILE,
    SIDE_FOLDERS,
    TRIMAP_FOLDER,
    empty_folders,
    find_plate,
    plate_folder,
    read_settings,
    side_folders,
)
from vfxmatte.pipeline.subject_names import find_subjects


@dataclass(frozen=True, kw_only=True)
class Shot:
    """The paths of a shot, and its settings."""

    name: str
    """The name shown in messages."""
    plate: Path
    """A folder, a file pattern or a movie; one file of an image sequence becomes its pattern."""
    keyframes: Mapping[int, Path]
    """The painted trimaps by frame number; {} for a shot with several subjects."""
    output: Path
    """The folder for results."""
    settings: RunSettings = field(default_factory=RunSettings)
    """The settings of shot.toml, or the defaults."""
    named_by: Path | None = None
    """The one file that the plate's sequence was named by; None if the plate itself was."""
    sides: Mapping[str, Path] = field(default_factory=dict)
    """The folders of `SIDE_FOLDERS` that the shot's folder has, by name."""
    empty: tuple[Path, ...] = ()
    """The folders of `SIDE_FOLDERS` that the shot's folder has and that are empty."""
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
                empty=empty_folders(folder),
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


def _among(target: Path, files: str) -> OutputError:
    return OutputError(
        f"results would be written among {files}",
        path=target,
        hint="give another --output: the next run could not tell them apart",
    )
