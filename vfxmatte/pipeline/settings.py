"""The settings of a run in one dataclass: from shot.toml, options or Python."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from vfxmatte.common.checked import Checked, limited
from vfxmatte.engines.protocol import EngineSettings
from vfxmatte.fitting.settings import FitSettings
from vfxmatte.io.rates import frame_rate
from vfxmatte.io.writers import OutputSettings
from vfxmatte.pipeline.edges import MatteSettings
from vfxmatte.propagation.shot_trimaps import PropagationSettings
from vfxmatte.temporal.settings import TemporalSettings
from vfxmatte.types import FrameList, FrameRange

Missing = Literal["error", "hold", "skip"]


@dataclass(frozen=True, kw_only=True)
class RunSettings(Checked):
    """The settings of a run; `shot.toml` has the same names."""

    frames: FrameList | FrameRange | None = None
    """Frames to solve; None is the plate's whole range."""
    fps: float | None = limited(None, above=0)
    """Rate of written movies, if the plate has none."""
    colorspace: str | None = None
    """The plate's OpenColorIO colour space; None chooses by file type."""
    ocio: Path | None = None
    """OpenColorIO configuration; None is $OCIO, else the built-in ACES one."""
    layer: str | None = None
    """Layer of an EXR plate."""
    part: int | str | None = None
    """Part of a multi-part EXR plate, by name or number."""
    first_frame: int = limited(1, at_least=-1000000000, at_most=2000000000)
    """Number of a movie's first frame."""
    missing: Missing = "error"
    """If the plate lacks a frame: refuse to start ("error"), solve it from the nearest earlier one
    ("hold"), or leave it out ("skip")."""
    keyframe_growth: float = limited(0.0, at_least=-10000, at_most=10000)
    """Pixels to widen painted keyframes' unknown bands by; below 0, to narrow them."""
    keys: Path | None = None
    """Folder of finished mattes, NAME.FRAME.ext, that are keyframes; None takes SHOT/keys."""
    garbage: Path | None = None
    """Garbage mattes (alpha is 0 outside): a folder, pattern, still or movie; None takes
    SHOT/garbage."""
    core: Path | None = None
    """Core mattes (alpha is 1 inside), likewise; None takes SHOT/core."""
    cleanplate: Path | None = None
    """What is behind the subject, likewise; None takes SHOT/cleanplate."""
    subject_layers: bool = False
    """Also write the mattes of several subjects into one EXR a frame, as layers NAME.A."""
    workers: int = limited(0, at_least=0)
    """Frames read and written at once; 0 chooses from the processors."""
    engine: EngineSettings = field(default_factory=EngineSettings)
    fit: FitSettings = field(default_factory=FitSettings)
    propagation: PropagationSettings = field(default_factory=PropagationSettings)
    temporal: TemporalSettings = field(default_factory=TemporalSettings)
    matte: MatteSettings = field(default_factory=MatteSettings)
    output: OutputSettings = field(default_factory=OutputSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fps is not None:
            frame_rate(self.fps)  # raises for absurd rates

    @property
    def steadies(self) -> bool:
        """True if mattes are averaged with their neighbours'; not if they only show trimaps."""
        return bool(self.temporal) and self.engine.name != "trimap"


def as_plain(value: Any) -> Any:
    """Return dataclasses, paths and tuples as values that JSON can hold."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {f.name: as_plain(getattr(value, f.name)) for f in fields}
    if isinstance(value, dict):
        return {str(key): as_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return value


def differences(base: Any, settings: Any) -> Iterator[tuple[str, Any]]:
    """Yield dotted names and plain values of the settings that differ, in nested tables too."""
    yield from _differences(as_plain(base), as_plain(settings), "")


def _differences(old: Any, new: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping) and set(old) == set(new) and old:
        for key in new:
            yield from _differences(old[key], new[key], f"{name}.{key}" if name else key)
    elif new != old:
        yield name, new


def digest(value: Any) -> str:
    """Return a short digest of plain values; equal values have equal digests."""
    text = json.dumps(as_plain(value), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def usual_workers() -> int:
    """Return half of the processors that this process may use, 2 to 12.

    Each worker holds a few frames, and a 6K frame is a quarter of a gigabyte.
    """
    try:
        processors = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        processors = os.cpu_count() or 2
    return min(12, max(2, processors // 2))
