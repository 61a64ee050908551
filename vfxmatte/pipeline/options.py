"""The shot and the settings that options name, from a command line or a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vfxmatte.common.configuration import changed, nested
from vfxmatte.errors import OutputError, ShotError, UsageError
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot
from vfxmatte.pipeline.shot_folder import (
    MATTE_FOLDER,
    SETTINGS_FILE,
    TRIMAP_FOLDER,
    empty_folders,
    read_settings,
    side_folders,
)
from vfxmatte.pipeline.subject_shots import chosen

TOP_LEVEL = (
    "frames", "fps", "colorspace", "ocio", "layer", "first_frame", "missing", "keyframe_growth",
    "workers", "keys", "garbage", "core", "cleanplate", "subject_layers",
)  # fmt: skip
TABLES = {
    "engine": ("name", "weights", "device", "precision", "mode"),
    "output": ("format", "pixel_type", "compression", "rgba", "foreground", "despill", "layers"),
}
"""The tables of `RunSettings` and the options that set their fields; `TOP_LEVEL` has the others."""


def shot_of(values: Mapping[str, Any]) -> Shot:
    """Return the shot that options name, its settings changed by them.

    Args:
        values: by parameter name, as in `cli.shot_options`; None for an option that was not given.

    Raises:
        UsageError, ShotError, TrimapError: as their names say.
    """
    shot = _parts(values["shot"], values["plate"], values["trimaps"], values["folder"])
    shot = chosen(shot, values.get("subject") or ())
    return replace(shot, settings=settings_with(shot.settings, values))


def _parts(
    folder: Path | None, plate: str | None, trimaps: Path | None, output: Path | None
) -> Shot:
    if folder is None:
        return _without_folder(plate, trimaps, output)
    if plate is None:
        shot = Shot.open(folder, output=output)
    elif folder.is_dir():
        shot = Shot(
            name=folder.resolve().name,
            plate=Path(plate),
            keyframes={},
            output=output or folder / MATTE_FOLDER,
            settings=read_settings(folder / SETTINGS_FILE),
            sides=side_folders(folder),
            empty=empty_folders(folder),
        ).with_keyframes(trimaps or folder / TRIMAP_FOLDER)
    else:
        raise ShotError("there is no such shot folder", path=folder)
    return shot if trimaps is None else shot.with_keyframes(trimaps)


def _without_folder(plate: str | None, trimaps: Path | None, output: Path | None) -> Shot:
    if plate is None or trimaps is None or output is None:
        parts = {"--plate": plate, "--trimaps": trimaps, "--output": output}
        lacking = [name for name, value in parts.items() if value is None]
        raise UsageError(
            "no shot was given" if len(lacking) == 3 else f"{' and '.join(lacking)} is missing",
            hint="give a SHOT folder, or all of --plate, --trimaps and --output",
        )
    return Shot.from_parts(plate=plate, trimaps=trimaps, output=output)


def settings_with(base: RunSettings, values: Mapping[str, Any]) -> RunSettings:
    """Return `base` changed by the options that were given; raises UsageError."""
    record = _present(values, TOP_LEVEL)
    record |= _fit(values.get("fit"))
    part = values.get("part")
    if part is not None:
        record["part"] = int(part) if part.isdecimal() else part
    for table, names in TABLES.items():
        record[table] = _present(values, names)
    try:
        settings = changed(base, record)
        for text in values.get("extra") or ():
            settings = changed(settings, parsed_setting(text))
    except OutputError as error:  # options that clash
        raise UsageError(error.what, hint=error.hint) from error
    return settings


def _fit(text: str | None) -> dict[str, Any]:
    """Return the settings that `--fit auto|off|MINUTES` means; raises UsageError."""
    if text is None:
        return {}
    if text in ("auto", "off", "on"):
        return {"fit": {"when": text}}
    try:
        return {"fit": {"when": "on", "minutes": float(text)}}
    except ValueError:
        raise UsageError(
            f"--fit {text!r} is not understood", hint="write --fit auto, off, or minutes: --fit 3"
        ) from None


def _present(values: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: values[name] for name in names if values.get(name) is not None}


def parsed_setting(text: str) -> dict[str, Any]:
    """Parse `propagation.growth_px=2` into nested tables; raises UsageError."""
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise UsageError(
            f"--set {text!r} is not understood", hint="write --set propagation.growth_px=2"
        )
    return nested(key.strip(), value.strip())
