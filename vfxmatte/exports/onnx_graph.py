"""One ONNX model of pieces that follow one another."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    import onnx

OPSET, IR_VERSION = 18, 10


def converted(
    module: nn.Module, examples: Sequence[Tensor], inputs: Sequence[str], outputs: Sequence[str]
) -> onnx.ModelProto:
    """Convert a module to ONNX with free batch, height and width of each input.

    By tracing: for thousands of small operations it takes a hundredth of the time that
    `torch.export` takes.
    """
    import onnx

    traced = BytesIO()
    with warnings.catch_warnings():
        tracer: type[Warning] = torch.jit.TracerWarning  # type: ignore[attr-defined]
        for kind in (DeprecationWarning, FutureWarning, tracer):
            warnings.simplefilter("ignore", kind)
        warnings.filterwarnings("ignore", "Constant folding", UserWarning)
        torch.onnx.export(
            module.eval(),
            tuple(examples),
            traced,  # type: ignore[arg-type]  # a buffer does for the tracing exporter
            dynamo=False,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={
                name: {axis: f"{name}_{axis}" for axis in (0, 2, 3)} for name in (*inputs, *outputs)
            },
        )
    model = onnx.load_from_string(traced.getvalue())
    remove_source_paths(model)
    return model


def scripted(function: Any, inputs: Sequence[str], outputs: Sequence[str]) -> onnx.ModelProto:
    """Convert a function of `onnxscript`, its calls written out, with these inputs and outputs."""
    import onnx.compose
    import onnx.inliner

    model = onnx.inliner.inline_local_functions(function.to_model_proto())
    names = [value.name for value in (*model.graph.input, *model.graph.output)]
    renamed = dict(zip(names, (*inputs, *outputs), strict=True))
    model = onnx.compose.add_prefix(model, "own/")
    for value in (*model.graph.input, *model.graph.output):
        value.name = renamed[value.name.removeprefix("own/")]
    _rename(model.graph, {f"own/{old}": new for old, new in renamed.items()})
    return model


def renamed(model: onnx.ModelProto, names: dict[str, str]) -> onnx.ModelProto:
    """Return a copy whose inputs and outputs have other names."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for value in (*copy.graph.input, *copy.graph.output):
        value.name = names.get(value.name, value.name)
    _rename(copy.graph, names)
    return copy


def _rename(graph: onnx.GraphProto, names: dict[str, str]) -> None:
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _rename(attribute.g, names)


def chained(pieces: Sequence[onnx.ModelProto]) -> onnx.ModelProto:
    """Join pieces whose inputs have the names of earlier pieces' outputs; the first's inputs and
    the last's outputs are the model's. Equal weights of several pieces are there once."""
    import onnx.compose

    graph = onnx.GraphProto(name="vfxmatte")
    first_names: dict[bytes, str] = {}
    for number, piece in enumerate(pieces):
        del piece.graph.value_info[:]
        own = onnx.compose.add_prefix_graph(
            piece.graph, f"{number}/", rename_inputs=False, rename_outputs=False
        )
        repeated: dict[str, str] = {}
        for tensor in own.initializer:
            name, tensor.name = tensor.name, ""
            content = tensor.SerializeToString(deterministic=True)
            tensor.name = first_names.setdefault(content, name)
            if tensor.name == name:
                graph.initializer.append(tensor)
            else:
                repeated[name] = tensor.name
        _rename(own, repeated)
        graph.node.extend(own.node)
    graph.input.extend(pieces[0].graph.input)
    graph.output.extend(pieces[-1].graph.output)
    opset = onnx.helper.make_opsetid("", OPSET)
    return onnx.helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)


def remove_source_paths(model: onnx.ModelProto) -> None:
    """Remove the exporter's notes on the Python source, which hold paths of this machine."""
    for part in (*model.graph.node, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    del model.graph.metadata_props[:]
