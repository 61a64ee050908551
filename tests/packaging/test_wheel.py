"""The built wheel: what it holds, and that it works with nothing but its dependencies installed.

`make wheel` builds one and runs these tests; without $VFXMATTE_WHEEL they are skipped.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WHEEL = os.environ.get("VFXMATTE_WHEEL")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
needs_wheel = pytest.mark.skipif(not WHEEL, reason="no wheel in $VFXMATTE_WHEEL: make wheel")


@needs_wheel
def test_the_wheel_holds_every_file_of_the_packages_and_no_tests() -> None:
    with zipfile.ZipFile(WHEEL or "") as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    tracked = subprocess.run(
        ["git", "ls-files", "vfxmatte", "training"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    pages = {"training/KEYS.md", "training/render/README.md", "vfxmatte/serve/PROTOCOL.md"}
    assert names == set(tracked) - pages
    weights = {f"vfxmatte/weights/{name}.safetensors" for name in ("dim", "light", "portrait")}
    assert {"vfxmatte/py.typed", *weights} <= names


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `vfxmatte` of a new environment: the wheel, and this environment's libraries.

    Libraries are taken from here, not installed again, for torch alone is larger than all others.
    """
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    options = ["--quiet", "--disable-pip-version-check", "--no-deps"]
    pip = [sys.executable, "-m", "pip", "--python", python]
    ran(*pip, "install", *options, WHEEL or "", cwd=folder)
    own = ran(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder)
    libraries = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (Path(own.strip()) / "libraries.pth").write_text("\n".join(libraries) + "\n")
    return folder / "bin" / "vfxmatte"


def ran(*command: str | Path, cwd: Path) -> str:
    """Standard output of a command that sees nothing of the clone."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_wheel
def test_the_installed_program_mattes_two_frames(program: Path, tmp_path: Path) -> None:
    version = re.search(
        r'"(.+)"', (ROOT / "vfxmatte" / "version.py").read_text("utf-8").split("__version__")[1]
    )
    assert version is not None and version[1] in ran(program, "--version", cwd=tmp_path)
    where = "import vfxmatte, training; print(vfxmatte.__file__, training.__file__)"
    assert str(ROOT) not in ran(program.with_name("python"), "-c", where, cwd=tmp_path)
    shot = tmp_path / "furry_creature"
    shutil.copytree(
        ROOT / "sample_shots" / "furry_creature", shot, ignore=shutil.ignore_patterns("matte")
    )
    two = ["--frames", "1001-1002"]
    ran(program, "check", shot, *two, cwd=tmp_path)
    ran(program, "run", shot, *two, "--fit", "0.05", cwd=tmp_path)  # six steps
    assert list((shot / "matte" / "fit").glob("*.json"))
    assert sorted(path.name for path in (shot / "matte").glob("*.exr")) == [
        "matte.1001.exr",
        "matte.1002.exr",
    ]
    ran(program.with_name("vfxmatte-train"), "--help", cwd=tmp_path)


@needs_wheel
def test_the_libraries_here_are_those_that_the_wheel_asks_for(program: Path) -> None:
    ran(program.with_name("python"), "-m", "pip", "check", cwd=program.parent)


def imported(package: str) -> set[str]:
    """Names of the top-level modules that a package imports anywhere, its own left out."""
    names: set[str] = set()
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {"vfxmatte", "training"}


def normal(requirement: str) -> str:
    """A distribution's name without version and case: `opencv-python-headless`."""
    return re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-").replace(".", "-")


@pytest.mark.parametrize("package", ["vfxmatte", "training"])
def test_every_imported_library_is_asked_for(package: str) -> None:
    extras = PROJECT["optional-dependencies"]
    asked = {normal(line) for line in PROJECT["dependencies"]}
    asked |= {normal(line) for name, lines in extras.items() if name != "dev" for line in lines}
    providers = packages_distributions()
    missing = {
        name
        for name in imported(package) - {"bpy", "bmesh", "mathutils"}  # extra render: Blender's own
        if not asked & {normal(one) for one in providers.get(name, (name,))}
    }
    assert not missing
