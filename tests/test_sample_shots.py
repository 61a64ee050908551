"""The sample shots are whole and consistent: frames, sizes, attributes, keyframes, exact alpha."""

from __future__ import annotations

import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import OpenEXR
import pytest
from numpy.typing import NDArray

from vfxmatte.pipeline.shot_folder import MATTE_FOLDER
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FrameRange

SAMPLES = Path(__file__).parents[1] / "sample_shots"
SHOTS = (
    "furry_creature", "long_hair", "foliage", "two_creatures/brown", "two_creatures/grey",
)  # fmt: skip
"""The shots; of one with several subjects, each of them."""
SIZE = (360, 640)
MOST_BYTES = 16_000_000

pytestmark = pytest.mark.parametrize("shot", SHOTS)


def channels(path: Path, names: str) -> NDArray[np.float32]:
    with OpenEXR.File(str(path), separate_channels=True) as file:
        planes = file.channels()
        assert set(planes) == set(names)
        assert all(planes[name].pixels.dtype == np.float16 for name in names)
        return np.stack([planes[name].pixels for name in names], axis=-1).astype(np.float32)


def header(path: Path) -> dict[str, Any]:
    with OpenEXR.File(str(path), header_only=True) as file:
        return dict(file.header())


def place(shot: str, name: str) -> Path:
    """The folder of a shot's plate, or of its subject's alpha or trimaps."""
    folder, _, subject = shot.partition("/")
    return SAMPLES / folder / name / ("" if name == "plate" else subject)


def frames_of(shot: str) -> FrameRange:
    settings = tomllib.loads(
        (SAMPLES / shot.partition("/")[0] / "shot.toml").read_text(encoding="utf-8")
    )
    return FrameRange.parse(settings["frames"])


def test_every_plate_frame_has_its_alpha(shot: str) -> None:
    span = frames_of(shot)
    assert len(span) >= 12 and span.first == 1001
    for name in ("plate", "alpha"):
        found = sorted(path.name for path in place(shot, name).iterdir())
        assert found == [f"{name}.{number}.exr" for number in span]


def test_headers_say_what_the_files_are(shot: str) -> None:
    for number in frames_of(shot):
        for name in ("plate", "alpha"):
            found = header(place(shot, name) / f"{name}.{number}.exr")
            assert found["framesPerSecond"] == 24
            assert found["pixelAspectRatio"] == 1.0
            code = found["timeCode"]
            seconds = 3600 * code.hours + 60 * code.minutes + code.seconds
            assert 24 * seconds + code.frame == number
            np.testing.assert_allclose(found["chromaticities"][:2], (0.64, 0.33), atol=1e-6)


def test_plates_are_scene_linear_pictures_with_highlights(shot: str) -> None:
    brightest = 0.0
    for number in list(frames_of(shot))[::8]:
        plate = channels(place(shot, "plate") / f"plate.{number}.exr", "RGB")
        assert plate.shape == (*SIZE, 3)
        assert np.isfinite(plate).all()
        assert 0.05 < plate.mean() < 0.8
        assert plate.std() > 0.05
        brightest = max(brightest, float(plate.max()))
    assert brightest > 1.5


def test_alpha_is_soft_and_moves(shot: str) -> None:
    alphas = [
        channels(place(shot, "alpha") / f"alpha.{number}.exr", "A")[..., 0]
        for number in list(frames_of(shot))[::8]
    ]
    for alpha in alphas:
        assert alpha.shape == SIZE
        assert alpha.min() == 0.0 and alpha.max() == 1.0
        soft = (alpha > 0.02) & (alpha < 0.98)
        assert 0.01 < soft.mean() < 0.3
        assert 0.1 < (alpha == 0.0).mean() < 0.97
    for earlier, later in pairwise(alphas):
        assert np.abs(earlier - later).mean() > 0.005


def test_neighbouring_frames_differ_only_by_motion(shot: str) -> None:
    numbers = list(frames_of(shot))
    steps = []
    for number, following in pairwise(numbers):
        pair = [
            channels(place(shot, "alpha") / f"alpha.{n}.exr", "A")[::4, ::4, 0]
            for n in (number, following)
        ]
        steps.append(float(np.abs(pair[0] - pair[1]).mean()))
    assert max(steps) < 0.12
    assert max(steps) > 0.0


def test_keyframes_stand_on_both_ends_and_agree_with_the_alpha(shot: str) -> None:
    span = frames_of(shot)
    found = sorted(path.name for path in place(shot, "trimaps").iterdir())
    middle = [span.first + len(span) // 2] if "/" in shot else []
    keyframes = [span.first, *middle, span.last]
    assert found == [f"trimap.{number}.png" for number in keyframes]
    for number in keyframes:
        path = place(shot, "trimaps") / f"trimap.{number}.png"
        labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert labels is not None and labels.shape == SIZE and labels.dtype == np.uint8
        assert set(np.unique(labels).tolist()) == {BACKGROUND, UNKNOWN, FOREGROUND}
        alpha = channels(place(shot, "alpha") / f"alpha.{number}.exr", "A")[..., 0]
        assert (labels[(alpha > 0.02) & (alpha < 0.98)] == UNKNOWN).all()
        assert (alpha[labels == FOREGROUND] >= 0.98).all()
        assert (alpha[labels == BACKGROUND] <= 0.02).all()


def test_the_alpha_explains_the_plate(shot: str) -> None:
    """Across the soft edge the plate is a mix: its gradients stand where the alpha's stand."""
    number = frames_of(shot).first
    plate = channels(place(shot, "plate") / f"plate.{number}.exr", "RGB").mean(axis=2)
    alpha = channels(place(shot, "alpha") / f"alpha.{number}.exr", "A")[..., 0]
    edge = np.hypot(*np.gradient(alpha)) > 0.15
    behind = cv2.erode((alpha == 0).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    change = np.hypot(*np.gradient(np.log(np.maximum(plate, 0) + 0.02)))
    assert change[edge].mean() > 3 * change[behind].mean()


def test_the_download_stays_small(shot: str) -> None:
    assert place(shot, "plate").is_dir()
    shipped = [p for p in SAMPLES.rglob("*") if p.is_file() and MATTE_FOLDER not in p.parts]
    total = sum(path.stat().st_size for path in shipped)
    assert total < MOST_BYTES


def test_two_creatures_cross_and_share_the_picture(shot: str) -> None:
    if not shot.startswith("two_creatures"):
        pytest.skip("a single subject")
    centres, overlaps = [], []
    for number in frames_of(shot):
        brown, grey = (
            channels(place(f"two_creatures/{name}", "alpha") / f"alpha.{number}.exr", "A")[..., 0]
            for name in ("brown", "grey")
        )
        assert (brown + grey).max() <= 1
        columns = np.arange(SIZE[1])
        centres.append([float((a.sum(axis=0) * columns).sum() / a.sum()) for a in (brown, grey)])
        overlaps.append(float(((brown > 0.02) & (grey > 0.02)).mean()))
    assert centres[0][0] < centres[0][1] and centres[-1][0] > centres[-1][1]
    assert max(overlaps) > 0.002
