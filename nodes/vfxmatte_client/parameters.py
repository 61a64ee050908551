"""The options of every call: their keywords, and what a request or the command line gets."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from .paths import absolute_path, tidy_path

if TYPE_CHECKING:
    from .errors import Record


def _configuration(value: Any) -> str | None:
    """Return an OpenColorIO configuration: a URI as it is, a file by its absolute path."""
    return str(value).strip() if "://" in str(value) else absolute_path(value)


def _weights(value: Any) -> str | None:
    """Return shipped weights by their bare name, `dim`, others by their absolute path."""
    text = tidy_path(str(value))
    is_name = text.isidentifier() and not os.path.exists(text)
    return text if is_name else absolute_path(value)


def _unchanged(value: Any) -> Any:
    return value


def _names(value: Any) -> list[str] | None:
    """Return names as a list; None for none."""
    return [value] if isinstance(value, str) and value else list(value) or None


def _fit(value: Any) -> Record | None:
    """Return the table of a fit to the shot: auto, off, or minutes; None for an empty text."""
    text = str(value).strip()
    try:
        return {"when": "on", "minutes": float(text)}
    except ValueError:
        return {"when": text} if text else None


class Parameter(NamedTuple):
    """One option of the calls."""

    name: str
    """Keyword of the call; the name in the request too if there is no `setting`."""
    methods: tuple[str, ...]
    """Requests that take it, by the names of the protocol."""
    setting: str | None
    """Dotted name of the setting, or of the table, that it stands for, as in `vfxmatte run --set`;
    None: not a setting."""
    convert: Callable[[Any], Any]
    """Makes the value to send; None leaves it out."""


_SHOT = ("open", "run")
_FILES = (*_SHOT, "matte")
_ALL = (*_FILES, "pixels")

PARAMETERS = (
    Parameter("shot", _SHOT, None, absolute_path),  # a shot folder
    Parameter("plate", _FILES, None, absolute_path),  # pattern, folder or movie; one file for matte
    Parameter("trimaps", _SHOT, None, absolute_path),  # folder of the keyframes, or one file
    Parameter("trimap", ("matte",), None, absolute_path),  # one file
    Parameter("keys", _SHOT, "keys", absolute_path),  # folder of finished mattes
    Parameter("garbage", _FILES, "garbage", absolute_path),  # folder, pattern, still or movie
    Parameter("core", _FILES, "core", absolute_path),  # likewise
    Parameter("cleanplate", _SHOT, "cleanplate", absolute_path),  # likewise
    Parameter("subject", _SHOT, None, _names),  # one of several subjects, or a list; None: all
    Parameter("subject_layers", _SHOT, "subject_layers", bool),  # all in one EXR too, as NAME.A
    Parameter("output", _FILES, None, absolute_path),  # a folder; one file for matte
    Parameter("overwrite", ("run", "matte"), None, bool),  # solve finished frames again
    Parameter("frames", _SHOT, "frames", str),  # a number, or "1001-1100x2"; None: all
    Parameter("colorspace", _ALL, "colorspace", _unchanged),  # OpenColorIO name
    Parameter("ocio", _ALL, "ocio", _configuration),  # configuration file or URI
    Parameter("device", _ALL, "engine.device", _unchanged),  # auto, cpu, cuda, cuda:1
    Parameter("mode", _ALL, "engine.mode", _unchanged),  # exact, fast, dense
    Parameter("precision", _ALL, "engine.precision", _unchanged),
    Parameter("fit", _SHOT, "fit", _fit),  # to the shot: auto, off, or minutes
    Parameter("weights", _ALL, "engine.weights", _weights),  # weights file, or `dim`
    Parameter("foreground", _FILES, "output.foreground", _unchanged),  # straight, premultiplied
    Parameter("despill", _FILES, "output.despill", float),  # 0 to 1
    Parameter("layers", _FILES, "output.layers", _unchanged),  # names in a list, or with commas
)
"""All options but `settings`, which every call takes: any setting by its dotted name."""


def request_params(method: str, options: Record) -> Record:
    """Build a request's parameters from a call's keywords.

    Args:
        method: open, run, matte or pixels.
        options: values by keyword; None is the same as not given.

    Raises:
        TypeError: the call takes no such keyword.
    """
    known = [parameter for parameter in PARAMETERS if method in parameter.methods]
    unknown = set(options) - {parameter.name for parameter in known} - {"settings"}
    if unknown:
        raise TypeError(f"{method} takes no option {', '.join(sorted(unknown))}")
    params: Record = {"ocio": _host_configuration()}
    settings: Record = dict(options.get("settings") or {})
    for parameter in known:
        value = options.get(parameter.name)
        value = None if value is None else parameter.convert(value)
        if isinstance(value, dict):
            settings.update((f"{parameter.setting}.{name}", one) for name, one in value.items())
        elif value is not None:
            target = params if parameter.setting is None else settings
            target[parameter.setting or parameter.name] = value
    return {**params, "settings": settings}


def _host_configuration() -> str | None:
    """Return the host's $OCIO, which may not be the server's; None if it is unset or empty."""
    text = os.environ.get("OCIO")
    return text if text and "://" in text else os.path.abspath(text) if text else None


def command_options(params: Record) -> list[str]:
    """Return the command-line options for the parameters of a request."""
    options = [params["shot"]] if "shot" in params else []
    for name in ("plate", "trimaps", "output"):
        options += ["--" + name, params[name]] if name in params else []
    for name in params.get("subject", ()):
        options += ["--subject", name]
    for key, value in params["settings"].items():
        options += ["--set", f"{key}={json.dumps(value, ensure_ascii=False)}"]
    return options + (["--overwrite"] if params.get("overwrite") else [])
