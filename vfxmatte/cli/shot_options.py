"""The options that name a shot and its settings, shared by commands.

Options override the shot's folder and its shot.toml; see `pipeline.options`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

import click

from vfxmatte.cli.path_option import PathOption
from vfxmatte.pipeline.options import TABLES, TOP_LEVEL

Function = TypeVar("Function", bound=Callable[..., Any])

_EXISTING = PathOption(exists=True)
_PATH = PathOption()

_RESULTS = "Where results go [SHOT/matte]."
_OUTPUT = click.option("-o", "--output", "folder", type=_PATH, help=_RESULTS)
_LONG_OUTPUT = click.option("--output", "folder", type=_PATH, help=_RESULTS)

_SHOT = click.argument("shot", type=_PATH, required=False)
_SHOTS = click.argument("shots", nargs=-1, metavar="[SHOT | SHOTS...|FILE]")

_PLACES = (
    _SHOT,
    click.option("--plate", help="Folder, pattern (plate.####.exr, %04d, @, $F4) or movie."),
    click.option("--trimaps", type=_EXISTING, help="Folder of keyframe trimaps, or one of them."),
    _OUTPUT,
    click.option(
        "--subject", multiple=True, help="Of several subjects this one; may be repeated [all]."
    ),
    click.option("--frames", help="Frames to solve: 1001-1100, 1001-1100x2, 1001-1010,1020 [all]."),
)
_PLATE = (
    click.option("--colorspace", help="The plate's OpenColorIO colour space [by file type]."),
    click.option("--ocio", type=_EXISTING, help="OpenColorIO configuration [$OCIO, else ACES]."),
    click.option("--layer", help="Layer of an EXR plate."),
    click.option("--part", help="Part of a multi-part EXR plate, by name or number."),
    click.option("--first-frame", type=int, help="Number of a movie's first frame [1]."),
)
_SETTINGS = (
    *_PLATE,
    click.option("--fps", type=float, help="Frame rate of written movies [the plate's, else 24]."),
    click.option(
        "--missing",
        type=click.Choice(["error", "hold", "skip"]),
        help="What to do if the plate lacks frames [error].",
    ),
    click.option("--engine", "name", help="Matting engine [dim]."),
    click.option("--weights", type=_PATH, help="A .safetensors file, or dim [the default ones]."),
    click.option("--device", help="auto, cpu, cuda, cuda:N; several: cuda:0,1 or cuda:all [auto]."),
    click.option(
        "--precision",
        type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
        help="Precision of the network [auto: float16 on a GPU, float32 on a CPU].",
    ),
    click.option(
        "--mode",
        type=click.Choice(["exact", "fast", "windows", "dense"]),
        help="exact: what the unknown depends on; fast: a little less; dense: all [exact].",
    ),
    click.option(
        "--fit",
        metavar="auto|off|MINUTES",
        help="Fit a light network to the shot's keyframes first [auto: about a minute, where it "
        "helps].",
    ),
    click.option("--keyframe-growth", type=float, help="Pixels to widen painted bands by [0]."),
    click.option("--keys", type=_PATH, help="Finished mattes as keyframes [SHOT/keys]."),
    click.option("--garbage", type=_PATH, help="Garbage mattes: 0 outside [SHOT/garbage]."),
    click.option("--core", type=_PATH, help="Core mattes: 1 inside [SHOT/core]."),
    click.option("--cleanplate", type=_PATH, help="What is behind [SHOT/cleanplate]."),
    click.option(
        "--format", type=click.Choice(["exr", "png", "tiff"]), help="Format of mattes [exr]."
    ),
    click.option(
        "--pixel-type",
        type=click.Choice(["half", "float"]),
        help="Pixel type of EXR mattes [half].",
    ),
    click.option(
        "--compression",
        type=click.Choice(["none", "zips", "zip", "piz", "dwaa"]),
        help="Compression of EXR mattes [zip].",
    ),
    click.option(
        "--rgba",
        type=click.Choice(["premultiplied", "straight"]),
        help="Add the plate's R G B to the EXR mattes.",
    ),
    click.option(
        "--subject-layers",
        is_flag=True,
        default=None,
        help="Of several subjects, one EXR a frame too, with layers NAME.A.",
    ),
    click.option(
        "--foreground",
        type=click.Choice(["straight", "premultiplied"]),
        help="Add the foreground's R G B, without the background's colour, to the EXR mattes.",
    ),
    click.option("--despill", type=float, help="Take spill out of the foreground, 0 to 1 [0]."),
    click.option(
        "--layers",
        help="Layers of the EXR mattes: alpha,foreground,despill,background,trimap,confidence.",
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

preview_option = click.option(
    "--preview",
    "previews",
    type=click.Choice(["sheet", "movie"]),
    multiple=True,
    help="Draw the worst frames, or all, over a colour: preview.png or .mp4 beside the mattes.",
)


def shot_options(function: Function) -> Function:
    """Add SHOT and every option that changes the shot's parts or settings."""
    return _decorated(function, (*_PLACES, *_SETTINGS))


def plate_options(function: Function) -> Function:
    """Add the options that say how a shot's plate is read."""
    return _decorated(function, _PLATE)


def settings_options(function: Function) -> Function:
    """Add every option that changes a shot's settings, except its frames."""
    return _decorated(function, _SETTINGS)


def settings_names() -> tuple[str, ...]:
    """Return the parameter names of `settings_options`."""
    tables = (name for names in TABLES.values() for name in names)
    return (*TOP_LEVEL, *tables, "part", "fit", "extra")


def given_words(values: Mapping[str, Any], names: Collection[str]) -> list[str]:
    """Return the words that give the running command some of its values, by parameter name."""
    words: list[str] = []
    for parameter in click.get_current_context().command.params:
        value = values.get(parameter.name or "")
        if parameter.name not in names or value is None:
            continue
        for one in value if isinstance(value, tuple) else (value,):
            named = [] if isinstance(parameter, click.Argument) else [parameter.opts[-1]]
            words += [*named, *([] if one is True else [str(one)])]
    return words


def job_shot_options(function: Function) -> Function:
    """Add the options of `shot_options` to a command that takes many shots, and that uses `-o` for
    its own result."""
    others = {_OUTPUT: _LONG_OUTPUT, _SHOT: _SHOTS}
    return _decorated(function, [others.get(one, one) for one in (*_PLACES, *_SETTINGS)])


def _decorated(function: Function, options: Sequence[Callable[[Any], Any]]) -> Function:
    for option in reversed(options):
        function = option(function)
    return function
