"""Messages between the page and the server: a JSON record and, after it, pixels if there are any.

Four bytes hold the length of the record, lowest first. `page/protocol.js` is the other side.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

from vfxmatte.serve import rpc
from vfxmatte.serve.rpc import INVALID_REQUEST, RpcError

RECORD_LIMIT = 1 << 20
"""Most bytes of a record."""

_LENGTH = struct.Struct("<I")


def packed(record: Mapping[str, Any], pixels: bytes = b"") -> bytes:
    """Return a message as it is sent."""
    text = json.dumps(record, allow_nan=False).encode()
    return b"".join((_LENGTH.pack(len(text)), text, pixels))


def unpacked(message: bytes) -> tuple[Mapping[str, Any], memoryview]:
    """Return a message's record and pixels; raises RpcError for anything else."""
    if len(message) < _LENGTH.size:
        raise RpcError(INVALID_REQUEST, "the message is cut off")
    (length,) = _LENGTH.unpack_from(message)
    end = _LENGTH.size + length
    if length > RECORD_LIMIT or end > len(message):
        raise RpcError(INVALID_REQUEST, "the message's record is too long or cut off")
    record = rpc.parse(message[_LENGTH.size : end])
    if not isinstance(record, dict):
        raise RpcError(INVALID_REQUEST, "a message's record is an object")
    return record, memoryview(message)[end:]
