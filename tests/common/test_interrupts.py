"""The first Ctrl-C stops in good order, the next one at once; a wrapper's second signal is none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from vfxmatte.common.interrupts import twice_ends_at_once

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")

_STOPPING = """
import os, signal, sys, time
first = getattr(signal, sys.argv[2])
from vfxmatte.common.interrupts import twice_ends_at_once
with twice_ends_at_once():
    try:
        os.kill(os.getpid(), first)
        time.sleep(5)
    except KeyboardInterrupt:
        print("stopping", flush=True)
        time.sleep(float(sys.argv[1]))
        os.kill(os.getpid(), signal.SIGINT)
        print("cleaned up", flush=True)
        time.sleep(0.6)
os.kill(os.getpid(), signal.SIGINT)
time.sleep(5)
"""


@pytest.mark.parametrize("first", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize(("after", "said"), [(0, "stopping\ncleaned up\n"), (0.6, "stopping\n")])
def test_a_second_press_ends_the_process_at_once(after: float, said: str, first: str) -> None:
    arguments = [sys.executable, "-c", _STOPPING, str(after), first]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, said, "\nstopped at once\n")


def test_without_a_press_all_is_as_before() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with twice_ends_at_once():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_handler_that_a_command_sets_stays() -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        with twice_ends_at_once():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_somebody_else_s_handler_and_other_threads_are_left_alone() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with twice_ends_at_once():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    failed: list[Exception] = []

    def enter() -> None:
        try:
            with twice_ends_at_once():
                pass
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert failed == []
