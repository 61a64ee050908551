"""A shot as a farm job, independent of the scheduler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vfxmatte.errors import UsageError
from vfxmatte.types import Frames

OUTPUT_OPTION = "--output"


@dataclass(frozen=True, kw_only=True)
class JobPath:
    """A path that a scheduler may map to another one on a worker."""

    name: str
    """Name of the job's parameter."""
    option: str | None
    """Option of the command line; None for the SHOT argument."""
    path: Path
    """Absolute path on this machine."""
    label: str
    """Description for a submitter's window."""

    @property
    def is_output(self) -> bool:
        """Return True for the path that the job writes to; it reads the others."""
        return self.option == OUTPUT_OPTION

    @property
    def is_folder(self) -> bool:
        """True for a folder, and for the output, which may not exist yet."""
        return self.is_output or self.path.is_dir()


@dataclass(frozen=True, kw_only=True)
class FarmJob:
    """One shot to solve in chunks."""

    name: str
    """Name of the shot."""
    frames: Frames
    """All frames of the job."""
    chunk_size: int
    """Number of frames in a chunk."""
    paths: tuple[JobPath, ...]
    """Paths in the commands of workers."""
    options: tuple[str, ...] = ()
    """Further options of `vfxmatte run` and `vfxmatte merge`."""
    device: str = "auto"
    """Device of the workers."""
    command: str = "vfxmatte"
    """The command with which workers call vfxmatte."""
    chunk_seconds: int = 0
    """Target duration of a chunk, for schedulers that adapt its size; 0 keeps the size."""
    conda_packages: str = ""
    """Packages for schedulers that create conda environments."""
    conda_channels: str = ""
    """Channels of these packages."""
    fit: bool = False
    """Whether a task makes the fit to the shot before the chunks."""
    gpus: int = 1
    """Number of GPUs that a worker needs."""
    memory_gib: float = 16.0
    """Main memory that a worker needs."""
    reads: tuple[Path, ...] = ()
    """Files and folders to carry to the workers."""
    writes: tuple[Path, ...] = ()
    """Folders to carry back."""

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

    def shot_arguments(self, paths: Mapping[str, str]) -> list[str]:
        """Return SHOT and the shot's options, with the text of each path by its parameter name."""
        arguments: list[str] = []
        for path in self.paths:
            arguments += [*([path.option] if path.option else []), paths[path.name]]
        return [*arguments, *self.options]


@dataclass(frozen=True, kw_only=True)
class FarmBatch:
    """Several shots as one job."""

    name: str
    jobs: tuple[FarmJob, ...]
    """One for each shot; their names are unique."""
