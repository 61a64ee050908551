"""`python -m tests.benchmarks`: options, record, the machine it names; memory of a long shot."""

from __future__ import annotations

import builtins
import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.benchmarks.command import command
from tests.benchmarks.memory import MemoryReport, measure_memory
from tests.benchmarks.record import begin, read_record, writable
from tests.benchmarks.run_cost import RunCost
from tests.benchmarks.suite import SuiteSettings
from vfxmatte.bench import machine
from vfxmatte.bench.moving_shot import MovingShot
from vfxmatte.common.process_memory import peak_rss_bytes
from vfxmatte.errors import OutputError, UsageError, VfxmatteError
from vfxmatte.network.sidecar import file_sha256
from vfxmatte.pipeline.shot import Shot

COST = RunCost(frames=40, failed=0, seconds=2.0, peak_rss_bytes=100 * 2**20, device="cpu")


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(a) for a in arguments])


def refused(*arguments: object) -> str:
    result = invoke(*arguments)
    assert isinstance(result.exception, UsageError), result.output
    return str(result.exception)


# -- the command ---------------------------------------------------------------------------------


def test_the_record_holds_everything(tmp_path: Path, tiny_weights: Path) -> None:
    path = tmp_path / "new" / "record.json"
    result = invoke(
        *("--stages", "network,read,write", "--sizes", "128x96", "--unknown", "0.05,0.2"),
        *("--modes", "dense,exact", "--device", "cpu", "--precision", "float32"),
        *("--weights", tiny_weights, "--repeats", 2, "--warmup", 0, "--frames", 4),
        *("--memory", "none", "--folder", tmp_path, "--json", path),
    )
    assert result.exit_code == 0, result.output + str(result.exception)
    found = read_record(path)
    assert (found["format"], found["kind"], found["complete"]) == (1, "vfxmatte bench", True)
    assert found["weights"]["sha256"] == file_sha256(tiny_weights)
    assert found["settings"]["sizes"] == ["128x96"] and found["settings"]["repeats"] == 2
    assert found["machine"]["cores"] > 0 and found["threads"]["torch"] > 0
    assert found["versions"]["numpy"] == np.__version__ and found["versions"]["OpenEXR"]
    assert [(r["asked_share"], r["mode"]) for r in found["network"]] == [
        (0.05, "dense"), (0.05, "exact"), (0.2, "dense"), (0.2, "exact"),
    ]  # fmt: skip
    assert all(len(row["seconds_per_frame"]["raw"]) == 2 for row in found["network"])
    assert {row["stage"] for row in found["stages"]} >= {"read", "write", "copy"}
    assert found["arithmetic"] is None and found["end_to_end"] == []
    assert str(tmp_path) not in path.read_text(encoding="utf-8")
    for said in ("The network", "Wanted and found", "not measured (no GPU)", "128×96"):
        assert said in result.output


def test_options_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    assert "not a size: 'large'" in refused("--sizes", "large")
    assert "not a share: 'ten'" in refused("--unknown", "0.1,ten")
    assert "no mode 'sparse'" in refused("network", "--modes", "dense,sparse", "--device", "cpu")
    assert "no stage 'think'" in refused("--stages", "think")
    assert "repeats must be 1 or more" in refused("--repeats", "0")
    assert "options stand behind the command" in refused("--sizes", "64x48", "network")
    result = invoke("--json", tmp_path)
    assert isinstance(result.exception, OutputError)


def test_help_names_the_measurements() -> None:
    result = invoke("--help")
    assert result.exit_code == 0
    listed = result.output.partition("Commands:")[2].split()
    assert {"memory", "network", "report"} <= set(listed) and "child" not in listed


def test_quick_is_small_and_options_go_before_it() -> None:
    quick = SuiteSettings(modes=("exact",)).quick()
    assert quick.modes == ("exact",) and len(quick.sizes) == 1 and quick.runs == 1
    assert "weights" not in quick.as_plain() and "folder" not in quick.as_plain()
    json.dumps(quick.as_plain())


def test_a_place_that_cannot_be_written_is_found_out_first(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OutputError):
        writable(tmp_path / "file" / "record.json")
    writable(tmp_path / "record.json")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]


def test_a_stopped_benchmark_keeps_what_it_has(tmp_path: Path, tiny_weights: Path) -> None:
    record = begin({"repeats": 1, "warmup": 0}, weights=tiny_weights, commit="abc")
    record.network.append({"mode": "dense"})
    record.save(tmp_path / "part.json", complete=False)
    found = read_record(tmp_path / "part.json")
    assert found["complete"] is False and found["network"] == [{"mode": "dense"}]


# -- the machine ---------------------------------------------------------------------------------


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


def test_the_commit_and_whether_the_tree_is_dirty(tmp_path: Path) -> None:
    assert machine.commit(tmp_path) is None
    git(tmp_path, "init")
    assert machine.commit(tmp_path) is None  # nothing is committed
    (tmp_path / "file").write_text("a", encoding="utf-8")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-m", "a")
    clean = machine.commit(tmp_path)
    assert clean is not None and len(clean["sha"]) == 40 and clean["dirty"] is False
    (tmp_path / "file").write_text("b", encoding="utf-8")
    assert machine.commit(tmp_path) == {"sha": clean["sha"], "dirty": True}
    inside = tmp_path / "site-packages"
    inside.mkdir()
    assert machine.commit(inside) is None  # in somebody else's checkout


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.commit() is None


def test_the_commit_may_be_told_outside_of_a_checkout(
    monkeypatch: pytest.MonkeyPatch, tiny_weights: Path
) -> None:
    monkeypatch.setattr(machine, "commit", lambda: None)
    told = begin({}, weights=tiny_weights, commit="abc").header["commit"]
    assert told == {"sha": "abc", "dirty": None}
    assert begin({}, weights=tiny_weights).header["commit"] is None


def test_the_machine_is_described() -> None:
    found = machine.machine()
    assert found["cores"] >= found["usable_cores"] >= 1
    assert found["memory_bytes"] > 2**28 and found["processor"]
    assert found["processor"] in machine.machine_in_words()
    assert machine.versions()["python"] == ".".join(map(str, sys.version_info[:3]))


def test_peak_memory_without_proc_and_without_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    here = peak_rss_bytes()
    assert here is not None and here > 10 * 2**20

    def unreadable(*_: Any, **__: Any) -> str:
        raise OSError

    monkeypatch.setattr(Path, "read_text", unreadable)
    other = peak_rss_bytes()  # by getrusage
    assert other is not None and other > 10 * 2**20
    real = builtins.__import__

    def importing(name: str, *rest: Any, **kw: Any) -> Any:
        if name == "resource":
            raise ImportError
        return real(name, *rest, **kw)

    monkeypatch.setattr(builtins, "__import__", importing)
    assert peak_rss_bytes() is None


# -- memory of a long shot -----------------------------------------------------------------------


def report(peak: int | None) -> MemoryReport:
    long = dataclasses.replace(COST, frames=400, peak_rss_bytes=peak)
    return MemoryReport(width=480, height=270, short=COST, long=long, machine="a machine")


def test_the_made_up_shot_moves_and_has_its_keyframes(tmp_path: Path) -> None:
    made = MovingShot(frames=3, width=64, height=48, first=7, keyframes=(8,))
    shot = Shot.open(made.write(tmp_path))
    assert list(made.numbers) == [7, 8, 9] and list(shot.keyframes) == [8]
    centres = [np.average(np.arange(64), weights=made.alpha(n).sum(0)) for n in made.numbers]
    assert centres[0] + 5 < centres[1] < centres[2] - 5
    soft = (made.alpha(7) > 0) & (made.alpha(7) < 1)
    assert soft.any() and made.pixels(7).max() > 1


@pytest.mark.usefixtures("warm_children")
def test_a_run_apart_that_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(VfxmatteError, match="exit code 3"):
        measure_memory(short=2, long=3, width=32, height=32, weights=tmp_path / "lost.safetensors")


@pytest.mark.usefixtures("warm_children")
def test_memory_is_measured_and_printed(tiny_weights: Path) -> None:
    told = ["memory", "--short", "2", "--long", "3", "--size", "64x48", "--device", "cpu"]
    result = invoke(*told, "--weights", tiny_weights, "--json")
    assert result.exit_code == 0, str(result.exception)
    found = json.loads(result.stdout)
    assert found["short"]["frames"] == 2 and found["long"]["frames"] == 3
    assert 0.5 < found["ratio"] < 2 and found["long"]["failed"] == 0


def test_the_report_says_whether_the_wanted_ratio_is_met() -> None:
    met, missed = report(104 * 2**20), report(110 * 2**20)
    assert met.ratio == pytest.approx(1.04) and met.as_dict()["ratio"] == met.ratio
    assert str(met).splitlines()[2] == "ratio 1.040, wanted at most 1.05: met"
    assert str(missed).splitlines()[2] == "ratio 1.100, wanted at most 1.05: MISSED"
    assert "a machine, cpu" in str(met)
    with pytest.raises(VfxmatteError, match="does not tell how much memory"):
        str(report(None))


def test_lengths_and_sizes_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UsageError, match="not 40, 40"):
        measure_memory(short=40, long=40)
    assert "not a size" in refused("memory", "--size", "large")
