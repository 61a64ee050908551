"""Benchmarks: what a run costs on this machine, measured on shots made up for the purpose.

Each run is a process of its own, so that nothing of one run is counted in another. Results go to
docs/measurements.md with the machine and the commit; nothing here is ever a timed test.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from vfxmatte.errors import UsageError, VfxmatteError
from vfxmatte.io.exr import write_exr
from vfxmatte.io.writers import write_labels
from vfxmatte.trimaps import from_matte
from vfxmatte.types import FloatImage, Trimap, Window

WANTED_RATIO = 1.05
"""A long shot's peak memory may be so many times that of a short one."""

_MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class MovingShot:
    """A made-up shot: a soft, textured disc that crosses a textured ground, scene-linear.

    keyframes: frame numbers of its trimaps; none: the first and the last frame.
    """

    frames: int
    width: int = 480
    height: int = 270
    first: int = 1001
    keyframes: tuple[int, ...] = ()

    @property
    def numbers(self) -> range:
        return range(self.first, self.first + self.frames)

    def alpha(self, number: int) -> FloatImage:
        """(H, W) float32, exact coverage."""
        way = (number - self.first) / max(1, self.frames - 1)
        rows, columns = np.mgrid[0 : self.height, 0 : self.width].astype(np.float32)
        centre = self.width * (0.3 + 0.4 * way), self.height * 0.5
        distance = np.hypot(columns - centre[0], rows - centre[1])
        soft = max(2.0, self.height / 24)
        return np.asarray(np.clip((self.height * 0.3 - distance) / soft, 0, 1), np.float32)

    def pixels(self, number: int) -> FloatImage:
        """(H, W, 3) float32 scene-linear; the disc carries its texture along."""
        ground, disc = _texture(1, self.height, self.width), _texture(2, self.height, self.width)
        way = (number - self.first) / max(1, self.frames - 1)
        moved = np.roll(disc, round(self.width * 0.4 * way), axis=1) * (3.0, 1.2, 0.3)
        alpha = self.alpha(number)[:, :, None]
        mixed = alpha * moved + (1 - alpha) * ground * (0.1, 0.3, 0.6)
        return np.asarray(mixed, np.float32)

    def write(self, folder: Path) -> Path:
        """plate/ as half-float EXR, and trimaps/; returns the folder."""
        window = Window.of_size(self.width, self.height)
        for number in self.numbers:
            pixels = self.pixels(number).astype(np.float16)
            planes = {name: pixels[:, :, i] for i, name in enumerate("RGB")}
            path = folder / "plate" / f"plate.{number:04d}.exr"
            path.parent.mkdir(parents=True, exist_ok=True)
            attributes = {"framesPerSecond": Fraction(24)}
            write_exr(
                path, planes, data_window=window, display_window=window, attributes=attributes
            )
        band = max(2.0, self.height / 48)
        for number in self.keyframes or (self.numbers[0], self.numbers[-1]):
            labels = from_matte(self.alpha(number), erode_px=band, dilate_px=band)
            trimap = Trimap(number=number, labels=labels, is_keyframe=True)
            write_labels(trimap, folder / "trimaps" / f"trimap.{number:04d}.png", window)
        return folder


def _texture(seed: int, height: int, width: int) -> NDArray[np.float32]:
    noise = np.random.default_rng(seed).random((height, width, 3), np.float32)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 1.5) * 2 - 0.5, np.float32).clip(0, None)


@dataclass(frozen=True, kw_only=True)
class RunCost:
    """What one run took. peak_rss_bytes: the most memory that the process held at once."""

    frames: int
    failed: int
    seconds: float
    peak_rss_bytes: int
    device: str


@dataclass(frozen=True, kw_only=True)
class MemoryReport:
    """A short and a long run of the same kind of shot, on this machine."""

    width: int
    height: int
    short: RunCost
    long: RunCost
    machine: str

    @property
    def ratio(self) -> float:
        return self.long.peak_rss_bytes / self.short.peak_rss_bytes

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "ratio": self.ratio, "wanted_ratio": WANTED_RATIO}

    def __str__(self) -> str:
        lines = [
            f"{cost.frames:5d} frames {self.width}×{self.height}: peak memory "
            f"{cost.peak_rss_bytes / _MIB:7.1f} MiB, {cost.seconds:6.1f} s"
            for cost in (self.short, self.long)
        ]
        verdict = "met" if self.ratio <= WANTED_RATIO else "MISSED"
        lines.append(f"ratio {self.ratio:.3f}, wanted at most {WANTED_RATIO}: {verdict}")
        return "\n".join([*lines, f"{self.machine}, {self.long.device}"])


def measure_memory(
    *,
    short: int = 40,
    long: int = 400,
    width: int = 480,
    height: int = 270,
    weights: Path | None = None,
    device: str = "auto",
    folder: Path | None = None,
) -> MemoryReport:
    """Run two made-up shots that differ in length alone, and compare their peak memory.

    folder: where the shots are made; None makes them in a temporary folder.

    Raises:
        UsageError: the long shot is not longer. VfxmatteError: a run failed; its own words are on
            stderr.
    """
    if not 2 <= short < long:
        raise UsageError(f"a short shot of 2 frames or more and a longer one, not {short}, {long}")
    with tempfile.TemporaryDirectory(prefix="vfxmatte-bench-", dir=folder) as name:
        costs = []
        for frames in (short, long):
            shot = MovingShot(frames=frames, width=width, height=height)
            costs.append(_run_apart(shot.write(Path(name) / str(frames)), weights, device))
    return MemoryReport(
        width=width, height=height, short=costs[0], long=costs[1], machine=machine()
    )


def _run_apart(shot: Path, weights: Path | None, device: str) -> RunCost:
    """One run in a process of its own."""
    options = ["--device", device, *(["--weights", str(weights)] if weights else [])]
    done = subprocess.run(
        [sys.executable, "-m", "vfxmatte.bench", "one", str(shot), *options],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise VfxmatteError(
            f"the measured run ended with exit code {done.returncode}",
            shot=shot,
            hint="its own message stands above",
        )
    return RunCost(**json.loads(done.stdout))


def measure_run(folder: Path, *, weights: Path | None, device: str) -> RunCost:
    """Solve a shot in this process; everything that the process held before counts too."""
    from vfxmatte.engines.base import EngineSettings
    from vfxmatte.pipeline import Run
    from vfxmatte.settings import RunSettings
    from vfxmatte.shot import Shot

    started = time.perf_counter()
    settings = RunSettings(engine=EngineSettings(weights=weights, device=device))
    with Run(Shot.open(folder), settings) as run:
        states = [result.status for result in run.frames()]
        name = run.engine.device if run.engine else device
    return RunCost(
        frames=len(states),
        failed=states.count("failed"),
        seconds=round(time.perf_counter() - started, 2),
        peak_rss_bytes=peak_rss_bytes(),
        device=name,
    )


def peak_rss_bytes() -> int:
    """The most memory this process has held since it was started."""
    try:  # unlike getrusage, the kernel's own figure leaves out what the parent process held
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def machine() -> str:
    """The processor, its cores and the memory, in words."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.replace("×", "x").partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise UsageError(f"not a size: {text!r}", hint="write WIDTHxHEIGHT, e.g. 480x270")
    return int(width), int(height)


@click.group(name="bench")
def command() -> None:
    """Measure what a run costs on this machine."""


@command.command()
@click.option("--short", default=40, show_default=True, help="Frames of the short shot.")
@click.option("--long", default=400, show_default=True, help="Frames of the long shot.")
@click.option("--size", default="480x270", show_default=True, help="Of the made-up plates.")
@click.option("--weights", type=click.Path(path_type=Path), help="Default: the default weights.")
@click.option("--device", default="auto", show_default=True)
@click.option("--folder", type=click.Path(path_type=Path), help="Where the shots are made.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON instead of text.")
def memory(
    short: int,
    long: int,
    size: str,
    weights: Path | None,
    device: str,
    folder: Path | None,
    as_json: bool,
) -> None:
    """Peak memory of a long shot over that of a short one: it must not grow with the shot."""
    width, height = _size(size)
    report = measure_memory(
        short=short,
        long=long,
        width=width,
        height=height,
        weights=weights,
        device=device,
        folder=folder,
    )
    click.echo(json.dumps(report.as_dict()) if as_json else str(report))


@command.command(hidden=True)
@click.argument("shot", type=click.Path(path_type=Path))
@click.option("--weights", type=click.Path(path_type=Path))
@click.option("--device", default="auto")
def one(shot: Path, weights: Path | None, device: str) -> None:
    """Solve SHOT in this process and print what it cost."""
    click.echo(json.dumps(asdict(measure_run(shot, weights=weights, device=device))))


def main() -> None:
    """For `python -m vfxmatte.bench`, which the measured processes are started with."""
    try:
        command(prog_name="vfxmatte bench")
    except VfxmatteError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
