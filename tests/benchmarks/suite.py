"""The whole benchmark in order: network, arithmetic, stages, end to end; saved as it goes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from tests.benchmarks.record import Record, begin, sizes_text
from vfxmatte.engines.protocol import Mode, Precision
from vfxmatte.errors import UsageError

PARTS = ("network", "read", "colour", "flow", "write", "end-to-end")
_ENGINE_MODES = ("exact", "fast", "windows", "dense")
_END_TO_END_SHARE = 0.1
_STAGE_FRAMES = 8
_LEAST = {"repeats": 1, "warmup": 0, "runs": 1, "frames": 4, "keyframe_every": 1}
Size = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class SuiteSettings:
    """What `python -m tests.benchmarks` measures.

    sizes: (width, height). shares: of unknown pixels. modes: see `solver.MODES`. parts: see PARTS.
    frames, keyframe_every, runs: end to end. folder: where shots are made, None is temporary.
    memory: of the network, all, one or none of the shares. commit: where this is no checkout.
    shots: on whose painted frames the modes are compared too.
    """

    sizes: tuple[Size, ...] = ((1920, 1080), (3840, 2160))
    shares: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2, 0.4)
    modes: tuple[str, ...] = ("dense", "exact", "fast", "plain")
    parts: tuple[str, ...] = PARTS
    device: str = "auto"
    precision: Precision = "auto"
    weights: Path | None = None
    repeats: int = 5
    warmup: int = 1
    frames: int = 24
    keyframe_every: int = 12
    batch_frames: int | None = None
    runs: int = 2
    workers: int = 0
    threads: int | None = None
    memory: str = "one"
    folder: Path | None = None
    commit: str | None = None
    shots: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        wrong = [part for part in self.parts if part not in PARTS]
        if wrong or not self.parts:
            raise UsageError(f"no stage {', '.join(wrong)!r}", hint=f"use {', '.join(PARTS)}")
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                raise UsageError(f"{name} must be {least} or more, found {getattr(self, name)}")

    def quick(self) -> SuiteSettings:
        """Small and short: to see that everything works."""
        return replace(
            self, sizes=((640, 360),), shares=(0.05, 0.2), repeats=2, frames=4, runs=1, warmup=0
        )

    def as_plain(self) -> dict[str, Any]:
        """Without the places of files, which say nothing to others."""
        hidden = ("weights", "folder", "commit", "shots")
        plain = {key: value for key, value in vars(self).items() if key not in hidden}
        return {**plain, "sizes": sizes_text(self.sizes)}


def measure_suite(
    settings: SuiteSettings,
    *,
    say: Callable[[str], None] = lambda _: None,
    save: Callable[[Record], None] = lambda _: None,
) -> Record:
    """Measure it all. save: called after each part of it, so that nothing is lost.

    Raises VfxmatteError: no such device or weights, a run that failed.
    """
    record = begin(settings.as_plain(), weights=settings.weights, commit=settings.commit)
    if "network" in settings.parts:
        _network(settings, record, say, save)
    stages = [part for part in settings.parts if part not in ("network", "end-to-end")]
    for size in settings.sizes:
        if stages:
            record.stages.extend(_stages(settings, stages, size, say))
            save(record)
    for size in settings.sizes:
        if "end-to-end" in settings.parts:
            record.end_to_end.append(_end_to_end(settings, size, say))
            save(record)
    return record


def _network(
    settings: SuiteSettings,
    record: Record,
    say: Callable[[str], None],
    save: Callable[[Record], None],
) -> None:
    from tests.benchmarks.network import NetworkSettings, measure_network

    network = NetworkSettings(
        sizes=settings.sizes,
        shares=settings.shares,
        modes=settings.modes,
        device=settings.device,
        precision=settings.precision,
        weights=settings.weights,
        repeats=settings.repeats,
        warmup=settings.warmup,
        frames=settings.batch_frames,
        memory=settings.memory,
        threads=settings.threads,
    )
    figures = _arithmetic(settings, say)
    record.arithmetic.extend([] if figures is None else [figures])
    for rows in measure_network(network, say):
        record.network.extend(rows)
        save(record)
    if settings.shots:
        from tests.benchmarks.footage import measure_footage

        record.footage.extend(measure_footage(settings.shots, network, say))
        save(record)


def _arithmetic(settings: SuiteSettings, say: Callable[[str], None]) -> dict[str, Any] | None:
    """The GPU's matrix peak and Deep Image Matting's share of it; None on a CPU."""
    from tests.benchmarks.arithmetic import measure_arithmetic
    from vfxmatte.engines.deep import choose_device, choose_dtype
    from vfxmatte.network.sidecar import is_light, named_weights
    from vfxmatte.network.weights import load_weights

    device, path = choose_device(settings.device), named_weights(settings.weights)
    if device.type != "cuda" or is_light(path):
        return None
    say("arithmetic: the GPU's matrix peak, and the network's forward alone")
    network = load_weights(path)[0]
    dtype = choose_dtype(settings.precision, device)
    return measure_arithmetic(network, device, dtype).as_dict()


def _stages(
    settings: SuiteSettings, stages: Sequence[str], size: Size, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    from tests.benchmarks.stages import StageSettings, measure_stages

    told = StageSettings(
        stages=stages,
        frames=min(settings.frames, _STAGE_FRAMES),
        repeats=settings.repeats,
        warmup=settings.warmup,
        workers=settings.workers,
        folder=settings.folder,
    )
    return measure_stages(*size, told, say)


def _end_to_end(settings: SuiteSettings, size: Size, say: Callable[[str], None]) -> dict[str, Any]:
    from tests.benchmarks.end_to_end import EndToEndSettings, measure_end_to_end

    told = EndToEndSettings(
        frames=settings.frames,
        unknown_share=_END_TO_END_SHARE,
        runs=settings.runs,
        keyframe_every=settings.keyframe_every,
        mode=cast(Mode, next((m for m in _ENGINE_MODES if m in settings.modes), "exact")),
        device=settings.device,
        precision=settings.precision,
        weights=settings.weights,
        workers=settings.workers,
        folder=settings.folder,
    )
    return measure_end_to_end(*size, told, say)


def print_to_stderr(line: str) -> None:
    """Where the benchmark is, for somebody who waits."""
    print(line, file=sys.stderr, flush=True)
