"""Runs that write foreground colours and layers: from solving, and anew from older mattes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import OpenEXR
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from tests.conftest import TINY_NUMBERS, TINY_WINDOW, tiny_alpha, tiny_plate
from tests.pipeline.test_same_pixels import Counting, results_of
from vfxmatte.cli import commands
from vfxmatte.foreground.planes import confidence_map
from vfxmatte.io.mattes import read_matte
from vfxmatte.io.writers import OutputSettings
from vfxmatte.pipeline.plan import Fingerprints
from vfxmatte.pipeline.run import Run
from vfxmatte.pipeline.settings import RunSettings, digest
from vfxmatte.pipeline.shot import Shot
from vfxmatte.review.delivery import Delivery
from vfxmatte.types import Matte, Trimap, Window

ALL = ("alpha", "foreground", "despill", "background", "trimap", "confidence")


def planes_of(path: Path) -> dict[str, NDArray[Any]]:
    with OpenEXR.File(str(path), separate_channels=True) as file:
        return {name: channel.pixels for name, channel in file.channels().items()}


def run(shot: Path, *options: object) -> str:
    command = ["run", str(shot), "--engine", "trimap", *map(str, options)]
    result = CliRunner().invoke(commands, command)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("mode", ["straight", "premultiplied"])
def test_the_foreground_is_the_plate_where_alpha_is_one(tiny_shot: Path, mode: str) -> None:
    run(tiny_shot, "--foreground", mode)
    found = planes_of(tiny_shot / "matte" / "matte.1003.exr")
    assert set(found) == set("RGBA")
    plate, solid = tiny_plate(2).astype(np.float16), found["A"] == 1
    assert solid.sum() > 100
    for index, name in enumerate("RGB"):
        np.testing.assert_array_equal(found[name][solid], plate[:, :, index][solid])
    empty = found["A"] == 0
    extended = float(found["R"][empty].astype(float).mean())
    assert (extended == 0) if mode == "premultiplied" else (extended > 0.4)


def test_all_layers_in_one_file(tiny_shot: Path) -> None:
    run(tiny_shot, "--layers", ",".join(ALL), "--despill", 1)
    found = planes_of(tiny_shot / "matte" / "matte.1003.exr")
    colours = {f"{layer}.{name}" for layer in ("fg", "bg", "despill") for name in "RGB"}
    assert set(found) == {"A", "trimap.Y", "confidence.Y", *colours}
    painted = cv2.imread(str(tiny_shot / "matte" / "trimaps" / "trimap.1003.png"), 0)
    assert painted is not None
    expected = np.select([painted == 0, painted == 255], [0.0, 1.0], 0.5)
    np.testing.assert_array_equal(found["trimap.Y"], expected)
    assert 0 <= found["confidence.Y"].min() <= found["confidence.Y"].max() <= 1
    key = planes_of(tiny_shot / "matte" / "matte.1001.exr")
    assert (key["confidence.Y"] == 1).all()
    assert (found["despill.G"] != found["fg.G"]).any()


def test_confidence_is_least_in_the_band() -> None:
    labels = np.zeros((40, 60), np.uint8)
    labels[:, 28:32], labels[:, 32:] = 128, 255
    carried = confidence_map(Trimap(number=1, labels=labels, is_keyframe=False, confidence=0.4))
    np.testing.assert_allclose(carried[:, 28:32], 0.4, atol=1e-6)
    assert (np.diff(carried[0, 32:]) >= 0).all() and carried[0, -1] > 0.99 and carried.max() <= 1
    painted = Trimap(number=1, labels=labels, is_keyframe=True)
    assert (confidence_map(painted) == 1).all()
    lost = Trimap(number=1, labels=labels * 0, is_keyframe=False, confidence=0.4)
    np.testing.assert_allclose(confidence_map(lost), 0.4, atol=1e-6)


def test_the_same_in_shot_toml_and_with_set(tiny_shot: Path, tmp_path: Path) -> None:
    text = '[output]\nforeground = "straight"\nlayers = ["trimap", "background=sky"]\n'
    (tiny_shot / "shot.toml").write_text(text, encoding="utf-8")
    run(tiny_shot)
    found = planes_of(tiny_shot / "matte" / "matte.1001.exr")
    assert set(found) == {*"RGBA", "trimap.Y", "sky.R", "sky.G", "sky.B"}
    run(tiny_shot, "-o", tmp_path / "set", "--set", "output.layers=confidence")
    assert set(planes_of(tmp_path / "set" / "matte.1001.exr")) == {*"RGBA", "confidence.Y"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"foreground": "premultiplied"}),
        ({"foreground": "straight"}, {}),
        ({}, {"layers": ALL, "despill": 0.5}),
        ({"layers": ALL}, {"layers": ("trimap",)}),
        ({"pixel_type": "float"}, {"layers": ALL}),
    ],
)
def test_layers_are_written_without_solving(
    tiny_shot: Path, tmp_path: Path, before: dict[str, Any], after: dict[str, Any]
) -> None:
    """And they are those of a run that solves."""
    assert len(results_of(tiny_shot, tmp_path / "a", **before)[1]) == 5
    results, solved = results_of(tiny_shot, tmp_path / "a", **after)
    assert solved == [] and {result.status for result in results} == {"written"}
    results_of(tiny_shot, tmp_path / "b", **after)
    for result in results:
        assert result.path is not None
        first, second = planes_of(result.path), planes_of(tmp_path / "b" / result.path.name)
        assert first.keys() == second.keys()
        for name, plane in first.items():
            np.testing.assert_array_equal(plane, second[name], err_msg=name)


@pytest.mark.parametrize("layers", [ALL, ("trimap",), ("foreground",)])
def test_layered_mattes_are_read_like_others(
    tiny_shot: Path, tmp_path: Path, layers: tuple[str, ...]
) -> None:
    """By merging, as finished mattes of another shot, as locked ones, as rotos, and by reviews."""
    listed = ("--layers", ",".join(layers))
    chunks = [CliRunner().invoke(commands, ["run", str(tiny_shot), "--engine", "trimap", *listed,
                                            "--chunk"])]  # fmt: skip
    merged = CliRunner().invoke(commands, ["merge", str(tiny_shot), "--engine", "trimap", *listed])
    assert [chunk.exit_code for chunk in chunks] == [0] and merged.exit_code == 0, merged.output
    mattes = tiny_shot / "matte"
    expected = read_matte(mattes / "matte.1003.exr", TINY_WINDOW)

    keys = tiny_shot / "keys"
    keys.mkdir()
    shutil.copy2(mattes / "matte.1003.exr", keys)
    run(tiny_shot, "--output", tmp_path / "from-keys")
    found = read_matte(tmp_path / "from-keys" / "matte.1003.exr", TINY_WINDOW)
    np.testing.assert_array_equal(found, expected)
    shutil.rmtree(keys)

    assert CliRunner().invoke(commands, ["lock", str(tiny_shot), "1003"]).exit_code == 0
    before = (mattes / "matte.1003.exr").read_bytes()
    run(tiny_shot)
    assert (mattes / "matte.1003.exr").read_bytes() == before

    roto = ["trimap", "from-matte", str(mattes / "matte.1003.exr"), "-o", str(tmp_path / "roto")]
    assert CliRunner().invoke(commands, roto).exit_code == 0
    reviewed = CliRunner().invoke(commands, ["review", str(tiny_shot), "--engine", "trimap"])
    assert reviewed.exit_code == 0, reviewed.output


def test_without_the_stored_trimap_the_frame_is_solved(tiny_shot: Path, tmp_path: Path) -> None:
    results_of(tiny_shot, tmp_path)
    (tmp_path / "trimaps" / "trimap.1003.png").unlink()
    assert results_of(tiny_shot, tmp_path, layers=("trimap",))[1] == [*TINY_NUMBERS]


def test_older_mattes_stay_finished(tiny_shot: Path) -> None:
    """Their fingerprints are digests of the settings that existed then."""
    shot = Shot.open(tiny_shot)
    with Run(shot) as prepared:
        prints = Fingerprints(prepared.plan, RunSettings(), prepared.plate, engine={}, colour="")
        older = {"format": "exr", "pixel_type": "half", "compression": "zip", "rgba": None,
                 "attributes": {}}  # fmt: skip
        assert prints.of(1001).endswith("." + digest(older)[:12])


class Exact(Counting):
    """An engine that knows the tiny shot's alpha."""

    def mattes(self, tasks: Any) -> Iterator[Matte]:
        for task in tasks:
            yield Matte(number=task.number, alpha=tiny_alpha(task.number - 1001))


def test_movie_and_preview_take_the_foreground(tiny_shot: Path, tmp_path: Path) -> None:
    """The ground is blue, the disc is not."""
    edge = (tiny_alpha(0) > 0.2) & (tiny_alpha(0) < 0.7)

    def blue_of_the_edge(**settings: Any) -> tuple[float, float]:
        chosen = RunSettings(output=OutputSettings(**settings))
        opened = Shot.open(tiny_shot, output=tmp_path / "out")
        with Run(opened, chosen, engine=Exact()) as prepared:
            delivery = Delivery(prepared, {one.number: one for one in prepared.frames()})
            path = delivery.prores(tmp_path / "cut.mov")
            sheet = cv2.imread(str(delivery.sheet()))
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0)).to_ndarray(format="rgba64le")
        path.unlink()
        assert sheet is not None
        return float(frame[edge, 2].mean()) / 65535, float(sheet[:, -64:, 0].mean())

    plates, found = blue_of_the_edge(), blue_of_the_edge(foreground="premultiplied")
    assert found[0] < plates[0] - 0.1 and found[1] < plates[1] - 0.5


def test_a_plate_of_eight_bits_is_named(tiny_shot: Path, tmp_path: Path) -> None:
    (tmp_path / "plate").mkdir()
    for index, number in enumerate(TINY_NUMBERS):
        shown = (np.clip(tiny_plate(index), 0, 1) * 255).astype(np.uint8)
        cv2.imwrite(str(tmp_path / "plate" / f"plate.{number}.png"), shown[:, :, ::-1])
    places = ("--plate", tmp_path / "plate", "-o", tmp_path / "out")
    output = run(tiny_shot, *places, "--foreground", "straight")
    assert "8 bits a channel" in output and "banding" in output
    assert "8 bits a channel" not in run(
        tiny_shot, "-o", tmp_path / "c", "--foreground", "straight"
    )
    assert "8 bits a channel" not in run(tiny_shot, *places, "--overwrite")


def test_a_despill_layer_without_despill_is_named(tiny_shot: Path) -> None:
    assert "has its spill still" in run(tiny_shot, "--layers", "foreground,despill")
    assert "has its spill still" not in run(tiny_shot, "--layers", "despill", "--despill", 0.5)


def test_a_display_plate_is_estimated_and_written_in_linear_light(
    tiny_shot: Path, tmp_path: Path
) -> None:
    (tmp_path / "plate").mkdir()
    for number in TINY_NUMBERS:
        grey = np.full((48, 64, 3), 32768, np.uint16)
        cv2.imwrite(str(tmp_path / "plate" / f"plate.{number}.png"), grey)
    places = ("--plate", tmp_path / "plate", "-o", tmp_path / "out")
    run(tiny_shot, *places, "--foreground", "straight")
    found = planes_of(tmp_path / "out" / "matte.1001.exr")
    np.testing.assert_allclose(found["R"], 0.214, atol=0.002)
    with OpenEXR.File(str(tmp_path / "out" / "matte.1001.exr"), header_only=True) as file:
        assert file.header()["vfxmatte/foreground_colorspace"] == "lin_rec709_scene"


def test_a_matte_with_layers_is_read_as_alpha(tiny_shot: Path) -> None:
    run(tiny_shot, "--layers", "foreground,background,trimap")
    path = tiny_shot / "matte" / "matte.1003.exr"
    alpha = read_matte(path, Window.of_size(64, 48))
    np.testing.assert_array_equal(alpha, planes_of(path)["A"].astype(np.float32))


def test_wrong_options_are_named(tiny_shot: Path) -> None:
    wrong = {
        "there is no layer 'forground'": ["--layers", "forground"],
        "begin with a letter": ["--layers", "trimap=1"],
        "no foreground is written": ["--despill", "1"],
        "despill must be 0 to 1": ["--foreground", "straight", "--despill", "2"],
        "cannot be written as png": ["--foreground", "straight", "--format", "png"],
    }
    for words, options in wrong.items():
        result = CliRunner().invoke(commands, ["run", str(tiny_shot), *options])
        assert result.exit_code == 2 and words in result.output, result.output
