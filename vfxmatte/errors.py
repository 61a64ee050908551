"""Everything that can go wrong, as one tree of exceptions.

Each message says what happened, in which shot, on which frame, in which file, and what to do
about it. This module knows nothing of images, torch or the command line; it only carries the
exit code that the command line will use.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path


class VfxmatteError(Exception):
    """Base of every error that vfxmatte raises on purpose.

    Args:
        what: one sentence: what is wrong, expected and found.
        shot: the shot's folder or name.
        frame: the frame number (1001 stays 1001).
        path: the file or folder concerned.
        hint: what the user can do about it.
    """

    exit_code = 3

    def __init__(
        self,
        what: str,
        *,
        shot: str | Path | None = None,
        frame: int | None = None,
        path: str | Path | None = None,
        hint: str | None = None,
    ) -> None:
        self.what = what
        self.shot = None if shot is None else str(shot)
        self.frame = frame
        self.path = None if path is None else str(path)
        self.hint = hint
        super().__init__(what)

    def __str__(self) -> str:
        place = [
            f"{name} {value}"
            for name, value in (("shot", self.shot), ("frame", self.frame), ("file", self.path))
            if value is not None
        ]
        where = f" [{', '.join(place)}]" if place else ""
        hint = f"\n  {self.hint}" if self.hint else ""
        return f"{self.what}{where}{hint}"

    def at(
        self,
        *,
        shot: str | Path | None = None,
        frame: int | None = None,
        path: str | Path | None = None,
    ) -> VfxmatteError:
        """Fill in the place where it was not yet known; returns self, to be raised again."""
        self.shot = self.shot or (None if shot is None else str(shot))
        self.frame = self.frame if self.frame is not None else frame
        self.path = self.path or (None if path is None else str(path))
        return self


class UsageError(VfxmatteError):
    """The command or call itself is wrong: options that clash, a value out of range."""

    exit_code = 2


class ShotError(VfxmatteError):
    """The shot on disk is not usable: empty folder, no keyframe, a broken shot.toml."""


class PlateError(VfxmatteError):
    """A plate (or one of its frames) cannot be read or does not match the shot."""


class MissingFrameError(PlateError):
    """A frame of the range is not on disk."""


class TrimapError(VfxmatteError):
    """A trimap cannot be read or does not fit its plate."""


class ColourError(VfxmatteError):
    """A colour space or OCIO configuration is unknown or unusable."""


class WeightsError(VfxmatteError):
    """Weights are missing, damaged, or of another architecture."""


class DeviceError(VfxmatteError):
    """The device that was asked for is not there, or has too little memory."""


class SolveError(VfxmatteError):
    """One frame cannot be solved, its solver does not converge, say; others can."""


class OutputError(VfxmatteError):
    """Results cannot be written: read-only folder, full disk, an output in use."""


class OutputLockedError(OutputError):
    """Another run is writing to the same output."""


class TrainingError(VfxmatteError):
    """Training cannot start or go on: unusable library, unknown config key, NaN loss."""


class ExportError(VfxmatteError):
    """A model cannot be exported: a package is missing, or its mattes would not be the engine's."""


class SolverError(VfxmatteError):
    """A system of equations is not solved as exactly as was asked for; the residual is named."""


class UnforeseenError(VfxmatteError):
    """An exception that nobody foresaw, with its place; its traceback belongs into a log."""


_STORAGE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENODEV, errno.ESTALE}
"""What the operating system reports where a whole disk cannot be written to."""


_LONGEST = 300
"""Characters of an unforeseen error in a message; its traceback has all."""


def concerns_all_frames(error: BaseException) -> bool:
    """Return True for what ends a run: a lost device, a locked output, a full disk.

    Everything else that is raised for one frame is that frame's failure.
    """
    if isinstance(error, (DeviceError, OutputLockedError)):
        return True
    if not isinstance(error, OutputError):
        return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return any(isinstance(e, OSError) and e.errno in _STORAGE for e in _causes(error))


def as_foreseen(error: Exception) -> VfxmatteError:
    """The error itself, or, of another kind, one that carries a place and has it as its cause."""
    if isinstance(error, VfxmatteError):
        return error
    said = " ".join(str(error).split())
    said = said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"
    what = f"an error that was not foreseen: {type(error).__name__}{said and ': '}{said}"
    if isinstance(error, MemoryError):
        what = "there was too little memory for this frame"
    wrapped = UnforeseenError(what)
    wrapped.__cause__ = error
    return wrapped


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
