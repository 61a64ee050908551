"""Make a .cat for Nuke's Inference node from the file that `vfxmatte export torchscript` wrote.

    Nuke15.1 --nukex -t make_cat.py matting.pt matting.cat

Runs inside of Nuke (CatFileCreator needs NukeX or Nuke Studio; the .cat then runs in any Nuke).
The .cat must be made by the oldest Nuke that is to read it. Standard library and `nuke` alone.
"""

from __future__ import annotations

import json
import os
import sys
import zipfile

USE = "nuke --nukex -t make_cat.py MODEL.pt MODEL.cat"
CHANNELS_IN = "rgba.red,rgba.green,rgba.blue,rgba.alpha"
CHANNELS_OUT = "rgba.alpha"
RECORD_NAME = "extra/vfxmatte.json"

LABELS = {
    "colorspace": "working space (0 linear Rec.709, 1 ACEScg, 2 sRGB)",
    "refine": "refinement (1 on, 0 off)",
    "tile_px": "tile size in pixels (0: all at once)",
}


class CatError(Exception):
    """Nothing was made; the message is for the artist."""


def read_record(model: str) -> dict:
    """Return the record inside an exported model; raises CatError for any other file."""
    try:
        with zipfile.ZipFile(model) as archive:
            name = next(n for n in archive.namelist() if n.endswith("/" + RECORD_NAME))
            return json.loads(archive.read(name).decode("utf-8"))
    except OSError as error:
        raise CatError(f"cannot read {model}: {error.strerror or error}") from error
    except (zipfile.BadZipFile, StopIteration, ValueError) as error:
        raise CatError(f"{model} was not made by `vfxmatte export torchscript`") from error


def forward_slashes(path: str) -> str:
    """Return the absolute path with forward slashes, which Nuke needs on every system."""
    return os.path.abspath(path).replace("\\", "/")


def make_cat(nuke, model: str, cat: str) -> None:
    """Write the file `cat` from the TorchScript file `model`, with its knobs; raises CatError.

    Args:
        nuke: the module of that name.
        model, cat: paths.
    """
    record = read_record(model)
    knobs = json.loads(record.get("knobs", "{}"))
    if os.path.exists(cat):
        raise CatError(f"{cat} is there already: remove it, or choose another name")
    folder = os.path.dirname(os.path.abspath(cat))
    if not os.path.isdir(folder):
        raise CatError(f"there is no folder {folder}")
    if not nuke.env["nukex"]:
        raise CatError("a .cat can be made by NukeX or Nuke Studio only: start Nuke with --nukex")
    node = nuke.createNode("CatFileCreator", inpanel=False)
    try:
        _fill(nuke, node, model, cat, record, knobs)
        node["createCatFile"].execute()
    finally:
        nuke.delete(node)
    if not os.path.isfile(cat) or os.path.getsize(cat) == 0:
        raise CatError(f"Nuke made no {cat}; its own messages above say why")


def _fill(nuke, node, model: str, cat: str, record: dict, knobs: dict) -> None:
    node["torchScriptFile"].setValue(forward_slashes(model))
    node["catFile"].setValue(forward_slashes(cat))
    node["channelsIn"].setValue(CHANNELS_IN)
    node["channelsOut"].setValue(CHANNELS_OUT)
    node["modelId"].setValue("vfxmatte " + record.get("weights_sha256", "")[:12])
    for name, value in knobs.items():
        knob = nuke.Int_Knob(name, LABELS.get(name, name))
        node.addKnob(knob)
        knob.setValue(value)


def main(arguments: list) -> int:
    """Return the exit code: 0 made, 1 not made, 2 wrong use."""
    if len(arguments) != 2:
        print(f"use: {USE}", file=sys.stderr)
        return 2
    try:
        import nuke  # exists inside Nuke only
    except ImportError:
        print(f"error: this runs inside Nuke: {USE}", file=sys.stderr)
        return 2
    try:
        make_cat(nuke, arguments[0], arguments[1])
    except CatError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{arguments[1]}: made")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
