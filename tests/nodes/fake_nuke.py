"""A strict stand-in for the few functions of Nuke that nodes/nuke uses.

It is no mock: a misspelt function, method or knob, a wrong number of arguments, a value of the
wrong type, or a call from another thread than the main one fails. Signatures and knob names are
those of Foundry's Python reference (learn.foundry.com/nuke/developers/130/pythondevguide).
"""

from __future__ import annotations

import queue
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nuke_paths  # noqa: F401 - puts the plug-in on the path
from diagram.script import Gizmo, ScriptNode, read_gizmo

COMMON = {"name", "label", "xpos", "ypos", "disable", "tile_color", "note_font_color", "help"}
ENUMERATIONS = {
    "on_error": ("error", "black", "checkerboard", "nearest frame"),
    "before": ("hold", "loop", "bounce", "black"),
    "after": ("hold", "loop", "bounce", "black"),
    "frame_mode": ("expression", "start at", "offset"),
    "operation": ("over", "under", "copy", "plus", "multiply"),
    "file_type": ("exr", "png", "tiff", "jpeg", "dpx"),
    "channels": ("rgb", "rgba", "alpha", "all"),
    "datatype": ("8 bit", "16 bit"),
    "colorManagement": ("Nuke", "OCIO"),
}
KNOBS: dict[str, dict[str, Any]] = {
    "Read": {
        "file": "", "first": 1, "last": 1, "origfirst": 1, "origlast": 1, "origset": False,
        "before": "hold", "after": "hold", "on_error": "error", "frame_mode": "expression",
        "frame": "", "raw": False, "colorspace": "default (linear)", "reload": None,
    },
    "Write": {
        "file": "", "file_type": "exr", "channels": "rgb", "raw": False, "colorspace": "linear",
        "datatype": "8 bit",
    },
    "Expression": {"expr0": "r", "expr1": "g", "expr2": "b", "expr3": "a"},
    "Switch": {"which": 0.0},
    "Copy": {"from0": "rgba.alpha", "to0": "rgba.alpha"},
    "Merge2": {"operation": "over"},
    "Premult": {}, "CheckerBoard2": {}, "Output": {}, "Input": {"number": 0},
    "Dot": {}, "NoOp": {}, "Grade": {"white": 1.0}, "Roto": {},
    "Root": {
        "first_frame": 1, "last_frame": 100, "proxy": False, "colorManagement": "Nuke",
        "OCIO_config": "nuke-default",
        "customOCIOConfigPath": "", "OCIOConfigPath": "", "workingSpaceLUT": "linear",
    },
}  # fmt: skip
FILES = {"file", "customOCIOConfigPath", "OCIOConfigPath"}


class Knob:
    """One control: takes values of its own type only."""

    def __init__(self, nuke: FakeNuke, name: str, value: Any, choices: tuple[str, ...]) -> None:
        self._nuke, self._name, self._value, self._choices = nuke, name, value, choices
        self.expression: str | None = None
        self.executed = 0

    def value(self) -> Any:
        self._nuke.must_be_main()
        return self._value

    def setValue(self, value: Any) -> bool:
        self._nuke.must_be_main()
        if self._choices and value not in self._choices:
            raise TypeError(f"{self._name}: {value!r} is not one of {self._choices}")
        allowed = (int, float) if isinstance(self._value, (int, float)) else type(self._value)
        if not isinstance(value, allowed):
            raise TypeError(f"{self._name}.setValue({value!r}) wants {allowed}")
        if self.expression is None:
            self._value = value
            self._nuke.changes.append((self._name, value, self._nuke.undo_off > 0))
        return True

    def clearAnimated(self) -> bool:
        self._nuke.must_be_main()
        self.expression = None
        return True


class FileKnob(Knob):
    def evaluate(self) -> str | None:
        return self.value() or None

    def getEvaluatedValue(self) -> str | None:
        return self.value() or None


class Button(Knob):
    def value(self) -> Any:
        raise TypeError(f"{self._name} is a button")

    def setValue(self, value: Any) -> bool:
        raise TypeError(f"{self._name} is a button")

    def execute(self) -> None:
        self._nuke.must_be_main()
        self.executed += 1


class Node:
    """A node of a class that this file knows; an unknown knob is a NameError, as in Nuke."""

    def __init__(self, nuke: FakeNuke, kind: str, parent: Group | None) -> None:
        self._nuke, self._kind, self._parent, self._alive = nuke, kind, parent, True
        self._inputs: dict[int, Node | None] = {}
        self._knobs: dict[str, Knob] = {}
        self.size, self.position = (64, 48), (0, 0)
        self.has_alpha = True
        self._add("name", kind)
        self._add("disable", False)
        self._add("label", "")
        for name, value in KNOBS.get(kind, {}).items():
            self._add(name, value)

    def _add(self, name: str, value: Any, choices: tuple[str, ...] = ()) -> None:
        kind = Button if value is None else FileKnob if name in FILES else Knob
        self._knobs[name] = kind(self._nuke, name, value, choices or ENUMERATIONS.get(name, ()))

    def _check(self) -> None:
        self._nuke.must_be_main()
        if not self._alive:
            raise ValueError("A PythonObject is not attached to a node")

    def __getitem__(self, name: str) -> Knob:
        self._check()
        if name not in self._knobs:
            raise NameError(f"knob {name} does not exist")
        return self._knobs[name]

    def knob(self, name: str) -> Knob | None:
        self._check()
        return self._knobs.get(name)

    def Class(self) -> str:
        self._check()
        return self._kind

    def name(self) -> str:
        self._check()
        return str(self._knobs["name"].value())

    def fullName(self) -> str:
        above = self._parent
        root = above is None or above is self._nuke.root()
        return self.name() if root else f"{above.fullName()}.{self.name()}"  # type: ignore[union-attr]

    def input(self, number: int) -> Node | None:
        self._check()
        return self._inputs.get(number)

    def setInput(self, number: int, node: Node | None) -> bool:
        self._check()
        assert node is None or isinstance(node, Node)
        self._inputs[number] = node
        return True

    def _source(self) -> Node:
        node = self
        while node.Class() != "Read" and node.input(0) is not None:
            node = node.input(0)  # type: ignore[assignment]
        return node

    def firstFrame(self) -> int:
        found = self._source()
        return int(found["first"].value()) if found.Class() == "Read" else 1

    def lastFrame(self) -> int:
        found = self._source()
        return int(found["last"].value()) if found.Class() == "Read" else 100

    def width(self) -> int:
        self._check()
        return self.size[0]

    def height(self) -> int:
        self._check()
        return self.size[1]

    def channels(self) -> list[str]:
        self._check()
        alpha = ["rgba.alpha"] if self.has_alpha else []
        return ["rgba.red", "rgba.green", "rgba.blue", *alpha]

    def xpos(self) -> int:
        return self.position[0]

    def ypos(self) -> int:
        return self.position[1]

    def setXYpos(self, x: int, y: int) -> None:
        assert isinstance(x, int) and isinstance(y, int)
        self.position = (x, y)


class Group(Node):
    def __init__(self, nuke: FakeNuke, kind: str, parent: Group | None) -> None:
        super().__init__(nuke, kind, parent)
        self.children: list[Node] = []

    def node(self, name: str) -> Node | None:
        self._check()
        return next((child for child in self.children if child.name() == name), None)

    def __enter__(self) -> Group:
        self._nuke.context.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._nuke.context.pop()


class Nodes:
    """`nuke.nodes.Class(knob=value, …)`."""

    def __init__(self, nuke: FakeNuke) -> None:
        self._nuke = nuke

    def __getattr__(self, kind: str) -> Callable[..., Node]:
        if kind not in KNOBS:
            raise AttributeError(f"no node class {kind}")
        return lambda **knobs: self._nuke.add(kind, **knobs)


class Undo:
    def __init__(self, nuke: FakeNuke) -> None:
        self._nuke = nuke

    def disable(self) -> None:
        self._nuke.undo_off += 1

    def enable(self) -> None:
        self._nuke.undo_off -= 1
        assert self._nuke.undo_off >= 0


class FakeNuke:
    """The state behind the module: nodes, the main thread's queue, what was executed."""

    def __init__(self, gizmo_text: str, *, gui: bool = True) -> None:
        self.main = threading.get_ident()
        self.gui, self.executing = gui, False
        self.undo_off, self.frame, self.patience = 0, 1001, 10.0
        self.changes: list[tuple[str, Any, bool]] = []
        self.executed: list[tuple[str, int, str]] = []
        self.printed: list[str] = []
        self.waiting: queue.Queue[Callable[[], None]] = queue.Queue()
        self.callbacks: dict[str, list[tuple[Callable[..., Any], str]]] = {
            "create": [], "destroy": [], "close": []
        }  # fmt: skip
        self.this: Node | None = None
        self.menu_commands: list[tuple[str, str]] = []
        self.render: Callable[[Node, int, str], None] = lambda write, frame, path: Path(
            path
        ).write_text(f"{write.name()} {frame}")
        self._gizmo: Gizmo = read_gizmo(gizmo_text)
        self._root = Group(self, "Root", None)
        self._root["name"].setValue("")
        self.context: list[Group] = [self._root]
        self.module = self._module()

    def root(self) -> Group:
        return self._root

    def must_be_main(self) -> None:
        if threading.get_ident() != self.main:
            raise AssertionError("Nuke was called from another thread than the main one")

    def add(self, kind: str, parent: Group | None = None, **knobs: Any) -> Node:
        """A node in the context, or in `parent`; its name gets a number, as Nuke gives it."""
        self.must_be_main()
        into = parent or self.context[-1]
        node = (Group if kind in ("Group", "VfxMatte") else Node)(self, kind, into)
        if kind == "VfxMatte":
            self._fill(node)  # type: ignore[arg-type]
        taken = {child.name() for child in into.children}
        number = next(i for i in range(1, 1000) if f"{kind}{i}" not in taken)
        node["name"].setValue(f"{kind}{number}")
        for name, value in knobs.items():
            node[name].setValue(value)
        into.children.append(node)
        if kind == "VfxMatte":
            self.call_back("create", node)
        return node

    def delete(self, node: Node) -> None:
        self.call_back("destroy", node)
        node._parent.children.remove(node)  # type: ignore[union-attr]
        node._alive = False

    def call_back(self, event: str, node: Node | None = None) -> None:
        self.this = node
        for call, kind in self.callbacks[event]:
            if kind == "*" or (node is not None and node.Class() == kind):
                call()
        self.this = None

    def pump(self, until: Callable[[], bool]) -> None:
        """The interface's main loop: does what other threads ask for."""
        while not until():
            try:
                self.waiting.get(timeout=self.patience)()
            except queue.Empty:
                raise AssertionError(f"nothing happened for {self.patience} seconds") from None

    def _fill(self, node: Group) -> None:
        """The gizmo's user knobs and inner nodes, from its text."""
        empty: dict[int, Any] = {1: "", 2: "", 3: 0, 4: "", 22: None, 26: ""}
        for user in self._gizmo.node.user_knobs:
            if user.type == 20:
                continue
            value = user.choices[0] if user.type == 4 else empty[user.type]
            value = user.options.get("T", "") if user.type == 26 else value
            knob = FileKnob if user.type == 2 else Button if user.type == 22 else Knob
            node._knobs[user.name] = knob(self, user.name, value, tuple(user.choices))
        for name, text in self._gizmo.node.knobs.items():
            if name not in COMMON:
                node[name].expression = text
                node[name]._value = int(self._root[text.strip("{}").split(".")[1]].value())
        for inner in self._gizmo.inner:
            node.children.append(self._inner(node, inner))

    def _inner(self, node: Group, inner: ScriptNode) -> Node:
        child = Node(self, inner.kind, node)
        assert inner.kind in KNOBS, f"the gizmo has a {inner.kind}, of unknown knobs"
        for name, text in inner.knobs.items():
            if name in ("xpos", "ypos", "inputs"):
                continue
            knob = child[name]
            if knob._choices:
                knob.setValue(text)
            elif "{" in text or "[" in text:
                knob.expression = text
            elif isinstance(knob._value, bool):
                knob.setValue({"true": True, "false": False}[text])
            else:
                knob.setValue(type(knob._value)(text))
        return child

    def _module(self) -> types.ModuleType:
        """What `import nuke` gives: these functions and no other."""
        module = types.ModuleType("nuke")

        def executeInMainThread(call: Callable[..., Any], args: Any = (), kwargs: Any = {}) -> None:  # noqa: B006
            args = args if isinstance(args, tuple) else (args,)
            self.waiting.put(lambda: call(*args, **kwargs))

        def executeInMainThreadWithResult(
            call: Callable[..., Any],
            args: Any = (),
            kwargs: Any = {},  # noqa: B006
        ) -> Any:
            assert threading.get_ident() != self.main, "this would wait for itself for ever"
            answer: queue.Queue[Any] = queue.Queue()
            args = args if isinstance(args, tuple) else (args,)
            self.waiting.put(lambda: answer.put(call(*args, **kwargs)))
            return answer.get(timeout=10)

        def execute(
            nameOrNode: Node | str, start: int, end: int, incr: int, views: list[str],
            continueOnError: bool = False,
        ) -> None:  # fmt: skip
            self._execute(nameOrNode, start, end, incr, views)

        def add_callback(event: str) -> Callable[..., None]:
            def add(call: Any, args: Any = (), kwargs: Any = {}, nodeClass: str = "*") -> None:  # noqa: B006
                assert callable(call)
                self.callbacks[event].append((lambda: call(*args, **kwargs), nodeClass))

            return add

        module.executeInMainThread = executeInMainThread  # type: ignore[attr-defined]
        module.executeInMainThreadWithResult = executeInMainThreadWithResult  # type: ignore[attr-defined]
        module.execute = execute  # type: ignore[attr-defined]
        module.addOnCreate = add_callback("create")  # type: ignore[attr-defined]
        module.addOnDestroy = add_callback("destroy")  # type: ignore[attr-defined]
        module.addOnScriptClose = add_callback("close")  # type: ignore[attr-defined]
        module.GUI = self.gui  # type: ignore[attr-defined]
        module.executing = lambda: self.executing  # type: ignore[attr-defined]
        module.root = self.root  # type: ignore[attr-defined]
        module.frame = lambda: self.frame  # type: ignore[attr-defined]
        module.views = lambda: ["main"]  # type: ignore[attr-defined]
        module.thisNode = lambda: self.this  # type: ignore[attr-defined]
        module.toNode = self._to_node  # type: ignore[attr-defined]
        module.tprint = self.printed.append  # type: ignore[attr-defined]
        module.nodes = Nodes(self)  # type: ignore[attr-defined]
        module.Undo = Undo(self)  # type: ignore[attr-defined]
        module.menu = self._menu  # type: ignore[attr-defined]
        return module

    def _execute(self, node: Node | str, start: int, end: int, incr: int, views: list[str]) -> None:
        self.must_be_main()
        assert isinstance(node, Node) and node.Class() == "Write"
        assert all(isinstance(n, int) for n in (start, end, incr)) and views == ["main"]
        if node["disable"].value() or not node["file"].value():
            raise RuntimeError("nothing to execute")
        for frame in range(start, end + 1, incr):
            self.executed.append((node.name(), frame, node["file"].value()))
            self.render(node, frame, node["file"].value())

    def _to_node(self, name: str) -> Node | None:
        found: Node | None = self._root
        for part in name.split("."):
            found = found.node(part) if isinstance(found, Group) else None
        return found

    def _menu(self, name: str) -> Any:
        assert name in ("Nodes", "Nuke", "Viewer"), name
        menu = types.SimpleNamespace()
        menu.addCommand = lambda path, command: self.menu_commands.append((path, command))
        return menu
