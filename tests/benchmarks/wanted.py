"""What was wished for, and whether a record reaches it; by how much it falls short where not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Record = Mapping[str, Any]
Row = Mapping[str, Any]

_HD, _UHD = (1920, 1080), (3840, 2160)
_GB = 1e9


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One wish. found: None where the record does not hold it. at_least: else at most."""

    what: str
    wanted: float
    found: float | None
    unit: str = ""
    at_least: bool = True

    @property
    def is_met(self) -> bool | None:
        if self.found is None:
            return None
        return self.found >= self.wanted if self.at_least else self.found <= self.wanted

    def __str__(self) -> str:
        if self.found is None:
            return "not measured"
        if self.is_met:
            return "met"
        return f"missed by {abs(self.found - self.wanted) / self.wanted:.0%}"


def verdicts(record: Record) -> Iterator[Verdict]:
    """Every wish that concerns the record's device, and what it says of it."""
    on_gpu = _on_gpu(record)
    yield from _of_network(record)
    if on_gpu:
        yield from _of_gpu(record)
    else:
        yield _speed_up(record, "exact", "plain", _HD, 4.0)
        yield Verdict(
            what="peak memory of one 4K frame, exact",
            wanted=6.0,
            found=_scaled(_network_row(record, _UHD, "exact"), _peak_rss, 1 / _GB),
            unit="GB",
            at_least=False,
        )


def _of_network(record: Record) -> Iterator[Verdict]:
    for size, exact, fast in ((_UHD, 2.5, 5.0), (_HD, 2.0, 4.0)):
        yield _speed_up(record, "exact", "dense", size, exact)
        yield _speed_up(record, "fast", "dense", size, fast)
    if not _on_gpu(record):
        yield Verdict(
            what="largest difference of exact from dense",
            wanted=1e-4,
            found=_worst(record, "exact", "maximum", max),
            at_least=False,
        )
    yield Verdict(
        what="fast within 1/255 of dense, least share of unknown pixels",
        wanted=99.9,
        found=_scale(_worst(record, "fast", "within_1_255", min), 100),
        unit="%",
    )


def _of_gpu(record: Record) -> Iterator[Verdict]:
    arithmetic = record.get("arithmetic") or {}
    yield Verdict(
        what="convolutions' share of the measured matrix peak",
        wanted=50.0,
        found=_scale(arithmetic.get("convolution_share_of_peak"), 100),
        unit="%",
    )
    for size, name, fps in ((_HD, "1080p", 40.0), (_UHD, "4K", 12.0)):
        row = _end_to_end_row(record, size)
        found = None if row is None else row["fps"]
        yield Verdict(what=f"EXR to EXR, {name}", wanted=fps, found=found, unit="fps")
    row = _end_to_end_row(record, _UHD)
    peak = None if row is None else row["peak_gpu_bytes"]
    if peak is None:
        peak = _scaled(_network_row(record, _UHD, "exact"), _peak_gpu, 1)
    yield Verdict(
        what="GPU memory at 4K", wanted=8.0, found=_scale(peak, 1 / _GB), unit="GB", at_least=False
    )


def _speed_up(
    record: Record, mode: str, over: str, size: tuple[int, int], wanted: float
) -> Verdict:
    row = _network_row(record, size, mode)
    return Verdict(
        what=f"{mode} against {over}, {size[0]}×{size[1]}, about 10 % unknown",
        wanted=wanted,
        found=None if row is None else row["speed_up"].get(over),
        unit="×",
    )


def _network_row(record: Record, size: tuple[int, int], mode: str) -> Row | None:
    rows = (r for r in record["network"] if (r["width"], r["height"]) == size)
    return next((r for r in rows if r["mode"] == mode and r["asked_share"] == 0.1), None)


def _end_to_end_row(record: Record, size: tuple[int, int]) -> Row | None:
    rows = record["end_to_end"]
    return next((r for r in rows if (r["width"], r["height"]) == size), None)


def _worst(record: Record, mode: str, what: str, worst: Callable[[list[float]], float]) -> Any:
    rows = (*record["network"], *record["footage"])
    found = [r["difference"][what] for r in rows if r["mode"] == mode and r["difference"]]
    return worst(found) if found else None


def _peak_rss(row: Row) -> float | None:
    return None if row["memory"] is None else row["memory"]["peak_rss_bytes"]


def _peak_gpu(row: Row) -> float | None:
    return None if row["memory"] is None else row["memory"]["peak_gpu_bytes"]


def _scaled(row: Row | None, figure: Callable[[Row], float | None], factor: float) -> float | None:
    return None if row is None else _scale(figure(row), factor)


def _scale(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _on_gpu(record: Record) -> bool:
    rows = (*record["network"], *record["end_to_end"])
    return any(str(row["device"]).startswith("cuda") for row in rows)
