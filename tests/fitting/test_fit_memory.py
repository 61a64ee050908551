"""The memory of a fit: small examples, one keyframe at a time, and not all of many."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import write_tiny_keyframe
from tests.fitting.conftest import QUICK, changed, reopened, statuses
from vfxmatte.engines.light_frame import Frame
from vfxmatte.fitting import examples as examples_module
from vfxmatte.fitting.examples import GROWTHS_PX, Example, Keyframe
from vfxmatte.network.light import PRIORS
from vfxmatte.pipeline import fitting as fitting_module
from vfxmatte.pipeline.shot import Shot


def test_examples_of_a_long_shot_are_small() -> None:
    """24 keyframes of the largest size that stage 1 sees, nearly all of it unknown."""
    shape, random = (600, 1000), np.random.default_rng(0)
    labels = np.full(shape, 128, np.uint8)
    labels[0], labels[-1] = 0, 255
    image = random.random((*shape, 3), np.float32)
    priors = random.random((*shape, PRIORS), np.float32)
    one = Example.of(Frame(image=image, labels=labels, priors=priors), priors[:, :, 0])
    shared = one.image.nbytes + one.alpha_8bit.nbytes
    assert 24 * (shared + len(GROWTHS_PX) * (one.nbytes - shared)) < 420e6
    back = one.frame
    assert np.array_equal(back.labels, labels) and np.abs(back.image - image).max() < 1e-3
    unknown = labels == 128
    assert np.abs(back.priors - priors)[unknown].max() < 0.0021
    assert (back.priors[0] == 0).all() and (back.priors[-1] == 1).all()


def test_one_keyframe_is_held_at_a_time(
    shot: Shot, tiny_shot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1002, 1003, 1004):
        write_tiny_keyframe(tiny_shot, number)
    alive: list[weakref.ref[Keyframe]] = []
    most = []
    plain = examples_module.grown_examples

    def watched(key: Keyframe, *rest: Any) -> list[Example]:
        alive.append(weakref.ref(key))
        gc.collect()
        most.append(sum(one() is not None for one in alive))
        found = plain(key, *rest)
        assert all(
            one.image is found[0].image and one.alpha_8bit is found[0].alpha_8bit for one in found
        )
        return found

    monkeypatch.setattr(examples_module, "grown_examples", watched)
    statuses(reopened(shot, tiny_shot))
    assert len(most) == 5 and max(most) <= 2


def test_many_keyframes_are_thinned_out_evenly(
    shot: Shot, always: None, tiny_shot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1002, 1003, 1004):
        write_tiny_keyframe(tiny_shot, number)
    seen: list[int] = []
    plain = fitting_module._solved_keyframes

    def watched(run: Any, engine: Any, numbers: Any) -> Any:
        seen.extend(numbers)
        return plain(run, engine, numbers)

    monkeypatch.setattr(fitting_module, "_solved_keyframes", watched)
    few = changed(reopened(shot, tiny_shot), fit=replace(QUICK, most_keyframes=3))
    assert set(statuses(few)[0].values()) == {"written"}
    keys = [1001, 1003, 1005]
    assert seen == [*keys, *keys, 1003]  # samples, examples, the one to be tried on
