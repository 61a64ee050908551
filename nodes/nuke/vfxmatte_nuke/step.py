"""One frame for Nuke to render before a job."""

from __future__ import annotations

import os
from typing import NamedTuple

from vfxmatte_nuke import paths


class Step(NamedTuple):
    """One frame for Nuke to render."""

    write: str
    """Name of the Write inside the node."""
    what: str
    """trimap, plate, garbage matte, core matte or clean plate."""
    frame: int
    folder: str
    name: str
    """File name within the folder."""

    @classmethod
    def of(cls, write: str, what: str, number: int, folder: str, ending: str) -> Step:
        """Make the step that renders `folder`/WHAT.NUMBER.ENDING, blanks left out."""
        path = paths.numbered(folder, what.replace(" ", ""), number, ending)
        return cls(write, what, number, folder, os.path.basename(path))

    @property
    def final(self) -> str:
        return self.folder + "/" + self.name

    @property
    def fresh(self) -> str:
        """The file it is rendered into first, so that no half-written file has the final name."""
        return self.folder + "/unfinished/" + self.name
