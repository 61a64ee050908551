"""Features together: several subjects, locks, limits, finished mattes, layers, fits, chunks."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import OpenEXR
import pytest

from tests.conftest import TINY_NUMBERS, TINY_WINDOW, tiny_alpha, write_tiny_shot
from tests.fitting.conftest import QUICK, shot_in
from tests.pipeline.checked_runs import (
    CROSSING,
    as_checked,
    matte_of,
    shot_at,
    solve,
    statuses,
    write_alpha,
    write_still,
)
from tests.subjects import NUMBERS, WINDOW, alpha, contents, settings_of
from vfxmatte.errors import ShotError, UsageError
from vfxmatte.fitting import examples as examples_module
from vfxmatte.fitting import fit as fit_module
from vfxmatte.fitting.examples import Keyframe
from vfxmatte.fitting.settings import FitSettings
from vfxmatte.io.mattes import read_matte
from vfxmatte.pipeline.edges import MatteSettings
from vfxmatte.pipeline.locking import lock
from vfxmatte.pipeline.merge import merge
from vfxmatte.pipeline.shot import Shot
from vfxmatte.pipeline.subjects_run import open_run
from vfxmatte.reporting.inspection import inspect
from vfxmatte.types import FloatImage

# -- subjects and garbage, core and finished mattes ------------------------------------------------


def test_each_subject_has_its_own_limits(folder: Path) -> None:
    half = np.zeros(WINDOW.shape, np.float32)
    half[:, :64] = 1
    write_still(folder / "garbage" / "dog" / "wall.png", 1 - half)
    write_still(folder / "core" / "cat" / "solid.png", np.where(alpha("cat", 1008) == 1, 1, 0))
    as_checked(shot_at(folder))
    for number in NUMBERS:
        assert (matte_of(folder, "dog", number)[:, :64] == 0).all()
    assert matte_of(folder, "cat", 1001)[:, :64].max() > 0.9
    assert not statuses(as_checked(shot_at(folder)))
    write_still(folder / "garbage" / "dog" / "wall.png", np.ones(WINDOW.shape, np.float32))
    results = as_checked(shot_at(folder, "dog"))
    assert set(statuses(results)) == {"dog"}


@pytest.mark.parametrize("kind", ["garbage", "core", "keys"])
def test_flat_limits_are_refused_by_run_and_check(folder: Path, kind: str) -> None:
    write_still(folder / kind / f"{kind}.1001.png", np.zeros(WINDOW.shape, np.float32))
    with pytest.raises(UsageError, match=f"{kind} mattes lie in a folder for each") as raised:
        open_run(shot_at(folder))
    assert str(folder / kind) in str(raised.value)
    assert any(kind in str(problem) for problem in inspect(shot_at(folder)).problems)


def test_edges_are_done_as_check_says(folder: Path) -> None:
    usual: dict[str, Any] = {"propagation": {}}
    as_checked(shot_at(folder, **usual))
    for matte in ({"gamma": 2.0}, {"grow_px": 1.5}, {}):
        results = as_checked(shot_at(folder, matte=matte, **usual))
        assert set(statuses(results)) == {"cat", "dog"}
    as_checked(shot_at(folder, "cat", matte={"gamma": 2.0}, **usual))
    as_checked(shot_at(folder, matte={"gamma": 2.0}, output={"pixel_type": "float"}, **usual))


def test_a_finished_matte_is_delivered_as_it_is_beside_another_subject(folder: Path) -> None:
    soft = np.clip(0.8 * alpha("cat", CROSSING) + 0.3 * alpha("dog", CROSSING), 0, 1)
    soft = soft.astype(np.float16).astype(np.float32)
    write_alpha(folder / "keys" / "cat" / f"matte.{CROSSING}.exr", soft)
    as_checked(shot_at(folder))
    np.testing.assert_array_equal(matte_of(folder, "cat", CROSSING), soft)
    assert (soft.astype(np.float64) + matte_of(folder, "dog", CROSSING)).max() <= 1
    results = as_checked(shot_at(folder, output={"pixel_type": "float"}))
    assert CROSSING in statuses(results)["cat"]
    np.testing.assert_array_equal(matte_of(folder, "cat", CROSSING), soft)


def test_finished_mattes_are_keyframes_enough_for_a_subject(folder: Path) -> None:
    for path in (folder / "trimaps" / "cat").iterdir():
        path.unlink()
    with pytest.raises(ShotError, match="'cat' has no keyframe"):
        open_run(shot_at(folder))
    for number in (1001, 1008):
        write_alpha(folder / "keys" / "cat" / f"matte.{number}.exr", alpha("cat", number))
    assert set(statuses(as_checked(shot_at(folder)))) == {"cat", "dog"}


# -- subjects and foregrounds ----------------------------------------------------------------------


def test_layers_of_rewritten_frames_have_the_trimap_on_disk(folder: Path) -> None:
    layers = {"layers": ["alpha", "trimap", "foreground=fg"], "pixel_type": "float"}
    usual: dict[str, Any] = {"propagation": {}}
    solve(shot_at(folder, output={"pixel_type": "float"}, **usual))
    results = as_checked(shot_at(folder, output=layers, subject_layers=True, **usual))
    assert statuses(results) == {"cat": [*NUMBERS], "dog": [*NUMBERS]}
    for number in (1001, CROSSING):
        for subject in ("cat", "dog"):
            output = folder / "matte" / subject
            with OpenEXR.File(str(output / f"matte.{number}.exr"), separate_channels=True) as file:
                names = set(file.channels())
                found = file.channels()["trimap.Y"].pixels.astype(np.float32)
            disk = cv2.imread(str(output / "trimaps" / f"trimap.{number}.png"), 0)
            assert disk is not None
            np.testing.assert_allclose(found, disk / 255, atol=0.01)
        with OpenEXR.File(
            str(folder / "matte" / f"matte.{number}.exr"), separate_channels=True
        ) as file:
            layered = set(file.channels())
        assert {f"{s}_{n}" for s in ("cat", "dog") for n in names if "." in n} <= layered
        assert {"A", "cat.A", "dog.A"} <= layered
    solve(replace(shot_at(folder, output=layers, **usual), output=folder.parent / "afresh"))
    found, expected = contents(folder / "matte"), contents(folder.parent / "afresh")
    assert {n: found[n] for n in expected} == expected


# -- fits ------------------------------------------------------------------------------------------


def narrows(patch: pytest.MonkeyPatch) -> None:
    """A fit counts as better and narrows trimaps."""
    patch.setattr(fit_module, "_BETTER", 1e9)
    patch.setattr(fit_module, "calibrated", lambda *_: 0.45)


@pytest.fixture(scope="module")
def solved_once(tmp_path_factory: pytest.TempPathFactory, light_weights: Path) -> Path:
    """The folder of a shot that is solved with such a fit; read only."""
    folder = write_tiny_shot(tmp_path_factory.mktemp("solved") / "tiny shot")
    with pytest.MonkeyPatch.context() as patch:
        narrows(patch)
        solve(shot_in(folder, light_weights))
    return folder


@pytest.fixture
def solved_shot(
    tmp_path: Path, solved_once: Path, light_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> Shot:
    """A copy of it; as old, so its fit and its mattes are the shot's."""
    narrows(monkeypatch)
    return shot_in(Path(shutil.copytree(solved_once, tmp_path / "tiny shot")), light_weights)


@pytest.fixture
def fitted_shot(solved_shot: Shot) -> Shot:
    """A shot of whose output there is the fit alone."""
    for path in solved_shot.output.iterdir():
        if path.is_file():
            path.unlink()
        elif path.name != "fit":
            shutil.rmtree(path)
    return solved_shot


def fit_into(shot: Shot, other: Shot) -> None:
    """Copy the fit of a shot into the output of another."""
    shutil.copytree(shot.output / "fit", other.output / "fit")


def with_(shot: Shot, **changes: Any) -> Shot:
    """The shot opened again, with other settings."""
    folder = shot.plate.parent
    opened = Shot.open(folder, output=shot.output)
    output = replace(shot.settings.output, **changes.pop("output", {}))
    return replace(opened, settings=replace(shot.settings, output=output, **changes))


def tiny_trimap(shot: Shot, number: int) -> np.ndarray[Any, Any]:
    labels = cv2.imread(str(shot.trimap_output / f"trimap.{number}.png"), 0)
    assert labels is not None
    return labels


def agree(shot: Shot) -> int:
    """Check that trimaps on disk agree with alpha; returns how much of frames between is known."""
    known = 0
    for number in TINY_NUMBERS[1:-1]:
        solved = read_matte(shot.output / f"matte.{number}.exr", TINY_WINDOW)
        labels = tiny_trimap(shot, number)
        assert (solved[labels == 255] == 1).all() and (solved[labels == 0] == 0).all()
        known += int(np.count_nonzero(labels != 128))
    return known


def trimap_in(shot: Shot, number: int) -> FloatImage:
    path = str(shot.output / f"matte.{number}.exr")
    with OpenEXR.File(path, separate_channels=True) as file:
        return np.asarray(file.channels()["trimap.Y"].pixels, np.float32)


def test_a_narrowed_trimap_is_the_one_in_the_layer(
    fitted_shot: Shot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vfxmatte.fitting.tightening._OPPOSITE", 0.0)  # the plate is noise
    layered = with_(fitted_shot, output={"layers": ("alpha", "trimap")})
    as_checked(layered)
    carried = replace(layered, output=layered.output.parent / "carried")
    solve(replace(carried, settings=replace(carried.settings, fit=FitSettings(when="off"))))
    assert agree(layered) > agree(carried)
    for number in TINY_NUMBERS:
        found = trimap_in(layered, number)
        np.testing.assert_allclose(found, tiny_trimap(layered, number) / 255, atol=0.01)
    plain = with_(fitted_shot)
    assert len(statuses(as_checked(plain))[""]) == 5
    as_checked(layered)
    for number in TINY_NUMBERS:
        found = trimap_in(layered, number)
        np.testing.assert_allclose(found, tiny_trimap(layered, number) / 255, atol=0.01)
    agree(layered)


def test_narrowed_trimaps_agree_with_limited_alpha(fitted_shot: Shot) -> None:
    ramp = np.linspace(-0.3, 2.3, 64, dtype=np.float32).clip(0, 1)[None].repeat(48, 0)
    folder = fitted_shot.plate.parent
    write_still(folder / "garbage" / "soft.png", ramp)
    write_still(folder / "core" / "soft.png", np.float32(0.3) * ramp)
    shot = with_(fitted_shot)
    as_checked(shot)
    agree(shot)
    before = contents(shot.output)
    edged = with_(shot, matte=MatteSettings(gamma=2.0))
    as_checked(edged)
    trimaps = {name: data for name, data in before.items() if name.startswith("trimaps/")}
    after = contents(shot.output)
    assert {name: after[name] for name in trimaps} == trimaps
    as_checked(shot)
    assert contents(shot.output) == before
    fresh = replace(edged, output=folder / "fresh")
    fit_into(shot, fresh)
    as_checked(fresh)
    assert {n: d for n, d in contents(fresh.output).items() if n in trimaps} == trimaps


def test_an_overwritten_fit_makes_the_same(solved_shot: Shot) -> None:
    before = contents(solved_shot.output)
    assert {r.status for r in solve(with_(solved_shot), overwrite=True)} == {"written"}
    assert contents(solved_shot.output) == before


def test_chunks_of_a_fitted_shot_and_their_merge(solved_shot: Shot, tmp_path: Path) -> None:
    apart = replace(solved_shot, output=tmp_path / "apart")
    for numbers in ((1001, 1002), (1003, 1004, 1005)):
        solve(apart, chunk=True, only=numbers)
    assert merge(apart).complete
    found = contents(apart.output)
    assert found == contents(solved_shot.output)
    assert inspect(apart).finished == 5


def test_merge_calls_stale_what_another_fit_would_change(fitted_shot: Shot, tmp_path: Path) -> None:
    """A keyframe beyond a segment changes it by the fit alone."""
    trimaps = fitted_shot.plate.parent / "trimaps"
    shutil.copy(trimaps / "trimap.1005.png", trimaps / "trimap.1003.png")
    shot = with_(fitted_shot)
    solve(shot)
    labels = cv2.imread(str(trimaps / "trimap.1005.png"), 0)
    assert labels is not None
    labels[:4] = 128
    cv2.imwrite(str(trimaps / "trimap.1005.png"), labels)
    changed = with_(shot)
    report = merge(changed)
    assert report.stale == (1002, 1004, 1005) and inspect(changed).finished == len(report.good)
    assert statuses(as_checked(changed))[""] == [1002, 1004, 1005]


def test_a_fit_learns_the_exact_alpha_of_finished_and_locked_mattes(
    fitted_shot: Shot, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: dict[int, FloatImage] = {}
    whole = examples_module.grown_examples

    def seen(key: Keyframe, *rest: Any) -> Any:
        learned[key.number] = key.alpha
        return whole(key, *rest)

    monkeypatch.setattr(examples_module, "grown_examples", seen)
    # A toy network that doubts leaves 1002 without a soft pixel to learn from.
    monkeypatch.setattr(fit_module, "doubted", lambda alpha, labels: ~labels)
    folder, exact = fitted_shot.plate.parent, tiny_alpha(2)
    write_alpha(folder / "keys" / "matte.1003.exr", exact, TINY_WINDOW)
    shot = with_(fitted_shot)
    as_checked(shot)
    np.testing.assert_array_equal(learned[1003], exact)
    lock(shot, [1002])
    locked = (shot.output / "matte.1002.exr").read_bytes()
    learned.clear()
    shot = with_(shot)
    as_checked(shot)
    expected = read_matte(shot.output / "matte.1002.exr", TINY_WINDOW)
    np.testing.assert_array_equal(learned[1002], expected)
    assert (shot.output / "matte.1002.exr").read_bytes() == locked
    assert not statuses(as_checked(shot))


def test_several_subjects_are_fitted_as_check_says(
    folder: Path, light_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_module, "_BETTER", 1e9)
    settings = {
        "engine": {"name": "dim", "weights": str(light_weights), "device": "cpu"},
        "fit": {"when": "on", "minutes": QUICK.minutes, "crop_px": 64, "batch": 2},
        "frames": "1001-1002",
    }
    shot = shot_at(folder, **settings, propagation={})
    remarks = [text for text in inspect(shot).remarks if "is fitted to the keyframes" in text]
    assert [text.split(":")[0] for text in remarks] == ["cat", "dog"]
    assert set(statuses(as_checked(shot))) == {"cat", "dog"}
    assert not statuses(as_checked(shot))
    assert len(list((folder / "matte").rglob("*.safetensors"))) == 2
    as_checked(shot_at(folder, **settings, propagation={}, matte={"gamma": 2.0}))


# -- two runs --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"output": {"layers": ["alpha", "trimap", "foreground=fg"]}},
        {"output": {"foreground": "straight"}},
        {"matte": {"soften_px": 1.0}},
        {"output": {"format": "tiff"}, "matte": {"grow_px": 1.0}},
    ],
)
def test_a_second_run_does_nothing(tiny_shot: Path, settings: dict[str, Any]) -> None:
    shot = replace(Shot.open(tiny_shot), settings=settings_of(**settings))
    as_checked(shot)
    before = contents(shot.output)
    assert not statuses(as_checked(shot))
    assert contents(shot.output) == before
