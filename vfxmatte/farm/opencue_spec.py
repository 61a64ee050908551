"""A job as OpenCue's job specification (cjsl): https://www.opencue.io.

OpenCue counts frames and starts a command for each chunk, with its first frame for #IFRAME#. It
maps no paths: workers see what this machine sees.
"""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass
from xml.etree import ElementTree

from vfxmatte.errors import UsageError
from vfxmatte.farm.job import FarmJob

SPEC_VERSION = "1.13"
_HEAD = (
    '<?xml version="1.0"?>\n<!DOCTYPE spec PUBLIC "SPI Cue  Specification Language" '
    f'"http://localhost:8080/spcue/dtd/cjsl-{SPEC_VERSION}.dtd">\n'
)
_RETRIES = 2


@dataclass(frozen=True, kw_only=True)
class CueNames:
    """Under which names OpenCue runs a job: a show that it knows, and who submits."""

    show: str
    user: str
    uid: int | None = None

    def __post_init__(self) -> None:
        if not self.show.strip():
            raise UsageError("OpenCue wants the name of a show", hint="give --show NAME")


def spec(job: FarmJob, names: CueNames) -> str:
    """The specification as XML: a layer of chunks, and one that merges when all are done."""
    root = ElementTree.Element("spec")
    _add(root, "show", names.show)
    _add(root, "shot", _token(job.name))
    _add(root, "user", names.user)
    if names.uid is not None:
        _add(root, "uid", str(names.uid))
    title = _token(f"vfxmatte-{job.name}")
    described = ElementTree.SubElement(root, "job", name=title)
    for name, value in (("paused", "False"), ("maxretries", str(_RETRIES)), ("autoeat", "False")):
        _add(described, name, value)
    ElementTree.SubElement(described, "env")
    layers = ElementTree.SubElement(described, "layers")
    _add_solve(layers, job)
    _add_merge(layers, job)
    _add_dependency(ElementTree.SubElement(root, "depends"), title)
    ElementTree.indent(root, " ")
    return _HEAD + ElementTree.tostring(root, encoding="unicode") + "\n"


def _add_solve(layers: ElementTree.Element, job: FarmJob) -> None:
    part = ["--frames", str(job.frames), "--chunk", "--chunk-size", str(job.chunk_size)]
    command = f"{_command(job, 'run', part)} --chunk-start #IFRAME#"
    layer = _add_layer(layers, "solve", command, str(job.frames), job.chunk_size)
    _add(layer, "memory", f"{job.memory_gib:g}g")
    if job.gpus:
        _add(layer, "gpus", str(job.gpus))
        _add(layer, "gpu_memory", "8g")
    _add_services(layer)


def _add_merge(layers: ElementTree.Element, job: FarmJob) -> None:
    command = _command(job, "merge", ["--frames", str(job.frames)])
    _add_services(_add_layer(layers, "merge", command, str(next(iter(job.frames))), 1))


def _add_layer(
    layers: ElementTree.Element, name: str, command: str, frames: str, chunk: int
) -> ElementTree.Element:
    kind = "Render" if name == "solve" else "Util"
    layer = ElementTree.SubElement(layers, "layer", name=name, type=kind)
    for tag, value in (("cmd", command), ("range", frames), ("chunk", str(chunk))):
        _add(layer, tag, value)
    return layer


def _add_services(layer: ElementTree.Element) -> None:
    ElementTree.SubElement(layer, "env")
    _add(ElementTree.SubElement(layer, "services"), "service", "shell")


def _add_dependency(depends: ElementTree.Element, title: str) -> None:
    kind = {"type": "LAYER_ON_LAYER", "anyframe": "False"}
    depend = ElementTree.SubElement(depends, "depend", kind)
    for tag, value in (
        ("depjob", title), ("deplayer", "merge"), ("onjob", title), ("onlayer", "solve")
    ):  # fmt: skip
        _add(depend, tag, value)


def _command(job: FarmJob, name: str, more: list[str]) -> str:
    """As a shell reads it."""
    paths = job.shot_arguments({path.name: str(path.path) for path in job.paths})
    words = [job.command, name, *paths, "--device", job.device, *more]
    if any("#" in word and re.search(r"#[A-Z_]+#", word) for word in words):
        raise UsageError("#NAME# in an option or a path would be replaced by OpenCue")
    return shlex.join(words)


def _token(name: str) -> str:
    """A name without what XML and OpenCue refuse."""
    return re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII).strip("_") or "shot"


def _add(parent: ElementTree.Element, tag: str, text: str) -> None:
    ElementTree.SubElement(parent, tag).text = text


def this_user(show: str) -> CueNames:
    """The names of whoever runs this program."""
    import getpass

    uid = os.getuid() if hasattr(os, "getuid") else None
    return CueNames(show=show, user=getpass.getuser(), uid=uid)
