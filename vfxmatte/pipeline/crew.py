"""Several devices on one shot: one child process per device, and frames moved when one is lost.

Children write chunks (see `journal.chunks`) and report each frame's result; the parent only deals
out frames. A child that crashes, hangs or writes anything but messages is killed, and its frames go
to the others; a frame that two processes have died of fails.
"""

from __future__ import annotations

import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vfxmatte.common.devices import environment
from vfxmatte.common.parallel import merged
from vfxmatte.errors import DeviceError
from vfxmatte.pipeline.child import KILLED_SECONDS, Child, kill, start_child, wait_for
from vfxmatte.pipeline.crew_messages import Done, Ended, Failed, Job, Message, Ready, Solved
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot
from vfxmatte.types import FrameResult

_TICK_SECONDS = 1.0  # how often children are checked for hanging
_PATIENCE_SECONDS = 20.0
"""Time for all children together to end when they are asked to."""
_MOST_LOSSES = 2  # a frame fails when so many processes have died of it


@dataclass(frozen=True)
class Tick:
    """Time has passed; sent by the parent's own clock."""


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
        self._children: dict[str, Child] = {}
        self._all: list[Child] = []
        self._stopped = threading.Event()
        self._messages: Generator[tuple[str, Message | Tick]] = merged({})
        self._plans = (devices, shot, settings, logs)

    def __enter__(self) -> Crew:
        devices, shot, settings, logs = self._plans
        try:
            for index, device in enumerate(devices):
                name, variables = environment(device, len(devices))
                child = start_child(f"{index}", device, variables, logs / f"worker{index}.log")
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

    def _lose(self, child: Child, code: int, waiting: deque[list[int]]) -> Generator[FrameResult]:
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

    def _next(self) -> tuple[Child, Message]:
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
        wait_for(processes, _PATIENCE_SECONDS)
        for process in processes:
            kill(process)
        wait_for(processes, KILLED_SECONDS)
        self._stopped.set()
        self._messages.close()
        for process in processes:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None and process.poll() is not None:
                    with suppress(OSError):
                        pipe.close()


_CLOCK = "clock"
