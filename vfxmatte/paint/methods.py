"""The methods of the page. Frames are named by number and pixels by rectangle: never a path."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from vfxmatte.errors import UsageError
from vfxmatte.paint.commands import ask_command
from vfxmatte.paint.desk import Desk
from vfxmatte.paint.edges import band_along
from vfxmatte.paint.engine_process import EngineCancelled, EngineProcess
from vfxmatte.paint.guesses import METHODS, guess
from vfxmatte.paint.live import LiveMatte, changes
from vfxmatte.paint.pictures import TILE_PX, level_count
from vfxmatte.paint.preferences import Preferences
from vfxmatte.pipeline.shot_folder import SETTINGS_FILE, read_settings
from vfxmatte.serve.params import Params
from vfxmatte.serve.rpc import INVALID_PARAMS, NO_SUCH_METHOD, RpcError
from vfxmatte.trimaps import grow
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, Labels, Window

Answer = tuple[dict[str, Any], bytes]
Emit = Callable[[Mapping[str, Any]], None]

_MOST_STOPS = 16.0
_MOST_PX = 500.0  # that a band grows at once, and that an edge is searched within
_MOST_NUMBERS = 40_000  # of a stroke
_THUMBNAIL_PX = 54


@dataclass(eq=False)
class Methods:
    """The methods of the page; `draw` is for one thread, the others for any."""

    desk: Desk
    engine: EngineProcess
    live: LiveMatte
    emit: Emit
    """Takes an event for the page."""
    opens_browser: bool = False
    """Whether other pages may be opened in the user's browser."""
    preferences: Preferences = field(default_factory=Preferences)
    """The artist's preferences for the page."""
    _run: int | None = None
    _is_cancelled: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def call(self, name: str, values: Any, pixels: memoryview) -> Answer:
        """Answer a request; raises RpcError or VfxmatteError."""
        method = _METHODS.get(name)
        if method is None:
            raise RpcError(NO_SUCH_METHOD, f"there is no method {name!r:.80}")
        params = Params(values)
        answer = method(self, params, pixels)
        params.end()
        return answer

    # -- the shot ---------------------------------------------------------------------------------

    def shot(self, params: Params, _: memoryview) -> Answer:
        """Describe the shot."""
        desk, info = self.desk, self.desk.info
        views = desk.pictures.views
        return {
            "name": desk.shot.name,
            "folder": str(desk.folder),
            "width": desk.canvas.width,
            "height": desk.canvas.height,
            "tile": TILE_PX,
            "levels": level_count(desk.canvas.shape),
            "views": views or [""],
            "colour_space": info.colour_space,
            "description": str(info),
            "engine": desk.shot.settings.engine.name,
            "running": self._run is not None,
            "preferences": self.preferences.read(),
            **self._progress(),
        }, b""

    def progress(self, params: Params, _: memoryview) -> Answer:
        """Say which frames have keyframes and mattes."""
        return self._progress(), b""

    def prefer(self, params: Params, _: memoryview) -> Answer:
        """Keep a preference for the next time."""
        self.preferences.write(params.text("name") or "", params.text("value") or "")
        return {}, b""

    def _progress(self) -> dict[str, Any]:
        desk = self.desk
        return {
            "frames": desk.numbers,
            "keyframes": list(desk.keyframes()),
            "mattes": [n for n in desk.numbers if desk.has_matte(n)],
            "unsaved": desk.unsaved(),
        }

    # -- pictures ---------------------------------------------------------------------------------

    def tile(self, params: Params, _: memoryview) -> Answer:
        """Send a tile of the plate."""
        number, level = self._frame(params), self._level(params)
        column, row = params.whole("column"), params.whole("row")
        view, stops = self._view(params), params.number("stops", _MOST_STOPS)
        size = TILE_PX << level
        if column * size >= self.desk.canvas.width or row * size >= self.desk.canvas.height:
            raise RpcError(INVALID_PARAMS, "the picture has no such tile")
        picture = self.desk.pictures.tile(number, level, column, row, view=view, stops=stops)
        height, width = picture.shape[:2]
        return {"width": width, "height": height}, picture.tobytes()

    def thumbnail(self, params: Params, _: memoryview) -> Answer:
        """Send a frame at a small size, for the film strip."""
        number, view = self._frame(params), self._view(params)
        picture = self.desk.pictures.thumbnail(number, _THUMBNAIL_PX, view=view)
        height, width = picture.shape[:2]
        return {"width": width, "height": height}, picture.tobytes()

    def matte(self, params: Params, _: memoryview) -> Answer:
        """Send the matte of the last run, if there is one."""
        alpha = self.desk.matte(self._frame(params))
        return {"exists": alpha is not None}, b"" if alpha is None else alpha.tobytes()

    # -- trimaps ----------------------------------------------------------------------------------

    def trimap(self, params: Params, _: memoryview) -> Answer:
        """Send a frame's trimap as it is painted, and what the eraser brings back."""
        draft = self.desk.draft(self._frame(params))
        about = {"source": draft.source, "saved": draft.is_saved}
        return about, draft.labels.tobytes() + draft.base.tobytes()

    def paint(self, params: Params, pixels: memoryview) -> Answer:
        """Take the labels of a rectangle."""
        number, window = self._frame(params), self._window(params)
        if len(pixels) != window.width * window.height:
            raise RpcError(
                INVALID_PARAMS,
                f"{window.width * window.height} labels are needed, {len(pixels)} came",
            )
        labels = np.frombuffer(pixels, np.uint8).reshape(window.shape)
        if not np.isin(labels, (BACKGROUND, UNKNOWN, FOREGROUND)).all():
            raise RpcError(INVALID_PARAMS, "labels are 0, 128 and 255")
        self.desk.paint(number, window, labels)
        return {}, b""

    def grow(self, params: Params, _: memoryview) -> Answer:
        """Widen the unknown band, or narrow it; nothing is kept until it comes back by `paint`."""
        labels = self.desk.draft(self._frame(params)).labels
        px = params.number("px", _MOST_PX)
        return _changed(labels, grow(labels, px))

    def edge(self, params: Params, _: memoryview) -> Answer:
        """Lay an unknown band along the edge that a stroke follows."""
        number = self._frame(params)
        reach, width = params.number("reach", _MOST_PX), params.number("width", _MOST_PX)
        flat = np.array(params.numbers("stroke", _MOST_NUMBERS), np.float32)
        if flat.size < 2 or flat.size % 2:
            raise RpcError(INVALID_PARAMS, "stroke must be x, y, x, y, …")
        inside = np.array([self.desk.canvas.width, self.desk.canvas.height], np.float32) - 1
        stroke = flat.reshape(-1, 2).clip(0, inside)
        pictures, labels = self.desk.pictures, self.desk.draft(number).labels
        image = np.clip(pictures.frame(number).levels[0], 0, 1) ** np.float32(0.45)
        changed = band_along(image, labels, stroke, reach_px=reach, width_px=width)
        return _changed(labels, changed)

    def guess(self, params: Params, _: memoryview) -> Answer:
        """Make a first trimap from a box, by grabCut, of a portrait, or from a neighbour."""
        number, method = self._frame(params), params.choice("method", METHODS)
        box = self._window(params) if method in ("box", "grabcut") else None
        return _changed(self.desk.draft(number).labels, guess(self.desk, number, method, box))

    def save(self, params: Params, _: memoryview) -> Answer:
        """Save a frame's trimap as its keyframe."""
        path, copy = self.desk.save(self._frame(params))
        return {"path": str(path), "copy": None if copy is None else str(copy)}, b""

    # -- mattes -----------------------------------------------------------------------------------

    def solve(self, params: Params, _: memoryview) -> Answer:
        """Solve the matte of a rectangle at the size at which it is shown."""
        number, level, window = self._frame(params), self._level(params), self._window(params)
        labels = self.desk.draft(number).labels.copy()
        alpha, seconds = self.live.solve(number, labels, window, level)
        height, width = alpha.shape
        return {"width": width, "height": height, "seconds": round(seconds, 3)}, alpha.tobytes()

    def run(self, params: Params, _: memoryview) -> Answer:
        """Run the shot, with events; answers when it has ended."""
        with self._lock:
            if self._run is not None:
                raise UsageError("the shot is running already")
            self._run, self._is_cancelled = 0, False
        try:
            request = {"shot": str(self.desk.folder), "settings": _own_settings(self.desk)}
            totals = self.engine.request(
                "run", request, on_event=self._run_event, begun=self._begun
            )
            return {"cancelled": totals.get("interrupted", False), "totals": totals}, b""
        except EngineCancelled:  # before it had begun
            return {"cancelled": True, "totals": {}}, b""
        finally:
            self._run = None
            self.desk.forget_propagated()

    def review(self, params: Params, _: memoryview) -> Answer:
        """Write the review page, and open it unless this page was opened by hand, too."""
        opened = ["--open"] if self.opens_browser else []
        own = _own_settings(self.desk).items()
        settings = [word for name, v in own for word in ("--set", f"{name}={json.dumps(v)}")]
        output = ask_command(["review", str(self.desk.folder), "--json", *settings, *opened])
        record = json.loads(output.strip().splitlines()[-1])
        about = {name: record[name] for name in ("frames", "flagged", "files")}
        return {**about, "opened": self.opens_browser}, b""

    def cancel(self, params: Params, _: memoryview) -> Answer:
        """Cancel the run; finished frames are kept."""
        with self._lock:
            self._is_cancelled = True
            ident = self._run
        if ident:
            self.engine.cancel(ident)
        return {}, b""

    def _begun(self, ident: int) -> None:
        with self._lock:
            self._run = ident
            is_late = self._is_cancelled
        if is_late:  # cancelled before it had begun
            self.engine.cancel(ident)

    def _run_event(self, event: Mapping[str, Any]) -> None:
        self.emit({**event, "event": f"run-{event['event']}"})

    # -- parameters -------------------------------------------------------------------------------

    def _frame(self, params: Params) -> int:
        return self.desk.check(params.whole("frame"))

    def _level(self, params: Params) -> int:
        level = params.whole("level")
        if level >= level_count(self.desk.canvas.shape):
            raise RpcError(INVALID_PARAMS, "the picture has no such level")
        return level

    def _view(self, params: Params) -> str:
        return params.choice("view", self.desk.pictures.views or [""])

    def _window(self, params: Params) -> Window:
        """Take a rectangle of the picture: x, y, width, height."""
        x, y = params.whole("x"), params.whole("y")
        width, height = params.whole("width"), params.whole("height")
        canvas = self.desk.canvas
        if not (width and height and x + width <= canvas.width and y + height <= canvas.height):
            raise RpcError(INVALID_PARAMS, "the rectangle is empty or leaves the picture")
        return Window(x_min=x, y_min=y, x_max=x + width - 1, y_max=y + height - 1)


def _changed(before: Labels, after: Labels) -> Answer:
    """Return the rectangle of labels that have changed; its size is 0 where none has."""
    rows, columns = np.nonzero(before != after)
    if not len(rows):
        return {"x": 0, "y": 0, "width": 0, "height": 0}, b""
    top, left = int(rows.min()), int(columns.min())
    part = after[top : int(rows.max()) + 1, left : int(columns.max()) + 1]
    height, width = part.shape
    return {"x": left, "y": top, "width": width, "height": height}, part.tobytes()


def _own_settings(desk: Desk) -> dict[str, Any]:
    """Return the settings that were given beside those of the shot's folder."""
    settings, base = desk.shot.settings, read_settings(desk.folder / SETTINGS_FILE)
    record = changes(replace(base, frames=settings.frames), settings)
    if settings.frames not in (None, base.frames):
        record["frames"] = str(settings.frames)
    return record


_METHODS: dict[str, Callable[[Methods, Params, memoryview], Answer]] = {
    name: getattr(Methods, name)
    for name in (
        "shot", "progress", "prefer", "tile", "thumbnail", "matte", "trimap", "paint", "grow",
        "edge", "guess", "save", "solve", "run", "cancel", "review",
    )
}  # fmt: skip

IN_ORDER = ("paint", "save", "trimap")
"""Methods that are answered one after another, in the order in which they are asked for."""
