"""A Python whose processes start with torch and the program loaded, for tests that start many.

`warm_python` is a program that takes `[-P] -m MODULE …` or `[-P] -c CODE …` as Python does. Each
call is a process of its own, with its own files, folder, environment, signals and exit code, forked
by `warm_server`. What depends on starting needs a true Python: threads by environment variables,
which modules a command loads.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_CLIENT = """#!{python} -IS
import json, os, signal, socket, sys
wire = socket.socket(socket.AF_UNIX)
wire.connect({path!r})
job = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(wire, [len(job).to_bytes(4, "big")], [0, 1, 2])
wire.sendall(job)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _: wire.send(bytes([number])))
for number in (0, 1, 2):  # the process that has them is the one that closes them
    os.close(number)
code = int.from_bytes(wire.recv(2) or b"\\0\\1", "big", signed=True)
if code < 0:
    if -code != signal.SIGKILL:  # which nobody handles
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""


@pytest.fixture(scope="session")
def warm_python() -> Iterator[Path]:
    """The program's path; where processes cannot be forked it is Python itself."""
    if not hasattr(os, "fork"):
        yield Path(sys.executable)
        return
    folder = Path(tempfile.mkdtemp(prefix="vfxmatte-"))  # a socket's path has 100 characters
    command = [sys.executable, "-m", "tests.warm_server", str(folder / "socket")]
    root = str(Path(__file__).parents[1])
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, cwd=root, env={**os.environ, **one_thread, "PYTHONPATH": root},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as server:  # fmt: skip
        assert server.stdout is not None and server.stdin is not None
        assert server.stdout.readline() == b"ready\n"
        program = folder / "python"
        program.write_text(_CLIENT.format(python=sys.executable, path=command[-1]))
        program.chmod(0o755)
        yield program
        server.stdin.close()
    shutil.rmtree(folder)


@pytest.fixture
def warm_children(warm_python: Path) -> Iterator[None]:
    """What is started with `sys.executable` during the test starts warm."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", str(warm_python))
        yield
