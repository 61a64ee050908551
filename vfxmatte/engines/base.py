"""One protocol for everything that makes mattes, and the registry of engines by name.

An engine takes a stream of tasks and gives their mattes in the same order, working on several
frames at once where that helps. It knows nothing of files, shots or colour spaces.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np

from vfxmatte.engines.classical.settings import ClassicalSettings
from vfxmatte.errors import UsageError
from vfxmatte.types import FOREGROUND, FloatImage, Labels, Matte, Trimap

Precision = Literal["auto", "float32", "bfloat16", "float16"]
Mode = Literal["exact", "fast", "windows", "dense"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """One frame to solve.

    image: (H, W, 3) float32 RGB in the network's encoding, see `colour.encode_for_network`.
    trimap: of the same size.
    """

    image: FloatImage
    trimap: Trimap

    def __post_init__(self) -> None:
        if self.image.shape != (*self.trimap.labels.shape, 3) or self.image.dtype != np.float32:
            raise ValueError(
                f"image {self.image.dtype} {self.image.shape} does not fit the trimap "
                f"{self.trimap.labels.shape}"
            )

    @property
    def number(self) -> int:
        return self.trimap.number


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """Which engine, and how it runs.

    weights: a .safetensors file, or None for the default weights.
    device: auto, cpu, cuda or cuda:N; a run takes several too, see `devices.device_names`.
    precision: auto is float16 on a GPU and float32 on a CPU.
    mode: exact computes what the unknown pixels depend on and no more, with the dense result;
        fast looks half as far around them, with a small error; windows computes whole windows
        around them, dense the whole picture.
    prior: whether networks that take alpha priors are shown them: without, a frame is solved a
        little sooner and less exactly, as exported models solve it.
    max_window_px: most pixels that the network sees at once; None chooses from the memory.
    batch: windows at once, of the modes windows and dense; None chooses by their size.
    classical: of engines without a network; weights, precision, mode and batch say nothing to them,
        and max_window_px is how many unknown pixels they solve at once.
    """

    name: str = "dim"
    weights: Path | None = None
    device: str = "auto"
    precision: Precision = "auto"
    mode: Mode = "exact"
    prior: bool = True
    max_window_px: int | None = None
    batch: int | None = None
    classical: ClassicalSettings = field(default_factory=ClassicalSettings)

    def __post_init__(self) -> None:
        if self.precision not in get_args(Precision):
            raise UsageError(
                f"no precision {self.precision!r}", hint=f"use {', '.join(get_args(Precision))}"
            )
        if self.mode not in get_args(Mode):
            raise UsageError(f"no mode {self.mode!r}", hint=f"use {', '.join(get_args(Mode))}")
        for name in ("max_window_px", "batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} must be 1 or more, found {value}")


class Engine(Protocol):
    """Anything that turns tasks into mattes."""

    @property
    def device(self) -> str:
        """What it runs on, for the screen: `cpu`, `cuda:0 (NVIDIA …)`."""

    def describe(self) -> Mapping[str, Any]:
        """Everything that decides the pixels of its mattes: plain values, stored with results.

        Two engines that describe themselves alike give the same mattes (within rounding)."""

    def mattes(self, tasks: Iterable[Task]) -> Iterator[Matte]:
        """One matte per task, in order. Known pixels are exactly 0 or 1."""

    def close(self) -> None:
        """Give the device's memory back."""


def known_alpha(labels: Labels) -> FloatImage:
    """Alpha (H, W) float32 that is 1 where the trimap says foreground and 0 elsewhere."""
    return np.asarray(labels == FOREGROUND, dtype=np.float32)


def _deep(settings: EngineSettings) -> Engine:
    from vfxmatte.engines.architectures import open_weights

    return open_weights(settings)


def _classical(module: str, function: str) -> Callable[[EngineSettings], Engine]:
    """One of `engines.classical`, whose libraries are imported when it is opened."""

    def factory(settings: EngineSettings) -> Engine:
        opened = getattr(importlib.import_module(f"vfxmatte.engines.classical.{module}"), function)
        engine: Engine = opened(settings)
        return engine

    return factory


_REGISTRY: dict[str, Callable[[EngineSettings], Engine]] = {
    "dim": _deep,
    "closed-form": _classical("closed_form", "open_closed_form"),
    "gmm": _classical("gmm", "open_gmm"),
    "kmeans": _classical("kmeans", "open_kmeans"),
    "knn": _classical("knn", "open_knn"),
    "trimap": _classical("trimap", "open_trimap"),
}


ENTRY_POINTS = "vfxmatte.engines"
"""Installed packages offer engines under this group of entry points, and every process knows them:
`[project.entry-points."vfxmatte.engines"]` with `name = "module:factory"`."""


def register(name: str, factory: Callable[[EngineSettings], Engine]) -> None:
    """Add an engine of this process under a name of its own, for `EngineSettings.name`.

    factory: opens it; its libraries are best imported there and not before.
    Raises UsageError where the name is taken.
    """
    if name in engine_names():
        raise UsageError(f"there is an engine {name!r} already")
    _REGISTRY[name] = factory


def engine_names() -> tuple[str, ...]:
    """Of all engines: the project's, registered ones, those of installed packages; ascending."""
    return tuple(sorted({*_REGISTRY, *entry_points(group=ENTRY_POINTS).names}))


def open_engine(settings: EngineSettings) -> Engine:
    """The engine of that name, its model loaded.

    Raises:
        UsageError: no such engine. DeviceError, WeightsError: from the engine.
    """
    factory = _REGISTRY.get(settings.name) or _installed(settings.name)
    if factory is None:
        raise _unknown(settings.name)
    return factory(settings)


def check_name(name: str) -> None:
    """Raises UsageError, with near names, where there is no such engine; opens none."""
    if name not in engine_names():
        raise _unknown(name)


def _unknown(name: str) -> UsageError:
    near = difflib.get_close_matches(name, engine_names(), 3) or engine_names()
    return UsageError(f"no engine {name!r}", hint=f"there is {', '.join(near)}")


def _installed(name: str) -> Callable[[EngineSettings], Engine] | None:
    """An engine that an installed package offers."""
    found = [point for point in entry_points(group=ENTRY_POINTS) if point.name == name]
    if not found:
        return None
    try:
        factory: Callable[[EngineSettings], Engine] = found[0].load()
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"the engine {name!r} cannot be loaded: {error}",
            hint=f"it is offered as {found[0].value}",
        ) from error
    return factory
