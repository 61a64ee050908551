"""Several devices at one shot: a child process for each, and frames moved when one is lost.

Children write chunks (see `chunks`) and report what became of each frame; the parent only deals
out frames and listens. A child that crashes, hangs or writes anything but messages is ended, and
its frames go to the others; a frame that has taken two processes with it fails.
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
"""Within so long a child has opened its engine."""
_SILENT_SECONDS = 300.0
"""A child that reports nothing and does not compute for so long hangs."""
_BUSY_SECONDS = 7200.0
"""And so does one that computes all the time, and has no result for so long."""
_TICK_SECONDS = 1.0
_PATIENCE_SECONDS = 20.0
"""For all children together to end when they are asked to."""
_KILLED_SECONDS = 5.0
_WORKING_SHARE = 0.02  # of a processor: less is not computing
_MOST_AT_ONCE_BYTES = 32768  # what any pipe takes without anybody reading
_MOST_LOSSES = 2  # processes that one frame may take with it
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
class Alive:
    """Sent every few seconds. cpu_seconds: what the child has computed so far."""

    cpu_seconds: float


@dataclass(frozen=True)
class Gone:
    """The child has ended."""

    exit_code: int


@dataclass(frozen=True)
class Tick:
    """Not of a child: time has passed."""


Message = Ready | Solved | Done | Failed | Alive | Gone


@dataclass(eq=False)
class _Child:
    """A child process.

    frames: what it has been given and has not reported yet, in order. error: why it ends.
    crashed: whether it ended without saying why.
    """

    key: str
    device: str
    process: subprocess.Popen[bytes]
    log: Path
    frames: list[int] = field(default_factory=list)
    error: VfxmatteError | None = None
    crashed: bool = False
    is_ready: bool = False
    result_at: float = field(default_factory=time.monotonic)
    alive_at: float = field(default_factory=time.monotonic)
    beat: tuple[float, float] | None = None
    """The last `Alive`: when it came, and the child's computing time then."""

    def tell(self, message: object) -> None:
        """Send, without waiting for the child to read; one that has gone reports nothing."""
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

    def give(self, numbers: Iterable[int]) -> None:
        self.frames = list(numbers)
        self.result_at = self.alive_at = time.monotonic()
        self.tell(self.frames)

    def messages(self) -> Generator[Message]:
        """What it reports; `Gone` comes last, also where it writes anything but messages."""
        try:
            while True:
                yield _loaded(self.process.stdout)
        except (EOFError, OSError):
            pass
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            self.lose(f"its process wrote what is no message ({said[:_LOG_CHARACTERS]})")
        yield Gone(_exit_code(self.process))

    def heard(self, message: Message) -> None:
        """Take note that it lives, and of what it does."""
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

    def hangs(self) -> str | None:
        """Why it is taken to hang, in words; None where it is not."""
        if self.is_ready and not self.frames:
            return None
        now = time.monotonic()
        silent, busy = now - self.alive_at, now - self.result_at
        if silent > (_SILENT_SECONDS if self.is_ready else _START_SECONDS):
            return f"its process hangs: nothing was heard of it for {silent:.0f} s"
        if busy > _BUSY_SECONDS:
            return f"its process hangs: it computes, and there is no result since {busy:.0f} s"
        return None

    def lose(self, why: str) -> None:
        """End it at once, with all processes that it has started."""
        self.error, self.crashed = DeviceError(why), True
        _kill(self.process)

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

    lost: a sentence for each device that was lost on the way. given_up: frames that have failed
    since the processes that were at them have ended; no child has recorded them.
    """

    def __init__(
        self, devices: Sequence[str], shot: Shot, settings: RunSettings, *, logs: Path
    ) -> None:
        self.lost: list[str] = []
        self.given_up: set[int] = set()
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
                child.tell(Job(shot, settings, name))
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
                if child.frames:
                    child.lose(f"its process left out frames, {child.frames[0]} the first")
                else:
                    idle.append(child)
            elif isinstance(message, Failed):
                child.error = message.error
            elif isinstance(message, Gone):
                idle = [one for one in idle if one is not child]
                yield from self._lose(child, message.exit_code, waiting)
                waiting.extendleft(reversed(divide(child.frames, max(1, len(idle)))))
                child.frames = []

    def _lose(self, child: _Child, code: int, waiting: deque[list[int]]) -> Generator[FrameResult]:
        """A child has gone; raises where no other can go on.

        The frame that it was at may be what it died of: it waits for all others, and is given up
        when it has taken another process with it.
        """
        del self._children[child.key]
        if child.error is not None and not isinstance(child.error, DeviceError):
            raise child.error
        near = child.frames[0] if child.frames else None
        what = f"{child.device} was lost: {child.end(code)}"
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
        """The next message of a child that counts; one that hangs has gone."""
        for key, message in self._messages:
            child = self._children.get(key)
            if child is not None and not isinstance(message, Tick):
                child.heard(message)
                return child, message
            if isinstance(message, Tick):
                for child in self._children.values():
                    why = child.hangs()
                    if why is not None:
                        child.lose(why)
                        return child, Gone(-signal.SIGTERM)
        raise DeviceError("all devices were lost", hint="finished frames are kept: run again")

    def _stop(self) -> None:
        """End all children within one deadline: those at rest by telling them, the others by a
        signal, and by one that cannot be refused when it is over."""
        for child in self._all:
            if child.frames or not child.is_ready:
                child.process.terminate()
            else:
                child.tell(None)
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
    """Wait for all of them, so long in all."""
    until = time.monotonic() + seconds
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, until - time.monotonic()))


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a child and what it has started, at once."""
    if process.poll() is not None:
        return
    if sys.platform == "win32":
        process.kill()
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # it leads a session of its own


def _exit_code(process: subprocess.Popen[bytes]) -> int:
    """That of a process that has closed its pipe; one that does not end then is ended."""
    _wait_for([process], _KILLED_SECONDS)
    _kill(process)
    _wait_for([process], _KILLED_SECONDS)
    code = process.poll()
    return -signal.SIGTERM if code is None else code


def _loaded(stream: IO[bytes] | None) -> Message:
    """The next message; raises EOFError at the end, and ValueError for anything else."""
    if stream is None:
        raise EOFError
    message = pickle.load(stream)
    if not isinstance(message, Message):
        raise ValueError(f"a {type(message).__name__}")
    return message
