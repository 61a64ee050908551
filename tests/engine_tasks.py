"""Tasks for engines, and what the whole network says of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from vfxmatte.engines.protocol import Engine, EngineSettings, Mode, Task
from vfxmatte.network.weights import load_weights
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, Failure, FloatImage, Matte, Trimap

MODES: tuple[Mode, ...] = get_args(Mode)

TOLERANCE: Mapping[tuple[str, str], float] = {
    # Largest difference of alpha to the same picture solved whole in float32 on a CPU.
    ("cpu", "float32"): 1e-5,  # the order of additions differs with the window's size
    ("cpu", "bfloat16"): 0.06,  # 8 bits of mantissa through some twenty layers
    ("cuda", "float32"): 2e-3,  # other kernels; TF32 is off
    ("cuda", "float16"): 0.02,  # 11 bits of mantissa
    ("cuda", "bfloat16"): 0.08,
}


def task(height: int, width: int, number: int = 1, kind: str = "band") -> Task:
    """A picture of some hues, pixel by pixel, with an unknown band down its middle, or all or
    nothing unknown.

    A mixture of Gaussians is fitted to hues in a tenth of the time that plain noise takes.
    """
    random = np.random.default_rng(number)
    hues = random.random((6, 3), np.float32)
    noise = random.random((height, width, 3), np.float32)
    image = np.float32(0.7) * hues[random.integers(0, 6, (height, width))] + np.float32(0.3) * noise
    labels = np.full((height, width), UNKNOWN, np.uint8)
    if kind != "all":
        labels[:, : max(1, width // 3)] = BACKGROUND
        labels[:, 2 * width // 3 :] = FOREGROUND
    if kind == "none":
        labels[labels == UNKNOWN] = FOREGROUND
    return Task(image=image, trimap=Trimap(number=number, labels=labels, is_keyframe=True))


def solve(engine: Engine, *tasks: Task) -> list[FloatImage]:
    """The alphas; raises the error of the first task that has failed."""
    answers = list(engine.mattes(iter(tasks)))
    assert [answer.number for answer in answers] == [one.number for one in tasks]
    for answer in answers:
        if isinstance(answer, Failure):
            raise answer.error
    return [answer.alpha for answer in answers if isinstance(answer, Matte)]


def settings_of(weights: Path, **more: Any) -> EngineSettings:
    return EngineSettings(**{"weights": weights, "device": "cpu", **more})


def dense_alpha(weights: Path, one: Task) -> FloatImage:
    """The picture padded and solved in one go, without the engine."""
    network, _ = load_weights(weights)
    height, width = one.trimap.labels.shape
    trimap = one.trimap.labels / np.float32(255)
    trimap[one.trimap.labels == UNKNOWN] = 0.5
    stacked = np.concatenate((one.image, trimap[:, :, None]), 2)
    rows, columns = -height % 32, -width % 32
    stacked = np.pad(stacked, ((0, rows), (0, columns), (0, 0)), mode="reflect")
    with torch.inference_mode():
        alpha = network(torch.from_numpy(stacked).permute(2, 0, 1)[None]).alpha
    return np.asarray(alpha[0, 0, :height, :width].numpy(), np.float32)


def large_task() -> Task:
    """Two small unknown places, far from each other in a picture of several windows."""
    one = task(700, 760, kind="none")
    labels = one.trimap.labels.copy()
    labels[300:320, 330:350] = UNKNOWN
    labels[640:660, 700:720] = UNKNOWN
    labels[0:10, 0:10] = UNKNOWN
    return Task(image=one.image, trimap=Trimap(number=1, labels=labels, is_keyframe=True))
