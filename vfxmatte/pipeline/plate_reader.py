"""The plate under the shot's own frame numbers: whole, or small to estimate the motion on."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vfxmatte.colour import ColourConfig
from vfxmatte.common.parallel import close, ordered_map
from vfxmatte.errors import PlateError, VfxmatteError, as_foreseen, concerns_all_frames
from vfxmatte.io.plate import FrameOrError, Plate
from vfxmatte.pipeline.plan import RunPlan
from vfxmatte.pipeline.proxies import proxy_of
from vfxmatte.types import Frame


@dataclass(frozen=True, eq=False)
class PlateReader:
    """Reads the frames of a plate, several at once."""

    plate: Plate
    proxy_plate: Plate
    """The plate again for a movie, which can be read at one place at a time only."""
    plan: RunPlan
    colours: ColourConfig
    workers: int
    """Frames read at once."""

    def frames(self, numbers: Sequence[int]) -> Iterator[tuple[int, FrameOrError]]:
        """Yield (number, frame or its error) in the numbers' order, which ascends."""
        return self._read(self.plate, numbers)

    def proxies(
        self, numbers: Sequence[int], size: tuple[int, int]
    ) -> Iterator[tuple[int, NDArray[np.uint8] | None]]:
        """Yield (number, (h, w, 3) uint8 display-like RGB of `size`, or None if unreadable)."""

        def small(pair: tuple[int, FrameOrError]) -> tuple[int, NDArray[np.uint8] | None]:
            number, frame = pair
            if isinstance(frame, VfxmatteError):
                return number, None
            try:
                return number, proxy_of(frame, size, self.colours)
            except Exception as error:
                if concerns_all_frames(error):
                    raise
                return number, None  # reading the frame itself will fail too, and report it

        frames = self._read(self.proxy_plate, numbers)
        return ordered_map(small, frames, workers=self.workers)

    def _read(self, plate: Plate, numbers: Sequence[int]) -> Iterator[tuple[int, FrameOrError]]:
        """Yield frames under the shot's numbers; a held frame stands in for a missing one."""
        sources = [self.plan.sources[number] for number in numbers]
        frames = self._each(plate, sorted(set(sources)))
        try:
            source, frame = next(frames)
            for number, needed in zip(numbers, sources, strict=True):
                while source != needed:
                    source, frame = next(frames)
                if isinstance(frame, Frame) and frame.number != number:
                    yield number, replace(frame, number=number)
                else:
                    yield number, frame
        finally:
            close(frames)

    def _each(self, plate: Plate, sources: list[int]) -> Generator[tuple[int, FrameOrError]]:
        """Yield exactly one frame, or its error, for each of the plate's own numbers.

        An unforeseen exception of a reader fails the frame that was due; reading restarts after it.
        """
        due = deque(sources)
        while due:
            frames = plate.frames(list(due), workers=self.workers)
            try:
                for number, frame in frames:
                    due.popleft()
                    yield number, frame
            except Exception as error:
                if concerns_all_frames(error) or not due:
                    raise
                number = due.popleft()
                yield number, as_foreseen(error).at(frame=number, path=plate.path(number))
            else:
                if due:
                    number = due.popleft()
                    yield number, PlateError("the plate ended before this frame", frame=number)
            finally:
                close(frames)
