"""Freed memory is used again and its pages are not cleared anew."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone")

_PROGRAM = """
import resource, threading
from vfxmatte.common.freed_memory import keep_freed_memory

{call}
faults, length = [], 100_000_000
def use():
    for _ in range(4):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        b"x" * length
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
thread = threading.Thread(target=use)
thread.start()
thread.join()
print(faults[-1])
"""


def page_faults(call="keep_freed_memory()", **variables):
    """Page faults of the last of four times 24,000 pages, in a thread."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, "-c", _PROGRAM.format(call=call)]
    done = subprocess.run(command, env=own | variables, capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_large_objects_take_pages_that_the_process_has():
    assert page_faults() < 100


@pytest.mark.parametrize("changes", [{"call": ""}, {"MALLOC_ARENA_MAX": "4"}])
def test_nothing_changes_unasked_or_where_the_user_has_settings(changes):
    assert page_faults(**changes) > 1000
