"""Settings from TOML or `key=value` into frozen dataclasses, strictly: an unknown key is an error
that names the near ones."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from vfxmatte.common.checked import what_is_wrong
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
    names = {one.name for one in dataclasses.fields(base)}  # type: ignore[arg-type]
    kinds = {key: kind for key, kind in get_type_hints(type(base)).items() if key in names}
    changes: dict[str, Any] = {}
    for key, value in record.items():
        name = f"{within}{key}"
        if key not in kinds:
            raise _unknown(name, key, kinds, path, error)
        current = getattr(base, key)
        if not dataclasses.is_dataclass(current) or _is_one_value(kinds[key]):
            changes[key] = _fitting(kinds[key], value, name, path, error)
            _refuse_wrong(type(base), key, value, changes[key], name, path, error)
        elif isinstance(value, Mapping):
            changes[key] = changed(current, value, path=path, error=error, within=f"{name}.")
        else:
            raise error(
                f"{name!r} is a table of settings, not a value: found {value!r}",
                path=path,
                hint=_as_table(current, name, value, in_file=path is not None),
            )
    try:
        return dataclasses.replace(base, **changes)  # type: ignore[type-var]
    except VfxmatteError as reason:
        raise reason.at(path=path)  # noqa: B904 - the same error, with its place
    except (TypeError, ValueError) as reason:
        raise error(str(reason), path=path) from reason


def _is_one_value(kind: Any) -> bool:
    """Whether one value stands for the dataclass: a frame range, say."""
    return any(hasattr(option, "parse") for option in _options(kind))


def _refuse_wrong(
    settings: type,
    key: str,
    written: Any,
    value: Any,
    name: str,
    path: Path | None,
    error: type[VfxmatteError],
) -> None:
    """Raise for a number that is out of its range, see `checked`; `written` is as it was given."""
    wrong = what_is_wrong(settings, key, written if isinstance(written, int | float) else value)
    if wrong is not None:
        raise error(f"{name} {wrong}", path=path)


def _as_table(current: Any, name: str, value: Any, *, in_file: bool) -> str:
    """How to write what was probably meant: `engine = "knn"` is the engine's name."""
    names = {one.name for one in dataclasses.fields(current)}
    kinds = {key: kind for key, kind in get_type_hints(type(current)).items() if key in names}
    chosen = [
        key
        for key, kind in kinds.items()
        if any(get_origin(o) is typing.Literal and value in get_args(o) for o in _options(kind))
    ]
    if not chosen and isinstance(value, str):
        chosen = [key for key in ("name",) if key in kinds]
    if not chosen:
        return f"settings of {name!r}: {', '.join(kinds)}"
    text = f'"{value}"' if isinstance(value, str) else str(value)
    if in_file:
        return f"write `[{name}]` and under it `{chosen[0]} = {text}`"
    return f"write {name}.{chosen[0]}={value}"


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
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        return _fitting(kind, item, name, path, error)
    if not isinstance(item, Mapping):
        raise error(f"{name!r} wants tables of settings, found {item!r}", path=path)
    return _made(kind, item, name, path, error)


def _made(
    kind: Any, record: Mapping[str, Any], name: str, path: Path | None, error: type[VfxmatteError]
) -> Any:
    """A dataclass of settings from a table of its own."""
    kinds = get_type_hints(kind)
    own = {one.name: one for one in dataclasses.fields(kind)}
    values: dict[str, Any] = {}
    for key, value in record.items():
        if key not in own:
            raise _unknown(f"{name}.{key}", key, own, path, error)
        values[key] = _fitting(kinds[key], value, f"{name}.{key}", path, error)
        _refuse_wrong(kind, key, value, values[key], f"{name}.{key}", path, error)
    missing = [
        key
        for key, one in own.items()
        if key not in values
        and one.default is dataclasses.MISSING
        and one.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise error(f"{name!r} lacks {', '.join(missing)}: found {dict(record)!r}", path=path)
    try:
        return kind(**values)
    except VfxmatteError as reason:
        raise error(f"{name}: {reason.what}", path=path, hint=reason.hint) from reason
    except (TypeError, ValueError) as reason:
        raise error(f"{name}: {reason}", path=path) from reason


def _unknown(
    name: str, key: str, keys: Iterable[str], path: Path | None, error: type[VfxmatteError]
) -> VfxmatteError:
    near = difflib.get_close_matches(key, list(keys), 3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"keys: {', '.join(keys)}"
    return error(f"there is no setting {name!r}", path=path, hint=hint)


def _options(kind: Any) -> tuple[Any, ...]:
    if get_origin(kind) in (typing.Union, types.UnionType):
        return get_args(kind)
    return (kind,)


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
        elif option is not type(None):  # TOML has no way to write None
            words.append(_word(option))
    return " or ".join(dict.fromkeys(words))


def _word(kind: Any) -> str:
    if hasattr(kind, "parse"):
        return "frames, such as 1001-1100x2"
    return _WORDS.get(get_origin(kind) or kind, "another kind of value")
