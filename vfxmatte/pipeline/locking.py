"""Lock the mattes of frames, so that no run touches them, and unlock them again."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from vfxmatte.colour import ColourConfig
from vfxmatte.common.wording import frames_text
from vfxmatte.errors import OutputError, VfxmatteError
from vfxmatte.io.result_names import Format, matte_path
from vfxmatte.io.signatures import content_digest
from vfxmatte.journal.journal import Journal
from vfxmatte.journal.locks import Lock, locks_path, read_locks, write_locks
from vfxmatte.pipeline.shot import Shot

_FORMATS: tuple[Format, ...] = ("exr", "png", "tiff")


def lock(shot: Shot, numbers: Iterable[int]) -> list[int]:
    """Lock frames of a shot as their mattes are now; returns those that were not locked before.

    Raises:
        OutputError: frames have no matte, or several; nothing is locked then.
        OutputLockedError: a run is writing here now.
    """
    numbers = sorted(set(numbers))
    try:
        if not shot.output.is_dir():
            raise _without_matte(numbers, shot.output)
        with (
            shot.open_plate(ColourConfig.load(shot.settings.ocio)) as plate,
            Journal(shot.output) as journal,
        ):
            locks = read_locks(shot.output)
            new = [number for number in numbers if number not in locks]
            files = _mattes(journal, new, plate.info.padding)
            added = [
                Lock(
                    number=number,
                    file=path.name,
                    content=content_digest(path),
                    plate=plate.signature(number),
                )
                for number, path in files.items()
            ]
            if added:
                write_locks(shot.output, [*locks.values(), *added])
            return new
    except VfxmatteError as error:
        raise error.at(shot=shot.name) from error.__cause__


def unlock(shot: Shot, numbers: Collection[int] | None = None) -> list[int]:
    """Unlock frames, or all of them; returns those that were locked.

    Raises:
        OutputLockedError: a run is writing here now. OutputError: the list cannot be read.
    """
    try:
        if not locks_path(shot.output).is_file():
            return []
        with Journal(shot.output):
            locks = read_locks(shot.output)
            unlocked = [n for n in locks if numbers is None or n in numbers]
            left = [one for number, one in locks.items() if number not in unlocked]
            if left:
                write_locks(shot.output, left)
            else:
                locks_path(shot.output).unlink(missing_ok=True)
            return unlocked
    except VfxmatteError as error:
        raise error.at(shot=shot.name) from error.__cause__


def edited_since_locked(output: Path) -> list[int]:
    """Return the locked frames whose matte is not what it was when it was locked."""
    return [
        number
        for number, one in read_locks(output).items()
        if (output / one.file).is_file() and content_digest(output / one.file) != one.content
    ]


def locked_files(output: Path) -> list[Path]:
    """Return the list of locked frames and their mattes, as far as they are there."""
    locks = read_locks(output)
    return [locks_path(output), *(output / one.file for one in locks.values())] if locks else []


def _mattes(journal: Journal, numbers: Iterable[int], padding: int) -> dict[int, Path]:
    """Return the mattes of frames: those that the journal names, else the only one on disk."""
    candidates: dict[int, list[Path]] = {n: _candidates(journal, n, padding) for n in numbers}
    lacking = [number for number, paths in candidates.items() if not paths]
    if lacking:
        raise _without_matte(lacking, journal.output)
    for number, paths in candidates.items():
        if len(paths) > 1:
            raise OutputError(
                f"the frame has several mattes: {', '.join(path.name for path in paths)}",
                frame=number,
                path=journal.output,
                hint="move away those that are not to be locked",
            )
    return {number: paths[0] for number, paths in candidates.items()}


def _candidates(journal: Journal, number: int, padding: int) -> list[Path]:
    record = journal.records.get(number)
    if record is not None and record.file is not None:
        path = journal.output / record.file
        if path.is_file():
            return [path]
    paths = (matte_path(journal.output, number, format, padding=padding) for format in _FORMATS)
    return [path for path in paths if path.is_file()]


def _without_matte(numbers: Collection[int], output: Path) -> OutputError:
    return OutputError(
        f"{frames_text(numbers, ('has', 'have'))} no matte that could be locked",
        frame=min(numbers, default=None),
        path=output,
        hint="solve them first: vfxmatte run SHOT",
    )
