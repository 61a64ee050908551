"""The fits to a shot with several subjects: each from its own keyframes, in its own folder."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from vfxmatte.engines.protocol import Engine
from vfxmatte.errors import VfxmatteError
from vfxmatte.fitting.kept import KeptFit
from vfxmatte.pipeline.fitting import described, is_wanted
from vfxmatte.pipeline.run import Run

Runs = Mapping[str, Run]


def fitted(runs: Runs, chosen: Collection[str], engine: Engine) -> tuple[Engine, dict[str, Any]]:
    """Find or make the fits of the chosen subjects, where they are wanted.

    Args:
        engine: the run's own.

    Returns:
        The engine that solves all subjects, and its description for each: a subject that is not
        chosen has the fit that is on disk.

    Raises:
        VfxmatteError: see `fitting.fitted`.
    """
    engines = {name: _fitted(runs[name], engine) for name in chosen}
    descriptions = descriptions_of(runs, engine.describe())
    descriptions |= {name: dict(one.describe()) for name, one in engines.items()}
    if all(one is engine for one in engines.values()):
        return engine, descriptions
    from vfxmatte.fitting.engine import FittedEngine, SubjectsEngine

    fits = {name: one for name, one in engines.items() if isinstance(one, FittedEngine)}
    return SubjectsEngine(engine, fits), descriptions


def _fitted(run: Run, engine: Engine) -> Engine:
    try:
        return run.fitted(engine)
    except VfxmatteError as error:
        raise error.at(shot=run.shot.name) from error.__cause__


def descriptions_of(runs: Runs, description: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description of an engine for each subject, with the fit that is on disk or that a
    run would make."""
    return {name: described(run, description) for name, run in runs.items()}


def fit_ahead(runs: Runs, chosen: Collection[str]) -> None:
    """Make the fits that are wanted and not on disk, for other processes to find them there."""
    names = [name for name in chosen if is_wanted(runs[name].plan, runs[name].settings)]
    if names:
        with runs[names[0]].engine_for_fit() as engine:
            fitted(runs, names, engine)


def made_fits(runs: Runs, chosen: Collection[str]) -> dict[str, KeptFit | None]:
    """Make the fits of the chosen subjects and nothing else; None for one that is not wanted.

    Raises:
        VfxmatteError: as `Run.frames`, naming shot and subject.
    """
    with runs[next(iter(chosen))].engine_for_fit() as engine:
        for name in chosen:
            runs[name].lend(engine)
        return {name: runs[name].fit() for name in chosen}
