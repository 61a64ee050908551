"""The two nodes as ComfyUI shows them: inputs, outputs, texts; shared by V3 and V1."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from . import batches, host, sequences

CATEGORY = "mask/vfxmatte"
DEVICES = ("auto", "cuda", "cpu")
MODES = ("exact", "fast")
FOREGROUNDS = ("none", "premultiplied", "straight")


@dataclass(frozen=True)
class Entry:
    """One input of a node."""

    kind: str
    """IMAGE, MASK, STRING, BOOLEAN or COMBO, as ComfyUI names them."""
    name: str
    tooltip: str
    default: Any = None
    """Value where a workflow gives none; None: it has none."""
    options: tuple[str, ...] = ()
    """Values of a COMBO."""
    may_be_open: bool = False
    """May have no wire, though it has no default: IMAGE and MASK."""

    @property
    def is_optional(self) -> bool:
        return self.may_be_open or self.default is not None

    def check(self, value: Any) -> None:
        """Raise RuntimeError for a wrong value; ComfyUI does not check values from other nodes."""
        if self.options and value not in self.options:
            raise RuntimeError(
                f"{self.name} is one of {', '.join(self.options)}, found {value!r:.80}"
            )
        if self.kind == "STRING" and not isinstance(value, str):
            raise RuntimeError(f"{self.name} must be a text, found {value!r:.80}")


@dataclass(frozen=True)
class Spec:
    """One node."""

    node_id: str
    display_name: str
    description: str
    inputs: tuple[Entry, ...]
    outputs: tuple[tuple[str, str], ...]
    """Kind and name of each output."""
    work: Callable[..., tuple[Any, ...]]
    """Takes the inputs by name and returns the outputs."""
    watches_disk: bool = False
    """Its files may change while its inputs stay the same, so it always runs."""

    def run(self, inputs: Mapping[str, Any], prompt: Any, node: Any) -> tuple[Any, ...]:
        """Execute the node with a workflow's inputs; raises RuntimeError.

        Args:
            inputs: values by name.
            prompt, node: see `host.known_inputs`.
        """
        entries = {entry.name: entry for entry in self.inputs}
        known = host.known_inputs(set(entries), inputs, prompt, node)
        for name, value in known.items():
            entries[name].check(value)
        return self.work(**known)


_SOLVING = (
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
        *_SOLVING,
        Entry(
            "STRING",
            "subject",
            "Of several folders in trimaps this one, and folder is its own; empty: all.",
            "",
        ),
        Entry(
            "COMBO",
            "foreground",
            "Write the foreground's colour, free of the background's, beside alpha.",
            "none",
            FOREGROUNDS,
        ),
        Entry("STRING", "layers", "More layers of the EXRs: trimap,confidence,background.", ""),
        Entry("STRING", "fit", "Fit to the shot's keyframes first: auto, off, minutes.", "auto"),
        Entry("BOOLEAN", "subject_layers", "All subjects in one EXR too, as layers NAME.A.", False),
        Entry("STRING", "garbage", "Garbage mattes: alpha is 0 outside. Folder, still, movie.", ""),
        Entry("STRING", "core", "Core mattes: alpha is 1 inside. Folder, still, movie.", ""),
        Entry("STRING", "clean_plate", "What is behind the subject. Folder, still, movie.", ""),
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
        *_SOLVING,
        Entry("MASK", "garbage", "Alpha is 0 outside: one each, or one for all.", may_be_open=True),
        Entry("MASK", "core", "Alpha is 1 inside: one each, or one for all.", may_be_open=True),
    ),
    outputs=(("MASK", "matte"),),
    work=batches.run,
)

NODES = (SEQUENCE, BATCH)
