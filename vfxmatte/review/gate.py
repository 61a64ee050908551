"""Conditions under which a review fails: `flicker>0.08,leak>5%`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vfxmatte.errors import UsageError

_CONDITION = re.compile(r"\s*(\w+)\s*([<>])\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*(%?)\s*")


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One condition; it holds for a frame whose value is beyond the limit."""

    name: str
    is_above: bool
    limit: float

    def holds(self, value: float | None) -> bool:
        """Return True if a value is beyond the limit; a missing value never is."""
        if value is None:
            return False
        return value > self.limit if self.is_above else value < self.limit

    def __str__(self) -> str:
        return f"{self.name}{'>' if self.is_above else '<'}{self.limit:g}"


def conditions(text: str, names: Sequence[str]) -> list[Condition]:
    """Parse conditions, separated by commas.

    Args:
        names: those that may be used.
    Raises:
        UsageError: another name, or no condition at all.
    """
    return [_condition(part, names) for part in text.split(",")]


def _condition(text: str, names: Sequence[str]) -> Condition:
    match = _CONDITION.fullmatch(text)
    hint = f"write e.g. flicker>0.08,leak>5%; there are {', '.join(names)}"
    if match is None:
        raise UsageError(f"not a condition: {text.strip()!r}", hint=hint)
    if match[1] not in names:
        raise UsageError(f"a review has no figure {match[1]!r}", hint=hint)
    try:
        limit = float(match[3]) / (100 if match[4] else 1)
    except ValueError as error:
        raise UsageError(f"not a number: {match[3]!r}", hint=hint) from error
    return Condition(name=match[1], is_above=match[2] == ">", limit=limit)


def broken(
    listed: Sequence[Condition], values: Mapping[int, Mapping[str, float | None]]
) -> dict[int, list[str]]:
    """Return what fails, by frame number.

    Args:
        values: each frame's figures by name.
    """
    failures = {
        number: [
            f"{one}: {figures[one.name]:.4g}" for one in listed if one.holds(figures[one.name])
        ]
        for number, figures in values.items()
    }
    return {number: texts for number, texts in failures.items() if texts}
