"""What a training has to tell while it goes on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What the trainer reports every `log_every` steps."""

    step: int
    phase: str
    losses: dict[str, float]
    lr: float
    samples_per_second: float
    data_share: float
    peak_memory_bytes: int


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Mean absolute and squared error over the unknown region of the held-out composites."""

    step: int
    mad: float
    mse: float
    best: bool


Event = Progress | Validation | str
