"""Elements that Blender renders, at the ends of what a seed may draw."""

from __future__ import annotations

from pathlib import Path

import cv2
from click.testing import CliRunner

from tests.nodes.blender_host import blender_python
from training.render import kinds
from training.render.__main__ import cli

BARE_TWIGS, LOW_BODY = 5029, 5007


def test_twigs_without_leaves_and_a_body_below_all_hair(tmp_path: Path) -> None:
    assert [kinds.kind_of(seed) for seed in (BARE_TWIGS, LOW_BODY)] == ["foliage", "fur"]
    result = CliRunner().invoke(
        cli,
        ["foregrounds", str(tmp_path), "--seeds", f"{BARE_TWIGS},{LOW_BODY}", "--size", "64",
         "--samples", "4", "--colour-samples", "1", "--blender-python", str(blender_python())],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    solid = []
    for seed, kind in ((LOW_BODY, "fur"), (BARE_TWIGS, "foliage")):
        path = tmp_path / f"{seed:05d}_{kind}.webp"
        picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert picture is not None and picture.shape == (64, 64, 4)
        assert picture[..., 3].any()
        solid.append((picture[..., 3] > 250).mean())
    assert solid[0] > 0.05 > solid[1]
