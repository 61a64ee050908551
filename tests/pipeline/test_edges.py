"""Settings of edges: what they do, and that they need no solving."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from tests.conftest import tiny_alpha
from tests.pipeline.counting import run_counted
from tests.pipeline.tiny_mattes import SOFT_WALL, X, alpha_of, files, half, paths, prints, write
from vfxmatte.cli.group import commands
from vfxmatte.errors import UsageError
from vfxmatte.io.mattes import read_matte
from vfxmatte.io.stills.exr import write_exr
from vfxmatte.io.stills.reading import read_image
from vfxmatte.pipeline.edges import MatteSettings, shaped
from vfxmatte.pipeline.plan import same_alpha
from vfxmatte.types import Window

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
