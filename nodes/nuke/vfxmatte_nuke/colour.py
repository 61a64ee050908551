"""The OpenColorIO colour space of a plate, from the project's settings and its Read's."""

from __future__ import annotations

import re
from typing import NamedTuple

_ROLES = (
    "default", "scene_linear", "compositing_log", "compositing_linear", "color_timing",
    "color_picking", "data", "matte_paint", "texture_paint", "rendering", "reference",
    "aces_interchange", "cie_xyz_d65_interchange",
)  # fmt: skip
_WITH_ROLE = re.compile(r"(\w+) \((.+)\)$")

NATIVE = {
    "linear": "lin_rec709_scene",
    "srgb": "srgb_texture",
    "gamma1.8": "g18_rec709_tx",
    "gamma2.2": "g22_rec709_tx",
    "gamma2.4": "g24_rec709_tx",
}
"""Nuke's own curves (colour management 'Nuke') that have an exact counterpart in the built-in
ACES configuration. Its other curves have no primaries; such plates are rendered through Nuke."""

BUILT_IN = "ocio://studio-config-latest"
NATIVE_WORKING = "lin_rec709_scene"


class Project(NamedTuple):
    """Colour management of the script, from the root node."""

    management: str
    """Nuke or OCIO."""
    config: str
    """The `OCIO_config` knob."""
    custom: str
    """Path of the custom config."""
    working: str
    """The working space."""
    environment: str
    """$OCIO, "" if unset."""
    built_in: str
    """Path of the named config inside Nuke's installation, "" if Nuke does not name it."""

    @property
    def is_ocio(self) -> bool:
        return self.management.upper() == "OCIO" and self.config != "nuke-default"


def plain_name(text: str) -> str:
    """Return the plain name: `ACEScg` for `scene_linear (ACEScg)` or `ACES/ACEScg`."""
    name = text.strip()
    match = _WITH_ROLE.match(name)
    if match is not None and match.group(1) in _ROLES:
        name = match.group(2).strip()
    return name.rsplit("/", 1)[-1].strip()


def configuration(project: Project) -> str:
    """Return the project's OpenColorIO configuration; "" for vfxmatte's default.

    The default follows $OCIO, which a script in Nuke's own colour management does not.
    """
    if not project.is_ocio:
        return BUILT_IN if project.environment else ""
    if project.environment:
        return project.environment
    return project.custom if project.config == "custom" else project.built_in


def working_space(project: Project) -> str:
    """Return the colour space of a plate that Nuke rendered raw."""
    return plain_name(project.working) if project.is_ocio else NATIVE_WORKING


def file_space(project: Project, colorspace: str, raw: bool) -> str | None:
    """Return the colour space of a Read's file; None if only Nuke itself can convert it.

    A raw Read counts as the working space, as everywhere in the script.
    """
    if raw:
        return working_space(project)
    name = plain_name(colorspace)
    if project.is_ocio:
        return name
    spaces: dict[str, str] = NATIVE
    return spaces.get(name.replace(" ", "").lower())
