"""Events that a training reports."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A report every `log_every` steps."""

    step: int
    phase: str
    losses: dict[str, float]
    """The step's losses by name; `loss` is their weighted sum."""
    lr: float
    samples_per_second: float
    data_share: float
    """Share of time spent on making data, 0 to 1."""
    peak_memory_bytes: int


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Errors over the unknown region of the held-out pictures."""

    step: int
    mad: float
    """Mean absolute difference."""
    mse: float
    """Mean squared error."""
    best: bool
    """Whether the MAD is the run's smallest so far."""


Event = Progress | Validation | str
