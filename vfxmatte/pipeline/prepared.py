"""A run before its first frame: everything that is opened, checked and planned from headers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from vfxmatte.colour import ColourConfig
from vfxmatte.common.wording import frames_text
from vfxmatte.errors import OutputError, TrimapError, UsageError, VfxmatteError, concerns_all_frames
from vfxmatte.io.plate import Plate
from vfxmatte.pipeline.clean_plates import CleanPlateReader
from vfxmatte.pipeline.controls import Controls
from vfxmatte.pipeline.keyframes import Keyframes
from vfxmatte.pipeline.limit_doubts import limit_doubts
from vfxmatte.pipeline.plan import RunPlan, make_plan
from vfxmatte.pipeline.plate_reader import PlateReader
from vfxmatte.pipeline.results import Results
from vfxmatte.pipeline.settings import RunSettings, usual_workers
from vfxmatte.pipeline.shot import Shot
from vfxmatte.pipeline.subject_shots import one_subject
from vfxmatte.propagation.clean_plate import CleanPlate, ReadBehind
from vfxmatte.propagation.shot_trimaps import ReadProxies, carry, proxy_size, trimaps_or_error
from vfxmatte.trimaps import resized
from vfxmatte.types import Failure, Trimap


class PreparedRun:
    """A shot, opened and planned; a context manager.

    Making one reads headers only and loads no torch. `trimaps()` carries the keyframes through
    time; `run.Run` solves the frames.
    """

    def __init__(
        self,
        shot: Shot,
        settings: RunSettings | None = None,
        *,
        chunk: bool = False,
        only: Collection[int] | None = None,
        check_stopped: Callable[[], None] | None = None,
        beside: PreparedRun | None = None,
    ) -> None:
        """Open and plan the shot; see `run.Run` for arguments and errors."""
        self.shot = shot = one_subject(shot)
        self.settings = settings or shot.settings
        self.chunk = chunk
        self.workers = self.settings.workers or usual_workers()
        self._only = None if only is None else frozenset(only)
        self.check_stopped = check_stopped or (lambda: None)
        self.read_proxies: ReadProxies = self.proxies
        """The source of the small pictures that motion is estimated on."""
        self._open_files = ExitStack()
        try:
            self.colours: ColourConfig = (
                beside.colours if beside else ColourConfig.load(self.settings.ocio)
            )
            self.plate: Plate = beside.plate if beside else self._open_plate()
            self.shot.check_output()
            self.plan: RunPlan = make_plan(
                shot, self.settings, self.plate.info, self.plate.signature
            )
            self._open_files.callback(self.plan.limits.close)
            self.clean_plates: CleanPlateReader | None = (
                beside.clean_plates if beside else self._open_clean_plates()
            )
            self._check_only()
            self.results = Results(shot=shot, plate=self.plate.info, settings=self.settings.output)
            self.plate_reader: PlateReader = (
                beside.plate_reader if beside else self._open_plate_reader()
            )
            self.keyframes = Keyframes(
                self._needed_keyframes(),
                self.plate.info,
                self.settings.keyframe_growth,
                self.plan.finished,
            )
            self.controls = Controls(
                plan=self.plan,
                plate=self.plate.info,
                edges=self.settings.matte,
                output=self.settings.output,
            )
        except BaseException as error:
            self.close()
            if isinstance(error, VfxmatteError):
                error.at(shot=shot.name)
            raise

    @property
    def numbers(self) -> tuple[int, ...]:
        """The frames to solve, ascending: all but the locked ones."""
        only, locked = self._only, self.plan.locked
        return tuple(
            n for n in self.plan.numbers if n not in locked and (only is None or n in only)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the plate, and the engine if this run has opened it."""
        self._open_files.close()

    def check_keyframes(self) -> list[str]:
        """Read the keyframes, the headers of garbage and core mattes, and two of these.

        Returns:
            What is odd about the keyframes, which garbage and core mattes contradict them, and
            which clean plates are not behind them.

        Raises:
            TrimapError, ShotError: one of them cannot be used.
        """
        try:
            numbers = (n for n in self.numbers if n not in self.plan.finished)
            self.plan.limits.check(numbers, self.plate.info)
            return [*self.keyframes.check(), *self._strange_limits, *self._strange_plates]
        except VfxmatteError as error:
            raise error.at(shot=self.shot.name) from error.__cause__

    @property
    def painted_px(self) -> float:
        """The mean unknown area of the shot's painted keyframes that have any, in px; 0 without."""
        areas = [unknown for unknown, _ in self._painted if unknown]
        return float(np.mean(areas)) if areas else 0.0

    @property
    def has_solid_keyframes(self) -> bool:
        """Whether a keyframe has certain foreground."""
        return any(foreground for _, foreground in self._painted)

    @cached_property
    def _painted(self) -> list[tuple[int, int]]:
        """The areas that are unknown and foreground on each painted keyframe, in px.

        On all, also where a chunk needs but a few, so that all are rated alike.
        """
        painted = [n for n in self.plan.keyframes if n not in self.plan.finished]
        others = Keyframes(self.plan.keyframes, self.plate.info, self.settings.keyframe_growth)
        read, areas = set(self.keyframes), []
        for number in painted:
            with suppress(TrimapError):  # where this run needs it, it was refused
                areas.append((self.keyframes if number in read else others).areas_px(number))
        return areas

    @cached_property
    def _strange_limits(self) -> list[str]:
        return limit_doubts(self.plan, self.keyframes, lambda n: self.keyframes[n].labels)

    @cached_property
    def _strange_plates(self) -> list[str]:
        """A sentence for each keyframe whose clean plate cannot be read, or is not its background;
        raises PlateError if one that serves every frame cannot be read."""
        if self._behind is None:
            return []
        pictures = self.proxies(sorted(self.keyframes))
        remarks = (self._plate_remark(n, picture, self._behind) for n, picture in pictures)
        return [remark for remark in remarks if remark]

    def _plate_remark(
        self, number: int, picture: NDArray[np.uint8] | None, behind: ReadBehind
    ) -> str:
        """Return what is wrong with a keyframe's clean plate; "" for nothing."""
        if picture is None:
            return ""
        try:
            plate = behind(number)
        except VfxmatteError as error:
            if self.plan.clean is None or self.plan.clean.is_still or concerns_all_frames(error):
                raise
            return (
                f"the clean plate of keyframe {number} cannot be read ({error.what}): the frames "
                "up to the keyframes beside it will fail"
            )
        if plate is None:
            return ""
        labels = resized(self.keyframes[number].labels, picture.shape[:2])
        if CleanPlate.from_picture(plate).compared(picture, labels) is not None:
            return ""
        return (
            f"the clean plate of keyframe {number} is not its background, or shows too "
            "little of it: clean plates are left out up to the keyframes beside it"
        )

    def trimaps(self) -> Iterator[Trimap]:
        """Yield the trimap of every frame to solve, carried from the keyframes, ascending.

        Nothing is solved and nothing written; painted ones come as they are. The first frame
        without a trimap ends it with its error, see `carried`.
        """
        return trimaps_or_error(self.carried())

    def carried(
        self, numbers: Collection[int] | None = None, *, scratch: Path | None = None
    ) -> Generator[Trimap | Failure]:
        """Yield the same as `trimaps`, with a `Failure` for each frame that has none.

        Args:
            numbers: the frames; None takes all that are to be solved.
            scratch: a folder for intermediate results; None takes the system's temporary one.
        """
        trimaps = carry(
            self.keyframes,
            self.plan.trail,
            self.read_proxies,
            self.settings.propagation,
            requested=set(self.numbers) if numbers is None else numbers,
            workers=self.workers,
            scratch=scratch,
            behind=self._behind,
        )
        return self.controls.limited_trimaps(trimaps, self.workers)

    def proxies(self, numbers: Sequence[int]) -> Iterator[tuple[int, NDArray[np.uint8] | None]]:
        """Yield small display-like pictures to estimate the motion on; None for an unreadable one.

        Returns:
            (number, (h, w, 3) uint8) pairs in the numbers' order, which ascends.
        """
        size = proxy_size(self.plate.info.canvas.shape, self.settings.propagation)
        for pair in self.plate_reader.proxies(numbers, size):
            self.check_stopped()
            yield pair

    def plate_path(self, number: int) -> Path | None:
        """Return the plate file of a frame; None for a frame that the plate lacks."""
        source = self.plan.sources.get(number)
        return None if source is None else self.plate.path(source)

    def concerns_all(self, error: Exception) -> bool:
        """Return True for an error that ends the run: nothing at all can be written, say."""
        if concerns_all_frames(error):
            return True
        return isinstance(error, OutputError) and not self.results.can_be_written()

    def _check_only(self) -> None:
        outside = sorted((self._only or set()) - set(self.plan.numbers))
        if outside:
            named = frames_text(outside, ("is", "are"))
            raise UsageError(f"{named} not in the range of the run")

    def _open_plate(self) -> Plate:
        plate = self.shot.open_plate(self.colours, self.settings)
        return self._open_files.enter_context(plate)

    def _open_clean_plates(self) -> CleanPlateReader | None:
        files = self.plan.clean
        if files is None:
            return None
        info, settings = self.plate.info, self.settings
        reader = CleanPlateReader(files, info, settings.colorspace, self.colours)
        self._open_files.callback(reader.close)
        return reader

    @property
    def _behind(self) -> ReadBehind | None:
        """The function that reads a frame's clean plate, of the proxies' size; None without any."""
        reader = self.clean_plates
        if reader is None:
            return None
        size = proxy_size(self.plate.info.canvas.shape, self.settings.propagation)
        return lambda number: reader.read(number, size)

    def _open_plate_reader(self) -> PlateReader:
        second = self._open_plate() if self.plate.info.kind == "movie" else self.plate
        return PlateReader(self.plate, second, self.plan, self.colours, self.workers)

    def _needed_keyframes(self) -> dict[int, Path]:
        """Return the keyframes that the frames to solve depend on; a whole run reads all."""
        if not self.chunk:
            return dict(self.plan.keyframes)
        needed = {key for number in self.numbers for key in self.plan.segment(number)}
        return {n: path for n, path in self.plan.keyframes.items() if n in needed}
