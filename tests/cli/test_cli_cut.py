"""`vfxmatte cut`: what it says, what it writes, and how it ends."""

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
from tests.farm.conftest import write_program  # noqa: E402
from vfxmatte.cli import commands  # noqa: E402
from vfxmatte.io.stills.reading import read_image  # noqa: E402
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
    return invoke("cut", cut, *options, *more)


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
    assert "with failures: sh010; 1 clip or shot not matted" in result.stdout


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
        (["cut", "CUT"], 2, "Missing option '-o'"),
        (["cut", "CUT", "-o", "OUT", "--frames", "1-2"], 2, "No such option"),
        (["cut", "CUT", "-o", "OUT", "--trimaps", "CUT"], 2, "--trimaps is a folder"),
        (["cut", "CUT", "-o", "OUT", "--only", "x"], 2, "no clip of the cut is called x"),
        (["cut", "CUT", "-o", "OUT", "--otio-out", "CUT"], 3, "is there already"),
        (["cut", "CUT", "-o", "OUT", "--colorspace", "ACESc"], 3, "did you mean"),
        (["cut", "CUT", "-o", "OUT", "--rate", "25"], 2, "--rate is for EDLs"),
        (["cut", "CUT", "-o", "OUT", "--rate", "fast"], 2, "no frame rate"),
        (["cut", "CUT", "-o", "OUT", "--map", "P:"], 2, "--map 'P:' is not understood"),
        (["cut", "CUT", "-o", "OUT", "--timeline", "x"], 3, "no timelines are called 'x'"),
        (["run", "--otio", "CUT", "-o", "OUT"], 2, "vfxmatte cut cut.otio"),
        (["run", "SHOT", "--handles", "8"], 2, "vfxmatte cut cut.otio"),
        (["run", "SHOT", "--dry-run"], 2, "vfxmatte check"),
        (["farm", "SHOT", "--handles", "8", "-o", "OUT"], 2, "--handles without a cut"),
        (["farm", "SHOT", "--cut", "CUT", "--output", "OUT", "-o", "OUT"], 2, "SHOT cannot go"),
        (["farm", "--cut", "CUT", "-o", "OUT"], 2, "--output is missing"),
    ],
)
def test_wrong_use_is_said_once(cut: Path, arguments: list[str], code: int, said: str) -> None:
    places = {"CUT": cut, "OUT": cut.parent / "mattes", "SHOT": cut.parent / "one"}
    result = invoke(*(places.get(a, a) for a in arguments))
    assert result.exit_code == code, result.output
    assert said in result.stderr


def test_a_dry_run_loads_no_torch(cut: Path) -> None:
    code = (
        "import sys; from vfxmatte.cli import commands\n"
        "commands(sys.argv[1:], standalone_mode=False); print('torch' in sys.modules)"
    )
    options = ["cut", str(cut), "-o", str(cut.parent / "mattes"), "--dry-run"]
    command = [sys.executable, "-c", code, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "2 frames to do" in done.stdout and done.stdout.splitlines()[-1] == "False"


def test_without_opentimelineio_the_command_to_install_it_is_said(cut: Path) -> None:
    code = (
        "import sys; sys.modules['opentimelineio'] = None; sys.argv[0] = 'vfxmatte'\n"
        "from vfxmatte.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "cut", str(cut), "-o", str(cut.parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'vfxmatte[editorial]'" in done.stderr and "Traceback" not in done.stderr


# -- as farm jobs -----------------------------------------------------------------------------


def test_a_cut_becomes_a_job_for_each_shot_that_runs(
    cut: Path, tiny_weights: Path, warm_python: Path
) -> None:
    """Workers read neither the cut nor a shot.toml."""
    pytest.importorskip("openjd.cli")
    (cut.parent / "one" / "shot.toml").write_text(
        'keyframe_growth = 0.5\n[output]\ncompression = "zips"\n[propagation]\ngrowth_px = 2\n'
    )
    assert ran(cut, tiny_weights, "--handles", 1).exit_code == 0
    (cut.parent / "mattes").rename(cut.parent / "plain")
    program = write_program(cut.parent / "vfxmatte.sh", warm_python)
    jobs = cut.parent / "jobs"
    result = invoke("farm", "--cut", cut, "--output", cut.parent / "mattes", "--handles", 1,
                    "--weights", tiny_weights, "--device", "cpu", "--chunk", 2, "-o", jobs,
                    "--vfxmatte", program)  # fmt: skip
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in jobs.iterdir()) == ["sh010", "sh020"]
    (cut.parent / "one" / "shot.toml").unlink()
    for job in sorted(jobs.iterdir()):
        parameters = f"file://{job / 'openjd_parameters.json'}"
        run = ["run", str(job / "template.json"), "-p", parameters]
        command = [str(warm_python), "-m", "openjd", *run]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    for name, files in mattes(cut).items():
        assert files == sorted(p.name for p in (cut.parent / "plain" / name).glob("matte.*"))
        for file in files:
            one, other = (read_image(cut.parent / f / name / file) for f in ("plain", "mattes"))
            assert one.pixels.tobytes() == other.pixels.tobytes() and one.pixels.std() > 0
            compressions = [i.header.metadata.get("compression") for i in (one, other)]
            assert compressions[0] == compressions[1]


def test_a_shot_that_can_be_no_job_is_named(cut: Path, tiny_weights: Path) -> None:
    (cut.parent / "two" / "plate" / "plate.1003.exr").unlink()
    jobs = cut.parent / "jobs"
    how = ["--output", cut.parent / "mattes", "--weights", tiny_weights, "-o", jobs]
    result = invoke("farm", "--cut", cut, *how)
    assert result.exit_code == 1 and [p.name for p in jobs.iterdir()] == ["sh010"]
    assert "lacks 1 of 2 frames: 1003" in result.stderr and "sh020" in result.stderr
    cue = invoke(
        "farm", "--cut", cut, *how, "--scheduler", "opencue", "--show", "x", "--only", "sh01*"
    )
    assert cue.exit_code == 0
    text = (jobs / "sh010" / "opencue.xml").read_text()
    assert "<range>1002</range>" in text and "--trimaps" in text


def test_the_first_file_of_a_sequence_is_three_frames(cut: Path, tiny_weights: Path) -> None:
    """As in a cut that names each plate by its first file and gives no available range."""
    media = otio.schema.ExternalReference(target_url="one/plate/plate.1001.exr")
    saved(timeline_of(clip_of("sh010", media, 1001, 3)), cut)
    assert ran(cut, tiny_weights).exit_code == 0
    assert mattes(cut) == {"sh010": [f"matte.{n}.exr" for n in (1001, 1002, 1003)]}
    saved(timeline_of(clip_of("sh010", media.clone(), 1001, 9)), cut)
    longer = ran(cut, tiny_weights)
    assert longer.exit_code == 3 and "1001-1005" in longer.stderr
