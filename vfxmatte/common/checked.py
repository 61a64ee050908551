"""Dataclasses of settings that check types and ranges when they are created."""

from __future__ import annotations

import dataclasses
import functools
import math
import numbers
import types
import typing
from dataclasses import dataclass
from typing import Any, ClassVar, get_args, get_origin, get_type_hints

from vfxmatte.errors import UsageError, VfxmatteError

_ALLOWED = "allowed"


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """The range of a number; None for no limit."""

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None

    def holds(self, value: Any) -> bool:
        """Return True if a number is in the range; NaN and infinity never are."""
        return (
            math.isfinite(value)
            and (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        """Format as `0 to 1`, `1 or more`, `above 0 and below 1`, or `a finite number`."""
        if self.at_least is not None and self.at_most is not None:
            return f"{self.at_least:g} to {self.at_most:g}"
        parts = [f"{self.at_least:g} or more"] if self.at_least is not None else []
        parts += [f"above {self.above:g}"] if self.above is not None else []
        parts += [f"at most {self.at_most:g}"] if self.at_most is not None else []
        parts += [f"below {self.below:g}"] if self.below is not None else []
        return " and ".join(parts) or "a finite number"


def limited(default: Any, **limits: float) -> Any:
    """Declare a dataclass field with a default and the limits of `Allowed`."""
    return dataclasses.field(default=default, metadata={_ALLOWED: Allowed(**limits)})


class Checked:
    """Base of settings dataclasses: raises `refusal` for a value of the wrong type or range."""

    refusal: ClassVar[type[VfxmatteError]] = UsageError

    def __post_init__(self) -> None:
        kind: Any = type(self)
        for name in _kinds(kind):
            wrong = what_is_wrong(kind, name, getattr(self, name))
            if wrong is not None:
                raise self.refusal(f"{name} {wrong}")


def what_is_wrong(settings: Any, name: str, value: Any) -> str | None:
    """Return `must be above 0, found -1` for the value of a dataclass field; None if it is valid.

    Checks numbers, flags and choices; other types always pass.
    """
    options = _kinds(settings).get(name, ())
    if value is None and type(None) in options:
        return None
    for option in options:
        if get_origin(option) is typing.Literal and value not in get_args(option):
            return f"must be {' or '.join(map(repr, get_args(option)))}, found {value!r}"
    kind = next((one for one in (float, int, bool) if one in options), None)
    if kind is None or any(one not in (kind, type(None)) for one in options):
        return None
    return _wrong_number(kind, allowed_of(settings, name), value)


def allowed_of(settings: Any, name: str) -> Allowed:
    """Return the range of a field; unlimited if none was declared."""
    fields = {one.name: one for one in dataclasses.fields(settings)}
    allowed = fields[name].metadata.get(_ALLOWED) if name in fields else None
    return allowed if isinstance(allowed, Allowed) else Allowed()


def _wrong_number(kind: type, allowed: Allowed, value: Any) -> str | None:
    if kind is bool:
        return None if isinstance(value, bool) else f"must be true or false, found {value!r}"
    expected = numbers.Integral if kind is int else numbers.Real
    if isinstance(value, bool) or not isinstance(value, expected):
        words = "a whole number" if kind is int else "a number"
        return f"must be {words}, found {value!r}"
    return None if allowed.holds(value) else f"must be {allowed}, found {value!r}"


@functools.cache
def _kinds(settings: Any) -> dict[str, tuple[Any, ...]]:
    """Return each field's types: `int | None` as (int, NoneType)."""
    hints = get_type_hints(settings)
    return {
        one.name: (
            get_args(hints[one.name])
            if get_origin(hints[one.name]) in (typing.Union, types.UnionType)
            else (hints[one.name],)
        )
        for one in dataclasses.fields(settings)
    }
