"""Garbage and core mattes, finished mattes as keyframes, and settings of edges."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from tests.conftest import TINY_NUMBERS, TINY_WINDOW, tiny_alpha
from tests.pipeline.counting import run_counted
from vfxmatte.cli.group import commands
from vfxmatte.errors import ShotError, TrimapError, UsageError
from vfxmatte.io.mattes import read_matte
from vfxmatte.io.stills.exr import write_exr
from vfxmatte.io.stills.halves import narrowed, widened
from vfxmatte.io.stills.reading import read_image
from vfxmatte.journal.journal import Journal
from vfxmatte.pipeline.edges import MatteSettings, shaped
from vfxmatte.pipeline.plan import same_alpha
from vfxmatte.pipeline.shot import Shot
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FloatImage, Window

NUMBERS = list(TINY_NUMBERS)
X = np.mgrid[0:48, 0:64][1].astype(np.float32)


def write(path: Path, values: FloatImage) -> Path:
    """Coverage as 16-bit PNG or TIFF, or as EXR in single precision."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".exr":
        write_exr(path, {"A": values}, data_window=TINY_WINDOW, display_window=TINY_WINDOW)
    else:
        levels = np.rint(values * 65535).astype(np.uint16)
        path.write_bytes(cv2.imencode(path.suffix, levels)[1].tobytes())
    return path


def half(alpha: FloatImage) -> FloatImage:
    return widened(narrowed(alpha))


def alpha_of(path: Path | None) -> FloatImage:
    assert path is not None
    return read_matte(path, TINY_WINDOW)


def alphas(folder: Path) -> dict[int, FloatImage]:
    return {n: alpha_of(folder / f"matte.{n}.exr") for n in NUMBERS}


def paths(folder: Path) -> dict[int, Path]:
    return {int(path.name.split(".")[1]): path for path in sorted(folder.glob("matte.*.*"))}


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("matte.*"))}


def labels_of(output: Path, number: int) -> np.ndarray:
    return np.asarray(cv2.imread(str(output / "trimaps" / f"trimap.{number}.png"), 0))


def prints(output: Path) -> dict[int, str]:
    return {n: record.fingerprint for n, record in Journal.peek(output).records.items()}


# -- garbage and core mattes ----------------------------------------------------------------------

SOFT_WALL = np.clip((40 - X) / 8, 0, 1).astype(np.float32)  # 1 up to 32, 0 from 40 on


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


# -- finished mattes as keyframes -----------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".exr", ".png", ".tif"])
def test_a_finished_matte_is_delivered_exactly_and_its_trimap_follows(
    tiny_shot: Path, tmp_path: Path, suffix: str
) -> None:
    run_counted(tiny_shot, tmp_path / "before")
    given = write(tiny_shot / "keys" / f"matte.1003{suffix}", tiny_alpha(2) * np.float32(0.9999))
    stored = read_image(given).pixels[:, :, -1]
    results, engine = run_counted(tiny_shot, output={"pixel_type": "float"})
    assert engine.solved == [1001, 1002, 1004, 1005]
    np.testing.assert_array_equal(alpha_of(results[1003].path), stored)
    assert results[1003].stats["keyframe_distance"] == 0
    labels = labels_of(tiny_shot / "matte", 1003)
    soft = (stored > 0.02) & (stored < 0.98)
    assert soft.any() and (labels[soft] == UNKNOWN).all()
    grown = cv2.dilate(soft.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert (labels[grown] == UNKNOWN).all()
    far = cv2.dilate(soft.astype(np.uint8), np.ones((13, 13), np.uint8)) == 0
    assert (labels[far & (stored < 0.5)] == BACKGROUND).all() and (labels == FOREGROUND).any()


def test_a_finished_matte_concerns_the_frames_around_it_and_no_others(tmp_path: Path) -> None:
    from vfxmatte.bench.moving_shot import MovingShot

    shot = MovingShot(frames=9, width=64, height=48, first=1, keyframes=(1, 5, 9))
    folder = shot.write(tmp_path / "shot")
    run_counted(folder)
    write(folder / "keys" / "matte.0003.exr", tiny_alpha(1))
    assert run_counted(folder)[1].solved == [2, 4]
    assert run_counted(folder)[1].solved == []
    write(folder / "keys" / "matte.0003.exr", tiny_alpha(2))
    assert run_counted(folder)[1].solved == [2, 4]
    (folder / "keys" / "matte.0003.exr").unlink()
    assert run_counted(folder)[1].solved == [2, 3, 4]


def test_finished_mattes_alone_are_keyframes_enough(tiny_shot: Path) -> None:
    shutil.rmtree(tiny_shot / "trimaps")
    write(tiny_shot / "keys" / "matte.1002.exr", tiny_alpha(1))
    results, engine = run_counted(tiny_shot)
    assert engine.solved == [1001, 1003, 1004, 1005]
    assert {r.status for r in results.values()} == {"written"}
    answer = CliRunner().invoke(commands, ["check", str(tiny_shot), "--engine", "trimap"])
    assert answer.exit_code == 0 and "1002 finished matte" in answer.output


def test_a_finished_matte_counts_before_a_painted_trimap(tiny_shot: Path) -> None:
    write(tiny_shot / "keys" / "matte.1001.exr", tiny_alpha(0))
    results, engine = run_counted(tiny_shot)
    assert 1001 not in engine.solved
    np.testing.assert_array_equal(alpha_of(results[1001].path), half(tiny_alpha(0)))
    manifest = json.loads((tiny_shot / "matte" / "manifest.json").read_text(encoding="utf-8"))
    assert any("frame 1001 has more than one keyframe" in note for note in manifest["notes"])


def test_neither_limits_nor_edges_touch_a_finished_matte(tiny_shot: Path) -> None:
    write(tiny_shot / "keys" / "matte.1003.exr", tiny_alpha(2))
    run_counted(tiny_shot)
    before = (tiny_shot / "matte" / "matte.1003.exr").read_bytes()
    write(tiny_shot / "garbage" / "g.png", SOFT_WALL)
    results, _ = run_counted(tiny_shot, matte={"gamma": 2.0})
    assert results[1003].status == "kept"
    assert (tiny_shot / "matte" / "matte.1003.exr").read_bytes() == before
    manifest = json.loads((tiny_shot / "matte" / "manifest.json").read_text(encoding="utf-8"))
    assert any("(1003) stay as they are" in note for note in manifest["notes"])


@pytest.mark.parametrize(
    ("name", "values", "text"),
    [
        ("matte.1003.exr", np.zeros((24, 32), np.float32), "finished matte is 32x24"),
        ("matte.1003.exr", np.full((48, 64), np.nan, np.float32), "NaN or inf"),
        ("final.exr", np.zeros((48, 64), np.float32), "finished matte's name has no frame number"),
    ],
)
def test_a_bad_finished_matte_is_refused_by_name(
    tiny_shot: Path, name: str, values: FloatImage, text: str
) -> None:
    path = tiny_shot / "keys" / name
    path.parent.mkdir()
    height, width = values.shape
    window = type(TINY_WINDOW).of_size(width, height)
    write_exr(path, {"A": values}, data_window=window, display_window=window)
    with pytest.raises(TrimapError, match=text) as caught:
        run_counted(tiny_shot)
    assert caught.value.path == str(path) and caught.value.shot == tiny_shot.name
    assert not list((tiny_shot / "matte").glob("matte.*"))


# -- settings of edges ----------------------------------------------------------------------------

EDGES: list[dict[str, Any]] = [
    {"black": 0.1},
    {"white": 0.8},
    {"gamma": 1.7},
    {"grow_px": 1.5},
    {"grow_px": -2.25},
    {"soften_px": 1.2},
    {"black": 0.05, "white": 0.9, "gamma": 0.8, "grow_px": -1, "soften_px": 0.6},
]


def test_what_the_settings_do() -> None:
    ramp = np.clip((X - 20) / 20, 0, 1).astype(np.float32)
    clipped = shaped(ramp, MatteSettings(black=0.25, white=0.75))
    np.testing.assert_allclose(clipped, ((ramp - 0.25) / 0.5).clip(0, 1), atol=1e-6)
    np.testing.assert_allclose(shaped(ramp, MatteSettings(gamma=2)), np.sqrt(ramp), atol=1e-6)
    for by in (1, 3, 7, -1, -4):  # along the ramp a pixel is 1/20
        moved = shaped(ramp, MatteSettings(grow_px=by))[:, 8:-8]
        np.testing.assert_allclose(moved, np.roll(ramp, -by, axis=1)[:, 8:-8], atol=1e-6)
    halves = shaped(ramp, MatteSettings(grow_px=2.5))[:, 8:-8]
    expected = (np.roll(ramp, -2, axis=1) + np.roll(ramp, -3, axis=1))[:, 8:-8] / 2
    np.testing.assert_allclose(halves, expected, atol=1e-6)
    step = (X >= 32).astype(np.float32)
    soft = shaped(step, MatteSettings(soften_px=2))
    assert soft[24, 31] + soft[24, 32] == pytest.approx(1, abs=1e-5)
    assert (np.diff(soft[24]) >= 0).all() and 0.1 < soft[24, 29] < soft[24, 31] < 0.5
    np.testing.assert_allclose(soft, cv2.GaussianBlur(step, (13, 13), 2), atol=1e-5)


@pytest.mark.parametrize("edges", EDGES)
def test_what_no_edge_is_near_stays_exact(edges: dict[str, Any]) -> None:
    alpha = tiny_alpha(0)
    found = shaped(alpha, MatteSettings(**edges))
    assert found.dtype == np.float32 and found.min() >= 0 and found.max() <= 1
    assert (found[alpha == 0][:50] == 0).all() and found[24, 26] == 1 and not (found == alpha).all()
    for empty in (np.zeros_like(alpha), np.ones_like(alpha)):
        np.testing.assert_array_equal(shaped(empty, MatteSettings(**edges)), empty)


FILES: list[dict[str, Any]] = [
    {}, {"pixel_type": "float"}, {"format": "png"}, {"format": "tiff"},
]  # fmt: skip


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("edges", EDGES)
def test_edges_are_rewritten_without_solving_and_come_back_bit_by_bit(
    tiny_shot: Path, tmp_path: Path, edges: dict[str, Any], file: dict[str, Any]
) -> None:
    """In any order, and the same as solved with these settings at once."""
    output = tmp_path / "a"
    run_counted(tiny_shot, output, output=file)
    first, solved = files(output), {n: alpha_of(path) for n, path in paths(output).items()}
    plain = prints(output)
    shaped_first, engine = run_counted(tiny_shot, output, output=file, matte=edges)
    assert engine.solved == [] and {r.status for r in shaped_first.values()} == {"written"}
    for number, path in paths(output).items():
        expected = shaped(solved[number], MatteSettings(**edges))
        expected = expected if file else half(expected)
        np.testing.assert_allclose(
            alpha_of(path), expected, rtol=0, atol=0 if path.suffix == ".exr" else 1 / 65535
        )
        edged = prints(output)[number]
        assert same_alpha(edged, plain[number]) and edged != plain[number]
    once = files(output)
    run_counted(tiny_shot, tmp_path / "b", output=file, matte=edges)
    assert files(tmp_path / "b") == once
    for other in ({"gamma": 3.0}, edges, {"grow_px": -3}, edges):
        assert run_counted(tiny_shot, output, output=file, matte=other)[1].solved == []
    assert files(output) == once
    assert run_counted(tiny_shot, output, output=file, matte=edges)[0][1002].status == "kept"
    for folder in (output, tmp_path / "b"):
        assert run_counted(tiny_shot, folder, output=file)[1].solved == []
        assert files(folder) == first and not (folder / "solved").exists()


def test_pngs_with_edges_can_become_anything_without_solving(
    tiny_shot: Path, tmp_path: Path
) -> None:
    run_counted(tiny_shot, tmp_path / "a", output={"format": "png"}, matte={"gamma": 2.0})
    for settings in ({"format": "tiff"}, {"pixel_type": "float"}, {}, {"format": "png"}):
        if not settings.get("format"):
            edges = {"soften_px": 1.0}
            results, engine = run_counted(tiny_shot, tmp_path / "a", output=settings, matte=edges)
        else:
            results, engine = run_counted(
                tiny_shot, tmp_path / "a", output=settings, matte={"gamma": 2.0}
            )
            edges = {"gamma": 2.0}
        assert engine.solved == []
        run_counted(tiny_shot, tmp_path / "b", overwrite=True, output=settings, matte=edges)
        for result in results.values():
            assert result.path is not None
            assert result.path.read_bytes() == (tmp_path / "b" / result.path.name).read_bytes()


def test_garbage_holds_for_grown_edges_too(tiny_shot: Path) -> None:
    write(tiny_shot / "garbage" / "g.png", (X < 34).astype(np.float32))
    run_counted(tiny_shot)
    first = files(tiny_shot / "matte")
    results, engine = run_counted(tiny_shot, matte={"grow_px": 4})
    assert engine.solved == []
    for result in results.values():
        assert (alpha_of(result.path)[:, 34:] == 0).all()
    assert files(tiny_shot / "matte") != first
    run_counted(tiny_shot)
    assert files(tiny_shot / "matte") == first


def test_colour_is_multiplied_by_alpha_as_it_is_written(tiny_shot: Path) -> None:
    settings = {"output": {"rgba": "premultiplied"}}
    run_counted(tiny_shot, **settings)
    results, engine = run_counted(tiny_shot, **settings, matte={"black": 0.3})
    assert engine.solved == []
    for result in results.values():
        assert result.path is not None
        image = read_image(result.path)
        assert image.alpha is not None and (image.pixels[image.alpha == 0] == 0).all()


def test_a_lost_file_of_solved_alpha_is_solved_again(tiny_shot: Path) -> None:
    run_counted(tiny_shot)
    first = files(tiny_shot / "matte")
    run_counted(tiny_shot, matte={"gamma": 2.0})
    (tiny_shot / "matte" / "solved" / "matte.1002.exr").unlink()
    whole = tiny_shot / "matte" / "solved" / "matte.1004.exr"
    whole.write_bytes(b"x" * whole.stat().st_size)
    assert run_counted(tiny_shot)[1].solved == [1002, 1004]
    assert files(tiny_shot / "matte") == first


def test_a_kill_between_a_file_and_its_record_loses_nothing(tiny_shot: Path) -> None:
    """Without compression a file with other edges has the size of the one before."""
    output = {"compression": "none"}
    run_counted(tiny_shot, output=output)
    first, journal = files(tiny_shot / "matte"), tiny_shot / "matte" / ".vfxmatte" / "journal.jsonl"
    run_counted(tiny_shot, output=output, matte={"gamma": 2.0})
    second, before = files(tiny_shot / "matte"), journal.read_bytes()
    run_counted(tiny_shot, output=output, matte={"gamma": 3.0})
    third = files(tiny_shot / "matte")
    assert {n: len(f) for n, f in second.items()} == {n: len(f) for n, f in third.items()}
    journal.write_bytes(before)
    results, engine = run_counted(tiny_shot, output=output, matte={"gamma": 2.0})
    assert engine.solved == [] and {r.status for r in results.values()} == {"written"}
    assert files(tiny_shot / "matte") == second
    assert run_counted(tiny_shot, output=output)[1].solved == []
    assert files(tiny_shot / "matte") == first


def test_chunks_shape_edges_too(tiny_shot: Path) -> None:
    run_counted(tiny_shot)
    first = files(tiny_shot / "matte")
    results, engine = run_counted(tiny_shot, chunk=True, matte={"soften_px": 2.0})
    assert engine.solved == [] and len(results) == 5
    assert run_counted(tiny_shot, matte={"soften_px": 2.0})[0][1001].status == "kept"
    assert run_counted(tiny_shot, chunk=True)[1].solved == []
    assert files(tiny_shot / "matte") == first


def test_check_says_that_edges_need_no_solving(tiny_shot: Path) -> None:
    run = CliRunner().invoke(commands, ["run", str(tiny_shot), "--engine", "trimap"])
    assert run.exit_code == 0
    edges = ["--set", "matte.grow_px=2"]
    check = CliRunner().invoke(commands, ["check", str(tiny_shot), "--engine", "trimap", *edges])
    assert "5 of them without solving: only the file changes" in check.output


@pytest.mark.parametrize(
    "wrong", [{"black": 0.8, "white": 0.5}, {"black": 1.0}, {"gamma": 0}, {"soften_px": -1}]
)
def test_impossible_edges_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        MatteSettings(**wrong)


@pytest.mark.parametrize("file", FILES)
def test_windows_of_their_own_make_no_difference(tmp_path: Path, file: dict[str, Any]) -> None:
    """A display window away from the origin, and frames that hold more, or less, than it."""
    display = Window(x_min=10, y_min=20, x_max=73, y_max=67)
    datas = (
        Window(x_min=4, y_min=12, x_max=80, y_max=70),
        Window(x_min=20, y_min=30, x_max=60, y_max=60),
    )
    for number, data in enumerate(datas, 1):
        (tmp_path / "plate").mkdir(exist_ok=True)
        pixels = np.random.default_rng(number).random(data.shape, np.float32)
        write_exr(tmp_path / "plate" / f"p.{number:04d}.exr", dict.fromkeys("RGB", pixels),
                  data_window=data, display_window=display)  # fmt: skip
    write(tmp_path / "trimaps" / "t.0001.png", np.full((48, 64), 0.5, np.float32))
    write(tmp_path / "garbage" / "g.png", SOFT_WALL)
    edges = {"soften_px": 2.0, "grow_px": 1.0}
    run_counted(tmp_path, tmp_path / "a", output=file)
    first = files(tmp_path / "a")
    assert run_counted(tmp_path, tmp_path / "a", output=file, matte=edges)[1].solved == []
    run_counted(tmp_path, tmp_path / "b", output=file, matte=edges)
    assert files(tmp_path / "a") == files(tmp_path / "b") != first
    for folder in ("a", "b"):
        assert run_counted(tmp_path, tmp_path / folder, output=file)[1].solved == []
        assert files(tmp_path / folder) == first
    for path in paths(tmp_path / "a").values():
        alpha = alpha_of(path) if file.get("format") else read_matte(path, display)
        assert (alpha[:, 40:] == 0).all() and alpha.any()
