"""A review of a shot: its frames read, measured, flagged and written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, tee
from pathlib import Path
from statistics import median

from vfxmatte.common.wording import counted
from vfxmatte.errors import ShotError
from vfxmatte.io.rates import DEFAULT_FPS
from vfxmatte.pipeline.prepared import PreparedRun
from vfxmatte.pipeline.shot_folder import MATTE_FOLDER
from vfxmatte.propagation.confidence import WEAK, TrimapStats, suggest_keyframe, suggestion_text
from vfxmatte.propagation.flow import FlowPair
from vfxmatte.review.figures import Figures, figures_of
from vfxmatte.review.flags import FrameReview, reviewed
from vfxmatte.review.footage import Footage, ReviewFrame, Take
from vfxmatte.review.gate import Condition, broken
from vfxmatte.review.measures import REACH, Measured, measured, plate_motion
from vfxmatte.review.page import PICTURES_BYTES, PageContent, in_order_of_need, write_page
from vfxmatte.review.proxies import Proxies
from vfxmatte.review.reports import as_plain, write_json, write_junit

_WIDE = 0.4  # share of unknown pixels
_STEP, _LEAST_AREA = 0.2, 0.001  # of a matte's area, and what counts as area
PAGE_FILE, JSON_FILE, JUNIT_FILE = "review.html", "review.json", "review.junit.xml"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The findings of a review."""

    frames: Sequence[FrameReview]
    failures: dict[int, list[str]]
    """The conditions that fail, by frame number; frames without a matte are among them."""
    page: Path
    files: tuple[Path, ...]
    """All that was written."""
    notes: Sequence[str] = ()
    """Remarks on the whole shot, a sentence each."""


@dataclass(kw_only=True)
class Review:
    """Reviews the results of a prepared run, beside those of another take if there is one."""

    run: PreparedRun
    against: Path | None = None
    conditions: Sequence[Condition] = ()
    takes: list[Take] = field(init=False)

    def __post_init__(self) -> None:
        """Raise ShotError where there is nothing to review."""
        outputs = [self.run.shot.output]
        if self.against is not None:
            outputs.append(_results_folder(self.against, self.run.shot.subject))
        names = _distinct_names(outputs)
        self.takes = [
            Take.of(self.run, output, name) for output, name in zip(outputs, names, strict=True)
        ]
        for take in self.takes:
            if not set(take.mattes) & set(self.run.plan.numbers):
                raise ShotError(
                    "there is no matte to review",
                    shot=self.run.shot.name,
                    path=take.output,
                    hint="run the shot first (`vfxmatte run`), or name its results by --output",
                )

    def write(self) -> Outcome:
        """Read and measure all frames, and write page, review.json and JUnit XML beside the mattes.

        Raises OutputError.
        """
        footage = Footage(run=self.run, takes=self.takes)
        proxies = Proxies(len(footage.numbers), footage.size, PICTURES_BYTES, takes=len(self.takes))
        figures: list[list[Figures]] = [[] for _ in self.takes]
        planes: dict[int, dict[str, bytes]] = {}
        for frame in _measured_together(footage, len(self.takes)):
            for listed, one in zip(figures, frame, strict=True):
                listed.append(figures_of(one.frame, one.measures))
            own, other = frame[0], frame[1] if len(frame) > 1 else None
            planes[own.frame.number] = proxies.add(
                own.frame,
                own.difference,
                None if other is None else other.frame,
                None if other is None else other.difference,
            )
        return self._written(footage, [reviewed(one) for one in figures], planes, proxies.size)

    def _written(
        self,
        footage: Footage,
        reviews: list[list[FrameReview]],
        planes: dict[int, dict[str, bytes]],
        size: tuple[int, int],
    ) -> Outcome:
        frames, shot, output = reviews[0], self.run.shot.name, self.run.shot.output
        notes = shot_notes(frames)
        failures = self._failures(frames)
        first = [footage.numbers[0], *(f.number for f in frames if f.rank == 1)]
        content = PageContent(
            shot=shot,
            take=self.takes[0].name,
            other=self.takes[1].name if len(self.takes) > 1 else None,
            facts=self._facts(),
            notes=notes,
            size=size,
            full_size=footage.full_size,
            fps=float(self.run.settings.fps or self.run.plate.info.fps or DEFAULT_FPS),
            frames=frames,
            other_frames=reviews[1] if len(reviews) > 1 else None,
            planes=in_order_of_need(planes, first),
            failures=failures,
        )
        paths = tuple(output / name for name in (PAGE_FILE, JSON_FILE, JUNIT_FILE))
        write_page(paths[0], content)
        takes = dict(zip([take.name for take in self.takes], reviews, strict=True))
        write_json(paths[1], as_plain(shot, takes, failures, notes))
        write_junit(paths[2], shot, frames, failures)
        return Outcome(frames=frames, failures=failures, page=paths[0], files=paths, notes=notes)

    def _failures(self, frames: Sequence[FrameReview]) -> dict[int, list[str]]:
        """Return what fails the gate; without conditions nothing does."""
        if not self.conditions:
            return {}
        failures = broken(self.conditions, {f.number: f.values for f in frames})
        for frame in frames:
            if frame.is_missing:
                failures.setdefault(frame.number, []).extend(frame.problems)
        return dict(sorted(failures.items()))

    def _facts(self) -> list[str]:
        plan = self.run.plan
        facts = [str(self.run.plate.info), counted(len(plan.keyframes), "keyframe")]
        for take in self.takes:
            engine = take.engine()
            facts.append(f"{take.name}: {engine}" if engine else take.name)
        return facts


def shot_notes(frames: Sequence[FrameReview]) -> list[str]:
    """Return what concerns the whole shot rather than single frames."""
    notes = []
    shares = [share for f in frames if (share := f.values["unknown"]) is not None]
    if shares and median(shares) > _WIDE:
        notes.append(
            f"the trimap is unknown over {median(shares):.0%} of the picture on most frames: more "
            "keyframes, or a narrower band, would help all of them"
        )
    notes += _note_of_keyframes(frames)
    keyframes = [f.number for f in frames if f.is_keyframe]
    stats = [
        TrimapStats(
            number=f.number,
            confidence=confidence,
            unknown_share=f.values["unknown"] or 0.0,
            keyframe_distance=min(abs(f.number - key) for key in keyframes),
        )
        for f in frames
        if keyframes and (confidence := f.values["confidence"]) is not None
    ]
    number = suggest_keyframe(stats)
    confidence = next((one.confidence for one in stats if one.number == number), 1.0)
    if number is not None and confidence < WEAK:
        notes.append(suggestion_text(number, confidence))
    return notes


def _note_of_keyframes(frames: Sequence[FrameReview]) -> list[str]:
    """Return a note where the matte is another one on a keyframe than beside it."""
    steps = []
    for one, other in pairwise(frames):
        areas = one.values["area"], other.values["area"]
        if one.is_keyframe != other.is_keyframe and None not in areas:
            low, high = sorted(area or 0.0 for area in areas)
            steps.append(((high - low) / max(high, _LEAST_AREA), one.number, other.number))
    if not steps or max(steps)[0] <= _STEP:
        return []
    share, first, second = max(steps)
    return [
        f"the matte's area changes by {share:.0%} between frames {first} and {second}, one of them "
        "a keyframe: the frames between keyframes are not as good as those"
    ]


def _measured_together(footage: Footage, count: int) -> Iterator[tuple[Measured, ...]]:
    """Yield each frame as all takes have it; the motion of the plate is found once."""
    known: dict[tuple[int, int], FlowPair | None] = {}

    def motion(frame: ReviewFrame, before: ReviewFrame) -> FlowPair | None:
        key = frame.number, before.number
        if key not in known:
            known[key] = plate_motion(frame, before)
            for old in list(known)[: -2 * REACH]:
                del known[old]
        return known[key]

    def of_take(frames: Iterable[tuple[ReviewFrame, ...]], index: int) -> Iterator[Measured]:
        return measured((frame[index] for frame in frames), motion=motion)

    copies = tee(footage.frames(), count)
    takes = (of_take(frames, index) for index, frames in enumerate(copies))
    return zip(*takes, strict=True)


def _results_folder(place: Path, subject: str) -> Path:
    """Return the folder with mattes that a person has named: itself, or a shot's `matte/`.

    Args:
        subject: the one whose mattes are meant, where there are several; "" for a single one.
    """
    inner = place / MATTE_FOLDER
    folder = inner if inner.is_dir() else place
    return folder / subject if subject and (folder / subject).is_dir() else folder


def _distinct_names(folders: Sequence[Path]) -> list[str]:
    """Return short names for folders: the last parts of their paths, as many as tell them apart."""
    whole = [folder.resolve().parts for folder in folders]
    for count in range(1, max(map(len, whole)) + 1):
        names = ["/".join(parts[-count:]) for parts in whole]
        if len(set(names)) == len(names):
            return names
    raise ShotError(
        "a review is compared with itself", path=folders[0], hint="give another --against"
    )
