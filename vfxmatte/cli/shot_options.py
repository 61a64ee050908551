"""The options that name a shot and its settings, shared by commands, and what they amount to.

What is given on the command line overrides the shot's folder and its shot.toml.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from vfxmatte.cli.path_option import PathOption
from vfxmatte.common.configuration import changed, nested
from vfxmatte.errors import OutputError, ShotError, UsageError
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import (
    MATTE_FOLDER,
    SETTINGS_FILE,
    TRIMAP_FOLDER,
    Shot,
    find_keyframes,
    read_settings,
)

Function = TypeVar("Function", bound=Callable[..., Any])

_EXISTING = PathOption(exists=True)
_PATH = PathOption()

_TOP = (
    "frames", "fps", "colorspace", "ocio", "layer", "first_frame", "missing", "keyframe_growth",
    "workers",
)  # fmt: skip
# The table of `RunSettings` that an option's value belongs to; others stand at the top.
_TABLES = {
    "engine": ("name", "weights", "device", "precision", "mode"),
    "output": ("format", "pixel_type", "compression", "rgba"),
}

_RESULTS = "Where results go [SHOT/matte]."
_OUTPUT = click.option("-o", "--output", "folder", type=_PATH, help=_RESULTS)
_LONG_OUTPUT = click.option("--output", "folder", type=_PATH, help=_RESULTS)

_PLACES = (
    click.argument("shot", type=_PATH, required=False),
    click.option("--plate", help="Folder, pattern (plate.####.exr, %04d, @, $F4) or movie."),
    click.option("--trimaps", type=_EXISTING, help="Folder of keyframe trimaps, or one of them."),
    _OUTPUT,
    click.option("--frames", help="Frames to solve: 1001-1100, 1001-1100x2, 1001-1010,1020 [all]."),
)
_SETTINGS = (
    click.option("--colorspace", help="The plate's OpenColorIO colour space [by file type]."),
    click.option("--ocio", type=_EXISTING, help="OpenColorIO configuration [$OCIO, else ACES]."),
    click.option("--layer", help="Layer of an EXR plate."),
    click.option("--part", help="Part of a multi-part EXR plate, by name or number."),
    click.option("--fps", type=float, help="For movies that are written [the plate's, else 24]."),
    click.option("--first-frame", type=int, help="Number of a movie's first frame [1]."),
    click.option(
        "--missing",
        type=click.Choice(["error", "hold", "skip"]),
        help="What to do about frames that the plate lacks [error].",
    ),
    click.option("--engine", "name", help="Matting engine [dim]."),
    click.option("--weights", type=_PATH, help="Weights, a .safetensors file [the default ones]."),
    click.option("--device", help="auto, cpu, cuda, cuda:N; several: cuda:0,1 or cuda:all [auto]."),
    click.option(
        "--precision",
        type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
        help="Of the network [auto: float16 on a GPU, float32 on a CPU].",
    ),
    click.option(
        "--mode",
        type=click.Choice(["exact", "fast", "windows", "dense"]),
        help="exact: what the unknown depends on; fast: a little less; dense: all [exact].",
    ),
    click.option("--keyframe-growth", type=float, help="Widen painted bands by so many px [0]."),
    click.option("--format", type=click.Choice(["exr", "png", "tiff"]), help="Of mattes [exr]."),
    click.option(
        "--pixel-type", type=click.Choice(["half", "float"]), help="Of EXR mattes [half]."
    ),
    click.option(
        "--compression",
        type=click.Choice(["none", "zips", "zip", "piz", "dwaa"]),
        help="Of EXR mattes [zip].",
    ),
    click.option(
        "--rgba",
        type=click.Choice(["premultiplied", "straight"]),
        help="Add the plate's R G B to the EXR mattes.",
    ),
    click.option(
        "--workers", type=int, help="Frames read and written at once [half the processors]."
    ),
    click.option(
        "--set",
        "extra",
        multiple=True,
        metavar="KEY=VALUE",
        help="Any setting of shot.toml, e.g. propagation.growth_px=2; may be repeated.",
    ),
)


def shot_options(function: Function) -> Function:
    """SHOT and every option that changes the shot's parts or settings."""
    return _decorated(function, (*_PLACES, *_SETTINGS))


def settings_options(function: Function) -> Function:
    """Every option that changes a shot's settings, its frames apart; none that names its parts."""
    return _decorated(function, _SETTINGS)


def settings_names() -> tuple[str, ...]:
    """The parameters of `settings_options`, by name."""
    tables = (name for names in _TABLES.values() for name in names)
    return (*_TOP, *tables, "part", "extra")


def job_shot_options(function: Function) -> Function:
    """The same for a command whose own result `-o` names."""
    return _decorated(
        function, tuple(_LONG_OUTPUT if o is _OUTPUT else o for o in (*_PLACES, *_SETTINGS))
    )


def _decorated(function: Function, options: Sequence[Callable[[Any], Any]]) -> Function:
    for option in reversed(options):
        function = option(function)
    return function


def shot_of(values: Mapping[str, Any]) -> Shot:
    """The shot that the options name, its settings with the options' own.

    values: by parameter name, as `shot_options` gives them; None was not given.
    Raises UsageError, ShotError, TrimapError.
    """
    shot = _parts(values["shot"], values["plate"], values["trimaps"], values["folder"])
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
            keyframes=find_keyframes(trimaps or folder / TRIMAP_FOLDER),
            output=output or folder / MATTE_FOLDER,
            settings=read_settings(folder / SETTINGS_FILE),
        )
    else:
        raise ShotError("there is no such shot folder", path=folder)
    return shot if trimaps is None else replace(shot, keyframes=find_keyframes(trimaps))


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
    """`base` changed by the options that were given; raises UsageError."""
    record = _given(values, _TOP)
    part = values["part"]
    if part is not None:
        record["part"] = int(part) if part.isdecimal() else part
    for table, names in _TABLES.items():
        record[table] = _given(values, names)
    try:
        settings = changed(base, record)
        for text in values["extra"]:
            settings = changed(settings, _setting(text))
    except OutputError as error:  # options that clash
        raise UsageError(error.what, hint=error.hint) from error
    return settings


def _given(values: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: values[name] for name in names if values.get(name) is not None}


def _setting(text: str) -> dict[str, Any]:
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise UsageError(
            f"--set {text!r} is not understood", hint="write --set propagation.growth_px=2"
        )
    return nested(key.strip(), value.strip())
