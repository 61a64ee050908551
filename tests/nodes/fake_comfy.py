"""A strict stand-in for the few names of ComfyUI that nodes/comfyui uses.

Signatures from https://github.com/comfyanonymous/ComfyUI: comfy_api/latest/_io.py,
comfy_api/latest/__init__.py, comfy/utils.py, comfy/model_management.py, folder_paths.py.
"""

from __future__ import annotations

import threading
import types
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any


class Interrupted(Exception):
    """comfy.model_management.InterruptProcessingException."""


class Slot:
    """An input or output of a V3 node."""

    def __init__(self, io_type: str, id: str, settings: dict[str, Any]) -> None:
        assert isinstance(id, str) and id.isidentifier()
        self.io_type, self.id, self.settings = io_type, id, settings


def io_type(name: str, *allowed: str) -> Any:
    """A ComfyType whose Input takes these keywords and no other."""

    def make_input(
        id: str,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        **more: Any,
    ) -> Slot:
        unknown = set(more) - set(allowed)
        if unknown:
            raise TypeError(f"{name}.Input got unexpected {unknown}")
        return Slot(name, id, {"tooltip": tooltip, "optional": optional, **more})

    def make_output(
        id: str | None = None,
        display_name: str | None = None,
        tooltip: str | None = None,
        is_output_list: bool = False,
    ) -> Slot:
        return Slot(name, id or name, {"display_name": display_name})

    return types.SimpleNamespace(Input=make_input, Output=make_output)


@dataclass
class Schema:
    node_id: str
    display_name: str | None = None
    category: str = "sd"
    inputs: list[Slot] = field(default_factory=list)
    outputs: list[Slot] = field(default_factory=list)
    hidden: list[Any] = field(default_factory=list)
    description: str = ""
    is_input_list: bool = False
    is_output_node: bool = False
    not_idempotent: bool = False

    def validate(self) -> None:
        """As ComfyUI does it: ids are unique among inputs and outputs together."""
        ids = [slot.id for slot in [*self.inputs, *self.outputs]]
        assert len(ids) == len(set(ids)), ids
        assert all(isinstance(one, Hidden) for one in self.hidden)


class Hidden(str, Enum):  # noqa: UP042 - as ComfyUI has it
    unique_id = "UNIQUE_ID"
    prompt = "PROMPT"
    extra_pnginfo = "EXTRA_PNGINFO"


class ComfyNode(ABC):
    hidden: Any = None  # filled in during execution

    @classmethod
    @abstractmethod
    def define_schema(cls) -> Schema: ...

    @classmethod
    @abstractmethod
    def execute(cls, **kwargs: Any) -> Any: ...


class NodeOutput:
    def __init__(self, *args: Any, ui: Any = None, expand: Any = None) -> None:
        self.args = args


class ComfyExtension(ABC):
    @abstractmethod
    async def get_node_list(self) -> list[type[ComfyNode]]: ...


class FakeComfy:
    """interrupt: as if the artist had pressed Cancel. shown: what the progress bar was told.

    base: where ComfyUI is installed, with its input, output and temp folders.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        for name in ("input", "output", "temp"):
            (base / name).mkdir(parents=True, exist_ok=True)
        self.interrupt = threading.Event()
        self.shown: list[tuple[int, int]] = []
        self.thread = threading.get_ident()

    def modules(self, *, v3: bool) -> dict[str, Any]:
        """For sys.modules; None makes an import fail."""
        comfy = self

        class ProgressBar:
            def __init__(self, total: int, node_id: str | None = None) -> None:
                comfy.must_execute()
                self.total = total

            def update_absolute(
                self, value: int, total: int | None = None, preview: Any = None
            ) -> None:
                comfy.must_execute()
                comfy.shown.append((value, total or self.total))

        def throw_exception_if_processing_interrupted() -> None:
            comfy.must_execute()
            if comfy.interrupt.is_set():
                comfy.interrupt.clear()
                raise Interrupted

        utils, management = types.ModuleType("comfy.utils"), types.ModuleType("comfy.mm")
        utils.ProgressBar = ProgressBar  # type: ignore[attr-defined]
        management.throw_exception_if_processing_interrupted = (  # type: ignore[attr-defined]
            throw_exception_if_processing_interrupted
        )
        folders = types.ModuleType("folder_paths")
        for name in ("input", "output", "temp"):
            setattr(folders, f"get_{name}_directory", lambda name=name: str(comfy.base / name))
        api, latest = types.ModuleType("comfy_api"), types.ModuleType("comfy_api.latest")
        latest.ComfyExtension = ComfyExtension  # type: ignore[attr-defined]
        latest.io = types.SimpleNamespace(  # type: ignore[attr-defined]
            ComfyNode=ComfyNode, Schema=Schema, NodeOutput=NodeOutput, Hidden=Hidden,
            Image=io_type("IMAGE"), Mask=io_type("MASK"),
            String=io_type("STRING", "default", "multiline", "placeholder"),
            Int=io_type("INT", "default", "min", "max", "step"),
            Boolean=io_type("BOOLEAN", "default", "label_on", "label_off"),
            Combo=io_type("COMBO", "options", "default"),
        )  # fmt: skip
        return {
            "folder_paths": folders,
            "comfy": types.ModuleType("comfy"),
            "comfy.utils": utils,
            "comfy.model_management": management,
            "comfy_api": api if v3 else None,
            "comfy_api.latest": latest if v3 else None,
        }

    def must_execute(self) -> None:
        """ComfyUI finds the node's progress bar by the thread that executes it."""
        assert threading.get_ident() == self.thread
