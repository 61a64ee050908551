"""Garbage, core and finished mattes, edges and locks through the server, farms and cuts."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

import vfxmatte
from tests.conftest import TINY_WINDOW, tiny_alpha
from vfxmatte.cli.group import commands
from vfxmatte.errors import TrimapError, UsageError
from vfxmatte.io.mattes import read_matte
from vfxmatte.io.stills.exr import write_exr
from vfxmatte.pipeline.edges import MatteSettings, shaped
from vfxmatte.pipeline.shot import Shot
from vfxmatte.serve.engine_cache import EngineCache
from vfxmatte.serve.jobs import Job, Steps
from vfxmatte.serve.params import Params
from vfxmatte.serve.requests import FrameRequest, PixelsRequest, RunRequest
from vfxmatte.serve.work import frame_steps, pixels_steps, run_steps
from vfxmatte.types import UNKNOWN, FloatImage


@pytest.fixture
def controlled(tiny_shot: Path) -> Path:
    """The shot with a garbage still, a core still and a finished matte on 1003."""
    for kind, values in (("garbage", (0, 40)), ("core", (20, 30))):
        still = np.zeros((48, 64), np.uint8)
        still[:, slice(*values)] = 255
        (tiny_shot / kind).mkdir()
        (tiny_shot / kind / f"{kind}.png").write_bytes(cv2.imencode(".png", still)[1].tobytes())
    (tiny_shot / "keys").mkdir()
    planes = {"A": tiny_alpha(2)}
    write_exr(tiny_shot / "keys" / "matte.1003.exr", planes, data_window=TINY_WINDOW,
              display_window=TINY_WINDOW)  # fmt: skip
    return tiny_shot


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(commands, list(map(str, arguments)))


def result_of(steps: Steps) -> dict[str, Any]:
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return dict(done.value)


def job(events: list[dict[str, Any]]) -> Job:
    def emit(event: str, **values: Any) -> None:
        events.append({"event": event, **values})

    return Job(client="a", ident=0, kind="run", start=lambda _: iter(()), emit=emit,  # type: ignore[arg-type, return-value]
               answer=lambda _: None)  # fmt: skip


def alpha_of(path: Path) -> FloatImage:
    return read_matte(path, TINY_WINDOW)


# -- the server ------------------------------------------------------------------------------------


def test_a_shot_on_the_server_has_its_controls(controlled: Path, tmp_path: Path) -> None:
    shot = {"shot": str(controlled), "output": str(tmp_path / "served")}
    settings = {"engine.name": "trimap", "matte.gamma": 2.0, "garbage": str(controlled / "core")}
    request = RunRequest.from_params(Params({**shot, "settings": settings}))
    events: list[dict[str, Any]] = []
    assert result_of(run_steps(request, EngineCache(), job(events)))["written"] == 5
    assert "core.png" in events[0]["limits"]["garbage"] and events[0]["finished"] == [1003]
    options = ["--engine", "trimap", "--set", "matte.gamma=2", "--garbage", controlled / "core"]
    assert invoke("run", controlled, *options, "-o", tmp_path / "run").exit_code == 0
    for number in range(1001, 1006):
        name = f"matte.{number}.exr"
        found = (tmp_path / "served" / name).read_bytes()
        assert found == (tmp_path / "run" / name).read_bytes()
    vfxmatte.lock(Shot.open(controlled, output=tmp_path / "served"), [1002])
    again = RunRequest.from_params(Params({**shot, "settings": {"engine.name": "trimap"}}))
    events.clear()
    result_of(run_steps(again, EngineCache(), job(events)))
    assert events[0]["locked"] == [1002]
    frames = {event["frame"]: event["status"] for event in events if event["event"] == "frame"}
    assert frames[1002] == "kept" and frames[1001] == "written"


def test_one_frame_on_the_server_is_the_frame_of_a_run(controlled: Path, tmp_path: Path) -> None:
    (controlled / "keys" / "matte.1003.exr").unlink()
    edges = {"matte.grow_px": 1.5, "engine.name": "trimap"}
    sets = ["--engine", "trimap", "--set", "matte.grow_px=1.5"]
    assert invoke("run", controlled, *sets).exit_code == 0
    files = {
        "plate": str(controlled / "plate" / "plate.1001.exr"),
        "trimap": str(controlled / "trimaps" / "trimap.1001.png"),
        "output": str(tmp_path / "one.exr"),
    }
    sides = {kind: str(controlled / kind) for kind in ("garbage", "core")}
    request = FrameRequest.from_params(Params({**files, "settings": {**edges, **sides}}))
    result_of(frame_steps(request, EngineCache(), job([])))
    found, expected = alpha_of(tmp_path / "one.exr"), alpha_of(controlled / "matte/matte.1001.exr")
    np.testing.assert_array_equal(found, expected)
    assert (found[:, 40:] == 0).all() and (found[:, 20:30] == 1).all()
    small = controlled / "garbage" / "garbage.png"
    small.write_bytes(cv2.imencode(".png", np.zeros((24, 32), np.uint8))[1].tobytes())
    other = Params({**files, "overwrite": True, "settings": {**edges, **sides}})
    with pytest.raises(TrimapError, match="garbage matte is 32x24"):
        result_of(frame_steps(FrameRequest.from_params(other), EngineCache(), job([])))
    keys = {**edges, "keys": str(controlled / "keys")}
    one = FrameRequest.from_params(Params({**files, "overwrite": True, "settings": keys}))
    with pytest.raises(UsageError, match="keys cannot go with one picture"):
        result_of(frame_steps(one, EngineCache(), job([])))


def test_arrays_on_the_server_have_edges_and_no_files(tmp_path: Path) -> None:
    image = np.random.default_rng(3).random((33, 57, 3), np.float32)
    trimap = np.full((33, 57), UNKNOWN, np.uint8)
    trimap[:, :20], trimap[:, 40:] = 0, 255
    path = tmp_path / "arrays"
    path.write_bytes(image.tobytes() + trimap.tobytes() + bytes(33 * 57 * 4))
    base = {
        "image": {"file": str(path), "shape": [33, 57, 3]},
        "trimap": {
            "file": str(path), "shape": [33, 57], "dtype": "uint8", "offset": image.nbytes,
        },
        "alpha": {
            "file": str(path), "shape": [33, 57], "offset": image.nbytes + trimap.nbytes,
        },
    }  # fmt: skip

    def solved(arrays: dict[str, Any] | None = None, **settings: Any) -> FloatImage:
        values = {"engine.name": "trimap", **settings}
        request = PixelsRequest.from_params(Params({**base, **(arrays or {}), "settings": values}))
        result_of(pixels_steps(request, EngineCache(), job([])))
        offset = image.nbytes + trimap.nbytes
        return np.frombuffer(path.read_bytes(), np.float32, 33 * 57, offset).reshape(33, 57)

    plain = solved()
    expected = shaped(plain, MatteSettings(soften_px=1.5))
    np.testing.assert_array_equal(solved(**{"matte.soften_px": 1.5}), expected)
    with pytest.raises(UsageError, match="garbage cannot go with one picture"):
        solved(garbage=str(path))
    limits = np.zeros((2, 33, 57), np.uint8)
    limits[0, :, 25:], limits[1, :, 30:] = 255, 255
    (tmp_path / "limits").write_bytes(limits.tobytes())
    where = {"file": str(tmp_path / "limits"), "shape": [33, 57], "dtype": "uint8"}
    both = {"garbage": where, "core": {**where, "offset": limits[0].nbytes}}
    alpha = solved(both, **{"matte.soften_px": 1.5})  # which does not cross the mattes' edges
    assert (alpha[:, :25] == 0).all() and (alpha[:, 30:] == 1).all()
    small = {"core": {**where, "shape": [33, 56]}}
    with pytest.raises(UsageError, match=r"core matte is \(33, 56\), the image is \(33, 57\)"):
        solved(small)


# -- farms and cuts --------------------------------------------------------------------------------


def test_workers_of_a_farm_get_all_of_it(controlled: Path, tmp_path: Path) -> None:
    (controlled / "core" / "core.png").rename(controlled / "solid.png")
    (controlled / "shot.toml").write_text('core = "solid.png"\n', encoding="utf-8")
    assert invoke("run", controlled, "--engine", "trimap").exit_code == 0
    vfxmatte.lock(Shot.open(controlled), [1002])
    options = ["--engine", "trimap", "--set", "matte.black=0.1", "--keys", controlled / "keys"]
    result = invoke("farm", controlled, "-o", tmp_path / "job", *options)
    assert result.exit_code == 0, result.output
    template = json.loads((tmp_path / "job" / "template.json").read_text(encoding="utf-8"))
    for step in template["steps"]:
        text = " ".join(step["script"]["actions"]["onRun"]["args"])
        assert "--keys {{Param.Keys}} --garbage {{Param.Garbage}} --core {{Param.Core}}" in text
        assert "--set matte.black=0.1" in text and str(tmp_path) not in text
    chosen = json.loads((tmp_path / "job" / "openjd_parameters.json").read_text("utf-8"))
    assert chosen["Core"] == str(controlled / "solid.png")
    assert chosen["Garbage"] == str(controlled / "garbage")
    references = json.loads((tmp_path / "job" / "asset_references.json").read_text("utf-8"))
    inputs = references["assetReferences"]["inputs"]
    matte = controlled / "matte" / "matte.1002.exr"
    locks = controlled / "matte" / ".vfxmatte" / "locked.json"
    assert {str(matte), str(locks), str(controlled / "solid.png")} <= set(inputs["filenames"])
    assert {str(controlled / "garbage"), str(controlled / "keys")} <= set(inputs["directories"])


def test_a_job_without_any_of_it_is_as_before(tiny_shot: Path, tmp_path: Path) -> None:
    assert invoke("farm", tiny_shot, "-o", tmp_path / "job").exit_code == 0
    text = (tmp_path / "job" / "template.json").read_text(encoding="utf-8")
    assert not any(word in text for word in ("Garbage", "Core", "Keys", "--keys"))


def test_chunks_and_merge_have_all_of_it(controlled: Path, tmp_path: Path) -> None:
    """Any chunks are the whole run, byte by byte."""
    options = ["--engine", "trimap", "--set", "matte.soften_px=1"]
    assert invoke("run", controlled, *options, "-o", tmp_path / "whole").exit_code == 0
    for frames in ("1001-1002", "1003-1005"):
        chunk = ["--frames", frames, "--chunk", "-o", tmp_path / "farm"]
        assert invoke("run", controlled, *options, *chunk).exit_code == 0
    merged = invoke("merge", controlled, *options, "-o", tmp_path / "farm")
    assert merged.exit_code == 0, merged.output
    for folder in ("", "solved"):
        whole = sorted((tmp_path / "whole" / folder).glob("matte.*.exr"))
        assert len(whole) == (4 if folder else 5)  # a finished matte is kept nowhere else
        for path in whole:
            assert path.read_bytes() == (tmp_path / "farm" / folder / path.name).read_bytes()


def test_a_shot_of_a_cut_has_them_beside_its_plate(controlled: Path, tmp_path: Path) -> None:
    pytest.importorskip("opentimelineio")
    from tests.cuts import clip_of, plate_of, saved, timeline_of
    from vfxmatte.editorial.cut import read_cut

    media = plate_of(str(controlled / "plate"))
    clip = clip_of("a", media, 86400, 5)
    (shot,) = read_cut(saved(timeline_of(clip), tmp_path / "cut.otio"), tmp_path / "out").shots
    (part,) = shot.parts()
    names = {name: place.name for name, place in part.sides_with(part.settings).items()}
    assert names == {"keys": "keys", "garbage": "garbage", "core": "core"}
    clip.metadata["vfxmatte"] = {"settings": {"garbage": "roto/wall.png", "matte": {"gamma": 2}}}
    (shot,) = read_cut(saved(timeline_of(clip), tmp_path / "cut.otio"), tmp_path / "out").shots
    (part,) = shot.parts()
    assert part.sides_with(part.settings)["garbage"] == tmp_path / "roto" / "wall.png"
    assert part.settings.matte.gamma == 2
    for path in (controlled / "trimaps").iterdir():
        path.unlink()
    (shot,) = read_cut(saved(timeline_of(clip), tmp_path / "cut.otio"), tmp_path / "out").shots
    assert not shot.keyframes  # the finished matte is enough


def test_names_in_python() -> None:
    found = defaultdict(bool, {name: hasattr(vfxmatte, name) for name in vfxmatte.__all__})
    assert all(found[name] for name in ("lock", "unlock", "MatteSettings"))
