"""Messages in a stream of bytes: `Content-Length: N`, an empty line, N bytes.

Knows no JSON, no sockets and no threads.
"""

from __future__ import annotations

from vfxmatte.serve.rpc import INVALID_REQUEST, TOO_LARGE, RpcError

HEADER_LIMIT = 4096
MESSAGE_LIMIT = 1 << 20
UNAUTHENTICATED_LIMIT = 4096
"""Largest message of a client that has not shown its token."""

_END = b"\r\n\r\n"
_LENGTH = b"content-length"


def framed(body: bytes) -> bytes:
    """A message as it goes over the wire."""
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


class Decoder:
    """Takes bytes as they come and gives messages; holds no more than one message's limit.

    limit: most bytes of a message; may be changed between messages.
    """

    def __init__(self, limit: int = MESSAGE_LIMIT) -> None:
        self.limit = limit
        self._held = bytearray()
        self._length: int | None = None

    @property
    def in_message(self) -> bool:
        """Whether a message has begun and is not whole yet."""
        return bool(self._held) or self._length is not None

    def feed(self, data: bytes) -> None:
        """Take bytes; what is too large is found out by `message`."""
        self._held += data

    def message(self) -> bytes | None:
        """The next whole message, or None until there is one.

        Raises RpcError where the stream cannot be understood; nothing after it can be then.
        """
        if self._length is None:
            self._length = self._header()
        if self._length is None or len(self._held) < self._length:
            return None
        body = bytes(self._held[: self._length])
        del self._held[: self._length]
        self._length = None
        return body

    def _header(self) -> int | None:
        end = self._held.find(_END, 0, HEADER_LIMIT + len(_END))
        if end < 0:
            if len(self._held) > HEADER_LIMIT:
                raise RpcError(TOO_LARGE, f"a header has at most {HEADER_LIMIT} bytes")
            return None
        length = _content_length(bytes(self._held[:end]))
        if length > self.limit:
            raise RpcError(TOO_LARGE, f"a message has at most {self.limit} bytes, found {length}")
        del self._held[: end + len(_END)]
        return length


def _content_length(header: bytes) -> int:
    found = []
    for line in header.split(b"\r\n"):
        name, sign, value = line.partition(b":")
        if not sign:
            raise RpcError(INVALID_REQUEST, "a header line is NAME: VALUE")
        if name.strip().lower() == _LENGTH:
            found.append(value.strip())
    if len(found) != 1 or not found[0].isdigit() or len(found[0]) > 12:
        raise RpcError(INVALID_REQUEST, "the header needs one Content-Length, a number of bytes")
    return int(found[0])
