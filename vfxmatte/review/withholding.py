"""Judge a run by the artist's own keyframes: withhold some, run without them, and compare.

No true alpha is needed: what was painted on a withheld frame says which pixels are certain. Only
the surroundings of the painted band are measured, since the far certain pixels would flatter.
"""

from __future__ import annotations

import queue
import tempfile
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from vfxmatte.common.devices import device_names
from vfxmatte.common.parallel import ordered_map
from vfxmatte.common.wording import frames_text
from vfxmatte.engines.protocol import Engine
from vfxmatte.engines.registry import open_engine
from vfxmatte.errors import ShotError, VfxmatteError, as_foreseen, concerns_all_frames
from vfxmatte.io.mattes import read_matte
from vfxmatte.io.stills.reading import read_image
from vfxmatte.pipeline.keyframes import Keyframes
from vfxmatte.pipeline.prepared import PreparedRun
from vfxmatte.pipeline.run import Run
from vfxmatte.pipeline.shot import Shot
from vfxmatte.pipeline.subject_shots import one_subject
from vfxmatte.trimaps import labels_from_image
from vfxmatte.types import (
    BACKGROUND,
    FOREGROUND,
    UNKNOWN,
    FloatImage,
    FrameList,
    FrameResult,
    Frames,
    Labels,
    Mask,
    numbers_as_text,
)

NEAR_PX = 30
"""Pixels within this distance of the painted band are measured, rows and columns alike."""
SOLID, EMPTY = 0.9, 0.1
"""Foreground with less alpha is a hole, background with more is a leak."""


@dataclass(frozen=True, kw_only=True)
class WithheldScore:
    """A frame against what was painted on it, in per cent of the painted region near its band."""

    fg_lost: float
    """Painted foreground that the propagated trimap calls background."""
    bg_won: float
    """Painted background that it calls foreground."""
    unknown: float | None
    """The unknown area over the painted one; None if nothing was painted unknown."""
    holes: float
    """Painted foreground with alpha below 0.9."""
    leaks: float
    """Painted background with alpha above 0.1."""


@dataclass(frozen=True, kw_only=True)
class WithheldFrame:
    """The result of one withheld keyframe."""

    number: int
    withheld: tuple[int, ...]
    """The keyframes that the run went without."""
    score: WithheldScore | None = None
    confidence: float | None = None
    """The matte's confidence, 0 to 1."""
    error: VfxmatteError | None = None
    """Reason why the frame could not be measured."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """Keyframes that are withheld together, and those of them that are measured."""

    withheld: tuple[int, ...]
    judged: tuple[int, ...]


def score(painted: Labels, propagated: Labels, alpha: FloatImage) -> WithheldScore:
    """Compare a propagated trimap and its matte with a painted trimap, all (H, W)."""
    unknown = painted == UNKNOWN
    side = 2 * NEAR_PX + 1
    near = cv2.dilate(unknown.view(np.uint8), np.ones((side, side), np.uint8)).view(bool)
    foreground, background = (painted == FOREGROUND) & near, (painted == BACKGROUND) & near
    area = int(np.count_nonzero(propagated == UNKNOWN))
    return WithheldScore(
        fg_lost=_per_cent(propagated == BACKGROUND, foreground),
        bg_won=_per_cent(propagated == FOREGROUND, background),
        unknown=round(area / int(np.count_nonzero(unknown)), 2) if unknown.any() else None,
        holes=_per_cent(alpha < SOLID, foreground),
        leaks=_per_cent(alpha > EMPTY, background),
    )


def _per_cent(wrong: Mask, region: Mask) -> float:
    share = np.count_nonzero(wrong & region) / max(int(np.count_nonzero(region)), 1)
    return round(100 * share, 2)


def turns(
    keyframes: Collection[int], named: Frames | None, frames: Collection[int] | None = None
) -> list[Turn]:
    """Plan which keyframes are withheld: the named ones together, or each inner one in turn.

    Args:
        keyframes: numbers of all keyframes.
        named: the keyframes to withhold; None for the inner ones, one after the other.
        frames: withhold none but these; None for no limit.

    Raises:
        ShotError: a named frame is no keyframe; nothing can be withheld, or nothing would be left.
    """
    keys = sorted(keyframes)
    if named is not None:
        return [_named(keys, tuple(named))]
    if len(keys) < 3:
        raise ShotError(
            f"withholding a keyframe between others takes at least three, and there "
            f"{'is' if len(keys) == 1 else 'are'} {len(keys)}: {numbers_as_text(keys)}",
            hint="paint one more between them: it judges the run, and helps it afterwards",
        )
    inner = [number for number in keys[1:-1] if frames is None or number in frames]
    if not inner:
        raise ShotError(
            f"no keyframe between others lies in the frames of the run; keyframes are on "
            f"{numbers_as_text(keys)}",
            hint="give other --frames, or name the keyframes: --withhold 1016",
        )
    return [Turn(withheld=(number,), judged=(number,)) for number in inner]


def _named(keys: Sequence[int], named: tuple[int, ...]) -> Turn:
    unpainted = [number for number in named if number not in keys]
    if unpainted:
        raise ShotError(
            f"{frames_text(unpainted, ('has', 'have'))} no painted keyframe to withhold",
            hint=f"the keyframes are on {numbers_as_text(keys)}",
        )
    if len(named) == len(keys):
        raise ShotError(
            f"all keyframes would be withheld: {numbers_as_text(keys)}",
            hint="withhold fewer: the run needs at least one, better one on either side",
        )
    return Turn(withheld=named, judged=named)


@dataclass(kw_only=True)
class Withholding:
    """Runs a shot without some of its keyframes, and compares with what was painted there.

    Engines are opened once, one on each device of the settings. Results go to a folder in
    `scratch` (None: the system's temporary one) that is removed.
    """

    shot: Shot
    named: Frames | None = None
    """The keyframes to withhold together; None for the inner ones in turn."""
    scratch: Path | None = None
    turns: list[Turn] = field(init=False)

    def __post_init__(self) -> None:
        """Raise ShotError if nothing can be withheld, or whatever makes a run impossible."""
        self.shot = one_subject(self.shot)
        with PreparedRun(self.shot) as run:
            finished = run.plan.finished
            self._keyframes = {n: p for n, p in run.plan.keyframes.items() if n not in finished}
            self._info = run.plate.info
            self._painted = Keyframes(self._keyframes, self._info, 0.0)
            try:
                self.turns = turns(self._keyframes, self.named, self.shot.settings.frames)
            except VfxmatteError as error:
                path = next(iter(run.plan.keyframes.values())).parent
                raise error.at(shot=self.shot.name, path=path) from error.__cause__
            run.check_keyframes()

    def frames(self) -> Generator[WithheldFrame]:
        """Yield the result of every withheld keyframe; one that fails has an error."""
        settings = self.shot.settings
        with ExitStack() as stack:
            folder = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="vfxmatte-withheld-", dir=self.scratch)
            )
            idle: queue.SimpleQueue[Engine] = queue.SimpleQueue()
            devices = device_names(settings.engine.device)
            for device in devices:
                engine = open_engine(replace(settings.engine, device=device))
                stack.callback(engine.close)
                idle.put(engine)

            def measured(job: tuple[int, Turn]) -> list[WithheldFrame]:
                index, turn = job
                engine = idle.get()
                try:
                    return list(self._judged(turn, Path(folder) / str(index), engine))
                finally:
                    idle.put(engine)

            jobs = enumerate(part for turn in self.turns for part in _parts(turn, len(devices)))
            results = stack.enter_context(
                closing(ordered_map(measured, jobs, workers=len(devices), depth=len(devices)))
            )
            for result in results:
                yield from result

    def _judged(self, turn: Turn, output: Path, engine: Engine) -> Iterator[WithheldFrame]:
        left = {n: path for n, path in self.shot.keyframes.items() if n not in turn.withheld}
        settings = replace(self.shot.settings, frames=FrameList(numbers=turn.judged))
        shot = replace(self.shot, keyframes=left, output=output, settings=settings)
        with Run(shot, engine=engine) as run, closing(run.frames()) as results:
            for result in results:
                yield self._compared(turn, run, result)

    def _compared(self, turn: Turn, run: Run, result: FrameResult) -> WithheldFrame:
        number = result.number
        try:
            if result.error is not None:
                raise result.error
            if result.path is None:
                raise ShotError("the plate lacks this frame")
            propagated = labels_from_image(read_image(run.results.trimap_path(number)).pixels)
            painted = self._painted[number].labels
            values = score(painted, propagated, read_matte(result.path, self._info.canvas))
        except Exception as error:
            if concerns_all_frames(error):
                raise
            failure = as_foreseen(error).at(shot=self.shot.name, frame=number)
            return WithheldFrame(number=number, withheld=turn.withheld, error=failure)
        confidence = result.stats.get("confidence")
        return WithheldFrame(
            number=number, withheld=turn.withheld, score=values, confidence=confidence
        )


def _parts(turn: Turn, count: int) -> Iterable[Turn]:
    """Split a turn's measured frames into up to `count` neighbouring parts, one a device."""
    size = -(-len(turn.judged) // count)
    for start in range(0, len(turn.judged), size):
        yield replace(turn, judged=turn.judged[start : start + size])
