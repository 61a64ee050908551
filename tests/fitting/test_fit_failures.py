"""Fits that fail, are stopped, damaged or impossible: nothing half-written, and runs go on."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from click.testing import CliRunner

from tests.conftest import TINY_WINDOW, tiny_plate, write_rgb, write_tiny_keyframe
from tests.fitting.conftest import QUICK, changed, fits, reopened, statuses
from vfxmatte.cli.group import commands
from vfxmatte.engines.protocol import Task
from vfxmatte.errors import DeviceError, OutputError, SolveError
from vfxmatte.fitting import examples as examples_module
from vfxmatte.fitting import fit as fit_module
from vfxmatte.fitting import learning as learning_module
from vfxmatte.fitting.kept import remove_others
from vfxmatte.pipeline.merge import merge
from vfxmatte.pipeline.run import Run
from vfxmatte.pipeline.shot import Shot
from vfxmatte.reporting.inspection import inspect
from vfxmatte.types import FrameRange, Window

NUMBERS = range(1001, 1006)


def _window(left: int, top: int, right: int, bottom: int) -> Window:
    return Window(x_min=left, y_min=top, x_max=right, y_max=bottom)


def leftovers(shot: Shot) -> list[str]:
    folder = shot.output / "fit"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


# -- writing, stopping -----------------------------------------------------------------------------


def test_an_output_without_room_for_a_fit_is_found_before_the_work(shot: Shot) -> None:
    shot.output.mkdir()
    (shot.output / "fit").write_text("a file of someone")
    steps: list[int] = []
    with Run(shot, chunk=True) as run:
        run.on_fit = lambda progress: steps.append(progress.step)
        with pytest.raises(OutputError, match="could not be written") as caught:
            run.fit()
    assert not steps and caught.value.path == str(shot.output / "fit")
    assert caught.value.shot == shot.name and "--fit off" in str(caught.value)
    off = changed(shot, fit=replace(QUICK, when="off"))
    assert set(statuses(off)[0].values()) == {"written"}


def test_a_disk_that_fills_up_leaves_nothing_half_written(
    shot: Shot, always: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> bytes:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("vfxmatte.network.weights_file.save", full)
        with pytest.raises(OutputError, match="No space left") as caught:
            statuses(shot)
    assert "make room and run again" in str(caught.value) and not leftovers(shot)
    assert caught.value.path is not None and caught.value.path.endswith(".safetensors")
    assert set(statuses(shot)[0].values()) == {"written"}
    assert len(fits(shot)) == 1


@pytest.mark.parametrize("where", ["step", "example"])
def test_a_stopped_fit_leaves_nothing_and_the_same_run_goes_on(
    shot: Shot, always: None, where: str
) -> None:
    class Stopped(BaseException):
        pass

    def stop() -> None:
        raise Stopped

    with Run(shot, check_stopped=stop if where == "example" else None) as run:
        run.on_fit = lambda progress: stop() if progress.step == 2 else None
        with pytest.raises(Stopped):
            list(run.frames())
    assert not leftovers(shot)
    found, _, steps = statuses(shot)
    assert set(found.values()) == {"written"} and steps == QUICK.steps


@pytest.mark.parametrize("command", ["run", "fit"])
def test_ctrl_c_during_the_fit(
    shot: Shot, always: None, tiny_shot: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    weights = shot.settings.engine.weights
    (tiny_shot / "shot.toml").write_text(
        f'fps = 24\n[engine]\nweights = "{weights}"\ndevice = "cpu"\n'
        f'[fit]\nwhen = "on"\nminutes = {QUICK.minutes}\ncrop_px = 64\nbatch = 2\n'
    )

    def interrupted(*_: object) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(learning_module, "_advance", interrupted)
        assert CliRunner().invoke(commands, [command, str(tiny_shot)]).exit_code == 130
    assert not leftovers(shot)
    again = CliRunner().invoke(commands, [command, str(tiny_shot)])
    assert again.exit_code == 0 and "fitted to the shot: on keyframe 1005" in again.output


def test_a_fit_that_fails_leaves_the_run_without_one(
    shot: Shot, always: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_little(*_: object) -> Any:
        raise MemoryError

    monkeypatch.setattr(learning_module, "_advance", too_little)
    found, said, _ = statuses(shot)
    assert set(found.values()) == {"written"} and not leftovers(shot)
    assert "too little memory" in said[0] and "--fit off" in said[0]
    with (
        Run(shot, chunk=True) as run,
        pytest.raises(Exception, match="too little memory") as caught,
    ):
        run.fit()
    assert getattr(caught.value, "shot", None) == shot.name


def test_a_lost_device_ends_the_run(shot: Shot, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object) -> Any:
        raise DeviceError("the GPU failed")

    monkeypatch.setattr("vfxmatte.engines.answers.solve_one", lost)
    with pytest.raises(DeviceError):
        statuses(shot)
    assert not leftovers(shot)


def test_a_keyframe_too_hard_for_the_engine_when_wider(
    shot: Shot, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vfxmatte.engines import answers

    plain = answers.solve_one

    def picky(engine: Any, task: Task) -> Any:
        if not task.trimap.is_keyframe:
            raise SolveError("does not converge", frame=task.number)
        return plain(engine, task)

    monkeypatch.setattr(answers, "solve_one", picky)
    found, said, _ = statuses(shot)
    assert set(found.values()) == {"written"} and "cannot be solved" in said[0]
    assert inspect(shot).finished == 5


# -- what is on disk -------------------------------------------------------------------------------


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def with_sidecar(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        sidecar = path.with_suffix(".json")
        record = json.loads(sidecar.read_text())
        change(record)
        sidecar.write_text(json.dumps(record))

    return damage


DAMAGES = {
    "weights cut": truncated,
    "sidecar cut": lambda path: truncated(path.with_suffix(".json")),
    "sidecar binary": lambda path: path.with_suffix(".json").write_bytes(b"\xff\xfe\0"),
    "a list": lambda path: path.with_suffix(".json").write_text("[1]"),
    "no error": with_sidecar(lambda record: record["training"].pop("error_before")),
    "no number": with_sidecar(lambda record: record["training"].update(sure="much")),
    "no margin": with_sidecar(lambda record: record["training"].pop("margin")),
    "no network": with_sidecar(lambda record: record.pop("network")),
    "another network": with_sidecar(lambda record: record.update(architecture="dim")),
    "another format": with_sidecar(lambda record: record.update(format=99)),
    "weights gone": Path.unlink,
    "all gone": lambda path: shutil.rmtree(path.parent),
}


def test_a_damaged_fit_is_made_anew(
    shot: Shot, always: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the damage; that fitting again learns the same is seen after the last of them."""
    with monkeypatch.context() as patch:
        made = [fit_module.fit]

        def remembered(*arguments: Any) -> Any:
            made.append(made[-1] if len(made) > 1 else made[0](*arguments))
            return made[-1]

        patch.setattr(fit_module, "fit", remembered)
        statuses(shot)
        patch.setattr(examples_module, "grown_examples", lambda *_: [])
        (path,) = fits(shot)
        whole, sidecar = path.read_bytes(), path.with_suffix(".json").read_text()
        for count, (name, damage) in enumerate(DAMAGES.items(), 3):
            damage(path)
            with Run(shot) as run:
                kept = run.fit()
            assert kept is not None and kept.used and len(made) == count, name
            assert path.read_bytes() == whole, name
            assert path.with_suffix(".json").read_text() == sidecar, name
    shutil.rmtree(path.parent)
    found, _, steps = statuses(shot)
    assert set(found.values()) == {"kept"} and steps == QUICK.steps
    assert path.read_bytes() == whole and path.with_suffix(".json").read_text() == sidecar


def test_earlier_fits_are_removed_and_files_being_written_stay(tmp_path: Path) -> None:
    folder = tmp_path / "fit"
    folder.mkdir()
    names = (".b.mark.part.safetensors", "a.json", "a.safetensors", "b.json", "notes.txt")
    for name in names:
        (folder / name).touch()
    remove_others(tmp_path, "a")
    assert sorted(path.name for path in folder.iterdir()) == [
        ".b.mark.part.safetensors", "a.json", "a.safetensors", "notes.txt",
    ]  # fmt: skip


# -- keyframes and plates --------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_keyframe_that_is_all_one_teaches_nothing(
    shot: Shot, tiny_shot: Path, value: int
) -> None:
    """Two keyframes, of which one is left: no fit, said once, and all agree that the shot is
    done."""
    write_tiny_keyframe(tiny_shot, 1005, np.full(TINY_WINDOW.shape, value, np.uint8))
    found, said, steps = statuses(shot)
    assert set(found.values()) == {"written"} and not steps
    assert "fewer than two of its keyframes" in said[-1]
    assert inspect(shot).finished == 5 and merge(shot).complete
    assert set(statuses(shot)[0].values()) == {"kept"}


def test_keyframes_that_cannot_be_used_are_left_out(
    shot: Shot, always: None, tiny_shot: Path
) -> None:
    write_tiny_keyframe(tiny_shot, 1002)
    write_tiny_keyframe(tiny_shot, 1003, np.full(TINY_WINDOW.shape, 128, np.uint8))
    write_tiny_keyframe(tiny_shot, 1004)
    (tiny_shot / "plate" / "plate.1004.exr").write_bytes(b"rubbish")
    found, said, steps = statuses(reopened(shot, tiny_shot))
    assert found == {n: "failed" if n == 1004 else "written" for n in NUMBERS}
    assert steps == QUICK.steps and "on keyframe 1002" in said[0]


def test_a_damaged_keyframe_elsewhere_stops_no_chunk(
    shot: Shot, always: None, tiny_shot: Path
) -> None:
    write_tiny_keyframe(tiny_shot, 1003)
    (tiny_shot / "trimaps" / "trimap.1005.png").write_bytes(b"rubbish")
    found, said, _ = statuses(reopened(shot, tiny_shot), chunk=True, only=(1001, 1002, 1003))
    assert set(found.values()) == {"written"} and "on keyframe 1003" in said[0]


def test_pixels_that_are_no_numbers(shot: Shot, always: None, tiny_shot: Path) -> None:
    pixels = tiny_plate(4)
    pixels[20:24, 30:34] = np.nan
    pixels[10:12], pixels[12:14] = np.inf, -np.inf
    write_rgb(tiny_shot / "plate" / "plate.1005.exr", pixels)
    found, _, steps = statuses(shot)
    assert set(found.values()) == {"written"} and steps == QUICK.steps
    (path,) = fits(shot)
    record = json.loads(path.with_suffix(".json").read_text())["training"]
    assert np.isfinite([record["error_before"], record["error_after"]]).all()


def test_data_windows_of_several_sizes(shot: Shot, always: None, tiny_shot: Path) -> None:
    smaller, larger = _window(8, 6, 55, 41), _window(-4, -2, 67, 49)
    plate = tiny_shot / "plate"
    write_rgb(plate / "plate.1005.exr", tiny_plate(4)[6:42, 8:56], data=smaller)
    wider = np.pad(tiny_plate(0), ((2, 2), (4, 4), (0, 0)))
    write_rgb(plate / "plate.1001.exr", wider, data=larger)
    found, _, steps = statuses(shot)
    assert set(found.values()) == {"written"} and steps == QUICK.steps


@pytest.mark.parametrize("missing", ["hold", "skip"])
def test_missing_frames(shot: Shot, always: None, tiny_shot: Path, missing: str) -> None:
    write_tiny_keyframe(tiny_shot, 1003)
    for number in (1002, 1003):  # a keyframe too
        (tiny_shot / "plate" / f"plate.{number}.exr").unlink()
    gaps = changed(
        reopened(shot, tiny_shot), missing=missing, frames=FrameRange(first=1001, last=1005)
    )
    found, said, steps = statuses(gaps)
    expected = "skipped" if missing == "skip" else "written"
    assert found == {n: expected if n in (1002, 1003) else "written" for n in NUMBERS}
    assert steps == QUICK.steps and "on keyframe 1005" in said[0]


def test_any_range_of_frames_has_the_same_fit(fitted: Shot) -> None:
    (path,) = fits(fitted)
    part = changed(fitted, frames=FrameRange(first=1002, last=1003))  # no keyframe among them
    found, _, steps = statuses(part)
    assert set(found.values()) == {"kept"} and not steps and fits(fitted) == [path]
    path.unlink()
    assert statuses(part)[2] == QUICK.steps and fits(fitted) == [path]


def test_a_movie_as_plate(shot: Shot, always: None, tmp_path: Path) -> None:
    movie = tmp_path / "plate.mov"
    with av.open(str(movie), "w") as target:
        stream = target.add_stream("libx264", rate=24, options={"crf": "10", "g": "5"})
        stream.width, stream.height, stream.pix_fmt = (
            TINY_WINDOW.width,
            TINY_WINDOW.height,
            "yuv420p",
        )
        for index in range(5):
            picture = np.rint(tiny_plate(index).clip(0, 1) * 255).astype(np.uint8)
            target.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        target.mux(stream.encode())
    settings = replace(shot.settings, first_frame=1001)
    of_movie = replace(shot, plate=movie, settings=settings, output=tmp_path / "matte")
    found, said, steps = statuses(of_movie)
    assert set(found.values()) == {"written"} and steps == QUICK.steps
    assert "on keyframe 1005" in said[0] and inspect(of_movie).finished == 5


@pytest.mark.usefixtures("warm_children")
def test_several_devices_share_a_fit(fitted: Shot, tmp_path: Path) -> None:
    engine = replace(fitted.settings.engine, device="cpu,cpu")
    several = replace(changed(fitted, engine=engine), output=tmp_path / "several")
    found, said, steps = statuses(several)
    assert set(found.values()) == {"written"} and steps == QUICK.steps
    assert len(fits(several)) == 1 and "on keyframe 1005" in said[0]
    for number in NUMBERS:
        name = f"matte.{number}.exr"
        assert (several.output / name).read_bytes() == (fitted.output / name).read_bytes()
