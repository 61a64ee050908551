"""vfxmatte in ComfyUI: a node for image sequences on disk, and one for image batches.

Registers them through the V3 interface where ComfyUI has it, else through the V1 mappings; never
through both, because ComfyUI would then ignore the V3 entry point.
"""

from __future__ import annotations

from pathlib import Path

# vfxmatte_client: in this folder where it was copied, in the folder above where it is a link
__path__.append(str(Path(__file__).resolve().parents[1]))

try:
    import comfy_api.latest  # noqa: F401
except ImportError:
    from .v1 import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

    __all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
else:
    from .v3 import comfy_entrypoint

    __all__ = ["comfy_entrypoint"]
