"""All settings of a run in one dataclass: from shot.toml, options or Python."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
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
from vfxmatte.types import FrameList, FrameRange

Missing = Literal["error", "hold", "skip"]


@dataclass(frozen=True, kw_only=True)
class RunSettings(Checked):
    """The settings of a run; `shot.toml` has the same names."""

    frames: FrameList | FrameRange | None = None
    """Which frames to solve; None is the plate's whole range."""
    fps: float | None = limited(None, above=0)
    """Frames per second of movies that are written, if the plate has no rate."""
    colorspace: str | None = None
    """The plate's OpenColorIO colour space; None chooses by file type."""
    ocio: Path | None = None
    """An OpenColorIO configuration; None is $OCIO, else the built-in ACES one."""
    layer: str | None = None
    """Layer of an EXR plate."""
    part: int | str | None = None
    """Part of a multi-part EXR plate, by name or number."""
    first_frame: int = limited(1, at_least=-1000000000, at_most=2000000000)
    """Number of a movie's first frame."""
    missing: Missing = "error"
    """What to do if the plate lacks a frame of the range: refuse to start ("error"), solve it from
    the nearest earlier frame ("hold"), or leave it out ("skip")."""
    keyframe_growth: float = limited(0.0, at_least=-10000, at_most=10000)
    """Pixels to widen the unknown band of the painted keyframes by; below 0, to narrow it."""
    keys: Path | None = None
    """Finished mattes that are keyframes, NAME.FRAME.ext in a folder; None takes SHOT/keys."""
    garbage: Path | None = None
    """Garbage mattes, outside of which alpha is 0: a folder, a pattern or a still; None takes
    SHOT/garbage."""
    core: Path | None = None
    """Core mattes, inside of which alpha is 1; None takes SHOT/core."""
    subject_layers: bool = False
    """Of several subjects, write all mattes of a frame into one EXR too, as layers NAME.A."""
    workers: int = limited(0, at_least=0)
    """Frames read and written at once; 0 chooses from the processors."""
    engine: EngineSettings = field(default_factory=EngineSettings)
    fit: FitSettings = field(default_factory=FitSettings)
    propagation: PropagationSettings = field(default_factory=PropagationSettings)
    matte: MatteSettings = field(default_factory=MatteSettings)
    output: OutputSettings = field(default_factory=OutputSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fps is not None:
            frame_rate(self.fps)  # raises for absurd rates


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
