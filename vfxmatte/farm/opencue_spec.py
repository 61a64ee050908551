"""OpenCue's job specification (cjsl): https://www.opencue.io.

OpenCue counts frames and starts a command for each chunk, replacing #IFRAME# by its first frame. It
does not map paths: workers use those of this machine.
"""

from __future__ import annotations

import getpass
import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.etree import ElementTree

from vfxmatte.errors import UsageError
from vfxmatte.farm.job import FarmBatch, FarmJob

SPEC_VERSION = "1.13"
_HEAD = (
    '<?xml version="1.0"?>\n<!DOCTYPE spec PUBLIC "SPI Cue  Specification Language" '
    f'"http://localhost:8080/spcue/dtd/cjsl-{SPEC_VERSION}.dtd">\n'
)
_RETRIES = 2
_GPU_MEMORY = "8g"  # that OpenCue reserves for a chunk


@dataclass(frozen=True, kw_only=True)
class CueNames:
    """The names under which OpenCue runs a job."""

    show: str
    """A show that OpenCue knows."""
    user: str
    """Name of the submitter."""
    uid: int | None = None
    """Numeric id of the submitter; None where the system has none."""

    def __post_init__(self) -> None:
        if not self.show.strip():
            raise UsageError("OpenCue wants the name of a show", hint="give --show NAME")


def this_user(show: str) -> CueNames:
    """Return the names of the user who runs this program."""
    uid = os.getuid() if hasattr(os, "getuid") else None
    return CueNames(show=show, user=getpass.getuser(), uid=uid)


def spec(batch: FarmBatch, names: CueNames) -> str:
    """Return the XML: for each shot a layer of chunks, and a layer that merges when all chunks are
    done; before them one that makes the fit to the shot, if one is wanted. The layers of a single
    shot are `fit`, `solve` and `merge`."""
    root = ElementTree.Element("spec")
    _add(root, show=names.show, shot=_token(batch.name), user=names.user)
    if names.uid is not None:
        _add(root, uid=str(names.uid))
    title = _token(f"vfxmatte-{batch.name}")
    element = ElementTree.SubElement(root, "job", name=title)
    _add(element, paused="False", maxretries=str(_RETRIES), autoeat="False", env=None)
    layers = ElementTree.SubElement(element, "layers")
    depends = ElementTree.SubElement(root, "depends")
    for job, suffix in zip(batch.jobs, _suffixes(batch.jobs), strict=True):
        fit, solve, merge = (f"{name}{suffix}" for name in ("fit", "solve", "merge"))
        if job.fit:
            _add_fit(layers, job, fit)
        _add_solve(layers, job, solve)
        _add_merge(layers, job, merge)
        for before, after in pairwise([*([fit] if job.fit else []), solve, merge]):
            kind = {"type": "LAYER_ON_LAYER", "anyframe": "False"}
            depend = ElementTree.SubElement(depends, "depend", kind)
            _add(depend, depjob=title, deplayer=after, onjob=title, onlayer=before)
    ElementTree.indent(root, " ")
    return _HEAD + ElementTree.tostring(root, encoding="unicode") + "\n"


def _suffixes(jobs: Sequence[FarmJob]) -> list[str]:
    """Return the ends of the layers' names, unique and without what OpenCue refuses."""
    if len(jobs) == 1:
        return [""]
    names = [f"_{_token(job.name)}" for job in jobs]
    unique = len(set(names)) == len(names)
    return names if unique else [f"{name}_{n}" for n, name in enumerate(names, start=1)]


def _add_fit(layers: ElementTree.Element, job: FarmJob, name: str) -> None:
    command = _command(job, "fit", ["--frames", str(job.frames)])
    layer = ElementTree.SubElement(layers, "layer", name=name, type="Render")
    first = str(next(iter(job.frames)))
    _add(layer, cmd=command, range=first, chunk="1", **_needs(job), env=None)
    _add(ElementTree.SubElement(layer, "services"), service="shell")


def _needs(job: FarmJob) -> dict[str, str]:
    needs = {"memory": f"{job.memory_gib:g}g"}
    if job.gpus:
        needs |= {"gpus": str(job.gpus), "gpu_memory": _GPU_MEMORY}
    return needs


def _add_solve(layers: ElementTree.Element, job: FarmJob, name: str) -> None:
    part = ["--frames", str(job.frames), "--chunk", "--chunk-size", str(job.chunk_size)]
    command = f"{_command(job, 'run', part)} --chunk-start #IFRAME#"
    layer = ElementTree.SubElement(layers, "layer", name=name, type="Render")
    _add(
        layer,
        cmd=command,
        range=str(job.frames),
        chunk=str(job.chunk_size),
        **_needs(job),
        env=None,
    )
    _add(ElementTree.SubElement(layer, "services"), service="shell")


def _add_merge(layers: ElementTree.Element, job: FarmJob, name: str) -> None:
    command = _command(job, "merge", ["--frames", str(job.frames)])
    layer = ElementTree.SubElement(layers, "layer", name=name, type="Util")
    _add(layer, cmd=command, range=str(next(iter(job.frames))), chunk="1", env=None)
    _add(ElementTree.SubElement(layer, "services"), service="shell")


def _command(job: FarmJob, name: str, options: list[str]) -> str:
    """Return a command line for a shell."""
    paths = job.shot_arguments({path.name: str(path.path) for path in job.paths})
    words = [job.command, name, *paths, "--device", job.device, *options]
    if any(re.search(r"#[A-Z_]+#", word) for word in words):
        raise UsageError("#NAME# in an option or a path would be replaced by OpenCue")
    return shlex.join(words)


def _token(name: str) -> str:
    """Replace what XML and OpenCue refuse in a name."""
    return re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII).strip("_") or "shot"


def _add(parent: ElementTree.Element, **texts: str | None) -> None:
    """Append an element for each tag, with its text."""
    for tag, text in texts.items():
        ElementTree.SubElement(parent, tag).text = text
