"""Admission to the server: this machine's browser, on the page's own address, with the token."""

from __future__ import annotations

import hmac
import secrets
import threading
from collections.abc import Iterable, Sequence
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOST = "127.0.0.1"
SUBPROTOCOL = "vfxmatte"
"""The WebSocket subprotocol that the server accepts; the token stands beside it."""

_OWN = (
    "same-origin",
    "none",
)  # values of Sec-Fetch-Site of the page itself, and of a typed address


class Admission:
    """The token, and a code for the browser that the server itself opens, good for one use.

    A browser's command line can be read by other users of the machine, the terminal cannot: what
    stands on that command line is worthless once the page has opened.
    """

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(32)
        self._code: str | None = secrets.token_urlsafe(32)
        self._lock = threading.Lock()

    @property
    def code(self) -> str:
        """The code for one use; "" once it is used."""
        return self._code or ""

    def admits(self, offered: Iterable[str]) -> bool:
        """Return True if the token or the unused code is among the offered words."""
        words = [word.encode("utf-8", "replace") for word in offered]
        with self._lock:
            if any(hmac.compare_digest(word, self.token.encode()) for word in words):
                return True
            code = self._code
            if code is None or not any(hmac.compare_digest(w, code.encode()) for w in words):
                return False
            self._code = None
            return True


class Guard:
    """ASGI middleware that refuses every request not made by the page itself.

    A request names the server's own address as its host, so that no other name can be made to lead
    here, and the page's own origin, or none where browsers send none. No answer allows another.
    """

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app = app
        self._host = f"{HOST}:{port}"
        self._headers = [
            (name.encode(), value.encode()) for name, value in _answer_headers(self._host).items()
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
        elif not self._is_refused(scope):
            await self._app(scope, receive, self._with_headers(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # before accepting: status 403
        else:
            await PlainTextResponse("refused\n", 403)(scope, receive, self._with_headers(send))

    def _is_refused(self, scope: Scope) -> bool:
        if _values(scope, b"host") != [self._host]:
            return True
        origins = _values(scope, b"origin")
        allowed = [[f"http://{self._host}"]]
        if scope["type"] == "http":
            allowed.append([])
        sites = _values(scope, b"sec-fetch-site")
        is_foreign = any(site not in _OWN for site in sites)
        return origins not in allowed or (is_foreign and not _is_followed_link(scope))

    def _with_headers(self, send: Send) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *self._headers]}
            await send(message)

        return sending


def _values(scope: Scope, name: bytes) -> Sequence[str]:
    headers: list[Any] = scope["headers"]
    return [value.decode("latin-1").lower() for key, value in headers if key.lower() == name]


def _is_followed_link(scope: Scope) -> bool:
    """Return True for a link to the page, as in a mail: it shows the page, which has no token."""
    return (
        scope["type"] == "http"
        and scope["path"] == "/"
        and _values(scope, b"sec-fetch-mode") == ["navigate"]
        and _values(scope, b"sec-fetch-dest") == ["document"]
    )


def _answer_headers(host: str) -> dict[str, str]:
    own = f"'self' ws://{host}"
    return {
        "content-security-policy": f"default-src 'none'; script-src 'self'; style-src 'self'; "
        f"img-src 'self' blob: data:; connect-src {own}; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
    }
