"""Several subjects at the other commands: batches, reviews, the paint page, withheld keyframes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.pipeline.checked_runs import (
    shot_at,
    solve,
    write_alpha,
)
from tests.subjects import NUMBERS, alpha
from vfxmatte.batch.checked import CheckedShot
from vfxmatte.cli.group import commands
from vfxmatte.errors import ShotError, UsageError
from vfxmatte.paint.desk import Desk
from vfxmatte.pipeline.shot import Shot
from vfxmatte.pipeline.subjects_run import open_run
from vfxmatte.reporting.inspection import inspect
from vfxmatte.review.withholding import Withholding


def test_a_batch_counts_a_result_for_each_subject(folder: Path) -> None:
    shot = shot_at(folder)
    one = CheckedShot("pair", "here", shot, inspect(shot))
    assert (one.frames, one.to_do) == (2 * len(NUMBERS), 2 * len(NUMBERS))
    solve(shot)
    one = CheckedShot("pair", "here", shot, inspect(shot))
    assert (one.frames, one.finished, one.to_do) == (16, 16, 0)


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(commands, list(map(str, arguments)))


def test_a_batch_of_both_kinds_of_shots(folder: Path, tiny_shot: Path) -> None:
    done = invoke("batch", folder, tiny_shot, "--engine", "trimap")
    assert done.exit_code == 0, done.output
    assert "21/21" in done.stdout
    assert (folder / "matte" / "dog" / "matte.1003.exr").is_file()


def test_a_review_is_of_one_subject(folder: Path, tmp_path: Path, finished: Any) -> None:
    finished()
    refused = invoke("review", folder)
    assert refused.exit_code == 2 and "--subject cat" in refused.output
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    done = invoke("review", folder, "--subject", "dog", "--against", other, "--json")
    assert done.exit_code == 0, done.output
    assert (folder / "matte" / "dog" / "review.html").is_file()
    record = json.loads((folder / "matte" / "dog" / "review.json").read_text("utf-8"))
    assert list(record["against"]) == ["other/matte/dog"]


def test_the_page_paints_no_shot_with_several_subjects(folder: Path) -> None:
    with pytest.raises(ShotError, match="cat, dog"):
        Desk(Shot.open(folder), folder)


def test_folders_of_the_paint_page_are_no_subjects(folder: Path, tiny_shot: Path) -> None:
    for place in (folder / "trimaps", folder / "trimaps" / "cat", tiny_shot / "trimaps"):
        for name in ("replaced", "unsaved"):
            (place / name).mkdir()
            shutil.copy(tiny_shot / "trimaps" / "trimap.1001.png", place / name)
    assert list(Shot.open(folder).subjects) == ["cat", "dog"]
    shot = Shot.open(tiny_shot)
    assert not shot.subjects and not any("folders of images" in n for n in notes_of(shot))
    for path in (tiny_shot / "trimaps").glob("*.png"):
        path.unlink()
    shot = Shot.open(tiny_shot)
    assert not shot.subjects and not shot.keyframes
    with pytest.raises(ShotError, match="no keyframe"):
        open_run(shot)


def notes_of(shot: Shot) -> Sequence[str]:
    with open_run(shot) as run:
        return run.plan.notes


def test_withholding_from_one_subject_withholds(folder: Path) -> None:
    with pytest.raises(UsageError, match="--subject cat"):
        Withholding(shot=shot_at(folder))
    found = list(Withholding(shot=shot_at(folder, "dog")).frames())
    assert [(one.number, one.withheld) for one in found] == [(1004, (1004,)), (1006, (1006,))]
    assert all(one.error is None and (one.confidence or 1) < 1 for one in found)


def test_a_finished_matte_is_not_withheld(folder: Path) -> None:
    write_alpha(folder / "keys" / "dog" / "matte.1004.exr", alpha("dog", 1004))
    found = list(Withholding(shot=shot_at(folder, "dog")).frames())
    assert [one.number for one in found] == [1006] and found[0].error is None
