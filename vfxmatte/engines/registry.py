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
    """Make a factory of a classical engine, whose libraries are imported when it is opened."""

    def factory(settings: EngineSettings) -> Engine:
        imported = importlib.import_module(f"vfxmatte.engines.classical.{module}")
        engine: Engine = getattr(imported, function)(settings)
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
"""The entry-point group of installed packages' engines, known to every process:
`[project.entry-points."vfxmatte.engines"]` with `name = "module:factory"`."""


def register(name: str, factory: Callable[[EngineSettings], Engine]) -> None:
    """Register an engine in this process.

    Args:
        name: the value of `EngineSettings.name` that selects it.
        factory: opens the engine; import its libraries there, not earlier.

    Raises:
        UsageError: the name is taken.
    """
    if name in engine_names():
        raise UsageError(f"there is an engine {name!r} already")
    _REGISTRY[name] = factory


def engine_names() -> tuple[str, ...]:
    """Return the names of all engines, ascending."""
    return tuple(sorted({*_REGISTRY, *entry_points(group=ENTRY_POINTS).names}))


def open_engine(settings: EngineSettings) -> Engine:
    """Open an engine, with its model loaded.

    Raises:
        UsageError: no such engine.
        DeviceError, WeightsError: from the engine.
    """
    factory = _REGISTRY.get(settings.name) or _installed(settings.name)
    if factory is None:
        raise _unknown(settings.name)
    return factory(settings)


def check_name(name: str) -> None:
    """Raise UsageError, with similar names, if there is no such engine; opens none."""
    if name not in engine_names():
        raise _unknown(name)


def _unknown(name: str) -> UsageError:
    near = difflib.get_close_matches(name, engine_names(), 3) or engine_names()
    return UsageError(f"no engine {name!r}", hint=f"there is {', '.join(near)}")


def _installed(name: str) -> Callable[[EngineSettings], Engine] | None:
    """Load the factory of an installed package's engine; None if there is no such engine."""
    matches = [point for point in entry_points(group=ENTRY_POINTS) if point.name == name]
    if not matches:
        return None
    try:
        factory: Callable[[EngineSettings], Engine] = matches[0].load()
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"the engine {name!r} cannot be loaded: {error}",
            hint=f"it is offered as {matches[0].value}",
        ) from error
    return factory
