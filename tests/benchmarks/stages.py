"""The stages around the network, each by itself: read, colour, flow, write; and a plain copy.

Each stage's time of one frame on one worker, and its throughput with all workers, as a run uses
them: `ordered_map` over frames. Copying a sequence is measured against OpenImageIO's `oiiotool`.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tests.benchmarks.interleaving import per
from vfxmatte.bench.machine import usable_cores
from vfxmatte.bench.moving_shot import MovingShot
from vfxmatte.bench.timing import Timing, timed
from vfxmatte.colour import ColourConfig, to_network
from vfxmatte.common.parallel import ordered_map
from vfxmatte.errors import VfxmatteError
from vfxmatte.io.plate import Plate
from vfxmatte.io.plates import open_plate
from vfxmatte.io.stills.exr import write_exr
from vfxmatte.io.writers import OutputSettings, write_matte
from vfxmatte.propagation.flow import flow_pair, grey
from vfxmatte.propagation.shot_trimaps import PropagationSettings, propagate, proxy_size
from vfxmatte.types import Frame, Matte, Picture

STAGES = ("read", "colour", "flow", "write")


@dataclass(frozen=True, kw_only=True)
class StageSettings:
    """frames: of the made-up sequence. workers: of the throughput; 0 is one for each processor."""

    stages: Sequence[str] = STAGES
    frames: int = 8
    repeats: int = 5
    warmup: int = 1
    workers: int = 0
    folder: Path | None = None

    @property
    def all_workers(self) -> int:
        return self.workers or usable_cores()


def measure_stages(
    width: int,
    height: int,
    settings: StageSettings,
    say: Callable[[str], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """One row for each stage at this size, and for copying where reading and writing are asked."""
    say(f"stages, {width}x{height}: making {settings.frames} frames")
    shot = MovingShot(frames=settings.frames, width=width, height=height)
    with tempfile.TemporaryDirectory(prefix="vfxmatte-bench-", dir=settings.folder) as name:
        folder = shot.write(Path(name))
        with open_plate(folder / "plate") as plate:
            bench = _Stages(shot=shot, plate=plate, folder=Path(name), settings=settings)
            rows = []
            for stage, measure in bench.chosen().items():
                say(f"  {stage}")
                rows.append({"stage": stage, "width": width, "height": height, **measure()})
            return rows


@dataclass(frozen=True, kw_only=True)
class _Stages:
    shot: MovingShot
    plate: Plate
    folder: Path
    settings: StageSettings

    def chosen(self) -> dict[str, Callable[[], dict[str, Any]]]:
        known = {
            "read": {"read": self._read},
            "colour": {"colour": self._colour},
            "flow": {"flow": self._flow, "propagation": self._propagation},
            "write": {"write": self._write, "write RGBA": self._write_rgba},
        }
        chosen = {k: v for stage in self.settings.stages for k, v in known[stage].items()}
        if {"read", "write"} <= set(self.settings.stages):
            chosen |= {"copy": self._copy, "copy, oiiotool": self._oiiotool}
        return chosen

    @property
    def numbers(self) -> list[int]:
        return list(self.shot.numbers)

    @cached_property
    def frames(self) -> list[Frame]:
        return [self.plate.read(number) for number in self.numbers]

    @cached_property
    def colours(self) -> ColourConfig:
        return ColourConfig.load()

    def _read(self) -> dict[str, Any]:
        return self._both(self.plate.read, self.numbers)

    def _colour(self) -> dict[str, Any]:
        return self._both(lambda frame: to_network(frame, self.colours), self.frames)

    def _write(self) -> dict[str, Any]:
        return self._both(self._writer(OutputSettings()), self.frames)

    def _write_rgba(self) -> dict[str, Any]:
        return self._both(self._writer(OutputSettings(rgba="premultiplied")), self.frames)

    def _writer(self, settings: OutputSettings) -> Callable[[Frame], object]:
        alphas = {number: self.shot.alpha(number) for number in self.numbers}

        def write(frame: Frame) -> Path:
            matte = Matte(number=frame.number, alpha=alphas[frame.number])
            path = self.folder / "matte" / f"matte.{frame.number}.exr"
            return write_matte(matte, frame, settings, path)

        return write

    @cached_property
    def proxies(self) -> list[Picture]:
        height, width = proxy_size((self.shot.height, self.shot.width), PropagationSettings())
        found = []
        for frame in self.frames:
            small = cv2.resize(frame.pixels, (width, height), interpolation=cv2.INTER_AREA)
            pixels = np.asarray(small, np.float32)
            encoded = self.colours.encode(pixels, frame.colour_space)
            found.append(np.rint(np.clip(encoded, 0, 1) * 255).astype(np.uint8))
        return found

    def _flow(self) -> dict[str, Any]:
        """Optical flow there and back between neighbours, on the small pictures."""
        pairs = list(zip(self.proxies, self.proxies[1:], strict=False))
        preset = PropagationSettings().preset
        return self._both(lambda pair: flow_pair(grey(pair[0]), grey(pair[1]), preset), pairs)

    def _propagation(self) -> dict[str, Any]:
        """All of it from the small pictures on: flow, following, meeting, tightening."""
        pictures = dict(zip(self.numbers, self.proxies, strict=True))
        ends = (self.numbers[0], self.numbers[-1])
        keyframes = {number: self.shot.trimap(number) for number in ends}

        def proxies(numbers: Sequence[int]) -> Iterator[tuple[int, Picture | None]]:
            return ((number, pictures[number]) for number in numbers)

        def carried(workers: int) -> Timing:
            settings = PropagationSettings()
            return self._timed(
                lambda: list(propagate(
                    keyframes, self.numbers, proxies, settings, workers=workers,
                    scratch=self.folder,
                ))
            )  # fmt: skip

        return self._row(carried(1), carried(self.settings.all_workers), len(self.numbers) - 2)

    def _copy(self) -> dict[str, Any]:
        """The same sequence read and written again as half RGB, by the library's own means."""

        def copy(number: int) -> None:
            frame = self.plate.read(number)
            pixels = frame.pixels.astype(np.float16)
            planes = {name: pixels[:, :, i] for i, name in enumerate("RGB")}
            path = self.folder / "copy" / f"copy.{number}.exr"
            window = self.shot.window
            write_exr(path, planes, data_window=window, display_window=window)

        (self.folder / "copy").mkdir(exist_ok=True)
        return self._both(copy, self.numbers)

    def _oiiotool(self) -> dict[str, Any]:
        """`oiiotool` copies the sequence: in one process with one thread, and with all."""
        program = shutil.which("oiiotool")
        if program is None:
            return {"failure": "oiiotool is not on the PATH"}
        (self.folder / "copy").mkdir(exist_ok=True)

        def copied(workers: int) -> Timing:
            return self._timed(lambda: self._copy_by(program, workers))

        return self._row(copied(1), copied(self.settings.all_workers), len(self.numbers))

    def _copy_by(self, program: str, threads: int) -> None:
        done = subprocess.run(
            [
                program,
                *("--threads", str(threads)),
                *("--frames", f"{self.numbers[0]}-{self.numbers[-1]}"),
                str(self.folder / "plate" / "plate.%04d.exr"),
                *("-d", "half", "--compression", "zip"),
                *("-o", str(self.folder / "copy" / "copied.%04d.exr")),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise VfxmatteError(f"oiiotool failed: {(done.stderr or done.stdout).strip()}")

    # -- timing ----------------------------------------------------------------------------------

    def _both(self, work: Callable[[Any], object], items: Sequence[Any]) -> dict[str, Any]:
        """One worker by itself, and all workers as a run has them."""

        def through(workers: int) -> None:
            for _ in ordered_map(work, items, workers=workers):
                pass

        one = self._timed(lambda: [work(item) for item in items])
        many = self._timed(lambda: through(self.settings.all_workers))
        return self._row(one, many, len(items))

    def _timed(self, work: Callable[[], object]) -> Timing:
        return timed(work, repeats=self.settings.repeats, warmup=self.settings.warmup)

    def _row(self, one: Timing, many: Timing, count: int) -> dict[str, Any]:
        return {
            "failure": None,
            "workers": self.settings.all_workers,
            "one_worker_seconds_per_frame": per(one, count).as_dict(),
            "all_workers_seconds_per_frame": per(many, count).as_dict(),
            "frames_per_s": count / many.median,
        }
