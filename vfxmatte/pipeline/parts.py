"""The parts of a run: one for each subject of a shot, taken through the frames in step."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vfxmatte.common.parallel import close
from vfxmatte.journal.records import FrameRecord
from vfxmatte.pipeline.frame import FrameState
from vfxmatte.pipeline.prepared import PreparedRun


@dataclass(frozen=True, kw_only=True)
class Part:
    """What a run does for one subject; a shot with a single one has one part."""

    run: PreparedRun
    """The subject as a shot of its own."""
    todo: Mapping[int, str]
    """Fingerprints of the frames to solve, by number."""
    attributes: Mapping[str, str]
    """For the mattes' headers."""
    scratch: Path
    """A folder for intermediate results."""
    subject: str = ""
    """Its name, where there are several."""
    kept: Mapping[int, str] = field(default_factory=dict)
    """Fingerprints of frames whose alpha is right on disk, and whose file is to be written anew."""
    alone: Mapping[int, str] = field(default_factory=dict)
    """The fingerprints that all frames of the shot would have if no other subject were there."""
    records: Mapping[int, FrameRecord] = field(default_factory=dict)
    """The journal's records of the mattes that are on disk."""

    @property
    def numbers(self) -> set[int]:
        """The frames that are solved or written anew."""
        return {*self.todo, *self.kept}


def numbers_of(parts: Mapping[str, Part]) -> list[int]:
    """Return the frames of all parts, ascending."""
    return sorted(set[int]().union(*(part.numbers for part in parts.values())))


def in_step(
    parts: Mapping[str, Part], begun: Mapping[str, Generator[FrameState]]
) -> Generator[FrameState]:
    """Yield the frames of all parts by number, those of one number behind each other.

    Args:
        begun: the frames to solve of each part, with their trimaps.
    """
    try:
        for number in numbers_of(parts):
            for subject, part in parts.items():
                if number in part.todo:
                    yield next(begun[subject])
                elif number in part.kept:
                    yield FrameState(
                        number=number,
                        fingerprint=part.kept[number],
                        subject=subject,
                        kept=part.records[number],
                    )
    finally:
        for frames in begun.values():
            close(frames)
