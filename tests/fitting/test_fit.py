"""The fit to a shot: what it learns, when it is used, and how runs find it again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from tests.conftest import light_network
from tests.fitting.conftest import QUICK, fits, reopened, statuses
from vfxmatte.cli.group import commands
from vfxmatte.engines.light import LightEngine
from vfxmatte.engines.light_frame import Frame, Solved, corrected_alpha, solved, stage1_reduction
from vfxmatte.engines.protocol import EngineSettings, Task
from vfxmatte.errors import UsageError
from vfxmatte.fitting import examples as examples_module
from vfxmatte.fitting import fit as fit_module
from vfxmatte.fitting import settings as fit_settings
from vfxmatte.fitting.engine import FittedEngine
from vfxmatte.fitting.examples import Example, Keyframe, grown_examples, square
from vfxmatte.fitting.kept import KeptFit
from vfxmatte.fitting.learning import learn
from vfxmatte.fitting.settings import FitSettings
from vfxmatte.fitting.tightening import calibrated, painted_margin, tightened
from vfxmatte.io.stills.reading import read_image
from vfxmatte.network.light import LightMatting
from vfxmatte.pipeline.fitting import is_wanted
from vfxmatte.pipeline.options import settings_with
from vfxmatte.pipeline.run import Run
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot
from vfxmatte.prior.alpha_prior import alpha_priors
from vfxmatte.reporting.inspection import inspect
from vfxmatte.trimaps import from_matte, grow
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, Trimap


def keyframe(number: int = 1) -> Keyframe:
    """A striped disc whose stripes have the background's colours too: colour alone cannot tell."""
    y, x = np.mgrid[:96, :128].astype(np.float32)
    alpha = np.clip((34 - np.hypot(x - 60 - number, y - 48)) / 4, 0, 1)
    stripes = (np.sin(x / 2) > 0)[:, :, None] * np.float32((0.5, 0.1, -0.2))
    ground = np.float32((0.3, 0.4, 0.6)) + 0.05 * np.sin(y / 5)[:, :, None]
    image = alpha[:, :, None] * (0.35 + stripes) + (1 - alpha[:, :, None]) * ground
    labels = from_matte(alpha, erode_px=3, dilate_px=3)
    alpha = np.where(labels == UNKNOWN, alpha, labels / np.float32(255)).astype(np.float32)
    return Keyframe(number=number, image=image.astype(np.float32), labels=labels, alpha=alpha)


def error(network: LightMatting, key: Keyframe) -> float:
    labels = grow(key.labels, 8)
    frame = Frame(image=key.image, labels=labels, priors=alpha_priors(key.image, labels))
    wrong = np.abs(solved(network, frame, coarse=False, corrected=False).alpha - key.alpha)
    return float(wrong[labels == UNKNOWN].mean())


# -- learning --------------------------------------------------------------------------------------


def test_a_network_learns_a_shot_and_the_one_it_began_from_stays() -> None:
    base, told = light_network(), []
    before, seen = error(base, keyframe(9)), grown_examples(keyframe(1))
    settings = replace(QUICK, learning_rate=1e-3)
    fitted = learn(base, seen, settings, steps=30, on_step=lambda *one: told.append(one))
    assert error(fitted, keyframe(9)) < 0.7 * before
    assert error(base, keyframe(9)) == before
    assert [step for step, _ in told] == list(range(1, 31))
    assert np.mean([made for _, made in told[-8:]]) < np.mean([made for _, made in told[:8]])


def test_a_keyframe_is_learned_as_it_was_painted_and_under_wider_trimaps() -> None:
    """Frames beside a keyframe have nearly its own trimap."""
    key = keyframe(1)
    trimaps = [one.frame.labels for one in grown_examples(key)]
    assert np.array_equal(trimaps[0], key.labels)
    unknown = [np.count_nonzero(labels == UNKNOWN) for labels in trimaps]
    assert len(trimaps) == len(examples_module.GROWTHS_PX)
    assert unknown == sorted(unknown) and unknown[1] > unknown[0]


@pytest.fixture
def threads() -> Iterator[Any]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_any_number_of_threads_learns_the_same_bits(threads: Any) -> None:
    found = []
    for count in (1, 2):
        threads(count)
        fitted = learn(light_network(), grown_examples(keyframe()), QUICK, steps=3)
        found.append(b"".join(p.detach().numpy().tobytes() for p in fitted.parameters()))
        assert torch.get_num_threads() == count
    assert found[0] == found[1]


def test_squares_move_trimap_priors_and_alpha_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples_module, "_MISLED_SHARE", 0.0)
    key = keyframe()
    exact = Frame(image=key.image, labels=key.labels, priors=key.alpha[:, :, None].repeat(3, 2))
    examples = [Example.of(exact, key.alpha)]
    cut = square(examples, 64, np.random.default_rng(4))
    trimap, prior, alpha = cut.input[0, 3], cut.input[0, 4], cut.alpha[0, 0]
    assert torch.equal(prior, alpha)
    assert torch.equal(cut.unknown[0, 0] == 1, trimap == 0.5)
    deep = torch.nn.functional.max_pool2d(cut.unknown, 3, 1, 1)[0, 0] == 0
    assert torch.equal(alpha[deep], trimap[deep])


def test_priors_mislead_in_solid_and_empty_parts_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples_module, "_MISLED_SHARE", 1.0)
    key = keyframe()
    exact = Frame(image=key.image, labels=key.labels, priors=key.alpha[:, :, None].repeat(3, 2))
    holes = patches = 0
    for seed in range(12):
        cut = square([Example.of(exact, key.alpha)], 64, np.random.default_rng(seed))
        prior, alpha = cut.input[0, 4:7], cut.alpha[0, 0]
        assert torch.equal(prior[0], prior[1]) and prior.min() >= 0 and prior.max() <= 1
        soft = (alpha > 0.06) & (alpha < 0.94)
        changed = prior[0] != alpha
        assert not (changed & soft).any() and not (changed & (cut.unknown[0, 0] == 0)).any()
        holes += int(((alpha > 0.95) & (prior[0] < 0.5)).sum())
        patches += int(((alpha < 0.05) & (prior[0] > 0.5)).sum())
    assert holes and patches


# -- tightening ------------------------------------------------------------------------------------


def solved_edge() -> tuple[Solved, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """An edge at column 60 in a band from 20 to 100, solved rightly."""
    wanted = np.clip((np.arange(128, dtype=np.float32) - 55) / 10, 0, 1)[None].repeat(96, 0)
    labels = np.full((96, 128), UNKNOWN, np.uint8)
    labels[:, :20], labels[:, 100:] = BACKGROUND, FOREGROUND
    expected = np.where((wanted > 0) & (wanted < 1), np.float32(0.1), np.float32(0.001))
    return Solved(alpha=wanted, error=expected, prior=wanted), labels, wanted


def test_tightening_leaves_a_margin_around_what_is_soft() -> None:
    solved, labels, _ = solved_edge()
    found = tightened(solved, labels, 0.02, 3)
    unknown = np.flatnonzero((found.labels == UNKNOWN)[48])
    assert 50 <= unknown[0] < 55 and 65 < unknown[-1] <= 70
    assert (found.labels[labels != UNKNOWN] == labels[labels != UNKNOWN]).all()
    assert (found.alpha[found.labels == FOREGROUND] == 1).all()
    assert (found.alpha[found.labels == BACKGROUND] == 0).all()
    assert np.array_equal(tightened(solved, labels, 0.0, 3).labels, labels)


@pytest.mark.parametrize(("room", "margin"), [(0, 3), (4, 6), (8, 10), (40, 12)])
def test_the_margin_is_as_wide_as_the_artist_left_it(room: int, margin: int) -> None:
    _, _, wanted = solved_edge()
    labels = np.full(wanted.shape, UNKNOWN, np.uint8)
    soft = np.flatnonzero((wanted[0] >= 0.03) & (wanted[0] <= 0.97))
    labels[:, : soft[0] - room], labels[:, soft[-1] + room + 1 :] = BACKGROUND, FOREGROUND
    assert painted_margin(labels, wanted) == margin
    assert painted_margin(np.full_like(labels, UNKNOWN), wanted) == 3, "there is no outline"


def test_the_margin_is_in_px_of_the_picture_that_stage_1_sees() -> None:
    wanted = np.zeros((1080, 1920), np.float32)
    wanted[:, 960:] = 1
    labels = np.full(wanted.shape, UNKNOWN, np.uint8)
    labels[:, :951], labels[:, 969:] = BACKGROUND, FOREGROUND  # 9 clear px on either side
    assert stage1_reduction(*wanted.shape) == 2 and painted_margin(labels, wanted) == 6
    solved = Solved(alpha=wanted, error=np.zeros_like(wanted), prior=wanted)
    found = tightened(solved, np.full_like(labels, UNKNOWN), 0.02, 6).labels
    assert np.count_nonzero(found[540] == UNKNOWN) == 2 * 2 * 6


@pytest.mark.parametrize("alpha", [0.0, 1.0])
@pytest.mark.parametrize("columns", [1, 2])
def test_a_keyframe_on_which_nothing_is_soft_has_the_widest_margin(
    alpha: float, columns: int
) -> None:
    labels = np.full((9, 16), BACKGROUND if alpha == 0 else FOREGROUND, np.uint8)
    labels[4, 4 : 4 + columns] = UNKNOWN
    assert painted_margin(labels, np.full(labels.shape, alpha, np.float32)) == 12


def test_a_wider_margin_leaves_more_unknown() -> None:
    solved, labels, _ = solved_edge()
    narrow, wide = (tightened(solved, labels, 0.02, margin).labels for margin in (3, 9))
    assert ((narrow == UNKNOWN) <= (wide == UNKNOWN)).all()
    assert np.count_nonzero((wide != narrow)[48]) == 2 * (9 - 3)


def test_what_the_colours_contradict_stays_unknown() -> None:
    solved, labels, _ = solved_edge()
    colours = solved.prior.copy()
    colours[20:50, 25:45], colours[20:50, 75:95] = 0.6, 0.4
    found = tightened(replace(solved, prior=colours), labels, 0.02, 3)
    assert (found.labels[20:50, 25:45] == UNKNOWN).all()
    assert (found.labels[20:50, 75:95] == UNKNOWN).all()
    assert (found.labels[60:, 25:45] == BACKGROUND).all()
    assert (found.labels[60:, 75:95] == FOREGROUND).all()


def test_a_confident_error_is_not_trusted() -> None:
    solved, labels, wanted = solved_edge()
    assert calibrated(solved, labels, wanted, 3) == 0.03
    wrong = solved.alpha.copy()
    wrong[30:60, 25:45] = 1
    assert calibrated(replace(solved, alpha=wrong, prior=wrong), labels, wanted, 3) == 0.0


def test_softness_that_a_trial_would_lose_asks_for_more_certainty() -> None:
    solved, labels, wanted = solved_edge()
    faint = wanted.copy()
    faint[30:34, 30:36] = 0.03  # solved as empty, with an expected error just below 0.02
    expected = solved.error.copy()
    expected[26:38, 26:40] = 0.017
    assert calibrated(replace(solved, error=expected), labels, faint, 3) == 0.014


# -- runs ------------------------------------------------------------------------------------------


def test_a_fit_is_made_once_kept_and_found_again(shot: Shot, always: None) -> None:
    first, said, steps = statuses(shot)
    assert set(first.values()) == {"written"} and steps == QUICK.steps
    assert said and "on keyframe 1005, which it had not seen" in said[0]
    (path,) = fits(shot)
    record = json.loads(path.with_suffix(".json").read_text())["training"]
    assert record["used"] and record["withheld"] == 1005 and record["steps"] == QUICK.steps
    again, _, steps = statuses(shot)
    assert set(again.values()) == {"kept"} and steps == 0
    assert inspect(shot).finished == 5

    shown = path.with_suffix(".npz")
    before = path.read_bytes(), shown.read_bytes()
    for damage in (path.unlink, shown.unlink, lambda: shown.write_bytes(before[1][:-100])):
        damage()
        made_again, _, steps = statuses(shot)
        assert (path.read_bytes(), shown.read_bytes()) == before and steps == QUICK.steps
        assert set(made_again.values()) == {"kept"}


@pytest.mark.parametrize(("hard_error", "steps"), [(1.0, 2), (0.0, 4)])
def test_a_hard_shot_is_learned_for_longer(
    shot: Shot, always: None, monkeypatch: pytest.MonkeyPatch, hard_error: float, steps: int
) -> None:
    """By the error on the withheld keyframe, unless the minutes are given."""
    monkeypatch.setattr(fit_settings, "_HARD_ERROR", hard_error)
    auto = replace(QUICK, when="auto", fewest_frames=3)
    shot = replace(shot, settings=replace(shot.settings, fit=auto))
    assert statuses(shot)[2] == steps
    (path,) = fits(shot)
    assert json.loads(path.with_suffix(".json").read_text())["training"]["steps"] == steps
    assert QUICK.further_steps(1.0) == 1
    assert inspect(shot).finished == 5


def test_keyframes_do_not_depend_on_the_fit(fitted: Shot) -> None:
    off = replace(fitted, settings=replace(fitted.settings, fit=FitSettings(when="off")))
    found, _, steps = statuses(off)
    assert found == {1001: "kept", 1002: "written", 1003: "written", 1004: "written", 1005: "kept"}
    assert steps == 0


def test_another_keyframe_makes_another_fit(fitted: Shot, tiny_shot: Path) -> None:
    (before,) = fits(fitted)
    name = tiny_shot / "trimaps" / "trimap.1005.png"
    name.with_name("trimap.1004.png").write_bytes(name.read_bytes())
    changed = reopened(fitted, tiny_shot)
    assert inspect(changed).finished == 2  # the keyframes
    found, said, _ = statuses(changed)
    assert {n for n, status in found.items() if status == "kept"} == {1001, 1005}
    (after,) = fits(fitted)
    assert after != before and "1004" in said[0]
    assert [one.stem for one in after.parent.glob("*.npz")] == [after.stem]


def test_a_fit_that_does_not_help_is_not_used_and_not_tried_again(
    shot: Shot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_module, "_BETTER", 0.0)
    _, said, steps = statuses(shot)
    assert said[0].startswith("not fitted to the shot")
    assert 0 < steps < QUICK.steps and not fits(shot)
    off = replace(shot, settings=replace(shot.settings, fit=FitSettings(when="off")))
    found, _, steps = statuses(off)
    assert set(found.values()) == {"kept"} and steps == 0
    found, _, steps = statuses(shot)
    assert set(found.values()) == {"kept"} and steps == 0


def test_chunks_equal_the_whole(fitted: Shot, tmp_path: Path) -> None:
    apart = replace(fitted, output=tmp_path / "apart")
    for numbers in ((1001, 1002), (1003, 1004, 1005)):
        statuses(apart, chunk=True, only=numbers)
    for number in range(1001, 1006):
        name = f"matte.{number}.exr"
        assert (fitted.output / name).read_bytes() == (apart.output / name).read_bytes()


def test_the_command_makes_what_a_run_finds(
    shot: Shot, always: None, tiny_shot: Path, light_weights: Path
) -> None:
    (tiny_shot / "shot.toml").write_text(
        f'fps = 24\n[engine]\nweights = "{light_weights}"\ndevice = "cpu"\n'
        f'[fit]\nwhen = "on"\nminutes = {QUICK.minutes}\ncrop_px = 64\nbatch = 2\n'
    )
    done = CliRunner().invoke(commands, ["fit", str(tiny_shot)])
    assert done.exit_code == 0 and "fitted to the shot: on keyframe 1005" in done.output
    (path,) = fits(shot)
    ran = CliRunner().invoke(commands, ["run", str(tiny_shot), "--json"])
    events = [json.loads(line) for line in ran.output.splitlines()]
    assert not [event for event in events if event["event"] == "fit"]
    assert fits(shot) == [path]
    off = CliRunner().invoke(commands, ["fit", str(tiny_shot), "--fit", "off", "--json"])
    assert json.loads(off.output) == {"event": "fit", "fit": None}


def test_narrowed_trimaps_agree_with_the_mattes(
    shot: Shot, always: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_module, "calibrated", lambda *_: 0.45)  # believe nearly everything
    monkeypatch.setattr("vfxmatte.fitting.tightening._OPPOSITE", 0.0)  # the plate is noise
    carried = replace(shot, output=shot.output.parent / "carried")
    statuses(replace(carried, settings=replace(shot.settings, fit=FitSettings(when="off"))))
    statuses(shot)
    for number in (1002, 1003, 1004):
        wide, labels = (
            cv2.imread(str(one.trimap_output / f"trimap.{number}.png"), cv2.IMREAD_GRAYSCALE)
            for one in (carried, shot)
        )
        alpha = np.squeeze(read_image(shot.output / f"matte.{number}.exr").pixels)
        assert (alpha[labels == 255] == 1).all() and (alpha[labels == 0] == 0).all()
        assert np.count_nonzero(labels == 128) < np.count_nonzero(wide == 128)


def test_who_is_fitted(shot: Shot) -> None:
    with Run(shot) as run:
        plan, settings = run.plan, run.settings

        def wanted(**changes: Any) -> bool:
            return is_wanted(plan, replace(settings, **changes))

        assert wanted(fit=FitSettings(when="auto", fewest_frames=3))
        assert not wanted(fit=FitSettings(when="auto"))  # three frames are not worth it
        assert not wanted(fit=FitSettings(when="off"))
        assert not wanted(engine=EngineSettings(name="closed-form"))
        alone = replace(plan, keyframes={1001: plan.keyframes[1001]})
        assert not is_wanted(alone, settings)


def given(fit: str | None) -> FitSettings:
    values: dict[str, Any] = {"part": None, "extra": (), "fit": fit}
    return settings_with(RunSettings(), values).fit


def test_the_option() -> None:
    assert given(None) == FitSettings()
    assert given("off").when == "off"
    assert given("2.5").when == "on" and given("2.5").steps == 300
    with pytest.raises(UsageError, match="--fit 'long'"):
        given("long")
    with pytest.raises(UsageError, match="minutes"):
        given("-1")
    with pytest.raises(UsageError, match="multiple of 32"):
        FitSettings(crop_px=100)
    assert "--fit" in CliRunner().invoke(commands, ["run", "--help"]).output


def test_fitted_frames_are_seen_at_the_size_that_was_learned_alone(light_weights: Path) -> None:
    key = keyframe()
    trimap = Trimap(number=2, labels=grow(key.labels, 12), is_keyframe=False)
    task = Task(image=key.image, trimap=trimap)
    engine = LightEngine.open(EngineSettings(weights=light_weights, device="cpu"))
    record = {"sure": 0.0, "margin": 3, "doubts": False}
    fitted = FittedEngine(engine, engine, KeptFit(path=light_weights, record=record))
    alpha = fitted.matte(task).alpha
    seen = engine.solved(replace(task, coarse=False, corrected=False))
    error, device = np.where(trimap.labels == UNKNOWN, seen.error, 0), torch.device("cpu")
    corrected = corrected_alpha(key.image, seen.alpha, error, device=device)
    assert np.array_equal(alpha, corrected)
    assert np.abs(alpha - engine.solved(task).alpha).max() > 1e-4
