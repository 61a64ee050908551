"""The command line in place of a server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .channel import MESSAGE_BYTES
from .errors import ClientError, log
from .events import no_totals
from .parameters import command_options
from .processes import command_error, run_command, spawn

if TYPE_CHECKING:
    from .errors import Record
    from .job import Job

_ERROR_BYTES = 64 << 10  # as much of the end of stderr as an error is made of


def run_json(command: list[str], arguments: Sequence[str]) -> Record:
    """Return the one JSON object that a subcommand prints; raises ClientError."""
    done = run_command([*command, *arguments, "--json"])
    try:
        return dict(json.loads(done.stdout))
    except ValueError:
        raise command_error(command, done.returncode, done.stderr) from None


def run_shot(command: list[str], job: Job, params: Record) -> Record:
    """Matte a shot with `vfxmatte run --json`, reporting its events to the job.

    Returns:
        The run's totals.

    Raises:
        ClientError: the run failed, or could not be started.
    """
    if job.cancelled:
        return no_totals()
    last: dict[str, Record] = {}  # the last event of each kind
    with tempfile.TemporaryFile() as errors:
        arguments = ["run", *command_options(params), "--json"]
        child = spawn([*command, *arguments], stdout=subprocess.PIPE, stderr=errors)
        job.stop_with(lambda: _interrupt(child))
        for record in read_records(child):
            job.report(record)
            last[str(record["event"])] = record
        code = child.wait()
        errors.seek(max(0, errors.seek(0, os.SEEK_END) - _ERROR_BYTES))
        output = errors.read().decode("utf-8", "replace")
    if "error" in last:
        raise ClientError.of(last["error"])
    if "totals" in last:
        return {name: value for name, value in last["totals"].items() if name != "event"}
    if job.cancelled:
        return no_totals()
    raise command_error(command, code, output)


def read_records(child: subprocess.Popen[bytes]) -> Iterator[Record]:
    """Yield the events that a child prints, one a line; other lines are skipped."""
    assert child.stdout is not None
    with child.stdout as lines:
        for line in iter(lambda: lines.readline(MESSAGE_BYTES), b""):
            try:
                record = json.loads(line.decode("utf-8", "replace"))
            except (ValueError, RecursionError):
                log.debug("not an event: %.200r", line)
                continue
            if isinstance(record, dict) and "event" in record:
                yield record


def _interrupt(child: subprocess.Popen[bytes]) -> None:
    """Interrupt the run as Ctrl-C does, where the system can; finished frames stay either way."""
    if child.poll() is None:
        if os.name == "nt":
            child.terminate()
        else:
            child.send_signal(signal.SIGINT)
