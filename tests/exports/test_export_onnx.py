"""The ONNX model in ONNX Runtime against the engine and its own promises."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import vfxmatte.exports.onnx_model as onnx_module
from vfxmatte.engines.protocol import EngineSettings
from vfxmatte.errors import ExportError, OutputError
from vfxmatte.exports.equality import HALF_TOLERANCE, check_equal, sample
from vfxmatte.exports.onnx_model import OnnxMatting, OnnxSession, export_onnx
from vfxmatte.exports.stages import pool_alone, unpool_by_comparison
from vfxmatte.exports.working_space import WorkingSpace
from vfxmatte.network.sidecar import file_sha256
from vfxmatte.network.weights import load_weights
from vfxmatte.pipeline import picture as single
from vfxmatte.types import FloatImage

FLOAT = 5e-3  # the engine's colour goes through a table


def test_unpooling_by_comparison_is_exact_with_ties() -> None:
    dice = torch.Generator().manual_seed(3)
    skip = torch.randint(0, 3, (2, 5, 12, 18), generator=dice).float()  # many ties, many zeros
    pooled, indices = F.max_pool2d(skip, 2, return_indices=True)
    x = torch.randn(pooled.shape, generator=dice)
    expected = F.max_unpool2d(x, indices, 2)
    assert torch.equal(unpool_by_comparison(x, pool_alone(skip)[1], skip), expected)


onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def exported(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "matting.onnx"
    assert export_onnx(path, weights=tiny_weights, space=WorkingSpace.ACESCG) < FLOAT
    return path


@pytest.fixture(scope="module")
def session(exported: Path) -> OnnxSession:
    return OnnxSession(exported, threads=1)


def test_it_gives_the_mattes_that_arrays_give(session: OnnxSession, tiny_weights: Path) -> None:
    one = sample(75, 101, highest=5)
    found = session(one.as_input())[0, 0]
    settings = EngineSettings(weights=tiny_weights, device="cpu", precision="float32")
    expected = single.matte(one.picture, one.painted, colorspace="ACEScg", engine=settings)
    assert np.abs(found - expected).max() < FLOAT
    assert expected.std() > 0.1


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (33, 7), (64, 96), (31, 130)])
def test_any_size_and_batch(size: tuple[int, int], session: OnnxSession) -> None:
    images = np.concatenate([sample(*size, seed=seed).as_input() for seed in (1, 2, 3)])
    images[:, 3] = 0.5
    alphas = session(images)
    assert alphas.shape == (3, 1, *size) and alphas.dtype == np.float32
    assert np.abs(alphas[1:2] - session(images[1:2])).max() < 1e-5


def test_bad_pixels_are_harmless(session: OnnxSession) -> None:
    image = sample(48, 64).as_input()
    image[0, :3, 10:20] = np.nan
    image[0, :3, 20:25] = np.inf
    image[0, :3, 25:30] = -np.inf
    image[0, 3, 5:9] = np.nan
    alpha = session(image)
    image[0, 3, 5:9] = 0.5
    assert np.isfinite(alpha).all() and (alpha == session(image)).all()


def test_standard_operations_and_no_paths(exported: Path, tiny_weights: Path) -> None:
    model = onnx.load(exported)
    onnx.checker.check_model(model, full_check=True)
    assert {node.domain for node in model.graph.node} == {""} and not model.functions
    (opset,) = model.opset_import
    assert opset.domain == "" and opset.version >= 17
    assert b"/vfxmatte/" not in exported.read_bytes()
    assert OnnxSession(exported).record["weights_sha256"] == file_sha256(tiny_weights)
    assert OnnxSession(exported).record["colorspace"] == "acescg"


def test_half_precision_inside(tiny_weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "half.onnx"
    assert 0 < export_onnx(path, weights=tiny_weights, half=True) < 0.1
    assert onnx.TensorProto.FLOAT16 in {one.data_type for one in onnx.load(path).graph.initializer}
    network, _ = load_weights(tiny_weights)
    model = OnnxMatting(network.requires_grad_(False), WorkingSpace.SRGB, torch.float16)

    def solve(image: FloatImage) -> FloatImage:
        alpha = model(torch.from_numpy(image))
        assert alpha.dtype == torch.float32
        found: FloatImage = alpha.numpy()
        return found

    assert 0 < check_equal(solve, tiny_weights, WorkingSpace.SRGB, HALF_TOLERANCE) < 0.1


# -- refusals -------------------------------------------------------------------------------------


def test_missing_packages_are_named(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "onnxscript" else found(name)
    )
    with pytest.raises(ExportError, match=r"needs onnxscript\n.*vfxmatte\[export\]"):
        export_onnx(tmp_path / "m.onnx", weights=tiny_weights)


def test_a_model_that_is_not_the_engine_is_not_left_behind(
    exported: Path, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_module, "_converted", lambda module: onnx.load(exported))
    with pytest.raises(ExportError, match="differs from the engine"):  # its colours are ACEScg's
        export_onnx(tmp_path / "m.onnx", weights=tiny_weights, space=WorkingSpace.SRGB)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_stays(tiny_weights: Path, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_text("mine")
    with pytest.raises(OutputError, match="there already"):
        export_onnx(tmp_path / "m.onnx", weights=tiny_weights)
    assert (tmp_path / "m.onnx").read_text() == "mine"
