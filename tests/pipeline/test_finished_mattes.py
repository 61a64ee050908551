"""Finished mattes as keyframes: delivered as they are, or refused by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from tests.conftest import TINY_WINDOW, tiny_alpha
from tests.pipeline.counting import run_counted
from tests.pipeline.tiny_mattes import SOFT_WALL, alpha_of, half, labels_of, write
from vfxmatte.cli.group import commands
from vfxmatte.errors import TrimapError
from vfxmatte.io.stills.exr import write_exr
from vfxmatte.io.stills.reading import read_image
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FloatImage


@pytest.mark.parametrize("suffix", [".exr", ".png", ".tif"])
def test_a_finished_matte_is_delivered_exactly_and_its_trimap_follows(
    tiny_shot: Path, tmp_path: Path, suffix: str
) -> None:
    run_counted(tiny_shot, tmp_path / "before")
    given = write(tiny_shot / "keys" / f"matte.1003{suffix}", tiny_alpha(2) * np.float32(0.9999))
    stored = read_image(given).pixels[:, :, -1]
    results, engine = run_counted(tiny_shot, output={"pixel_type": "float"})
    assert engine.solved == [1001, 1002, 1004, 1005]
    np.testing.assert_array_equal(alpha_of(results[1003].path), stored)
    assert results[1003].stats["keyframe_distance"] == 0
    labels = labels_of(tiny_shot / "matte", 1003)
    soft = (stored > 0.02) & (stored < 0.98)
    assert soft.any() and (labels[soft] == UNKNOWN).all()
    grown = cv2.dilate(soft.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert (labels[grown] == UNKNOWN).all()
    far = cv2.dilate(soft.astype(np.uint8), np.ones((13, 13), np.uint8)) == 0
    assert (labels[far & (stored < 0.5)] == BACKGROUND).all() and (labels == FOREGROUND).any()


def test_a_finished_matte_concerns_the_frames_around_it_and_no_others(tmp_path: Path) -> None:
    from vfxmatte.bench.moving_shot import MovingShot

    shot = MovingShot(frames=9, width=64, height=48, first=1, keyframes=(1, 5, 9))
    folder = shot.write(tmp_path / "shot")
    run_counted(folder)
    write(folder / "keys" / "matte.0003.exr", tiny_alpha(1))
    assert run_counted(folder)[1].solved == [2, 4]
    assert run_counted(folder)[1].solved == []
    write(folder / "keys" / "matte.0003.exr", tiny_alpha(2))
    assert run_counted(folder)[1].solved == [2, 4]
    (folder / "keys" / "matte.0003.exr").unlink()
    assert run_counted(folder)[1].solved == [2, 3, 4]


def test_finished_mattes_alone_are_keyframes_enough(tiny_shot: Path) -> None:
    shutil.rmtree(tiny_shot / "trimaps")
    write(tiny_shot / "keys" / "matte.1002.exr", tiny_alpha(1))
    results, engine = run_counted(tiny_shot)
    assert engine.solved == [1001, 1003, 1004, 1005]
    assert {r.status for r in results.values()} == {"written"}
    answer = CliRunner().invoke(commands, ["check", str(tiny_shot), "--engine", "trimap"])
    assert answer.exit_code == 0 and "1002 finished matte" in answer.output


def test_a_finished_matte_counts_before_a_painted_trimap(tiny_shot: Path) -> None:
    write(tiny_shot / "keys" / "matte.1001.exr", tiny_alpha(0))
    results, engine = run_counted(tiny_shot)
    assert 1001 not in engine.solved
    np.testing.assert_array_equal(alpha_of(results[1001].path), half(tiny_alpha(0)))
    manifest = json.loads((tiny_shot / "matte" / "manifest.json").read_text(encoding="utf-8"))
    assert any("frame 1001 has more than one keyframe" in note for note in manifest["notes"])


def test_neither_limits_nor_edges_touch_a_finished_matte(tiny_shot: Path) -> None:
    write(tiny_shot / "keys" / "matte.1003.exr", tiny_alpha(2))
    run_counted(tiny_shot)
    before = (tiny_shot / "matte" / "matte.1003.exr").read_bytes()
    write(tiny_shot / "garbage" / "g.png", SOFT_WALL)
    results, _ = run_counted(tiny_shot, matte={"gamma": 2.0})
    assert results[1003].status == "kept"
    assert (tiny_shot / "matte" / "matte.1003.exr").read_bytes() == before
    manifest = json.loads((tiny_shot / "matte" / "manifest.json").read_text(encoding="utf-8"))
    assert any("(1003) stay as they are" in note for note in manifest["notes"])


@pytest.mark.parametrize(
    ("name", "values", "text"),
    [
        ("matte.1003.exr", np.zeros((24, 32), np.float32), "finished matte is 32x24"),
        ("matte.1003.exr", np.full((48, 64), np.nan, np.float32), "NaN or inf"),
        ("final.exr", np.zeros((48, 64), np.float32), "finished matte's name has no frame number"),
    ],
)
def test_a_bad_finished_matte_is_refused_by_name(
    tiny_shot: Path, name: str, values: FloatImage, text: str
) -> None:
    path = tiny_shot / "keys" / name
    path.parent.mkdir()
    height, width = values.shape
    window = type(TINY_WINDOW).of_size(width, height)
    write_exr(path, {"A": values}, data_window=window, display_window=window)
    with pytest.raises(TrimapError, match=text) as caught:
        run_counted(tiny_shot)
    assert caught.value.path == str(path) and caught.value.shot == tiny_shot.name
    assert not list((tiny_shot / "matte").glob("matte.*"))
