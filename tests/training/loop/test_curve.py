"""The log of a run and its picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from training.loop.curve import draw_curve, smoothed
from training.loop.logbook import ERRORS, LOSSES, Logbook
from vfxmatte.errors import TrainingError


def written(folder, steps=20):
    book = Logbook(folder)
    for step in range(10, 10 * steps + 1, 10):
        phase = "one" if step <= 100 else "two"
        book.append(LOSSES, {"step": step, "phase": phase, "loss": 1 / step})
        if step % 50 == 0:
            book.append(ERRORS, {"step": step, "mad": 2 / step, "mse": 1 / step})
    return book


def test_rows_come_back(tmp_path):
    book = written(tmp_path)
    assert [int(row["step"]) for row in book.rows(LOSSES)] == list(range(10, 201, 10))
    assert float(book.rows(ERRORS)[0]["mad"]) == pytest.approx(2 / 50)
    assert Logbook(tmp_path / "empty").rows(LOSSES) == []


def test_a_resumed_run_writes_no_step_twice(tmp_path):
    book = written(tmp_path)
    book.cut_back(100)
    assert [int(row["step"]) for row in book.rows(LOSSES)][-1] == 100
    assert [int(row["step"]) for row in book.rows(ERRORS)] == [50, 100]
    book.append(LOSSES, {"step": 110, "phase": "two", "loss": 0.5})
    assert book.rows(LOSSES)[-1] == {"step": "110", "phase": "two", "loss": "0.5"}
    book.cut_back(0)
    assert book.rows(LOSSES) == []
    book.append(LOSSES, {"step": 10, "phase": "one", "loss": 0.5})
    assert len(book.rows(LOSSES)) == 1


def test_a_column_that_the_file_does_not_have_is_left_out(tmp_path):
    book = written(tmp_path)
    book.append(LOSSES, {"step": 210, "phase": "two", "loss": 0.1, "new": 3})
    assert set(book.rows(LOSSES)[-1]) == {"step", "phase", "loss"}


def test_a_log_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / LOSSES).mkdir()
    with pytest.raises(TrainingError, match=r"log\.csv"):
        Logbook(tmp_path).append(LOSSES, {"step": 1})


def test_smoothing_keeps_a_constant_and_calms_noise():
    assert smoothed([(s, 0.3) for s in range(50)])[-1][1] == pytest.approx(0.3)
    noisy = [(s, 1.0 + (-1) ** s * 0.5) for s in range(100)]
    values = [value for _, value in smoothed(noisy)]
    assert np.ptp(values[50:]) < 0.15


def coloured(picture, rows):
    part = picture[rows].astype(int)
    return int((np.ptp(part, axis=2) > 60).sum())


def test_the_curve_is_drawn_in_both_panels(tmp_path):
    written(tmp_path)
    picture = cv2.imread(str(draw_curve(tmp_path)))
    half = picture.shape[0] // 2
    assert coloured(picture, slice(44, half - 34)) > 500
    assert coloured(picture, slice(half + 44, None)) > 500


def test_a_falling_loss_falls(tmp_path):
    written(tmp_path)
    picture = cv2.imread(str(draw_curve(tmp_path))).astype(int)
    panel = np.ptp(picture[46 : picture.shape[0] // 2 - 36], axis=2) > 100
    left = np.nonzero(panel[:, 130:160].any(1))[0].mean()
    right = np.nonzero(panel[:, 880:910].any(1))[0].mean()
    assert right > left + 50


@pytest.mark.parametrize("rows", [[], [0.2], [float("nan"), 0.0], [0.2, 0.2]])
def test_little_to_draw_is_no_error(tmp_path, rows):
    book = Logbook(tmp_path)
    for number, loss in enumerate(rows):
        book.append(LOSSES, {"step": number + 1, "phase": "one", "loss": loss})
    drawn = draw_curve(tmp_path)
    assert (drawn is not None) == any(loss > 0 for loss in rows)
