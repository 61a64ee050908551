"""The client of vfxmatte that every host uses: finds the engine, starts it, talks to it.

The engine (`vfxmatte serve`) is a process in a Python environment of its own, so that torch and its
libraries never meet the host's. Where it cannot serve, the plain command line does the work.
Python 3.9 syntax, standard library only, no host: this one file may be copied beside any node.

Calls may be made from every thread; none of them should be made from the host's main thread but the
`start_*` ones, which return at once. Callbacks come on a thread of this client.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import queue
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any, Union

log = logging.getLogger("vfxmatte")

PROTOCOL = 1
COMMAND_VARIABLE = "VFXMATTE_COMMAND"
HOME_VARIABLE = "VFXMATTE_HOME"
START_VARIABLE = "VFXMATTE_START"

if TYPE_CHECKING:  # not computed: the Python 3.7 of Nuke 13 could not
    Record = dict[str, Any]
    Command = Union[None, str, Sequence[str]]

_START_SECONDS = 90.0  # a cold start from a slow disk
_CALL_SECONDS = 120.0
_STOP_SECONDS = 15.0
_LEAVE_SECONDS = 5.0
_RESTARTS = 2
_LOG_BYTES = 4 << 20
_KILL_SECONDS = 5.0
_ANSWER_BYTES = 64 << 20  # largest message, or line, that is taken from an engine
_ERROR_BYTES = 64 << 10
_ITEM_BYTES = {"float32": 4, "float16": 2, "uint16": 2, "uint8": 1}
_INSTALL = (
    "install it into an environment of its own (python3 -m venv vfxmatte-env; "
    "vfxmatte-env/bin/pip install vfxmatte), then write the path of that folder into {}"
)
_HOST_VARIABLES = (  # which would make another Python look into the host's libraries
    "PYTHONHOME", "PYTHONPATH", "PYTHONEXECUTABLE", "PYTHONSTARTUP", "PYTHONUSERBASE",
    "__PYVENV_LAUNCHER__",
)  # fmt: skip


class EngineError(Exception):
    """Whatever went wrong, in words for the artist's panel; `str()` has all of them.

    what: one sentence. kind: the engine's own error ("PlateError", "DeviceError", …), or
    "NotInstalled", "CannotServe", "EngineDied", "Cancelled", "TimedOut". hint: what can be done.
    shot, frame, path: where. exit_code: that of the command line.
    """

    def __init__(
        self,
        what: str,
        *,
        kind: str = "EngineError",
        hint: str | None = None,
        shot: str | None = None,
        frame: int | None = None,
        path: str | None = None,
        exit_code: int = 3,
    ) -> None:
        super().__init__(what)
        self.what, self.kind, self.hint = what, kind, hint
        self.shot, self.frame, self.path = shot, frame, path
        self.exit_code = exit_code

    @classmethod
    def of(cls, values: Record) -> EngineError:
        """From the values of an `error` event."""
        names = ("hint", "shot", "frame", "path")
        code = values.get("exit_code")
        return cls(
            str(values.get("message")),
            kind=str(values.get("kind") or "EngineError"),
            exit_code=code if type(code) is int and code else 3,
            **{name: values.get(name) for name in names},
        )

    def __str__(self) -> str:
        place = (("shot", self.shot), ("frame", self.frame), ("file", self.path))
        said = ", ".join(f"{name} {at}" for name, at in place if at is not None)
        where = f" [{said}]" if said else ""
        return self.what + where + ("\n  " + self.hint if self.hint else "")


# -- paths as people write them ----------------------------------------------------------------

_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "„": "“", "«": "»"}
_MARKS = "\u200b\u200e\u200f\u202a\u202b\u202c\u2060\ufeff"  # of no width, and no white space


def tidy_path(text: str) -> str:
    """Return the path that was meant: without quotes and blanks around it, `~` as the home folder.

    File managers copy paths in quotes, some with invisible marks. An empty text stays empty.
    """
    before = None
    while before != text:
        before, text = text, text.strip().strip(_MARKS)
        if len(text) > 1 and _QUOTES.get(text[0]) == text[-1]:
            text = text[1:-1]
    return os.path.expanduser(text)


# -- where the engine is -----------------------------------------------------------------------


def home() -> str:
    """~/.vfxmatte, or $VFXMATTE_HOME."""
    return os.environ.get(HOME_VARIABLE) or os.path.join(os.path.expanduser("~"), ".vfxmatte")


def settings_file() -> str:
    """The text file whose first line says where vfxmatte is; the user may edit it."""
    return os.path.join(home(), "command.txt")


def log_file() -> str:
    """What engines that were started here have to say."""
    return os.path.join(home(), "run", "serve.log")


def endpoint_file() -> str:
    """The running engine's port and token; homes are shared, so it has the machine's name."""
    machine = re.sub(r"[^A-Za-z0-9.-]", "_", platform.node()) or "localhost"
    return os.path.join(home(), "run", f"serve-{machine}.json")


def find_command(explicit: Command = None) -> list[str]:
    """The command that is vfxmatte, as a list of arguments.

    explicit: the program, a Python interpreter that has it, the folder of a virtual environment,
    or a whole list. Without it: $VFXMATTE_COMMAND, then `settings_file()`, then PATH.
    Raises EngineError "NotInstalled", with what to do.
    """
    if explicit is not None and not isinstance(explicit, str):
        return list(explicit)
    places: tuple[tuple[str | None, str], ...] = (
        (explicit, "the path given"),
        (os.environ.get(COMMAND_VARIABLE), "$" + COMMAND_VARIABLE),
        (_first_line(settings_file()), settings_file()),
    )
    for text, source in places:
        if text and text.strip():
            return _understood(text.strip(), source)
    found = _on_path("vfxmatte")
    if found:
        return [found]
    raise EngineError(
        "vfxmatte is not installed, or this host does not know where",
        kind="NotInstalled",
        hint=_INSTALL.format(settings_file()),
    )


def _understood(text: str, source: str) -> list[str]:
    path = tidy_path(os.path.expandvars(text))
    if os.path.isabs(path) and os.path.isdir(path):
        for name in ("bin/vfxmatte", "Scripts/vfxmatte.exe", ".venv/bin/vfxmatte"):
            inside = os.path.join(path, *name.split("/"))
            if os.path.isfile(inside):
                return [inside]
    program = _program(path)
    if program:
        is_python = os.path.basename(program).lower().startswith("python")
        # -P: the folder that the host happens to be in is no place to import from
        return [program, "-P", "-m", "vfxmatte"] if is_python else [program]
    parts = _words(text)
    program = _program(os.path.expanduser(parts[0])) if len(parts) > 1 else None
    if program:
        return [program, *parts[1:]]
    raise EngineError(
        f"there is no vfxmatte at {text!r}, which {source} names",
        kind="NotInstalled",
        hint="correct it (a whole path, or a name on the PATH), or "
        + _INSTALL.format(settings_file()),
    )


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text, posix=os.name != "nt")
    except ValueError:  # a quote without its other half
        return []


def _program(path: str) -> str | None:
    """A file by its whole path, or a bare name on the PATH; nothing in the current folder."""
    if os.path.isabs(path):
        return path if os.path.isfile(path) else None
    return None if os.path.dirname(path) or not path else _on_path(path)


def _on_path(name: str) -> str | None:
    """`shutil.which` without the current folder, which Windows and an empty entry would add."""
    endings = ("", ".exe", ".bat", ".cmd") if os.name == "nt" else ("",)
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        for ending in endings:
            place = os.path.join(folder, name + ending)
            if os.path.isabs(folder) and os.path.isfile(place) and os.access(place, os.X_OK):
                return place
    return None


def remember_command(text: str) -> str:
    """Write where vfxmatte is into `settings_file()`, once it has answered; returns its version.

    Takes seconds. Raises EngineError where it does not answer.
    """
    command = find_command(text)
    done = _ran([*command, "--version"])
    if done.returncode != 0:
        raise _start_error(command, done.stderr or done.stdout)
    os.makedirs(home(), exist_ok=True)
    with open(settings_file(), "w", encoding="utf-8") as stream:
        stream.write("# where vfxmatte is: program, python, or folder of an environment\n")
        stream.write(text.strip() + "\n")
    return done.stdout.strip().split()[-1]


def _first_line(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as stream:
            lines = [line.strip() for line in stream]
    except (OSError, UnicodeDecodeError):
        return None
    return next((line for line in lines if line and not line.startswith("#")), None)


def _environment() -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if name not in _HOST_VARIABLES}
    return {**kept, "PYTHONUTF8": "1"}


def _apart() -> dict[str, Any]:
    """How a process is started that does not end with the host, nor shows a window."""
    if os.name == "nt":
        return {"creationflags": 0x08000000 | 0x00000200}  # NO_WINDOW, NEW_PROCESS_GROUP
    return {"start_new_session": True}


def _ran(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env=_environment(),
            timeout=_CALL_SECONDS,
            **_apart(),
        )
    except (OSError, ValueError) as error:
        raise _start_error(command, str(error), missing=True) from error
    except subprocess.TimeoutExpired as error:
        raise EngineError("vfxmatte does not answer", kind="TimedOut") from error


def _start_error(command: Sequence[str], said: str, *, missing: bool = False) -> EngineError:
    """Why a command did not run, and what to do about it. missing: there is no such program."""
    lines = [line.strip() for line in said.strip().splitlines() if line.strip()]
    own = [line[len("error: ") :] for line in lines if line.startswith("error: ")]
    last = (own or lines or ["it said nothing"])[-1]
    shown = " ".join(command)
    if "No module named vfxmatte" in said or "No module named 'vfxmatte" in said:
        return EngineError(
            f"this Python has no vfxmatte: {command[0]}",
            kind="NotInstalled",
            hint=_INSTALL.format(settings_file()),
        )
    too_old = ("SyntaxError", "requires a different Python", "StrEnum", "nknown option: -P")
    if any(sign in said for sign in too_old):
        return EngineError(
            f"this Python is too old for vfxmatte: {command[0]}",
            kind="NotInstalled",
            hint="vfxmatte needs Python 3.11 or newer; " + _INSTALL.format(settings_file()),
        )
    return EngineError(
        f"vfxmatte cannot be started ({shown}): {last}",
        kind="NotInstalled" if missing else "CannotServe",
        hint=f"try `{shown} info` in a terminal; where vfxmatte is stands in {settings_file()}",
    )


# -- talking to it -----------------------------------------------------------------------------


class _Lost(Exception):
    """The engine has gone."""


class _Call:
    """One request under way; what comes for it waits in `inbox`."""

    def __init__(self, ident: int) -> None:
        self.ident = ident
        self.inbox: queue.Queue[tuple[str, Any]] = queue.Queue()

    def next(self, timeout: float | None = None) -> tuple[str, Any]:
        """("event" | "result" | "error", values); raises _Lost, or EngineError "TimedOut"."""
        try:
            kind, values = self.inbox.get(timeout=timeout)
        except queue.Empty:
            raise EngineError("the engine does not answer", kind="TimedOut") from None
        if kind == "lost":
            raise _Lost
        return kind, values

    def result(self, timeout: float | None = None) -> Record:
        """The answer; raises EngineError or _Lost."""
        while True:
            kind, values = self.next(timeout)
            if kind == "result":
                return dict(values)
            if kind == "error":
                raise _rpc_error(values)


def _rpc_error(values: Record) -> EngineError:
    data, code = values.get("data"), values.get("code")
    if isinstance(data, dict):
        return EngineError.of(data)
    kind = {-32800: "Cancelled", -32001: "Unauthorised"}.get(code if type(code) is int else 0)
    return EngineError(str(values.get("message")), kind=kind or "ProtocolError")


class _Channel:
    """A connection: requests out, and a thread that hands answers and events to their calls."""

    def __init__(self, source: IO[bytes], send: Callable[[bytes], Any], close: Callable[[], Any]):
        self._source, self._send_bytes, self._close_wire = source, send, close
        self._lock = threading.Lock()
        self._calls: dict[int, _Call] = {}
        self._last = 0
        self.alive = True
        self.gone = threading.Event()
        self.start: str | None = None  # which start the engine has come from
        threading.Thread(target=self._read, name="vfxmatte-reader", daemon=True).start()

    def begin(self, method: str, params: Record | None = None) -> _Call:
        """Send a request; raises _Lost."""
        with self._lock:
            self._last += 1
            call = self._calls[self._last] = _Call(self._last)
            message = {"jsonrpc": "2.0", "id": call.ident, "method": method}
            self._send({**message, "params": params or {}})
        return call

    def ask(self, method: str, params: Record | None = None) -> Record:
        """Send a short request and wait for the answer; raises EngineError or _Lost."""
        return self.begin(method, params).result(_CALL_SECONDS)

    def cancel(self, call: _Call) -> None:
        """Ask for the end of a job; says nothing where the engine has gone."""
        message = {"jsonrpc": "2.0", "method": "cancel", "params": {"job": call.ident}}
        with self._lock:
            try:
                self._send(message)
            except _Lost:
                return

    def close(self) -> None:
        self.alive = False
        try:
            self._close_wire()
        except OSError:
            return

    def _send(self, message: Record) -> None:
        body = json.dumps(message).encode("ascii")
        if not self.alive:
            raise _Lost
        try:
            self._send_bytes(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        except (OSError, ValueError) as error:
            self.alive = False
            raise _Lost from error

    def _read(self) -> None:
        try:
            for message in _messages(self._source):
                self._hand_on(message)
        except Exception as error:  # whatever the other end has said, nobody may wait for ever
            log.debug("the engine's connection broke: %s", error)
        self.close()
        with contextlib.suppress(OSError, ValueError):
            self._source.close()  # a socket's descriptor stays as long as its file
        with self._lock:
            calls, self._calls = list(self._calls.values()), {}
        for call in calls:
            call.inbox.put(("lost", None))
        self.gone.set()

    def _hand_on(self, message: Record) -> None:
        if message.get("method") == "event":
            values = dict(message["params"])
            call = self._calls.get(values.pop("job"))
            if call is not None:
                call.inbox.put(("event", values))
            return
        kind = "error" if "error" in message else "result"
        values = dict(message[kind])  # before the call is taken out, which must hear of its end
        with self._lock:
            call = self._calls.pop(message.get("id") or 0, None)
        if call is not None:
            call.inbox.put((kind, values))
        elif kind == "error":
            log.warning("the engine says: %s", values.get("message"))


def _messages(source: IO[bytes]) -> Iterator[Record]:
    """Messages until the end of the stream; raises ValueError for what is none."""
    while True:
        length = None
        while True:
            line = source.readline(4096)
            if not line:
                return
            if not line.strip():
                break
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length":
                length = int(value)
        if length is None or not 0 <= length <= _ANSWER_BYTES:
            raise ValueError(f"a message of no length, or too long: {length}")
        body = source.read(length)
        if len(body) < length:
            return
        yield json.loads(body.decode("utf-8"))


def _connect() -> _Channel | None:
    """To the engine that runs, if one does and it is this user's."""
    found = _endpoint()
    if found is None:
        return None
    try:
        wire = socket.create_connection(("127.0.0.1", int(found["port"])), timeout=5)
    except (OSError, OverflowError):
        return None  # a file that a killed engine has left
    wire.settimeout(None)
    channel = _Channel(wire.makefile("rb"), wire.sendall, lambda: _hang_up(wire))
    try:
        hello = {"token": found["token"], "client": os.path.basename(sys.executable or "python")}
        channel.start = channel.begin("hello", hello).result(10).get("start")
    except (EngineError, _Lost):
        channel.close()
        return None  # somebody else's program on a port that was ours
    return channel


def _hang_up(wire: socket.socket) -> None:
    with contextlib.suppress(OSError):
        wire.shutdown(socket.SHUT_RDWR)
    wire.close()


def _endpoint() -> Record | None:
    """What the engine's file says; None where it is missing, or not this user's alone."""
    try:
        with open(endpoint_file(), encoding="utf-8") as stream:
            state = os.fstat(stream.fileno())
            found = json.loads(stream.read(_ERROR_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    if not _is_private(state):
        log.debug("%s is not this user's alone: it is not used", endpoint_file())
        return None
    if not isinstance(found, dict) or found.get("protocol") != PROTOCOL:
        return None
    port, token = found.get("port"), found.get("token")
    return found if type(port) is int and 0 < port < 65536 and isinstance(token, str) else None


def _is_private(state: os.stat_result) -> bool:
    return os.name != "posix" or (state.st_uid == os.getuid() and not state.st_mode & 0o077)


def _open_endpoint() -> tuple[int, int] | None:
    """Which file that is, where one is there that others can read or write; else None."""
    try:
        state = os.stat(endpoint_file())
    except OSError:
        return None
    return None if _is_private(state) else (state.st_ino, state.st_mtime_ns)


# -- jobs --------------------------------------------------------------------------------------


class Job:
    """Work under way. Made by the `start_*` calls of `Engine`."""

    def __init__(
        self,
        name: str,
        on_event: Callable[[Record], Any] | None,
        on_done: Callable[[Job], Any] | None,
    ) -> None:
        self.id = name
        self.error: EngineError | None = None
        self.cancelled = False
        self._on_event, self._on_done = on_event, on_done
        self._value: Any = None
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._stop: Callable[[], None] | None = None
        self._frames_told: set[int] = set()
        self._started = False

    @property
    def done(self) -> bool:
        return self._over.is_set()

    def cancel(self) -> None:
        """Ask for the end, and return at once; finished frames stay."""
        with self._lock:
            self.cancelled = True
            stop = self._stop
        if stop is not None:
            stop()

    def wait(self, timeout: float | None = None) -> bool:
        """Whether the job has ended within so many seconds."""
        return self._over.wait(timeout)

    def result(self, timeout: float | None = None) -> Any:
        """Wait, and return what the job came to, or raise its EngineError."""
        if not self._over.wait(timeout):
            raise EngineError("the job is not done yet", kind="TimedOut")
        if self.error is not None:
            raise self.error
        return self._value

    def _stop_with(self, stop: Callable[[], None] | None) -> None:
        """How this job is cancelled from now on; done at once where that was wished before."""
        with self._lock:
            self._stop = stop
            late = self.cancelled
        if late and stop is not None:
            stop()

    def _tell(self, record: Record) -> None:
        """Hand an event on; after a restart of the engine no frame is told again."""
        if not _is_event(record):
            log.debug("not an event: %.200r", record)
            return
        event, frame = record.get("event"), record.get("frame")
        if event == "frame":
            if frame in self._frames_told:
                return
            self._frames_told.add(frame)
        if event == "start":
            if self._started:
                return
            self._started = True
        if self._on_event is not None:
            _guarded(self._on_event, record)

    def _note(self, text: str) -> None:
        log.info("%s", text)
        self._tell({"event": "note", "text": text})

    def _finish(self, work: Callable[[Job], Any]) -> None:
        try:
            self._value = work(self)
        except EngineError as error:
            self.error = error
        except Exception as error:
            log.exception("vfxmatte's client failed")
            self.error = EngineError(f"{type(error).__name__}: {error}")
        self._stop_with(None)
        self._over.set()
        if self._on_done is not None:
            _guarded(self._on_done, self)


def _is_event(record: Any) -> bool:
    """Whether a record is what it says, so that hosts need not ask."""
    if not isinstance(record, dict) or not isinstance(record.get("event"), str):
        return False
    event, error = record["event"], record.get("error")
    path = record.get("path")
    if event == "frame":
        told = error is None or (isinstance(error, dict) and isinstance(error.get("message"), str))
        return type(record.get("frame")) is int and told and isinstance(path, (str, type(None)))
    if event == "start":
        return type(record.get("count")) is int
    return True


def _totals_of(values: Record) -> Record:
    """A run's totals, with every name that hosts look for."""
    whole = {**_no_totals(), "interrupted": False, **values}
    for name in ("frames", "written", "kept", "failed", "skipped"):
        if type(whole[name]) is not int:
            whole[name] = 0
    return whole


def _guarded(callback: Callable[[Any], Any], value: Any) -> None:
    try:
        callback(value)
    except Exception:
        log.exception("a callback failed")


def _cancelled() -> EngineError:
    return EngineError("cancelled", kind="Cancelled", exit_code=130)


def _no_totals() -> Record:
    """Of a run that was cancelled before it began."""
    counts = dict.fromkeys(("frames", "written", "kept", "failed", "skipped"), 0)
    rest = dict.fromkeys(("device", "mattes", "suggested_keyframe", "suggested_confidence"))
    return {**counts, **rest, "seconds": 0.0, "fps": 0.0, "files": [], "interrupted": True}


# -- the engine --------------------------------------------------------------------------------


class Engine:
    """The engine of this user on this machine, wherever it runs; see the module.

    Making one starts nothing. command: see `find_command`. idle_seconds: how long an engine that
    is started here stays without clients and jobs. serve: False always uses the command line.
    """

    def __init__(
        self, command: Command = None, *, idle_seconds: float | None = None, serve: bool = True
    ) -> None:
        self._command, self._idle_seconds, self._serve = command, idle_seconds, serve
        self._connecting = threading.Lock()  # held for as long as an engine takes to start
        self._lock = threading.Lock()
        self._channel: _Channel | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._jobs: set[Job] = set()
        self._count = 0
        self._cannot_serve: EngineError | None = None
        self._cannot_until = 0.0
        self._closed = False

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- jobs ----------------------------------------------------------------------------------

    def run(self, **what: Any) -> Record:
        """`start_run`, and wait: the run's totals; raises EngineError."""
        return dict(self.start_run(**what).result())

    def start_run(
        self,
        *,
        shot: str | None = None,
        plate: str | None = None,
        trimaps: str | None = None,
        output: str | None = None,
        frames: int | str | None = None,
        colorspace: str | None = None,
        ocio: str | None = None,
        device: str | None = None,
        mode: str | None = None,
        precision: str | None = None,
        weights: str | None = None,
        settings: Record | None = None,
        overwrite: bool = False,
        on_event: Callable[[Record], Any] | None = None,
        on_done: Callable[[Job], Any] | None = None,
    ) -> Job:
        """Matte a shot, or frames of it; returns at once and never raises.

        shot: a shot folder; or plate (pattern, folder, movie), trimaps (the keyframes' folder, or
        one file) and output (a folder), which also override the shot's. frames: "1001-1100x2", a
        number, or None for all; one frame may go before others' long runs. settings: any of
        `vfxmatte run --set`, by its dotted name. Finished frames are kept, unless overwrite.
        on_event: gets the records of `vfxmatte run --json`. on_done: the job, once, last.
        """
        params = _settings_of(
            frames=None if frames is None else str(frames), colorspace=colorspace, device=device,
            mode=mode, precision=precision, weights=weights, ocio=ocio, settings=settings,
        )  # fmt: skip
        parts = {"shot": shot, "plate": plate, "trimaps": trimaps, "output": output}
        params.update(_absolute(parts), overwrite=bool(overwrite))
        return self._begin("run", lambda job: self._do_run(job, params), on_event, on_done)

    def matte_frame(self, **what: Any) -> Record:
        """`start_matte_frame`, and wait: path, device, elapsed_ms; raises EngineError."""
        return dict(self.start_matte_frame(**what).result())

    def start_matte_frame(
        self,
        *,
        plate: str,
        trimap: str,
        output: str,
        colorspace: str | None = None,
        ocio: str | None = None,
        device: str | None = None,
        mode: str | None = None,
        precision: str | None = None,
        weights: str | None = None,
        settings: Record | None = None,
        overwrite: bool = False,
        on_event: Callable[[Record], Any] | None = None,
        on_done: Callable[[Job], Any] | None = None,
    ) -> Job:
        """Matte one plate file with its own trimap file into the file `output` (.exr, .png, .tif).

        Returns at once and never raises. A file that exists is refused, unless overwrite.
        """
        params = _settings_of(
            colorspace=colorspace, device=device, mode=mode, precision=precision, weights=weights,
            ocio=ocio, settings=settings,
        )  # fmt: skip
        parts = {"plate": plate, "trimap": trimap, "output": output}
        params.update(_absolute(parts), overwrite=bool(overwrite))
        return self._begin(
            "matte", lambda job: self._do_served(job, "matte", params), on_event, on_done
        )

    def matte_pixels(self, **what: Any) -> bytes:
        """`start_matte_pixels`, and wait: the alpha's float32 values; raises EngineError."""
        return bytes(self.start_matte_pixels(**what).result())

    def start_matte_pixels(
        self,
        *,
        image: Any,
        trimap: Any,
        width: int,
        height: int,
        image_type: str = "float32",
        trimap_type: str = "float32",
        colorspace: str = "sRGB - Texture",
        ocio: str | None = None,
        device: str | None = None,
        mode: str | None = None,
        precision: str | None = None,
        weights: str | None = None,
        settings: Record | None = None,
        on_event: Callable[[Record], Any] | None = None,
        on_done: Callable[[Job], Any] | None = None,
    ) -> Job:
        """Matte arrays: image (H, W, 3) and trimap (H, W), top row first, as any object with the
        buffer protocol, of the types float32, float16, uint8 or uint16.

        Returns at once and never raises. The result is bytes: (H, W) native float32.
        """
        params = _settings_of(
            colorspace=colorspace, device=device, mode=mode, precision=precision, weights=weights,
            ocio=ocio, settings=settings,
        )  # fmt: skip
        arrays = ((image, image_type, (height, width, 3)), (trimap, trimap_type, (height, width)))
        return self._begin(
            "pixels", lambda job: self._do_pixels(job, params, arrays), on_event, on_done
        )

    # -- short calls ---------------------------------------------------------------------------

    def check(
        self,
        *,
        shot: str | None = None,
        plate: str | None = None,
        trimaps: str | None = None,
        output: str | None = None,
        frames: int | str | None = None,
        colorspace: str | None = None,
        ocio: str | None = None,
        device: str | None = None,
        mode: str | None = None,
        precision: str | None = None,
        weights: str | None = None,
        settings: Record | None = None,
    ) -> Record:
        """What `vfxmatte check --json` says of a shot; raises EngineError."""
        params = _settings_of(
            frames=None if frames is None else str(frames), colorspace=colorspace, device=device,
            mode=mode, precision=precision, weights=weights, ocio=ocio, settings=settings,
        )  # fmt: skip
        parts = {"shot": shot, "plate": plate, "trimaps": trimaps, "output": output}
        params.update(_absolute(parts))
        served = self._asked("open", params)
        return served if served is not None else self._said(["check", *_options(params)])

    def status(self, *, start: bool = False) -> Record:
        """Whether an engine serves, its version, pid, device, clients, jobs, log.

        start: start one where there is none (raises EngineError where that is impossible).
        """
        nothing = dict.fromkeys(("version", "pid", "device"))
        found: Record = {**nothing, "serving": False, "clients": 0, "jobs": [], "log": log_file()}
        try:
            channel = self._connected() if start else self._running(wait=False)
            if channel is not None:
                found.update(channel.ask("status"), serving=True)
        except _Lost:
            return found
        return found

    def devices(self) -> list[Record]:
        """Each device and its name, best first; raises EngineError. Takes seconds at first."""
        served = self._asked("devices", {})
        if served is not None:
            return list(served["devices"])
        listed = self._said(["info"])["devices"]
        found = [{"device": one["name"], "name": one["description"]} for one in listed]
        return sorted(found, key=lambda one: one["device"] == "cpu")

    def shutdown(self) -> bool:
        """End the engine, for everybody; False where none runs."""
        channel = self._running()
        if channel is None:
            return False
        with contextlib.suppress(_Lost, EngineError):
            channel.ask("shutdown")
            channel.gone.wait(_STOP_SECONDS)
        self._drop(channel)
        return True

    def close(self) -> None:
        """Leave the engine; this client's jobs are cancelled, and waited for for a moment."""
        with self._lock:
            self._closed = True
            jobs, channel = list(self._jobs), self._channel
        for job in jobs:
            job.cancel()
        until = time.monotonic() + _LEAVE_SECONDS
        for job in jobs:
            job.wait(max(0.0, until - time.monotonic()))
        if channel is not None:
            self._drop(channel)

    # -- how jobs are done ---------------------------------------------------------------------

    def _begin(
        self,
        kind: str,
        work: Callable[[Job], Any],
        on_event: Callable[[Record], Any] | None,
        on_done: Callable[[Job], Any] | None,
    ) -> Job:
        with self._lock:
            self._count += 1
            job = Job(f"{kind}-{self._count}", on_event, on_done)
            self._jobs.add(job)

        def do() -> None:
            job._finish(work)
            with self._lock:
                self._jobs.discard(job)

        threading.Thread(target=do, name="vfxmatte-" + job.id, daemon=True).start()
        return job

    def _do_run(self, job: Job, params: Record) -> Record:
        try:
            return _totals_of(self._do_served(job, "run", params, alone=False))
        except EngineError as error:
            if error.kind == "Cancelled":
                return _no_totals()
            if error.kind != "CannotServe":
                raise
            if self._serve:
                job._note(f"the engine cannot serve ({error.what}): done by the command line")
        return _totals_of(_CommandLine(find_command(self._command)).run(job, params))

    def _do_pixels(self, job: Job, params: Record, arrays: Any) -> bytes:
        with _PixelFile(arrays) as pixels:
            self._do_served(job, "pixels", {**params, **pixels.params()})
            return pixels.alpha()

    def _do_served(self, job: Job, method: str, params: Record, *, alone: bool = True) -> Record:
        """By the engine, started again where it dies. alone: by one of the job's own, over its
        standard streams, where no engine can serve; else EngineError "CannotServe"."""
        for attempt in range(_RESTARTS + 1):
            if job.cancelled:
                raise _cancelled()
            channel, own = self._channel_for(alone)
            try:
                return _followed(job, channel, channel.begin(method, params))
            except _Lost:
                if job.cancelled or self._closed:
                    raise _cancelled() from None
                if attempt < _RESTARTS:
                    job._note("the engine has died: it is started again")
            finally:
                job._stop_with(None)
                if own:
                    channel.close()
        raise EngineError(
            f"the engine died {_RESTARTS + 1} times in this job",
            kind="EngineDied",
            path=log_file(),
            hint="the file says why, at its end; is there too little memory?",
        )

    def _channel_for(self, alone: bool) -> tuple[_Channel, bool]:
        try:
            return self._connected(), False
        except EngineError as error:
            if error.kind != "CannotServe" or not alone:
                raise
            return _private_engine(find_command(self._command)), True

    # -- the connection ------------------------------------------------------------------------

    def _asked(self, method: str, params: Record) -> Record | None:
        """The engine's answer; None where none can serve; raises EngineError."""
        for _ in range(_RESTARTS + 1):
            try:
                return self._connected().ask(method, params)
            except _Lost:
                continue
            except EngineError as error:
                if error.kind != "CannotServe":
                    raise
                return None
        return None

    def _said(self, arguments: list[str]) -> Record:
        """The one JSON object that a command prints; raises EngineError."""
        command = find_command(self._command)
        done = _ran([*command, *arguments, "--json"])
        try:
            return dict(json.loads(done.stdout))
        except ValueError:
            raise _command_error(command, done.returncode, done.stderr) from None

    def _running(self, *, wait: bool = True) -> _Channel | None:
        """The engine that runs, if one does. wait: for one that is just being started here."""
        if not self._connecting.acquire(blocking=wait):
            return None
        try:
            if self._channel is None or not self._channel.alive:
                self._channel = _connect() if self._serve else None
            return self._channel
        finally:
            self._connecting.release()

    def _connected(self) -> _Channel:
        """The engine that runs, else one that is started now; raises EngineError."""
        if not self._serve:
            raise EngineError("no engine is wanted", kind="CannotServe")
        with self._connecting:
            if self._channel is not None and self._channel.alive:
                return self._channel
            if self._cannot_serve is not None and time.monotonic() < self._cannot_until:
                raise self._cannot_serve
            try:
                self._channel = _connect() or self._started()
            except EngineError as error:
                if error.kind == "CannotServe":
                    self._cannot_serve, self._cannot_until = error, time.monotonic() + 60
                raise
            return self._channel

    def _started(self) -> _Channel:
        """Start an engine; another one that comes up, or is about to end, is waited for."""
        command = find_command(self._command)
        options = [] if self._idle_seconds is None else ["--idle-seconds", str(self._idle_seconds)]
        deadline = time.monotonic() + _START_SECONDS
        while True:
            mark, stale = uuid.uuid4().hex, _open_endpoint()
            child, stream = _start(command, ["serve", *options], mark)
            with stream:
                place = stream.tell()
                channel = _waited_for(child, deadline, stale)
                if channel is not None:
                    self._child = child  # kept, so that its end is noticed
                    if channel.start != mark and child.poll() is None:
                        child.terminate()  # another one was first
                        child.wait()
                    return channel
                stream.seek(place)
                said = stream.read().decode("utf-8", "replace")
            if "another engine is running" not in said or time.monotonic() > deadline:
                raise _start_error(command, said)

    def _drop(self, channel: _Channel) -> None:
        channel.close()  # which makes it one that is no longer alive


def _followed(job: Job, channel: _Channel, call: _Call) -> Record:
    """Hand events on until the answer comes; raises EngineError or _Lost."""
    job._stop_with(lambda: channel.cancel(call))
    while True:
        kind, values = call.next()
        if kind == "event":
            job._tell(values)
        elif kind == "error":
            raise _rpc_error(values)
        else:
            return dict(values)


def _waited_for(
    child: subprocess.Popen[bytes], deadline: float, stale: tuple[int, int] | None
) -> _Channel | None:
    """A connection to the engine that comes up; None where the child has ended without one.

    stale: the file that others can read, which was there before the child. Raises EngineError
    where the child has written such a file: it will not get any better.
    """
    while True:
        channel = _connect()
        if channel is not None:
            return channel
        if _open_endpoint() not in (None, stale):
            child.kill()
            child.wait()
            raise EngineError(
                "the file with the engine's token can be read by others, or is another user's",
                kind="CannotServe",
                path=endpoint_file(),
                hint=f"set ${HOME_VARIABLE} to a folder on a disk that knows file modes",
            )
        if child.poll() is not None:
            time.sleep(0.1)  # another one may just be coming up
            return _connect()
        if time.monotonic() > deadline:
            child.kill()
            child.wait()
            return None
        time.sleep(0.05)


def _open_log() -> IO[bytes]:
    """Appended to, and begun anew when it has grown long; elsewhere, if the folder is no good."""
    path = log_file()
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        if os.name == "posix" and os.stat(os.path.dirname(path)).st_uid != os.getuid():
            return tempfile.TemporaryFile()
        if os.path.exists(path) and os.path.getsize(path) > _LOG_BYTES:
            os.truncate(path, 0)
        return open(path, "a+b")
    except OSError:
        return tempfile.TemporaryFile()


def _start(
    command: list[str], arguments: list[str], mark: str
) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    """A process that outlives the host, and its log, where its part of it begins.

    mark: the engine will tell it, whatever processes stand between."""
    stream = _open_log()
    stream.seek(0, os.SEEK_END)
    try:
        child = subprocess.Popen(
            [*command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            env={**_environment(), START_VARIABLE: mark},
            **_apart(),
        )
    except OSError as error:
        stream.close()
        raise _start_error(command, str(error), missing=True) from error
    return child, stream


def _private_engine(command: list[str]) -> _Channel:
    """An engine for one job, over its standard streams: needs no network and no folder."""
    try:
        child = subprocess.Popen(
            [*command, "serve", "--stdio"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            **_apart(),
        )
    except OSError as error:
        raise _start_error(command, str(error), missing=True) from error
    source, target = child.stdout, child.stdin
    assert source is not None and target is not None

    def send(data: bytes) -> None:
        target.write(data)
        target.flush()

    def close() -> None:
        if child.poll() is None:
            child.terminate()
        try:
            child.wait(_KILL_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        with contextlib.suppress(OSError):
            target.close()

    return _Channel(source, send, close)


# -- settings, arrays, and the command line ----------------------------------------------------


def _settings_of(
    *, ocio: str | None, settings: Record | None, weights: str | None = None, **named: Any
) -> Record:
    """The parameters `settings` and `ocio`; what was not given is left out."""
    engine = ("device", "mode", "precision")
    given = {("engine." + k if k in engine else k): v for k, v in named.items() if v is not None}
    paths = _absolute({"engine.weights": weights})
    if ocio is not None and "://" in ocio:
        given["ocio"] = ocio.strip()
    elif ocio is not None:
        paths.update(_absolute({"ocio": ocio}))
    found = os.environ.get("OCIO")  # the host's, which may not be the engine's
    default = found if not found or "://" in found else os.path.abspath(found)
    return {"settings": {**(settings or {}), **given, **paths}, "ocio": default or None}


def _absolute(parts: dict[str, Any]) -> Record:
    """Whole paths by name; what is None or an empty text is left out (it is no folder's name)."""
    tidy = {k: tidy_path(v) if isinstance(v, str) else v for k, v in parts.items()}
    return {k: os.path.abspath(str(v)) for k, v in tidy.items() if v is not None and v != ""}


def _options(params: Record) -> list[str]:
    """The command line's for the parameters of a request."""
    options = [params["shot"]] if "shot" in params else []
    for name in ("plate", "trimaps", "output"):
        options += ["--" + name, params[name]] if name in params else []
    for key, value in params["settings"].items():
        options += ["--set", f"{key}={json.dumps(value, ensure_ascii=False)}"]
    return options + (["--overwrite"] if params.get("overwrite") else [])


def _command_error(command: list[str], code: int, said: str) -> EngineError:
    lines = [line for line in said.strip().splitlines() if line.strip()]
    if lines and lines[0].startswith("error: "):
        rest = "\n".join(line.strip() for line in lines[1:])
        return EngineError(lines[0][len("error: ") :], hint=rest or None, exit_code=code)
    return _start_error(command, said)


class _CommandLine:
    """`vfxmatte run --json` as a process of its own."""

    def __init__(self, command: list[str]) -> None:
        self.command = command

    def run(self, job: Job, params: Record) -> Record:
        """The totals; raises EngineError."""
        if job.cancelled:
            return _no_totals()
        totals: Record | None = None
        error: EngineError | None = None
        with tempfile.TemporaryFile() as errors:
            child = self._start(["run", *_options(params), "--json"], errors)
            job._stop_with(lambda: _interrupt(child))
            for record in _records(child):
                job._tell(record)
                if record["event"] == "error":
                    error = EngineError.of(record)
                if record["event"] == "totals":
                    totals = {name: v for name, v in record.items() if name != "event"}
            code = child.wait()
            errors.seek(max(0, errors.seek(0, os.SEEK_END) - _ERROR_BYTES))
            said = errors.read().decode("utf-8", "replace")
        if error is not None:
            raise error
        if totals is not None:
            return totals
        if job.cancelled:
            return _no_totals()
        raise _command_error(self.command, code, said)

    def _start(self, arguments: list[str], errors: IO[bytes]) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                [*self.command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=_environment(),
                **_apart(),
            )
        except OSError as error:
            raise _start_error(self.command, str(error), missing=True) from error


def _records(child: subprocess.Popen[bytes]) -> Iterator[Record]:
    assert child.stdout is not None
    with child.stdout as lines:
        for line in iter(lambda: lines.readline(_ANSWER_BYTES), b""):
            try:
                record = json.loads(line.decode("utf-8", "replace"))
            except (ValueError, RecursionError):
                log.debug("not an event: %.200r", line)
                continue
            if isinstance(record, dict) and "event" in record:
                yield record


def _interrupt(child: subprocess.Popen[bytes]) -> None:
    """As Ctrl-C does, where there is such a thing; finished frames are kept either way."""
    if child.poll() is None:
        if os.name == "nt":
            child.terminate()
        else:
            child.send_signal(signal.SIGINT)


class _PixelFile:
    """Arrays in a file that only this user can read: in memory, where the system has a place for
    such files. (multiprocessing's shared memory would start the host's program once more.)"""

    def __init__(self, arrays: Any) -> None:
        self._views = [_bytes_of(*array) for array in arrays]
        self._arrays = arrays
        self._alpha_bytes = 4 * arrays[1][2][0] * arrays[1][2][1]
        self._path = ""

    def __enter__(self) -> _PixelFile:
        folder = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        descriptor, self._path = tempfile.mkstemp(prefix="vfxmatte-", suffix=".raw", dir=folder)
        with os.fdopen(descriptor, "wb") as stream:
            for view in self._views:
                stream.write(view)
            stream.truncate(sum(len(view) for view in self._views) + self._alpha_bytes)
        return self

    def __exit__(self, *_: object) -> None:
        os.unlink(self._path)

    def params(self) -> Record:
        """`image`, `trimap` and `alpha` of the request."""
        found, offset = {}, 0
        for name, view, (_, dtype, shape) in zip(("image", "trimap"), self._views, self._arrays):
            found[name] = self._array(shape, dtype, offset)
            offset += len(view)
        found["alpha"] = self._array(self._arrays[1][2], "float32", offset)
        return found

    def _array(self, shape: tuple[int, ...], dtype: str, offset: int) -> Record:
        return {"file": self._path, "offset": offset, "shape": list(shape), "dtype": dtype}

    def alpha(self) -> bytes:
        with open(self._path, "rb") as stream:
            stream.seek(-self._alpha_bytes, os.SEEK_END)
            return stream.read()


def _bytes_of(values: Any, dtype: str, shape: tuple[int, ...]) -> memoryview:
    """Raises EngineError where the object does not hold an array of that shape and type."""
    if dtype not in _ITEM_BYTES:
        known = ", ".join(sorted(_ITEM_BYTES))
        raise EngineError(f"no type {dtype!r}", kind="UsageError", hint="use " + known)
    wanted = _ITEM_BYTES[dtype]
    for size in shape:
        wanted *= size
    try:
        view = memoryview(values).cast("B")
    except TypeError as error:
        raise EngineError(
            f"an array must be contiguous, top row first: {error}", kind="UsageError"
        ) from error
    if len(view) != wanted:
        raise EngineError(
            f"an array of {shape} {dtype} has {wanted} bytes, found {len(view)}",
            kind="UsageError",
        )
    return view
