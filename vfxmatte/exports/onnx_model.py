"""Export of the network to ONNX.

The picture is solved at once, whatever its size: padding, colour and known pixels are part of the
graph, in standard operations only. Needs the packages of the extra `export`.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from vfxmatte.colour import decode_srgb, encode_for_network
from vfxmatte.errors import ExportError
from vfxmatte.exports.destination import check_suffix, written_when_equal
from vfxmatte.exports.equality import (
    FLOAT_TOLERANCE,
    HALF_TOLERANCE,
    ONNX_TOLERANCE,
    Priors,
    check_equal,
)
from vfxmatte.exports.flame import (
    check_flame_path,
    flame_description,
    flame_path,
    write_flame_description,
)
from vfxmatte.exports.networks import load_any
from vfxmatte.exports.onnx_graph import chained, converted
from vfxmatte.exports.onnx_pieces import light_pieces, prior_pieces
from vfxmatte.exports.record import record_of
from vfxmatte.exports.stages import NoRefinement, Stage1, pool_alone, unpool_by_comparison
from vfxmatte.exports.working_space import WorkingSpace, matrix_to_rec709
from vfxmatte.network.dim import STRIDE, DeepImageMatting, complete
from vfxmatte.network.light import LightMatting
from vfxmatte.trimaps import BACKGROUND_BELOW, FOREGROUND_ABOVE
from vfxmatte.types import FloatImage

if TYPE_CHECKING:
    import onnx

INPUT, OUTPUT = "image", "alpha"
_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


class OnnxInput(nn.Module):
    """A module from RGB and painted trimap (N, 4 or more, H, W) to the network's encoding and the
    trimap as 0, 0.5 and 1; further channels stay as they are."""

    matrix: Tensor

    def __init__(self, space: WorkingSpace) -> None:
        super().__init__()
        self.space = space
        self.register_buffer("matrix", torch.from_numpy(matrix_to_rec709(space))[:, :, None, None])

    def forward(self, image: Tensor) -> Tensor:
        return torch.cat(
            (self._encoded(image[:, :3]), self._cleaned(image[:, 3:4]), image[:, 4:]), 1
        )

    def _cleaned(self, painted: Tensor) -> Tensor:
        """Reduce a painted trimap to 0, 0.5 or 1; NaN is unknown."""
        above = torch.where(painted >= FOREGROUND_ABOVE, 1.0, 0.5)
        return torch.where(painted <= BACKGROUND_BELOW, 0.0, above)

    def _encoded(self, rgb: Tensor) -> Tensor:
        """Convert from the working space to the network's encoding."""
        rgb = torch.nan_to_num(rgb, nan=0.0, posinf=65504.0, neginf=0.0)
        if self.space is WorkingSpace.ACESCG:
            rgb = nn.functional.conv2d(rgb, self.matrix)
        elif self.space is WorkingSpace.SRGB:
            rgb = decode_srgb(rgb)
        return encode_for_network(rgb)


class OnnxMatting(nn.Module):
    """A module from RGB and trimap (N, 4, H, W) float32, any size, to alpha (N, 1, H, W) float32.

    With `priors` the alpha priors are further channels; else the trimap replaces them, as in an
    engine without priors. Unlike `wrapper.ExportedMatting` it has no knobs and no tiles, because a
    graph has no branches.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: DeepImageMatting,
        space: WorkingSpace,
        dtype: torch.dtype,
        *,
        priors: bool = False,
    ) -> None:
        super().__init__()
        self.channels = 4 + network.config.priors if priors else 4
        self.dtype, self.priors = dtype, network.config.priors
        self.prepared = OnnxInput(space)
        self.stage1 = Stage1(network, pool_alone, unpool_by_comparison).to(dtype)
        self.stage2 = (network.refinement or NoRefinement()).to(dtype)
        self.register_buffer("mean", network.mean)
        self.register_buffer("std", network.std)

    def forward(self, image: Tensor) -> Tensor:
        return self.solved(self.prepared(image))

    def solved(self, picture: Tensor) -> Tensor:
        """Solve pictures that are encoded, (N, channels, H, W)."""
        height, width = picture.shape[2:]
        trimap = picture[:, 3:4]
        picture = picture.index_select(2, _reflected(height)).index_select(3, _reflected(width))
        picture = complete(picture, self.priors)
        normalised = ((picture - self.mean) / self.std).to(self.dtype)
        raw = self.stage2(normalised, self.stage1(normalised))
        alpha = raw.float().clamp(0.0, 1.0)[:, :, :height, :width]
        return torch.where(trimap == 0.5, alpha, trimap)


def _reflected(size: int) -> Tensor:
    """Return indices that extend a side to a multiple of the stride by repeated reflection."""
    length = (size + STRIDE - 1) // STRIDE * STRIDE
    period = torch.as_tensor(2 * size - 2).clamp(min=1)  # sizes are tensors when they are traced
    index = torch.remainder(torch.arange(length), period)
    return torch.minimum(index, period - index)


def export_onnx(
    path: Path,
    *,
    weights: Path,
    space: WorkingSpace = WorkingSpace.LINEAR_REC709,
    half: bool = False,
    priors: bool = False,
    overwrite: bool = False,
) -> float:
    """Write the model and its description for Flame; return its largest difference from the engine.

    A model that takes priors gets no description, because Flame cannot make them.

    Args:
        half: use half precision inside; input and output stay float32.
        priors: take the alpha priors (`alpha_priors`) as further channels of the input, instead of
            computing them.
    Raises:
        UsageError: another suffix than .onnx.
        OutputError: the file exists, or cannot be written. WeightsError: unusable weights.
        ExportError: the network takes no priors, packages are missing, or the model differs from
            the engine. Nothing is written then.
    """
    check_suffix(path, "ONNX models", ".onnx")
    require_packages()
    if not priors:
        check_flame_path(flame_path(path), overwrite=overwrite)
    with written_when_equal(path, overwrite=overwrite) as partial:
        network, info = load_any(weights)
        source = _prior_source(network, weights, are_inputs=priors)
        model = _model(network, space, torch.float16 if half else torch.float32, source)
        for key, value in record_of(info, space, priors=priors).items():
            model.metadata_props.add(key=f"vfxmatte.{key}", value=value)
        partial.write_bytes(model.SerializeToString())
        single = ONNX_TOLERANCE if source == "inside" else FLOAT_TOLERANCE
        tolerance = HALF_TOLERANCE if half else single
        difference = check_equal(OnnxSession(partial), weights, space, tolerance, priors=source)
    if not priors:
        described = flame_description(path.stem, space, INPUT, OUTPUT)
        write_flame_description(flame_path(path), described)
    return difference


def _prior_source(
    network: DeepImageMatting | LightMatting, weights: Path, *, are_inputs: bool
) -> Priors:
    """Return where a model's alpha priors come from; raises ExportError if they cannot be given."""
    is_light = isinstance(network, LightMatting)
    takes_priors = not isinstance(network, LightMatting) and network.config.prior
    if are_inputs and not takes_priors:
        raise ExportError(
            "these weights take no alpha priors from outside",
            path=weights,
            hint="leave --priors out",
        )
    if are_inputs:
        return "given"
    return "inside" if is_light or takes_priors else "none"


def require_packages() -> None:
    """Raise ExportError if a package is not installed."""
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportError(
            f"exporting to ONNX needs {', '.join(missing)}",
            hint="pip install 'vfxmatte[export]'",
        )


class OnnxSession:
    """An exported model in ONNX Runtime on the CPU."""

    def __init__(self, path: Path, *, threads: int = 0) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or torch.get_num_threads()
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, image: FloatImage) -> FloatImage:
        """Solve (N, channels, H, W) float32 to (N, 1, H, W)."""
        alpha: FloatImage = self._session.run([OUTPUT], {INPUT: image})[0]
        return alpha

    @property
    def record(self) -> dict[str, str]:
        """The record in the file's metadata, see `record_of`."""
        metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        return {key.removeprefix("vfxmatte."): value for key, value in metadata.items()}


class _Solved(nn.Module):
    """`OnnxMatting.solved` as a module."""

    def __init__(self, matting: OnnxMatting) -> None:
        super().__init__()
        self.matting = matting

    def forward(self, picture: Tensor) -> Tensor:
        return self.matting.solved(picture)


def _with_prior_inside(
    network: DeepImageMatting | LightMatting, space: WorkingSpace, dtype: torch.dtype
) -> onnx.ModelProto:
    """Convert a network, with the graph that makes its priors before it."""
    height, width = 2 * STRIDE + 5, 3 * STRIDE + 7
    image = torch.rand(2, 4, height, width)
    first = converted(OnnxInput(space), [image], [INPUT], ["encoded"])
    if isinstance(network, LightMatting):
        last = light_pieces(network, image, dtype)
    else:
        matting = OnnxMatting(network, space, dtype, priors=True)
        last = [_exported(_Solved(matting).eval(), matting.channels, "picture")]
    return chained([first, *prior_pieces(image), *last])


def _model(
    network: DeepImageMatting | LightMatting,
    space: WorkingSpace,
    dtype: torch.dtype,
    source: Priors,
) -> onnx.ModelProto:
    if isinstance(network, LightMatting) or source == "inside":
        return _with_prior_inside(network, space, dtype)
    return _converted(OnnxMatting(network, space, dtype, priors=source == "given").eval())


def _converted(module: OnnxMatting) -> onnx.ModelProto:
    """Convert a module to ONNX with dynamic batch, height and width."""
    return _exported(module, module.channels, INPUT)


def _exported(module: nn.Module, channels: int, name: str) -> onnx.ModelProto:
    """Convert a module of one input of that name, as `_converted`."""
    example = torch.rand(2, channels, 2 * STRIDE + 5, 3 * STRIDE + 7)
    return converted(module, [example], [name], [OUTPUT])
