"""What a manifest says of a run beside its frames."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from typing import Any

from vfxmatte.colour import ColourConfig
from vfxmatte.io.plates import PlateInfo
from vfxmatte.pipeline.plan import RunPlan
from vfxmatte.pipeline.settings import RunSettings, as_plain
from vfxmatte.pipeline.shot import Shot
from vfxmatte.version import __version__


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
    from importlib.metadata import version

    names = ("torch", "numpy", "opencv-python-headless", "OpenEXR", "opencolorio", "av")
    found = {name: version(name) for name in names}
    return {"vfxmatte": __version__, "python": platform.python_version(), **found}
