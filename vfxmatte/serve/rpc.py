"""JSON-RPC 2.0: what a request, an answer and an error are. Knows no transport and no method."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from vfxmatte.cli.report import error_values
from vfxmatte.errors import VfxmatteError

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
NO_SUCH_METHOD = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
FAILED = -32000
"""The work failed, as the command line would have: `data` holds what its `error` event holds."""
UNAUTHORISED = -32001
TOO_LARGE = -32002
TOO_MANY = -32003
CANCELLED = -32800

DEPTH_LIMIT = 32
"""How deep objects and lists of a message may be nested."""
_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)

Ident = str | int
"""What a client calls its request; a job is called by its request's name."""


class RpcError(Exception):
    """An error as JSON-RPC tells it."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data


@dataclass(frozen=True, kw_only=True)
class Request:
    """ident: None for a notification, which gets no answer."""

    method: str
    params: Mapping[str, Any]
    ident: Ident | None


def parse(body: bytes) -> Any:
    """The JSON of a message; its depth is bounded before it is parsed. Raises RpcError."""
    try:
        _check_depth(body)
        message = json.loads(body.decode("utf-8"), parse_constant=_refused, parse_float=_finite)
        if b"\\ud" in body.lower():  # half a pair, which no file's name could be
            json.dumps(message, ensure_ascii=False).encode("utf-8", "surrogateescape")
    except (ValueError, RecursionError) as error:
        raise RpcError(PARSE_ERROR, f"this is not JSON: {error}") from error
    return message


def _check_depth(body: bytes) -> None:
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(body):
        sign = match.group()
        depth += (sign in b"[{") - (sign in b"]}")
        if depth > DEPTH_LIMIT:
            raise ValueError(f"it is nested more than {DEPTH_LIMIT} deep")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refused(text[:20])


def _refused(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


def ident_of(message: Any) -> Ident | None:
    """Whom an error answers, as far as it can be told."""
    ident = message.get("id") if isinstance(message, dict) else None
    return ident if _is_ident(ident) else None


def request(message: Any) -> Request:
    """A parsed message as a request; raises RpcError where it is none."""
    if isinstance(message, list):
        raise RpcError(INVALID_REQUEST, "batches are not taken: send one request at a time")
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, 'a request is an object with "jsonrpc": "2.0"')
    method, params = message.get("method"), message.get("params", {})
    if not isinstance(method, str):
        raise RpcError(INVALID_REQUEST, "a request names its method")
    if "id" in message and not _is_ident(message["id"]):
        raise RpcError(INVALID_REQUEST, "an id is a whole number or a text")
    if not isinstance(params, dict):
        raise RpcError(INVALID_PARAMS, "params are an object, by name")
    return Request(method=method, params=params, ident=message.get("id"))


def _is_ident(value: Any) -> bool:
    return isinstance(value, (str, int)) and not isinstance(value, bool)


def result(ident: Ident, value: Any) -> bytes:
    """The answer to a request."""
    return _encoded({"jsonrpc": "2.0", "id": ident, "result": value})


def failure(ident: Ident | None, error: RpcError) -> bytes:
    """The answer to a request that failed, or to what could not be understood (ident None)."""
    told: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.data is not None:
        told["data"] = error.data
    return _encoded({"jsonrpc": "2.0", "id": ident, "error": told})


def notification(method: str, params: Mapping[str, Any]) -> bytes:
    return _encoded({"jsonrpc": "2.0", "method": method, "params": params})


def failed(error: VfxmatteError) -> RpcError:
    """An error that was foreseen, with everything that the command line would say."""
    return RpcError(FAILED, error.what, error_values(error))


def internal(error: Exception) -> RpcError:
    """An error that was not foreseen."""
    return RpcError(INTERNAL_ERROR, f"{type(error).__name__}: {error}")


def _encoded(message: Mapping[str, Any]) -> bytes:
    # A path may hold bytes that are no UTF-8 (surrogates); as \\udcXX they pass through JSON.
    return json.dumps(message, allow_nan=False).encode("ascii")
