"""A hand's work in a propagated trimap is noticed and never overwritten."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from vfxmatte.common.configuration import changed
from vfxmatte.errors import TrimapError
from vfxmatte.io.marked import as_written
from vfxmatte.io.writers import write_labels
from vfxmatte.pipeline.run import run
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot
from vfxmatte.types import UNKNOWN, Trimap, Window


def written(folder: Path) -> Path:
    labels = np.zeros((20, 30), np.uint8)
    labels[5:9] = UNKNOWN
    trimap = Trimap(number=7, labels=labels, is_keyframe=False)
    return write_labels(trimap, folder / "trimap.0007.png", Window.of_size(30, 20))


def test_a_written_trimap_is_a_png_like_any_other_and_knows_itself(tmp_path: Path) -> None:
    path = written(tmp_path)
    read = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert read is not None and read.shape == (20, 30) and set(np.unique(read)) == {0, UNKNOWN}
    assert as_written(path)


def test_painting_saving_again_or_another_origin_are_noticed(tmp_path: Path) -> None:
    path = written(tmp_path)
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    cv2.imwrite(str(path), pixels)
    assert not as_written(path)
    path.write_bytes(b"")
    assert not as_written(path)


def test_a_run_refuses_to_overwrite_a_painted_trimap(tiny_shot: Path, tiny_weights: Path) -> None:
    shot = Shot.open(tiny_shot)
    engine = {"weights": str(tiny_weights), "device": "cpu"}
    settings = changed(RunSettings(), {"engine": engine})
    list(run(shot, settings))
    path = shot.trimap_output / "trimap.1003.png"
    painted = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert painted is not None
    painted[:4] = UNKNOWN
    cv2.imwrite(str(path), painted)
    kept = path.read_bytes()
    for overwrite in (False, True):
        with pytest.raises(TrimapError, match=r"painted over.*1003") as caught:
            list(run(shot, settings, overwrite=overwrite))
        assert caught.value.shot and "move them" in str(caught.value)
    assert path.read_bytes() == kept
    path.unlink()
    assert {result.status for result in run(shot, settings)} == {"kept"}
