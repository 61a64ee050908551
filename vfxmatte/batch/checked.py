"""The shots of a batch, checked before the first of them starts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from vfxmatte.common.paths import existing_folder, is_same_place
from vfxmatte.errors import UsageError, VfxmatteError
from vfxmatte.journal.error_log import logged
from vfxmatte.pipeline.shot import Shot
from vfxmatte.reporting.inspection import Inspection, inspect


class NamedShot(Protocol):
    """A shot that is not open yet."""

    @property
    def name(self) -> str:
        """Unique in the batch."""

    @property
    def source(self) -> str:
        """The argument or list that names it."""

    def open(self) -> Shot:
        """Open the shot; raises VfxmatteError."""


@dataclass(eq=False)
class CheckedShot:
    """The findings about a shot before the batch starts."""

    name: str
    source: str
    shot: Shot | None = None
    """None if it cannot be opened."""
    inspection: Inspection | None = None
    problems: list[VfxmatteError] = field(default_factory=list)
    """Why it cannot run."""

    @property
    def exit_code(self) -> int:
        """Exit code of `vfxmatte check` for this shot, or of a batch that cannot take it."""
        codes = [problem.exit_code for problem in self.problems]
        return max(codes, default=0 if self.inspection is None else self.inspection.exit_code)

    @property
    def frames(self) -> int:
        """Number of results of a run, finished ones included: for each subject one a frame."""
        inspection = self.inspection
        if inspection is None or inspection.plan is None:
            return 0
        return max(1, len(inspection.subjects)) * (
            len(inspection.plan.numbers) + len(inspection.plan.skipped)
        )

    @property
    def finished(self) -> int:
        """Number of frames that earlier runs have finished."""
        return 0 if self.inspection is None else self.inspection.finished

    @property
    def to_do(self) -> int:
        """Number of frames that a run would solve or rewrite."""
        return 0 if self.inspection is None else self.inspection.to_do or 0


def checked_shots(shots: Iterable[NamedShot]) -> Iterator[CheckedShot]:
    """Open and inspect each shot, collecting its problems; headers and keyframes are read."""
    for named in shots:
        one = CheckedShot(named.name, named.source)
        try:
            one.shot = named.open()
            one.inspection = inspect(one.shot)
            one.problems += [problem.at(shot=named.name) for problem in one.inspection.problems]
        except Exception as error:
            one.problems.append(logged(error).at(shot=named.name))
        yield one


def find_clash(one: CheckedShot, earlier: Sequence[CheckedShot]) -> None:
    """Give the shot a problem if its results would go where those of an earlier one go."""
    if one.shot is None:
        return
    output = one.shot.output
    for other in earlier:
        if other.shot is not None and is_same_place(output, other.shot.output):
            what = f"its mattes would go where those of {other.name} go ({other.source})"
            hint = f"give one of them another --output, in a list ({one.source})"
            one.problems.append(UsageError(what, shot=one.name, path=output, hint=hint))
            return


def full_disks(shots: Iterable[CheckedShot]) -> list[str]:
    """Return a sentence for each disk that may be too full for the mattes of all shots together."""
    needed: dict[int, int] = defaultdict(int)
    disks: dict[int, tuple[Path, int]] = {}
    for one in shots:
        inspection = one.inspection
        if (
            inspection is None
            or inspection.needed_bytes is None
            or inspection.free_bytes is None
            or one.problems
        ):
            continue
        folder = existing_folder(inspection.shot.output)
        disk = folder.stat().st_dev
        needed[disk] += inspection.needed_bytes
        disks.setdefault(disk, (folder, inspection.free_bytes))
    return [
        f"the disk of {folder} may be too full for all mattes to come: at most "
        f"{needed[disk] / 2**30:.1f} GiB, of which {free / 2**30:.1f} GiB are free"
        for disk, (folder, free) in disks.items()
        if needed[disk] > free
    ]
