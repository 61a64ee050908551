"""Keyframe trimaps carried through time: one trimap for every frame of a shot.

A shot falls into segments: the frames between two neighbouring keyframes, those before the first
one and those after the last one. A frame's trimap depends on its segment's plates and the
segment's keyframes alone, so several segments are worked on at once: while one gives its trimaps,
the plates of another are read and keyframes of others are followed. What waits lies on disk. The
work is done on small 8-bit proxies; the keyframes themselves are never altered.
"""

from __future__ import annotations

import copy
import tempfile
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Container, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vfxmatte.common.parallel import close, prefetched_map
from vfxmatte.errors import OutputError, TrimapError, VfxmatteError, concerns_all_frames
from vfxmatte.propagation.segment import PropagationSettings, ReadProxies, SegmentWork, proxy_size
from vfxmatte.types import Failure, Trimap

__all__ = [
    "PropagationSettings",
    "ReadProxies",
    "Segment",
    "carry",
    "propagate",
    "proxy_size",
    "segment_of",
    "trimaps_or_error",
]

Segment = tuple[int | None, int | None]
_AT_ONCE = 3  # segments followed back at once, at the most


def segment_of(number: int, keyframe_numbers: Collection[int]) -> Segment:
    """The keyframes (before, after) that a frame's trimap is made from; None where there is none.

    A keyframe's own segment is (number, number).
    """
    keys = sorted(keyframe_numbers)
    if number in keys:
        return number, number
    before, after = bisect_left(keys, number), bisect_right(keys, number)
    return keys[before - 1] if before else None, keys[after] if after < len(keys) else None


def propagate(
    keyframes: Mapping[int, Trimap],
    numbers: Sequence[int],
    read_proxies: ReadProxies,
    settings: PropagationSettings,
    *,
    wanted: Container[int] | None = None,
    workers: int = 2,
    scratch: Path | None = None,
) -> Generator[Trimap]:
    """As `carry`, but the first frame without a trimap ends it with its error."""
    return trimaps_or_error(
        carry(
            keyframes,
            numbers,
            read_proxies,
            settings,
            wanted=wanted,
            workers=workers,
            scratch=scratch,
        )
    )


def trimaps_or_error(carried: Generator[Trimap | Failure]) -> Generator[Trimap]:
    """The trimaps; raises the error of the first frame that has none."""
    with closing(carried):
        for one in carried:
            if isinstance(one, Failure):
                raise one.error
            yield one


def carry(
    keyframes: Mapping[int, Trimap],
    numbers: Sequence[int],
    read_proxies: ReadProxies,
    settings: PropagationSettings,
    *,
    wanted: Container[int] | None = None,
    workers: int = 2,
    scratch: Path | None = None,
) -> Generator[Trimap | Failure]:
    """One trimap for each wanted frame, in ascending order, at the keyframes' size.

    A frame whose trimap cannot be made is a `Failure`; where the motion of a whole segment cannot
    be found, all of the segment's frames are.

    Args:
        keyframes: painted trimaps by frame number, all of one size.
        numbers: the shot's frame numbers, ascending.
        read_proxies: gives (number, (h, w, 3) uint8 RGB) for the numbers asked for, ascending, at
            `proxy_size`; None for the picture of a frame that cannot be read, which is bridged. It
            is asked for one segment after the other, ascending, in another thread than this.
        settings: how.
        wanted: only these frames are given, and only their segments are read; None: all.
        workers: threads for each of the stages; the result does not depend on it.
        scratch: where intermediate results are stored; None takes the system's temporary folder.

    Raises TrimapError without any keyframe, or with keyframes of different sizes; OutputError
    where temporary files cannot be written.
    """
    work = _Work(
        keyframes=keyframes,
        shape=_common_shape(keyframes),
        numbers=sorted(numbers),
        settings=settings,
        workers=workers,
    )
    segments: dict[Segment, list[int]] = {}
    for number in work.numbers:
        if wanted is None or number in wanted:
            segments.setdefault(segment_of(number, keyframes.keys()), []).append(number)
    if not segments:
        return
    with _scratch_folder(scratch) as name:
        begun = (work.tried(*item, Path(name), read_proxies) for item in segments.items())
        at_once = min(_AT_ONCE, workers)
        followed = prefetched_map(lambda go_on: go_on(), begun, workers=at_once, depth=at_once)
        with closing(followed):
            for trimaps in followed:
                try:
                    yield from trimaps
                finally:
                    close(trimaps)


def _scratch_folder(scratch: Path | None) -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix="vfxmatte-", dir=scratch)
    except OSError as error:
        raise OutputError(
            f"no folder for intermediate results: {error.strerror or error}", path=scratch
        ) from error


def _common_shape(keyframes: Mapping[int, Trimap]) -> tuple[int, int]:
    if not keyframes:
        raise TrimapError("no keyframe trimap", hint="paint at least one frame's trimap")
    shapes = {number: trimap.labels.shape for number, trimap in keyframes.items()}
    first = min(shapes)
    for number, shape in sorted(shapes.items()):
        if shape != shapes[first]:
            raise TrimapError(
                f"the trimap is {shape[1]}x{shape[0]}, that of frame {first} is "
                f"{shapes[first][1]}x{shapes[first][0]}",
                frame=number,
                hint="all keyframes of a shot have the plate's size",
            )
    height, width = shapes[first]
    return height, width


@dataclass(frozen=True, kw_only=True)
class _Work:
    """What all segments have in common."""

    keyframes: Mapping[int, Trimap]
    shape: tuple[int, int]
    numbers: Sequence[int]
    settings: PropagationSettings
    workers: int

    def tried(
        self, ends: Segment, wanted: Sequence[int], folder: Path, read_proxies: ReadProxies
    ) -> Callable[[], Iterator[Trimap | Failure]]:
        """As `begin`; what is raised for a segment is the failure of its frames."""
        try:
            go_on = self.begin(ends, wanted, folder, read_proxies)
        except Exception as error:
            return partial(iter, _failures(wanted, error))

        def followed() -> Iterator[Trimap | Failure]:
            try:
                trimaps = go_on()
            except Exception as error:
                return iter(_failures(wanted, error))
            return _or_failures(trimaps, wanted)

        return followed

    def begin(
        self, ends: Segment, wanted: Sequence[int], folder: Path, read_proxies: ReadProxies
    ) -> Callable[[], Iterator[Trimap | Failure]]:
        """Read what a segment needs; what is returned does the rest, and gives its trimaps.

        The plates of a last segment without end are read as they are needed, so that its first
        trimap need not wait for its last plate: no other segment is left to be read then.
        """
        before, after = ends
        if before is not None and before == after:
            keyframe = self.keyframes[before]
            return lambda: iter([keyframe])
        segment = self._segment(ends, wanted, folder / f"{before}-{after}")
        if after is None:
            return lambda: segment.alone(read_proxies)
        readable = segment.store(read_proxies)
        return lambda: segment.follow_back(readable).trimaps()

    def _segment(self, ends: Segment, wanted: Sequence[int], folder: Path) -> SegmentWork:
        before, after = ends
        start = 0 if before is None else bisect_right(self.numbers, before)
        end = len(self.numbers) if after is None else bisect_left(self.numbers, after)
        return SegmentWork(
            before=None if before is None else self.keyframes[before],
            after=None if after is None else self.keyframes[after],
            numbers=sorted({*self.numbers[start:end], *(n for n in ends if n is not None)}),
            wanted=frozenset(wanted),
            canvas_shape=self.shape,
            settings=self.settings,
            workers=self.workers,
            folder=folder,
        )


def _or_failures(
    trimaps: Iterator[Trimap | Failure], wanted: Sequence[int]
) -> Generator[Trimap | Failure]:
    """The segment's trimaps; where they end with an error, failures of the frames that are left."""
    left = list(wanted)
    try:
        for trimap in trimaps:
            left.remove(trimap.number)
            yield trimap
    except Exception as error:
        yield from _failures(left, error)
    finally:
        close(trimaps)


def _failures(numbers: Sequence[int], error: Exception) -> list[Failure]:
    """One for each frame; raises what concerns all frames."""
    if concerns_all_frames(error) or isinstance(error, OutputError):
        raise error
    return [Failure(number=number, error=_own(error)) for number in numbers]


def _own(error: Exception) -> Exception:
    """A copy that can be given a frame's place; an unforeseen one has none, and stays itself."""
    if not isinstance(error, VfxmatteError):
        return error
    copied = copy.copy(error)
    copied.__cause__ = error.__cause__
    return copied
