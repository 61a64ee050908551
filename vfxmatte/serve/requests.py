"""Requests with their parameters checked: a shot to run, a frame from files, or pixels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vfxmatte.colour import DEFAULT_CONFIG
from vfxmatte.common.configuration import changed
from vfxmatte.errors import ShotError
from vfxmatte.pipeline.options import shot_of
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot
from vfxmatte.serve.arrays import RemoteArray
from vfxmatte.serve.params import Params
from vfxmatte.serve.rpc import INVALID_PARAMS, RpcError

_IMAGE_SPACE = "sRGB - Texture"


def requested_shot(params: Params) -> Shot:
    """Build the shot of a request from a folder or its parts, and from settings.

    Raises RpcError, or VfxmatteError as `vfxmatte run` with the same options.
    """
    values: defaultdict[str, Any] = defaultdict(lambda: None, extra=())
    values["shot"] = params.path("shot")
    plate = params.path("plate")
    values["plate"] = None if plate is None else str(plate)
    values["trimaps"] = params.path("trimaps")
    values["folder"] = params.path("output")
    values["subject"] = params.texts("subject")
    if values["trimaps"] is not None and not values["trimaps"].exists():
        raise ShotError("there is no such folder or file of trimaps", path=values["trimaps"])
    shot = shot_of(values)
    return replace(shot, settings=requested_settings(params, shot.settings))


def requested_settings(params: Params, base: RunSettings) -> RunSettings:
    """Change `base` by `settings`: tables as in shot.toml, or dotted names.

    `ocio`, the client's $OCIO, is used where the settings name no configuration; the server's own
    $OCIO may be another host's.
    """
    settings = changed(base, _nested(params.record("settings")))
    ocio = params.text("ocio")
    if settings.ocio is None:
        settings = replace(settings, ocio=Path(ocio or DEFAULT_CONFIG))
    return settings


def _nested(record: Mapping[str, Any]) -> dict[str, Any]:
    """Convert `{"a.b": 1}` to `{"a": {"b": 1}}`."""
    tables: dict[str, Any] = {}
    for name, value in record.items():
        *parents, last = name.split(".")
        table = tables
        for part in parents:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise RpcError(INVALID_PARAMS, f"settings name {part!r} as a value and as a table")
        if isinstance(value, dict):
            value = {**table.get(last, {}), **_nested(value)}
        table[last] = value
    return tables


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """A shot to run."""

    shot: Shot
    """The shot, with the settings of the request."""
    overwrite: bool
    """Solve finished frames again."""

    @classmethod
    def from_params(cls, params: Params) -> RunRequest:
        """Read the parameters of a request; raises RpcError or VfxmatteError."""
        request = cls(shot=requested_shot(params), overwrite=params.flag("overwrite"))
        params.end()
        return request

    @property
    def is_short(self) -> bool:
        """True for a single frame, which an artist waits for."""
        frames = self.shot.settings.frames
        return frames is not None and len(frames) == 1


@dataclass(frozen=True, kw_only=True)
class FrameRequest:
    """One frame, from files to a file."""

    plate: Path
    """An image, or a movie of one frame."""
    trimap: Path
    """The trimap image."""
    output: Path
    """The matte to write."""
    overwrite: bool
    """Replace `output` if it exists."""
    settings: RunSettings
    """Settings of the request; `output.format` follows the file name."""

    @classmethod
    def from_params(cls, params: Params) -> FrameRequest:
        """Read the parameters of a request; raises RpcError or VfxmatteError."""
        request = cls(
            plate=params.needed_path("plate"),
            trimap=params.needed_path("trimap"),
            output=params.needed_path("output"),
            overwrite=params.flag("overwrite"),
            settings=requested_settings(params, RunSettings()),
        )
        params.end()
        return request


@dataclass(frozen=True, kw_only=True)
class PixelsRequest:
    """One frame, from arrays to an array."""

    image: RemoteArray
    """(H, W, C) pixels."""
    trimap: RemoteArray
    """The trimap."""
    alpha: RemoteArray
    """(H, W) float32, where the alpha is written."""
    garbage: RemoteArray | None
    """(H, W) garbage matte."""
    core: RemoteArray | None
    """(H, W) core matte."""
    settings: RunSettings
    """Settings of the request; `colorspace` is set."""

    @classmethod
    def from_params(cls, params: Params) -> PixelsRequest:
        """Read the parameters of a request; raises RpcError or VfxmatteError."""
        settings = requested_settings(params, RunSettings())
        request = cls(
            image=RemoteArray.from_record(params.record("image"), "image"),
            trimap=RemoteArray.from_record(params.record("trimap"), "trimap"),
            alpha=RemoteArray.from_record(params.record("alpha"), "alpha"),
            garbage=_optional_array(params, "garbage"),
            core=_optional_array(params, "core"),
            settings=replace(settings, colorspace=settings.colorspace or _IMAGE_SPACE),
        )
        params.end()
        height_width = request.image.shape[:2]
        if request.alpha.shape != height_width or request.alpha.dtype != "float32":
            raise RpcError(INVALID_PARAMS, f"alpha must be float32 {height_width}")
        return request


def _optional_array(params: Params, name: str) -> RemoteArray | None:
    record = params.record(name)
    return RemoteArray.from_record(record, name) if record else None
