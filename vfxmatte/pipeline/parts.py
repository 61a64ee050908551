"""The parts of a run: one for each subject of a shot, taken through the frames in step."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from vfxmatte.common.parallel import close
from vfxmatte.journal.records import FrameRecord
from vfxmatte.pipeline.frame import FrameState
from vfxmatte.pipeline.prepared import PreparedRun

REACH = 2
"""Frames before and after one whose mattes it sees."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """The part of a run for one subject; a shot with a single one has one part."""

    run: PreparedRun
    """The subject as a shot of its own."""
    todo: Mapping[int, str]
    """Fingerprints of the frames to solve, by number."""
    attributes: Mapping[str, str]
    """The attributes of the mattes' headers."""
    scratch: Path
    """A folder for intermediate results."""
    subject: str = ""
    """The subject's name, where there are several."""
    kept: Mapping[int, str] = field(default_factory=dict)
    """Fingerprints of frames whose alpha is right on disk, and whose file is to be written anew."""
    alone: Mapping[int, str] = field(default_factory=dict)
    """The fingerprints that all frames of the shot would have if no other subject were there."""
    records: Mapping[int, FrameRecord] = field(default_factory=dict)
    """The journal's records of the mattes that are on disk."""

    @cached_property
    def steadied(self) -> frozenset[int]:
        """The frames whose mattes are averaged with their neighbours'."""
        if not self.run.settings.steadies:
            return frozenset()
        return frozenset(self.todo.keys() - self.run.plan.keyframes.keys())

    @cached_property
    def compared(self) -> frozenset[int]:
        """These frames and those around them, as far as the plate has them."""
        near = {n for number in self.steadied for side in self.around(number) for n in side}
        return frozenset({*self.steadied, *near}.intersection(self.run.plan.trail))

    def around(self, number: int) -> tuple[list[int], list[int]]:
        """Return the frames before and after one whose mattes it sees, the nearest first.

        No farther than to a keyframe: what lies beyond is of another segment.
        """
        before, after = (
            range(number + step, number + step * (REACH + 1), step) for step in (-1, 1)
        )
        return self._to_keyframe(before), self._to_keyframe(after)

    def _to_keyframe(self, numbers: Iterable[int]) -> list[int]:
        seen = []
        for number in numbers:
            seen.append(number)
            if number in self.run.plan.keyframes:
                break
        return seen

    @cached_property
    def aside(self) -> frozenset[int]:
        """The frames that are solved for their neighbours alone."""
        return self.compared - self.todo.keys()

    @property
    def solved(self) -> set[int]:
        """The frames that are solved."""
        return {*self.todo, *self.aside}

    @property
    def numbers(self) -> set[int]:
        """The frames that are written."""
        return {*self.todo, *self.kept}


def numbers_of(parts: Mapping[str, Part]) -> list[int]:
    """Return the frames that all parts write, ascending."""
    return sorted(set[int]().union(*(part.numbers for part in parts.values())))


def passing(parts: Mapping[str, Part]) -> list[int]:
    """Return the frames that pass the stages, those that are solved aside included; ascending."""
    return sorted(set[int]().union(*({*part.solved, *part.kept} for part in parts.values())))


def in_step(
    parts: Mapping[str, Part], begun: Mapping[str, Generator[FrameState]]
) -> Generator[FrameState]:
    """Yield the frames of all parts by number, those of one number behind each other.

    Args:
        begun: the frames to solve of each part, with their trimaps.
    """
    try:
        for number in passing(parts):
            for subject, part in parts.items():
                if number in part.solved:
                    yield next(begun[subject])
                if number in part.kept:
                    yield FrameState(
                        number=number,
                        fingerprint=part.kept[number],
                        subject=subject,
                        kept=part.records[number],
                    )
    finally:
        for frames in begun.values():
            close(frames)
