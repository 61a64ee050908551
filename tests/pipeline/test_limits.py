"""Garbage and core mattes: they limit alpha, and what is wrong with them is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from tests.pipeline.counting import run_counted
from tests.pipeline.tiny_mattes import (
    NUMBERS,
    SOFT_WALL,
    X,
    alpha_of,
    alphas,
    half,
    labels_of,
    prints,
    write,
)
from tests.subjects import write_subjects
from vfxmatte.cli.group import commands
from vfxmatte.errors import ShotError, TrimapError
from vfxmatte.io.stills.reading import read_image
from vfxmatte.pipeline.shot import Shot
from vfxmatte.types import BACKGROUND, FOREGROUND


@pytest.mark.parametrize("suffix", [".png", ".tif", ".exr"])
def test_garbage_limits_alpha_and_is_known_to_the_trimap(
    tiny_shot: Path, tmp_path: Path, suffix: str
) -> None:
    _, plain = run_counted(tiny_shot, tmp_path / "plain")
    still = write(tiny_shot / "garbage" / f"wall{suffix}", SOFT_WALL)
    results, engine = run_counted(tiny_shot)
    garbage = read_image(still).pixels[:, :, -1]
    for number in NUMBERS:
        labels, before = engine.labels[number], plain.labels[number]
        assert (labels[:, 40:] == BACKGROUND).all() and (before[:, 40:] != BACKGROUND).any()
        np.testing.assert_array_equal(labels[:, :40], before[:, :40])
        np.testing.assert_array_equal(labels_of(tiny_shot / "matte", number), labels)
        alpha = alpha_of(results[number].path)
        assert (alpha[:, 40:] == 0).all() and (alpha <= half(garbage)).all()
        solved = alphas(tmp_path / "plain")[number]
        np.testing.assert_array_equal(alpha[:, :32], solved[:, :32])
        np.testing.assert_array_equal(alpha, half(np.minimum(solved, garbage)))
        assert results[number].stats["garbage_share"] == pytest.approx(24 / 64)
    manifest = json.loads((tiny_shot / "matte" / "manifest.json").read_text(encoding="utf-8"))
    assert f"wall{suffix}" in manifest["limits"]["garbage"]
    assert manifest["frames"][0]["stats"]["garbage_share"] > 0


def test_the_core_holds_alpha_and_is_known_to_the_trimap(tiny_shot: Path, tmp_path: Path) -> None:
    core = np.clip((X - 40) / 8, 0, 1).astype(np.float32)  # 1 from 48 on
    run_counted(tiny_shot, tmp_path / "plain")
    write(tiny_shot / "core" / "core.exr", core)
    results, engine = run_counted(tiny_shot)
    for number in NUMBERS:
        assert (engine.labels[number][:, 48:] == FOREGROUND).all()
        expected = np.maximum(alphas(tmp_path / "plain")[number], core)
        np.testing.assert_array_equal(alpha_of(results[number].path), half(expected))
        assert results[number].stats["core_share"] == pytest.approx(16 / 64)


def test_where_both_claim_a_pixel_garbage_wins_and_it_is_reported(tiny_shot: Path) -> None:
    everywhere = np.ones((48, 64), np.float32)
    write(tiny_shot / "core" / "core.exr", everywhere)
    write(tiny_shot / "garbage" / "garbage.exr", everywhere * (X < 16))
    results, _ = run_counted(tiny_shot)
    for result in results.values():
        np.testing.assert_array_equal(alpha_of(result.path), X < 16)
        assert result.stats["garbage_over_core_share"] == pytest.approx(48 / 64)


def test_a_moving_garbage_matte_concerns_its_own_frames_and_missing_ones_are_held(
    tiny_shot: Path,
) -> None:
    for number, edge in ((1001, 60), (1002, 50), (1004, 40)):
        write(tiny_shot / "garbage" / f"g.{number}.png", (edge > X).astype(np.float32))
    results, _ = run_counted(tiny_shot)
    for number, edge in zip(NUMBERS, (60, 50, 50, 40, 40), strict=True):
        assert results[number].stats["garbage_share"] == pytest.approx(1 - edge / 64)
    manifest = json.loads((tiny_shot / "matte" / "manifest.json").read_text(encoding="utf-8"))
    assert any("1003,1005 have no garbage matte of their own" in n for n in manifest["notes"])
    assert run_counted(tiny_shot)[1].solved == []
    write(tiny_shot / "garbage" / "g.1002.png", (X < 45).astype(np.float32))
    assert run_counted(tiny_shot)[1].solved == [1002, 1003]
    write(tiny_shot / "garbage" / "g.1005.png", (X < 40).astype(np.float32))
    assert run_counted(tiny_shot)[1].solved == []  # the same picture as the one that was held
    shutil.rmtree(tiny_shot / "garbage")
    assert run_counted(tiny_shot)[1].solved == NUMBERS


def test_a_frame_before_the_first_garbage_matte_has_that(tiny_shot: Path) -> None:
    write(tiny_shot / "garbage" / "g.1003.png", (X < 50).astype(np.float32))
    write(tiny_shot / "garbage" / "g.1004.png", (X < 40).astype(np.float32))
    results, _ = run_counted(tiny_shot)
    shares = [results[n].stats["garbage_share"] for n in NUMBERS]
    assert shares == pytest.approx([14 / 64] * 3 + [24 / 64] * 2)


def notes_of(shot: Path, command: str, *options: str) -> list[str]:
    """What check, or a run, remarks on."""
    words = [command, str(shot), "--engine", "trimap", "--json", *options]
    answer = CliRunner().invoke(commands, words)
    assert answer.exit_code == 0, answer.output
    if command == "check":
        return list(json.loads(answer.stdout)["notes"])
    lines = [json.loads(line) for line in answer.stdout.splitlines()]
    said = [line["text"] for line in lines if line["event"] == "note"]
    return [*lines[0]["notes"], *said]


@pytest.mark.parametrize("command", ["check", "run"])
def test_what_holds_before_the_first_garbage_matte_is_said(tiny_shot: Path, command: str) -> None:
    for number in (1003, 1005):
        write(tiny_shot / "garbage" / f"g.{number}.png", (X < 62).astype(np.float32))
    assert [note for note in notes_of(tiny_shot, command) if "garbage" in note] == [
        "frames 1001-1002 have no garbage matte of their own: the first, of frame 1003, is held",
        "frame 1004 has no garbage matte of its own: the one before is held",
    ]


@pytest.mark.parametrize("command", ["check", "run"])
def test_mattes_that_contradict_the_keyframes_are_doubted(tiny_shot: Path, command: str) -> None:
    black, white = np.zeros((48, 64), np.float32), np.ones((48, 64), np.float32)
    write(tiny_shot / "garbage" / "g.png", black)
    write(tiny_shot / "core" / "c.png", white)
    garbage, core = (note for note in notes_of(tiny_shot, command) if "inverted" in note)
    assert "removes 100% of what keyframe 1001 paints as foreground: is it inverted?" in garbage
    assert "core matte makes solid 100% of what keyframe 1001 paints as background" in core
    write(tiny_shot / "garbage" / "g.png", white)
    write(tiny_shot / "core" / "c.png", black)
    assert not any("inverted" in note for note in notes_of(tiny_shot, command))


@pytest.mark.parametrize("command", ["check", "run"])
def test_the_last_keyframe_is_compared_too(tiny_shot: Path, command: str) -> None:
    for number in NUMBERS:
        values = np.full((48, 64), number < 1004, np.float32)
        write(tiny_shot / "garbage" / f"g.{number}.png", values)
    (note,) = (note for note in notes_of(tiny_shot, command) if "inverted" in note)
    assert "keyframe 1005 paints" in note
    inside = notes_of(tiny_shot, command, "--frames", "1001-1003")
    assert not any("inverted" in note for note in inside)


def test_doubts_name_the_subject(tmp_path: Path) -> None:
    folder = write_subjects(tmp_path / "two")
    black = np.zeros((80, 128), np.uint8)
    (folder / "garbage" / "dog").mkdir(parents=True)
    cv2.imwrite(str(folder / "garbage" / "dog" / "g.png"), black)
    for command in ("check", "run"):
        (note,) = (note for note in notes_of(folder, command, "--fit", "off") if "inverted" in note)
        assert note.startswith("dog: the garbage matte removes 100% of what keyframe 1001 paints")


@pytest.mark.parametrize("command", ["check", "run"])
def test_an_empty_folder_is_said_to_limit_nothing(tiny_shot: Path, command: str) -> None:
    for name in ("garbage", "core", "keys"):
        (tiny_shot / name).mkdir()
    wall = write(tiny_shot / "roto" / "wall.png", SOFT_WALL)
    notes = [note for note in notes_of(tiny_shot, command) if "is empty" in note]
    assert notes == [
        f"{tiny_shot / kind} is empty: there is no {kind} matte, and nothing is limited by one"
        for kind in ("garbage", "core")
    ]
    notes = [n for n in notes_of(tiny_shot, command, "--core", str(wall)) if "is empty" in n]
    assert len(notes) == 1 and "garbage" in notes[0]


def test_without_any_control_fingerprints_are_those_of_before(tiny_shot: Path) -> None:
    """An empty folder, as a template of shots has it, is none; old mattes stay good."""
    run_counted(tiny_shot)
    before = prints(tiny_shot / "matte")
    for name in ("garbage", "core", "keys"):
        (tiny_shot / name).mkdir()
        (tiny_shot / name / ".keep").touch()
    results, engine = run_counted(tiny_shot)
    assert engine.solved == [] and prints(tiny_shot / "matte") == before
    assert not any("share" in name and "unknown" not in name for name in results[1001].stats)


@pytest.mark.parametrize("kind", ["garbage", "core"])
def test_a_limit_of_another_size_is_refused_before_any_work(tiny_shot: Path, kind: str) -> None:
    good = np.ones((48, 64), np.float32)
    write(tiny_shot / kind / f"{kind}.1001.png", good)
    bad = write(tiny_shot / kind / f"{kind}.1004.png", good[:24, :32])
    with pytest.raises(TrimapError, match=f"{kind} matte is 32x24, the plate is 64x48") as caught:
        run_counted(tiny_shot)
    assert (caught.value.shot, caught.value.frame) == (tiny_shot.name, 1004)
    assert caught.value.path == str(bad) and not list((tiny_shot / "matte").glob("matte.*"))
    answer = CliRunner().invoke(commands, ["check", str(tiny_shot)])
    assert answer.exit_code == 3 and "32x24" in answer.output
    assert list(run_counted(tiny_shot, frames="1001-1003")[0]) == [1001, 1002, 1003]


def test_a_damaged_garbage_matte_fails_its_frames_alone(tiny_shot: Path) -> None:
    for number in NUMBERS:
        write(tiny_shot / "garbage" / f"g.{number}.png", SOFT_WALL)
    path = tiny_shot / "garbage" / "g.1003.png"
    path.write_bytes(path.read_bytes()[:-60])
    results, _ = run_counted(tiny_shot)
    assert {n: r.status for n, r in results.items()} == {
        n: "failed" if n == 1003 else "written" for n in NUMBERS
    }
    error = results[1003].error
    assert error is not None and error.frame == 1003 and error.path == str(path)


def test_a_still_that_would_fail_every_frame_is_refused_before_any_work(tiny_shot: Path) -> None:
    run_counted(tiny_shot)
    before = sorted((tiny_shot / "matte").glob("matte.*"))
    red = np.zeros((48, 64, 3), np.uint8)
    red[..., 2] = 255
    path = tiny_shot / "garbage" / "g.png"
    path.parent.mkdir()
    cv2.imwrite(str(path), red)
    with pytest.raises(TrimapError, match="in colour, without alpha") as caught:
        run_counted(tiny_shot)
    assert caught.value.path == str(path)
    assert sorted((tiny_shot / "matte").glob("matte.*")) == before
    answer = CliRunner().invoke(commands, ["check", str(tiny_shot)])
    assert answer.exit_code == 3 and "in colour" in answer.output


def test_a_folder_with_two_garbage_sequences_is_ambiguous(tiny_shot: Path) -> None:
    write(tiny_shot / "garbage" / "a.1001.png", SOFT_WALL)
    write(tiny_shot / "garbage" / "b.1001.png", SOFT_WALL)
    with pytest.raises(ShotError, match="one sequence"):
        run_counted(tiny_shot)


def test_a_garbage_sequence_with_other_numbers_is_refused(tiny_shot: Path) -> None:
    for number in (1, 2, 3):
        write(tiny_shot / "garbage" / f"g.{number:04d}.png", SOFT_WALL)
    with pytest.raises(ShotError, match="frames 1-3, the plate 1001-1005") as caught:
        run_counted(tiny_shot)
    assert caught.value.path == str(tiny_shot / "garbage" / "g.####.png")
    assert not list((tiny_shot / "matte").glob("matte.*"))


def test_they_may_lie_anywhere(tiny_shot: Path, tmp_path: Path) -> None:
    """By shot.toml (relative to the shot), by options, by Python; settings win over folders."""
    write(tiny_shot / "garbage" / "g.png", np.ones((48, 64), np.float32))
    write(tiny_shot / "roto" / "out.png", SOFT_WALL)
    (tiny_shot / "shot.toml").write_text('garbage = "roto/out.png"\n', encoding="utf-8")
    shot = Shot.open(tiny_shot)
    assert shot.sides_with(shot.settings) == {"garbage": tiny_shot / "roto" / "out.png"}
    base = ["run", str(tiny_shot), "--engine", "trimap", "--json"]
    for options in ([], ["--garbage", str(tiny_shot / "roto")]):
        answer = CliRunner().invoke(commands, [*base, "-o", str(tmp_path / "m"), *options])
        assert answer.exit_code == 0, answer.output
        first = next(json.loads(line) for line in answer.output.splitlines() if "frame" in line)
        assert "out.png" in first["limits"]["garbage"]
        assert (alphas(tmp_path / "m")[1003][:, 40:] == 0).all()
    with pytest.raises(ShotError, match="no such file"):
        run_counted(tiny_shot, tmp_path / "n", garbage=str(tmp_path / "lost.png"))
