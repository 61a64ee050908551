"""The keyframes of a run: painted trimaps, finished mattes, and the mattes of locked frames.

Where a frame has more than one, a locked matte counts before a finished one, and that before a
painted trimap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from vfxmatte.common.wording import frames_text
from vfxmatte.io.plate import PlateInfo
from vfxmatte.journal.locks import Lock, locked_matte, read_locks
from vfxmatte.pipeline.keyframes import find_finished, keyframes_in
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot


@dataclass(frozen=True, kw_only=True)
class KeyframeSources:
    """The files of all keyframes by frame number."""

    painted: Mapping[int, Path]
    """Trimaps, on frames of the plate or not; so are the others."""
    finished: Mapping[int, Path]
    locks: Mapping[int, Lock]
    locked: Mapping[int, Path]
    used: Mapping[int, Path]
    """The one of each frame of the plate that counts."""

    @classmethod
    def find(cls, shot: Shot, settings: RunSettings, plate: PlateInfo) -> KeyframeSources:
        """Find the keyframes of a shot.

        Raises:
            ShotError: none on a frame of the plate. OutputError: the matte of a locked frame is
                gone, or the list of locked frames cannot be read.
        """
        place = shot.sides_with(settings).get("keys")
        finished = {} if place is None else find_finished(place)
        locks = read_locks(shot.output)
        locked = {number: locked_matte(lock, shot.output) for number, lock in locks.items()}
        every = {**shot.keyframes, **finished, **locked}
        return cls(
            painted=shot.keyframes,
            finished=finished,
            locks=locks,
            locked=locked,
            used=keyframes_in(dict(sorted(every.items())), plate),
        )

    @property
    def used_finished(self) -> dict[int, Path]:
        """The keyframes of `used` that are mattes and no trimaps."""
        return {n: p for n, p in self.used.items() if n in self.finished or n in self.locked}

    def notes(self, signature: Callable[[int], str] | None) -> Iterator[str]:
        """Yield what a person should know: which keyframes are passed over, and why.

        Args:
            signature: the plate's, see `Plate.signature`; None compares no plates.
        """
        several = [
            number
            for number in self.used
            if sum(number in ones for ones in (self.painted, self.finished, self.locked)) > 1
        ]
        if several:
            yield (
                f"{frames_text(several, ('has', 'have'))} more than one keyframe: a locked matte "
                "counts before a finished one, and that before a painted trimap"
            )
        unused = [number for number in self.finished if number not in self.used]
        if unused:
            yield (
                f"{frames_text(unused, ('is', 'are'), noun='finished matte')} not used: the plate "
                "has no such frame"
            )
        changed = [] if signature is None else self._changed(signature)
        if changed:
            yield (
                f"the plate of locked {frames_text(changed)} has changed since the lock: locked "
                "mattes are kept as they are"
            )

    def _changed(self, signature: Callable[[int], str]) -> list[int]:
        """Return the locked frames whose plate is another one now, or gone."""
        return [n for n, lock in self.locks.items() if signature(n) != lock.plate]
