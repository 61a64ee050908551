"""Recipes, schedules, and settings that are read strictly."""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from training.config import Phase, TrainConfig
from training.course.recipe import CourseTraining
from training.light.trainer import Cycle, LightTraining
from training.losses import LossWeights
from training.recipes import RECIPES, load_config
from training.samples.synthesis import SynthesisConfig
from vfxmatte.errors import TrainingError
from vfxmatte.network.dim import DimConfig


def test_the_papers_recipe_is_the_papers():
    config = load_config("paper", None, {})
    assert [(p.trains, p.lr, p.final_lr, p.warmup) for p in config.phases] == [
        ("stage1", 1e-5, 1.0, 0), ("refinement", 1e-5, 1.0, 0), ("all", 1e-5, 1.0, 0)
    ]  # fmt: skip
    assert config.network == DimConfig(
        width=1.0, fc6_kernel=7, fc6_channels=4096, skips=False, batch_norm=False, refine=True
    )
    assert (config.optimiser, config.weight_decay, config.clip_norm) == ("adam", 0, 0)
    assert (config.ema, config.precision) == (0, "float32")
    assert (config.order, config.backgrounds_per_foreground) == ("epoch", 100)
    assert config.losses == LossWeights(alpha=0.5, composition=0.5, l1=0, laplacian=0)
    assert config.refinement_losses == LossWeights(alpha=1, composition=0, l1=0, laplacian=0)


def test_the_papers_pictures_are_the_papers():
    synthesis = load_config("paper", None, {}).synthesis
    assert synthesis.crop_px == 320
    assert [round(320 * zoom) for zoom in synthesis.zoom_choices] == [320, 480, 640]
    assert synthesis.flip == 0.5
    assert synthesis.erode_foreground
    rest = replace(synthesis, zoom_choices=(), flip=0.0, band_px=(10, 10))
    assert rest == SynthesisConfig.plain(320, linear_light=False)


def test_the_default_recipe_uses_what_was_learned_since():
    config = load_config("better", None, {})
    assert config.synthesis.crop_px == 512
    assert config.network.batch_norm
    assert config.losses.l1 and config.losses.composition and config.losses.laplacian
    assert 0 < config.ema < 1
    assert config.synthesis.linear_light > 0.5


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_knows_its_own_name(name):
    assert load_config(name, None, {}).recipe == name


def test_warm_up_then_cosine():
    phase = Phase(name="x", trains="all", steps=110, lr=1.0, warmup=10, final_lr=0.2)
    assert [phase.learning_rate(s) for s in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])
    assert phase.learning_rate(10) == pytest.approx(1.0)
    assert phase.learning_rate(60) == pytest.approx(0.2 + 0.8 * 0.5)
    assert phase.learning_rate(35) == pytest.approx(0.2 + 0.8 * 0.5 * (1 + math.cos(math.pi / 4)))
    assert phase.learning_rate(110) == pytest.approx(0.2)


def test_a_constant_rate_stays():
    phase = Phase(name="x", trains="all", steps=50, lr=1e-5, final_lr=1.0)
    assert {phase.learning_rate(step) for step in range(50)} == {1e-5}


def test_each_step_is_in_its_phase():
    config = TrainConfig(
        phases=tuple(Phase(name=n, trains="all", steps=s, lr=1e-3) for n, s in (("a", 3), ("b", 2)))
    )
    assert config.total_steps == 5
    assert [config.phase_at(s) for s in range(5)] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    with pytest.raises(IndexError):
        config.phase_at(5)


def test_a_file_and_settings_change_the_recipe(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(
        'recipe = "small"\nbatch = 4\n[network]\nwidth = 0.5\n[synthesis]\nband_px = [2, 9]\n'
    )
    config = load_config("better", path, {"network.width": "0.125", "phases.0.steps": "7"})
    assert (config.recipe, config.batch, config.network.width) == ("small", 4, 0.125)
    assert config.synthesis.band_px == (2, 9)
    assert config.phases[0].steps == 7
    assert config.phases[1] == load_config("small", None, {}).phases[1]


def test_phases_can_be_written_in_the_file(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text('phases = [{ name = "one", trains = "all", steps = 9, lr = 1e-3 }]\n')
    assert load_config("better", path, {}).phases == (
        Phase(name="one", trains="all", steps=9, lr=1e-3),
    )


@pytest.mark.parametrize(
    "key, near",
    [("synthesis.croppx", "crop_px"), ("bath", "batch"), ("network.widht", "width"),
     ("phases.0.warm_up", "warmup")],
)  # fmt: skip
def test_an_unknown_key_is_refused_with_near_names(key, near):
    with pytest.raises(TrainingError) as caught:
        load_config("better", None, {key: "1"})
    assert near in str(caught.value)


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"synthesis.crop_px": "100"}, "multiple of 32"),
        ({"synthesis.flip": "1.5"}, "flip must be 0 to 1, found 1.5"),
        ({"synthesis.band_px": "[1, 80]"}, "within 0 and 50"),
        ({"synthesis.zoom": "[2.0, 1.0]"}, "zoom must be"),
        ({"synthesis.stretch": "0.5"}, "stretch"),
        ({"synthesis.moving_pairs": "true", "batch": "3"}, "even batch"),
        ({"network.refine": "false"}, "no"),
        ({"batch": "0"}, "batch must be 1 or more, found 0"),
        ({"batch": '"many"'}, "batch"),
        ({"ema": "1.0"}, "ema must be 0 or more and below 1, found 1.0"),
        ({"phases.0.steps": "0"}, "steps"),
        ({"phases.9.steps": "1"}, "no phase '9' in 'phases.9.steps'; the recipe has 3 phases"),
        ({"phases.-1.steps": "1"}, "no phase '-1'"),
        ({"validation_samples": "0"}, "validation_samples must be 1 or more, found 0"),
        ({"network.width": "99"}, "width"),
    ],
)
def test_values_that_make_no_sense_are_refused(settings, words):
    base = {"batch": "4"} if "batch" not in settings else {}
    with pytest.raises(TrainingError) as caught:
        load_config("better", None, base | settings)
    assert words in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "broken.toml").write_text("batch = = 3")
    for name in ("broken.toml", "missing.toml"):
        with pytest.raises(TrainingError) as caught:
            load_config("better", tmp_path / name, {})
        assert name in str(caught.value)


def test_an_unknown_recipe_names_those_there_are(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text('recipe = "worse"\n')
    with pytest.raises(TrainingError, match="better, paper"):
        load_config("better", path, {})


@pytest.mark.parametrize("training", [CourseTraining, TrainConfig, LightTraining, Cycle])
def test_every_key_stands_in_the_tables(training):
    tables = (Path(__file__).parents[2] / "training" / "KEYS.md").read_text("utf-8")
    documented = set(re.findall(r"`(?:\w+\.|\.)?(\w+)`", tables))
    missing = [key for key in keys_of(training) if key not in documented | {"name", "recipe"}]
    assert missing == []


def keys_of(training):
    """Names of all keys, those within tables too."""
    for one in dataclasses.fields(training):
        inner = one.default_factory() if callable(one.default_factory) else None
        if dataclasses.is_dataclass(inner):
            yield from keys_of(type(inner))
        else:
            yield one.name
