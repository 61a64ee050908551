"""How the client finds vfxmatte on a machine, and what it says where there is none."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import vfxmatte
from nodes.vfxmatte_client import (
    Client,
    ClientError,
    find_command,
    remember_command,
    settings_file,
    shared_client,
)
from nodes.vfxmatte_client.paths import endpoint_file as client_endpoint_file
from tests.nodes.clients import PATIENCE_SECONDS, PROGRAM, empty_home, executable
from vfxmatte.serve.endpoint import endpoint_file

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills processes as POSIX does")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    yield from empty_home(tmp_path, monkeypatch)


def test_where_it_is_looked_for(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path = executable(tmp_path / "path" / "vfxmatte")
    environment = executable(tmp_path / "an env" / "bin" / "vfxmatte")
    python = executable(tmp_path / "python3.12")
    monkeypatch.setenv("PATH", str(on_path.parent))
    assert find_command() == [str(on_path)]
    Path(settings_file()).parent.mkdir()
    Path(settings_file()).write_text(f"# where it is\n\n{environment.parent.parent}\n")
    assert find_command() == [str(environment)]
    monkeypatch.setenv("VFXMATTE_COMMAND", str(python))
    assert find_command() == [str(python), "-P", "-m", "vfxmatte"]
    assert find_command(str(on_path)) == [str(on_path)]
    assert find_command(f"'{on_path}' --flag") == [str(on_path), "--flag"]
    assert find_command(["a", "b"]) == ["a", "b"]


def test_the_folder_that_the_host_is_in_brings_no_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shot's folder may be anybody's."""
    here = tmp_path / "shot"
    for name in ("vfxmatte", "python3", "bin/vfxmatte"):
        executable(here / name)
    monkeypatch.chdir(here)
    monkeypatch.setenv("PATH", os.pathsep.join(["", ".", "bin", str(tmp_path)]))
    for text in (None, "vfxmatte", "./vfxmatte", "bin", ".", "python3", "bin/vfxmatte --x"):
        with pytest.raises(ClientError) as caught:
            find_command(text)
        assert caught.value.kind == "NotInstalled"


def test_modules_beside_the_host_are_not_the_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vfxmatte.py").write_text("raise SystemExit('got in')")
    monkeypatch.chdir(tmp_path)
    try:
        found = remember_command(sys.executable)
    except ClientError as error:  # not installed in this Python: still not that file
        found = str(error)
    assert "got in" not in found


def test_a_process_has_one_client_and_nobody_chooses_its_program() -> None:
    shared = shared_client()
    assert shared is shared_client() and shared._command is None


def test_an_artist_without_vfxmatte_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    job = Client().start_run(shot="/s")
    with pytest.raises(ClientError) as caught:
        job.result(PATIENCE_SECONDS)
    assert caught.value.kind == "NotInstalled" and job.error is caught.value
    assert "pip install" in str(caught.value) and settings_file() in str(caught.value)
    monkeypatch.setenv("VFXMATTE_COMMAND", "/gone/vfxmatte")
    with pytest.raises(ClientError, match=r"at '/gone/vfxmatte', which \$VFXMATTE_COMMAND"):
        Client().check(shot="/s")


@pytest.mark.parametrize(
    ("output", "what"),
    [
        ("No module named vfxmatte", "this Python has no vfxmatte"),
        ("SyntaxError: invalid syntax", "this Python is too old"),
        ("libcuda is broken", "cannot be started .*: libcuda is broken"),
    ],
)
def test_a_program_that_does_not_start_says_why(tmp_path: Path, output: str, what: str) -> None:
    program = executable(tmp_path / "vfxmatte", f"#!/bin/sh\necho '{output}' >&2\nexit 1\n")
    with pytest.raises(ClientError, match=what) as caught:
        Client(str(program)).run(shot="/s")
    assert caught.value.hint
    with pytest.raises(ClientError, match=what):
        remember_command(str(program))
    assert not Path(settings_file()).exists()


def test_a_place_that_answers_is_remembered(home: Path) -> None:
    assert remember_command(f' "{sys.executable}" ') == vfxmatte.__version__
    assert find_command() == [sys.executable, "-P", "-m", "vfxmatte"]


def test_hosts_variables_do_not_reach_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHOME", "/the/host")
    monkeypatch.setenv("PYTHONPATH", "/the/host/lib")
    assert Client(PROGRAM).status(start=True)["version"] == vfxmatte.__version__


def test_it_looks_where_the_server_writes() -> None:
    assert Path(client_endpoint_file()) == endpoint_file()
