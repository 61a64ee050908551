"""Propagation on the sample shots: confidence ranks frames as errors do, a keyframe more helps."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from vfxmatte.io.stills.reading import read_image
from vfxmatte.pipeline.prepared import PreparedRun
from vfxmatte.pipeline.shot import Shot
from vfxmatte.propagation.confidence import missed_share
from vfxmatte.propagation.shot_trimaps import carry, proxy_size
from vfxmatte.trimaps import from_matte
from vfxmatte.types import UNKNOWN, FloatImage, Trimap

SAMPLES = Path(__file__).parents[2] / "sample_shots"
BAND_PX = 7.0
FRAMES = (1002, 1004, 1007, 1010, 1013, 1016, 1019, 1022, 1024)
SHOTS = ("furry_creature", "long_hair")


def truth(shot: str, number: int) -> FloatImage:
    return read_image(SAMPLES / shot / "alpha" / f"alpha.{number}.exr").pixels[:, :, 0]


@cache
def carried(shot: str, *extra: int) -> dict[int, Trimap]:
    """The trimaps of some frames, with keyframes on both ends and on `extra` ones."""
    opened = Shot.open(SAMPLES / shot, output="not-written")
    with PreparedRun(opened) as run:
        keyframes = {number: run.keyframes[number] for number in run.keyframes}
        for number in extra:
            labels = from_matte(truth(shot, number), erode_px=BAND_PX, dilate_px=BAND_PX)
            keyframes[number] = Trimap(number=number, labels=labels, is_keyframe=True)
        settings = replace(run.settings.propagation, proxy_px=320)
        size = proxy_size(run.plate.info.canvas.shape, settings)
        proxies = partial(run.plate_reader.proxies, size=size)
        trimaps = carry(keyframes, run.plan.trail, proxies, settings, requested=set(FRAMES))
        return {trimap.number: trimap for trimap in trimaps if isinstance(trimap, Trimap)}


def area(shot: str, trimap: Trimap) -> float:
    ideal = from_matte(truth(shot, trimap.number), erode_px=BAND_PX, dilate_px=BAND_PX)
    return float((trimap.labels == UNKNOWN).sum() / (ideal == UNKNOWN).sum())


@pytest.mark.parametrize("shot", SHOTS)
def test_confidence_ranks_frames_as_their_errors_do(shot: str) -> None:
    trimaps = carried(shot)
    errors = [area(shot, trimaps[n]) for n in FRAMES]
    doubts = [1 - trimaps[n].confidence for n in FRAMES]
    assert spearmanr(errors, doubts)[0] >= 0.7


@pytest.mark.parametrize("shot", SHOTS)
def test_a_keyframe_in_the_middle_makes_no_frame_worse(shot: str) -> None:
    two, three = carried(shot), carried(shot, 1013)
    before = {n: area(shot, two[n]) for n in FRAMES if n != 1013}
    after = {n: area(shot, three[n]) for n in FRAMES if n != 1013}
    assert np.mean(list(after.values())) < 0.97 * np.mean(list(before.values()))
    for number in before:
        assert after[number] < 1.05 * before[number], number
        assert missed_share(three[number].labels, truth(shot, number)) < 0.02, number
