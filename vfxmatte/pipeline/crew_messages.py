"""The messages between a crew and its child processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vfxmatte.errors import VfxmatteError
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot
from vfxmatte.types import FrameResult


@dataclass(frozen=True)
class Job:
    """The first message to a child."""

    shot: Shot
    settings: RunSettings
    device: str
    """The device's name in the child, see `environment`."""


@dataclass(frozen=True)
class Ready:
    """The child's engine is open."""

    description: dict[str, Any]
    """The engine's description, see `Engine.describe`."""
    device: str
    """The device that the engine runs on."""


@dataclass(frozen=True)
class Solved:
    """A frame has a result."""

    result: FrameResult
    last: bool = True
    """False if more results of the frame follow, of other subjects."""


@dataclass(frozen=True)
class Done:
    """The report that all frames that were assigned have a result."""


@dataclass(frozen=True)
class Failed:
    """An error concerns all frames of the child; it ends."""

    error: VfxmatteError


@dataclass(frozen=True)
class Alive:
    """Sent every few seconds."""

    cpu_seconds: float
    """Processor time of the child so far."""


@dataclass(frozen=True)
class Ended:
    """The child has ended."""

    exit_code: int


Message = Ready | Solved | Done | Failed | Alive | Ended
