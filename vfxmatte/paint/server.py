"""The server of one shot's page: files of the page, and one WebSocket to the page itself."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import webbrowser
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from vfxmatte.errors import VfxmatteError
from vfxmatte.paint.desk import Desk
from vfxmatte.paint.engine_process import EngineProcess
from vfxmatte.paint.guard import HOST, SUBPROTOCOL, Admission, Guard
from vfxmatte.paint.live import LiveMatte
from vfxmatte.paint.messages import packed, unpacked
from vfxmatte.paint.methods import IN_ORDER, Answer, Methods
from vfxmatte.serve import rpc
from vfxmatte.serve.rpc import RpcError

_MESSAGE_BYTES = 64 << 20  # the labels of an 8K picture
_AT_ONCE = 4  # requests of a page
_SHARED = ("theme.css", "film_strip.js", "elements.js")  # with the other pages
_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}


def page_files() -> dict[str, tuple[bytes, str]]:
    """Return the content and the type of every file of the page by its address; "/" is the page."""
    files = {}
    shared = resources.files("vfxmatte.pages")
    own = resources.files("vfxmatte.paint").joinpath("page").iterdir()
    for file in (*(shared.joinpath(name) for name in _SHARED), *own):
        files[f"/{file.name}"] = file.read_bytes(), _TYPES[Path(file.name).suffix]
    files["/"] = files.pop("/index.html")
    return files


class PaintServer:
    """Serves one shot to one page at a time, until it is stopped."""

    def __init__(self, desk: Desk, *, warm: bool = True) -> None:
        """Take a free port of 127.0.0.1; who comes before `serve` waits.

        Args:
            warm: load the engine's network at once, not when it is first needed.
        """
        self._is_warm = warm
        self.admission = Admission()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.bind((HOST, 0))
        self._socket.listen()  # a browser may be sooner than the server
        self.port: int = self._socket.getsockname()[1]
        self.engine = EngineProcess(self._say_engine)
        live = LiveMatte(self.engine, desk.pictures, desk.shot.settings)
        self._methods = Methods(desk, self.engine, live, self._emit)
        self._live, self._files = live, page_files()
        self._page: _Page | None = None
        self._engine_state: Mapping[str, Any] = {"event": "engine", "state": "starting"}
        self._server = self._uvicorn()

    @property
    def address(self) -> str:
        """The page's address with the token, for the terminal."""
        return f"http://{HOST}:{self.port}/#{self.admission.token}"

    def serve(self, *, browser: bool) -> None:
        """Answer the page until Ctrl-C or `stop`.

        Args:
            browser: open the page in the user's browser.
        """
        if self._is_warm:
            threading.Thread(target=self._warm, name="vfxmatte-warm", daemon=True).start()
        self._methods.opens_browser = browser
        if browser:
            address = f"http://{HOST}:{self.port}/#{self.admission.code}"
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        with contextlib.suppress(KeyboardInterrupt):  # it ends in good order, then says so
            self._server.run(sockets=[self._socket])

    def close(self) -> None:
        """End the engine and give the port back."""
        self.engine.close()
        self._live.close()
        self._socket.close()

    def stop(self) -> None:
        """End `serve`; may be called from any thread."""
        self._server.should_exit = True

    def _uvicorn(self) -> uvicorn.Server:
        routes = [
            *(Route(path, self._file, methods=["GET"]) for path in self._files),
            WebSocketRoute("/socket", self._connect),
        ]
        config = uvicorn.Config(
            Guard(Starlette(routes=routes), self.port),
            log_level="warning",
            lifespan="off",
            ws="websockets-sansio",
            ws_max_size=_MESSAGE_BYTES,
            ws_per_message_deflate=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=64,
            timeout_graceful_shutdown=1,
        )
        return uvicorn.Server(config)

    async def _file(self, request: Request) -> Response:
        content, kind = self._files[request.url.path]
        return Response(content, media_type=kind)

    async def _connect(self, socket: WebSocket) -> None:
        """Serve a page that shows the token; an older page gives way to it."""
        if not self.admission.admits(socket.scope["subprotocols"]):
            await socket.close(1008)  # before accepting: status 403
            return
        await socket.accept(SUBPROTOCOL)
        if self._page is not None:
            await self._page.leave()
        page = self._page = _Page(socket, self._methods, asyncio.get_running_loop())
        await page.send({"event": "token", "token": self.admission.token})
        await page.send(self._engine_state)
        try:
            await page.listen()
        finally:
            if self._page is page:
                self._page = None

    def _warm(self) -> None:
        try:
            self._live.warm()
        except Exception as error:  # shown in the page; painting needs no engine
            self._say_engine("failed", str(error))

    def _say_engine(self, state: str, text: str) -> None:
        event = {"event": "engine", "state": state, "text": text}
        self._engine_state = event
        self._emit(event)
        if state == "lost":
            threading.Thread(target=self._warm, name="vfxmatte-warm", daemon=True).start()

    def _emit(self, event: Mapping[str, Any]) -> None:
        page = self._page
        if page is not None:
            page.emit(event)


class _Page:
    """One open page."""

    def __init__(
        self, socket: WebSocket, methods: Methods, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._socket, self._methods, self._loop = socket, methods, loop
        self._sending = asyncio.Lock()
        self._places = {True: asyncio.Semaphore(1), False: asyncio.Semaphore(_AT_ONCE)}
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self) -> None:
        """Answer requests until the page has gone."""
        try:
            while True:
                await self._take(await self._socket.receive_bytes())
        except (WebSocketDisconnect, KeyError, RuntimeError):  # gone, or not in bytes
            return

    async def leave(self) -> None:
        """Tell the page that another one has taken its place, and close it."""
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            await self.send({"event": "replaced"})
            await self._socket.close(4001)

    def emit(self, event: Mapping[str, Any]) -> None:
        """Send an event; may be called from any thread."""
        if self._loop.is_running():
            asyncio.run_coroutine_threadsafe(self.send(event), self._loop)

    async def send(self, record: Mapping[str, Any], pixels: bytes = b"") -> None:
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            async with self._sending:
                await self._socket.send_bytes(packed(record, pixels))

    async def _take(self, message: bytes) -> None:
        try:
            record, pixels = unpacked(message)
            ident, name, params = request_of(record)
        except RpcError as error:
            await self.send({"event": "refused", "message": error.message})
            return
        if name in IN_ORDER:
            await self._answer(ident, name, params, pixels)
            return
        task = asyncio.create_task(self._answer_in_turn(ident, name, params, pixels))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer_in_turn(self, ident: int, name: str, params: Any, pixels: memoryview) -> None:
        if name in ("run", "cancel", "solve", "guess", "review"):  # long, or about something long
            await self._answer(ident, name, params, pixels)
            return
        async with self._places[name == "thumbnail"]:  # which wait for one another alone
            await self._answer(ident, name, params, pixels)

    async def _answer(self, ident: int, name: str, params: Any, pixels: memoryview) -> None:
        try:
            answer: Answer = await run_in_threadpool(self._methods.call, name, params, pixels)
        except RpcError as error:
            await self.send({"id": ident, "error": {"message": error.message}})
        except VfxmatteError as error:
            await self.send({"id": ident, "error": rpc.failed(error).data})
        except Exception as error:
            await self.send({"id": ident, "error": {"message": rpc.internal(error).message}})
        else:
            await self.send({"id": ident, "result": answer[0]}, answer[1])


def request_of(record: Mapping[str, Any]) -> tuple[int, str, Any]:
    """Return the id, the method and the parameters of a request; raises RpcError."""
    ident, name = record.get("id"), record.get("method")
    if not isinstance(ident, int) or isinstance(ident, bool) or not isinstance(name, str):
        raise RpcError(rpc.INVALID_REQUEST, "a request has an id and a method")
    return ident, name, record.get("params", {})
