"""The benchmark of flags works, and on a shot without engine the review keeps its promise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from tests.benchmarks.command import command
from tests.benchmarks.spoiling import TUNED, UNSEEN
from tests.review.moving_matte import COUNT, FIRST, alpha_at
from tests.review.review_shots import WINDOW, write_moving_shot
from vfxmatte.io.stills.exr import write_exr


def wavering(alpha: np.ndarray) -> np.ndarray:
    """Return an alpha as good as an engine's: a little off everywhere in the soft edge."""
    chance = np.random.default_rng(int(alpha.sum() * 1000) % 1000)
    noise = chance.standard_normal(alpha.shape).astype(np.float32) * 0.03
    return np.where((alpha > 0) & (alpha < 1), np.clip(alpha + noise, 0, 1), alpha)


def test_at_least_95_percent_of_bad_frames_are_among_at_most_15_percent(tmp_path: Path) -> None:
    numbers = range(FIRST, FIRST + COUNT)
    shot = write_moving_shot(tmp_path / "disc", dict.fromkeys(numbers, wavering))
    for index, number in enumerate(numbers):
        place = shot / "alpha" / f"alpha.{number}.exr"
        place.parent.mkdir(exist_ok=True)
        exact = {"A": alpha_at(index)}
        write_exr(place, exact, data_window=WINDOW, display_window=WINDOW, attributes={})
    record = tmp_path / "scores.json"
    result = CliRunner().invoke(command, ["review", str(shot), "--json", str(record)])
    assert result.exit_code == 0, result.output
    scores = json.loads(record.read_text())
    assert {score["kind"] for score in scores} == {"as solved", "slipped", *TUNED, *UNSEEN}
    bad = sum(len(score["bad"]) for score in scores)
    hits = sum(len(set(score["bad"]) & set(score["flagged"])) for score in scores)
    flagged = sum(len(score["flagged"]) for score in scores)
    assert bad >= 15 and hits >= 0.95 * bad
    assert flagged <= 0.15 * sum(score["frames"] for score in scores)
    assert "|never seen|" in result.output
