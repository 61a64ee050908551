"""Records as tables, verdicts, plots and a document; figures made up, so that cells are known."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.benchmarks.document import BEGIN, END, markdown, write_document
from tests.benchmarks.plot import costs, draw
from tests.benchmarks.scale import time_text
from tests.benchmarks.tables import NO_GPU, Table, provenance, tables
from tests.benchmarks.wanted import verdicts
from vfxmatte.bench.timing import Timing
from vfxmatte.errors import OutputError, UsageError

GIB = 2**30


def network_row(mode: str, share: float, seconds: float, **more: Any) -> dict[str, Any]:
    return {
        "width": 3840, "height": 2160, "asked_share": share, "unknown_px": round(8294400 * share),
        "unknown_share": share, "mode": mode, "device": "cpu",
        "engine": {"precision": "float32"}, "frames": 1, "failure": None,
        "seconds_per_frame": Timing(seconds=(seconds, seconds * 1.1, seconds * 0.9)).as_dict(),
        "unknown_mpx_per_s": 8.2944 * share / seconds,
        "speed_up": {"dense": 8.0 / seconds, "plain": 16.0 / seconds},
        "difference": {"maximum": 5e-5, "p999": 1e-5, "mean": 1e-6, "within_1_255": 0.9995},
        "memory": None, "flops": None, **more,
    }  # fmt: skip


def stage_row(stage: str, **more: Any) -> dict[str, Any]:
    timing = Timing(seconds=(0.02, 0.03, 0.025)).as_dict()
    return {
        "stage": stage, "width": 3840, "height": 2160, "failure": None, "workers": 4,
        "one_worker_seconds_per_frame": timing, "all_workers_seconds_per_frame": timing,
        "frames_per_s": 40.0, **more,
    }  # fmt: skip


def end_to_end_row(**more: Any) -> dict[str, Any]:
    return {
        "width": 3840, "height": 2160, "asked_share": 0.1, "mode": "exact", "device": "cpu",
        "frames": 12, "unknown_share": 0.13, "failed": 0, "fps": 0.5,
        "keyframe_every": 6, "plate_bytes_per_frame": 50e6, "results_bytes_per_frame": 2e6,
        "stages_ms_per_frame": {"read": 200.0, "solve": 600.0, "write": 200.0},
        "waiting_share": 0.05, "gpu_idle_share": None, "peak_rss_bytes": 3_000_000_000,
        "peak_gpu_bytes": None, "runs": [{}, {}], "recorded": None, **more,
    }  # fmt: skip


@pytest.fixture
def record() -> dict[str, Any]:
    memory = {"peak_rss_bytes": 4e9, "rss_before_bytes": 5e8, "peak_gpu_bytes": None}
    network = [
        network_row(mode, share, seconds * (1 if mode in ("dense", "plain") else 10 * share))
        for share in (0.05, 0.1)
        for mode, seconds in (("dense", 8.0), ("exact", 2.5), ("fast", 2.0), ("plain", 16.0))
    ]
    network[5] |= {"memory": memory, "flops": 2_500_000_000_000}
    return {
        "format": 1, "kind": "vfxmatte bench", "created": "2026-01-02T03:04:05+00:00",
        "complete": True, "commit": {"sha": "0123456789abcdef", "dirty": True},
        "machine": {"processor": "A processor", "cores": 8, "usable_cores": 4,
                    "memory_bytes": 16 * GIB, "system": "Linux", "gpus": []},
        "versions": {"vfxmatte": "0.1.0", "python": "3.11.9", "torch": "2.0"},
        "threads": {"torch": 4}, "weights": {"name": "some weights", "sha256": "abcdef" * 10},
        "settings": {"repeats": 3, "warmup": 1}, "network": network, "arithmetic": None,
        "footage": [{"shot": "a_shot", "mode": "fast", "device": "cpu", "unknown_px": 12345,
                     "difference": {"maximum": 3e-3, "p999": 1e-3, "mean": 1e-5,
                                    "within_1_255": 1.0}}],
        "stages": [stage_row("read"), stage_row("copy, oiiotool", failure="not on the PATH")],
        "end_to_end": [end_to_end_row()],
    }  # fmt: skip


def table_of(record: dict[str, Any], title: str) -> Table:
    return next(table for table in tables(record) if table.title == title)


def row_of(table: Table, *start: str) -> list[str]:
    return next(list(row) for row in table.rows if list(row)[: len(start)] == list(start))


def on_gpu(record: dict[str, Any]) -> dict[str, Any]:
    found = copy.deepcopy(record)
    for row in found["network"]:
        row["device"] = "cuda:0 (a GPU)"
    found["end_to_end"][0] |= {
        "device": "cuda:0 (a GPU)", "gpu_idle_share": 0.2, "peak_gpu_bytes": 9e9,
        "fps": 15.0,
    }  # fmt: skip
    found["arithmetic"] = {
        "precision": "float16", "matrix_flops_per_s": 800e12, "forward_flops_per_s": 300e12,
        "forward_share_of_peak": 0.375, "convolution_flops_per_s": 400e12,
        "convolution_share_of_peak": 0.5,
    }  # fmt: skip
    return found


def test_the_network_s_table(record: dict[str, Any]) -> None:
    table = table_of(record, "The network")
    assert len(table.rows) == 8
    assert row_of(table, "3840×2160", "10 %", "exact")[3:] == [
        "2.500 s", "20%", "0.332", "3.20×", "6.40×",
    ]  # fmt: skip
    assert "repeats: 3" in table.note and "cpu, float32" in table.note
    differences = table_of(record, "Difference from the dense pass")
    assert all(row[2] != "dense" for row in differences.rows)
    assert row_of(differences, "3840×2160", "5 %", "fast")[3:] == [
        "5.0e-05", "1.0e-05", "1.0e-06", "99.950 %",
    ]  # fmt: skip


def test_differences_on_shots_have_a_table_and_count(record: dict[str, Any]) -> None:
    title = "Difference from the dense pass on painted frames"
    (row,) = table_of(record, title).rows
    assert row == ["a_shot", "12,345", "fast", "3.0e-03", "1.0e-03", "1.0e-05", "100.000 %"]
    record["footage"][0]["difference"]["within_1_255"] = 0.9
    found = {v.what: v for v in verdicts(record)}
    assert found["fast within 1/255 of dense, least share of unknown pixels"].found == 90
    record["footage"] = []
    assert title not in [table.title for table in tables(record)]


def test_a_mode_that_failed_says_why(record: dict[str, Any]) -> None:
    record["network"][3] |= {
        "failure": "the measured process was killed by signal 9",
        "seconds_per_frame": None,
        "difference": None,
    }
    row = row_of(table_of(record, "The network"), "3840×2160", "5 %", "plain")
    assert "killed by signal 9" in row[3] and len(row) == 8


def test_memory_stages_and_runs(record: dict[str, Any]) -> None:
    (memory,) = table_of(record, "Memory and arithmetic of the network").rows
    assert list(memory[3:]) == ["4.00 GB", "0.50 GB", NO_GPU, "2.500"]
    stages = table_of(record, "The stages around the network")
    assert row_of(stages, "3840×2160", "read")[2:] == ["25.0 ms", "40%", "40.00", "4"]
    assert row_of(stages, "3840×2160", "copy, oiiotool")[2] == "not on the PATH"
    (run,) = table_of(record, "End to end, EXR to EXR").rows
    assert "0.50" in run and "13 %" in run and "5 %" in run and NO_GPU in run
    assert run[-1] == "read 20%, solve 60%, write 20%"


def test_scale_is_worked_out(record: dict[str, Any]) -> None:
    shot, show = table_of(record, "Scale, worked out from the runs above").rows
    assert shot[1:] == ["66.7 minutes", "0.0", "4.00 GB", "100.00 GB"]
    assert show[0] == "10,000 shots of 120 frames, 3840×2160"
    assert show[1:] == ["27.8 days", "4.0", "2.40 TB", "60.00 TB"]
    assert (time_text(1.5), time_text(7200)) == ("1.5 seconds", "2.0 hours")


def test_what_needs_a_gpu_says_so_without_one(record: dict[str, Any]) -> None:
    assert {row[1] for row in table_of(record, "The GPU").rows} == {NO_GPU}
    shown = table_of(on_gpu(record), "The GPU")
    assert row_of(shown, "matrix peak, measured")[1] == "800 TFLOP/s, float16"
    assert row_of(shown, "forward alone, over the convolutions' own time")[1] == (
        "400 TFLOP/s, 50% of the peak"
    )
    assert row_of(shown, "exact, 3840×2160, 10 % unknown, all of its time")[1] == (
        "1.0 TFLOP/s, 0% of the peak"
    )
    assert row_of(shown, "idle end to end, 3840×2160")[1] == "20%"


def test_wishes_are_met_missed_or_not_measured(record: dict[str, Any]) -> None:
    found = {v.what: v for v in verdicts(record)}
    exact = found["exact against dense, 3840×2160, about 10 % unknown"]
    assert (exact.wanted, exact.found, str(exact)) == (2.5, pytest.approx(3.2), "met")
    fast = found["fast against dense, 3840×2160, about 10 % unknown"]
    assert str(fast) == "missed by 20%" and fast.is_met is False
    assert str(found["exact against plain, 1920×1080, about 10 % unknown"]) == "not measured"
    assert str(found["peak memory of one 4K frame, exact"]) == "met"
    assert str(found["largest difference of exact from dense"]) == "met"
    assert str(found["fast within 1/255 of dense, least share of unknown pixels"]) == "met"
    record["network"][1]["difference"]["maximum"] = 2e-4
    found = {v.what: v for v in verdicts(record)}
    assert str(found["largest difference of exact from dense"]) == "missed by 100%"
    gpu = {v.what: str(v) for v in verdicts(on_gpu(record))}
    assert gpu["convolutions' share of the measured matrix peak"] == "met"
    assert gpu["EXR to EXR, 4K"] == "met" and gpu["EXR to EXR, 1080p"] == "not measured"
    assert gpu["GPU memory at 4K"] == "missed by 12%"


def test_provenance(record: dict[str, Any]) -> None:
    said = provenance(record)
    for part in ("A processor", "4 cores", "16 GiB", "no GPU", "torch 2.0", "torch threads: 4",
                 "0123456789ab with changes", "some weights", "2026-01-02"):  # fmt: skip
        assert part in said
    assert "Stopped" not in said
    assert "Stopped before its end" in provenance({**record, "complete": False})
    assert "Commit unknown" in provenance({**record, "commit": None})


def test_costs_are_by_mode_and_size(record: dict[str, Any]) -> None:
    found = costs(record["network"], (3840, 2160))
    assert found["exact"] == [(0.05, pytest.approx(1.25)), (0.1, pytest.approx(2.5))]
    assert set(found) == {"dense", "exact", "fast", "plain"}
    assert costs(record["network"], (64, 48)) == {}


def test_the_plot_rises_with_the_cost() -> None:
    picture = draw({"fast": [(0.1, 1.0), (0.4, 4.0)]}, "seconds a frame")
    orange = (picture == (30, 110, 235)).all(2)[:, :780]
    rows, columns = np.nonzero(orange)
    left, right = rows[columns < 320].mean(), rows[columns > 600].mean()
    assert left > right + 100  # rows count downward
    with pytest.raises(ValueError, match="nothing to draw"):
        draw({"fast": []}, "")


def test_a_document_keeps_what_was_written_by_hand(record: dict[str, Any], tmp_path: Path) -> None:
    saved = tmp_path / "a_machine.json"
    saved.write_text(json.dumps(record), encoding="utf-8")
    document = tmp_path / "docs" / "measurements.md"
    document.parent.mkdir()
    document.write_text(f"# By hand\n\n{BEGIN}\nold\n{END}\n\nAlso by hand.\n", encoding="utf-8")
    for _ in range(2):
        written = write_document([saved], document)
    text = document.read_text(encoding="utf-8")
    assert text.startswith("# By hand\n\n") and text.endswith("\n\nAlso by hand.\n")
    assert "old" not in text and text.count("### A machine") == 1
    assert "| 3840×2160 | 10 % | exact | 2.500 s |" in text
    (plot,) = written.pictures
    assert plot == tmp_path / "docs" / "measurements" / "a_machine_3840x2160.png"
    assert "](measurements/a_machine_3840x2160.png)" in text
    assert cv2.imread(str(plot)).shape == (480, 960, 3)


def test_a_document_without_a_part_is_refused(record: dict[str, Any], tmp_path: Path) -> None:
    saved, document = tmp_path / "a.json", tmp_path / "by_hand.md"
    saved.write_text(json.dumps(record), encoding="utf-8")
    document.write_text("# By hand\n", encoding="utf-8")
    with pytest.raises(OutputError, match="no part for measurements"):
        write_document([saved], document)
    assert document.read_text(encoding="utf-8") == "# By hand\n"


def test_a_new_document_is_made(record: dict[str, Any], tmp_path: Path) -> None:
    saved, document = tmp_path / "a.json", tmp_path / "new" / "speed.md"
    saved.write_text(json.dumps(record), encoding="utf-8")
    write_document([saved, saved], document)
    text = document.read_text(encoding="utf-8")
    assert text.startswith("# Speed") and text.count("### A") == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read"),
        ("no JSON", "not a JSON file"),
        ('{"kind": "else"}', "not the record of a benchmark"),
        ('{"kind": "vfxmatte bench", "format": 9}', "format 9, expected 1"),
        ('{"kind": "vfxmatte bench", "format": 1}', "the record lacks network"),
    ],
)
def test_other_files_are_no_records(content: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=message) as refused:
        write_document([path], tmp_path / "out.md")
    assert str(path) in str(refused.value) and not (tmp_path / "out.md").exists()


def test_markdown() -> None:
    table = Table(title="T", columns=("a", "b"), rows=[["x|y", "1"]], note="N.")
    assert markdown(table) == "**T**\n\n| a | b |\n| --- | ---: |\n| x/y | 1 |\n\nN."
