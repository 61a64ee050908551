"""The findings about keyframes: painted trimaps and finished mattes, read one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vfxmatte.common.parallel import ordered_map
from vfxmatte.errors import VfxmatteError, as_foreseen
from vfxmatte.io.plate import PlateInfo
from vfxmatte.journal.error_log import logged
from vfxmatte.pipeline.finished import finished_trimap
from vfxmatte.pipeline.plan import RunPlan
from vfxmatte.types import Trimap

_WORKERS = 4


@dataclass(frozen=True, kw_only=True)
class KeyframeFinding:
    """One painted trimap or finished matte."""

    number: int
    path: Path
    used: bool
    """True if the plate has such a frame."""
    unknown_share: float | None = None
    """0 to 1; None if it cannot be read."""
    remark: str = ""
    """An oddity, as a sentence; "" for none."""
    error: VfxmatteError | None = None
    """The reason why it cannot be used."""
    finished: bool = False
    """True for a finished matte."""


def findings(
    paths: Mapping[int, Path],
    plate: PlateInfo,
    read: Callable[[int, Path], tuple[Trimap, str]],
    *,
    finished: bool = False,
) -> list[KeyframeFinding]:
    """Read keyframes; `read` returns a trimap, and what is odd about it."""

    def inspect_one(item: tuple[int, Path]) -> KeyframeFinding:
        number, path = item
        used = number in plate.numbers
        try:
            trimap, remark = read(number, path)
        except Exception as error:
            foreseen = as_foreseen(error).at(frame=number, path=path)
            return KeyframeFinding(
                number=number, path=path, used=used, error=logged(foreseen), finished=finished
            )
        return KeyframeFinding(
            number=number,
            path=path,
            used=used,
            unknown_share=trimap.unknown_share,
            remark=remark,
            finished=finished,
        )

    return list(ordered_map(inspect_one, sorted(paths.items()), workers=_WORKERS))


def finished_findings(plan: RunPlan, plate: PlateInfo) -> list[KeyframeFinding]:
    """Inspect finished mattes; of locked ones, those that cannot be used."""

    def read(number: int, path: Path) -> tuple[Trimap, str]:
        return finished_trimap(path, number, plate)

    entries = findings(plan.finished, plate, read, finished=True)
    return [one for one in entries if one.error or one.number not in plan.locked]
