"""The layers that a matte's EXR may have beside its alpha, and their channels.

Names are those that Nuke, Blender and Natron show as a layer each: a letter first, then letters,
digits and underscores, and never a channel alone, such as a bare Y, which Nuke takes for luminance.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from vfxmatte.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class LayerKind:
    """One kind of layer."""

    name: str
    """The layer's name in the file, unless another is given."""
    channels: str
    """The channels, a letter each."""
    content: str
    """The content, its type and its range."""


KINDS = {
    "alpha": LayerKind(name="", channels="A", content="coverage, linear, 0 to 1; always written"),
    "foreground": LayerKind(
        name="fg", channels="RGB", content="the foreground's colour, scene-linear, not clipped"
    ),
    "despill": LayerKind(
        name="despill", channels="RGB", content="the same without spill, straight, scene-linear"
    ),
    "background": LayerKind(
        name="bg", channels="RGB", content="the background's colour, straight, scene-linear"
    ),
    "trimap": LayerKind(
        name="trimap", channels="Y", content="0 background, 0.5 unknown, 1 foreground"
    ),
    "confidence": LayerKind(
        name="confidence", channels="Y", content="how far the trimap is to be trusted, 0 to 1"
    ),
}
"""All layers, by the names of `--layers`."""

_COLOURS = frozenset({"foreground", "despill", "background"})
_TRIMAPS = frozenset({"trimap", "confidence"})
_READABLE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,30}", re.ASCII)
_RESERVED = frozenset(
    {"a", "alpha", "b", "blue", "by", "depth", "g", "green", "mask", "other", "r", "red", "rgb",
     "rgba", "ry", "u", "v", "x", "y", "z"}
)  # fmt: skip
"""Names that a host takes for channels, or for a layer of its own."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer of a file."""

    kind: str
    """A key of `KINDS`."""
    name: str
    """The name in the file; empty for alpha."""

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of its channels in the file."""
        letters = KINDS[self.kind].channels
        return tuple(f"{self.name}.{letter}" if self.name else letter for letter in letters)


def parse_layers(texts: Iterable[str]) -> tuple[Layer, ...]:
    """Parse `foreground` or, with a name of one's own, `foreground=hero_fg`.

    Raises:
        UsageError: no such layer, one that is named twice, or a name that a host cannot read.
    """
    layers = tuple(_parsed(text.strip()) for text in texts)
    names = [layer.name.lower() for layer in layers]
    twice = sorted({name or "alpha" for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(
            f"two layers have the name {twice[0]!r}", hint="give one of them another: KIND=NAME"
        )
    return layers


def check_layer_name(name: str) -> str:
    """Return a layer's name; raises UsageError if a host cannot read it."""
    if not _READABLE.fullmatch(name):
        raise UsageError(
            f"a layer cannot be called {name!r}: Nuke, Blender or Natron would not show it",
            hint="begin with a letter; then letters, digits and _, at most 31 in all",
        )
    if name.lower() in _RESERVED:
        raise UsageError(
            f"a layer cannot be called {name!r}: hosts take that for a channel of the picture, "
            "or for a layer of their own",
            hint=f"write, for example, {name.lower()}_layer",
        )
    return name


def need_colours(layers: Iterable[Layer]) -> bool:
    """Return True if the layers hold estimated colours."""
    return any(layer.kind in _COLOURS for layer in layers)


def need_trimaps(layers: Iterable[Layer]) -> bool:
    """Return True if the layers are made from the trimap."""
    return any(layer.kind in _TRIMAPS for layer in layers)


def _parsed(text: str) -> Layer:
    kind, renamed, name = (part.strip() for part in text.partition("="))
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, 1)
        hint = f"did you mean {near[0]}?" if near else f"layers: {', '.join(KINDS)}"
        raise UsageError(f"there is no layer {kind!r}", hint=hint)
    if not renamed:
        return Layer(kind=kind, name=KINDS[kind].name)
    if kind == "alpha":
        raise UsageError(
            "alpha has no other name: hosts look for it in the channel A", hint="write alpha"
        )
    return Layer(kind=kind, name=check_layer_name(name))
