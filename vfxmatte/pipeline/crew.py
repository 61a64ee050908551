"""Several devices on one shot: one child process per device, and frames moved when one is lost.

Children write chunks (see `journal.chunks`) and report each frame's result; the parent only deals
out frames. A child that crashes, hangs or writes anything but messages is killed, and its frames go
to the others; a frame that two processes have died of fails.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import vfxmatte
from vfxmatte.common.devices import environment
from vfxmatte.common.parallel import detached, merged
from vfxmatte.errors import DeviceError, VfxmatteError
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot
from vfxmatte.types import FrameResult

_START_SECONDS = 900.0
"""A child that has not opened its engine after this time hangs."""
_SILENT_SECONDS = 300.0
"""A child that neither reports nor computes for this time hangs."""
_BUSY_SECONDS = 7200.0
"""A child that computes without any result for this time hangs."""
_TICK_SECONDS = 1.0  # how often children are checked for hanging
_PATIENCE_SECONDS = 20.0
"""Time for all children together to end when they are asked to."""
_KILLED_SECONDS = 5.0  # time for killed children to disappear
_WORKING_SHARE = 0.02  # below this share of a processor a child is not computing
_MOST_AT_ONCE_BYTES = 32768  # any pipe buffers this much without a reader
_MOST_LOSSES = 2  # a frame fails when so many processes have died of it
_LOG_CHARACTERS = 2000
_PROGRAM = """
import sys
if sys.argv[1] not in sys.path:
    sys.path.insert(0, sys.argv[1])
from vfxmatte.pipeline.worker import main
sys.exit(main())
"""  # imports the package that the parent has loaded, wherever that is


@dataclass(frozen=True)
class Job:
    """The first message to a child."""

    shot: Shot
    settings: RunSettings
    device: str
    """Its name in the child, see `environment`."""


@dataclass(frozen=True)
class Ready:
    """The child's engine is open."""

    description: dict[str, Any]
    """See `Engine.describe`."""
    device: str
    """See `Engine.device`."""


@dataclass(frozen=True)
class Solved:
    """A frame has a result."""

    result: FrameResult
    last: bool = True
    """False if more results of the frame follow, of other subjects."""


@dataclass(frozen=True)
class Done:
    """All frames that were assigned have a result."""


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


@dataclass(frozen=True)
class Tick:
    """Time has passed; sent by the parent's own clock."""


Message = Ready | Solved | Done | Failed | Alive | Ended


@dataclass(eq=False)
class _Child:
    """A child process."""

    key: str
    device: str
    process: subprocess.Popen[bytes]
    log: Path
    frames: list[int] = field(default_factory=list)
    """Assigned frames without a result, in order."""
    error: VfxmatteError | None = None
    """Why it ends."""
    crashed: bool = False
    """Whether it ended without reporting an error."""
    is_ready: bool = False
    result_at: float = field(default_factory=time.monotonic)
    alive_at: float = field(default_factory=time.monotonic)
    beat: tuple[float, float] | None = None
    """When the last `Alive` came, and its processor time."""

    def send(self, message: object) -> None:
        """Send a message without waiting for the child to read it; an ended child is ignored."""
        data = pickle.dumps(message)
        if len(data) <= _MOST_AT_ONCE_BYTES:
            self._write(data)
        else:
            detached(lambda: self._write(data))

    def _write(self, data: bytes) -> None:
        pipe = self.process.stdin
        with suppress(OSError, ValueError):
            if pipe is not None:
                pipe.write(data)
                pipe.flush()

    def assign(self, numbers: Iterable[int]) -> None:
        """Send frames to solve."""
        self.frames = list(numbers)
        self.result_at = self.alive_at = time.monotonic()
        self.send(self.frames)

    def messages(self) -> Generator[Message]:
        """Yield its messages; `Ended` comes last, also after anything that is not a message."""
        try:
            while True:
                yield _loaded(self.process.stdout)
        except (EOFError, OSError):
            pass
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            self.kill(f"its process wrote what is no message ({what[:_LOG_CHARACTERS]})")
        yield Ended(_exit_code(self.process))

    def note(self, message: Message) -> None:
        """Note that the child is alive, and whether it computes."""
        now = time.monotonic()
        if isinstance(message, Alive):
            before, self.beat = self.beat, (now, message.cpu_seconds)
            if before is None or message.cpu_seconds - before[1] >= _WORKING_SHARE * (
                now - before[0]
            ):
                self.alive_at = now
            return
        self.is_ready = self.is_ready or isinstance(message, Ready)
        self.result_at = self.alive_at = now

    def hang_reason(self) -> str | None:
        """Return why the child counts as hanging; None if it does not."""
        if self.is_ready and not self.frames:
            return None
        now = time.monotonic()
        silent, busy = now - self.alive_at, now - self.result_at
        if silent > (_SILENT_SECONDS if self.is_ready else _START_SECONDS):
            return f"its process hangs: nothing was heard of it for {silent:.0f} s"
        if busy > _BUSY_SECONDS:
            return f"its process hangs: it computes, and there is no result since {busy:.0f} s"
        return None

    def kill(self, why: str) -> None:
        """Kill the child at once, with all processes that it has started."""
        self.error, self.crashed = DeviceError(why), True
        _kill(self.process)

    def with_own_device(self, text: str) -> str:
        """Replace cuda:0, as a child names the only GPU that it sees, by the GPU's own name."""
        return text if self.device == "cpu" else text.replace("cuda:0", self.device)

    def end_text(self, code: int) -> str:
        """Return how the child ended, as a sentence."""
        if self.error is not None:
            return self.with_own_device(self.error.what)
        if code < 0:
            return f"its process was ended by {signal.Signals(-code).name}"
        lines: list[str] = []
        with suppress(OSError):
            lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        if lines:
            return f"its process ended: {lines[-1][-_LOG_CHARACTERS:]}"
        return f"its process ended with exit code {code}"


class Crew:
    """The child processes of one run; a context manager that ends them."""

    def __init__(
        self, devices: Sequence[str], shot: Shot, settings: RunSettings, *, logs: Path
    ) -> None:
        self.lost: list[str] = []
        """A sentence for each lost device."""
        self.given_up: set[int] = set()
        """Frames that processes have died of; no child has recorded them."""
        self._losses: Counter[int] = Counter()
        self._children: dict[str, _Child] = {}
        self._all: list[_Child] = []
        self._stopped = threading.Event()
        self._messages: Generator[tuple[str, Message | Tick]] = merged({})
        self._plans = (devices, shot, settings, logs)

    def __enter__(self) -> Crew:
        devices, shot, settings, logs = self._plans
        try:
            for index, device in enumerate(devices):
                name, variables = environment(device, len(devices))
                child = _start(f"{index}", device, variables, logs / f"worker{index}.log")
                self._children[child.key] = child
                self._all.append(child)
                child.send(Job(shot, settings, name))
        except BaseException:
            self._stop()
            raise
        sources: dict[str, Iterable[Message | Tick]] = {
            key: child.messages() for key, child in self._children.items()
        }
        self._messages = merged({**sources, _CLOCK: self._ticks()}, patience=_PATIENCE_SECONDS)
        return self

    def _ticks(self) -> Generator[Tick]:
        while not self._stopped.wait(_TICK_SECONDS):
            yield Tick()

    def __exit__(self, *_: object) -> None:
        self._stop()

    def ready(self) -> tuple[dict[str, Any], str]:
        """Wait for all engines; returns their common description and the devices' names.

        Raises:
            DeviceError: a device that cannot be used, or devices whose pixels would differ.
        """
        ready: dict[str, Ready] = {}
        while len(ready) < len(self._children):
            child, message = self._next()
            if isinstance(message, Ready):
                ready[child.key] = message
            elif isinstance(message, Failed):
                message.error.what = child.with_own_device(message.error.what)
                raise message.error
            elif isinstance(message, Ended):
                raise DeviceError(
                    f"{child.device} cannot be used: {child.end_text(message.exit_code)}",
                    hint="leave it out of --device",
                )
        return self._common(ready), ", ".join(
            child.with_own_device(ready[key].device) for key, child in self._children.items()
        )

    def _common(self, ready: Mapping[str, Ready]) -> dict[str, Any]:
        first, *others = (ready[key].description for key in self._children)
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
        """Deal out the pieces, yielding results as they come.

        Args:
            pieces: frame numbers.
            divide: divides the frames of a lost device into a number of pieces.

        Raises:
            DeviceError: the last device is lost.
            VfxmatteError: an error that concerns all frames.
        """
        waiting = deque(list(piece) for piece in pieces)
        idle = list(self._children.values())
        while True:
            while waiting and idle:
                idle.pop(0).assign(waiting.popleft())
            if not waiting and not any(child.frames for child in self._children.values()):
                return
            child, message = self._next()
            if isinstance(message, Solved):
                if message.result.number in child.frames:
                    if message.last:
                        child.frames.remove(message.result.number)
                    yield message.result
            elif isinstance(message, Done):
                if child.frames:
                    child.kill(f"its process left out frames, {child.frames[0]} the first")
                else:
                    idle.append(child)
            elif isinstance(message, Failed):
                child.error = message.error
            elif isinstance(message, Ended):
                idle = [one for one in idle if one is not child]
                yield from self._lose(child, message.exit_code, waiting)
                waiting.extendleft(reversed(divide(child.frames, max(1, len(idle)))))
                child.frames = []

    def _lose(self, child: _Child, code: int, waiting: deque[list[int]]) -> Generator[FrameResult]:
        """Requeue the frames of an ended child; raises if no other child can go on.

        The child may have died of the frame that it was solving: that frame waits for all others,
        and is given up when another process dies of it.
        """
        del self._children[child.key]
        if child.error is not None and not isinstance(child.error, DeviceError):
            raise child.error
        near = child.frames[0] if child.frames else None
        what = f"{child.device} was lost: {child.end_text(code)}"
        if near is not None and (child.crashed or child.error is None):
            child.frames.remove(near)
            self._losses[near] += 1
            if self._losses[near] < _MOST_LOSSES:
                waiting.append([near])
            else:
                yield self._give_up(near, what)
        if not self._children and (child.frames or waiting):
            raise DeviceError(
                what if not self.lost else f"{what}; before that, {'; '.join(self.lost)}",
                frame=near,
                hint="finished frames are kept: run again, with another --device if this one "
                "stays away, or with a smaller --set engine.max_window_px=… if memory ran out",
            )
        self.lost.append(what if near is None else f"{what}, near frame {near}")

    def _give_up(self, number: int, what: str) -> FrameResult:
        self.given_up.add(number)
        error = DeviceError(
            f"this frame has taken {_MOST_LOSSES} processes with it; the last: {what}",
            frame=number,
            hint="run it on one device, to see what it dies of",
        )
        return FrameResult(number=number, status="failed", error=error)

    def _next(self) -> tuple[_Child, Message]:
        """Wait for a child's message; a child that hangs is killed."""
        for key, message in self._messages:
            child = self._children.get(key)
            if child is not None and not isinstance(message, Tick):
                child.note(message)
                return child, message
            if isinstance(message, Tick):
                for child in self._children.values():
                    why = child.hang_reason()
                    if why is not None:
                        child.kill(why)
                        return child, Ended(-signal.SIGTERM)
        raise DeviceError("all devices were lost", hint="finished frames are kept: run again")

    def _stop(self) -> None:
        """End all children within one deadline: idle ones by a message, others by SIGTERM, and by
        SIGKILL after it."""
        for child in self._all:
            if child.frames or not child.is_ready:
                child.process.terminate()
            else:
                child.send(None)
        processes = [child.process for child in self._all]
        _wait_for(processes, _PATIENCE_SECONDS)
        for process in processes:
            _kill(process)
        _wait_for(processes, _KILLED_SECONDS)
        self._stopped.set()
        self._messages.close()
        for process in processes:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None and process.poll() is not None:
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


_CLOCK = "clock"


def _wait_for(processes: Iterable[subprocess.Popen[bytes]], seconds: float) -> None:
    """Wait for all processes, `seconds` in total."""
    until = time.monotonic() + seconds
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, until - time.monotonic()))


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a child and the processes that it has started."""
    if process.poll() is not None:
        return
    if sys.platform == "win32":
        process.kill()
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # it leads a session of its own


def _exit_code(process: subprocess.Popen[bytes]) -> int:
    """Return the exit code of a process that has closed its pipe; kills it if it does not end."""
    _wait_for([process], _KILLED_SECONDS)
    _kill(process)
    _wait_for([process], _KILLED_SECONDS)
    code = process.poll()
    return -signal.SIGTERM if code is None else code


def _loaded(stream: IO[bytes] | None) -> Message:
    """Read the next message; raises EOFError at the end, ValueError for anything else."""
    if stream is None:
        raise EOFError
    message = pickle.load(stream)
    if not isinstance(message, Message):
        raise ValueError(f"a {type(message).__name__}")
    return message
