"""Fixtures of cuts."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def long_shot(tmp_path: Path) -> Path:
    """long shot/plate/plate.1001…1040.exr (empty files: names are enough) and one trimap."""
    from tests.long_cut import make_plate  # which needs OpenTimelineIO

    return make_plate(tmp_path / "long shot")
