"""Locations of a cut's media on this machine: mapped roots, and folders to search."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vfxmatte.common.paths import as_on_disk, clean_path
from vfxmatte.errors import ShotError, UsageError
from vfxmatte.io.sequence import find_media, is_image, list_sequences, whole_sequence
from vfxmatte.pipeline.shot_folder import PLATE_FOLDER

SEARCH_VARIABLE = "VFXMATTE_MEDIA"
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True, kw_only=True)
class Places:
    """Converts addresses of another machine to paths of this one."""

    maps: tuple[tuple[str, Path], ...] = ()
    """Pairs of a root on the other machine and the corresponding folder here."""
    folders: tuple[Path, ...] = ()
    """Folders to search for media that are not where the cut says."""

    @classmethod
    def of(cls, maps: Sequence[str], folders: Sequence[Path]) -> Places:
        """Parse `FROM=TO` texts, and append the folders of $VFXMATTE_MEDIA; raises UsageError."""
        variable = os.environ.get(SEARCH_VARIABLE, "").split(os.pathsep)
        named = [Path(name) for name in variable if name.strip()]
        searched = [clean_path(one) for one in (*folders, *named)]
        return cls(maps=tuple(map(_map, maps)), folders=tuple(searched))

    def mapped(self, path: str) -> Path | None:
        """Map a path of another machine by the longest matching root, if any."""
        fitting = [(len(_parts(root)), root, to) for root, to in self.maps if _below(path, root)]
        if not fitting:
            return None
        count, _, to = max(fitting, key=lambda one: one[0])
        return to.joinpath(*_split(path)[count:])

    def find(self, path: str) -> Path | None:
        """Return the existing path in the folders that shares the longest end with `path`, if any.

        Raises ShotError if several folders have it.
        """
        parts = [part for part in _split(path) if part not in ("", ".", "..")]
        if parts and _DRIVE.fullmatch(parts[0]):
            parts = parts[1:]
        for start in range(len(parts)):
            candidates = [self._whole(folder, parts[start:]) for folder in self.folders]
            matches = list(dict.fromkeys(one for one in candidates if one is not None))
            if len(matches) > 1:
                raise _several(path, matches)
            if matches:
                return matches[0]
        return None

    def named(self, names: Sequence[str]) -> Path | None:
        """Return the movie, sequence or shot folder of one of these names in the folders, if any.

        Raises ShotError if several have it.
        """
        for name in names:
            matches = list(dict.fromkeys(p for f in self.folders for p in _called(f, name)))
            if len(matches) > 1:
                raise _several(name, matches)
            if matches:
                return matches[0]
        return None

    def _whole(self, folder: Path, parts: Sequence[str]) -> Path | None:
        path = as_on_disk(folder.joinpath(*parts))
        return path if is_there(path) else None


def is_there(path: Path) -> bool:
    """Return True for a file, a folder, or a pattern of files."""
    if path.exists():
        return True
    try:
        find_media(path)
    except ShotError:
        return False
    return True


def _map(text: str) -> tuple[str, Path]:
    root, sign, place = text.partition("=")
    if not sign or not root.strip() or not place.strip():
        raise UsageError(
            f"--map {text!r} is not understood",
            hint=r"write --map FROM=TO, such as --map P:\shows=/mnt/shows",
        )
    return as_address(root.strip()), clean_path(place)


def as_address(text: str) -> str:
    """Convert a path to forward slashes; `smb://` and the like become `//server/share`."""
    text = re.sub(r"^(?:file|smb|cifs|afp|nfs):(?=//)", "", text, flags=re.IGNORECASE)
    text = text.replace("\\", "/") if _is_windows(text) else text
    text = re.sub(r"^//localhost(?=/)|^//(?=/)", "", text)
    return re.sub(r"^/+(?=[A-Za-z]:)", "", text)  # file:///P:/ and file://P:/


def _is_windows(text: str) -> bool:
    return bool(_DRIVE.match(text)) or text.startswith("\\\\") or "/" not in text


def is_foreign(path: str) -> bool:
    """Return True for a drive or server path on a system without these."""
    return os.name != "nt" and (bool(_DRIVE.match(path)) or path.startswith("//"))


def _split(path: str) -> list[str]:
    return as_address(path).split("/")


def _parts(root: str) -> list[str]:
    return _split(root.rstrip("/")) if root.rstrip("/") else [""]


def _below(path: str, root: str) -> bool:
    """Return True if a path lies in a root; drives and servers ignore case."""
    whole, head = _split(path), _parts(root)
    loose = bool(_DRIVE.match(head[0])) or head[:2] == ["", ""]
    begin = whole[: len(head)]
    if loose:
        return [p.casefold() for p in begin] == [p.casefold() for p in head]
    return begin == head


def _called(folder: Path, name: str) -> Iterator[Path]:
    """Yield the media of a name in a folder: NAME.mov, NAME.####.exr, NAME/ with a plate."""
    if not folder.is_dir():
        return
    try:
        yield find_media_in(folder / name)
        return
    except ShotError:
        pass
    for path in sorted(folder.iterdir()):
        if path.is_file() and not is_image(path) and path.stem.casefold() == name.casefold():
            try:
                media = find_media(path)
            except ShotError:
                continue
            if isinstance(media, Path):
                yield media
    for sequence in list_sequences(folder):
        if sequence.head.rstrip("._- ").casefold() == name.casefold():
            yield Path(sequence.pattern)


def find_media_in(path: Path) -> Path:
    """Return the plate of a folder: its own media, or those in `plate/`; raises ShotError."""
    if path.is_file():
        return whole_sequence(path)
    inside = path / PLATE_FOLDER
    media = find_media(inside if inside.is_dir() else path)
    return media if isinstance(media, Path) else Path(media.pattern)


def _several(name: str, matches: Sequence[Path]) -> ShotError:
    paths = "\n  ".join(map(str, matches))
    return ShotError(
        f"{len(matches)} places have the media of {name!r}",
        path=matches[0],
        hint=f"give --map FROM=TO, or --media for one of these alone:\n  {paths}",
    )
