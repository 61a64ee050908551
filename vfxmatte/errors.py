"""The exceptions of the library, as one tree.

Each message states what happened, the shot, frame and file, and what to do about it. Each class
carries the exit code of the command line.
"""

from __future__ import annotations

import copy
import errno
from collections.abc import Iterator
from pathlib import Path


class VfxmatteError(Exception):
    """The base of every error that vfxmatte raises on purpose.

    Args:
        what: one sentence: the problem, with expected and actual values.
        shot: the shot's folder or name.
        frame: the frame number.
        path: the file or folder.
        hint: what the user can do.
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
        """Fill in what is not yet set of the place; return self, to be raised again."""
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
    """The requested device is missing or has too little memory."""


class SolveError(VfxmatteError):
    """One frame cannot be solved, for example because its solver does not converge."""


class OutputError(VfxmatteError):
    """Results cannot be written: read-only folder, full disk, an output in use."""


class OutputLockedError(OutputError):
    """Another run is writing to the same output."""


class TrainingError(VfxmatteError):
    """Training cannot start or continue: unusable library, unknown config key, NaN loss."""


class ExportError(VfxmatteError):
    """A model cannot be exported: a package is missing, or its mattes would not be the engine's."""


class UnforeseenError(VfxmatteError):
    """An unexpected exception, with its place; its traceback belongs in a log."""


_STORAGE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENODEV, errno.ESTALE}
"""Errors of the operating system that concern a whole disk, not one file."""

_MAX_MESSAGE = 300
"""Characters of an unexpected error's text in a message; the traceback has all of it."""


def concerns_all_frames(error: BaseException) -> bool:
    """Return True for errors that end a run: a lost device, a locked output, a full disk.

    Any other error that a frame raises fails that frame alone.
    """
    if isinstance(error, (DeviceError, OutputLockedError)):
        return True
    if not isinstance(error, OutputError):
        return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return any(isinstance(e, OSError) and e.errno in _STORAGE for e in _causes(error))


def as_foreseen(error: Exception) -> VfxmatteError:
    """Return a VfxmatteError unchanged; wrap any other exception in an UnforeseenError."""
    if isinstance(error, VfxmatteError):
        return error
    text = " ".join(str(error).split())
    text = text if len(text) <= _MAX_MESSAGE else f"{text[:_MAX_MESSAGE]}…"
    what = f"an error that was not foreseen: {type(error).__name__}{text and ': '}{text}"
    if isinstance(error, MemoryError):
        what = "there was too little memory for this frame"
    wrapped = UnforeseenError(what)
    wrapped.__cause__ = error
    return wrapped


def own_copy(error: Exception) -> Exception:
    """Copy a VfxmatteError so that it can name another frame; return any other unchanged."""
    if not isinstance(error, VfxmatteError):
        return error
    copied = copy.copy(error)
    copied.__cause__ = error.__cause__
    return copied


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
