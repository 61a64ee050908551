"""A run with its engine, and with the fit of it to the shot."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from vfxmatte.common.devices import check_devices, device_names, names_several
from vfxmatte.engines.protocol import Engine
from vfxmatte.engines.registry import open_engine
from vfxmatte.errors import VfxmatteError, as_foreseen
from vfxmatte.network.sidecar import check_intact
from vfxmatte.pipeline.fitting import fitted, is_wanted
from vfxmatte.pipeline.plan import weights_sidecar
from vfxmatte.pipeline.prepared import PreparedRun
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot

if TYPE_CHECKING:
    from vfxmatte.fitting.fit import FitProgress
    from vfxmatte.fitting.kept import KeptFit


_FIT_FAILED = (MemoryError, RuntimeError, ArithmeticError, ValueError)
"""A fit that fails so is left out; errors on purpose, of the output say, end the run."""


class EquippedRun(PreparedRun):
    """A prepared run with its engine, fitted to the shot where that is wanted and helps."""

    def __init__(
        self,
        shot: Shot,
        settings: RunSettings | None = None,
        *,
        engine: Engine | None = None,
        chunk: bool = False,
        only: Collection[int] | None = None,
        check_stopped: Callable[[], None] | None = None,
        beside: PreparedRun | None = None,
    ) -> None:
        """Check the devices, open and plan the shot; see `run.Run` for arguments and errors."""
        self.engine: Engine | None = None
        self.device: str | None = None
        self.on_fit: Callable[[FitProgress], None] = lambda progress: None
        """Receives the progress of the fit to the shot."""
        self.on_note: Callable[[str], None] = lambda text: None
        """Receives what a person should know while the run goes on."""
        self.lend(engine)
        device = (settings or shot.settings).engine.device
        try:
            if engine is None and names_several(device):
                check_devices(device)
        except VfxmatteError as error:
            raise error.at(shot=shot.name) from error.__cause__
        super().__init__(
            shot, settings, chunk=chunk, only=only, check_stopped=check_stopped, beside=beside
        )

    def tell(self, on_fit: Callable[[FitProgress], None], on_note: Callable[[str], None]) -> None:
        """Set what receives the progress of the fit, and notes for a person."""
        self.on_fit, self.on_note = on_fit, on_note

    def lend(self, engine: Engine | None) -> None:
        """Solve with an engine that is open already and stays open; None changes nothing."""
        if engine is not None:
            self.engine, self.device = engine, engine.device

    def check_weights(self) -> None:
        """Raise WeightsError, before anything is written, if the engine to open cannot load its
        weights."""
        settings = self.settings.engine
        sidecar = weights_sidecar(settings) if self.engine is None else None
        if sidecar is not None:
            check_intact(settings.weights_path, sidecar)

    def ready_engine(self) -> Engine:
        """Return the engine; one that this run opens is closed with it."""
        if self.engine is None:
            engine = open_engine(self.settings.engine)
            self._open_files.callback(engine.close)
            self.lend(engine)
            return engine
        return self.engine

    def fit(self) -> KeptFit | None:
        """Make the fit to the shot, unless it is there, and nothing else; None if none is wanted.

        Raises:
            VfxmatteError: as `frames`.
        """
        try:
            self.check_keyframes()
            with self.engine_for_fit() as engine:
                return self._fit(engine)[1]
        except VfxmatteError as error:
            raise error.at(shot=self.shot.name) from error.__cause__
        except _FIT_FAILED as error:
            foreseen = as_foreseen(error).at(shot=self.shot.name)
            foreseen.hint = "with --fit off the shot is solved without a fit"
            raise foreseen from error

    def _fit(self, engine: Engine) -> tuple[Engine, KeptFit | None]:
        def report(progress: FitProgress) -> None:
            self.check_stopped()
            self.on_fit(progress)

        solver, kept = fitted(self, engine, report)
        if solver is not engine:
            self._open_files.callback(solver.close)
        return solver, kept

    def fitted(self, engine: Engine) -> Engine:
        """Return the engine for the frames between the keyframes too: fitted to the shot, where
        that is wanted and helps."""
        try:
            solver, kept = self._fit(engine)
        except _FIT_FAILED as error:
            self.on_note(
                f"not fitted to the shot: {as_foreseen(error).what} (--fit off: no attempt)"
            )
            return engine
        if kept is not None:
            self.on_note(kept.text)
        return solver

    @contextlib.contextmanager
    def engine_for_fit(self) -> Iterator[Engine]:
        """Lend the run's engine; of several devices, one on the first."""
        settings = self.settings.engine
        if self.engine is not None or not names_several(settings.device):
            yield self.ready_engine()
            return
        first = replace(settings, device=device_names(settings.device)[0])
        with contextlib.closing(open_engine(first)) as engine:
            yield engine

    def fit_ahead(self) -> None:
        """Make the fit, if it is wanted and not on disk, for the children to find it there."""
        if is_wanted(self.plan, self.settings):
            with self.engine_for_fit() as engine:
                self.fitted(engine)
