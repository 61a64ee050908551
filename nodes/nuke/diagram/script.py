"""A parser for the text of a gizmo or a .nk script: user knobs, and nodes with their inputs.

Nuke's scripts are stack programs: a node takes as many nodes from the stack as its `inputs` says
(one by default), the topmost as input 0, and is put on the stack itself; `set N [stack 0]`
remembers the topmost, `push $N` puts it there again.
"""

from __future__ import annotations

from dataclasses import dataclass, field


class ScriptError(Exception):
    """The text is no script: unbalanced braces, an unknown variable, an empty stack."""


@dataclass
class UserKnob:
    """One `addUserKnob`."""

    type: int
    """Nuke's number of the knob's type."""
    name: str
    options: dict[str, str]
    """Values by letter: l label, t tooltip, M choices, T script or text."""
    flags: set[str]
    """+HIDDEN, -STARTLINE and the like."""

    @property
    def choices(self) -> list[str]:
        return words(self.options.get("M", ""))


@dataclass
class ScriptNode:
    """A node of the script."""

    kind: str
    """Its class."""
    knobs: dict[str, str] = field(default_factory=dict)
    """Values as written, without the braces and quotes around them."""
    user_knobs: list[UserKnob] = field(default_factory=list)
    inputs: list[ScriptNode] = field(default_factory=list)
    """Input 0 first."""

    @property
    def name(self) -> str:
        return self.knobs.get("name", self.kind)


@dataclass
class Gizmo:
    """A gizmo and its inner nodes."""

    node: ScriptNode
    """The gizmo itself."""
    inner: list[ScriptNode]
    """In the order of the text."""

    def find(self, name: str) -> ScriptNode:
        return next(node for node in self.inner if node.name == name)


def words(text: str) -> list[str]:
    """Split a Tcl list into its elements: bare words, "quoted" with backslashes, {braced}."""
    elements, at = [], 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        word, at = _word(text, at)
        elements.append(word)
    return elements


def _word(text: str, at: int) -> tuple[str, int]:
    if text[at] == "{":
        return _braced(text, at)
    if text[at] == '"':
        return _quoted(text, at)
    end = at
    while end < len(text) and not text[end].isspace():
        end += 1
    return text[at:end], end


def _braced(text: str, at: int) -> tuple[str, int]:
    depth, end, quoted = 0, at, False
    while end < len(text):
        letter = text[end]
        if letter == "\\":
            end += 2
            continue
        if letter == '"':
            quoted = not quoted
        elif not quoted:
            depth += {"{": 1, "}": -1}.get(letter, 0)
        end += 1
        if depth == 0:
            return text[at + 1 : end - 1], end
    raise ScriptError(f"a brace is not closed: {text[at : at + 60]!r}")


def _quoted(text: str, at: int) -> tuple[str, int]:
    letters, end = [], at + 1
    while end < len(text):
        if text[end] == "\\":
            letters.append({"n": "\n"}.get(text[end + 1], text[end + 1]))
            end += 2
        elif text[end] == '"':
            return "".join(letters), end + 1
        else:
            letters.append(text[end])
            end += 1
    raise ScriptError(f"a quote is not closed: {text[at : at + 60]!r}")


def read_gizmo(text: str) -> Gizmo:
    """Parse the text of a .gizmo file; raises ScriptError."""
    nodes: list[ScriptNode] = []
    stack: list[ScriptNode] = []
    names: dict[str, ScriptNode] = {}
    gizmo: ScriptNode | None = None
    for statement in _statements(text):
        first, *rest = statement
        if first == "end_group":
            break
        if first == "set":
            names[rest[0]] = _top(stack, statement)
        elif first == "push":
            stack.append(_remembered(names, rest[0]))
        elif first == "version":
            continue
        elif gizmo is None:
            gizmo = _node(first, rest[0])
        else:
            node = _node(first, rest[0])
            node.inputs = _take_inputs(stack, node)
            stack.append(node)
            nodes.append(node)
    else:
        raise ScriptError("end_group is missing")
    if gizmo is None:
        raise ScriptError("there is no gizmo in the text")
    return Gizmo(gizmo, nodes)


def _statements(text: str) -> list[list[str]]:
    """Split a text into statements, each a list of words; a node's body is one word."""
    statements, at = [], 0
    body = "\n".join("" if line.startswith("#") else line for line in text.splitlines()) + "\n"
    while at < len(body):
        if body[at].isspace():
            at += 1
            continue
        statement = []
        while body[at] != "\n":
            if body[at].isspace():
                at += 1
                continue
            word, at = _word(body, at)
            statement.append(word)
        statements.append(statement)
    return statements


def _node(kind: str, body: str) -> ScriptNode:
    node = ScriptNode(kind)
    tokens = words(body)
    if len(tokens) % 2:
        raise ScriptError(f"{kind} has a knob without a value, among {tokens[-1]!r}")
    for name, value in zip(tokens[::2], tokens[1::2], strict=True):
        if name == "addUserKnob":
            node.user_knobs.append(_user_knob(value))
        elif name in node.knobs:
            raise ScriptError(f"{kind} sets {name} twice")
        else:
            node.knobs[name] = value
    return node


def _user_knob(text: str) -> UserKnob:
    tokens = words(text)
    options, flags, at = {}, set(), 2
    while at < len(tokens):
        if tokens[at][0] in "+-" and tokens[at][1:].isalpha():
            flags.add(tokens[at])
            at += 1
        else:
            options[tokens[at]] = tokens[at + 1]
            at += 2
    return UserKnob(int(tokens[0]), tokens[1], options, flags)


def _take_inputs(stack: list[ScriptNode], node: ScriptNode) -> list[ScriptNode]:
    """Take the node's inputs off the stack, input 0 first."""
    count = int(node.knobs.get("inputs", "1"))
    if len(stack) < count:
        raise ScriptError(f"{node.name} wants {count} inputs, the stack has {len(stack)}")
    return [stack.pop() for _ in range(count)]


def _top(stack: list[ScriptNode], statement: list[str]) -> ScriptNode:
    if not stack:
        raise ScriptError(f"{' '.join(statement)} with an empty stack")
    return stack[-1]


def _remembered(names: dict[str, ScriptNode], name: str) -> ScriptNode:
    if name[1:] not in names:
        raise ScriptError(f"push {name}, which was never set")
    return names[name[1:]]
