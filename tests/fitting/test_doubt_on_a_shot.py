"""Doubt with the default weights, on a keyframe of a sample shot that lost a piece."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from vfxmatte.colour import to_network
from vfxmatte.engines.light import LightEngine
from vfxmatte.engines.protocol import EngineSettings, Task
from vfxmatte.fitting.engine import FittedEngine
from vfxmatte.fitting.kept import KeptFit
from vfxmatte.pipeline.prepared import PreparedRun
from vfxmatte.pipeline.shot import Shot
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, Labels, Trimap

SHOT = Path(__file__).parents[2] / "sample_shots" / "furry_creature"


def bitten(labels: Labels) -> tuple[Labels, tuple[slice, slice]]:
    """The trimap with foreground beside the band called background, and where."""
    solid = (labels == FOREGROUND).astype(np.uint8)
    y, x = (
        int(values[len(values) // 3]) for values in np.nonzero(cv2.erode(solid, np.ones((25, 25))))
    )
    place = np.s_[y - 5 : y + 6, x - 5 : x + 6]
    wrong = labels.copy()
    wrong[y - 14 : y + 15, x - 14 : x + 15] = UNKNOWN
    wrong[place] = BACKGROUND
    return wrong, place


def test_the_default_weights_bring_back_what_a_trimap_lost(tmp_path: Path) -> None:
    light = LightEngine.open(EngineSettings(device="cpu"))
    with PreparedRun(Shot.open(SHOT, output=tmp_path)) as run:
        ((_, frame),) = run.plate_reader.frames([1001])
        assert not isinstance(frame, Exception)
        image, labels = to_network(frame, run.colours), run.keyframes[1001].labels
    wrong, place = bitten(labels)
    task = Task(image=image, trimap=Trimap(number=1001, labels=wrong, is_keyframe=False))
    lost = {}
    for doubts in (False, True):
        kept = KeptFit(
            path=Path("fit"), record={"sure": 0.0, "margin": 3, "doubts": doubts}, sha256="0" * 64
        )
        lost[doubts] = 1 - FittedEngine(light, light, kept).matte(task).alpha[place].mean()
    assert lost[False] == 1 and lost[True] < 0.2
