"""The TorchScript model against the engine, the network and its own promises."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vfxmatte.exports.wrapper as wrapper_module
from vfxmatte.engines.protocol import EngineSettings
from vfxmatte.errors import ExportError, OutputError, WeightsError
from vfxmatte.exports.equality import check_equal, sample
from vfxmatte.exports.torchscript import export_torchscript, read_torchscript
from vfxmatte.exports.working_space import NAMES, WorkingSpace, matrix_to_rec709
from vfxmatte.network.sidecar import file_sha256
from vfxmatte.network.weights import load_weights
from vfxmatte.pipeline import picture as single
from vfxmatte.types import FloatImage

FLOAT, HALF = 5e-3, 0.05  # the engine's colour goes through a table; half has 11 bits

# Every operation that the exported code may use: all of them are in PyTorch 1.12.
KNOWN_TO_1_12 = {
    *("Bool", "Int", "__derive_index", "__getitem__", "__not__", "__range_length", "_convolution"),
    *(
        "add",
        "all",
        "any",
        "arange",
        "cat",
        "cholesky_solve",
        "clamp",
        "contiguous",
        "copy_",
        "diag",
        "diagonal",
        "dim",
        "div",
        "eq",
        "expand",
    ),
    *("floordiv", "full_like", "ge", "gt", "index_select", "isfinite", "item", "le", "lt"),
    *(
        "index_fill",
        "linalg_cholesky",
        "max",
        "max_pool2d_with_indices",
        "max_unpool2d",
        "mul",
        "nan_to_num",
        "ne",
        "neg",
        "nonzero",
        "reshape",
    ),
    *("ones_like", "pow", "reciprocal", "relu_", "remainder", "rsub", "select", "size", "slice"),
    *("sub", "tensor", "to", "view", "where", "zeros_like"),
    # of the alpha prior; all of it was run in PyTorch 1.13.1
    *("Float", "__and__", "add_", "addmm", "append", "avg_pool2d", "bmm", "ceil", "cumsum"),
    *("expand_as", "eye", "flatten", "full", "index", "index_add", "len", "linalg_inv"),
    *("masked_scatter", "matmul", "max_pool2d", "mean", "norm", "permute", "repeat", "sqrt"),
    *("stack", "sum", "t", "topk", "transpose", "unsqueeze", "upsample_bilinear2d", "zeros"),
}


@pytest.fixture(scope="module")
def exported(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "matting.pt"
    assert export_torchscript(path, weights=tiny_weights) < FLOAT
    return path


@pytest.fixture(scope="module")
def read(exported: Path) -> Any:
    """The model, read once: torch compiles it during its first calls."""
    return read_torchscript(exported)[0]


@pytest.fixture
def model(read: Any) -> Any:
    """The model with its knobs as in the file."""
    read.colorspace, read.refine, read.tile_px = 0, 1, wrapper_module.TILE_PX
    return read


def run(model: Any, image: FloatImage) -> FloatImage:
    with torch.no_grad():
        alpha = model(torch.from_numpy(image))
    assert alpha.is_contiguous()
    found: FloatImage = alpha.numpy()
    return found


@pytest.mark.parametrize("space", list(WorkingSpace))
def test_it_gives_the_mattes_that_arrays_give(
    space: WorkingSpace, model: Any, tiny_weights: Path
) -> None:
    one = sample(75, 101, highest=1 if space is WorkingSpace.SRGB else 5)
    model.colorspace = int(space)
    found = run(model, one.as_input())[0, 0]
    settings = EngineSettings(weights=tiny_weights, device="cpu", precision="float32")
    expected = single.matte(one.picture, one.painted, colorspace=space.ocio_name, engine=settings)
    assert np.abs(found - expected).max() < FLOAT
    assert expected.std() > 0.1
    assert ((found == 0) | (found == 1)).mean() > 0.3  # the known pixels


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (33, 7), (64, 96), (31, 130)])
def test_any_size_from_call_to_call(size: tuple[int, int], model: Any) -> None:
    image = sample(*size).as_input()
    image[:, 3] = 0.5
    alpha = run(model, image)
    assert alpha.shape == (1, 1, *size) and alpha.dtype == np.float32
    assert np.isfinite(alpha).all() and alpha.min() >= 0 and alpha.max() <= 1


def test_several_pictures_at_once(model: Any) -> None:
    first, second = sample(40, 60, seed=1).as_input(), sample(40, 60, seed=2).as_input()
    both = run(model, np.concatenate((first, second)))
    assert np.abs(both[:1] - run(model, first)).max() < 1e-5
    assert np.abs(both[1:] - run(model, second)).max() < 1e-5


def test_half_precision_in_and_out(model: Any, exported: Path) -> None:
    image = sample(64, 96).as_input()
    expected = run(model, image)
    in_half: Any = read_torchscript(exported)[0].half()
    image[:, 3] = np.where(image[:, 3] <= 0.05, 0, np.where(image[:, 3] >= 0.95, 1, 0.5))
    with torch.no_grad():
        alpha = in_half(torch.from_numpy(image).half())
    assert alpha.dtype == torch.float16
    assert np.abs(alpha.float().numpy() - expected).max() < HALF


def test_the_trimap_is_cleaned_as_everywhere(model: Any) -> None:
    image = sample(32, 32).as_input()
    image[:, 3] = 0.3
    image[:, 3, :4] = (np.nan, 0.5, 0.94, 0.06) * 8
    image[:, 3, 8:12] = (0.0, 0.04, -np.inf, -3.0) * 8
    image[:, 3, 16:20] = (1.0, 0.96, np.inf, 3.0) * 8
    alpha = run(model, image)[0, 0]
    assert (alpha[8:12] == 0).all() and (alpha[16:20] == 1).all()
    image[:, 3, :4] = 0.5
    assert (run(model, image)[0, 0] == alpha).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_bad_pixels_are_harmless(bad: float, model: Any) -> None:
    image = sample(48, 64).as_input()
    image[0, :3, 10:14, 20:30] = bad
    for space in WorkingSpace:
        model.colorspace = int(space)
        assert np.isfinite(run(model, image)).all()


def test_tiles_are_the_whole(model: Any) -> None:
    image = sample(500, 640).as_input()
    image[:, 3] = 0.0
    image[:, 3, 230:470, 10:600] = 0.5
    model.tile_px = 0
    whole = run(model, image)
    for tile_px in (150, 2048):
        model.tile_px = tile_px
        assert np.abs(run(model, image) - whole).max() < 1e-5


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_without_refinement(model: Any, tiny_weights: Path) -> None:
    network, _ = load_weights(tiny_weights)
    with torch.no_grad():  # the tiny network's second stage changes nothing until it is taught to
        network.refinement.residual.bias += 0.2  # type: ignore[union-attr,operator]
    taught = torch.jit.script(wrapper_module.ExportedMatting(network).eval())
    image = sample(64, 96).as_input()
    with_it = run(taught, image)
    taught.refine = 0
    assert np.abs(run(taught, image) - run(model, image)).max() < 1e-6
    assert np.abs(with_it - run(model, image)).max() > 0.1


def test_three_channels_are_refused(model: Any) -> None:
    with pytest.raises(torch.jit.Error, match=r"must be \(N, 4, H, W\)"):
        model(torch.rand(1, 3, 32, 32))


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_an_overflow_in_half_precision_is_told(tiny_weights: Path) -> None:
    network, _ = load_weights(tiny_weights)
    network.requires_grad_(False)
    network.decoder.alpha.weight *= 1e7
    model: Any = torch.jit.script(wrapper_module.ExportedMatting(network).eval())
    image = torch.from_numpy(sample(32, 32).as_input())
    assert torch.isfinite(model(image)).all()
    with pytest.raises(torch.jit.Error, match="use full precision"):
        model.half()(image.half())


def test_only_operations_that_pytorch_1_12_knows(model: Any) -> None:
    assert _operations(model) <= KNOWN_TO_1_12
    assert "max_unpool2d" in _operations(model)


def _operations(model: Any) -> set[str]:
    """Names of the aten operations in all the compiled methods of a module and its parts, and in
    the functions that they call."""
    parts = [part._c for part in model.modules()]
    graphs = [
        part._get_method(name).inlined_graph for part in parts for name in part._method_names()
    ]
    return {kind for graph in graphs for kind in _kinds(graph)}


def _kinds(block: Any) -> list[str]:
    kinds = []
    for node in block.nodes():
        if node.kind().startswith("aten::"):
            kinds.append(node.kind().removeprefix("aten::"))
        for inner in node.blocks():
            kinds += _kinds(inner)
    return kinds


def test_the_file_says_where_it_comes_from(exported: Path, tiny_weights: Path) -> None:
    record = read_torchscript(exported)[1]
    assert record["weights_sha256"] == file_sha256(tiny_weights)
    assert record["licence"] == "Apache-2.0" and record["encoding"] == "srgb-shoulder-1"
    assert record["vfxmatte_version"] and record["colorspace"] == NAMES[WorkingSpace(0)]


def test_exporting_and_reading_warn_of_nothing(tiny_weights: Path, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export_torchscript(tmp_path / "m.pt", weights=tiny_weights, space=WorkingSpace.ACESCG)
        model: Any = read_torchscript(tmp_path / "m.pt")[0]
    assert model.colorspace == 1


# -- refusals -------------------------------------------------------------------------------------


def test_a_model_that_is_not_the_engine_is_not_left_behind(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wrapper_module, "FOREGROUND_ABOVE", 0.999)
    with pytest.raises(ExportError, match="alters known pixels"):
        export_torchscript(tmp_path / "m.pt", weights=tiny_weights)
    assert list(tmp_path.iterdir()) == []


def test_wrong_colours_are_found(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = matrix_to_rec709(WorkingSpace.ACESCG).T.copy()
    monkeypatch.setattr(wrapper_module, "matrix_to_rec709", lambda space: wrong)
    (tmp_path / "m.pt").write_text("what was there")
    with pytest.raises(ExportError, match=r"differs from the engine .* acescg"):
        export_torchscript(tmp_path / "m.pt", weights=tiny_weights, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["m.pt"]
    assert (tmp_path / "m.pt").read_text() == "what was there"


def test_a_wrong_alpha_is_found(tiny_weights: Path) -> None:
    def half_way(image: FloatImage) -> FloatImage:
        painted = image[:, 3:]
        return np.where(painted <= 0.05, 0, np.where(painted >= 0.95, 1, 0.5)).astype(np.float32)

    with pytest.raises(ExportError, match="differs from the engine") as caught:
        check_equal(half_way, tiny_weights, WorkingSpace.SRGB)
    assert "weights that have hardly learned differ as much" in str(caught.value.hint)


def test_a_file_that_is_there_stays(tiny_weights: Path, tmp_path: Path) -> None:
    (tmp_path / "m.pt").write_text("mine")
    with pytest.raises(OutputError, match="there already"):
        export_torchscript(tmp_path / "m.pt", weights=tiny_weights)
    (tmp_path / "folder.pt").mkdir()
    with pytest.raises(OutputError, match="a folder"):
        export_torchscript(tmp_path / "folder.pt", weights=tiny_weights, overwrite=True)
    assert (tmp_path / "m.pt").read_text() == "mine"


def test_nowhere_to_write(tiny_weights: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        export_torchscript(tmp_path / "file" / "m.pt", weights=tiny_weights)


def test_unknown_weights(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such weights"):
        export_torchscript(tmp_path / "m.pt", weights=tmp_path / "none.safetensors")
    assert list(tmp_path.iterdir()) == []
