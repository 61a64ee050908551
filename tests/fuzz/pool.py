"""Child processes that read broken input, with limits of time and memory; what they end in."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from tests.fuzz.mutation import mutated
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import run

SECONDS = 30.0
_MEGABYTES = {"image": 3072}
"""Memory that a tiny input may take beside what the process has when it begins: a picture may
announce 2 GiB, see `io.limits`."""
_OTHER_MEGABYTES = 512


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What went wrong, and the input that did it."""

    target: str
    data: bytes
    text: str

    @property
    def key(self) -> str:
        """The same for the same mistake: the exception and where it was raised."""
        lines = [line.strip() for line in self.text.strip().splitlines()]
        places = [line for line in lines if line.startswith("File") and "vfxmatte/" in line]
        return f"{self.target.partition(':')[0]} {lines[-1][:60]} {places[-1:]}"


class Child:
    """One process, which is started again when it dies, hangs or has grown."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._start()

    def _start(self) -> None:
        self._wire, theirs = self._context.Pipe()
        self._folder = tempfile.mkdtemp(prefix="vfxmatte-fuzz-")
        self._process = self._context.Process(
            target=_work, args=(theirs, self._folder), daemon=True
        )
        self._process.start()
        theirs.close()

    def text_of(self, target: str, data: bytes) -> str:
        """What reading ended in: "" where all was well."""
        try:
            self._wire.send((target, data))
            if not self._wire.poll(SECONDS + (60 if self.is_new else 0)):
                return self._again(f"a hang: more than {SECONDS:g} s")
            text, is_large = self._wire.recv()
        except (EOFError, OSError):
            self._process.join(5)
            return self._again(f"the process died: exit code {self._process.exitcode}")
        self.is_new = False
        if is_large:
            self._again("")
        return str(text)

    is_new = True

    def _again(self, text: str) -> str:
        self.close()
        self.is_new = True
        self._start()
        return text

    def close(self) -> None:
        self._process.kill()
        self._process.join()
        self._wire.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _work(wire: Connection, folder: str) -> None:
    """The child: reads one input after another until the other end has gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["VFXMATTE_HOME"] = folder
    os.environ.pop("OCIO", None)
    nothing = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):  # libraries complain there, thousands of times
        os.dup2(nothing, descriptor)
    case = Path(folder) / "case"
    usual: dict[str, int] = {}
    with contextlib.suppress(EOFError, OSError):
        while True:
            target, data = wire.recv()
            kind = target.partition(":")[0]
            if kind not in usual:  # libraries are loaded by something harmless
                _read(target, seeds(target)[0], case)
                usual[kind] = 0
                _limit_memory()
            _begin_peak()
            before = _peak_megabytes()
            text = _read(target, data, case)
            grown = _peak_megabytes() - before
            if grown > _MEGABYTES.get(kind, _OTHER_MEGABYTES):
                text = text or f"too much memory: {grown} MB"
            wire.send((text, grown > _OTHER_MEGABYTES // 2))


def _read(target: str, data: bytes, case: Path) -> str:
    shutil.rmtree(case, ignore_errors=True)
    case.mkdir()
    try:
        run(target, data, case)
    except BaseException:
        return traceback.format_exc()
    return ""


def _limit_memory() -> None:
    """As a last resort: the machine is others' too."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        size = pages * os.sysconf("SC_PAGE_SIZE") + (6 << 30)
        resource.setrlimit(resource.RLIMIT_AS, (size, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _begin_peak() -> None:
    """Forget the highest memory so far; a new process has even that of the one that started it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_megabytes() -> int:
    """Highest memory since `_begin_peak`; 0 where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(one.split()[1]) >> 10 for one in lines if one.startswith("VmHWM")), 0)


def hunt(
    targets: Sequence[str], *, seconds: float, seed: int, counts: dict[str, int]
) -> Iterator[Finding]:
    """Findings of so many seconds; counts: how many inputs each target has read."""
    rng = random.Random(seed)
    until = time.monotonic() + seconds
    with contextlib.closing(Child()) as child:
        while time.monotonic() < until:
            target = rng.choice(targets)
            data = _input(target, rng)
            counts[target] = counts.get(target, 0) + 1
            text = child.text_of(target, data)
            if text:
                yield Finding(target=target, data=data, text=text)


def _input(target: str, rng: random.Random) -> bytes:
    known = seeds(target)
    data = rng.choice(known)
    for _ in range(rng.choice((1, 1, 1, 2))):
        data = mutated(data, rng.choice(known), rng)
    return data
