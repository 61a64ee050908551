"""The ComfyUI nodes, against a strict fake of ComfyUI's names and a fake engine."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from fake_client import fake_package
from fake_comfy import FakeComfy, Interrupted

from nodes.vfxmatte_client import ClientError, Job

FOLDER = Path(__file__).resolve().parents[2] / "nodes" / "comfyui"
NAME = "vfxmatte_comfyui_under_test"


class Bench:
    """ComfyUI with the folder among its custom nodes."""

    def __init__(
        self, base: Path, monkeypatch: pytest.MonkeyPatch, *, v3: bool, fake: bool = True
    ) -> None:
        for name in ("OCIO", "VFXMATTE_ROOTS"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("VFXMATTE_HOME", str(base / "home"))
        self.comfy = FakeComfy(base)
        for name, module in self.comfy.modules(v3=v3).items():
            monkeypatch.setitem(sys.modules, name, module)
        for name in [n for n in sys.modules if n.split(".")[0] == NAME]:
            monkeypatch.delitem(sys.modules, name)
        if fake:
            vfxmatte = fake_package()
            monkeypatch.setitem(sys.modules, f"{NAME}.vfxmatte_client", vfxmatte)
            self.client: Any = vfxmatte.Client
        self.package = self._load(monkeypatch)

    def _load(self, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
        """As ComfyUI loads a folder of custom_nodes: by its path, under a name of its own."""
        spec = importlib.util.spec_from_file_location(
            NAME, FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
        )
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, NAME, module)
        spec.loader.exec_module(module)
        return module

    def part(self, name: str) -> Any:
        return sys.modules[f"{NAME}.{name}"]

    def run(self, name: str, **inputs: Any) -> tuple[Any, ...]:
        nodes = {spec.node_id: spec for spec in self.part("specs").NODES}
        result: tuple[Any, ...] = nodes[name].run(inputs, None, None)
        return result

    def file(self, name: str) -> str:
        """A file or folder of ComfyUI's base folder."""
        return str(self.comfy.base / name)

    def sequence(self, **inputs: Any) -> tuple[Any, ...]:
        whole = {"plate": "p", "trimaps": "t", "output": "out", "frames": "1001-1003"}
        return self.run("VfxmatteSequence", **{**whole, **inputs})

    def batch(self, image: torch.Tensor, trimap: torch.Tensor, **more: Any) -> torch.Tensor:
        (matte,) = self.run("VfxmatteBatch", image=image, trimap=trimap, **more)
        assert isinstance(matte, torch.Tensor)
        return matte


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    yield Bench(tmp_path.resolve(), monkeypatch, v3=True)


def alpha_of_red(arrays: dict[str, Any]) -> bytes:
    """A stand-in engine whose alpha is the image's red plus a tenth of the trimap."""
    image = np.frombuffer(arrays["image"], np.float32).reshape(arrays["height"], arrays["width"], 3)
    trimap = np.frombuffer(arrays["trimap"], np.float32).reshape(image.shape[:2])
    return (image[..., 0] + 0.1 * trimap).astype(np.float32).tobytes()


def test_v3_registers_both_nodes(bench: Bench) -> None:
    assert not hasattr(bench.package, "NODE_CLASS_MAPPINGS")  # ComfyUI would take it instead
    extension = asyncio.run(bench.package.comfy_entrypoint())
    nodes = asyncio.run(extension.get_node_list())
    schemas = [node.define_schema() for node in nodes]
    for schema in schemas:
        schema.validate()
    kinds = [([i.io_type for i in s.inputs], [o.io_type for o in s.outputs]) for s in schemas]
    assert kinds == [
        (
            ["STRING"] * 5
            + ["BOOLEAN", "COMBO", "COMBO", "STRING", "COMBO", "STRING", "STRING", "BOOLEAN"]
            + ["STRING"] * 3,
            ["STRING", "INT"],
        ),
        (["IMAGE", "MASK", "COMBO", "COMBO", "MASK", "MASK"], ["MASK"]),
    ]
    for schema in schemas:
        for slot in schema.inputs:
            must = slot.id in ("image", "trimap")
            assert slot.settings["optional"] != must
            assert ("default" in slot.settings) != (slot.io_type in ("IMAGE", "MASK"))
    assert [s.is_output_node for s in schemas] == [True, False]
    for node in nodes:
        node()  # nothing abstract is left
    value = nodes[0].fingerprint_inputs(plate="p")
    assert value != value  # files change under an unchanged path: always run
    assert not hasattr(nodes[1], "fingerprint_inputs")


def test_v3_executes(bench: Bench) -> None:
    bench.client.pixels = staticmethod(alpha_of_red)
    nodes = asyncio.run(asyncio.run(bench.package.comfy_entrypoint()).get_node_list())
    image, trimap = torch.rand(1, 4, 6, 3), torch.full((1, 4, 6), 0.5)
    output = nodes[1].execute(image=image, trimap=trimap, device="auto", mode="exact")
    assert torch.allclose(output.args[0], image[..., 0] + 0.05)


def test_v1_mapping_has_the_same_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, monkeypatch, v3=False)
    assert not hasattr(bench.package, "comfy_entrypoint")
    mappings = bench.package.NODE_CLASS_MAPPINGS
    assert set(mappings) == set(bench.package.NODE_DISPLAY_NAME_MAPPINGS)
    batch, sequence = mappings["VfxmatteBatch"], mappings["VfxmatteSequence"]
    kinds = batch.INPUT_TYPES()
    assert {name: kind for name, (kind, _) in kinds["required"].items()} == {
        "image": "IMAGE", "trimap": "MASK",
    }  # fmt: skip
    assert {name: kind for name, (kind, _) in kinds["optional"].items()} == {
        "device": ["auto", "cuda", "cpu"], "mode": ["exact", "fast"], "garbage": "MASK",
        "core": "MASK",
    }  # fmt: skip
    assert kinds["hidden"] == {"prompt": "PROMPT", "unique_id": "UNIQUE_ID"}
    kinds = sequence.INPUT_TYPES()
    assert kinds["required"] == {} and "command" not in kinds["optional"]
    assert all("default" in options for _, options in kinds["optional"].values())
    assert (batch.RETURN_TYPES, sequence.RETURN_TYPES) == (("MASK",), ("STRING", "INT"))
    assert sequence.OUTPUT_NODE and not batch.OUTPUT_NODE
    bench.client.pixels = staticmethod(alpha_of_red)
    image, trimap = torch.rand(2, 4, 6, 3), torch.zeros(2, 4, 6)
    inputs = {"device": "cpu", "mode": "fast"}
    (matte,) = getattr(batch(), batch.FUNCTION)(image=image, trimap=trimap, **inputs)
    assert torch.allclose(matte, image[..., 0])
    assert sequence.IS_CHANGED() != sequence.IS_CHANGED()


def test_without_any_comfyui_the_logic_still_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path, monkeypatch, v3=False)
    for name in ("comfy", "comfy.utils", "comfy.model_management", "folder_paths"):
        monkeypatch.setitem(sys.modules, name, None)
    assert bench.batch(torch.rand(1, 4, 6, 3), torch.zeros(1, 4, 6)).shape == (1, 4, 6)


def test_a_batch_in_order_with_progress(bench: Bench) -> None:
    bench.client.pixels = staticmethod(alpha_of_red)
    image, trimap = torch.rand(5, 4, 6, 3), torch.rand(5, 4, 6)
    matte = bench.batch(image, trimap, device="cuda", mode="fast")
    assert (matte.shape, matte.dtype) == ((5, 4, 6), torch.float32)
    assert torch.allclose(matte, image[..., 0] + 0.1 * trimap)
    assert bench.comfy.shown == [(n, 5) for n in range(1, 6)]
    assert {(a["device"], a["mode"], a["colorspace"], a["width"], a["height"]) for a in
            bench.client.requests} == {("cuda", "fast", "sRGB - Texture", 6, 4)}  # fmt: skip


def test_a_studios_ocio_does_not_change_what_srgb_is(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.batch(torch.rand(1, 4, 6, 3), torch.zeros(1, 4, 6))
    monkeypatch.setenv("OCIO", "/studio.ocio")
    bench.batch(torch.rand(1, 4, 6, 3), torch.zeros(1, 4, 6))
    assert [a.get("ocio") for a in bench.client.requests] == [None, "ocio://studio-config-latest"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("channels", [3, 4])
def test_tensors_of_any_kind(bench: Bench, dtype: torch.dtype, channels: int) -> None:
    bench.client.pixels = staticmethod(alpha_of_red)
    wide = torch.rand(2, 6, 4, channels).to(dtype)
    image = wide.transpose(1, 2)  # not contiguous
    matte = bench.batch(image.requires_grad_(), torch.zeros(2, 4, 6, dtype=dtype))
    assert torch.allclose(matte, image.detach()[..., 0].float())


@pytest.mark.parametrize("shape", [(1, 4, 6), (4, 6)])
def test_one_trimap_serves_all_images(bench: Bench, shape: tuple[int, ...]) -> None:
    bench.client.pixels = staticmethod(alpha_of_red)
    image = torch.rand(3, 4, 6, 3)
    matte = bench.batch(image, torch.ones(shape))
    assert torch.allclose(matte, image[..., 0] + 0.1)


def test_a_batch_with_garbage_and_core_masks(bench: Bench) -> None:
    seen = []

    def alpha(arrays: dict[str, Any]) -> bytes:
        masks = (np.frombuffer(arrays[name], np.float32) for name in ("garbage", "core"))
        seen.append([float(mask[0]) for mask in masks])
        return alpha_of_red(arrays)

    bench.client.pixels = staticmethod(alpha)
    garbage = torch.arange(3.0).reshape(3, 1, 1).expand(3, 4, 6)
    core = torch.full((4, 6), 7.0)  # one for all
    bench.batch(torch.rand(3, 4, 6, 3), torch.zeros(3, 4, 6), garbage=garbage, core=core)
    assert sorted(seen) == [[0, 7], [1, 7], [2, 7]]


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({"garbage": (3, 4, 6)}, "3 garbage masks for 2 images"),
        ({"core": (2, 6, 4)}, "core is 4x6, image is 6x4; paint the core at the image's size"),
        ({"core": (2, 4, 6, 1)}, "core must be a mask"),
    ],
)
def test_masks_that_do_not_fit_are_named(
    bench: Bench, masks: dict[str, tuple[int, ...]], message: str
) -> None:
    tensors = {name: torch.zeros(shape) for name, shape in masks.items()}
    with pytest.raises(RuntimeError, match=message):
        bench.batch(torch.zeros(2, 4, 6, 3), torch.zeros(2, 4, 6), **tensors)
    assert bench.client.requests == []


@pytest.mark.parametrize(
    ("image", "trimap", "message"),
    [
        ((3, 4, 6, 3), (2, 4, 6), "2 trimaps for 3 images"),
        ((1, 4, 6, 3), (3, 4, 6), "3 trimaps for 1 images"),
        ((1, 4, 6, 3), (1, 6, 4), "trimap is 4x6, image is 6x4"),
        ((0, 4, 6, 3), (0, 4, 6), "no pixels"),
        ((1, 0, 6, 3), (1, 0, 6), "no pixels"),
        ((1, 4, 6, 1), (1, 4, 6), "3 or 4 channels, found 1"),
        ((4, 6, 3), (1, 4, 6), "must be a batch"),
        ((1, 4, 6, 3), (1, 1, 4, 6), "must be a mask"),
    ],
)
def test_what_does_not_fit_is_said(
    bench: Bench, image: tuple[int, ...], trimap: tuple[int, ...], message: str
) -> None:
    with pytest.raises(RuntimeError, match=message):
        bench.batch(torch.zeros(image), torch.zeros(trimap))
    assert bench.client.requests == []


def test_the_engines_error_names_the_image(bench: Bench) -> None:
    bench.client.error = ClientError("no GPU was found", kind="DeviceError", hint="take cpu")
    with pytest.raises(RuntimeError, match=r"image 1 of 2: no GPU was found[\s\S]*take cpu"):
        bench.batch(torch.rand(2, 4, 6, 3), torch.zeros(2, 4, 6))


def test_a_sequence(bench: Bench) -> None:
    out = bench.file("output/out")
    assert bench.sequence(colorspace=" ACEScg ", overwrite=True) == (out, 3)
    (request,) = bench.client.requests
    assert request == {
        "plate": bench.file("input/p"), "trimaps": bench.file("input/t"), "output": out,
        "frames": "1001-1003",
        "colorspace": "ACEScg", "overwrite": True, "device": "auto", "mode": "exact",
    }  # fmt: skip
    assert bench.comfy.shown[-1] == (3, 3)


def test_a_sequence_of_one_subject(bench: Bench) -> None:
    bench.client.subjects = ["cat", "dog"]
    folder, count = bench.sequence(subject=" dog ")
    assert (Path(folder), count) == (Path(bench.file("output/out/dog")), 3)
    (request,) = bench.client.requests
    assert request["subject"] == "dog" and "subject_layers" not in request
    assert request["output"] == bench.file("output/out")


def test_a_sequence_of_all_subjects_with_layers(bench: Bench) -> None:
    bench.client.subjects = ["cat", "dog"]
    assert bench.sequence(subject_layers=True) == (bench.file("output/out"), 6)
    (request,) = bench.client.requests
    assert request["subject_layers"] is True and "subject" not in request


def test_failed_frames_of_several_subjects_are_all_counted(bench: Bench) -> None:
    watch = bench.part("sequences")._Watch()
    for subject in ("cat", "dog"):
        error = {"message": f"no {subject}"}
        watch.events.put({"event": "frame", "frame": 1002, "subject": subject, "error": error})
    watch.drain()
    with pytest.raises(RuntimeError, match=r"frame 1002 cat: no cat\nframe 1002 dog: no dog"):
        watch.refuse_failures("out")


def test_a_sequence_with_foreground_and_layers(bench: Bench) -> None:
    bench.sequence(foreground="straight", layers=" trimap,background ")
    (request,) = bench.client.requests
    assert (request["foreground"], request["layers"]) == ("straight", "trimap,background")
    with pytest.raises(RuntimeError, match="foreground is one of none, premultiplied, straight"):
        bench.sequence(foreground="yes")


def test_a_sequence_with_mattes_and_a_clean_plate(bench: Bench) -> None:
    bench.sequence(garbage='"g/roto.####.png"', core=" ", clean_plate="empty_set.exr")
    (request,) = bench.client.requests
    assert request["garbage"] == bench.file("input/g/roto.####.png") and "core" not in request
    assert request["cleanplate"] == bench.file("input/empty_set.exr")


def test_a_sequence_is_fitted_first(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    class Shown(list[tuple[int, int]]):
        """Lets the frames come once the fit is on the bar."""

        def append(self, step: tuple[int, int]) -> None:
            super().append(step)
            if step == (21, 120) or len(self) > 100:
                bench.client.gate.set()

    bench.client.fit_steps = [(20, 120), (21, 120)]
    bench.client.gate.clear()
    bench.comfy.shown = Shown()
    caplog.set_level("INFO", "vfxmatte")
    bench.sequence(fit=" 2 ")
    assert bench.client.requests[0]["fit"] == "2"
    assert (21, 120) in bench.comfy.shown and bench.comfy.shown[-1] == (3, 3)
    assert [r.getMessage() for r in caplog.records] == ["fitting to the shot: step 20 of 120"]


def test_failed_frames_of_a_sequence_are_an_error_that_says_where_the_others_are(
    bench: Bench,
) -> None:
    bench.client.failing = {1002}
    with pytest.raises(RuntimeError) as caught:
        bench.sequence()
    assert str(caught.value).splitlines() == [
        f"1 of 3 frames failed; the others are in {bench.file('output/out')}",
        "frame 1002: this frame is damaged",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"plate": " "}, "plate is empty"),
        ({"trimaps": "", "plate": '""'}, "plate and trimaps is empty"),
    ],
)
def test_missing_paths_are_named(bench: Bench, inputs: dict[str, str], message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        bench.sequence(**inputs)


def test_an_error_of_the_run(bench: Bench) -> None:
    bench.client.error = ClientError("no keyframe", hint="paint one")
    with pytest.raises(RuntimeError, match=r"no keyframe[\s\S]*paint one"):
        bench.sequence()


def test_cancel_stops_a_sequence(bench: Bench) -> None:
    bench.client.gate.clear()
    bench.comfy.interrupt.set()
    started: list[Any] = []
    original = bench.client.start_run

    def start_run(self: Any, **what: Any) -> Any:
        started.append(original(self, **what))
        return started[-1]

    bench.client.start_run = start_run
    with pytest.raises(Interrupted):
        bench.sequence()
    assert started[0].cancelled and started[0].wait(0)


def test_cancel_is_done_within_a_second_and_the_next_run_waits(bench: Bench) -> None:
    """The engine is in the middle of a frame, and does not stop before its end."""
    busy, started = Job("run-1"), []

    def start_run(self: Any, **options: Any) -> Job:
        started.append(options["output"])
        if len(started) == 1:
            return busy
        job = Job("run-2")
        job.execute(lambda _: {"written": 1, "kept": 0, "interrupted": False})
        return job

    bench.client.start_run = start_run
    bench.comfy.interrupt.set()
    before = time.monotonic()
    with pytest.raises(Interrupted):
        bench.sequence()
    assert time.monotonic() - before < 1 and busy.cancelled
    assert bench.sequence(output="elsewhere")[1] == 1  # which has nothing to do with it
    totals = {"written": 0, "kept": 0, "interrupted": True}
    threading.Timer(0.3, busy.execute, [lambda _: totals]).start()
    before = time.monotonic()
    assert bench.sequence()[1] == 1
    assert time.monotonic() - before > 0.2 and len(started) == 3


# -- what a workflow may not do ----------------------------------------------------------------


@pytest.mark.parametrize("v3", [True, False])
@pytest.mark.parametrize("name", ["VfxmatteSequence", "VfxmatteBatch"])
def test_a_workflow_does_not_choose_the_program(
    v3: bool,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The real client finds the program; an old workflow's `command`, typed or by a wire, does
    nothing but leave a note."""
    bench = Bench(tmp_path.resolve(), monkeypatch, v3=v3, fake=False)
    evil = tmp_path / "evil"
    evil.write_text(f"#!/bin/sh\ntouch {tmp_path}/got_in\n")
    evil.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.delenv("VFXMATTE_COMMAND", raising=False)
    prompt = {"7": {"class_type": name, "inputs": {"command": str(evil), "weights": "x.pt"}}}
    if name == "VfxmatteBatch":
        inputs: dict[str, Any] = {"image": torch.rand(1, 4, 6, 3), "trimap": torch.zeros(1, 4, 6)}
    else:
        inputs = {"plate": "p", "trimaps": "t"}
    inputs.update(command=str(evil), settings={"engine.weights": "x.pt"})
    with pytest.raises(RuntimeError, match="vfxmatte is not installed"):
        if v3:
            nodes = asyncio.run(asyncio.run(bench.package.comfy_entrypoint()).get_node_list())
            node = next(n for n in nodes if n.define_schema().node_id == name)
            node.hidden = SimpleNamespace(prompt=prompt, unique_id="7")
            node.execute(**inputs)
        else:
            node = bench.package.NODE_CLASS_MAPPINGS[name]
            getattr(node(), node.FUNCTION)(**inputs, prompt=prompt, unique_id="7")
    assert not (tmp_path / "got_in").exists()
    notes = [record.getMessage() for record in caplog.records]
    assert any("'command' is ignored: which program runs is set on the server" in n for n in notes)
    assert any("'weights' is ignored" in n for n in notes)
    assert any("'settings' is ignored" in n for n in notes)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"device": "cuda:0,1"}, "device is one of auto, cuda, cpu"),
        ({"mode": "dense"}, "mode is one of exact, fast"),
        ({"plate": ["p"]}, "plate must be a text"),
        ({"frames": 7}, "frames must be a text"),
    ],
)
def test_values_that_nobody_has_checked_are(bench: Bench, inputs: Any, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        bench.sequence(**inputs)
    assert not bench.client.requests


@pytest.mark.parametrize("where", ["plate", "trimaps", "output", "garbage", "core", "clean_plate"])
@pytest.mark.parametrize(
    "path",
    [
        "/etc/vfxmatte", "../../x", "a/../../..", "..", "link/x", "link/../../x", "~", "~root/x",
        "C:/Windows", "c:x", r"C:\x", r"\\server\share\x", "//server/share/x", "/", "a\0b",
        " '/etc' ", "“../..”", "{base}/output_of_another", "{base}/output/../secret", "{base}",
    ],
)  # fmt: skip
def test_paths_stay_inside(bench: Bench, where: str, path: str, tmp_path: Path) -> None:
    for name in ("input", "output"):
        (bench.comfy.base / name / "link").symlink_to("/usr")
    with pytest.raises(RuntimeError, match=f"^{where}: .*(outside of the folders|no path on this)"):
        bench.sequence(**{where: path.format(base=bench.comfy.base)})
    assert not bench.client.requests


def test_what_lies_outside_is_not_even_looked_at(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, looked = os.path.realpath, []
    monkeypatch.setattr(os.path, "realpath", lambda path: looked.append(path) or real(path))
    with pytest.raises(RuntimeError, match="outside"):
        bench.sequence(output="/net/of/somebody/else")
    assert looked and not any("somebody" in str(path) for path in looked)


def test_the_resolved_path_goes_to_the_engine(bench: Bench) -> None:
    (bench.comfy.base / "output" / "real").mkdir()
    (bench.comfy.base / "output" / "link").symlink_to("real")
    assert bench.sequence(output="x/../link/a")[0] == bench.file("output/real/a")
    assert bench.client.requests[0]["output"] == bench.file("output/real/a")


def test_the_administrator_allows_further_folders(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    show, other, vault = tmp_path / "show", tmp_path / "other", tmp_path / "vault"
    for folder in (show, other, vault, tmp_path / "home"):
        folder.mkdir()
    (tmp_path / "mount").symlink_to(show)
    (show / "out").symlink_to(vault)
    (tmp_path / "home" / "roots.txt").write_text(
        f'# plates\n\n "{tmp_path}/mount" \nrelative/one\n', encoding="utf-8"
    )
    monkeypatch.setenv("VFXMATTE_ROOTS", str(other))
    monkeypatch.setenv("HOME", str(tmp_path))
    inputs = {"plate": "' ~/mount/sh010/plate.####.exr'", "trimaps": f"{show}/keys"}
    assert bench.sequence(**inputs, output=f"{other}/mattes") == (f"{other}/mattes", 3)
    assert bench.client.requests[0]["plate"] == f"{show}/sh010/plate.####.exr"
    assert "'relative/one' is no whole path" in caplog.text
    with pytest.raises(RuntimeError, match="outside of the folders") as caught:
        bench.sequence(**inputs, output=f"{show}/out/x")
    assert str(tmp_path / "home" / "roots.txt") in str(caught.value)


def test_without_an_output_each_plate_has_a_folder_of_its_own(bench: Bench) -> None:
    folders = {
        bench.sequence(plate=plate, trimaps="t", output=" ")[0]
        for plate in ("sh010/plate.####.exr", "sh020/plate.####.exr", "sh010/plate.####.exr")
    }
    assert len(folders) == 2
    assert all(f.startswith(bench.file("output/vfxmatte/plate-")) for f in folders)


def test_without_comfyuis_folders_only_whole_paths_in_allowed_roots_are_taken(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "folder_paths", None)
    with pytest.raises(RuntimeError, match="must be a whole path"):
        bench.sequence()
    monkeypatch.setenv("VFXMATTE_ROOTS", str(tmp_path))
    inputs = {"plate": f"{tmp_path}/p", "trimaps": f"{tmp_path}/t"}
    assert bench.sequence(**inputs, output=f"{tmp_path}/o") == (f"{tmp_path}/o", 3)


def test_cancel_stops_a_batch(bench: Bench) -> None:
    jobs: list[Job] = []

    def never(self: Any, **_: Any) -> Job:
        job = Job(f"pixels-{len(jobs)}")
        job.stop_with(lambda: job.execute(lambda _: None))
        jobs.append(job)
        return job

    bench.client.start_matte_pixels = never
    bench.comfy.interrupt.set()
    with pytest.raises(Interrupted):
        bench.batch(torch.rand(4, 4, 6, 3), torch.zeros(4, 4, 6))
    assert len(jobs) == 2 and all(job.cancelled for job in jobs)


def test_a_copy_without_the_client_says_what_to_copy(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, f"{NAME}.vfxmatte_client", None)
    with pytest.raises(RuntimeError, match=r"copy the folder nodes/vfxmatte_client .* into "):
        bench.sequence()


@pytest.mark.parametrize("copied", [True, False])
def test_the_client_is_found_in_a_copy_and_through_a_link(copied: bool, tmp_path: Path) -> None:
    place = tmp_path / "custom_nodes" / "vfxmatte"
    if copied:
        shutil.copytree(FOLDER, place)
        shutil.copytree(FOLDER.parent / "vfxmatte_client", place / "vfxmatte_client")
    else:
        place.parent.mkdir()
        place.symlink_to(FOLDER)
    program = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('custom', {str(place / '__init__.py')!r})\n"
        "module = sys.modules['custom'] = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "from custom import client\nprint(client.package().__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    found = Path(done.stdout.strip()).parent.parent
    assert found.resolve() == (place if copied else FOLDER.parent).resolve(), done.stderr


def test_nothing_of_vfxmatte_is_imported() -> None:
    source = "\n".join(path.read_text() for path in FOLDER.glob("*.py"))
    assert "import vfxmatte" not in source and "from vfxmatte" not in source
