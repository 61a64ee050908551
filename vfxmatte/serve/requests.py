"""What a client asks for, from the parameters of its request: a shot and settings, or one frame."""

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
    """A shot folder, or its parts, with the settings of the request.

    Raises RpcError, or VfxmatteError as `vfxmatte run` with the same options.
    """
    values: defaultdict[str, Any] = defaultdict(lambda: None, extra=())
    values["shot"] = params.path("shot")
    plate = params.path("plate")
    values["plate"] = None if plate is None else str(plate)
    values["trimaps"] = params.path("trimaps")
    values["folder"] = params.path("output")
    if values["trimaps"] is not None and not values["trimaps"].exists():
        raise ShotError("there is no such folder or file of trimaps", path=values["trimaps"])
    shot = shot_of(values)
    return replace(shot, settings=requested_settings(params, shot.settings))


def requested_settings(params: Params, base: RunSettings) -> RunSettings:
    """`base` changed by `settings`: tables as in shot.toml, or dotted names.

    ocio: the client's $OCIO, which counts where the settings name no configuration; the engine's
    own $OCIO may be another host's.
    """
    settings = changed(base, _nested(params.record("settings")))
    ocio = params.text("ocio")
    if settings.ocio is None:
        settings = replace(settings, ocio=Path(ocio or DEFAULT_CONFIG))
    return settings


def _nested(record: Mapping[str, Any]) -> dict[str, Any]:
    """`{"a.b": 1}` as `{"a": {"b": 1}}`."""
    tables: dict[str, Any] = {}
    for name, value in record.items():
        *within, last = name.split(".")
        table = tables
        for part in within:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise RpcError(INVALID_PARAMS, f"settings name {part!r} as a value and as a table")
        if isinstance(value, dict):
            value = {**table.get(last, {}), **_nested(value)}
        table[last] = value
    return tables


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    shot: Shot
    overwrite: bool

    @classmethod
    def of(cls, params: Params) -> RunRequest:
        """Raises RpcError or VfxmatteError."""
        found = cls(shot=requested_shot(params), overwrite=params.flag("overwrite"))
        params.end()
        return found

    @property
    def is_short(self) -> bool:
        """One frame: an artist waits for it."""
        frames = self.shot.settings.frames
        return frames is not None and len(frames) == 1


@dataclass(frozen=True, kw_only=True)
class FrameRequest:
    """One plate file with its own trimap file into the file `output`."""

    plate: Path
    trimap: Path
    output: Path
    overwrite: bool
    settings: RunSettings

    @classmethod
    def of(cls, params: Params) -> FrameRequest:
        """Raises RpcError or VfxmatteError."""
        found = cls(
            plate=params.needed_path("plate"),
            trimap=params.needed_path("trimap"),
            output=params.needed_path("output"),
            overwrite=params.flag("overwrite"),
            settings=requested_settings(params, RunSettings()),
        )
        params.end()
        return found


@dataclass(frozen=True, kw_only=True)
class PixelsRequest:
    """An image and its trimap as arrays; the alpha is put where the client wants it."""

    image: RemoteArray
    trimap: RemoteArray
    alpha: RemoteArray
    settings: RunSettings

    @classmethod
    def of(cls, params: Params) -> PixelsRequest:
        """Raises RpcError or VfxmatteError."""
        settings = requested_settings(params, RunSettings())
        found = cls(
            image=RemoteArray.of(params.record("image"), "image"),
            trimap=RemoteArray.of(params.record("trimap"), "trimap"),
            alpha=RemoteArray.of(params.record("alpha"), "alpha"),
            settings=replace(settings, colorspace=settings.colorspace or _IMAGE_SPACE),
        )
        params.end()
        height_width = found.image.shape[:2]
        if found.alpha.shape != height_width or found.alpha.dtype != "float32":
            raise RpcError(INVALID_PARAMS, f"alpha must be float32 {height_width}")
        return found
