"""The options of the client's calls, and what a request or the command line gets."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nodes.vfxmatte_client import Client, tidy_path
from nodes.vfxmatte_client.events import is_event
from nodes.vfxmatte_client.parameters import command_options, request_params
from tests.nodes.clients import empty_home
from vfxmatte.common.configuration import changed
from vfxmatte.pipeline.options import parsed_setting, settings_with
from vfxmatte.pipeline.settings import RunSettings

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills processes as POSIX does")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    yield from empty_home(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("  /a/b\n", "/a/b"), ('"/a b/c"', "/a b/c"), ("'/a'", "/a"), (' " /a " ', "/a"),
        ("~", "{home}"), ("~/a", "{home}/a"), ('"~/a"', "{home}/a"), ("\u202a/a\u202c", "/a"),
        ("\ufeff“/a”", "/a"), ("„/a“", "/a"), ("'\"/a\"'", "/a"), ("", ""), (" '' ", ""),
        ("it's", "it's"), ('"/a', '"/a'), ("/a/~/b", "/a/~/b"), ('"', '"'),
        ("\u2003/a\u2003\u200b ", "/a"), ("\x1c/a\x85", "/a"), ("'//x'", "//x"), ("//x/", "//x/"),
        ('"/a/python" -m "vfxmatte"', '"/a/python" -m "vfxmatte"'), ("“/a” “/b”", "“/a” “/b”"),
    ],
)  # fmt: skip
def test_paths_as_people_write_them(
    text: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tidy_path(text) == meant.format(home=tmp_path)
    assert request_params("run", {"plate": text}).get("plate") == (
        os.path.abspath(meant.format(home=tmp_path)) if meant else None
    )


def test_every_path_of_a_request_is_tidied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("OCIO", raising=False)
    options = {
        "plate": " '~/p' ", "trimaps": '"~/t"', "output": "~/o\n", "weights": "“~/w”",
        "ocio": "~/c.ocio", "shot": " ", "frames": 7, "device": None, "overwrite": False,
        "garbage": "'~/g'", "core": "~/c.png", "cleanplate": " ~/b.mov", "keys": "",
        "settings": {"missing": "hold", "engine.weights": "another"},
    }  # fmt: skip
    assert request_params("run", options) == {
        "plate": f"{tmp_path}/p", "trimaps": f"{tmp_path}/t", "output": f"{tmp_path}/o",
        "overwrite": False, "ocio": None,
        "settings": {
            "missing": "hold", "frames": "7", "ocio": f"{tmp_path}/c.ocio",
            "garbage": f"{tmp_path}/g", "core": f"{tmp_path}/c.png",
            "cleanplate": f"{tmp_path}/b.mov",
            "engine.weights": f"{tmp_path}/w",
        },
    }  # fmt: skip


def test_mattes_and_clean_plates_are_the_settings_of_the_command_line(tmp_path: Path) -> None:
    places = {name: str(tmp_path / name) for name in ("keys", "garbage", "core", "cleanplate")}
    params = request_params("run", {"shot": "/s", **places})
    changes: dict[str, Any] = {}
    for text in command_options(params)[2::2]:
        changes.update(parsed_setting(text))
    assert {name: str(getattr(changed(RunSettings(), changes), name)) for name in places} == places
    assert request_params("matte", {"garbage": "/g"})["settings"] == {"garbage": "/g"}
    for name in ("keys", "cleanplate"):  # which belong to shots
        with pytest.raises(TypeError, match=f"matte takes no option {name}"):
            request_params("matte", {name: "/x"})


@pytest.mark.parametrize("given", ["dim", "w.safetensors", "folder/dim"])
def test_shipped_weights_go_by_name_and_files_by_path(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def sent() -> str:
        return str(request_params("run", {"weights": given})["settings"]["engine.weights"])

    assert sent() == (given if given == "dim" else str(tmp_path / given))
    (tmp_path / "dim").touch()
    assert sent() == str(tmp_path / given)
    settings = changed(RunSettings(), {"engine": {"weights": "dim"}})
    monkeypatch.chdir("/")
    assert settings.engine.weights_path.name == "dim.safetensors"


@pytest.mark.parametrize(
    ("fit", "sent"),
    [
        (None, {}),
        (" ", {}),
        ("auto", {"fit.when": "auto"}),
        ("off", {"fit.when": "off"}),
        (" 2.5", {"fit.when": "on", "fit.minutes": 2.5}),
        (3, {"fit.when": "on", "fit.minutes": 3.0}),
    ],
)
def test_a_fit_is_asked_for_as_on_the_command_line(fit: Any, sent: dict[str, Any]) -> None:
    params = request_params("run", {"shot": "/s", "fit": fit})
    assert params["settings"] == sent
    options = command_options(params)
    assert options[0] == os.path.abspath("/s")
    assert options[2::2] == [f"{name}={json.dumps(value)}" for name, value in sent.items()]
    changes: dict[str, Any] = {}
    for text in options[2::2]:
        for table, values in parsed_setting(text).items():
            changes.setdefault(table, {}).update(values)
    wanted = RunSettings() if fit in (None, " ") else settings_with(
        RunSettings(), {"fit": str(fit).strip(), "part": None, "extra": ()}
    )  # fmt: skip
    assert changed(RunSettings(), changes).fit == wanted.fit


def test_a_fit_s_progress_is_checked() -> None:
    assert is_event({"event": "fit", "step": 20, "steps": 120, "error": 0.1})
    for wrong in ({"step": "20", "steps": 120}, {"step": 20}, {"step": 0, "steps": 0}):
        assert not is_event({"event": "fit", **wrong})


@pytest.mark.parametrize(
    ("text", "sent"), [("", None), ("a.ocio", "/host/a.ocio"), ("ocio://x", "ocio://x")]
)
def test_the_hosts_configuration_goes_with_a_request(
    text: str, sent: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OCIO", text)
    monkeypatch.setattr(os.path, "abspath", lambda path: f"/host/{path}")
    assert request_params("open", {})["ocio"] == sent


def test_an_option_that_a_call_does_not_take_is_refused() -> None:
    """Every call's own options are taken, whatever they are; misspelt ones are not lost."""
    options = dict.fromkeys(("shot", "frames", "overwrite", "colorspce"), "x")
    refused = {
        "run": "colorspce",
        "open": "colorspce, overwrite",
        "matte": "colorspce, frames, shot",
    }
    for method, names in refused.items():
        with pytest.raises(TypeError, match=f"{method} takes no option {names}"):
            request_params(method, options)
    with pytest.raises(TypeError, match="pixels takes no option overwrite"):
        Client().start_matte_pixels(image=b"", trimap=b"", width=0, height=0, overwrite=True)
