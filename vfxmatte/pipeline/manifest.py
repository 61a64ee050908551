"""The record of a run in its results: the manifest's header, and attributes of EXR headers."""

from __future__ import annotations

import contextlib
import functools
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import Any

from vfxmatte.colour import ColourConfig
from vfxmatte.foreground.planes import foreground_space
from vfxmatte.io.writers import OutputSettings
from vfxmatte.pipeline.prepared import PreparedRun
from vfxmatte.pipeline.settings import as_plain
from vfxmatte.version import __version__

_MODULES = {
    "torch": "torch", "numpy": "numpy", "scipy": "scipy", "opencv": "cv2", "OpenEXR": "OpenEXR",
    "opencolorio": "PyOpenColorIO", "av": "av",
}  # fmt: skip
"""Modules of the libraries that decide pixels, by their names in the manifest."""


def manifest_header(
    run: PreparedRun,
    *,
    engine: Mapping[str, Any],
    device: str | None,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Return plain values for `Journal.write_manifest`.

    Args:
        engine: its description, see `Engine.describe`; {} if none was opened.
        notes: in addition to the plan's own.
    """
    info, plan = run.plate.info, run.plan
    return {
        "shot": run.shot.name,
        "plate": str(run.shot.plate),
        "plate_description": str(info),
        "colorspace": info.colour_space,
        "ocio": run.colours.source,
        "keyframes": {str(n): str(path) for n, path in plan.keyframes.items()},
        "finished": list(plan.finished),
        "locked": list(plan.locked),
        "limits": plan.limits.texts(),
        "skipped": list(plan.skipped),
        "notes": [*plan.notes, *notes],
        "engine": dict(engine),
        "device": device,
        "settings": as_plain(run.settings),
        "versions": versions(),
    }


def header_attributes(run: PreparedRun, engine: Mapping[str, Any]) -> dict[str, str]:
    """Return the attributes that every matte of a run carries.

    Args:
        engine: its description, see `Engine.describe`.
    """
    settings = {
        "keyframe_growth": run.settings.keyframe_growth,
        "propagation": as_plain(run.settings.propagation),
    }
    if not run.settings.matte.is_neutral:
        settings["matte"] = as_plain(run.settings.matte)
    return {
        "vfxmatte/version": __version__,
        "vfxmatte/colorspace": run.plate.info.colour_space,
        **foreground_attributes(run.settings.output, run.plate.info.colour_space, run.colours),
        "vfxmatte/settings": json.dumps(settings),
        **{f"vfxmatte/{key}": str(value) for key, value in engine.items()},
    }


def foreground_attributes(
    output: OutputSettings, plate_space: str, colours: ColourConfig
) -> dict[str, str]:
    """Return the attribute that names the colour space of a foreground; {} without one."""
    if not output.needs_colours:
        return {}
    return {"vfxmatte/foreground_colorspace": foreground_space(plate_space, colours)}


def versions() -> dict[str, str]:
    """Return the version of everything that decides pixels."""
    libraries = {name: _version(module) for name, module in _MODULES.items()}
    return {"vfxmatte": __version__, "python": platform.python_version(), **libraries}


def _version(module: str) -> str:
    """Return the version of the package that a module is from.

    OpenCV comes as opencv-python-headless, as opencv-python, or by a package manager that leaves no
    record; its own `__version__` is taken then.
    """
    for name in _packages().get(module, []):
        with contextlib.suppress(PackageNotFoundError):
            return _recorded(name)
    return str(getattr(sys.modules.get(module), "__version__", "unknown"))


_recorded = functools.cache(version)


@functools.cache
def _packages() -> Mapping[str, list[str]]:
    return packages_distributions()
