"""The command line: what it says, what it writes, and how it ends."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from vfxmatte.cli import commands
from vfxmatte.cli.shot_options import shot_options
from vfxmatte.errors import PlateError, UsageError
from vfxmatte.io.stills.reading import read_image
from vfxmatte.pipeline.options import shot_of
from vfxmatte.pipeline.shot import Shot
from vfxmatte.reporting.pace import Pace, clock_text
from vfxmatte.reporting.totals import Totals, suggestion
from vfxmatte.types import UNKNOWN, FrameResult


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(commands, [str(a) for a in arguments], prog_name="vfxmatte")


def ran(shot: Path, weights: Path, *more: object) -> Result:
    return invoke("run", shot, "--weights", weights, "--device", "cpu", *more)


def events(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


# -- run ---------------------------------------------------------------------------------------


def test_run_says_what_it_found_and_did(tiny_shot: Path, tiny_weights: Path) -> None:
    result = ran(tiny_shot, tiny_weights)
    assert result.exit_code == 0, result.output
    assert "ACEScg (the default for floating-point files)" in result.stdout
    assert "1001-1005, 64×48" in result.stdout
    assert "5/5 100%" in result.stdout
    assert "5 written" in result.stdout
    assert "matte.####.exr" in result.stdout
    assert sorted(p.name for p in (tiny_shot / "matte").glob("matte.*")) == [
        f"matte.{n}.exr" for n in range(1001, 1006)
    ]


def test_json_is_one_event_a_line_and_totals_come_last(tiny_shot: Path, tiny_weights: Path) -> None:
    first = events(ran(tiny_shot, tiny_weights, "--json", "--frames", "1001-1003"))
    assert [e["event"] for e in first] == ["start", "frame", "frame", "frame", "totals"]
    assert first[0]["keyframes"] == [1001, 1005] and first[0]["colorspace"] == "ACEScg"
    assert [e["frame"] for e in first[1:4]] == [1001, 1002, 1003]
    assert first[2]["stats"]["keyframe_distance"] == 1
    totals = first[-1]
    assert (totals["frames"], totals["failed"], totals["device"]) == (3, 0, "cpu")
    assert totals["fps"] > 0 and totals["seconds"] > 0 and totals["peak_rss_bytes"] > 2**20
    again = events(ran(tiny_shot, tiny_weights, "--json"))[-1]
    assert (again["kept"], again["written"], again["frames"]) == (3, 2, 5)
    over = events(ran(tiny_shot, tiny_weights, "--json", "--overwrite"))[-1]
    assert (over["kept"], over["written"]) == (0, 5)


def test_quiet_says_nothing(tiny_shot: Path, tiny_weights: Path) -> None:
    result = ran(tiny_shot, tiny_weights, "--quiet", "--frames", "1001")
    assert (result.exit_code, result.output) == (0, "")


def test_a_damaged_frame_fails_alone(tiny_shot: Path, tiny_weights: Path) -> None:
    damaged = tiny_shot / "plate" / "plate.1003.exr"
    damaged.write_bytes(damaged.read_bytes()[:900])
    movie = tiny_shot / "out.mov"
    result = ran(tiny_shot, tiny_weights, "--json", "--preview", "movie", "--movie", movie)
    assert result.exit_code == 1
    found = events(result)
    failed = [e for e in found if e.get("status") == "failed"]
    assert [e["frame"] for e in failed] == [1003]
    assert "plate.1003.exr" in failed[0]["error"]["path"]
    assert (found[-1]["failed"], found[-1]["written"]) == (1, 4)
    for path in (movie, tiny_shot / "matte" / "preview.mp4"):
        with av.open(str(path)) as container:
            assert len(list(container.decode(video=0))) == 5  # the timing is the plate's


def test_where_every_frame_fails_nothing_could_be_done(tiny_shot: Path, tiny_weights: Path) -> None:
    damaged = tiny_shot / "plate" / "plate.1003.exr"
    damaged.write_bytes(damaged.read_bytes()[:900])
    result = ran(tiny_shot, tiny_weights, "--quiet", "--frames", "1003", "--preview", "sheet")
    assert result.exit_code == 3
    assert result.stderr.count("frame 1003 failed") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "no shot was given"),
        (["--plate", "p.####.exr"], 2, "--trimaps and --output is missing"),
        (["nowhere"], 3, "there is no such shot folder"),
        (["SHOT", "--colorspace", "ACESc"], 3, "did you mean"),
        (["SHOT", "--set", "propagation.growth=1"], 2, "did you mean growth_px"),
        (["SHOT", "--set", "nonsense"], 2, "not understood"),
        (["SHOT", "--frames", "5-1"], 2, "frame range"),
        (["SHOT", "--frames", "7-9"], 3, "no frame of 7-9 is in the plate"),
        (["SHOT", "--missing", "sometimes"], 2, "Invalid value"),
        (["SHOT", "--format", "png", "--rgba", "straight"], 2, "RGBA cannot be written as png"),
        (["SHOT", "--weights", "nowhere.safetensors"], 3, "no such weights file"),
        (["SHOT", "--device", "cuda:99"], 3, "cuda:99"),
        (["SHOT", "--movie", "out.mp4"], 2, "ProRes is written as .mov"),
        (["SHOT", "--engine", "din"], 2, "no engine 'din'"),
        (["SHOT", "--workers", "-1"], 2, "workers must be"),
    ],
)
def test_errors_are_said_once(
    tiny_shot: Path, tiny_weights: Path, arguments: list[str], code: int, said: str
) -> None:
    given = [str(tiny_shot) if a == "SHOT" else a for a in arguments]
    weights = [] if "--weights" in arguments else ["--weights", str(tiny_weights)]
    result = invoke("run", *given, *weights)
    assert result.exit_code == code, result.output
    assert result.stderr.count(said) == 1
    assert "Traceback" not in result.output


def test_an_error_in_json_has_its_place_and_totals_still_come(tiny_shot: Path) -> None:
    for path in (tiny_shot / "trimaps").iterdir():
        path.unlink()
    result = invoke("run", tiny_shot, "--json")
    error, totals = events(result)
    assert result.exit_code == error["exit_code"] == 3
    assert (error["event"], error["kind"], error["shot"]) == ("error", "ShotError", "tiny shot")
    assert "no keyframe" in error["message"] and "from-matte" in error["hint"]
    assert (totals["event"], totals["frames"], totals["device"]) == ("totals", 0, None)
    assert result.stderr == ""


def test_parts_by_options_give_the_same_mattes(
    tiny_shot: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    parts = ["--plate", tiny_shot / "plate" / "plate.%04d.exr", "--trimaps", tiny_shot / "trimaps"]
    more = ["--weights", tiny_weights, "--frames", "1001-1005x2", "--quiet"]
    assert invoke("run", *parts, "--output", tmp_path / "out", *more).exit_code == 0
    assert ran(tiny_shot, tiny_weights, "--quiet").exit_code == 0
    names = [p.name for p in sorted((tmp_path / "out").glob("matte.*.exr"))]
    assert names == ["matte.1001.exr", "matte.1003.exr", "matte.1005.exr"]
    for name in names:
        one, other = (read_image(f / name) for f in (tmp_path / "out", tiny_shot / "matte"))
        assert np.array_equal(one.pixels, other.pixels)


def test_output_options_arrive(tiny_shot: Path, tiny_weights: Path) -> None:
    more = ["--pixel-type", "float", "--compression", "piz", "--rgba", "straight", "--frames", 1002]
    assert ran(tiny_shot, tiny_weights, "--quiet", *more).exit_code == 0
    matte = read_image(tiny_shot / "matte" / "matte.1002.exr")
    plate = read_image(tiny_shot / "plate" / "plate.1002.exr")
    assert matte.header.channels == ("R", "G", "B", "A")
    assert (matte.header.value_type, matte.header.compression) == ("float", "PIZ")
    assert np.array_equal(matte.colour, plate.colour)


def test_previews_and_movie(tiny_shot: Path, tiny_weights: Path) -> None:
    movie = tiny_shot / "matte.mov"
    more = ["--preview", "sheet", "--preview", "movie", "--movie", movie, "--fps", 30, "--json"]
    result = ran(tiny_shot, tiny_weights, *more)
    assert result.exit_code == 0, result.output
    sheet, moving = tiny_shot / "matte" / "preview.png", tiny_shot / "matte" / "preview.mp4"
    assert events(result)[-1]["files"] == [str(sheet), str(moving), str(movie)]
    assert cv2.imread(str(sheet)).shape[0] > 5 * 48
    with av.open(str(movie)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.average_rate) == ("prores", 30)
        frames = list(container.decode(stream))
    assert len(frames) == 5
    alpha = read_image(tiny_shot / "matte" / "matte.1003.exr").pixels[:, :, 0]
    planes = frames[2].to_ndarray(format="rgba64le")
    assert np.abs(planes[:, :, 3] / 65535 - alpha).max() < 0.01


def test_ctrl_c_is_a_clean_stop_that_can_be_gone_on_from(
    tiny_shot: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vfxmatte.reporting.events import JsonReport

    told = JsonReport.frame

    def stop_after_two(self: JsonReport, result: FrameResult, pace: Pace) -> None:
        told(self, result, pace)
        if pace.frames == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(JsonReport, "frame", stop_after_two)
        stopped = ran(tiny_shot, tiny_weights, "--json")
    totals = events(stopped)[-1]
    assert stopped.exit_code == 130
    assert (totals["event"], totals["interrupted"], totals["written"]) == ("totals", True, 2)
    finished = events(ran(tiny_shot, tiny_weights, "--json"))[-1]
    assert (finished["kept"], finished["written"], finished["failed"]) == (2, 3, 0)


_INTERRUPTED = """
import os, signal
from vfxmatte.cli import main
from vfxmatte.reporting.events import JsonReport

told = JsonReport.frame

def frame(self, result, pace):
    told(self, result, pace)
    if pace.frames == 2:
        os.kill(os.getpid(), signal.SIGINT)

JsonReport.frame = frame
main()
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_real_interrupt_ends_the_process_with_130(tiny_shot: Path, tiny_weights: Path) -> None:
    arguments = ["run", str(tiny_shot), "--weights", str(tiny_weights), "--json"]
    done = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED, *arguments], capture_output=True, text=True
    )
    totals = json.loads(done.stdout.splitlines()[-1])
    assert (totals["interrupted"], totals["written"]) == (True, 2)
    assert (done.returncode, done.stderr) == (130, "")
    assert not list((tiny_shot / "matte").rglob(".*part*"))


# -- options -----------------------------------------------------------------------------------


def options(*arguments: object) -> Shot:
    """The shot that the options amount to."""
    import click

    caught: list[Shot] = []

    @click.command()
    @shot_options
    def command(**values: Any) -> None:
        caught.append(shot_of(values))

    command.main([str(a) for a in arguments], standalone_mode=False)
    return caught[0]


def test_options_override_the_folder_and_its_settings(tiny_shot: Path, tmp_path: Path) -> None:
    text = 'frames = "1001-1003"\nkeyframe_growth = 2\n[output]\ncompression = "dwaa"\n'
    (tiny_shot / "shot.toml").write_text(text, encoding="utf-8")
    plain = options(tiny_shot)
    assert (str(plain.settings.frames), plain.settings.keyframe_growth) == ("1001-1003", 2.0)
    shot = options(tiny_shot, "--frames", "1002-1005", "--pixel-type", "float", "--part", "2")
    assert str(shot.settings.frames) == "1002-1005"
    assert shot.settings.part == 2
    assert (shot.settings.output.pixel_type, shot.settings.output.compression) == ("float", "dwaa")
    (tmp_path / "keys").mkdir()
    moved = options(
        tiny_shot, "--plate", tmp_path / "other.####.exr", "--trimaps", tmp_path / "keys"
    )
    assert moved.plate == tmp_path / "other.####.exr"
    assert (moved.name, dict(moved.keyframes)) == ("tiny shot", {})
    assert moved.output == tiny_shot / "matte"
    assert moved.settings.keyframe_growth == 2.0


def test_set_reaches_any_setting(tiny_shot: Path) -> None:
    shot = options(tiny_shot, "--set", "propagation.proxy_px=480", "--set", "engine.device=cpu")
    assert (shot.settings.propagation.proxy_px, shot.settings.engine.device) == (480, "cpu")
    with pytest.raises(UsageError, match="proxy_px"):
        options(tiny_shot, "--set", "propagation.proxy_px=wide")


# -- check -------------------------------------------------------------------------------------


def test_check_finds_and_counts(tiny_shot: Path, tiny_weights: Path) -> None:
    ran(tiny_shot, tiny_weights, "--frames", "1001-1002", "--quiet")
    before = sorted(p for p in tiny_shot.rglob("*"))
    result = invoke("check", tiny_shot, "--weights", tiny_weights, "--json")
    found = json.loads(result.stdout)
    assert result.exit_code == found["exit_code"] == 0
    assert sorted(p for p in tiny_shot.rglob("*")) == before  # nothing is written
    assert (found["plate"]["width"], found["plate"]["height"], found["plate"]["fps"]) == (
        64,
        48,
        24,
    )
    assert [k["frame"] for k in found["keyframes"]] == [1001, 1005]
    assert all(0 < k["unknown_share"] < 0.5 for k in found["keyframes"])
    assert (found["to_do"], found["finished"], found["stale"]) == (3, 2, 0)
    assert 0 < found["needed_bytes"] < found["free_bytes"]
    assert "weights    tiny random" in invoke("check", tiny_shot, "--weights", tiny_weights).stdout


def test_check_sees_what_is_stale(tiny_shot: Path, tiny_weights: Path) -> None:
    ran(tiny_shot, tiny_weights, "--quiet")
    keyframe = tiny_shot / "trimaps" / "trimap.1005.png"
    labels = cv2.imread(str(keyframe), cv2.IMREAD_GRAYSCALE)
    labels[:4, :4] = UNKNOWN
    cv2.imwrite(str(keyframe), labels)
    checked = invoke("check", tiny_shot, "--weights", tiny_weights, "--json")
    found = json.loads(checked.stdout)
    assert (found["finished"], found["stale"], found["to_do"]) == (1, 4, 4)
    totals = events(ran(tiny_shot, tiny_weights, "--json"))[-1]
    assert (totals["kept"], totals["written"]) == (1, 4)  # as check said


def test_check_names_what_is_odd_and_what_is_missing(tiny_shot: Path, tiny_weights: Path) -> None:
    cv2.imwrite(str(tiny_shot / "trimaps" / "trimap.1002.png"), np.zeros((48, 64), np.uint8))
    cv2.imwrite(str(tiny_shot / "trimaps" / "trimap.1003.png"), np.full((48, 64), 128, np.uint8))
    cv2.imwrite(str(tiny_shot / "trimaps" / "trimap.1004.png"), np.zeros((20, 20), np.uint8))
    cv2.imwrite(str(tiny_shot / "trimaps" / "trimap.2001.png"), np.zeros((48, 64), np.uint8))
    result = invoke("check", tiny_shot, "--weights", tiny_weights)
    assert result.exit_code == 3
    assert "1002 0.0% unknown; all of it is background" in result.stdout
    assert "1003 100.0% unknown; everything is unknown" in result.stdout
    assert "1004 cannot be used" in result.stdout
    assert "20x20, the plate is 64x48" in result.stdout
    assert "keyframe 2001 is not used: the plate has no such frame" in result.stdout
    assert "cannot run" in result.stdout


def test_check_tells_of_missing_and_damaged_frames(tiny_shot: Path, tiny_weights: Path) -> None:
    (tiny_shot / "plate" / "plate.1003.exr").unlink()
    (tiny_shot / "plate" / "plate.1004.exr").write_bytes(b"not an EXR")
    refused = invoke("check", tiny_shot, "--weights", tiny_weights)
    assert refused.exit_code == 3 and "missing    frame 1003\n" in refused.stdout
    held = invoke("check", tiny_shot, "--weights", tiny_weights, "--missing", "hold")
    assert held.exit_code == 1
    assert "frame 1003 is missing from the plate: solved" in held.stdout
    assert "frame 1004 cannot be read, or differs from the first one: it will" in held.stdout
    assert "ready: " in held.stdout


def test_check_ends_with_the_command_that_runs_the_shot(tiny_shot: Path) -> None:
    options = ["--engine", "trimap", "--frames", "1001-1002", "--set", "output.rgba=straight"]
    lines = invoke("check", tiny_shot, *options).stdout.splitlines()
    command = shlex.split(lines[-1].removeprefix("ready: "))
    assert command[:3] == ["vfxmatte", "run", str(tiny_shot)]
    done = invoke(*command[1:])
    assert done.exit_code == 0 and "2 written" in done.stdout


def test_check_without_weights_or_keyframes(tiny_shot: Path, tmp_path: Path) -> None:
    for path in (tiny_shot / "trimaps").iterdir():
        path.unlink()
    found = json.loads(invoke("check", tiny_shot, "--weights", tmp_path / "no", "--json").stdout)
    assert found["exit_code"] == 3 and found["plate"]["frames"] == "1001-1005"
    assert any("no such weights" in problem for problem in found["problems"])
    assert any("no keyframe" in problem for problem in found["problems"])


# -- the other commands ------------------------------------------------------------------------


def test_trimap_from_matte_keeps_numbers_and_hand_work(tiny_shot: Path, tmp_path: Path) -> None:
    pattern = tiny_shot / "alpha" / "alpha.####.exr"
    made = tmp_path / "keys"
    arguments = ["trimap", "from-matte", pattern, "-o", made, "--frames", "1001-1005x2"]
    result = invoke(*arguments, "--erode", 2, "--dilate", 4)
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in made.iterdir()) == [f"trimap.{n}.png" for n in (1001, 1003, 1005)]
    assert result.stdout.count("% unknown") == 3
    labels = cv2.imread(str(made / "trimap.1001.png"), cv2.IMREAD_GRAYSCALE)
    alpha = read_image(tiny_shot / "alpha" / "alpha.1001.exr").pixels[:, :, 0]
    assert labels.shape == (48, 64) and set(np.unique(labels)) == {0, 128, 255}
    assert (labels[(alpha > 0.02) & (alpha < 0.98)] == UNKNOWN).all()
    inner = [
        cv2.imread(str(made / "trimap.1001.png"), cv2.IMREAD_GRAYSCALE)[24, 26 + x]
        for x in (8, 10, 17, 19)
    ]  # the solid part ends at 11, the support at 14
    assert inner == [255, UNKNOWN, UNKNOWN, 0]
    before = (made / "trimap.1001.png").read_bytes()
    refused = invoke(*arguments, "--erode", 6)
    assert refused.exit_code == 3 and "--overwrite" in refused.stderr
    assert (made / "trimap.1001.png").read_bytes() == before
    assert invoke(*arguments, "--erode", 6, "--overwrite").exit_code == 0
    assert (made / "trimap.1001.png").read_bytes() != before


@pytest.mark.parametrize("kind", ["grey", "alpha", "opaque"])
def test_trimap_from_pngs(tmp_path: Path, kind: str) -> None:
    disc = np.zeros((60, 80), np.uint8)
    cv2.circle(disc, (40, 30), 18, 255, -1)
    full = np.full_like(disc, 255)
    planes = {
        "grey": disc,
        "alpha": np.dstack([full, full, full, disc]),
        "opaque": np.dstack([disc, disc, disc, full]),
    }
    cv2.imwrite(str(tmp_path / "roto.0012.png"), planes[kind])
    result = invoke(
        "trimap", "from-matte", tmp_path / "roto.0012.png", "-o", tmp_path, "--erode", 3
    )
    assert result.exit_code == 0, result.output
    labels = cv2.imread(str(tmp_path / "trimap.0012.png"), cv2.IMREAD_GRAYSCALE)
    assert (labels[30, 40], labels[30, 58], labels[2, 2]) == (255, UNKNOWN, 0)


def test_trimap_from_matte_refuses_wrong_use(tiny_shot: Path, tmp_path: Path) -> None:
    pattern = tiny_shot / "alpha" / "alpha.####.exr"
    none = invoke("trimap", "from-matte", pattern, "-o", tmp_path / "k", "--frames", "1-9")
    assert none.exit_code == 2 and "there is 1001-1005" in none.stderr
    twice = invoke("trimap", "from-matte", pattern, tiny_shot / "alpha", "-o", tmp_path / "k")
    assert twice.exit_code == 2 and "two mattes claim frame 1001" in twice.stderr
    negative = invoke("trimap", "from-matte", pattern, "-o", tmp_path / "k", "--erode=-1")
    assert negative.exit_code == 2
    assert not (tmp_path / "k").exists()


def test_info_describes_weights_and_says_where_there_are_none(
    tiny_weights: Path, tmp_path: Path
) -> None:
    found = json.loads(invoke("info", "--weights", tiny_weights, "--json").stdout)
    assert found["weights"]["name"] == "tiny random network for tests"
    assert found["weights"]["network"]["width"] == 0.0625
    assert found["devices"][0]["name"] == "cpu" and "dim" in found["engines"]
    assert "ACEScg" in found["colour"]["colorspaces"]
    assert "ProRes" in found["codecs"]["movies read"]
    shown = invoke("info", "--weights", tiny_weights)
    assert shown.exit_code == 0
    assert "licence Apache-2.0" in shown.stdout
    assert "how good they are is not known" in shown.stdout
    missing = invoke("info", "--weights", tmp_path / "none.safetensors")
    assert missing.exit_code == 3 and "no usable weights" in missing.stdout


def test_info_notices_damaged_weights(tiny_weights: Path, tmp_path: Path) -> None:
    data = bytearray(tiny_weights.read_bytes())
    data[-1] ^= 1
    (tmp_path / "w.safetensors").write_bytes(bytes(data))
    (tmp_path / "w.json").write_bytes(tiny_weights.with_suffix(".json").read_bytes())
    result = invoke("info", "--weights", tmp_path / "w.safetensors")
    assert result.exit_code == 3 and "damaged" in result.stdout
    assert "licence" not in result.stdout  # the sidecar says nothing of this file
    (tmp_path / "w.safetensors").write_bytes(b"")
    empty = invoke("info", "--weights", tmp_path / "w.safetensors", "--json")
    assert empty.exit_code == 3 and set(json.loads(empty.stdout)["weights"]) == {"path", "error"}


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    result = invoke("completion", shell)
    assert result.exit_code == 0 and "_VFXMATTE_COMPLETE" in result.stdout


def test_every_command_has_help() -> None:
    for name in commands.list_commands(None):  # type: ignore[arg-type]
        result = invoke(name, "--help")
        assert result.exit_code == 0 and "Usage: vfxmatte" in result.stdout
    assert "130 stopped by Ctrl-C" in " ".join(invoke("--help").stdout.split())
    assert invoke("--version").stdout.startswith("vfxmatte, version ")
    assert invoke("walk").exit_code == 2


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["check", "SHOT"]])
def test_no_torch_is_loaded(tiny_shot: Path, arguments: list[str]) -> None:
    given = [str(tiny_shot) if a == "SHOT" else a for a in arguments]
    program = (
        "import sys; from vfxmatte.cli import commands\n"
        f"commands.main({given!r}, standalone_mode=False)\n"
        "print('torch' in sys.modules, 'ended')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.endswith("False ended\n"), done.stdout + done.stderr


# -- pace --------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_pace_counts_work_and_names_the_slowest_stage() -> None:
    clock = Clock()
    pace = Pace(clock=clock)
    pace.add(FrameResult(number=1, status="kept", stats={"solve_ms": 9e9}))
    assert (pace.fps, pace.steady_fps, pace.seconds_left(9), pace.slowest_stage) == (
        0,
        None,
        None,
        None,
    )
    clock.now = 110.0
    pace.add(FrameResult(number=2, status="written", stats={"solve_ms": 30, "read_ms": 5}))
    clock.now = 112.0
    pace.add(FrameResult(number=3, status="written", stats={"solve_ms": 1, "read_ms": 40}))
    clock.now = 114.0
    pace.add(FrameResult(number=4, status="failed", error=PlateError("gone")))
    assert (pace.frames, pace.worked, pace.seconds) == (4, 3, 14.0)
    assert pace.fps == pytest.approx(3 / 14)
    assert pace.steady_fps == pytest.approx(0.5)  # starting up does not count
    assert pace.seconds_left(10) == pytest.approx(20)
    assert pace.slowest_stage == "read"


def test_a_keyframe_is_suggested_where_trust_is_lacking() -> None:
    def result(number: int, distance: int, confidence: float) -> FrameResult:
        stats = {"confidence": confidence, "unknown_share": 0.1, "keyframe_distance": distance}
        return FrameResult(number=number, status="written", stats=stats)

    ends = [result(1001, 0, 1.0), result(1005, 0, 1.0)]
    doubtful = [result(1002, 1, 0.9), result(1003, 2, 0.2), result(1004, 1, 0.9)]
    found = suggestion([*ends, *doubtful])
    assert found == {"suggested_keyframe": 1003, "suggested_confidence": 0.2}
    pace = Pace()
    pace.add(ends[0])
    said = "\n".join(Totals.of(pace, device="cpu", **found).lines())
    assert "a further keyframe would help most on frame 1003 (confidence there 0.20)" in said
    sure = suggestion([*ends, result(1003, 2, 1.0)])
    assert "keyframe" not in "\n".join(Totals.of(pace, device="cpu", **sure).lines())
    assert suggestion(ends) == {}


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "-:--"), (0, "0:00"), (65.4, "1:05"), (7200, "2:00:00")]
)
def test_clock_text(seconds: float | None, text: str) -> None:
    assert clock_text(seconds) == text
