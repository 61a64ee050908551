"""The two nodes as ComfyUI shows them: inputs, outputs, words. One description for V3 and V1."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from . import batches, host, sequences

CATEGORY = "mask/vfxmatte"
DEVICES = ("auto", "cuda", "cpu")
MODES = ("exact", "fast")


@dataclass(frozen=True)
class Entry:
    """One input. kind: IMAGE, MASK, STRING, BOOLEAN or COMBO, as ComfyUI names them.

    default: None where it must be given; all others may be left out of a workflow.
    """

    kind: str
    name: str
    tooltip: str
    default: Any = None
    options: tuple[str, ...] = ()

    @property
    def is_optional(self) -> bool:
        return self.default is not None

    def check(self, value: Any) -> None:
        """Raises RuntimeError; a value that comes through a wire was checked by nobody."""
        if self.options and value not in self.options:
            raise RuntimeError(
                f"{self.name} is one of {', '.join(self.options)}, found {value!r:.80}"
            )
        if self.kind == "STRING" and not isinstance(value, str):
            raise RuntimeError(f"{self.name} must be a text, found {value!r:.80}")


@dataclass(frozen=True)
class Spec:
    """One node. outputs: (kind, name). work: called with the inputs by name, returns the outputs.

    watches_disk: what it reads may change under unchanged inputs, so it always runs.
    """

    node_id: str
    display_name: str
    description: str
    inputs: tuple[Entry, ...]
    outputs: tuple[tuple[str, str], ...]
    work: Callable[..., tuple[Any, ...]]
    watches_disk: bool = False

    def run(self, inputs: Mapping[str, Any], prompt: Any, node: Any) -> tuple[Any, ...]:
        """Do the node's work with what a workflow gives; raises RuntimeError.

        prompt, node: see `host.known_inputs`.
        """
        entries = {entry.name: entry for entry in self.inputs}
        known = host.known_inputs(set(entries), inputs, prompt, node)
        for name, value in known.items():
            entries[name].check(value)
        return self.work(**known)


_ENGINE = (
    Entry("COMBO", "device", "auto takes a GPU where there is one.", "auto", DEVICES),
    Entry("COMBO", "mode", "exact, or fast with a little less.", "exact", MODES),
)

SEQUENCE = Spec(
    node_id="VfxmatteSequence",
    display_name="vfxmatte sequence",
    description="Mattes for an image sequence or a movie on disk, from trimaps painted on a few "
    "keyframes. Only paths go through ComfyUI, so a shot may be as long as you like.",
    inputs=(
        Entry("STRING", "plate", "Folder, pattern (plate.####.exr) or movie.", ""),
        Entry("STRING", "trimaps", "Folder of painted trimaps, NAME.FRAME.ext.", ""),
        Entry("STRING", "output", "Folder for the mattes; empty: one in ComfyUI's output.", ""),
        Entry("STRING", "frames", "1001-1100 or 1001-1100x2; empty: all.", ""),
        Entry("STRING", "colorspace", "The plate's OpenColorIO space; empty: by file type.", ""),
        Entry("BOOLEAN", "overwrite", "Do finished frames again.", False),
        *_ENGINE,
    ),
    outputs=(("STRING", "folder"), ("INT", "count")),
    work=sequences.run,
    watches_disk=True,
)

BATCH = Spec(
    node_id="VfxmatteBatch",
    display_name="vfxmatte images",
    description="A matte for each image of a batch, from trimaps: 0 background, 0.5 unknown, "
    "1 foreground. A batch holds every frame in memory; for long shots take the sequence node.",
    inputs=(
        Entry("IMAGE", "image", "Display sRGB, 0 to 1; a fourth channel is not used."),
        Entry("MASK", "trimap", "One for each image, or one for all of them."),
        *_ENGINE,
    ),
    outputs=(("MASK", "matte"),),
    work=batches.run,
)

NODES = (SEQUENCE, BATCH)
