"""The environment of a measurement: machine, versions, threads, commit.

Unknown values are None. No names of users or folders are included.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import vfxmatte
from vfxmatte.version import __version__

_PACKAGES = (
    "torch",
    "numpy",
    "opencv-python-headless",
    "safetensors",
    "OpenEXR",
    "OpenImageIO",
    "opencolorio",
    "av",
)
_CHECKOUT = Path(vfxmatte.__file__).resolve().parents[1]


def machine() -> dict[str, Any]:
    """Return processor, cores, usable_cores, memory_bytes, system and gpus."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "usable_cores": usable_cores(),
        "memory_bytes": _memory_bytes(),
        "system": platform.system(),
        "gpus": _gpus(),
    }


def machine_in_words() -> str:
    """Describe processor, cores, memory and system in one line."""
    memory = _memory_bytes()
    parts = [_processor(), f"{os.cpu_count()} cores"]
    parts += [] if memory is None else [f"{memory / 2**30:.0f} GiB"]
    return ", ".join([*parts, platform.system()])


def usable_cores() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def versions() -> dict[str, str | None]:
    """Return versions of vfxmatte, Python and the packages that decide the speed."""
    result: dict[str, str | None] = {"vfxmatte": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            result[name] = version(name)
        except PackageNotFoundError:
            result[name] = None
    torch = sys.modules.get("torch")
    if torch is not None:
        result["torch build"] = torch.__version__
        result["CUDA"] = torch.version.cuda
    return result


def threads() -> dict[str, Any]:
    """Return the thread counts of loaded libraries, and the variables that set them."""
    result: dict[str, Any] = {
        name: os.environ.get(name)
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_WAIT_POLICY", "OPENCV_FOR_THREADS")
    }
    torch, cv2 = sys.modules.get("torch"), sys.modules.get("cv2")
    result["torch"] = None if torch is None else torch.get_num_threads()
    result["opencv"] = None if cv2 is None else cv2.getNumThreads()
    return result


def commit(folder: Path = _CHECKOUT) -> dict[str, Any] | None:
    """Return `sha` and whether the tree is `dirty`; None without git or outside a checkout."""
    top = _git(folder, "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != folder.resolve():
        return None
    sha = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return None if sha is None or changes is None else {"sha": sha, "dirty": bool(changes)}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not every system has sysconf
        return None


def _gpus() -> list[dict[str, Any]]:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    gpus = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    return [{"name": gpu.name, "memory_bytes": gpu.total_memory} for gpu in gpus]
