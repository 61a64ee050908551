"""A warm process is a process like any other to whoever starts it."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.waiting import until

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork: a true Python is started")


def test_files_folder_environment_and_exit_code(warm_python: Path, tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "print(os.getcwd(), os.environ['WORD'], sys.argv[1:], 'torch' in sys.modules)\n"
        "print(sys.stdin.read(), file=sys.stderr)\nsys.exit(3)"
    )
    done = subprocess.run(
        [warm_python, "-P", "-c", code, "a b"], input="said", capture_output=True, text=True,
        cwd=tmp_path, env={"WORD": "given"},
    )  # fmt: skip
    assert done.returncode == 3 and done.stderr == "said\n"
    assert done.stdout == f"{tmp_path} given ['a b'] True\n"
    done = subprocess.run([warm_python, "-m", "no_such_module"], capture_output=True, text=True)
    assert done.returncode == 1 and "no_such_module" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_ends_by_a_signal_as_its_caller_does(warm_python: Path, number: int) -> None:
    sleeping = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    with subprocess.Popen([warm_python, "-c", sleeping], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        pid = int(child.stdout.readline())
        child.send_signal(number)
        assert child.wait(30) == -number
    until(lambda: not Path(f"/proc/{pid}").exists())


def test_its_own_death_is_its_callers(warm_python: Path) -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert subprocess.run([warm_python, "-c", code]).returncode == -signal.SIGKILL
