"""The server over TCP: jobs and their results."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np
import pytest

import vfxmatte
from tests.serve.running import Running, error_of, gated, mattes, plain
from tests.waiting import until
from vfxmatte.engines.protocol import EngineSettings
from vfxmatte.io.stills.reading import read_image
from vfxmatte.pipeline.shot import Shot
from vfxmatte.reporting.inspection import as_plain, inspect
from vfxmatte.serve import rpc


@pytest.mark.usefixtures("warm_children")
def test_a_run_gives_the_files_and_the_events_of_the_command_line(
    running: Running, tiny_shot: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "vfxmatte", "run", str(tiny_shot), "-o", str(tmp_path / "cli"),
         "--weights", str(tiny_weights), "--device", "cpu", "--json"],
        capture_output=True, check=True, text=True,
    )  # fmt: skip
    client = running.client()
    output = str(tmp_path / "served")
    answer = client.call("run", 5, **plain(tiny_shot, tiny_weights, output=output))
    assert len(mattes(tmp_path / "cli")) == 5
    assert mattes(tmp_path / "cli") == mattes(tmp_path / "served")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [set(event) for event in told] == [set(e) - {"job"} for e in client.events]
    assert [e["event"] for e in client.events] == ["start", *["frame"] * 5, "totals"]
    assert {event["job"] for event in client.events} == {5}
    assert answer["result"]["written"] == 5
    assert answer["result"].items() <= client.events[-1].items()
    again = client.call("run", 6, **plain(tiny_shot, tiny_weights, output=output))
    assert (again["result"]["kept"], again["result"]["written"]) == (5, 0)


def test_open_says_what_check_says(running: Running, tiny_shot: Path, tiny_weights: Path) -> None:
    answer = running.client().call("open", **plain(tiny_shot, tiny_weights))
    expected = as_plain(inspect(Shot.open(tiny_shot)))
    assert answer["result"]["plate"] == expected["plate"]
    assert answer["result"]["keyframes"] == expected["keyframes"]
    assert answer["result"]["problems"] == [] and answer["result"]["to_do"] == 5


def test_no_gpu_is_told(
    running: Running, tiny_shot: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    client = running.client()
    settings = {"engine.weights": str(tiny_weights), "engine.device": "auto"}
    client.call("run", shot=str(tiny_shot), settings=settings, overwrite=True)
    assert ["no GPU was found" in e["text"] for e in client.events if e["event"] == "note"] == [
        True
    ]
    settings["engine.device"] = "cuda"
    code, said = error_of(client.call("run", 2, shot=str(tiny_shot), settings=settings))
    assert code == rpc.FAILED and "cuda" in said
    assert client.call("devices", 3)["result"]["devices"][-1]["device"] == "cpu"


def test_one_frame_from_files(
    running: Running, tiny_shot: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    client, output = running.client(), tmp_path / "new" / "one.exr"
    files = {
        "plate": str(tiny_shot / "plate" / "plate.1001.exr"),
        "trimap": str(tiny_shot / "trimaps" / "trimap.1001.png"),
        "output": str(output),
        "settings": {"engine.weights": str(tiny_weights), "engine.device": "cpu"},
    }
    found = client.call("matte", **files)["result"]
    assert found["path"] == str(output) and found["device"] == "cpu"
    client.call("run", 2, **plain(tiny_shot, tiny_weights, frames=None))
    as_run = read_image(tiny_shot / "matte" / "matte.1001.exr")
    one = read_image(output)
    np.testing.assert_array_equal(one.pixels, as_run.pixels)
    assert one.header.metadata["comment"] == "a tiny shot"
    code, said = error_of(client.call("matte", 3, **files))
    assert code == rpc.FAILED and "such a file already" in said
    before = output.read_bytes()
    assert "result" in client.call("matte", 4, **files, overwrite=True)
    assert output.read_bytes() == before
    code, said = error_of(client.call("matte", 5, **{**files, "output": str(tmp_path / "a.jpg")}))
    assert "cannot be written as .jpg" in said


def test_one_frame_with_its_foreground_and_layers(
    running: Running, tiny_shot: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    """As a run with the same settings writes it."""
    client = running.client()
    settings = {
        "engine.weights": str(tiny_weights), "engine.device": "cpu",
        "output.foreground": "premultiplied", "output.despill": 0.5,
        "output.layers": ["trimap", "background=sky"],
    }  # fmt: skip
    files = {
        "plate": str(tiny_shot / "plate" / "plate.1001.exr"),
        "trimap": str(tiny_shot / "trimaps" / "trimap.1001.png"),
        "output": str(tmp_path / "one.exr"),
    }
    assert "result" in client.call("matte", **files, settings=settings)
    run = {"shot": str(tiny_shot), "settings": {**settings, "frames": "1001"}}
    assert client.call("run", 2, **run)["result"]["written"] == 1
    paths = tmp_path / "one.exr", tiny_shot / "matte" / "matte.1001.exr"
    for layer in (None, "sky", "trimap"):
        one, as_run = (read_image(path, layer=layer).pixels for path in paths)
        np.testing.assert_array_equal(one, as_run)
        assert one.shape[2] == {None: 4, "sky": 3, "trimap": 1}[layer]
    wrong = {"output.layers": ["trimap=7"]}
    said = error_of(client.call("matte", 3, **files, settings=wrong))[1]
    assert "would not show it" in said


@pytest.mark.parametrize("by", ["file", "shared_memory"])
def test_arrays_there_and_back(
    running: Running, tiny_weights: Path, tmp_path: Path, by: str
) -> None:
    image = np.random.default_rng(3).random((33, 57, 3), np.float32)
    trimap = np.full((33, 57), 128, np.uint8)
    engine = EngineSettings(weights=tiny_weights, device="cpu")
    expected = vfxmatte.matte(image, trimap, colorspace="ACEScg", engine=engine)
    content = image.tobytes() + trimap.tobytes() + bytes(expected.nbytes)
    with contextlib.ExitStack() as stack:
        if by == "file":
            path = tmp_path / "arrays"
            path.write_bytes(content)
            where, read = {"file": str(path)}, path.read_bytes
        else:
            memory = SharedMemory(create=True, size=len(content))
            stack.callback(memory.unlink)
            stack.callback(memory.close)
            assert memory.buf is not None
            memory.buf[: len(content)] = content
            where, read = {"shared_memory": memory.name}, lambda: bytes(memory.buf or b"")
        request = {
            "image": {**where, "shape": [33, 57, 3]},
            "trimap": {**where, "shape": [33, 57], "dtype": "uint8", "offset": image.nbytes},
            "alpha": {**where, "shape": [33, 57], "offset": image.nbytes + trimap.nbytes},
            "settings": {
                "engine.weights": str(tiny_weights), "engine.device": "cpu", "colorspace": "ACEScg",
            },
        }  # fmt: skip
        client = running.client()
        assert client.call("pixels", **request)["result"]["device"] == "cpu"
        found = np.frombuffer(read(), np.float32, 33 * 57, image.nbytes + trimap.nbytes)
        np.testing.assert_array_equal(found.reshape(33, 57), expected)
        too_far = {**request, "alpha": {**request["alpha"], "offset": len(content)}}
        code, said = error_of(client.call("pixels", 2, **too_far))
        assert code == rpc.INVALID_PARAMS and "are needed" in said
        gone = {"shape": [33, 57, 3], next(iter(where)): str(tmp_path / "gone")}
        assert "no array in" in error_of(client.call("pixels", 3, **{**request, "image": gone}))[1]


def test_a_failed_job_is_told_and_harms_nobody(
    running: Running, tiny_shot: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    client = running.client()
    answer = client.call("run", **plain(tmp_path / "nowhere", tiny_weights))
    assert answer["error"]["data"]["kind"] == "ShotError"
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no weights")
    answer = client.call("run", 2, **plain(tiny_shot, broken))
    assert answer["error"]["data"]["kind"] == "WeightsError"
    assert [e["event"] for e in client.events] == ["start", "error", "totals"]
    answer = client.call("run", 3, shot=str(tiny_shot), settings={"engine.weihgts": "/a"})
    assert "no setting 'engine.weihgts'" in error_of(answer)[1]
    assert client.call("run", 4, **plain(tiny_shot, tiny_weights))["result"]["written"] == 5


def test_a_run_can_be_cancelled_and_goes_on_later(
    running: Running, tiny_shot: Path, tiny_weights: Path, gate: Path
) -> None:
    client = running.client()
    client.request("run", "a", **gated(tiny_shot, tiny_weights))
    client.event(event="frame", frame=1002)
    (told,) = client.call("status", "s")["result"]["jobs"]
    assert told.pop("done") in (2, 3)  # the next frame may be done by now
    assert told == {
        "id": "a", "mine": True, "kind": "run", "shot": tiny_shot.name, "state": "running",
        "count": 5,
    }  # fmt: skip
    assert client.call("cancel", "c", job="a")["result"] == {"cancelled": True}
    assert client.call("cancel", "d", job="b")["result"] == {"cancelled": False}
    gate.touch()
    result = client.answer("a")["result"]
    written = result["written"]
    assert result["interrupted"] and written in (3, 4)  # the gate opens between two frames
    result = client.call("run", "e", **gated(tiny_shot, tiny_weights))["result"]
    assert (result["kept"], result["written"], result["interrupted"]) == (
        written,
        5 - written,
        False,
    )


def lengthen(shot: Path) -> None:
    """Make it fifteen frames long: more than are solved and written ahead."""
    for number in range(1006, 1016):
        shutil.copy2(shot / "plate" / "plate.1005.exr", shot / "plate" / f"plate.{number}.exr")


def test_short_work_of_another_goes_before_the_rest_of_a_long_run(
    running: Running, tiny_shot: Path, tiny_weights: Path, gate: Path, tmp_path: Path
) -> None:
    lengthen(tiny_shot)
    one, two = running.client(), running.client()
    one.request("run", **gated(tiny_shot, tiny_weights))
    one.event(event="frame", frame=1002)
    settings = {"engine.weights": str(tiny_weights), "engine.device": "cpu", "frames": "1001"}
    two.request("run", shot=str(tiny_shot), output=str(tmp_path / "other"), settings=settings)
    until(lambda: len(two.call("status", 9)["result"]["jobs"]) == 2)
    gate.touch()
    assert two.answer(1)["result"]["written"] == 1
    assert one.answer(1)["result"]["written"] == 15
    short, long = tmp_path / "other" / "matte.1001.exr", tiny_shot / "matte" / "matte.1015.exr"
    assert short.stat().st_mtime_ns < long.stat().st_mtime_ns


def test_a_dead_clients_jobs_are_cancelled_and_others_go_on(
    running: Running, tiny_shot: Path, tiny_weights: Path, gate: Path, tmp_path: Path
) -> None:
    lengthen(tiny_shot)
    dying, other = running.client(), running.client()
    dying.request("run", 1, **gated(tiny_shot, tiny_weights))
    dying.request("run", 2, **gated(tiny_shot, tiny_weights, output=str(tmp_path / "never")))
    dying.event(event="frame", frame=1002)
    other.request("run", 7, **plain(tiny_shot, tiny_weights, output=str(tmp_path / "other")))
    dying.close()
    until(lambda: other.call("status", 8)["result"]["clients"] == 1)
    gate.touch()
    assert other.answer(7)["result"]["written"] == 15
    until(lambda: not other.call("status", 8)["result"]["jobs"])
    assert 3 <= len(mattes(tiny_shot / "matte")) < 15 and not (tmp_path / "never").exists()
