"""Build the extension that Blender installs: `python nodes/blender/build.py [FOLDER]`.

The engine client is shared by all hosts and lives one directory up; the .zip gets a copy.
"""

from __future__ import annotations

import re
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def build(folder: Path) -> Path:
    """Write vfxmatte-VERSION.zip into `folder` and return its path; builds are reproducible."""
    manifest = (HERE / "blender_manifest.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.+)"$', manifest, re.MULTILINE)
    if version is None:
        raise ValueError("blender_manifest.toml has no version")
    sources = {path.name: path for path in HERE.glob("*.py") if path.name != "build.py"}
    sources["command.py"] = HERE.parent / "command.py"
    sources["blender_manifest.toml"] = HERE / "blender_manifest.toml"
    sources["LICENSE"] = HERE.parents[1] / "LICENSE"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"vfxmatte-{version[1]}.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in sorted(sources.items()):
            archive.writestr(zipfile.ZipInfo(name), path.read_bytes(), zipfile.ZIP_DEFLATED)
    return target


if __name__ == "__main__":
    print(build(Path(sys.argv[1] if len(sys.argv) > 1 else "dist")))
