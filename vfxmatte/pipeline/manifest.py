"""What a manifest says of a run beside its frames."""

from __future__ import annotations

import contextlib
import functools
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import Any

from vfxmatte.colour import ColourConfig
from vfxmatte.io.plates import PlateInfo
from vfxmatte.pipeline.plan import RunPlan
from vfxmatte.pipeline.settings import RunSettings, as_plain
from vfxmatte.pipeline.shot import Shot
from vfxmatte.version import __version__

_MODULES = {
    "torch": "torch", "numpy": "numpy", "scipy": "scipy", "opencv": "cv2", "OpenEXR": "OpenEXR",
    "opencolorio": "PyOpenColorIO", "av": "av",
}  # fmt: skip
"""The libraries that decide pixels, by the names that the manifest gives them."""


def manifest_header(
    shot: Shot,
    settings: RunSettings,
    plate: PlateInfo,
    plan: RunPlan,
    colours: ColourConfig,
    *,
    engine: Mapping[str, Any],
    device: str | None,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Plain values for `Journal.write_manifest`.

    engine: how it describes itself; {} where none was opened. notes: beside the plan's own.
    """
    return {
        "shot": shot.name,
        "plate": str(shot.plate),
        "plate_description": str(plate),
        "colorspace": plate.colour_space,
        "ocio": colours.source,
        "keyframes": {str(n): str(path) for n, path in plan.keyframes.items()},
        "skipped": list(plan.skipped),
        "notes": [*plan.notes, *notes],
        "engine": dict(engine),
        "device": device,
        "settings": as_plain(settings),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Of everything that decides pixels, for the manifest."""
    found = {name: _version(module) for name, module in _MODULES.items()}
    return {"vfxmatte": __version__, "python": platform.python_version(), **found}


def _version(module: str) -> str:
    """Of whatever package brought the module: OpenCV comes as opencv-python-headless, as
    opencv-python, or by a package manager that leaves no record; then it says so itself."""
    for name in _packages().get(module, []):
        with contextlib.suppress(PackageNotFoundError):
            return version(name)
    return str(getattr(sys.modules.get(module), "__version__", "unknown"))


@functools.cache
def _packages() -> Mapping[str, list[str]]:
    return packages_distributions()
