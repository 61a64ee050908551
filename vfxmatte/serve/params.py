"""The parameters of a request; wrong types and unknown names are refused."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from vfxmatte.common.paths import clean_path
from vfxmatte.serve.rpc import INVALID_PARAMS, RpcError

T = TypeVar("T")


class Params:
    """Parameters by name, taken one by one; null counts as absent. Every method raises RpcError."""

    def __init__(self, record: Any, *, within: str = "") -> None:
        if not isinstance(record, Mapping):
            raise RpcError(INVALID_PARAMS, f"{within.rstrip('.') or 'params'} must be an object")
        self._params = {name: value for name, value in record.items() if value is not None}
        self._within = within

    def end(self) -> None:
        """Refuse parameters that were not taken."""
        if self._params:
            raise RpcError(INVALID_PARAMS, f"there is no parameter {self._name(min(self._params))}")

    def text(self, name: str) -> str | None:
        """Take a string, if any."""
        return self._take(name, str, "a text")

    def texts(self, name: str) -> tuple[str, ...]:
        """Take a string or a list of strings, empty by default."""
        value = self._params.pop(name, ())
        texts = (value,) if isinstance(value, str) else value
        if not isinstance(texts, (list, tuple)) or not all(isinstance(t, str) for t in texts):
            words = f"{self._name(name)} must be a text or a list of texts, found {value!r:.80}"
            raise RpcError(INVALID_PARAMS, words)
        return tuple(texts)

    def path(self, name: str) -> Path | None:
        """Take an absolute path, if any: the server's working folder is not the client's."""
        text = self.text(name)
        if text is None:
            return None
        path = clean_path(text) if "\0" not in text else Path()
        if not os.path.isabs(path):
            raise RpcError(INVALID_PARAMS, f"{self._name(name)} must be an absolute path: {text!r}")
        return path

    def needed_path(self, name: str) -> Path:
        """Take an absolute path."""
        path = self.path(name)
        if path is None:
            raise RpcError(INVALID_PARAMS, f"{self._name(name)} is missing")
        return path

    def flag(self, name: str) -> bool:
        """Take a boolean, False by default."""
        return bool(self._take(name, bool, "true or false"))

    def whole(self, name: str) -> int:
        """Take a whole number of 0 or more, 0 by default."""
        value = self._take(name, int, "a whole number") or 0
        if isinstance(value, bool) or value < 0:
            raise RpcError(INVALID_PARAMS, f"{self._name(name)} must be 0 or more")
        return value

    def record(self, name: str) -> Mapping[str, Any]:
        """Take an object, empty by default."""
        return self._take(name, dict, "an object") or {}

    def number(self, name: str, most: float) -> float:
        """Take a number of `most` at most, above or below 0; 0 by default."""
        value = self._params.pop(name, 0)
        if type(value) not in (int, float) or not abs(value) <= most:
            raise RpcError(INVALID_PARAMS, f"{self._name(name)} must be a number up to {most:g}")
        return float(value)

    def numbers(self, name: str, most: int) -> list[float]:
        """Take a list of at most so many numbers, empty by default."""
        values = self._take(name, list, "a list of numbers") or []
        if len(values) > most or not all(type(v) in (int, float) for v in values):
            raise RpcError(INVALID_PARAMS, f"{self._name(name)} must be up to {most} numbers")
        return [float(value) for value in values]

    def shape(self, name: str) -> tuple[int, ...]:
        """Take one to three sizes, each from 1 to 2^20 - 1."""
        sizes = self._take(name, list, "a list of sizes") or []
        if not 1 <= len(sizes) <= 3 or not all(type(s) is int and 0 < s < 1 << 20 for s in sizes):
            raise RpcError(INVALID_PARAMS, f"{self._name(name)} must be one to three sizes")
        return tuple(sizes)

    def choice(self, name: str, choices: Sequence[str]) -> str:
        """Take one of the choices, the first by default."""
        value = self.text(name) or choices[0]
        if value not in choices:
            raise RpcError(INVALID_PARAMS, f"{self._name(name)} is one of {', '.join(choices)}")
        return value

    def ident(self, name: str) -> str | int:
        """Take the id of a request."""
        value = self._params.pop(name, None)
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise RpcError(INVALID_PARAMS, f"{self._name(name)} must be the id of a request")
        return value

    def _take(self, name: str, kind: type[T], words: str) -> T | None:
        value = self._params.pop(name, None)
        if value is None or isinstance(value, kind):
            return value
        raise RpcError(INVALID_PARAMS, f"{self._name(name)} must be {words}, found {value!r:.80}")

    def _name(self, name: str) -> str:
        return f"{self._within}{name}"
