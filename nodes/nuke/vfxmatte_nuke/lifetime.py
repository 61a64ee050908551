"""Nodes that are made, loaded, pasted or deleted, and scripts that are closed."""

from __future__ import annotations

from typing import Any

from vfxmatte_nuke import host, jobs


def register() -> None:
    """Called once, from init.py."""
    host.on_lifetime(created, destroyed, jobs.cancel_all)


def created(node: Any) -> None:
    """A node that was saved or copied in the middle of a render is not rendering here."""
    if host.values(node, ("rendering",))["rendering"] and jobs.of_node(node) is None:
        host.set_values(node, rendering=0, status="Stopped in the middle. Press Render to go on.")


def destroyed(node: Any) -> None:
    """A render stops with its node; finished frames stay."""
    job = jobs.of_node(node)
    if job is not None:
        job.cancel()
