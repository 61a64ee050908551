"""The fit of a shot, before its first frame: found in the output folder, or made and kept there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from vfxmatte.colour import ColourConfig, to_network
from vfxmatte.engines.protocol import Engine, Task
from vfxmatte.errors import VfxmatteError, WeightsError
from vfxmatte.fitting.kept import KeptFit, fit_path, keep_unused, kept_fit, remove_others
from vfxmatte.fitting.settings import LIGHT_WEIGHTS
from vfxmatte.io.plates import Plate
from vfxmatte.network.sidecar import DEFAULT_WEIGHTS, read_sidecar
from vfxmatte.pipeline.finished import read_finished
from vfxmatte.pipeline.plan import RunPlan, keyframe_digest
from vfxmatte.pipeline.prepared import PreparedRun
from vfxmatte.pipeline.settings import RunSettings, as_plain, digest
from vfxmatte.pipeline.shot import Keyframes, Shot
from vfxmatte.types import UNKNOWN, Trimap

if TYPE_CHECKING:
    from vfxmatte.fitting.examples import Keyframe
    from vfxmatte.fitting.fit import FitProgress, Trial

FIT_VERSION = 1
"""Raise this when a change of the program changes fits."""

Told = Callable[["FitProgress"], None]


def is_wanted(plan: RunPlan, settings: RunSettings) -> bool:
    """Return True if a shot is to be fitted; no matter which of its frames a run does."""
    fit, engine = settings.fit, settings.engine
    if fit.when == "off" or engine.name != "dim" or len(plan.keyframes) < 2:
        return False
    if fit.when == "on":
        return True
    between = len(plan.trail) - len(plan.keyframes)
    return between >= fit.fewest_frames and _is_ours(settings)


def _is_ours(settings: RunSettings) -> bool:
    """Whether the run's weights are the default ones, or a light network's."""
    path = settings.engine.weights
    if path is None or path == DEFAULT_WEIGHTS:
        return settings.fit.weights is not None or LIGHT_WEIGHTS.is_file()
    try:
        return read_sidecar(path).get("architecture") == "light"
    except WeightsError:
        return False  # opening the engine says it


class Opened(Protocol):
    """A shot with its plate open, as a run or an inspection has it."""

    @property
    def shot(self) -> Shot: ...
    @property
    def settings(self) -> RunSettings: ...
    @property
    def plan(self) -> RunPlan: ...
    @property
    def plate(self) -> Plate: ...
    @property
    def colours(self) -> ColourConfig: ...


def described(opened: Opened, description: Mapping[str, Any]) -> dict[str, Any]:
    """Add the fit to the description of an engine that need not be open: the one on disk, or the
    one that a run would make.

    Args:
        description: with a fit or without.
    """
    usual = {key: value for key, value in description.items() if key != "fit"}
    if not is_wanted(opened.plan, opened.settings):
        return usual
    recipe = recipe_of(opened, usual)
    kept = kept_fit(opened.shot.output, recipe)
    if kept is None:
        return {**usual, "fit": f"to come: {recipe}"}
    return {**usual, "fit": kept.name} if kept.used else usual


def recipe_of(opened: Opened, description: Mapping[str, Any]) -> str:
    """Return the digest of all that decides a fit: keyframes and their plates, the engine, the
    weights to begin from, and the settings.

    Args:
        description: of the run's own engine, without a fit.
    """
    plan, settings, plate = opened.plan, opened.settings, opened.plate
    numbers = _chosen(plan, settings)
    return digest(
        {
            "version": FIT_VERSION,
            "engine": dict(description),
            "begins": str(read_sidecar(_base_weights(settings))["sha256"]),
            "settings": {**as_plain(settings.fit), "when": "", "weights": ""},
            "keyframes": [
                (n, keyframe_digest(plan, n), plate.signature(plan.sources[n])) for n in numbers
            ],
            "picture": [plate.info.kind, settings.layer, settings.part, settings.first_frame],
            "colour": [plate.info.colour_space, opened.colours.fingerprint],
            "canvas": as_plain(plate.info.canvas),
            "growth": settings.keyframe_growth,
        }
    )


def _base_weights(settings: RunSettings) -> Path:
    if settings.fit.weights is not None:
        return settings.fit.weights
    path = settings.engine.weights
    if path is not None and read_sidecar(path).get("architecture") == "light":
        return path
    return LIGHT_WEIGHTS


def _chosen(plan: RunPlan, settings: RunSettings) -> list[int]:
    """The keyframes to learn from, spread evenly over those that there are."""
    numbers, most = sorted(plan.keyframes), settings.fit.most_keyframes
    if len(numbers) <= most:
        return numbers
    return [numbers[round(i)] for i in np.linspace(0, len(numbers) - 1, most)]


def fitted(run: PreparedRun, engine: Engine, told: Told) -> tuple[Engine, KeptFit | None]:
    """Return the engine that a run's frames are solved with, and the fit if there is one.

    Makes the fit and keeps it in the output folder, unless it is there.

    Args:
        engine: the run's own.
        told: receives the progress.
    """
    if not is_wanted(run.plan, run.settings):
        return engine, None
    recipe = recipe_of(run, engine.describe())
    kept = kept_fit(run.shot.output, recipe)
    if kept is None:
        kept = _made(run, engine, recipe, told)
    if kept is None or not kept.used:
        return engine, kept
    from vfxmatte.fitting.engine import FittedEngine

    return FittedEngine.open(engine, kept, run.settings.engine), kept


def _made(run: PreparedRun, engine: Engine, recipe: str, told: Told) -> KeptFit | None:
    """Make and keep a fit; None if too few keyframes can be used."""
    from vfxmatte.fitting.fit import fit
    from vfxmatte.network.light_weights import load_light_weights
    from vfxmatte.network.weights_file import save_folded

    numbers = _chosen(run.plan, run.settings)
    painted = Keyframes(
        {n: run.plan.keyframes[n] for n in numbers},
        run.plate.info,
        run.settings.keyframe_growth,
        run.plan.finished,
    )
    keys = _solved_keyframes(run, engine, painted, numbers)
    if len(keys) < 2:
        return None
    trial = _trial(engine, keys)
    base, _ = load_light_weights(_base_weights(run.settings))
    network, record = fit(base, keys, trial, run.settings.fit, told)
    output, path = run.shot.output, fit_path(run.shot.output, recipe)
    if kept_fit(output, recipe) is None:  # another process may have been faster
        if record.used:
            name = f"fit of {run.shot.name}"
            save_folded(path, network, network.config, name=name, training=record.as_dict())
        else:
            keep_unused(output, recipe, record.as_dict())
    if not run.chunk:
        remove_others(output, recipe)
    return kept_fit(output, recipe)


def _solved_keyframes(
    run: PreparedRun, engine: Engine, painted: Keyframes, numbers: Sequence[int]
) -> list[Keyframe]:
    """The keyframes with their mattes; those whose plate cannot be read or solved are left out."""
    from vfxmatte.engines.answers import solve_one
    from vfxmatte.fitting.examples import Keyframe

    found = []
    for number, frame in run.plate_reader.frames(numbers):
        if isinstance(frame, Exception):
            continue
        image, trimap = to_network(frame, run.colours), painted[number]
        if not (trimap.labels == UNKNOWN).any():
            continue
        try:
            if number in run.plan.finished:
                alpha = read_finished(run.plan.keyframes[number], number, run.plate.info)
            else:
                alpha = solve_one(engine, Task(image=image, trimap=trimap)).alpha
        except VfxmatteError:
            continue  # the run itself will report it
        found.append(Keyframe(number=number, image=image, labels=trimap.labels, alpha=alpha))
    return found


def _trial(engine: Engine, keys: Sequence[Keyframe]) -> Trial:
    """Withhold the keyframe in the middle, of two the last."""
    from vfxmatte.engines.answers import solve_one
    from vfxmatte.fitting.examples import trial_labels
    from vfxmatte.fitting.fit import Trial

    key = keys[len(keys) // 2]
    labels = trial_labels(key)
    trimap = Trimap(number=key.number, labels=labels, is_keyframe=False)
    usual = solve_one(engine, Task(image=key.image, trimap=trimap)).alpha
    return Trial(key=key, labels=labels, usual=usual)
