"""`vfxmatte run --otio`: what it says, what it writes, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

otio = pytest.importorskip("opentimelineio")

from tests.conftest import write_tiny_shot  # noqa: E402
from tests.cuts import clip_of, plate_of, saved, timeline_of  # noqa: E402
from vfxmatte.cli import commands  # noqa: E402
from vfxmatte.io.images import read_image  # noqa: E402
from vfxmatte.pipeline.run import Run  # noqa: E402
from vfxmatte.types import FrameResult  # noqa: E402


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(commands, [str(a) for a in arguments], prog_name="vfxmatte")


def events(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def cut(tmp_path: Path) -> Path:
    """Two tiny shots, one of them in two clips, under addresses relative to the cut."""
    for name in ("one", "two"):
        write_tiny_shot(tmp_path / "show" / name)
    clips = [
        clip_of("sh010", plate_of("one/plate"), 86401, 1),
        clip_of("sh020", plate_of("two/plate"), 86401, 2),
        clip_of("sh030", plate_of("one/plate"), 86404, 1),
    ]
    return saved(timeline_of(*clips), tmp_path / "show" / "cut.otio")


def ran(cut: Path, weights: Path, *more: object) -> Result:
    options = ("--output", cut.parent / "mattes", "--weights", weights, "--device", "cpu")
    return invoke("run", "--otio", cut, *options, *more)


def mattes(cut: Path) -> dict[str, list[str]]:
    folders = sorted((cut.parent / "mattes").iterdir())
    return {f.name: sorted(p.name for p in f.glob("matte.*")) for f in folders}


def test_every_shot_of_a_cut_is_matted(cut: Path, tiny_weights: Path) -> None:
    out = cut.parent / "mattes.otio"
    result = ran(cut, tiny_weights, "--otio-out", out)
    assert result.exit_code == 0, result.output
    assert mattes(cut) == {
        "sh010": ["matte.1002.exr", "matte.1005.exr"],
        "sh020": ["matte.1002.exr", "matte.1003.exr"],
    }
    assert "sh010  frames 1002,1005, keyframes 1001,1005" in result.stdout
    assert "2 of 2 shots whole" in result.stdout
    upper = otio.adapters.read_from_file(str(out)).video_tracks()[1]
    (third,) = [clip for clip in upper.find_clips() if clip.name == "sh030"]
    number = third.media_reference.frame_for_time(third.source_range.start_time)
    assert number == 1005
    assert third.media_reference.target_url_base == f"{(cut.parent / 'mattes/sh010').as_uri()}/"
    written = read_image(cut.parent / "mattes" / "sh010" / f"matte.{number}.exr")
    assert written.pixels.shape[:2] == (48, 64)

    again = ran(cut, tiny_weights, "--json", "--otio-out", out)
    totals = [e for e in events(again) if e["event"] == "totals"]
    assert [(e["kept"], e["written"]) for e in totals] == [(1, 0), (1, 0), (2, 0)]


def test_json_tells_the_cut_first_and_the_end_last(cut: Path, tiny_weights: Path) -> None:
    found = events(ran(cut, tiny_weights, "--json", "--only", "sh020", "--handles", 1))
    assert found[0]["event"] == "cut" and found[-1]["event"] == "end"
    (shot,) = found[0]["shots"]
    assert shot["frames"] == ["1001-1004"] and shot["clips"] == ["sh020"]
    assert found[-1]["exit_codes"] == {"sh020": 0} and found[-1]["exit_code"] == 0
    frames = [e["frame"] for e in found if e["event"] == "frame"]
    assert frames == [1001, 1002, 1003, 1004]


def test_a_dry_run_says_all_and_writes_nothing(cut: Path, tiny_weights: Path) -> None:
    before = set(cut.parent.rglob("*"))
    result = ran(cut, tiny_weights, "--dry-run")
    assert result.exit_code == 0, result.output
    assert "sh020  frames 1002-1003, keyframes 1001,1005" in result.stdout
    assert "2 frames to do" in result.stdout
    gone = cut.parent / "two" / "plate" / "plate.1003.exr"
    gone.unlink()
    lacking = ran(cut, tiny_weights, "--dry-run")
    assert lacking.exit_code == 1
    assert "lacks 1 of 2 frames: 1003" in lacking.stderr and "shot sh020" in lacking.stderr
    assert set(cut.parent.rglob("*")) == before - {gone}


def test_a_shot_that_cannot_be_done_does_not_stop_the_others(cut: Path, tiny_weights: Path) -> None:
    (cut.parent / "one" / "plate" / "plate.1002.exr").write_bytes(b"not an image")
    timeline = otio.adapters.read_from_file(str(cut))
    timeline.tracks[0].append(clip_of("sh040", plate_of("three/plate"), 86400, 2))
    saved(timeline, cut)
    result = ran(cut, tiny_weights)
    assert result.exit_code == 1
    assert "three/plate/plate.####.exr" in result.stderr and "shot sh040" in result.stderr
    assert "frame 1002 failed" in result.stderr
    assert mattes(cut)["sh020"] == ["matte.1002.exr", "matte.1003.exr"]
    assert mattes(cut)["sh010"] == ["matte.1005.exr"]
    assert "with failures: sh010; 1 clips or shots not matted" in result.stdout


def test_ctrl_c_ends_the_whole_cut(
    cut: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Run) -> Iterator[FrameResult]:
        raise KeyboardInterrupt

    monkeypatch.setattr(Run, "frames", interrupted)
    result = ran(cut, tiny_weights, "--otio-out", cut.parent / "m.otio")
    assert result.exit_code == 130
    assert result.stdout.count("to do ") == 1 and not (cut.parent / "m.otio").exists()


def test_trimaps_of_a_root(cut: Path, tiny_weights: Path) -> None:
    keys = cut.parent / "keys" / "sh020"
    keys.mkdir(parents=True)
    for path in (cut.parent / "two" / "trimaps").iterdir():
        path.rename(keys / path.name)
    result = ran(cut, tiny_weights, "--trimaps", cut.parent / "keys")
    assert result.exit_code == 1
    assert list(mattes(cut)) == ["sh020"]
    assert "no keyframe trimap" in result.stderr and str(keys.parent / "sh010") in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["SHOT", "--otio", "CUT", "-o", "OUT"], 2, "SHOT cannot go with --otio"),
        (["--otio", "CUT", "-o", "OUT", "--frames", "1-2"], 2, "--frames cannot go"),
        (["--otio", "CUT", "-o", "OUT", "--movie", "a.mov"], 2, "--movie cannot go"),
        (["--otio", "CUT", "-o", "OUT", "--chunk"], 2, "--chunk cannot go"),
        (["--otio", "CUT"], 2, "--output is missing"),
        (["--otio", "CUT", "-o", "OUT", "--trimaps", "CUT"], 2, "--trimaps is a folder"),
        (["--otio", "CUT", "-o", "OUT", "--only", "x"], 2, "no clip of the cut is called x"),
        (["--otio", "CUT", "-o", "OUT", "--otio-out", "CUT"], 3, "is there already"),
        (["--otio", "CUT", "-o", "OUT", "--colorspace", "ACESc"], 3, "did you mean"),
        (["SHOT", "--handles", "8"], 2, "--handles without --otio"),
        (["SHOT", "--dry-run"], 2, "vfxmatte check"),
    ],
)
def test_wrong_use_is_said_once(cut: Path, arguments: list[str], code: int, said: str) -> None:
    places = {"CUT": cut, "OUT": cut.parent / "mattes", "SHOT": cut.parent / "one"}
    result = invoke("run", *(places.get(a, a) for a in arguments))
    assert result.exit_code == code, result.output
    assert said in result.stderr


def test_a_dry_run_loads_no_torch(cut: Path) -> None:
    code = (
        "import sys; from vfxmatte.cli import commands\n"
        "commands(sys.argv[1:], standalone_mode=False); print('torch' in sys.modules)"
    )
    options = ["run", "--otio", str(cut), "-o", str(cut.parent / "mattes"), "--dry-run"]
    command = [sys.executable, "-c", code, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "2 frames to do" in done.stdout and done.stdout.splitlines()[-1] == "False"


def test_without_opentimelineio_the_command_to_install_it_is_said(cut: Path) -> None:
    code = (
        "import sys; sys.modules['opentimelineio'] = None; sys.argv[0] = 'vfxmatte'\n"
        "from vfxmatte.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "run", "--otio", str(cut), "-o", str(cut.parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'vfxmatte[editorial]'" in done.stderr and "Traceback" not in done.stderr
