"""Callbacks: nodes created, loaded, pasted or deleted, and scripts closed."""

from __future__ import annotations

from typing import Any

from vfxmatte_nuke import host, renders


def register() -> None:
    """Register the callbacks; called once, from init.py."""
    host.on_lifetime(created, destroyed, renders.cancel_all)


def created(node: Any) -> None:
    """Reset a node that was saved or copied in the middle of a render."""
    if host.values(node, ("rendering",))["rendering"] and renders.of_node(node) is None:
        host.set_values(node, rendering=0, status="Stopped in the middle. Press Render to go on.")


def destroyed(node: Any) -> None:
    """Stop the render of a deleted node; finished frames stay."""
    render = renders.of_node(node)
    if render is not None:
        render.cancel()
