"""Fixtures that several test files use: a small moving shot with its exact alpha, and weights."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.browser import browser, open_page
from tests.warm_python import warm_children, warm_python
from vfxmatte.io.stills.exr import write_exr
from vfxmatte.io.writers import write_labels
from vfxmatte.trimaps import from_matte
from vfxmatte.types import Labels, Trimap, Window

if TYPE_CHECKING:
    from vfxmatte.network.light import LightMatting

# Three workers on two cores: threads that wait must not keep a core busy. Torch reads it once.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# One browser, and one warm Python, for all tests of a process:
__all__ = ["browser", "open_page", "warm_children", "warm_python"]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts background jobs
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests of Ctrl-C need it


def pytest_xdist_auto_num_workers() -> int:
    """Return three for two cores: a worker often waits, for a child process or a disk."""
    return 3 * (os.cpu_count() or 1) // 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests: at the end the other workers would wait for them."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


TINY_WINDOW = Window.of_size(64, 48)
TINY_NUMBERS = (1001, 1002, 1003, 1004, 1005)
TINY_KEYFRAMES = (1001, 1005)


def tiny_alpha(index: int) -> NDArray[np.float32]:
    """(48, 64) float32: a disc with a soft edge that moves by 2 px a frame."""
    y, x = np.mgrid[0 : TINY_WINDOW.height, 0 : TINY_WINDOW.width].astype(np.float32)
    distance = np.hypot(x - (26 + 2 * index), y - 24)
    return np.clip((14 - distance) / 3, 0, 1).astype(np.float32)


def tiny_plate(index: int) -> NDArray[np.float32]:
    """(48, 64, 3) float32 scene-linear: a textured warm disc over a textured cool ground."""
    texture = np.random.default_rng(7).random((96, 128, 3), np.float32)
    texture = cv2.GaussianBlur(texture, (0, 0), 1.5)
    ground = texture[:48, :64] * (0.2, 0.5, 0.9)
    moved = np.roll(texture, 2 * index, axis=1)[48:, 64:] * (1.6, 0.7, 0.2)
    alpha = tiny_alpha(index)[:, :, None]
    return np.asarray(alpha * moved + (1 - alpha) * ground, np.float32)


def write_tiny_shot(folder: Path) -> Path:
    """plate/, trimaps/ and the exact alpha/ of 5 frames of 64×48, keyframes on the ends."""
    attributes = {"framesPerSecond": Fraction(24), "comment": "a tiny shot"}
    for index, number in enumerate(TINY_NUMBERS):
        alpha = tiny_alpha(index)
        path = folder / "plate" / f"plate.{number}.exr"
        write_rgb(path, tiny_plate(index), attributes=attributes)
        write_rgb(folder / "alpha" / f"alpha.{number}.exr", alpha, "A", attributes=attributes)
        if number in TINY_KEYFRAMES:
            write_tiny_keyframe(folder, number)
    return folder


def write_tiny_keyframe(shot: Path, number: int, labels: Labels | None = None) -> None:
    """Write a keyframe of the tiny shot: its own, or other labels (48, 64)."""
    if labels is None:
        labels = from_matte(tiny_alpha(number - TINY_NUMBERS[0]), erode_px=3, dilate_px=3)
    trimap = Trimap(number=number, labels=labels, is_keyframe=True)
    write_labels(trimap, shot / "trimaps" / f"trimap.{number}.png", TINY_WINDOW)


def write_rgb(
    path: Path,
    pixels: NDArray[Any],
    names: str = "RGB",
    *,
    display: Window = TINY_WINDOW,
    data: Window | None = None,
    attributes: Mapping[str, object] | None = None,
) -> None:
    """Write (h, w, 3), or (h, w) for one name, as an EXR in half precision."""
    planes = pixels.reshape(*pixels.shape[:2], -1).astype(np.float16)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_exr(
        path,
        {name: planes[:, :, i] for i, name in enumerate(names)},
        data_window=data or display,
        display_window=display,
        attributes=attributes or {},
    )


@pytest.fixture
def tiny_shot(tmp_path: Path) -> Path:
    """A shot folder of its own for this test, see `write_tiny_shot`; its fps is 24."""
    return write_tiny_shot(tmp_path / "tiny shot")


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a very small network with fixed random values: fast, and of no quality."""
    import torch

    from vfxmatte.network.dim import DeepImageMatting, DimConfig
    from vfxmatte.network.weights import save_weights

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = DeepImageMatting(DimConfig(width=0.0625, fc6_channels=64))
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_weights(path, network, name="tiny random network for tests", licence="Apache-2.0")
    return path


def light_network(std: float = 0.05) -> LightMatting:
    """Make a light network with fixed random values, folded."""
    import torch

    from vfxmatte.network.light import LightConfig, LightMatting, reset_last_layers

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = LightMatting(LightConfig(refinement=0))
        reset_last_layers(network, std=std)
    return network.fold()


@pytest.fixture(scope="session")
def light_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of `light_network`, which shots can be fitted with."""
    from vfxmatte.network.weights_file import save_folded

    path, network = tmp_path_factory.mktemp("light") / "light.safetensors", light_network()
    save_folded(path, network, network.config, name="light")
    return path
