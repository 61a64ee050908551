"""The fit of a shot, before its first frame: found in the output folder, or made and kept there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from vfxmatte.colour import ColourConfig, to_network
from vfxmatte.common.devices import device_names, names_several
from vfxmatte.engines.protocol import Engine, Task
from vfxmatte.errors import OutputError, VfxmatteError, WeightsError
from vfxmatte.fitting.kept import (
    KeptFit,
    check_writable,
    discard,
    fit_path,
    keep_impossible,
    keep_unused,
    kept_fit,
    remove_others,
    samples_path,
)
from vfxmatte.io.plate import Plate
from vfxmatte.io.temporary import write_whole
from vfxmatte.network.sidecar import DEFAULT_WEIGHTS, is_light, read_sidecar
from vfxmatte.pipeline.finished import read_finished
from vfxmatte.pipeline.keyframes import Keyframes
from vfxmatte.pipeline.plan import RunPlan, keyframe_digest
from vfxmatte.pipeline.prepared import PreparedRun
from vfxmatte.pipeline.settings import RunSettings, as_plain, digest
from vfxmatte.pipeline.shot import Shot
from vfxmatte.prior.samples import Samples
from vfxmatte.types import UNKNOWN, Trimap

if TYPE_CHECKING:
    from vfxmatte.fitting.examples import Keyframe
    from vfxmatte.fitting.fit import FitProgress, Trial
    from vfxmatte.network.light import LightMatting

_TO_COME = "to come: "  # in place of the name of a fit

FIT_VERSION = 11
"""Raise this when a change of the program changes fits."""

_READ_TRIES, _READ_SECONDS = 20, 0.1

OnFit = Callable[["FitProgress"], None]


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
    """Return True if the run's weights are a light network's, as the default ones are."""
    try:
        return is_light(settings.engine.weights_path)
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
        return {**usual, "fit": f"{_TO_COME}{recipe}"}
    return {**usual, "fit": kept.name} if kept.used else usual


def is_to_come(description: Mapping[str, Any]) -> bool:
    """Return True if a run would make the fit of a description from `described`."""
    return str(description.get("fit", "")).startswith(_TO_COME)


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
            "settings": {
                **as_plain(settings.fit),
                "when": settings.fit.when == "auto",
                "weights": "",
            },
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
    path = settings.engine.weights_path
    return path if is_light(path) else DEFAULT_WEIGHTS


def _chosen(plan: RunPlan, settings: RunSettings) -> list[int]:
    """The keyframes to learn from, spread evenly over those that there are."""
    numbers, most = sorted(plan.keyframes), settings.fit.most_keyframes
    if len(numbers) <= most:
        return numbers
    return [numbers[round(i)] for i in np.linspace(0, len(numbers) - 1, most)]


def fitted(run: PreparedRun, engine: Engine, on_fit: OnFit) -> tuple[Engine, KeptFit | None]:
    """Return the engine that a run's frames are solved with, and the fit if there is one.

    Makes the fit and keeps it in the output folder, unless it is there.

    Args:
        engine: the run's own.
        on_fit: receives the progress.

    Raises:
        OutputError: it cannot be written.
        WeightsError: those to begin from cannot be read.
        VfxmatteError: whatever concerns all frames.
    """
    if not is_wanted(run.plan, run.settings):
        return engine, None
    output, recipe = run.shot.output, recipe_of(run, engine.describe())
    kept = kept_fit(output, recipe)
    if kept is not None:
        try:
            return _opened(run, engine, kept), kept
        except WeightsError:  # the tensors are whole, and no network of this version
            discard(output, recipe)
    _make(run, engine, recipe, on_fit)
    kept = _written(output, recipe)
    return _opened(run, engine, kept), kept


def _opened(run: PreparedRun, engine: Engine, kept: KeptFit) -> Engine:
    if not kept.used:
        return engine
    from vfxmatte.fitting.engine import FittedEngine

    settings = run.settings.engine
    first = device_names(settings.device)[0] if names_several(settings.device) else settings.device
    return FittedEngine.open(engine, kept, replace(settings, device=first))


def _written(output: Path, recipe: str) -> KeptFit:
    """Return the fit that was just written; another process may be writing the same one now."""
    for _ in range(_READ_TRIES):
        kept = kept_fit(output, recipe)
        if kept is not None:
            return kept
        time.sleep(_READ_SECONDS)
    raise OutputError(
        "the fit to the shot was written and cannot be read again",
        path=fit_path(output, recipe),
        hint="does something else remove or change files there? --fit off does without",
    )


def _make(run: PreparedRun, engine: Engine, recipe: str, on_fit: OnFit) -> None:
    """Make and keep a fit, or the reason why there is none."""
    from vfxmatte.fitting.examples import grown_examples
    from vfxmatte.fitting.fit import fit
    from vfxmatte.network.light_weights import load_light_weights
    from vfxmatte.prior.alpha_prior import samples_of

    output = run.shot.output
    check_writable(output)
    base, _ = load_light_weights(_base_weights(run.settings))
    numbers = _chosen(run.plan, run.settings)
    samples = {
        key.number: samples_of(key.image, key.labels, key.alpha)
        for key in _solved_keyframes(run, engine, numbers)
    }
    examples = {
        key.number: grown_examples(key, _of_others(samples, key.number), run.check_stopped)
        for key in _solved_keyframes(run, engine, list(samples))  # again: all would be too large
    }
    if len(examples) < 2:
        keep_impossible(output, recipe, "fewer than two of its keyframes can be learned from")
        return
    trial = _trial(run, engine, list(examples)[len(examples) // 2], samples)
    if trial is None:
        keep_impossible(output, recipe, "the keyframe to try it on cannot be solved")
        return
    network, record = fit(base, examples, trial, run.settings.fit, on_fit)
    if kept_fit(output, recipe) is None:  # another process may have been faster
        if record.used:
            name, shown = f"fit of {run.shot.name}", Samples.joined(samples.values())
            _keep(fit_path(output, recipe), network, shown, name, record.as_dict())
        else:
            keep_unused(output, recipe, record.as_dict())
    if not run.chunk:
        remove_others(output, recipe)


def _of_others(samples: Mapping[int, Samples], number: int) -> Samples | None:
    """Join the samples of all keyframes but one."""
    return Samples.joined(one for other, one in samples.items() if other != number)


def _keep(
    path: Path,
    network: LightMatting,
    samples: Samples | None,
    name: str,
    record: Mapping[str, Any],
) -> None:
    """Write a fit, and the samples before it, without which it is none; raises OutputError."""
    from vfxmatte.network.weights_file import save_folded

    if samples is not None:
        write_whole(samples_path(path), samples.packed())
    try:
        save_folded(path, network, network.config, name=name, training=record)
    except WeightsError as error:
        samples_path(path).unlink(missing_ok=True)
        if isinstance(error.__cause__, OutputError):
            raise error.__cause__ from error.__cause__.__cause__
        raise


def _solved_keyframes(
    run: PreparedRun, engine: Engine, numbers: Sequence[int]
) -> Iterator[Keyframe]:
    """Yield the keyframes that can be learned from, with their mattes at the size a fit sees.

    Those that cannot be read or solved, or on which nothing or everything is unknown, are left out.
    """
    from vfxmatte.engines.answers import solve_one
    from vfxmatte.fitting.examples import Keyframe

    paths = {number: run.plan.keyframes[number] for number in numbers}
    plate, growth_px = run.plate.info, run.settings.keyframe_growth
    painted = Keyframes(paths, plate, growth_px, run.plan.finished)
    for number, frame in run.plate_reader.frames(numbers):
        run.check_stopped()
        if isinstance(frame, Exception):
            continue
        try:
            trimap = painted[number]
            unknown = trimap.labels == UNKNOWN
            if unknown.all() or not unknown.any():
                continue
            image = to_network(frame, run.colours)
            if number in run.plan.finished:
                alpha = read_finished(run.plan.keyframes[number], number, run.plate.info)
            else:
                task = Task(image=image, trimap=trimap, coarse=False, corrected=False)
                alpha = solve_one(engine, task).alpha
        except VfxmatteError as error:
            if run.concerns_all(error):
                raise
            continue  # the run itself will report it
        yield Keyframe(number=number, image=image, labels=trimap.labels, alpha=alpha)


def _trial(
    run: PreparedRun, engine: Engine, number: int, samples: Mapping[int, Samples]
) -> Trial | None:
    """Withhold a keyframe; None if it cannot be solved under the wider trimap."""
    from vfxmatte.engines.answers import solve_one
    from vfxmatte.fitting.examples import trial_labels
    from vfxmatte.fitting.fit import Trial

    for key in _solved_keyframes(run, engine, [number]):  # again: all would not fit into memory
        labels = trial_labels(key)
        trimap = Trimap(number=key.number, labels=labels, is_keyframe=False)
        try:
            task = Task(image=key.image, trimap=trimap, corrected=False)  # as a fit's is
            usual = solve_one(engine, task).alpha
        except VfxmatteError as error:
            if run.concerns_all(error):
                raise
            return None
        shown = _of_others(samples, number)
        return Trial(key=key, labels=labels, usual=usual, samples=shown)
    return None
