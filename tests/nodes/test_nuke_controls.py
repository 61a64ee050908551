"""Garbage matte, core matte and clean plate of the Nuke node, against the fake of Nuke."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fake_nuke import Group, Node
from nuke_bench import Bench, matte_from, paint_subjects, quiet_bench
from vfxmatte_nuke import paths

INPUTS = {"garbage": 2, "core": 3, "cleanplate": 4}


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    yield from quiet_bench(tmp_path, monkeypatch)


def frames_of(bench: Bench, write: str) -> list[int]:
    return [frame for name, frame, _ in bench.nuke.executed if name == write]


def clean_read(bench: Bench, **knobs: Any) -> Node:
    """A Read of clean plates: by default a sequence with the plate's frames."""
    read = bench.nuke.add("Read", file="/show/clean.%04d.exr")
    for name, value in {"first": 1001, "last": 1005, **knobs}.items():
        read[name].setValue(value)
    return read


def with_clean(bench: Bench, source: Node) -> Group:
    node = bench.matte()
    node.setInput(INPUTS["cleanplate"], source)
    return node


def test_mattes_are_rendered_for_the_frames_of_the_range(bench: Bench) -> None:
    node = bench.matte()
    for kind in ("garbage", "core"):
        node.setInput(INPUTS[kind], bench.nuke.add("Roto"))
    status = bench.render(node)
    shot = f"{bench.folder}/vfxmatte/comp/VfxMatte1"
    (request,) = bench.requests
    for kind in ("garbage", "core"):
        assert request[kind] == f"{shot}/{kind}_from_nuke"
        assert frames_of(bench, f"{kind.capitalize()}Write") == [1001, 1002, 1003, 1004, 1005]
        names = sorted(path.name for path in Path(request[kind]).iterdir())
        assert names == [f"{kind}matte.{number}.png" for number in range(1001, 1006)]
    assert status.startswith("Done") and "cleanplate" not in request
    for kind in ("garbage", "core"):
        node.setInput(INPUTS[kind], None)
    bench.render(node)
    assert "garbage" not in bench.requests[1] and "core" not in bench.requests[1]


def test_a_single_frame_needs_the_mattes_beside_it_alone(bench: Bench) -> None:
    node = bench.matte()
    node.setInput(INPUTS["garbage"], bench.nuke.add("Roto"))
    for bench.nuke.frame, needed in ((1003, [1002, 1003, 1004]), (1001, [1001])):
        bench.nuke.executed.clear()
        bench.render(node, "render_frame")
        assert frames_of(bench, "GarbageWrite") == needed


def test_a_subject_has_mattes_of_its_own(bench: Bench, tmp_path: Path) -> None:
    shot = f"{bench.folder}/pair"
    for subject in ("hero", "dog"):
        node = bench.matte()
        node["shot_folder"].setValue(shot)
        node["subject"].setValue(subject)
        node.setInput(INPUTS["garbage"], bench.nuke.add("Roto"))
        assert bench.render(node).startswith("Done")
    assert {request["garbage"] for request in bench.requests} == {
        f"{shot}/subjects_garbage_from_nuke"
    }
    folders = sorted(path.name for path in Path(bench.requests[0]["garbage"]).iterdir())
    assert folders == ["dog", "hero"]
    node = matte_from(bench, paint_subjects(tmp_path / "painted"))
    node.setInput(INPUTS["core"], bench.nuke.add("Roto"))
    assert "several subjects, and the core input is of one" in bench.render(node)
    assert len(bench.requests) == 2


@pytest.mark.parametrize("kind", ["garbage", "core", "cleanplate"])
def test_an_input_of_another_size_is_refused_before_anything_is_rendered(
    bench: Bench, kind: str
) -> None:
    node, other = bench.matte(), bench.nuke.add("Roto")
    other.size = (32, 48)
    node.setInput(INPUTS[kind], other)
    assert f"the {kind} input is 32x48, the plate 64x48" in bench.render(node)
    assert bench.nuke.executed == [] and bench.requests == []


def test_a_matte_without_an_alpha_is_refused(bench: Bench) -> None:
    node, grey = bench.matte(), bench.nuke.add("Read", file="/show/roto.%04d.png")
    grey.has_alpha = False
    node.setInput(INPUTS["core"], grey)
    assert "the core input has no alpha" in bench.render(node)
    assert bench.requests == []


@pytest.mark.parametrize(
    ("knobs", "path"),
    [
        ({}, "/show/clean.%04d.exr"),
        ({"first": 990, "last": 1050}, "/show/clean.%04d.exr"),
        ({"first": 7, "last": 7}, "/show/clean.0007.exr"),
        ({"first": 7, "last": 7, "frame_mode": "offset", "frame": "12"}, "/show/clean.0007.exr"),
        ({"file": "/show/set.exr", "first": 1, "last": 1}, "/show/set.exr"),
        ({"file": "/show/v2/set.####.exr", "first": 12, "last": 12}, "/show/v2/set.0012.exr"),
    ],
)
def test_a_clean_plates_files_are_read_as_they_are(
    bench: Bench, knobs: dict[str, Any], path: str
) -> None:
    status = bench.render(with_clean(bench, clean_read(bench, **knobs)))
    (request,) = bench.requests
    assert (request["plate"], request["cleanplate"]) == ("/show/plate.%04d.exr", path)
    assert status.startswith("Done") and not frames_of(bench, "CleanPlateWrite")


@pytest.mark.parametrize(
    ("knobs", "why"),
    [
        ({"colorspace": "sRGB"}, "it is in srgb_texture, not in lin_rec709_scene"),
        ({"frame_mode": "offset", "frame": "12"}, "shifts its frames"),
        ({"file": "/show/clean.mov", "first": 1}, "does not begin with the plate"),
        ({"disable": True}, "not a Read alone"),
    ],
)
def test_a_clean_plate_that_cannot_be_read_beside_the_plate_is_rendered_with_it(
    bench: Bench, knobs: dict[str, Any], why: str
) -> None:
    node = with_clean(bench, clean_read(bench, **knobs))
    node["keyframes"].setValue("1001 1004")
    bench.actions.render(node)
    assert why in node["status"].value() and "of the clean plate" in node["status"].value()
    bench.finish()
    (request,) = bench.requests
    shot = f"{bench.folder}/vfxmatte/comp/VfxMatte1"
    assert request["plate"] == f"{shot}/plate_from_nuke/64x48/plate.####.exr"
    assert request["cleanplate"] == f"{shot}/cleanplate_from_nuke/64x48/cleanplate.####.exr"
    for write in ("PlateWrite", "CleanPlateWrite"):
        assert frames_of(bench, write) == [1001, 1002, 1003, 1004, 1005]


def test_a_rendered_plate_has_a_rendered_clean_plate(bench: Bench) -> None:
    node = with_clean(bench, clean_read(bench))
    node["plate_from"].setValue("always render")
    bench.render(node)
    assert bench.requests[0]["cleanplate"].endswith("/cleanplate.####.exr")
    node["layer"].setValue("fg")
    assert "not here because 'plate' is 'always render'" in bench.render(node)


def test_stills_of_patterns() -> None:
    assert paths.still_of("/p/a.%d.exr", 12) == "/p/a.12.exr"
    assert paths.still_of("/p%02d/a.exr", 12) == "/p%02d/a.exr"
