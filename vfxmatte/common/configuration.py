"""Read settings from TOML or `key=value` into frozen dataclasses; unknown keys are errors."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import re
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from vfxmatte.common.checked import what_is_wrong
from vfxmatte.common.paths import clean_path
from vfxmatte.errors import UsageError, VfxmatteError

SettingsT = TypeVar("SettingsT")

_NUMBER = re.compile(r"[+-]?(\d+\.|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)  # TOML wants 0.5 and 5.0


def read_toml(path: Path, error: type[VfxmatteError] = UsageError) -> dict[str, Any]:
    """Read the tables of a TOML file; raises `error` if it cannot be read or parsed."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as reason:
        raise error(f"the settings cannot be read: {reason}", path=path) from reason


def nested(key: str, text: str) -> dict[str, Any]:
    """Turn `a.b=1` into {"a": {"b": 1}}; not TOML is a string, `.5` a number."""
    try:
        value: Any = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = float(text) if _NUMBER.fullmatch(text.strip()) else text
    for part in reversed(key.split(".")):
        value = {part: value}
    return dict(value)


def changed(
    base: SettingsT,
    record: Mapping[str, Any],
    *,
    path: Path | None = None,
    error: type[VfxmatteError] = UsageError,
    within: str = "",
) -> SettingsT:
    """Copy the dataclass `base` with the values of `record`, nested tables included.

    Args:
        path: the file that the record is from, for messages.
        error: the class of the errors raised.
        within: prefix of the keys in messages, e.g. `cycles.`, of an array of tables.
    Raises:
        `error`: unknown key (with similar names), or a value of the wrong type or out of range.
    """
    return _Source(path, error).changed(base, record, within)


@dataclass(frozen=True)
class _Source:
    """The source that settings are read from: path and class of its errors."""

    path: Path | None
    error: type[VfxmatteError]

    def changed(self, base: SettingsT, record: Mapping[str, Any], prefix: str) -> SettingsT:
        kinds = _kinds(type(base))
        changes: dict[str, Any] = {}
        for key, value in record.items():
            current = getattr(base, key) if key in kinds else None
            if not dataclasses.is_dataclass(current) or _is_one_value(kinds[key]):
                changes[key] = self._field(type(base), key, value, prefix)
            elif isinstance(value, Mapping):
                changes[key] = self.changed(current, value, f"{prefix}{key}.")
            else:
                name = f"{prefix}{key}"
                hint = _as_table(current, name, value, in_file=self.path is not None)
                what = f"{name!r} is a table of settings, not a value: found {value!r}"
                raise self._refusal(what, hint)
        try:
            return dataclasses.replace(base, **changes)  # type: ignore[type-var]
        except VfxmatteError as reason:
            raise reason.at(path=self.path)  # noqa: B904 - the same error, with its place
        except (TypeError, ValueError) as reason:
            raise self._refusal(str(reason)) from reason

    def _refusal(self, what: str, hint: str | None = None) -> VfxmatteError:
        return self.error(what, path=self.path, hint=hint)

    def _field(self, settings: type, key: str, written: Any, prefix: str) -> Any:
        """Convert the value of one field and check its range."""
        kinds, name = _kinds(settings), f"{prefix}{key}"
        if key not in kinds:
            near = difflib.get_close_matches(key, list(kinds), 3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"keys: {', '.join(kinds)}"
            raise self._refusal(f"there is no setting {name!r}", hint)
        value = self._converted(kinds[key], written, name)
        wrong = what_is_wrong(settings, key, written if isinstance(written, int | float) else value)
        if wrong is not None:
            raise self._refusal(f"{name} {wrong}")
        return value

    def _converted(self, kind: Any, value: Any, name: str) -> Any:
        """Convert a TOML value to the type of its field."""
        for option in _options(kind):
            origin = get_origin(option) or option
            if option is Any or (origin is typing.Literal and value in get_args(option)):
                return value
            if option is Path and isinstance(value, str):
                return clean_path(value)
            if option == tuple[str, ...] and isinstance(value, str):
                return tuple(part.strip() for part in value.split(",") if part.strip())
            if origin is tuple and isinstance(value, list):
                return self._tuple(option, value, name)
            if option is float and type(value) is int:
                return float(value)
            if isinstance(origin, type) and isinstance(value, origin):
                if isinstance(value, bool) and option is not bool:
                    continue
                return value
            if hasattr(option, "parse") and isinstance(value, str | int):
                return self._parsed(option, str(value), name)
            if option is type(None) and value is None:
                return None
        raise self._refusal(f"setting {name!r} wants {_in_words(kind)}, found {value!r}")

    def _parsed(self, option: Any, text: str, name: str) -> Any:
        try:
            return option.parse(text)
        except VfxmatteError as reason:
            raise self._refusal(f"setting {name!r}: {reason.what}", reason.hint) from reason

    def _tuple(self, option: Any, value: list[Any], name: str) -> tuple[Any, ...]:
        kinds = get_args(option)
        if kinds and kinds[-1] is Ellipsis:
            kinds = (kinds[0],) * len(value)
        if len(kinds) != len(value):
            raise self._refusal(f"setting {name!r} wants {len(kinds)} values, found {value!r}")
        return tuple(self._item(kind, one, name) for kind, one in zip(kinds, value, strict=True))

    def _item(self, kind: Any, item: Any, name: str) -> Any:
        if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
            return self._converted(kind, item, name)
        if not isinstance(item, Mapping):
            raise self._refusal(f"{name!r} wants tables of settings, found {item!r}")
        return self._created(kind, item, name)

    def _created(self, kind: Any, record: Mapping[str, Any], name: str) -> Any:
        """Create a dataclass of settings from a table."""
        values = {key: self._field(kind, key, value, f"{name}.") for key, value in record.items()}
        unset = dataclasses.MISSING
        missing = [
            one.name
            for one in dataclasses.fields(kind)
            if one.name not in values and one.default is unset and one.default_factory is unset
        ]
        if missing:
            what = f"{name!r} lacks {', '.join(missing)}: found {dict(record)!r}"
            raise self._refusal(what)
        try:
            return kind(**values)
        except VfxmatteError as reason:
            raise self._refusal(f"{name}: {reason.what}", reason.hint) from reason
        except (TypeError, ValueError) as reason:
            raise self._refusal(f"{name}: {reason}") from reason


_hints = functools.cache(get_type_hints)


def _kinds(settings: Any) -> dict[str, Any]:
    """Return the type of each field of a dataclass."""
    hints = _hints(settings)
    return {one.name: hints[one.name] for one in dataclasses.fields(settings)}


def _is_one_value(kind: Any) -> bool:
    """Return True if a single value stands for the dataclass, for example a frame range."""
    return any(hasattr(option, "parse") for option in _options(kind))


def _as_table(current: Any, name: str, value: Any, *, in_file: bool) -> str:
    """Suggest what was probably meant: `engine = "knn"` is the engine's name."""
    kinds = _kinds(type(current))
    chosen = [
        key
        for key, kind in kinds.items()
        if any(get_origin(o) is typing.Literal and value in get_args(o) for o in _options(kind))
    ]
    if not chosen and isinstance(value, str):
        chosen = [key for key in ("name",) if key in kinds]
    if not chosen:
        return f"settings of {name!r}: {', '.join(kinds)}"
    if not in_file:
        return f"write {name}.{chosen[0]}={value}"
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return f"write `[{name}]` and under it `{chosen[0]} = {text}`"


def _options(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (typing.Union, types.UnionType) else (kind,)


_WORDS: Mapping[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    Path: "a path, as a text",
    tuple: "a list",
    Mapping: "a table",
}


def _in_words(kind: Any) -> str:
    words = []
    for option in _options(kind):
        if get_origin(option) is typing.Literal:
            words += [repr(value) for value in get_args(option)]
        elif hasattr(option, "parse"):
            words.append("frames, such as 1001-1100x2")
        elif option is not type(None):  # TOML has no way to write None
            words.append(_WORDS.get(get_origin(option) or option, "another kind of value"))
    return " or ".join(dict.fromkeys(words))
