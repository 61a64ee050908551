"""Settings from TOML or `key=value` into frozen dataclasses, strictly: an unknown key is an error
that names the near ones."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from vfxmatte.common.paths import clean_path
from vfxmatte.errors import UsageError, VfxmatteError

SettingsT = TypeVar("SettingsT")


def read_toml(path: Path, error: type[VfxmatteError] = UsageError) -> dict[str, Any]:
    """The tables of a TOML file; raises `error` where it cannot be read or understood."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as reason:
        raise error(f"the settings cannot be read: {reason}", path=path) from reason


def nested(key: str, text: str) -> dict[str, Any]:
    """`a.b=1` as {"a": {"b": 1}}; a value that is not TOML is taken as a string."""
    try:
        value: Any = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
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
    """A copy of the dataclass `base` with the values of `record`, nested tables too.

    Raises:
        `error`: no such key (with near names), or a value of the wrong kind or out of range.
    """
    kinds = get_type_hints(type(base))
    changes: dict[str, Any] = {}
    for key, value in record.items():
        name = f"{within}{key}"
        if key not in kinds:
            near = difflib.get_close_matches(key, kinds, 3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"keys: {', '.join(kinds)}"
            raise error(f"there is no setting {name!r}", path=path, hint=hint)
        current = getattr(base, key)
        if dataclasses.is_dataclass(current) and isinstance(value, Mapping):
            changes[key] = changed(current, value, path=path, error=error, within=f"{name}.")
        else:
            changes[key] = _fitting(kinds[key], value, name, path, error)
    try:
        return dataclasses.replace(base, **changes)  # type: ignore[type-var]
    except VfxmatteError as reason:
        raise reason.at(path=path)  # noqa: B904 - the same error, with its place
    except (TypeError, ValueError) as reason:
        raise error(str(reason), path=path) from reason


def _fitting(
    kind: Any, value: Any, name: str, path: Path | None, error: type[VfxmatteError]
) -> Any:
    """`value` as `kind`, or `error`."""
    for option in _options(kind):
        origin = get_origin(option) or option
        if option is Any or (origin is typing.Literal and value in get_args(option)):
            return value
        if option is Path and isinstance(value, str):
            return clean_path(value)
        if origin is tuple and isinstance(value, list):
            return _tuple(option, value, name, path, error)
        if option is float and type(value) is int:
            return float(value)
        if isinstance(origin, type) and isinstance(value, origin):
            if isinstance(value, bool) and option is not bool:
                continue
            return value
        parse = getattr(option, "parse", None)
        if parse is not None and isinstance(value, str | int):
            return _parsed(parse, str(value), name, path, error)
        if option is type(None) and value is None:
            return None
    raise error(f"setting {name!r} wants {_in_words(kind)}, found {value!r}", path=path)


def _parsed(
    parse: Callable[[str], Any],
    text: str,
    name: str,
    path: Path | None,
    error: type[VfxmatteError],
) -> Any:
    try:
        return parse(text)
    except VfxmatteError as reason:
        raise error(f"setting {name!r}: {reason.what}", path=path, hint=reason.hint) from reason


def _tuple(
    option: Any, value: list[Any], name: str, path: Path | None, error: type[VfxmatteError]
) -> tuple[Any, ...]:
    kinds = get_args(option)
    if kinds and kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise error(f"setting {name!r} wants {len(kinds)} values, found {value!r}", path=path)
    return tuple(
        _record(kind, item, name, path, error) for kind, item in zip(kinds, value, strict=True)
    )


def _record(kind: Any, item: Any, name: str, path: Path | None, error: type[VfxmatteError]) -> Any:
    if not (dataclasses.is_dataclass(kind) and isinstance(item, Mapping)):
        return _fitting(kind, item, name, path, error)
    try:
        return kind(**item)  # type: ignore[operator]
    except (TypeError, ValueError) as reason:
        raise error(f"setting {name!r}: {reason}", path=path) from reason


def _options(kind: Any) -> tuple[Any, ...]:
    if get_origin(kind) in (typing.Union, types.UnionType):
        return get_args(kind)
    return (kind,)


def _in_words(kind: Any) -> str:
    words = []
    for option in _options(kind):
        if get_origin(option) is typing.Literal:
            words += [repr(value) for value in get_args(option)]
        elif option is not type(None):  # TOML has no way to write None
            words.append(getattr(option, "__name__", str(option)))
    return " or ".join(words)
