"""Run the readers over any folder of pictures and movies: what is right, refused, or goes wrong.

    python tests/conformance/run_over.py FOLDER…
    python tests/conformance/run_over.py --make FOLDER

Every file is opened as a plate in a child process with a limit of time and memory; its first frame
is read, compared with what OpenEXR, Pillow or OpenImageIO read, and a matte with its attributes is
written and read back. Prints a table by format. Exit status 1 where anything is wrong, ends in a
traceback, hangs or takes too much memory. `--make` fills a folder with odd files to begin with.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
import reference

from vfxmatte.colour import ColourConfig
from vfxmatte.errors import VfxmatteError
from vfxmatte.io.mattes import read_matte
from vfxmatte.io.plate import Plate
from vfxmatte.io.plates import open_plate
from vfxmatte.io.sequence import IMAGE_SUFFIXES, MOVIE_SUFFIXES, FrameSequence
from vfxmatte.io.sequence_plate import SequencePlate
from vfxmatte.io.stills.image import Image
from vfxmatte.io.stills.reading import read_image
from vfxmatte.io.writers import OutputSettings, write_matte
from vfxmatte.types import Frame, Matte

_PATIENCE = 20  # seconds of the clock for one of computing: others may use the machine
OUTCOMES = (
    "right", "read, nothing to compare with", "refused", "wrong", "traceback", "hang",
    "too much memory",
)  # fmt: skip
BAD = OUTCOMES[3:]
_TIME_IS_UP = getattr(signal, "SIGXCPU", 0)
# Kinds that are no plates, and must be refused as such.
_OTHER_PICTURES = frozenset({
    ".dds", ".fits", ".gif", ".hdr", ".ico", ".iff", ".j2k", ".jp2", ".jxl", ".pbm", ".pfm", ".pgm",
    ".pic", ".pnm", ".psd", ".rgb", ".sgi",
})  # fmt: skip
_NAMES = {"jpeg": "jpg", "tiff": "tif"}


@dataclass(frozen=True)
class Outcome:
    """What became of one file."""

    path: str
    outcome: str
    detail: str = ""
    seconds: float = 0.0
    peak_mib: float = 0.0

    @property
    def format(self) -> str:
        suffix = Path(self.path).suffix.lower().removeprefix(".")
        return _NAMES.get(suffix, suffix)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    parser.add_argument("--make", type=Path, metavar="FOLDER", help="fill it with odd files first")
    parser.add_argument("--seconds", type=float, default=30.0, help="for one file (30)")
    parser.add_argument("--memory", type=float, default=2048.0, help="MiB for one file (2048)")
    parser.add_argument("--json", type=Path, help="write every file's outcome here")
    parser.add_argument("--all", action="store_true", help="list the refused ones too")
    options = parser.parse_args(arguments)
    if options.make:
        from odd_files import make

        make(options.make)
        options.folders.append(options.make)
    if not options.folders:
        parser.error("give a folder, or --make")
    outcomes = []
    for path in files_in(options.folders):
        outcomes.append(watched(path, seconds=options.seconds, memory_mib=options.memory))
        if outcomes[-1].outcome in BAD or (options.all and outcomes[-1].outcome == "refused"):
            print(f"{outcomes[-1].outcome}: {path}\n    {outcomes[-1].detail}", flush=True)
    print(table(outcomes))
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in outcomes], indent=1))
    return int(any(one.outcome in BAD for one in outcomes))


def files_in(folders: Sequence[Path]) -> Iterator[Path]:
    """Pictures and movies by their names, also in folders below."""
    known = IMAGE_SUFFIXES | MOVIE_SUFFIXES | _OTHER_PICTURES
    for folder in folders:
        if not folder.exists():
            raise SystemExit(f"there is no such folder: {folder}")
        found = [folder] if folder.is_file() else sorted(folder.rglob("*"))
        yield from (path for path in found if path.is_file() and path.suffix.lower() in known)


def watched(path: Path, *, seconds: float, memory_mib: float) -> Outcome:
    """The outcome of one file, from a child process that is ended when its time is up."""
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(path, seconds, memory_mib, sender))
    started = time.monotonic()
    child.start()
    sender.close()
    answer: Outcome | None = None
    try:
        if receiver.poll(_PATIENCE * seconds):
            answer = receiver.recv()
    except EOFError:
        pass
    spent = time.monotonic() - started
    child.join(1.0)
    if child.is_alive():
        child.kill()
        child.join()
        if answer is None:
            return Outcome(str(path), "hang", f"not done after {spent:.0f} s", spent)
    if answer is None and child.exitcode == -_TIME_IS_UP:
        return Outcome(str(path), "hang", f"not done after {seconds:.0f} s of computing", spent)
    if answer is None:
        return Outcome(str(path), "traceback", f"it crashed: exit code {child.exitcode}", spent)
    if answer.peak_mib > memory_mib:
        return Outcome(str(path), "too much memory", f"{answer.peak_mib:.0f} MiB", spent)
    return answer


def _child(path: Path, seconds: float, memory_mib: float, sender: Any) -> None:
    started = time.monotonic()
    _limit(seconds, memory_mib)
    try:
        outcome, detail = judge(path)
    except MemoryError:
        outcome, detail = "too much memory", f"more than {memory_mib:.0f} MiB"
    except BaseException:
        outcome, detail = "traceback", traceback.format_exc()
    sender.send(Outcome(str(path), outcome, detail, time.monotonic() - started, _peak_mib()))


def _limit(seconds: float, mib: float) -> None:
    """Beyond the time, and twice the memory, the operating system says no; memory of less than
    that is judged afterwards."""
    if sys.platform == "linux":
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + (int(2 * mib) << 20)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(seconds), math.ceil(seconds) + 5))


def _peak_mib() -> float:
    if sys.platform == "win32":
        return 0.0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if sys.platform == "darwin" else peak / 1024


def judge(path: Path) -> tuple[str, str]:
    """(outcome, detail): open, read, compare, write."""
    try:
        with _plate(path) as plate:
            numbers = plate.info.numbers
            frame = plate.read(numbers[0])
            if len(numbers) > 1:
                plate.read(numbers[-1])
            with tempfile.TemporaryDirectory() as folder:
                _write(frame, Path(folder) / "matte.0001.exr")
        if plate.info.kind == "movie":
            return "read, nothing to compare with", plate.info.description
        return _compared(path, read_image(path))
    except VfxmatteError as error:
        unforeseen = error.__cause__ is not None and "Error: " in error.what
        return "traceback" if unforeseen else "refused", str(error)


def _plate(path: Path) -> Plate:
    """One file as a plate, whatever lies beside it."""
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        return open_plate(path)
    alone = FrameSequence(
        folder=path.parent, head=path.stem, tail=path.suffix, padding=0, numbers=(1,),
        names={1: path.name},
    )  # fmt: skip
    return SequencePlate(str(path), alone, None, None, None, ColourConfig.load())


def _write(frame: Frame, path: Path) -> None:
    """A matte with the frame's attributes; raises what a run would."""
    alpha = np.zeros(frame.canvas.shape, np.float32)
    write_matte(Matte(number=frame.number, alpha=alpha), frame, OutputSettings(), path)
    read_matte(path, frame.canvas)


def _compared(path: Path, image: Image) -> tuple[str, str]:
    expected = reference.colour(path, image.header)
    if expected is None:
        return "read, nothing to compare with", image.header.description
    name, pixels, tolerance = expected
    if pixels.shape != image.colour.shape:
        return "wrong", f"{image.colour.shape}, {name} reads {pixels.shape}"
    same = np.isclose(image.colour, pixels, rtol=1e-6, atol=tolerance, equal_nan=True)
    if same.all():
        return "right", f"as {name} reads it"
    most = float(np.nanmax(np.abs(image.colour - pixels)))
    return "wrong", f"{1 - same.mean():.1%} of the values differ from {name}, by up to {most:.4f}"


def table(outcomes: Sequence[Outcome]) -> str:
    """Formats by number of files, as Markdown."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for one in outcomes:
        counts[one.format][one.outcome] += 1
        counts["**all**"][one.outcome] += 1
    rule = "|---|" + "---:|" * (len(OUTCOMES) + 1)
    lines = [f"| format | tried | {' | '.join(OUTCOMES)} |", rule]
    for name, found in sorted(counts.items(), key=lambda item: item[1].total()):
        cells = " | ".join(str(found[outcome]) for outcome in OUTCOMES)
        lines.append(f"| {name} | {found.total()} | {cells} |")
    return "\n".join([*lines[:2], *reversed(lines[2:])])


if __name__ == "__main__":
    sys.exit(main())
