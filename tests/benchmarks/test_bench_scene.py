"""The made-up picture: the share that was asked for, in a band around a subject."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vfxmatte.bench.scene import Scene
from vfxmatte.colour import encode_for_network
from vfxmatte.errors import UsageError
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN


@pytest.mark.parametrize("size", [(128, 96), (96, 128), (960, 540), (614, 316)])
@pytest.mark.parametrize("share", [0.02, 0.05, 0.1, 0.2, 0.4, 0.5])
def test_the_share_is_hit(size: tuple[int, int], share: float) -> None:
    scene = Scene(width=size[0], height=size[1], unknown_share=share)
    counted = np.count_nonzero(scene.labels == UNKNOWN) / scene.labels.size
    assert counted == pytest.approx(share, rel=0.02)
    assert scene.unknown_px == np.count_nonzero(scene.labels == UNKNOWN)
    assert set(np.unique(scene.labels)) == {BACKGROUND, UNKNOWN, FOREGROUND}


def test_the_band_surrounds_one_subject_in_the_middle() -> None:
    scene = Scene(width=960, height=540, unknown_share=0.1)
    subject = (scene.labels != BACKGROUND).astype(np.uint8)
    inside = (scene.labels == FOREGROUND).astype(np.uint8)
    for mask in (subject, inside):
        assert cv2.connectedComponents(mask)[0] == 2  # the ground and one piece
    rows, columns = np.nonzero(inside)
    assert np.ptp(rows) > 0.55 * 540
    assert abs(columns.mean() - 480) < 40 and abs(rows.mean() - 270) < 40
    band = cv2.distanceTransform((scene.labels == UNKNOWN).astype(np.uint8), cv2.DIST_L2, 5)
    assert band.max() == pytest.approx(scene.half_band_px, rel=0.15)


def test_soft_pixels_are_unknown_and_highlights_exceed_one() -> None:
    scene = Scene(width=320, height=240, unknown_share=0.1)
    soft = (scene.alpha > 0) & (scene.alpha < 1)
    assert soft.any() and (scene.labels[soft] == UNKNOWN).all()
    assert (scene.alpha[scene.labels == FOREGROUND] == 1).all()
    assert scene.linear.max() > 2 and scene.linear.dtype == np.float32
    assert np.abs(scene.image - encode_for_network(scene.linear)).max() < 1e-4
    assert scene.linear[:64, :64].std() > 0.01  # even the ground has a texture


def test_the_same_settings_give_the_same_pixels() -> None:
    first, again = (Scene(width=64, height=48, unknown_share=0.1) for _ in range(2))
    other = Scene(width=64, height=48, unknown_share=0.1, seed=2)
    assert np.array_equal(first.image, again.image) and np.array_equal(first.labels, again.labels)
    assert not np.array_equal(first.image, other.image)
    assert not np.array_equal(first.labels, other.labels)


def test_a_task_has_its_number() -> None:
    task = Scene(width=64, height=48, unknown_share=0.1).task(1007)
    assert task.number == 1007 and task.image.shape == (48, 64, 3)


@pytest.mark.parametrize("share", [0.0, -0.1, 0.6])
def test_senseless_shares_are_refused(share: float) -> None:
    with pytest.raises(UsageError, match="unknown share"):
        Scene(width=64, height=48, unknown_share=share)


def test_senseless_sizes_are_refused() -> None:
    with pytest.raises(UsageError, match="32x32 px or more, not 16x48"):
        Scene(width=16, height=48, unknown_share=0.1)
