"""The ComfyUI nodes, against a strict fake of ComfyUI's names and a fake engine."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from fake_comfy import FakeComfy, Interrupted
from fake_engine import Engine, EngineError, engine_module

FOLDER = Path(__file__).resolve().parents[2] / "nodes" / "comfyui"
NAME = "vfxmatte_comfyui_under_test"


class Bench:
    """ComfyUI with the folder among its custom nodes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, v3: bool) -> None:
        monkeypatch.delenv("OCIO", raising=False)
        self.comfy = FakeComfy()
        for name, module in self.comfy.modules(v3=v3).items():
            monkeypatch.setitem(sys.modules, name, module)
        self.command = engine_module()
        monkeypatch.setitem(sys.modules, "vfxmatte_command", self.command)
        for name in [n for n in sys.modules if n.split(".")[0] == NAME]:
            monkeypatch.delitem(sys.modules, name)
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

    @property
    def engine(self) -> Any:
        return self.command.Engine

    def part(self, name: str) -> Any:
        return sys.modules[f"{NAME}.{name}"]

    def run(self, name: str, **inputs: Any) -> tuple[Any, ...]:
        nodes = {spec.node_id: spec for spec in self.part("specs").NODES}
        result: tuple[Any, ...] = nodes[name].work(**inputs)
        return result

    def sequence(self, **inputs: Any) -> tuple[Any, ...]:
        whole = {"plate": "/p", "trimaps": "/t", "output": "/out", "frames": "1001-1003"}
        return self.run("VfxmatteSequence", **{**whole, **inputs})

    def batch(self, image: torch.Tensor, trimap: torch.Tensor, **more: Any) -> torch.Tensor:
        (matte,) = self.run("VfxmatteBatch", image=image, trimap=trimap, **more)
        assert isinstance(matte, torch.Tensor)
        return matte


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    yield Bench(monkeypatch, v3=True)


def alpha_of_red(asked: dict[str, Any]) -> bytes:
    """A stand-in engine whose alpha is the image's red plus a tenth of the trimap."""
    image = np.frombuffer(asked["image"], np.float32).reshape(asked["height"], asked["width"], 3)
    trimap = np.frombuffer(asked["trimap"], np.float32).reshape(image.shape[:2])
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
        (["STRING"] * 5 + ["BOOLEAN", "COMBO", "COMBO", "STRING"], ["STRING", "INT"]),
        (["IMAGE", "MASK", "COMBO", "COMBO", "STRING"], ["MASK"]),
    ]
    assert [s.is_output_node for s in schemas] == [True, False]
    for node in nodes:
        node()  # nothing abstract is left
    value = nodes[0].fingerprint_inputs(plate="p")
    assert value != value  # files change under an unchanged path: always run
    assert not hasattr(nodes[1], "fingerprint_inputs")


def test_v3_executes(bench: Bench) -> None:
    bench.engine.pixels = staticmethod(alpha_of_red)
    nodes = asyncio.run(asyncio.run(bench.package.comfy_entrypoint()).get_node_list())
    image, trimap = torch.rand(1, 4, 6, 3), torch.full((1, 4, 6), 0.5)
    output = nodes[1].execute(image=image, trimap=trimap, device="auto", mode="exact", command="")
    assert torch.allclose(output.args[0], image[..., 0] + 0.05)


def test_v1_mapping_has_the_same_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, v3=False)
    assert not hasattr(bench.package, "comfy_entrypoint")
    mappings = bench.package.NODE_CLASS_MAPPINGS
    assert set(mappings) == set(bench.package.NODE_DISPLAY_NAME_MAPPINGS)
    batch, sequence = mappings["VfxmatteBatch"], mappings["VfxmatteSequence"]
    required = batch.INPUT_TYPES()["required"]
    assert [kind for kind, _ in required.values()] == [
        "IMAGE", "MASK", ["auto", "cuda", "cpu"], ["exact", "fast"], "STRING",
    ]  # fmt: skip
    assert (batch.RETURN_TYPES, sequence.RETURN_TYPES) == (("MASK",), ("STRING", "INT"))
    assert sequence.OUTPUT_NODE and not batch.OUTPUT_NODE
    bench.engine.pixels = staticmethod(alpha_of_red)
    image, trimap = torch.rand(2, 4, 6, 3), torch.zeros(2, 4, 6)
    inputs = {"device": "cpu", "mode": "fast", "command": ""}
    (matte,) = getattr(batch(), batch.FUNCTION)(image=image, trimap=trimap, **inputs)
    assert torch.allclose(matte, image[..., 0])
    assert sequence.IS_CHANGED() != sequence.IS_CHANGED()


def test_without_any_comfyui_the_logic_still_works(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, v3=False)
    for name in ("comfy", "comfy.utils", "comfy.model_management"):
        monkeypatch.setitem(sys.modules, name, None)
    assert bench.batch(torch.rand(1, 4, 6, 3), torch.zeros(1, 4, 6)).shape == (1, 4, 6)


def test_a_batch_in_order_with_progress(bench: Bench) -> None:
    bench.engine.pixels = staticmethod(alpha_of_red)
    image, trimap = torch.rand(5, 4, 6, 3), torch.rand(5, 4, 6)
    matte = bench.batch(image, trimap, device="cuda", mode="fast")
    assert (matte.shape, matte.dtype) == ((5, 4, 6), torch.float32)
    assert torch.allclose(matte, image[..., 0] + 0.1 * trimap)
    assert bench.comfy.shown == [(n, 5) for n in range(1, 6)]
    assert {(a["device"], a["mode"], a["colorspace"], a["width"], a["height"]) for a in
            bench.engine.jobs} == {("cuda", "fast", "sRGB - Texture", 6, 4)}  # fmt: skip


def test_a_studios_ocio_does_not_change_what_srgb_is(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.batch(torch.rand(1, 4, 6, 3), torch.zeros(1, 4, 6))
    monkeypatch.setenv("OCIO", "/studio.ocio")
    bench.batch(torch.rand(1, 4, 6, 3), torch.zeros(1, 4, 6))
    assert [a["ocio"] for a in bench.engine.jobs] == [None, "ocio://studio-config-latest"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("channels", [3, 4])
def test_tensors_of_any_kind(bench: Bench, dtype: torch.dtype, channels: int) -> None:
    bench.engine.pixels = staticmethod(alpha_of_red)
    wide = torch.rand(2, 6, 4, channels).to(dtype)
    image = wide.transpose(1, 2)  # not contiguous
    matte = bench.batch(image.requires_grad_(), torch.zeros(2, 4, 6, dtype=dtype))
    assert torch.allclose(matte, image.detach()[..., 0].float())


@pytest.mark.parametrize("shape", [(1, 4, 6), (4, 6)])
def test_one_trimap_serves_all_images(bench: Bench, shape: tuple[int, ...]) -> None:
    bench.engine.pixels = staticmethod(alpha_of_red)
    image = torch.rand(3, 4, 6, 3)
    matte = bench.batch(image, torch.ones(shape))
    assert torch.allclose(matte, image[..., 0] + 0.1)


@pytest.mark.parametrize(
    ("image", "trimap", "said"),
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
    bench: Bench, image: tuple[int, ...], trimap: tuple[int, ...], said: str
) -> None:
    with pytest.raises(RuntimeError, match=said):
        bench.batch(torch.zeros(image), torch.zeros(trimap))
    assert bench.engine.jobs == []


def test_the_engines_error_names_the_image(bench: Bench) -> None:
    bench.engine.error = EngineError("no GPU was found", kind="DeviceError", hint="take cpu")
    with pytest.raises(RuntimeError, match=r"image 1 of 2: no GPU was found[\s\S]*take cpu"):
        bench.batch(torch.rand(2, 4, 6, 3), torch.zeros(2, 4, 6))


def test_a_sequence(bench: Bench) -> None:
    assert bench.sequence(colorspace=" ACEScg ", overwrite=True) == ("/out", 3)
    (asked,) = bench.engine.jobs
    assert asked == {
        "plate": "/p", "trimaps": "/t", "output": "/out", "frames": "1001-1003",
        "colorspace": "ACEScg", "overwrite": True, "device": "auto", "mode": "exact",
    }  # fmt: skip
    assert bench.comfy.shown[-1] == (3, 3)


def test_failed_frames_of_a_sequence_are_an_error_that_says_where_the_others_are(
    bench: Bench,
) -> None:
    bench.engine.failing = {1002}
    with pytest.raises(RuntimeError) as caught:
        bench.sequence()
    assert str(caught.value).splitlines() == [
        "1 of 3 frames failed; the others are in /out", "frame 1002: this frame is damaged",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"plate": " "}, "plate is empty"),
        ({"trimaps": "", "output": ""}, "trimaps and output is empty"),
    ],
)
def test_missing_paths_are_named(bench: Bench, inputs: dict[str, str], said: str) -> None:
    with pytest.raises(RuntimeError, match=said):
        bench.sequence(**inputs)


def test_an_error_of_the_run(bench: Bench) -> None:
    bench.engine.error = EngineError("no keyframe", hint="paint one")
    with pytest.raises(RuntimeError, match=r"no keyframe[\s\S]*paint one"):
        bench.sequence()


def test_cancel_stops_a_sequence(bench: Bench) -> None:
    bench.engine.gate.clear()
    bench.comfy.interrupt.set()
    started: list[Any] = []
    original = bench.engine.start_run

    def start_run(self: Engine, **what: Any) -> Any:
        started.append(original(self, **what))
        return started[-1]

    bench.engine.start_run = start_run
    with pytest.raises(Interrupted):
        bench.sequence()
    assert started[0].cancelled and started[0].wait(0)


def test_cancel_stops_a_batch(bench: Bench) -> None:
    jobs: list[Any] = []
    job_class = sys.modules["fake_engine"].Job

    def never(self: Engine, **what: Any) -> Any:
        jobs.append(job_class())
        return jobs[-1]

    def cancel(self: Any) -> None:
        self.cancelled = True
        self.finish(error=EngineError("cancelled", kind="Cancelled"))

    bench.engine.start_matte_pixels = never
    job_class_cancel, job_class.cancel = job_class.cancel, cancel
    try:
        bench.comfy.interrupt.set()
        with pytest.raises(Interrupted):
            bench.batch(torch.rand(4, 4, 6, 3), torch.zeros(4, 4, 6))
    finally:
        job_class.cancel = job_class_cancel
    assert len(jobs) == 2 and all(job.cancelled for job in jobs)


def test_nothing_of_vfxmatte_is_imported() -> None:
    source = "\n".join(path.read_text() for path in FOLDER.glob("*.py"))
    assert "import vfxmatte" not in source and "from vfxmatte" not in source


def test_the_fake_engine_has_the_clients_own_signatures() -> None:
    path = FOLDER.parent / "command.py"
    spec = importlib.util.spec_from_file_location("command_signatures", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["command_signatures"] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules["command_signatures"]
    for name in ("__init__", "start_run", "start_matte_pixels"):
        mine = inspect.signature(getattr(Engine, name)).parameters
        theirs = inspect.signature(getattr(module.Engine, name)).parameters
        assert list(mine) == list(theirs), name
        assert [p.kind for p in mine.values()] == [p.kind for p in theirs.values()], name
    for name in ("cancel", "wait", "result"):
        assert callable(getattr(module.Job, name))
