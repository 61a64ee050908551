"""Propagate keyframe trimaps through time: one trimap for every frame of a shot.

A shot consists of segments: the frames between two neighbouring keyframes, those before the first
and those after the last one. A frame's trimap depends on the plates and keyframes of its segment
alone, so several segments run at once: while one yields its trimaps, the plates of another are
read and keyframes of others are tracked; what waits is stored on disk. Propagation works on small
8-bit proxies and never alters the keyframes.
"""

from __future__ import annotations

import tempfile
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Container, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from vfxmatte.common.parallel import close, prefetched_map
from vfxmatte.errors import OutputError, TrimapError, concerns_all_frames, own_copy
from vfxmatte.propagation.clean_plate import ReadBehind
from vfxmatte.propagation.cut_segment import stored_trimaps, trimaps_after
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
_AT_ONCE = 3  # maximum number of segments that are tracked back at once


def segment_of(number: int, keyframe_numbers: Collection[int]) -> Segment:
    """Return the keyframes (before, after) of a frame; (number, number) for a keyframe itself."""
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
    **options: Any,
) -> Generator[Trimap]:
    """Call `carry`, but raise the error of the first frame without a trimap."""
    return trimaps_or_error(carry(keyframes, numbers, read_proxies, settings, **options))


def trimaps_or_error(carried: Generator[Trimap | Failure]) -> Generator[Trimap]:
    """Yield the trimaps; raise the error of the first `Failure`."""
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
    requested: Container[int] | None = None,
    workers: int = 2,
    scratch: Path | None = None,
    behind: ReadBehind | None = None,
) -> Generator[Trimap | Failure]:
    """Yield one trimap for each wanted frame, in ascending order, at the keyframes' size.

    A frame whose trimap cannot be made yields a `Failure`; if a whole segment cannot be tracked,
    all of its frames do.

    Args:
        keyframes: painted trimaps by frame number, all of one size.
        numbers: the shot's frame numbers, ascending.
        read_proxies: yields (number, (h, w, 3) uint8 RGB) for ascending numbers at `proxy_size`;
            None for the picture of a frame that cannot be read, which is bridged. Called once per
            segment, ascending, in another thread.
        settings: how trimaps are propagated.
        requested: yield only these frames, and read only their segments; None for all.
        workers: threads for each stage; the result does not depend on it.
        scratch: folder for intermediate results; None for the system's temporary folder.
        behind: reads the clean plate of a frame at `proxy_size`, in any thread; it returns None
            for a frame without one.
    Raises:
        TrimapError: no keyframe, or keyframes of different sizes.
        OutputError: intermediate results cannot be written.
    """
    work = _Work(
        keyframes=keyframes,
        shape=_common_shape(keyframes),
        numbers=sorted(numbers),
        settings=settings,
        workers=workers,
        behind=behind,
    )
    segments: dict[Segment, list[int]] = {}
    for number in work.numbers:
        if requested is None or number in requested:
            segments.setdefault(segment_of(number, keyframes.keys()), []).append(number)
    if not segments:
        return
    with _scratch_folder(scratch) as name:
        begun = (work.tried(*item, Path(name), read_proxies) for item in segments.items())
        at_once = min(_AT_ONCE, workers)
        tracked = prefetched_map(lambda go_on: go_on(), begun, workers=at_once, depth=at_once)
        with closing(tracked):
            for trimaps in tracked:
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
    """The data that all segments share."""

    keyframes: Mapping[int, Trimap]
    shape: tuple[int, int]
    numbers: Sequence[int]
    settings: PropagationSettings
    workers: int
    behind: ReadBehind | None

    def tried(
        self, ends: Segment, requested: Sequence[int], folder: Path, read_proxies: ReadProxies
    ) -> Callable[[], Iterator[Trimap | Failure]]:
        """Call `begin`, turning an error of the segment into failures of its frames."""
        try:
            go_on = self.begin(ends, requested, folder, read_proxies)
        except Exception as error:
            return partial(iter, _failures(requested, error))

        def tracked() -> Iterator[Trimap | Failure]:
            try:
                trimaps = go_on()
            except Exception as error:
                return iter(_failures(requested, error))
            return _or_failures(trimaps, requested)

        return tracked

    def begin(
        self, ends: Segment, requested: Sequence[int], folder: Path, read_proxies: ReadProxies
    ) -> Callable[[], Iterator[Trimap | Failure]]:
        """Read the plates of a segment; the returned function does the rest and yields its trimaps.

        The plates after the last keyframe are read as they are needed, so that the first trimap
        need not wait for the last plate: no other segment is left to be read then.
        """
        before, after = ends
        if before is not None and before == after:
            keyframe = self.keyframes[before]
            return lambda: iter([keyframe])
        segment = self._segment(ends, requested, folder / f"{before}-{after}")
        if after is None:
            return lambda: trimaps_after(segment, read_proxies)
        readable = segment.store(read_proxies)
        return lambda: stored_trimaps(segment, readable)

    def _segment(self, ends: Segment, requested: Sequence[int], folder: Path) -> SegmentWork:
        before, after = ends
        start = 0 if before is None else bisect_right(self.numbers, before)
        end = len(self.numbers) if after is None else bisect_left(self.numbers, after)
        return SegmentWork(
            before=None if before is None else self.keyframes[before],
            after=None if after is None else self.keyframes[after],
            numbers=sorted({*self.numbers[start:end], *(n for n in ends if n is not None)}),
            requested=frozenset(requested),
            canvas_shape=self.shape,
            settings=self.settings,
            workers=self.workers,
            folder=folder,
            behind=self.behind,
        )


def _or_failures(
    trimaps: Iterator[Trimap | Failure], requested: Sequence[int]
) -> Generator[Trimap | Failure]:
    """Yield the segment's trimaps; after an error, failures of the remaining frames."""
    left = list(requested)
    try:
        for trimap in trimaps:
            left.remove(trimap.number)
            yield trimap
    except Exception as error:
        yield from _failures(left, error)
    finally:
        close(trimaps)


def _failures(numbers: Sequence[int], error: Exception) -> list[Failure]:
    """List a failure for each frame; raise an error that concerns all frames."""
    if concerns_all_frames(error) or isinstance(error, OutputError):
        raise error
    return [Failure(number=number, error=own_copy(error)) for number in numbers]
