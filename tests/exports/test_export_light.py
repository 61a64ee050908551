"""Exports of a light network, and the alpha prior in an ONNX graph, against the engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vfxmatte.engines.protocol import EngineSettings
from vfxmatte.errors import OutputError
from vfxmatte.exports.equality import ONNX_TOLERANCE, sample
from vfxmatte.exports.torchscript import export_torchscript, read_torchscript
from vfxmatte.network.light import LightConfig, LightMatting, reset_last_layers
from vfxmatte.network.nearness import FARTHEST_PX, SCALES_PX, nearness
from vfxmatte.network.sidecar import named_weights
from vfxmatte.network.torchscript_nearness import nearness_of_trimap
from vfxmatte.network.weights_file import save_folded
from vfxmatte.pipeline import picture as single
from vfxmatte.types import FloatImage

FLOAT = 5e-3


@pytest.fixture(scope="module")
def light_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A light network with a second stage, whose every layer matters."""
    torch.manual_seed(3)
    network = LightMatting(LightConfig(upsampling="guided"))
    reset_last_layers(network, std=0.05)
    path = tmp_path_factory.mktemp("weights") / "light.safetensors"
    save_folded(path, network.fold(), network.config, name="light")
    return path


@pytest.mark.parametrize("shape", [(1, 1), (30, 500), (400, 37)])
def test_nearness_in_torch_is_that_of_opencv(shape: tuple[int, int]) -> None:
    labels = np.full(shape, 128, np.uint8)
    labels.flat[0] = 255
    labels[np.random.default_rng(1).random(shape) > 0.998] = 0
    trimap = torch.from_numpy(np.where(labels == 128, 0.5, labels / 255).astype(np.float32))
    found = nearness_of_trimap(trimap, list(SCALES_PX), FARTHEST_PX).permute(1, 2, 0).numpy()
    assert np.abs(found - nearness(labels)).max() < 1e-6


@pytest.fixture(scope="module")
def large(light_weights: Path) -> tuple[FloatImage, FloatImage, FloatImage]:
    """A picture that stage 1 sees reduced, its trimap, and the engine's matte."""
    one = sample(760, 810, highest=5)
    painted = np.zeros_like(one.painted)
    painted[300:] = 1
    painted[290:330, 100:700] = 0.5
    settings = EngineSettings(weights=light_weights, device="cpu", precision="float32")
    wanted = single.matte(one.picture, painted, colorspace="lin_rec709", engine=settings)
    return one.picture, painted, wanted


def stacked(picture: FloatImage, painted: FloatImage) -> FloatImage:
    image = np.concatenate((picture, painted[:, :, None]), 2).transpose(2, 0, 1)[None]
    return np.ascontiguousarray(image)


@pytest.mark.long
def test_torchscript_of_a_light_network(light_weights: Path, tmp_path: Path, large: Any) -> None:
    path = tmp_path / "light.pt"
    assert export_torchscript(path, weights=light_weights) < FLOAT
    model: Any = read_torchscript(path)[0]
    picture, painted, wanted = large
    for tile_px in (2048, 130):
        model.tile_px = tile_px
        with torch.no_grad():
            found = model(torch.from_numpy(stacked(picture, painted)))[0, 0].numpy()
        assert np.abs(found - wanted)[painted == 0.5].mean() < 1e-3
        assert (found == wanted)[painted != 0.5].all()


@pytest.mark.long
def test_the_default_weights_are_exported(tmp_path: Path) -> None:
    """Unlike random ones they are sure of most pixels, and small differences show."""
    weights = named_weights(None)
    assert export_torchscript(tmp_path / "light.pt", weights=weights) < 1e-3
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    from vfxmatte.exports.onnx_model import export_onnx

    assert export_onnx(tmp_path / "light.onnx", weights=weights) <= ONNX_TOLERANCE.largest


@pytest.mark.long
def test_onnx_of_a_light_network(light_weights: Path, tmp_path: Path, large: Any) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    from vfxmatte.exports.onnx_model import OnnxSession, export_onnx

    path = tmp_path / "light.onnx"
    assert export_onnx(path, weights=light_weights) < ONNX_TOLERANCE.largest
    model = onnx.load(path)
    assert {node.domain for node in model.graph.node} == {""} and not model.functions
    assert b"/vfxmatte/" not in path.read_bytes()
    weights = [t.raw_data for t in model.graph.initializer if len(t.raw_data) > 10_000]
    assert weights and len(set(weights)) == len(weights), "stage 1 is there once, and looks twice"
    session = OnnxSession(path, threads=1)
    picture, painted, wanted = large
    found = session(stacked(picture, painted))[0, 0]
    assert np.abs(found - wanted)[painted == 0.5].mean() < 1e-3
    assert (found == wanted)[painted != 0.5].all()
    one = sample(40, 60).as_input()
    assert np.abs(session(np.concatenate((one, one)))[1:] - session(one)).max() < 1e-4
    all_unknown, none_unknown = one.copy(), one.copy()
    all_unknown[:, 3] = 0.5
    none_unknown[:, 3] = 1
    assert np.isfinite(session(all_unknown)).all() and (session(none_unknown) == 1).all()
    tiny = np.ascontiguousarray(all_unknown[:, :, :5, :7])
    assert np.isfinite(session(tiny)).all()

    described = json.loads(path.with_suffix(".json").read_text())["ModelDescription"]
    inputs = [
        (socket["Name"], socket["Type"], socket["Channels"]) for socket in described["Inputs"]
    ]
    assert inputs == [("image", "Front", "RGB"), ("image", "Matte", "A")]
    assert described["Outputs"][0]["Name"] == model.graph.output[0].name


def test_a_json_file_that_is_not_flames_stays(light_weights: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    from vfxmatte.exports.onnx_model import export_onnx

    (tmp_path / "m.json").write_text('{"format": 1}')
    for overwrite in (False, True):
        with pytest.raises(OutputError):
            export_onnx(tmp_path / "m.onnx", weights=light_weights, overwrite=overwrite)
    assert [path.name for path in tmp_path.iterdir()] == ["m.json"]
