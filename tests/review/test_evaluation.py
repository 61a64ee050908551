"""Results against a true alpha: the same figures as by hand, with and without a run before."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from vfxmatte.cli import commands
from vfxmatte.errors import ShotError, TrimapError
from vfxmatte.io.stills.exr import write_exr
from vfxmatte.io.stills.reading import read_image
from vfxmatte.pipeline.run import Run
from vfxmatte.pipeline.shot import Shot
from vfxmatte.propagation.confidence import area_ratio, missed_share
from vfxmatte.review.evaluation import Evaluation, equal_band_px, open_alpha
from vfxmatte.review.metrics import dtssd, matte_errors
from vfxmatte.trimaps import from_matte, labels_from_image
from vfxmatte.types import FloatImage, Labels, Window


def evaluated(*arguments: object) -> list[dict[str, Any]]:
    result = CliRunner().invoke(commands, ["evaluate", *map(str, arguments), "--json"])
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def run_shot(shot: Path, weights: Path) -> None:
    arguments = ["run", str(shot), "--weights", str(weights), "--device", "cpu", "--quiet"]
    assert CliRunner().invoke(commands, arguments).exit_code == 0


def plane(path: Path) -> FloatImage:
    return read_image(path).pixels[:, :, 0]


def test_figures_are_those_of_the_metrics(tiny_shot: Path, tiny_weights: Path) -> None:
    run_shot(tiny_shot, tiny_weights)
    *frames, means = evaluated(tiny_shot)
    assert [f["frame"] for f in frames] == [1001, 1002, 1003, 1004, 1005]
    assert [f["is_keyframe"] for f in frames] == [True, False, False, False, True]
    assert frames[0]["missed"] is None and frames[0]["area"] is None
    folders = {"matte": "matte/matte", "alpha": "alpha/alpha"}
    two = {k: [plane(tiny_shot / f"{v}.{n}.exr") for n in (1003, 1004)] for k, v in folders.items()}
    labels = [trimap(tiny_shot, number) for number in (1003, 1004)]
    ideal = from_matte(two["alpha"][0], erode_px=means["band_px"], dilate_px=means["band_px"])
    errors = matte_errors(two["matte"][0], two["alpha"][0], labels[0])
    third = frames[2]
    assert third["missed"] == missed_share(labels[0], two["alpha"][0])
    assert third["area"] == area_ratio(labels[0], ideal)
    assert (third["sad"], third["mse"]) == (errors.sad, errors.mse)
    assert (third["grad"], third["conn"]) == (errors.grad, errors.conn)
    mattes, truths = tuple(two["matte"]), tuple(two["alpha"])
    assert third["dtssd"] == dtssd(mattes, truths, tuple(labels))  # type: ignore[arg-type]
    assert third["messddt"] > 0
    assert frames[-1]["dtssd"] is None and frames[-1]["messddt"] is None
    assert means["mse"] == pytest.approx(np.mean([f["mse"] for f in frames]))
    assert means["area"] == pytest.approx(np.mean([f["area"] for f in frames[1:4]]))


def trimap(shot: Path, number: int) -> Labels:
    path = shot / "matte" / "trimaps" / f"trimap.{number}.png"
    return labels_from_image(read_image(path).pixels)


def test_trimaps_are_carried_now_where_none_were_written(
    tiny_shot: Path, tiny_weights: Path
) -> None:
    *before, means = evaluated(tiny_shot)
    assert not (tiny_shot / "matte").exists()
    assert means["sad"] is None and 0 <= means["missed"] <= 1 and means["area"] > 0.5
    run_shot(tiny_shot, tiny_weights)
    *after, _ = evaluated(tiny_shot)
    assert [f["area"] for f in before] == [f["area"] for f in after]
    assert [f["missed"] for f in before] == [f["missed"] for f in after]


def test_perfect_mattes_have_no_error(tiny_shot: Path) -> None:
    window = Window.of_size(64, 48)
    (tiny_shot / "matte").mkdir()
    for number in range(1001, 1006):
        alpha = plane(tiny_shot / "alpha" / f"alpha.{number}.exr")
        path = tiny_shot / "matte" / f"matte.{number}.exr"
        write_exr(path, {"A": alpha}, data_window=window, display_window=window)
    *frames, means = evaluated(tiny_shot)
    assert all(f["mse"] == f["sad"] == f["grad"] == f["conn"] == 0 for f in frames)
    assert means["missed"] == means["mse"] == means["dtssd"] == means["messddt"] == 0


def test_the_table_has_a_row_a_frame_and_the_means(tiny_shot: Path, tiny_weights: Path) -> None:
    run_shot(tiny_shot, tiny_weights)
    result = CliRunner().invoke(commands, ["evaluate", str(tiny_shot), "--frames", "1001-1003"])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split()[:3] == ["frame", "missed", "%"]
    assert [line.split()[0] for line in lines[1:4]] == ["1001", "1002", "1003"]
    assert any(line.startswith("mean") for line in lines)
    assert "keyframes' band 3" in result.stdout


@pytest.mark.parametrize("radius", [0.0, 2.0, 7.0, 15.0])
def test_the_band_of_a_drawn_trimap_is_found_again(radius: float) -> None:
    y, x = np.mgrid[0:120, 0:160].astype(np.float32)
    alpha = np.clip((40 - np.hypot(x - 80, y - 60)) / 6, 0, 1).astype(np.float32)
    labels = from_matte(alpha, erode_px=radius, dilate_px=radius)
    assert equal_band_px(labels, alpha) == pytest.approx(radius, abs=1.0)


def test_a_band_without_end_is_given_up() -> None:
    everything = np.full((8, 8), 128, np.uint8)
    assert math.isfinite(equal_band_px(everything, np.zeros((8, 8), np.float32)))


def test_what_cannot_be_compared_is_refused(tiny_shot: Path, tmp_path: Path) -> None:
    with pytest.raises(ShotError, match="no true alpha"):
        open_alpha(tmp_path, None)
    elsewhere = tmp_path / "other"
    elsewhere.mkdir()
    source = tiny_shot / "alpha" / "alpha.1003.exr"
    (elsewhere / "alpha.0001.exr").write_bytes(source.read_bytes())
    with Run(Shot.open(tiny_shot)) as run:
        with pytest.raises(ShotError, match="no frame of the plate"):
            Evaluation(run=run, alpha=open_alpha(None, elsewhere))
        (elsewhere / "alpha.0001.exr").rename(elsewhere / "alpha.1003.exr")
        with pytest.raises(TrimapError, match="band cannot be measured"):
            Evaluation(run=run, alpha=open_alpha(None, elsewhere))
    result = CliRunner().invoke(commands, ["evaluate", str(tiny_shot), "--alpha", str(elsewhere)])
    assert result.exit_code == 3 and "band cannot be measured" in result.stderr
