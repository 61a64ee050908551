"""The stages in order: read, carry the trimaps, solve, write; and what to do after a kill.

A run is a chain of generators. Propagation reads the plate once, small, to find the motion; the
frames are then read again, one by one, with the trimap of each. Nothing is kept for longer than
it is needed, so memory does not grow with the shot.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import platform
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import vfxmatte
from vfxmatte.colour import ColourConfig, to_network
from vfxmatte.engines.base import Engine, Task, open_engine
from vfxmatte.errors import OutputError, TrimapError, VfxmatteError
from vfxmatte.io.marked import as_written
from vfxmatte.io.plates import FrameOrError, Plate, open_plate
from vfxmatte.io.sequence import padded
from vfxmatte.io.writers import matte_path, write_labels, write_matte
from vfxmatte.journal import FrameRecord, Journal
from vfxmatte.plan import Fingerprints, RunPlan, make_plan
from vfxmatte.propagation import propagate, proxy_size
from vfxmatte.qc import trimap_stats
from vfxmatte.settings import RunSettings, as_plain
from vfxmatte.shot import Keyframes, Shot
from vfxmatte.stream import close, ordered_map, prefetch
from vfxmatte.types import Frame, FrameResult, Matte, Trimap, numbers_as_text

_TRIMAPS_AHEAD = 4


@dataclass(eq=False)
class _Work:
    """One frame on its way through the stages; a stage that fails puts its error in.

    What a later stage does not need is let go, so that many frames may wait in a row.
    """

    number: int
    fingerprint: str
    trimap: Trimap | None
    frame: Frame | None = None
    task: Task | None = None
    matte: Matte | None = None
    path: Path | None = None
    error: VfxmatteError | None = None
    stats: dict[str, float] = dataclasses.field(default_factory=dict)

    @contextlib.contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time spent to `<stage>_ms`."""
        started = time.perf_counter()
        yield
        spent = (time.perf_counter() - started) * 1000
        self.stats[f"{stage}_ms"] = self.stats.get(f"{stage}_ms", 0.0) + spent


class Run:
    """One run over one shot: opened, checked and planned when it is made; a context manager.

    Making it reads headers only and loads no torch. `frames()` does the work.
    """

    def __init__(
        self,
        shot: Shot,
        settings: RunSettings | None = None,
        *,
        overwrite: bool = False,
        engine: Engine | None = None,
    ) -> None:
        """
        engine: one that is open already, which several runs may share in turn and which stays
            open; None opens the one of the settings when the first frame needs it.

        Raises:
            VfxmatteError: whatever makes the run impossible, naming the shot.
        """
        self.shot = shot
        self.settings = settings or shot.settings
        self.overwrite = overwrite
        self._open_things = contextlib.ExitStack()
        try:
            self.colours = ColourConfig.load(self.settings.ocio)
            self.plate = self._open_plate()
            movie = self.plate.info.kind == "movie"  # which can be in one place at a time only
            self._proxy_plate = self._open_plate() if movie else self.plate
            self.plan: RunPlan = make_plan(shot, self.settings, self.plate.info)
        except VfxmatteError as error:
            self.close()
            raise error.at(shot=shot.name) from error.__cause__
        self.workers = self.settings.workers or _usual_workers()
        self.engine = engine

    def _open_plate(self) -> Plate:
        settings = self.settings
        plate = open_plate(
            self.shot.plate,
            layer=settings.layer,
            part=settings.part,
            colour_space=settings.colorspace,
            first_frame=settings.first_frame,
            config=self.colours,
        )
        return self._open_things.enter_context(plate)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the plate, and the engine if this run has opened it."""
        self._open_things.close()

    def frames(self) -> Iterator[FrameResult]:
        """Solve what is not done yet, yielding one result per frame of the range.

        A frame that fails is a result with an error. What concerns all frames (output full or
        locked, device lost, unusable keyframe) is raised; the same run goes on from there later.
        """
        try:
            growth_px = self.settings.keyframe_growth
            keyframes = Keyframes(self.plan.keyframes, self.plate.info, growth_px)
            keyframes.check()
            with Journal(self.shot.output) as journal:
                try:
                    yield from self._frames(journal, keyframes)
                except BaseException:
                    with contextlib.suppress(OutputError):  # what came first is what is told
                        self._write_manifest(journal)
                    raise
                self._write_manifest(journal)
        except VfxmatteError as error:
            raise error.at(shot=self.shot.name) from error.__cause__

    def _frames(self, journal: Journal, keyframes: Mapping[int, Trimap]) -> Iterator[FrameResult]:
        self._refuse_painted_over()
        engine = self._engine()
        if self.overwrite:
            journal.forget()
        prints = Fingerprints(
            self.plan,
            self.settings,
            self.plate,
            engine=engine.describe(),
            colour=self.colours.fingerprint,
        )
        todo: dict[int, str] = {}
        for number in self.plan.skipped:
            yield FrameResult(number=number, status="skipped")
        for number in self.plan.numbers:
            fingerprint = prints.of(number)
            done = journal.finished(number, fingerprint)
            if done is None:
                todo[number] = fingerprint
            else:
                stats = journal.records[number].stats
                yield FrameResult(number=number, status="kept", path=done, stats=stats)
        if todo:
            trimaps = self._trimaps(todo, keyframes, journal.scratch)
            with contextlib.closing(self._written(trimaps, todo, engine)) as written:
                for work in written:
                    journal.add(_record(work, self.shot.output))
                    yield _result(work)

    def _engine(self) -> Engine:
        if self.engine is None:
            self.engine = open_engine(self.settings.engine)
            self._open_things.callback(self.engine.close)
        return self.engine

    # -- the stages, each from the one before --------------------------------------------------

    def _written(
        self, trimaps: Iterator[_Work], todo: Mapping[int, str], engine: Engine
    ) -> Generator[_Work]:
        """The chain of stages; closing it closes them all, from the last to the first."""
        ahead = prefetch(trimaps, depth=_TRIMAPS_AHEAD)
        encoded = ordered_map(self._encode, self._loaded(ahead, todo), workers=self.workers)
        return ordered_map(self._write, _solve(engine, encoded), workers=self.workers)

    def _trimaps(
        self, todo: Mapping[int, str], keyframes: Mapping[int, Trimap], scratch: Path
    ) -> Iterator[_Work]:
        started = time.perf_counter()
        trimaps = propagate(
            keyframes,
            self.plan.trail,
            self.proxies,
            self.settings.propagation,
            wanted=todo.keys(),
            workers=self.workers,
            scratch=scratch,
        )
        try:
            for trimap in trimaps:
                work = _Work(number=trimap.number, fingerprint=todo[trimap.number], trimap=trimap)
                self._keep(trimap, work.stats)
                work.stats["trimap_ms"] = (time.perf_counter() - started) * 1000
                yield work
                started = time.perf_counter()
        finally:
            close(trimaps)

    def _keep(self, trimap: Trimap, stats: dict[str, float]) -> None:
        """The trimap onto the disk, its numbers into the stats."""
        score = trimap_stats(trimap, self.plan.keyframes)
        stats["confidence"] = score.confidence
        stats["unknown_share"] = score.unknown_share
        stats["keyframe_distance"] = float(score.keyframe_distance)
        write_labels(trimap, self._trimap_path(trimap.number), self.plate.info.canvas)

    def _trimap_path(self, number: int) -> Path:
        name = f"trimap.{padded(number, max(4, self.plate.info.padding))}.png"
        return self.shot.trimap_output / name

    def _refuse_painted_over(self) -> None:
        """An artist's work in a propagated trimap must not be overwritten, nor passed over."""
        painted = [n for n in self.plan.numbers if self._painted_over(n)]
        if painted:
            raise TrimapError(
                f"{len(painted)} propagated trimaps have been painted over where they were "
                f"written: frames {numbers_as_text(painted)}",
                path=self._trimap_path(painted[0]),
                hint="move them to the folder of the keyframes and run again, or delete them",
            )

    def _painted_over(self, number: int) -> bool:
        trimap = self._trimap_path(number)
        if number in self.plan.keyframes or not trimap.is_file():
            return False
        matte = matte_path(
            self.shot.output, number, self.settings.output, padding=self.plate.info.padding
        )
        older = matte.is_file() and trimap.stat().st_mtime_ns <= matte.stat().st_mtime_ns
        return not older and not as_written(trimap)

    def proxies(self, numbers: Sequence[int]) -> Iterator[tuple[int, NDArray[np.uint8] | None]]:
        """Small display-like pictures to find the motion on; None where a frame is unreadable."""
        size = proxy_size(self.plate.info.canvas.shape, self.settings.propagation)

        def small(pair: tuple[int, FrameOrError]) -> tuple[int, NDArray[np.uint8] | None]:
            number, frame = pair
            return number, None if isinstance(frame, VfxmatteError) else self._proxy(frame, size)

        frames = self._read(self._proxy_plate, numbers)
        return ordered_map(small, frames, workers=self.workers)

    def _proxy(self, frame: Frame, size: tuple[int, int]) -> NDArray[np.uint8]:
        pixels = np.clip(np.nan_to_num(frame.pixels, nan=0.0, posinf=16.0), -1.0, 16.0)
        small = cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA)
        encoded = self.colours.encode(np.asarray(small, np.float32), frame.colour_space)
        return np.rint(np.clip(encoded, 0, 1) * 255).astype(np.uint8)

    def _read(self, plate: Plate, numbers: Sequence[int]) -> Iterator[tuple[int, FrameOrError]]:
        """Frames of the plate under the shot's numbers; a held frame stands in for a missing."""
        sources = [self.plan.sources[number] for number in numbers]
        frames = plate.frames(sorted(set(sources)), workers=self.workers)
        try:
            source, frame = next(frames)
            for number, wanted in zip(numbers, sources, strict=True):
                while source != wanted:
                    source, frame = next(frames)
                if isinstance(frame, Frame) and frame.number != number:
                    yield number, replace(frame, number=number)
                else:
                    yield number, frame
        finally:
            close(frames)

    def _loaded(self, trimaps: Iterable[_Work], todo: Mapping[int, str]) -> Iterator[_Work]:
        frames = self._read(self.plate, list(todo))
        try:
            for work in trimaps:
                with work.timed("read"):
                    number, frame = next(frames)
                assert number == work.number
                if isinstance(frame, VfxmatteError):
                    work.error = frame.at(shot=self.shot.name, frame=number)
                    work.trimap = None
                else:
                    work.frame = frame
                yield work
        finally:
            close(frames)
            close(trimaps)

    def _encode(self, work: _Work) -> _Work:
        if work.frame is None or work.trimap is None:
            return work
        with work.timed("colour"):
            finite = np.isfinite(work.frame.pixels)
            if not finite.all():
                bad = np.count_nonzero(~finite.all(axis=2))
                work.stats["nonfinite_pixels"] = float(bad)
            image = to_network(work.frame, self.colours)
            work.task = Task(image=image, trimap=work.trimap)
            work.trimap = None
        return work

    def _write(self, work: _Work) -> _Work:
        if work.matte is None or work.frame is None:
            return work
        settings = self.settings.output
        attributes = {**self._attributes(), **settings.attributes}
        path = matte_path(self.shot.output, work.number, settings, padding=self.plate.info.padding)
        with work.timed("write"):
            work.path = write_matte(
                work.matte, work.frame, replace(settings, attributes=attributes), path
            )
        work.frame = work.matte = None
        return work

    # -- what is said about the run --------------------------------------------------------------

    def _attributes(self) -> dict[str, str]:
        described = self._engine().describe()
        settings = {
            "keyframe_growth": self.settings.keyframe_growth,
            "propagation": as_plain(self.settings.propagation),
        }
        return {
            "vfxmatte/version": vfxmatte.__version__,
            "vfxmatte/colorspace": self.plate.info.colour_space,
            "vfxmatte/settings": json.dumps(settings),
            **{f"vfxmatte/{key}": str(value) for key, value in described.items()},
        }

    def _write_manifest(self, journal: Journal) -> None:
        if not journal.records:
            return
        header = {
            "shot": self.shot.name,
            "plate": str(self.shot.plate),
            "plate_description": str(self.plate.info),
            "colorspace": self.plate.info.colour_space,
            "ocio": self.colours.source,
            "keyframes": {str(n): str(path) for n, path in self.plan.keyframes.items()},
            "skipped": list(self.plan.skipped),
            "notes": list(self.plan.notes),
            "engine": dict(self.engine.describe()) if self.engine else {},
            "device": self.engine.device if self.engine else None,
            "settings": as_plain(self.settings),
            "versions": versions(),
        }
        journal.write_manifest(header)


def run(
    shot: Shot, settings: RunSettings | None = None, *, overwrite: bool = False
) -> Iterator[FrameResult]:
    """Solve a shot; yields one result per frame, in order (finished ones first).

    shot: see `Shot.open`. settings: None takes the shot's own. overwrite: do finished frames
    again. See `Run` for what is raised.
    """
    with Run(shot, settings, overwrite=overwrite) as prepared:
        yield from prepared.frames()


def _solve(engine: Engine, works: Iterable[_Work]) -> Generator[_Work]:
    """Feed the engine; frames without a picture go around it, in order."""
    under_way: list[_Work] = []
    waited = 0.0

    def tasks() -> Iterator[Task]:
        nonlocal waited
        asked = time.perf_counter()
        for work in works:
            waited += time.perf_counter() - asked
            under_way.append(work)
            if work.task is not None:
                yield work.task
            asked = time.perf_counter()

    def ready() -> Iterator[_Work]:
        while under_way and under_way[0].error is not None:
            yield under_way.pop(0)

    mattes = engine.mattes(tasks())
    try:
        while True:
            started = time.perf_counter()
            waited = 0.0
            matte = next(mattes, None)
            yield from ready()
            if matte is None:
                return
            work = under_way.pop(0)
            assert work.number == matte.number
            work.matte, work.task = matte, None
            work.stats["solve_ms"] = (time.perf_counter() - started - waited) * 1000
            yield work
    finally:
        close(mattes)
        close(works)


def _record(work: _Work, output: Path) -> FrameRecord:
    if work.error is not None or work.path is None:
        return FrameRecord(
            number=work.number,
            fingerprint=work.fingerprint,
            error=str(work.error),
            stats=work.stats,
        )
    return FrameRecord(
        number=work.number,
        fingerprint=work.fingerprint,
        file=str(work.path.relative_to(output)),
        size_bytes=work.path.stat().st_size,
        stats=work.stats,
    )


def _result(work: _Work) -> FrameResult:
    return FrameResult(
        number=work.number,
        status="failed" if work.error is not None else "written",
        path=work.path,
        error=work.error,
        stats=work.stats,
    )


def _usual_workers() -> int:
    """Two to four: each holds a few frames, and a 6K frame is a quarter of a gigabyte."""
    return min(4, max(2, (os.cpu_count() or 2) // 2))


def versions() -> dict[str, str]:
    """Of everything that decides pixels, for the manifest."""
    from importlib.metadata import version

    names = ("torch", "numpy", "opencv-python-headless", "OpenEXR", "opencolorio", "av")
    found = {name: version(name) for name in names}
    return {"vfxmatte": vfxmatte.__version__, "python": platform.python_version(), **found}
