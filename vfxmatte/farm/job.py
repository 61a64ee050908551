"""A shot as a farm's job: what workers are told, apart from how any scheduler writes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vfxmatte.errors import UsageError
from vfxmatte.types import Frames


@dataclass(frozen=True, kw_only=True)
class JobPath:
    """A path that may have another name on a worker.

    name: of the parameter. option: of the command line; None for the SHOT argument itself.
    """

    name: str
    option: str | None
    path: Path
    kind: Literal["FILE", "DIRECTORY"]
    flow: Literal["IN", "INOUT"]
    label: str


@dataclass(frozen=True, kw_only=True)
class FarmJob:
    """One shot to solve in chunks.

    frames: all of them. chunk_size: frames a chunk; chunk_seconds: how long a chunk shall take, for
    schedulers that fit the size to it, 0 to keep the size. options: what else `vfxmatte run` and
    `vfxmatte merge` are told, as they stand. command: how workers call vfxmatte. conda_packages,
    conda_channels: what a scheduler that makes conda environments shall install. gpus: that a
    worker must have, 0 for none; memory_gib: of main memory. reads, writes: files and folders
    that the job needs and makes, for schedulers that carry them to the workers.
    """

    name: str
    frames: Frames
    chunk_size: int
    paths: tuple[JobPath, ...]
    options: tuple[str, ...] = ()
    device: str = "auto"
    command: str = "vfxmatte"
    chunk_seconds: int = 0
    conda_packages: str = ""
    conda_channels: str = ""
    gpus: int = 1
    memory_gib: float = 16.0
    reads: tuple[Path, ...] = ()
    writes: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if self.chunk_size < 1:
            raise UsageError(f"a chunk has 1 frame or more, found {self.chunk_size}")
        if self.chunk_seconds < 0:
            raise UsageError(f"a chunk takes 0 seconds or more, found {self.chunk_seconds}")
        if self.gpus < 0 or self.memory_gib <= 0:
            raise UsageError("a worker has 0 GPUs or more, and some memory")
        for text in (self.name, self.command, self.device, *self.options):
            if "{{" in text or "\n" in text:
                raise UsageError(
                    f"{text!r} cannot stand in a job template", hint="leave out {{ and line ends"
                )

    def shot_arguments(self, written: dict[str, str]) -> list[str]:
        """SHOT and the options that hold paths, each as `written` by the parameter's name."""
        arguments: list[str] = []
        for path in self.paths:
            arguments += ([path.option] if path.option else []) + [written[path.name]]
        return [*arguments, *self.options]
