"""Messages in a stream of bytes: `Content-Length: N`, an empty line, N bytes."""

from __future__ import annotations

from vfxmatte.serve.rpc import INVALID_REQUEST, TOO_LARGE, RpcError

HEADER_LIMIT = 4096
MESSAGE_LIMIT = 1 << 20
UNAUTHENTICATED_LIMIT = 4096
"""Largest message, in bytes, of a client that has not shown its token."""

_END = b"\r\n\r\n"
_LENGTH = b"content-length"


def framed(body: bytes) -> bytes:
    """Return a message with its header, as it is sent."""
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


class Decoder:
    """Splits a stream of bytes into messages, buffering at most one message's limit."""

    def __init__(self, limit: int = MESSAGE_LIMIT) -> None:
        self.limit = limit
        """Largest message in bytes; may be changed between messages."""
        self._buffer = bytearray()
        self._length: int | None = None

    @property
    def in_message(self) -> bool:
        """True while a message has begun and is not complete."""
        return bool(self._buffer) or self._length is not None

    def feed(self, data: bytes) -> None:
        """Buffer received bytes; `message` checks the limit."""
        self._buffer += data

    def message(self) -> bytes | None:
        """Return the next complete message, or None until there is one.

        Raises RpcError where the stream cannot be understood; neither can anything after it.
        """
        if self._length is None:
            self._length = self._header()
        if self._length is None or len(self._buffer) < self._length:
            return None
        body = bytes(self._buffer[: self._length])
        del self._buffer[: self._length]
        self._length = None
        return body

    def _header(self) -> int | None:
        end = self._buffer.find(_END, 0, HEADER_LIMIT + len(_END))
        if end < 0:
            if len(self._buffer) > HEADER_LIMIT:
                raise RpcError(TOO_LARGE, f"a header has at most {HEADER_LIMIT} bytes")
            return None
        length = _content_length(bytes(self._buffer[:end]))
        if length > self.limit:
            raise RpcError(TOO_LARGE, f"a message has at most {self.limit} bytes, found {length}")
        del self._buffer[: end + len(_END)]
        return length


def _content_length(header: bytes) -> int:
    lengths = []
    for line in header.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if not colon:
            raise RpcError(INVALID_REQUEST, "a header line is NAME: VALUE")
        if name.strip().lower() == _LENGTH:
            lengths.append(value.strip())
    if len(lengths) != 1 or not lengths[0].isdigit() or len(lengths[0]) > 12:
        raise RpcError(INVALID_REQUEST, "the header needs one Content-Length, a number of bytes")
    return int(lengths[0])
