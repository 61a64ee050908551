"""Several devices at one shot: a child process for each, and frames moved when one is lost.

Children write chunks (see `chunks`) and tell what became of each frame; the parent only deals out
frames and listens. Knows nothing of pixels.
"""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import vfxmatte
from vfxmatte.common.devices import environment
from vfxmatte.common.parallel import merged
from vfxmatte.errors import DeviceError, VfxmatteError
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot
from vfxmatte.types import FrameResult

_PATIENCE_SECONDS = 20.0
_LOG_CHARACTERS = 2000
_PROGRAM = """
import sys
if sys.argv[1] not in sys.path:
    sys.path.insert(0, sys.argv[1])
from vfxmatte.pipeline.worker import main
sys.exit(main())
"""  # the very package that the parent has loaded, wherever that is


@dataclass(frozen=True)
class Job:
    """What a child is told first. device: what the child calls it."""

    shot: Shot
    settings: RunSettings
    device: str


@dataclass(frozen=True)
class Ready:
    """The child's engine is open; see `Engine.describe` and `Engine.device`."""

    description: dict[str, Any]
    device: str


@dataclass(frozen=True)
class Solved:
    result: FrameResult


@dataclass(frozen=True)
class Done:
    """All frames that were asked for have a result."""


@dataclass(frozen=True)
class Failed:
    """What concerns all frames of the child has gone wrong; it ends."""

    error: VfxmatteError


@dataclass(frozen=True)
class Gone:
    """The child has ended."""

    exit_code: int


Message = Ready | Solved | Done | Failed | Gone


@dataclass(eq=False)
class _Child:
    """A child process. frames: what it has been given and has not told of yet, in order."""

    key: str
    device: str
    process: subprocess.Popen[bytes]
    log: Path
    frames: list[int] = field(default_factory=list)
    error: VfxmatteError | None = None

    def tell(self, message: object) -> None:
        """Send; a child that has gone is noticed by what it says last."""
        assert self.process.stdin is not None
        with suppress(OSError):
            pickle.dump(message, self.process.stdin)
            self.process.stdin.flush()

    def give(self, numbers: Iterable[int]) -> None:
        self.frames = list(numbers)
        self.tell(self.frames)

    def messages(self) -> Generator[Message]:
        assert self.process.stdout is not None
        with suppress(EOFError, OSError, pickle.UnpicklingError):
            while True:
                yield _loaded(self.process.stdout)
        yield Gone(self.process.wait())

    def in_our_words(self, text: str) -> str:
        """A child sees its own GPU alone, and calls it cuda:0."""
        return text if self.device == "cpu" else text.replace("cuda:0", self.device)

    def end(self, code: int) -> str:
        """How it ended, for a person."""
        if self.error is not None:
            return self.in_our_words(self.error.what)
        if code < 0:
            return f"its process was ended by {signal.Signals(-code).name}"
        lines: list[str] = []
        with suppress(OSError):
            lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        if lines:
            return f"its process ended: {lines[-1][-_LOG_CHARACTERS:]}"
        return f"its process ended with exit code {code}"


class Crew:
    """The children of one run, a context manager; leaving it ends them all.

    lost: a sentence for each device that was lost on the way.
    """

    def __init__(
        self, devices: Sequence[str], shot: Shot, settings: RunSettings, *, logs: Path
    ) -> None:
        self.lost: list[str] = []
        self._children: dict[str, _Child] = {}
        self._messages: Generator[tuple[str, Message]] | None = None
        self._plans = (devices, shot, settings, logs)

    def __enter__(self) -> Crew:
        devices, shot, settings, logs = self._plans
        try:
            for index, device in enumerate(devices):
                name, variables = environment(device, len(devices))
                child = _start(f"{index}", device, variables, logs / f"worker{index}.log")
                self._children[child.key] = child
                child.tell(Job(shot, settings, name))
        except BaseException:
            self._stop()
            raise
        sources = {key: child.messages() for key, child in self._children.items()}
        self._messages = merged(sources)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def ready(self) -> tuple[dict[str, Any], str]:
        """Wait for every engine; returns their common description and the devices' names.

        A device that cannot be used is an error here, where nothing has been done yet.

        Raises:
            DeviceError: a device that is not there, or devices whose pixels would differ.
        """
        told: dict[str, Ready] = {}
        while len(told) < len(self._children):
            child, message = self._next()
            if isinstance(message, Ready):
                told[child.key] = message
            elif isinstance(message, Failed):
                message.error.what = child.in_our_words(message.error.what)
                raise message.error
            elif isinstance(message, Gone):
                raise DeviceError(
                    f"{child.device} cannot be used: {child.end(message.exit_code)}",
                    hint="leave it out of --device",
                )
        return self._common(told), ", ".join(
            child.in_our_words(told[key].device) for key, child in self._children.items()
        )

    def _common(self, told: Mapping[str, Ready]) -> dict[str, Any]:
        first, *others = (told[key].description for key in self._children)
        for child, other in zip(list(self._children.values())[1:], others, strict=True):
            different = [k for k in first.keys() | other.keys() if first.get(k) != other.get(k)]
            if different:
                name = sorted(different)[0]
                raise DeviceError(
                    f"the devices would give different pixels: {name} is {first.get(name)} on "
                    f"{next(iter(self._children.values())).device}, {other.get(name)} on "
                    f"{child.device}",
                    hint="give --precision" if name == "precision" else "use devices of one kind",
                )
        return first

    def solve(
        self,
        pieces: Sequence[Sequence[int]],
        divide: Callable[[Sequence[int], int], list[list[int]]],
    ) -> Generator[FrameResult]:
        """Deal out the pieces; yields results as they come.

        divide: cuts the frames of a lost device into so many pieces.

        Raises:
            DeviceError: the last device is lost. VfxmatteError: what concerns all frames.
        """
        waiting = deque(list(piece) for piece in pieces)
        idle = list(self._children.values())
        while True:
            while waiting and idle:
                idle.pop(0).give(waiting.popleft())
            if not waiting and not any(child.frames for child in self._children.values()):
                return
            child, message = self._next()
            if isinstance(message, Solved):
                if message.result.number in child.frames:
                    child.frames.remove(message.result.number)
                    yield message.result
            elif isinstance(message, Done):
                assert not child.frames
                idle.append(child)
            elif isinstance(message, Failed):
                child.error = message.error
            elif isinstance(message, Gone):
                self._lose(child, message.exit_code, waiting)
                idle = [one for one in idle if one is not child]
                waiting.extend(divide(child.frames, max(1, len(idle))))
                child.frames = []

    def _lose(self, child: _Child, code: int, waiting: Iterable[Sequence[int]]) -> None:
        """A child has gone; raises where nobody can go on."""
        del self._children[child.key]
        if child.error is not None and not isinstance(child.error, DeviceError):
            raise child.error
        near = child.frames[0] if child.frames else None
        what = f"{child.device} was lost: {child.end(code)}"
        if not self._children and (child.frames or any(waiting)):
            raise DeviceError(
                what if not self.lost else f"{what}; before that, {'; '.join(self.lost)}",
                frame=near,
                hint="finished frames are kept: run again, with another --device if this one "
                "stays away, or with a smaller --set engine.max_window_px=… if memory ran out",
            )
        self.lost.append(what if near is None else f"{what}, near frame {near}")

    def _next(self) -> tuple[_Child, Message]:
        assert self._messages is not None
        while True:
            key, message = next(self._messages)
            if key in self._children:
                return self._children[key], message

    def _stop(self) -> None:
        """End all children: those at rest by telling them, the others by a signal."""
        children = list(self._children.values())
        for child in children:
            if child.frames or self._messages is None:
                child.process.terminate()
            else:
                child.tell(None)
        for child in children:
            _wait(child.process)
        if self._messages is not None:
            self._messages.close()
        for child in children:
            for pipe in (child.process.stdin, child.process.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()


def _start(key: str, device: str, variables: Mapping[str, str], log: Path) -> _Child:
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM, str(Path(vfxmatte.__file__).parents[1])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stream,
            env=variables,
            start_new_session=True,  # a terminal's Ctrl-C reaches the parent alone
        )
    return _Child(key, device, process, log)


def _wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _loaded(stream: IO[bytes]) -> Message:
    message: Message = pickle.load(stream)
    return message
