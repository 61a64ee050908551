"""Engines by name: the project's own, registered ones and those of installed packages."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable
from importlib.metadata import entry_points

from vfxmatte.engines.protocol import Engine, EngineSettings
from vfxmatte.errors import UsageError


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
