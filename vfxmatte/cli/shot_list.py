"""The shots that a batch names: shot folders, folders of shots, patterns and list files.

A line of a list is what one types after `vfxmatte run`: a shot, and its own options. Paths in it
count from the list's folder.
"""

from __future__ import annotations

import contextlib
import glob
import itertools
import os
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import click

from vfxmatte.cli.shot_options import shot_options
from vfxmatte.common.paths import clean_path
from vfxmatte.editorial.names import unique_names
from vfxmatte.errors import ShotError, UsageError, VfxmatteError
from vfxmatte.io.sequence import is_hidden, is_movie
from vfxmatte.pipeline.options import shot_of
from vfxmatte.pipeline.shot import Shot
from vfxmatte.pipeline.shot_folder import PLATE_FOLDER, SETTINGS_FILE, TRIMAP_FOLDER

LIST_SUFFIXES = (".txt", ".list")


@dataclass(frozen=True, kw_only=True)
class ListedShot:
    """One shot of a batch."""

    name: str
    """Unique in the batch: the folder's name, with a parent's where two are called alike."""
    values: Mapping[str, Any]
    """Options by parameter name, see `pipeline.options.shot_of`."""
    source: str
    """The place that names it: the argument, or the list and its line."""

    def open(self) -> Shot:
        """Open the shot with its settings; raises VfxmatteError."""
        try:
            return shot_of(self.values)
        except VfxmatteError as error:
            raise error.at(shot=self.name) from error.__cause__


@dataclass(frozen=True, kw_only=True)
class ShotList:
    """The shots of a batch in their order."""

    shots: tuple[ListedShot, ...]
    notes: tuple[str, ...]
    """A sentence for each argument or folder that is left out."""
    home: Path
    """The folder of the list, else the one that holds all shots."""
    title: str
    """The list's name, else that of the folder."""


@dataclass
class _Reader:
    """Collects entries from arguments and lines."""

    common: Mapping[str, Any]
    is_one_of_many: bool
    """Whether there are several arguments, as a shell expands shots/*: strays are left out."""
    entries: list[ListedShot] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, values: Mapping[str, Any], source: str) -> None:
        """Add a shot, unless it is there already with the same options."""
        entry = ListedShot(name="", values={**self.common, **values}, source=source)
        if _key(entry) not in map(_key, self.entries):
            self.entries.append(entry)

    def add_named(self, place: Path, values: Mapping[str, Any], source: str) -> None:
        """Add what a path or pattern stands for.

        Raises:
            UsageError: a pattern that matches no shot, or a folder without any.
        """
        if place.is_dir() or not glob.has_magic(str(place)):
            try:
                self._add_folder(place, values, source)
            except OSError as error:
                what = f"this folder cannot be read: {error.strerror}"
                raise UsageError(what, path=place) from error
            return
        folders = [Path(name) for name in sorted(glob.glob(str(place))) if Path(name).is_dir()]
        shots = [folder for folder in folders if is_shot(folder)]
        if not shots:
            raise UsageError(f"no shot folder matches {place}", hint=_LOOKS)
        self._leave_out(set(folders) - set(shots))
        for folder in shots:
            self.add({**values, "shot": folder}, source)

    def _add_folder(self, place: Path, values: Mapping[str, Any], source: str) -> None:
        """Add a shot's folder, or every shot in a folder; a missing one fails when it is opened."""
        if is_shot(place) or not place.is_dir() or not any(place.iterdir()):
            self.add({**values, "shot": place}, source)
            return
        inside = sorted(p for p in place.iterdir() if p.is_dir() and not is_hidden(p.name))
        shots = [folder for folder in inside if is_shot(folder)]
        if not shots and not self.is_one_of_many:
            raise UsageError("no shot lies in this folder", path=place, hint=_LOOKS)
        self._leave_out(set(inside) - set(shots) if shots else {place})
        for folder in shots:
            self.add({**values, "shot": folder}, source)

    def _leave_out(self, folders: set[Path]) -> None:
        self.notes += [f"left out: {folder}, {_NO_SHOT}" for folder in sorted(folders)]


_NO_SHOT = f"which has no {PLATE_FOLDER}/, no {TRIMAP_FOLDER}/ and no {SETTINGS_FILE}"
_LOOKS = (
    f"a shot folder holds {PLATE_FOLDER}/ and {TRIMAP_FOLDER}/; shots that lie deeper are named by "
    "a pattern: 'show/*/sh*'"
)


def is_shot(folder: Path) -> bool:
    """Return True for a folder with a plate, keyframes or shot.toml in it."""
    try:
        return any(
            entry.name in (PLATE_FOLDER, TRIMAP_FOLDER, SETTINGS_FILE)
            or (entry.stem == PLATE_FOLDER and is_movie(entry))
            for entry in folder.iterdir()
        )
    except OSError:
        return False


def names_many(arguments: Sequence[str], values: Mapping[str, Any]) -> bool:
    """Return True unless arguments name one shot's folder, or none, for a single shot."""
    if len(arguments) != 1:
        return len(arguments) > 1
    place = clean_path(arguments[0])
    has_parts = values["plate"] is not None or values["trimaps"] is not None
    if place.is_dir():
        return not (is_shot(place) or has_parts)
    return place.is_file() or glob.has_magic(str(place))


def find_shots(arguments: Sequence[str], common: Mapping[str, Any]) -> ShotList:
    """Find the shots that arguments name; opens none.

    Args:
        arguments: shot folders, folders of shots, patterns, and list files.
        common: options of all shots by parameter name; `folder` gets a folder for each in it.

    Raises:
        UsageError: none is named, or a line of a list is not understood.
    """
    reader = _Reader({**common, "shot": None, "folder": None}, len(arguments) > 1)
    lists: list[Path] = []
    for text in arguments:
        place = clean_path(text)
        if not place.is_file():
            reader.add_named(place, {}, text)
        elif place.suffix.lower() in LIST_SUFFIXES:
            lists.append(place)
            _read_list(place, reader)
        elif reader.is_one_of_many:
            reader.notes.append(f"left out: {place}, neither a shot's folder nor a list")
        else:
            raise UsageError(
                "neither a shot's folder nor a list of shots",
                path=place,
                hint=f"lists are called NAME{' or NAME'.join(LIST_SUFFIXES)}, with a shot a line",
            )
    if not reader.entries:
        raise UsageError("no shots were given", hint="give folders, patterns or a list")
    shots = _placed(_named(reader.entries), common["folder"])
    home = _home(lists, shots)
    title = lists[0].stem if lists else home.name or "shots"
    return ShotList(shots=shots, notes=tuple(reader.notes), home=home, title=title)


def _home(lists: Sequence[Path], shots: Sequence[ListedShot]) -> Path:
    if lists:
        return lists[0].absolute().parent
    folders = [_place(shot).absolute().parent for shot in shots]
    try:
        return Path(os.path.commonpath(folders))
    except ValueError:  # on several drives
        return folders[0]


def _read_list(path: Path, reader: _Reader) -> None:
    """Add the shots of a list; raises UsageError that names list and line."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ShotError(f"this list of shots cannot be read: {error}", path=path) from error
    before = len(reader.entries)
    for number, line in enumerate(map(str.strip, lines), start=1):
        if not line or line.startswith("#"):
            continue
        try:
            _add_line(line, path.absolute().parent, reader, f"{path}, line {number}")
        except VfxmatteError as error:
            error.what = f"line {number}: {error.what}"
            raise error.at(path=path) from error.__cause__
    if len(reader.entries) == before:
        raise UsageError("this list names no shot", path=path, hint="write a shot's folder a line")


def _add_line(line: str, folder: Path, reader: _Reader, source: str) -> None:
    whole = folder / clean_path(line)
    if whole.exists():  # a path with white space needs no quotes
        _add_place(whole, {}, reader, source)
        return
    values = {name: _from(folder, name, value) for name, value in _parsed(line, folder).items()}
    extra = (*reader.common["extra"], *values.pop("extra", ()))
    values = {name: value for name, value in values.items() if value is not None}
    values["extra"] = extra
    place = values.pop("shot", None)
    if place is None:
        reader.add(values, source)
    else:
        _add_place(place, values, reader, source)


def _add_place(place: Path, values: Mapping[str, Any], reader: _Reader, source: str) -> None:
    if place.is_file():
        raise UsageError(f"{place} is no shot folder", hint="a list cannot name another list")
    reader.add_named(place, values, source)


@click.command(add_help_option=False)
@shot_options
def _line(**values: Any) -> None:
    """Take the options of a line, which are those of `run`."""


def _parsed(line: str, folder: Path) -> dict[str, Any]:
    """Parse a line of a list; raises UsageError."""
    lexer = shlex.shlex(line, posix=True)
    lexer.whitespace_split, lexer.commenters, lexer.escape = True, "", ""  # Windows paths have \
    try:
        words = list(itertools.takewhile(lambda word: word != "#", lexer))
        with contextlib.chdir(folder):  # where `exists` is checked
            return dict(_line.make_context("a list", words).params)
    except click.UsageError as error:
        raise UsageError(
            error.format_message().rstrip("."),
            hint="a line holds a shot's folder and options of `vfxmatte run`; quote white space",
        ) from error
    except ValueError as error:
        raise UsageError(f"a quote is missing: {line}") from error


def _from(folder: Path, name: str, value: Any) -> Any:
    """Return a line's value with paths that count from the list's folder."""
    if isinstance(value, Path):
        return folder / value
    return str(folder / clean_path(value)) if name == "plate" and value is not None else value


def _key(shot: ListedShot) -> Mapping[str, Any]:
    """Return the shot's options in a form that does not depend on how its folder is written."""
    folder = shot.values["shot"]
    return {**shot.values, "shot": folder and Path(os.path.realpath(folder))}


def _place(shot: ListedShot) -> Path:
    """Return the folder or file that names a shot: its folder, its output or its plate."""
    values = shot.values
    return Path(values["shot"] or values["folder"] or values["plate"] or ".")


def _named(shots: Sequence[ListedShot]) -> list[ListedShot]:
    """Give each shot a unique name; one that is named twice is numbered."""
    places = [_place(shot).absolute() for shot in shots]
    different = list(dict.fromkeys(places))
    names = dict(
        zip(different, unique_names([(place.name, place) for place in different]), strict=True)
    )
    taken: Counter[str] = Counter()
    named = []
    for shot, place in zip(shots, places, strict=True):
        name = names[place]
        taken[name] += 1
        suffix = f" ({taken[name]})" if taken[name] > 1 else ""
        named.append(replace(shot, name=f"{name}{suffix}"))
    return named


def _placed(shots: Sequence[ListedShot], output: Path | None) -> tuple[ListedShot, ...]:
    """Give each shot without an output of its own a folder in the batch's, if there is one."""
    if output is None:
        return tuple(shots)
    return tuple(
        shot
        if shot.values["folder"] is not None
        else replace(shot, values={**shot.values, "folder": output / shot.name})
        for shot in shots
    )
