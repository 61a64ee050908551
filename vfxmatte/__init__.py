"""Neural matting for visual effects: a shot and a few painted trimaps in, EXR mattes out.

    shot = vfxmatte.Shot.open("shots/creature")
    for result in vfxmatte.run(shot):
        print(result.number, result.status, result.path)

    alpha = vfxmatte.matte(image, trimap)  # one picture, arrays in, array out

Names are loaded when they are first used, so that importing vfxmatte stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vfxmatte.version import __version__

_HOMES = {
    "Engine": "vfxmatte.engines.protocol",
    "EngineSettings": "vfxmatte.engines.protocol",
    "Evaluation": "vfxmatte.review.evaluation",
    "Failure": "vfxmatte.types",
    "Frame": "vfxmatte.types",
    "FrameRange": "vfxmatte.types",
    "FrameResult": "vfxmatte.types",
    "Journal": "vfxmatte.journal.journal",
    "Matte": "vfxmatte.types",
    "MatteSettings": "vfxmatte.pipeline.edges",
    "Means": "vfxmatte.review.evaluation",
    "MergeReport": "vfxmatte.pipeline.merge",
    "OutputSettings": "vfxmatte.io.writers",
    "PropagationSettings": "vfxmatte.propagation.shot_trimaps",
    "Run": "vfxmatte.pipeline.run",
    "RunSettings": "vfxmatte.pipeline.settings",
    "Shot": "vfxmatte.pipeline.shot",
    "Task": "vfxmatte.engines.protocol",
    "Trimap": "vfxmatte.types",
    "VfxmatteError": "vfxmatte.errors",
    "Window": "vfxmatte.types",
    "lock": "vfxmatte.pipeline.locking",
    "matte": "vfxmatte.pipeline.picture",
    "merge": "vfxmatte.pipeline.merge",
    "open_alpha": "vfxmatte.review.evaluation",
    "open_engine": "vfxmatte.engines.registry",
    "read_cut": "vfxmatte.editorial.cut",
    "register_engine": "vfxmatte.engines.registry",
    "run": "vfxmatte.pipeline.run",
    "unlock": "vfxmatte.pipeline.locking",
}

# Names that are shorter where they live.
_INNER = {"register_engine": "register"}

__all__ = [*sorted(_HOMES), "__version__"]

if TYPE_CHECKING:
    from vfxmatte.editorial.cut import read_cut
    from vfxmatte.engines.protocol import Engine, EngineSettings, Task
    from vfxmatte.engines.registry import open_engine
    from vfxmatte.engines.registry import register as register_engine
    from vfxmatte.errors import VfxmatteError
    from vfxmatte.io.writers import OutputSettings
    from vfxmatte.journal.journal import Journal
    from vfxmatte.pipeline.edges import MatteSettings
    from vfxmatte.pipeline.locking import lock, unlock
    from vfxmatte.pipeline.merge import MergeReport, merge
    from vfxmatte.pipeline.picture import matte
    from vfxmatte.pipeline.run import Run, run
    from vfxmatte.pipeline.settings import RunSettings
    from vfxmatte.pipeline.shot import Shot
    from vfxmatte.propagation.shot_trimaps import PropagationSettings
    from vfxmatte.review.evaluation import Evaluation, Means, open_alpha
    from vfxmatte.types import Failure, Frame, FrameRange, FrameResult, Matte, Trimap, Window


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vfxmatte' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), _INNER.get(name, name))


def __dir__() -> list[str]:
    return sorted(__all__)
