"""A child process of a crew: started, fed with frames, watched and killed."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import vfxmatte
from vfxmatte.common.parallel import detached
from vfxmatte.errors import DeviceError, VfxmatteError
from vfxmatte.pipeline.crew_messages import Alive, Ended, Message, Ready

_START_SECONDS = 900.0
"""A child that has not opened its engine after this time hangs."""
_SILENT_SECONDS = 300.0
"""A child that neither reports nor computes for this time hangs."""
_BUSY_SECONDS = 7200.0
"""A child that computes without any result for this time hangs."""
KILLED_SECONDS = 5.0  # time for killed children to disappear
_WORKING_SHARE = 0.02  # below this share of a processor a child is not computing
_MOST_AT_ONCE_BYTES = 32768  # any pipe buffers this much without a reader
_LOG_CHARACTERS = 2000
_PROGRAM = """
import sys
if sys.argv[1] not in sys.path:
    sys.path.insert(0, sys.argv[1])
from vfxmatte.pipeline.worker import main
sys.exit(main())
"""  # imports the package that the parent has loaded, wherever that is


@dataclass(eq=False)
class Child:
    """A child process."""

    key: str
    device: str
    process: subprocess.Popen[bytes]
    log: Path
    frames: list[int] = field(default_factory=list)
    """Assigned frames without a result, in order."""
    error: VfxmatteError | None = None
    """The reason for its end."""
    crashed: bool = False
    """True if it ended without reporting an error."""
    is_ready: bool = False
    result_at: float = field(default_factory=time.monotonic)
    alive_at: float = field(default_factory=time.monotonic)
    beat: tuple[float, float] | None = None
    """The time of the last `Alive`, and the processor time in it."""

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
        kill(self.process)

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


def start_child(key: str, device: str, variables: Mapping[str, str], log: Path) -> Child:
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM, str(Path(vfxmatte.__file__).parents[1])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stream,
            env=variables,
            start_new_session=True,  # a terminal's Ctrl-C reaches the parent alone
        )
    return Child(key, device, process, log)


def wait_for(processes: Iterable[subprocess.Popen[bytes]], seconds: float) -> None:
    """Wait for all processes, `seconds` in total."""
    until = time.monotonic() + seconds
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, until - time.monotonic()))


def kill(process: subprocess.Popen[bytes]) -> None:
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
    wait_for([process], KILLED_SECONDS)
    kill(process)
    wait_for([process], KILLED_SECONDS)
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
