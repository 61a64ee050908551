"""What a run says of the program that made it."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from vfxmatte.pipeline import manifest
from vfxmatte.reporting.totals import peak_rss_bytes


def test_opencv_may_be_installed_under_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    import cv2

    names = {"opencv-contrib-python": "4.11.0.86", "numpy": "2.1.0"}

    def version(name: str) -> str:
        if name not in names:
            raise PackageNotFoundError(name)
        return names[name]

    monkeypatch.setattr(manifest, "_recorded", version)
    packages = {"cv2": ["opencv-contrib-python"], "numpy": ["numpy"]}
    monkeypatch.setattr(manifest, "_packages", lambda: packages)
    assert manifest.versions()["opencv"] == "4.11.0.86"
    packages.clear()  # from a package manager that leaves no record
    assert manifest.versions()["opencv"] == cv2.__version__
    assert set(manifest.versions()) >= {"vfxmatte", "python", "torch", "numpy", "OpenEXR", "av"}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells it there")
def test_peak_memory_is_that_of_this_process() -> None:
    """Not what the process held that has started it."""
    large = bytearray(400 << 20)
    large[::4096] = b"x" * len(large[::4096])
    assert (peak_rss_bytes() or 0) > 400 << 20
    code = "from vfxmatte.reporting.totals import peak_rss_bytes; print(peak_rss_bytes())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert int(done.stdout) < 400 << 20
    assert len(large) > 0
