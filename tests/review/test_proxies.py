"""The page's pictures: small enough for 200 frames of HD, and exact where it matters."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vfxmatte.review.footage import MOST_PX, ReviewFrame
from vfxmatte.review.page import PICTURES_BYTES
from vfxmatte.review.proxies import Proxies, decoded_webp

SIZE = (MOST_PX, MOST_PX * 9 // 16)
"""The size of the reduced pictures of HD."""


def grainy_frame(number: int, size: tuple[int, int] = SIZE) -> ReviewFrame:
    """A frame as costly as footage: structure at all scales, grain, and a wide band of hair."""
    chance = np.random.default_rng(number)
    width, height = size
    plate = np.zeros((height, width, 3), np.float32)
    for scale, strength in ((40, 60), (12, 30), (3, 14)):
        small = chance.standard_normal((height // scale + 2, width // scale + 2, 3))
        plate += (
            cv2.resize(small.astype(np.float32), size, interpolation=cv2.INTER_CUBIC) * strength
        )
    plate += 110 + chance.standard_normal(plate.shape).astype(np.float32) * 4
    x = np.linspace(0, 1, width, dtype=np.float32)[None, :]
    hair = cv2.GaussianBlur(chance.random((height, width), np.float32), (0, 0), 1.2)
    alpha = np.clip((0.5 - x) * 8 + (hair - 0.5) * 12 * (np.abs(x - 0.5) < 0.1), 0, 1)
    labels = np.where(np.abs(x - 0.5) < 0.15, 128, np.where(x < 0.5, 255, 0))
    return ReviewFrame(
        number=number,
        is_keyframe=False,
        plate=np.clip(plate, 0, 255).astype(np.uint8),
        alpha=alpha.astype(np.float32),
        labels=np.repeat(labels.astype(np.uint8), height, axis=0),
        monitor=np.where(alpha <= 0, 0, np.where(alpha >= 1, 255, 128)).astype(np.uint8),
    )


def difference(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 40, SIZE[::-1], np.uint8)


def text_bytes(planes: dict[str, bytes]) -> int:
    return sum(4 * -(-len(data) // 3) for data in planes.values())


@pytest.mark.parametrize("takes", [1, 2])
def test_200_frames_of_hd_fit(takes: int) -> None:
    proxies = Proxies(200, SIZE, PICTURES_BYTES, takes=takes)
    used = 0
    for number in range(5):
        frame = grainy_frame(number)
        other = (frame, difference(number)) if takes == 2 else ()
        used += text_bytes(proxies.add(frame, difference(number), *other))
    assert used <= PICTURES_BYTES * 5 / 200
    assert proxies.size[0] >= 640


def test_few_frames_are_not_reduced_and_very_many_are_smaller() -> None:
    assert Proxies(25, SIZE, PICTURES_BYTES, takes=1).size == SIZE
    assert 160 <= Proxies(3000, SIZE, PICTURES_BYTES, takes=1).size[0] < 400


def test_monitor_and_trimap_are_exact_and_alpha_is_close() -> None:
    frame = grainy_frame(1, (320, 180))
    planes = Proxies(20, (320, 180), PICTURES_BYTES, takes=1).add(frame, None)
    assert set(planes) == {"plate", "alpha", "monitor", "trimap"}
    assert frame.monitor is not None and frame.labels is not None and frame.alpha is not None
    for name, expected in (("monitor", frame.monitor), ("trimap", frame.labels)):
        np.testing.assert_array_equal(decoded_webp(planes[name])[:, :, 1], expected)
    alpha = decoded_webp(planes["alpha"])[:, :, 1] / 255
    assert np.abs(alpha - frame.alpha).mean() < 0.01


def test_a_reduced_pixel_is_exact_only_where_all_of_it_is() -> None:
    frame = grainy_frame(1, (320, 180))
    proxies = Proxies(3000, (320, 180), 3_000_000, takes=1)
    width, height = proxies.size
    assert width < 320
    monitor = decoded_webp(proxies.add(frame, None)["monitor"])[:, :, 1]
    assert frame.monitor is not None and monitor.shape == (height, width)
    rows = np.arange(180) * height // 180
    columns = np.arange(320) * width // 320
    whole = monitor[rows][:, columns]
    inner = (frame.monitor == 128) & (cv2.erode(whole, np.ones((3, 3))) == 255)
    assert not inner.any() and set(np.unique(monitor)) <= {0, 128, 255}
