"""A record as tables, for the screen and for a document alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.scale import SCALES, bytes_text, need_of, time_text
from tests.benchmarks.wanted import verdicts

Record = Mapping[str, Any]
Row = Mapping[str, Any]

NO_GPU = "not measured (no GPU)"
_NONE = "–"
_DIFFERENCE = ("largest", "99.9th percentile", "mean", "within 1/255")


@dataclass(frozen=True, kw_only=True)
class Table:
    """A title, the columns' names (the first `text_columns` of them hold text), cells, a note."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    text_columns: int = 1
    note: str = ""


def tables(record: Record) -> Iterator[Table]:
    """Every table that the record has something for."""
    if record["network"]:
        yield _network(record)
        yield _differences(record)
        yield from _footage(record)
        if any(row["memory"] for row in record["network"]):
            yield _memory(record)
        yield _gpu(record)
    if record["stages"]:
        yield _stages(record)
    if record["end_to_end"]:
        yield _end_to_end(record)
        yield _scale(record)
    if record["network"] or record["end_to_end"]:
        yield _wanted(record)


def provenance(record: Record) -> str:
    """Machine, versions, commit, weights and date in a sentence or two."""
    found, versions = record["machine"], record["versions"]
    memory = found["memory_bytes"]
    parts = [found["processor"], f"{found['usable_cores']} cores"]
    parts += [f"{memory / 2**30:.0f} GiB"] if memory else []
    parts += [gpu["name"] for gpu in found["gpus"]] or ["no GPU"]
    torch = versions.get("torch build") or versions.get("torch") or "unknown"
    parts += [f"Python {versions['python']}", f"torch {torch}"]
    parts += (
        [f"torch threads: {record['threads']['torch']}"] if record["threads"].get("torch") else []
    )
    weights = record["weights"]
    sentences = [
        ", ".join(parts),
        f"Commit {_commit(record['commit'])}; weights “{weights['name']}”, "
        f"sha256 {weights['sha256'][:12]}; {record['created']}",
    ]
    if not record["complete"]:
        sentences.append("Stopped before its end: what follows is a part")
    return ". ".join(sentences) + "."


def _commit(commit: Mapping[str, Any] | None) -> str:
    if commit is None:
        return "unknown"
    return f"{commit['sha'][:12]}{' with changes' if commit['dirty'] else ''}"


def _network(record: Record) -> Table:
    settings = record["settings"]
    rows = []
    for row in record["network"]:
        timing, ups = row["seconds_per_frame"], row["speed_up"]
        if timing is None:
            rows.append([*_scene(row), row["mode"], row["failure"], *[_NONE] * 4])
            continue
        rows.append([
            *_scene(row), row["mode"], f"{timing['median']:.3f} s", f"{timing['spread']:.0%}",
            f"{row['unknown_mpx_per_s']:.3f}", _times(ups.get("dense")), _times(ups.get("plain")),
        ])  # fmt: skip
    return Table(
        title="The network",
        columns=("size", "unknown", "mode", "a frame", "spread", "unknown Mpx/s",
                 "over dense", "over plain"),
        rows=rows,
        text_columns=3,
        note=f"Medians; repeats: {settings['repeats']}, after {settings['warmup']} to warm up, "
        "all modes in turns; spread is (slowest - fastest) / median. Plain: the full frame at "
        "once, float32, eager. " + _precision(record),
    )  # fmt: skip


def _precision(record: Record) -> str:
    rows = [row for row in record["network"] if row["mode"] != "plain"] or record["network"]
    return f"{rows[0]['device']}, {rows[0]['engine'].get('precision', 'unknown precision')}."


def _differences(record: Record) -> Table:
    rows = [
        [*_scene(row), row["mode"], *_difference(found)]
        for row in record["network"]
        if row["mode"] != "dense" and (found := row["difference"]) is not None
    ]  # fmt: skip
    return Table(
        title="Difference from the dense pass",
        columns=("size", "unknown", "mode", *_DIFFERENCE),
        rows=rows,
        text_columns=3,
        note="Of alpha, 0 to 1, over all unknown pixels, in the same run.",
    )  # fmt: skip


def _footage(record: Record) -> Iterator[Table]:
    rows = [
        [row["shot"], f"{row['unknown_px']:,}", row["mode"], *_difference(row["difference"])]
        for row in record["footage"]
    ]
    if rows:
        yield Table(
            title="Difference from the dense pass on painted frames",
            columns=("shot", "unknown pixels", "mode", *_DIFFERENCE),
            rows=rows,
            text_columns=3,
            note="All keyframes of each shot.",
        )


def _difference(found: Row) -> list[str]:
    return [f"{found['maximum']:.1e}", f"{found['p999']:.1e}", f"{found['mean']:.1e}",
            f"{100 * found['within_1_255']:.3f} %"]  # fmt: skip


def _memory(record: Record) -> Table:
    rows = []
    for row in record["network"]:
        memory, flops = row["memory"], row["flops"]
        if memory is None:
            continue
        gpu = memory["peak_gpu_bytes"]
        rows.append([
            *_scene(row), row["mode"], _gigabytes(memory["peak_rss_bytes"]),
            _gigabytes(memory["rss_before_bytes"]), NO_GPU if gpu is None else _gigabytes(gpu),
            _NONE if flops is None else f"{flops / 1e12:.3f}",
        ])  # fmt: skip
    return Table(
        title="Memory and arithmetic of the network",
        columns=("size", "unknown", "mode", "peak memory", "before the pass", "GPU memory",
                 "TFLOP a frame"),
        rows=rows,
        text_columns=3,
        note="Each in a process of its own; before the pass: libraries, weights and the picture. "
        "Operations: those of convolutions and matrix products; a multiplication and an addition "
        "are two.",
    )  # fmt: skip


def _gpu(record: Record) -> Table:
    found = record["arithmetic"]
    if found is None:
        peak = forward = convolutions = NO_GPU
    else:
        peak = f"{found['matrix_flops_per_s'] / 1e12:.0f} TFLOP/s, {found['precision']}"
        forward = _share_of_peak(found, "forward")
        convolutions = _share_of_peak(found, "convolution")
    idle = [row for row in record["end_to_end"] if row["gpu_idle_share"] is not None]
    rows = [
        ["matrix peak, measured", peak],
        ["forward alone, convolutions' work over all of its time", forward],
        ["forward alone, over the convolutions' own time", convolutions],
        *_engine_shares(record),
        *([f"idle end to end, {_size(row)}", f"{row['gpu_idle_share']:.0%}"] for row in idle),
    ]
    if not idle:
        rows.append(["idle end to end", NO_GPU if found is None else "not measured"])
    return Table(title="The GPU", columns=("figure", "found"), rows=rows)


def _engine_shares(record: Record) -> Iterator[list[str]]:
    """The engine's arithmetic over all of its time, copies and preparation included."""
    peak = (record["arithmetic"] or {}).get("matrix_flops_per_s")
    for row in record["network"]:
        if peak and row["flops"] and row["seconds_per_frame"] and row["mode"] != "plain":
            rate = row["flops"] / row["seconds_per_frame"]["median"]
            name = f"{row['mode']}, {', '.join(_scene(row))} unknown, all of its time"
            yield [name, f"{rate / 1e12:.1f} TFLOP/s, {rate / peak:.0%} of the peak"]


def _share_of_peak(found: Row, name: str) -> str:
    rate, share = found[f"{name}_flops_per_s"], found[f"{name}_share_of_peak"]
    if rate is None:
        return "not measured"
    return f"{rate / 1e12:.0f} TFLOP/s, {share:.0%} of the peak"


def _stages(record: Record) -> Table:
    rows = []
    for row in record["stages"]:
        if row.get("failure"):
            rows.append([_size(row), row["stage"], row["failure"], _NONE, _NONE, _NONE])
            continue
        one = row["one_worker_seconds_per_frame"]
        rows.append([
            _size(row), row["stage"], f"{1000 * one['median']:.1f} ms", f"{one['spread']:.0%}",
            f"{row['frames_per_s']:.2f}", str(row["workers"]),
        ])  # fmt: skip
    return Table(
        title="The stages around the network",
        columns=("size", "stage", "a frame, one worker", "spread", "frames/s, all workers",
                 "workers"),
        rows=rows,
        text_columns=2,
        note="Half-float RGB EXR, ZIP. Flow: there and back on the small pictures; propagation: "
        "flow and all that follows it, between two keyframes. Copy: read and written as RGB; "
        "oiiotool does the same in one process, with one thread and with as many as workers.",
    )  # fmt: skip


def _end_to_end(record: Record) -> Table:
    rows = []
    for row in record["end_to_end"]:
        stages = row["stages_ms_per_frame"]
        total = sum(stages.values()) or 1
        shares = ", ".join(f"{name} {ms / total:.0%}" for name, ms in stages.items())
        rows.append([
            _size(row), row["mode"], _number(row["fps"], ".2f"),
            _percent(row["unknown_share"]), _percent(row["waiting_share"]),
            _gigabytes(row["peak_rss_bytes"]),
            NO_GPU if row["peak_gpu_bytes"] is None else _gigabytes(row["peak_gpu_bytes"]),
            shares,
        ])  # fmt: skip
    first = record["end_to_end"][0]
    return Table(
        title="End to end, EXR to EXR",
        columns=("size", "mode", "frames/s", "unknown", "network waits",
                 "peak memory", "GPU memory", "workers' time"),
        rows=rows,
        text_columns=2,
        note=f"A made-up shot of {first['frames']} frames, a keyframe every "
        f"{first['keyframe_every']}; {_runs(len(first['runs']))} in a process of its own. "
        "Frames a second from the moment at which libraries and network are loaded to the last "
        "frame. Network waits: share of its time in which it had no frame to work on.",
    )  # fmt: skip


def _runs(count: int) -> str:
    return "one run" if count == 1 else f"median of {count} runs, each"


def _scale(record: Record) -> Table:
    rows = []
    for row in record["end_to_end"]:
        for work in SCALES:
            need = need_of(work, row)
            rows.append([
                f"{work}, {_size(row)}", time_text(need.seconds),
                f"{need.machines_in_a_week:.1f}", bytes_text(need.result_bytes),
                bytes_text(need.plate_bytes),
            ])  # fmt: skip
    return Table(
        title="Scale, worked out from the runs above",
        columns=("work", "time on one such machine", "such machines for one week",
                 "mattes and trimaps", "plates"),
        rows=rows,
        note="At the frames a second above, one run after the other. The made-up plate is noise, "
        "which compresses worse than most footage.",
    )  # fmt: skip


def _wanted(record: Record) -> Table:
    rows = [
        [v.what, f"{'≥' if v.at_least else '≤'} {v.wanted:g} {v.unit}".rstrip(),
         _NONE if v.found is None else f"{v.found:.4g} {v.unit}".rstrip(), str(v)]
        for v in verdicts(record)
    ]  # fmt: skip
    return Table(title="Wanted and found", columns=("figure", "wanted", "found", ""), rows=rows)


def _scene(row: Row) -> list[str]:
    return [_size(row), f"{100 * row['unknown_share']:.0f} %"]


def _size(row: Row) -> str:
    return f"{row['width']}×{row['height']}"


def _times(value: float | None) -> str:
    return _NONE if value is None else f"{value:.2f}×"


def _number(value: float | None, form: str) -> str:
    return _NONE if value is None else format(value, form)


def _percent(value: float | None) -> str:
    return _NONE if value is None else f"{100 * value:.0f} %"


def _gigabytes(value: float | None) -> str:
    return "not measured" if value is None else f"{value / 1e9:.2f} GB"
