"""Doubt in what motion made certain: a lost hand comes back, and only a calm network may doubt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.fitting.test_fit import keyframe
from vfxmatte.engines.light_frame import Frame, Solved
from vfxmatte.engines.protocol import Task
from vfxmatte.fitting import fit as fit_module
from vfxmatte.fitting.doubt import doubted, widened
from vfxmatte.fitting.engine import FittedEngine
from vfxmatte.fitting.fit import Trial, fit
from vfxmatte.fitting.kept import KeptFit
from vfxmatte.fitting.settings import FitSettings
from vfxmatte.network.light import LightMatting
from vfxmatte.pipeline.limits import Limits
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FloatImage, Labels, Trimap

HAND = np.s_[40:48, 62:70]
"""Beside the unknown region of `body`, and labelled background."""
FAR = np.s_[40:48, 100:108]
SPECK = np.s_[50, 64]


def body() -> Labels:
    labels = np.full((80, 120), BACKGROUND, np.uint8)
    labels[10:70, 30:60], labels[20:60, 35:50] = UNKNOWN, FOREGROUND
    return labels


def task_of(labels: Labels) -> Task:
    image = np.zeros((*labels.shape, 3), np.float32)
    return Task(image=image, trimap=Trimap(number=7, labels=labels, is_keyframe=False))


def seen_with(*places: tuple[slice, slice] | tuple[int, int]) -> FloatImage:
    """What the network sees: the body, and something in `places`."""
    alpha = (body() != BACKGROUND).astype(np.float32)
    for place in places:
        alpha[place] = 0.9
    return alpha


def test_a_hand_that_was_lost_is_unknown_again() -> None:
    found = doubted(seen_with(HAND), body())
    assert (found[HAND] == UNKNOWN).all()
    aside = np.ones(found.shape, bool)
    aside[37:51, 59:73] = False  # 3 px around the hand
    np.testing.assert_array_equal(found[aside], body()[aside])


def test_a_hole_in_what_was_carried_as_solid_is_unknown_again() -> None:
    alpha = seen_with()
    alpha[30:36, 40:46] = 0.1
    found = doubted(alpha, body())
    assert (found[30:36, 40:46] == UNKNOWN).all() and found[21, 49] == FOREGROUND


@pytest.mark.parametrize("place", [FAR, SPECK], ids=["far from the unknown region", "a speck"])
def test_what_is_far_or_a_speck_is_no_doubt(place: tuple[slice, slice]) -> None:
    np.testing.assert_array_equal(doubted(seen_with(place), body()), body())


def test_what_is_unlike_by_little_is_no_doubt() -> None:
    alpha = seen_with()
    alpha[HAND] = 0.5
    np.testing.assert_array_equal(doubted(alpha, body()), body())


class SeesTheHand:
    """A fitted engine that sees body and hand wherever it is asked."""

    def __init__(self) -> None:
        self.asked: list[Labels] = []
        self.place = torch.device("cpu")

    def solved(self, task: Task) -> Solved:
        assert not (task.coarse or task.corrected)
        labels = task.trimap.labels
        self.asked.append(labels)
        right = seen_with(HAND) > 0.5
        alpha = np.where(labels == UNKNOWN, right, labels == FOREGROUND).astype(np.float32)
        return Solved(alpha=alpha, error=np.zeros_like(alpha), prior=alpha)


@pytest.mark.parametrize("doubts", [True, False])
def test_the_hand_is_in_the_matte_if_the_fit_may_doubt(doubts: bool) -> None:
    kept = KeptFit(
        path=Path("fit"), record={"sure": 0.0, "margin": 3, "doubts": doubts}, sha256="0" * 64
    )
    sees = SeesTheHand()
    engine = FittedEngine(usual=None, fitted=sees, kept=kept)  # type: ignore[arg-type]
    matte = engine.matte(task_of(body()))
    assert matte.number == 7 and matte.labels is not None
    assert (matte.alpha[HAND] == float(doubts)).all()
    assert ((matte.labels[HAND] == UNKNOWN) == doubts).all()
    np.testing.assert_array_equal(sees.asked[0], widened(body()) if doubts else body())


def test_a_fits_own_margin_narrows_its_trimaps() -> None:
    def unknown(margin: int) -> int:
        record = {"sure": 0.02, "margin": margin, "doubts": False}
        kept = KeptFit(path=Path("fit"), record=record, sha256="0" * 64)
        engine = FittedEngine(usual=None, fitted=SeesTheHand(), kept=kept)  # type: ignore[arg-type]
        labels = np.full((80, 120), UNKNOWN, np.uint8)
        found = engine.matte(task_of(labels)).labels
        assert found is not None
        return np.count_nonzero(found == UNKNOWN)

    assert 0 < unknown(2) < unknown(6) < 80 * 120


@pytest.mark.parametrize("kind", ["garbage", "core"])
def test_what_a_garbage_or_core_matte_decides_is_neither_doubted_nor_solved(kind: str) -> None:
    """Half of the hand is closed, whatever the network would see there."""
    matte = np.full((80, 120), kind == "garbage", np.float32)
    closed = np.s_[30:60, 66:80]
    matte[closed] = kind == "core"
    label = FOREGROUND if kind == "core" else BACKGROUND
    trimap = Limits(**{kind: matte}).trimap(task_of(body()).trimap)
    kept = KeptFit(
        path=Path("fit"), record={"sure": 0.0, "margin": 3, "doubts": True}, sha256="0" * 64
    )
    sees = SeesTheHand()
    engine = FittedEngine(usual=None, fitted=sees, kept=kept)  # type: ignore[arg-type]
    found = engine.matte(replace(task_of(body()), trimap=trimap))
    assert all((labels[closed] == label).all() for labels in sees.asked)
    assert found.labels is not None and (found.labels[closed] == label).all()
    assert (found.alpha[closed] == (kind == "core")).all()
    assert (found.labels[40:48, 62:66] == UNKNOWN).all()  # the other half is still doubted


def test_without_an_unknown_pixel_there_is_nothing_to_doubt() -> None:
    kept = KeptFit(
        path=Path("fit"), record={"sure": 0.0, "margin": 3, "doubts": True}, sha256="0" * 64
    )
    sees = SeesTheHand()
    engine = FittedEngine(usual=None, fitted=sees, kept=kept)  # type: ignore[arg-type]
    matte = engine.matte(task_of(np.full((80, 120), BACKGROUND, np.uint8)))
    assert not matte.alpha.any() and len(sees.asked) == 1


@pytest.mark.parametrize("changed", [{"sure": 0.02}, {"margin": 4}, {"doubts": True}])
def test_all_that_decides_pixels_is_part_of_a_fits_name(changed: dict[str, object]) -> None:
    record = {"sure": 0.01, "margin": 3, "doubts": False}
    names = {
        KeptFit(path=Path("fit"), record=one, sha256="1" * 64).name
        for one in (record, {**record, **changed})
    }
    assert len(names) == 2


@pytest.mark.parametrize("is_wrong", [False, True])
def test_a_network_that_is_wrong_on_the_withheld_keyframe_may_not_doubt(
    is_wrong: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = keyframe()
    trial = Trial(key=key, labels=key.labels, usual=np.zeros_like(key.alpha))

    def solved(network: LightMatting, frame: Frame, *, refine: bool, coarse: bool) -> Solved:
        wider = (frame.labels == UNKNOWN) & (key.labels != UNKNOWN)
        alpha = np.where(wider & is_wrong, 1 - key.alpha, key.alpha)
        return Solved(alpha=alpha, error=np.ones_like(alpha), prior=key.alpha)

    def learn(network: LightMatting, *args: object, **options: object) -> LightMatting:
        return network

    monkeypatch.setattr(fit_module, "solved", solved)
    monkeypatch.setattr(fit_module, "learn", learn)
    _, record = fit(None, {1: [], 2: []}, trial, FitSettings(), print)  # type: ignore[arg-type]
    assert record.doubts is not is_wrong
