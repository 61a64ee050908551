"""The process behind `warm_python`: loads what takes seconds, then forks for every command."""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import socket
import sys
import threading
import traceback
from contextlib import suppress
from typing import Any

_LOADED = (
    "torch", "vfxmatte.cli.run", "vfxmatte.cli.fit", "vfxmatte.cli.merge", "vfxmatte.cli.serve",
    "vfxmatte.engines.light", "vfxmatte.engines.deep", "vfxmatte.pipeline.worker", "openjd.cli",
)  # fmt: skip

_Job = tuple[list[str], str, dict[str, str]]
"""Arguments, working folder and environment of a command."""


def _next_job(path: str) -> _Job | None:
    """Serve commands until stdin ends; in the process that a command is for, return its job."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(64)
        print("ready", flush=True)
        while listening in select.select([listening, 0], [], [])[0]:
            wire = listening.accept()[0]
            if os.fork() == 0:
                listening.close()
                return _forked(wire)
            wire.close()
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
    return None


def _forked(wire: socket.socket) -> _Job:
    """Take over a command's files and start its process; this one waits for it and answers."""
    size, files, _, _ = socket.recv_fds(wire, 4, 3)
    with wire.makefile("rb") as stream:
        job: _Job = json.loads(stream.read(int.from_bytes(size, "big")))
    pid = os.fork()
    for number, file in enumerate(files):
        if pid == 0:
            os.dup2(file, number)
        os.close(file)
    if pid:
        for number in (0, 1, 2):
            os.close(number)
        threading.Thread(target=_pass_signals, args=(wire, pid), daemon=True).start()
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        wire.send(code.to_bytes(2, "big", signed=True))
        os._exit(0)
    wire.close()
    return job


def _pass_signals(wire: socket.socket, pid: int) -> None:
    """Pass on the signals that the caller gets, and kill the process if the caller is killed."""
    with suppress(ProcessLookupError):
        while number := wire.recv(1):
            os.kill(pid, number[0])
        os.kill(pid, 9)


def _exit_code(*job: Any) -> int:
    try:
        _execute(*job)
    except SystemExit as error:
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
            return 1
        return error.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _execute(arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    """Do what Python would do with these arguments."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    option, text, *rest = arguments[arguments[0] == "-P" :]
    if option == "-m":
        sys.argv = [text, *rest]
        runpy.run_module(text, run_name="__main__", alter_sys=True)
        return
    sys.argv = ["-c", *rest]
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(text, "<string>", "exec"), names)


def _warm_up() -> None:
    """Make what any run makes once, without starting a thread."""
    from vfxmatte import colour
    from vfxmatte.pipeline.manifest import versions

    versions()
    colour._encoding_table()
    config = colour.ColourConfig.load(colour.DEFAULT_CONFIG)
    assert config.fingerprint and config.resolve("ACEScg")


def main() -> None:
    """Load and serve."""
    for name in _LOADED:
        with suppress(ImportError):
            importlib.import_module(name)
    _warm_up()
    gc.freeze()  # what is loaded stays in memory that all share
    assert threading.active_count() == 1
    job = _next_job(sys.argv[1])
    code = 0 if job is None else _exit_code(*job)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)  # tidying away all that is loaded takes longer than most commands


if __name__ == "__main__":
    main()
