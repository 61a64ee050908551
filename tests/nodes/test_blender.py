"""The Blender add-on in a real Blender (bpy, in an environment of its own), with the real engine.

`make blender` makes that environment. Without it these tests are skipped, but not in CI.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import OpenEXR
import pytest
from numpy.typing import NDArray

from tests.conftest import TINY_NUMBERS, tiny_alpha, write_tiny_shot
from tests.nodes.blender_host import report_of, session_folder
from tests.tiny_movie import write_tiny_movie
from vfxmatte.trimaps import from_matte

Planes = dict[str, NDArray[np.float32]]


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The folder of one Blender session."""
    return session_folder(tmp_path_factory, worker_id, "session", stage)


@pytest.fixture(scope="session")
def report(work: Path) -> dict[str, Any]:
    """What the session saw."""
    return report_of(work)


def stage(folder: Path) -> dict[str, str]:
    """The tiny shot, as files and as a movie."""
    shot = write_tiny_shot(folder / "shot")
    return {"shot": str(shot), "movie": str(write_tiny_movie(folder / "plate.mp4"))}


def planes(path: Path) -> Planes:
    with OpenEXR.File(str(path), separate_channels=True) as file:
        return {n: c.pixels.astype(np.float32) for n, c in file.channels().items()}


def assert_cut_out(rendered: Path, plate: Path, matte: Path) -> None:
    """The render is the plate times the matte, and its alpha is the matte, to the last bit."""
    found, whole, alpha = planes(rendered), planes(plate), planes(matte)["A"]
    assert 0.1 < alpha.mean() < 0.6
    np.testing.assert_array_equal(found["A"], alpha)
    for name in "RGB":
        np.testing.assert_allclose(found[name], whole[name] * alpha, atol=1e-6)


def results(work: Path, scene: str, plate: str, mask: str) -> Path:
    """The folder of one scene's results; its folder in the panel has the scene's name."""
    return work / scene / "hero" / scene / plate / mask


def trimap(path: Path) -> NDArray[np.uint8]:
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), np.uint8)


def test_the_extension_installs_and_brings_nothing_heavy(report: dict[str, Any]) -> None:
    assert report["install"] == {
        "done": ["FINISHED"],
        "enabled": True,
        "panels": ["VFXMATTE_PT_clip_editor", "VFXMATTE_PT_compositor"],
        "heavy": [],
    }


def test_keyframes_are_found_where_the_mask_is_keyed(report: dict[str, Any]) -> None:
    assert report["clip"]["added"] == "3"
    assert report["clip"]["keyframes"] == "1, 5"


def test_an_outline_becomes_trimaps_with_the_plates_numbers(
    report: dict[str, Any], work: Path
) -> None:
    folder = results(work, "image", "plate.1001.exr image", "layers") / "trimaps"
    assert [path.name for path in folder.iterdir()] == ["trimap.1001.png"]
    # 1001 has been painted in since, 1005 removed: the movie's outline shows what a band looks like
    made = trimap(results(work, "movie", "plate.mp4", "movie") / "trimaps" / "trimap.0002.png")
    hard = (tiny_alpha(1) >= 0.5).astype(np.float32)
    expected = from_matte(hard, erode_px=3, dilate_px=3)
    assert set(np.unique(made)) == {0, 128, 255}
    assert (made != expected).mean() < 0.04
    assert not ((made == 255) & (expected == 0)).any()
    assert not ((made == 0) & (expected == 255)).any()


def test_layers_become_a_trimap(report: dict[str, Any], work: Path) -> None:
    assert report["image"]["layers"] == ["foreground", "unknown"]
    made = trimap(
        results(work, "image", "plate.1001.exr image", "layers") / "trimaps" / "trimap.1001.png"
    )
    y, x = np.mgrid[0:48, 0:64]
    distance = np.hypot(x - 26, y - 24)
    # Blender softens an edge outward, over one pixel: what is soft is unknown.
    expected = np.select([distance <= 8.5, distance <= 17.5], [255, 128], 0)
    assert (made != expected).mean() < 0.01
    assert (made[distance < 7] == 255).all()
    assert (made[(distance > 10) & (distance < 15)] == 128).all()
    assert (made[distance > 18] == 0).all()


def test_the_composite_is_the_plate_times_the_matte(report: dict[str, Any], work: Path) -> None:
    outcomes = report["clip"]
    assert (outcomes["trouble"], outcomes["state"], outcomes["done"]) == ("", "done", 5)
    assert outcomes["scene frame"] == 3  # where the artist had left it
    for index, number in enumerate(TINY_NUMBERS):
        assert_cut_out(
            work / "clip" / "render" / f"{index + 1:04d}.exr",
            work / "shot" / "plate" / f"plate.{number}.exr",
            results(work, "clip", "hero_1001.exr", "roto") / "matte" / f"matte.{number}.exr",
        )


def test_mattes_follow_a_clip_that_is_moved_in_time(report: dict[str, Any], work: Path) -> None:
    assert report["clip"]["message"] == "Mattes 1001 to 1005 are in the compositor"
    for frame, number in zip(range(21, 25), TINY_NUMBERS[1:], strict=True):
        assert_cut_out(
            work / "clip" / "moved" / f"{frame:04d}.exr",
            work / "shot" / "plate" / f"plate.{number}.exr",
            results(work, "clip", "hero_1001.exr", "roto") / "matte" / f"matte.{number}.exr",
        )


def test_loading_again_adds_no_nodes(report: dict[str, Any]) -> None:
    kinds = set(report["clip"]["nodes"])
    assert len(report["clip"]["nodes"]) == 4
    assert kinds >= {"CompositorNodeImage", "CompositorNodeMovieClip", "CompositorNodeSetAlpha"}
    assert report["clip"]["matte"] == {"source": "SEQUENCE", "colorspace": "Non-Color"}


def test_an_image_node_of_the_artist_is_used_as_it_plays(
    report: dict[str, Any], work: Path
) -> None:
    outcomes = report["image"]
    assert outcomes["trouble"] == ""
    assert outcomes["message"] == "Mattes 1002 to 1005 are in the compositor"  # the scene's range
    assert outcomes["nodes"].count("CompositorNodeImage") == 2
    for frame, number in zip(range(102, 106), TINY_NUMBERS[1:], strict=True):
        assert_cut_out(
            work / "image" / "render" / f"{frame:04d}.exr",
            work / "shot" / "plate" / f"plate.{number}.exr",
            results(work, "image", "plate.1001.exr image", "layers")
            / "matte"
            / f"matte.{number}.exr",
        )


def test_the_foregrounds_colour_is_composited(report: dict[str, Any], work: Path) -> None:
    """The render has the file's premultiplied colour, to the last bit, and no more of the cool
    ground's blue in the soft edge; without the tick the plate is cut out as before."""
    assert report["foreground"]["trouble"] == ""
    folder = results(work, "image", "plate.1001.exr image", "layers") / "matte"
    for frame, number in zip(range(102, 106), TINY_NUMBERS[1:], strict=True):
        found = planes(work / "image" / "foreground" / f"{frame:04d}.exr")
        written = planes(folder / f"matte.{number}.exr")
        plate = planes(work / "shot" / "plate" / f"plate.{number}.exr")
        for name in "RGBA":
            np.testing.assert_array_equal(found[name], written[name])
        soft, solid = (found["A"] > 0.1) & (found["A"] < 0.9), found["A"] == 1
        assert found["B"][soft].mean() < 0.9 * (plate["B"] * found["A"])[soft].mean()
        np.testing.assert_array_equal(found["B"][solid], plate["B"][solid])
    assert_cut_out(
        work / "image" / "again" / "0102.exr",
        work / "shot" / "plate" / "plate.1002.exr",
        folder / "matte.1002.exr",
    )


def test_a_movie_counts_from_one(report: dict[str, Any], work: Path) -> None:
    assert report["movie"] == {"trouble": "", "duration": 5}
    for index in range(5):
        alpha = planes(work / "movie" / "render" / f"{11 + index:04d}.exr")["A"]
        matte = planes(
            results(work, "movie", "plate.mp4", "movie") / "matte" / f"matte.{index + 1:04d}.exr"
        )["A"]
        np.testing.assert_array_equal(alpha, matte)
        middle = np.average(np.arange(64), weights=alpha.sum(axis=0))
        assert abs(middle - (26 + 2 * index)) < 1.5  # the matte of this frame, not of another


def test_masks_keep_the_matte_in_and_solid(report: dict[str, Any], work: Path) -> None:
    empty, colours, trouble = report["controls"]["troubles"]
    assert "'garbage' of the garbage matte covers nothing" in empty
    assert "is in sRGB, the plate in Linear" in colours
    assert trouble == ""
    folder = results(work, "controls", "kept in", "still")
    names = [f"garbage.{number}.png" for number in TINY_NUMBERS]
    assert sorted(path.name for path in (folder / "garbage").iterdir()) == names
    assert [path.name for path in (folder / "core").iterdir()] == ["core.png"]
    record = json.loads((folder / "matte" / "manifest.json").read_text(encoding="utf-8"))
    assert "core.png" in record["limits"]["core"] and "garbage" in record["limits"]["garbage"]
    assert any("plate.1005.exr" in note for note in record["notes"])  # the clean plate
    y, x = np.mgrid[0:48, 0:64] + 0.5
    core = np.hypot(x - 20, y - 24) < 4.4
    for index, number in enumerate(TINY_NUMBERS):
        alpha = planes(folder / "matte" / f"matte.{number}.exr")["A"]
        distance = np.hypot(x - 11 - index, y - 24)
        outside = (distance > 21.1) & ~core
        assert (alpha[outside] == 0).all() and (alpha[core & (distance < 19)] == 1).all()
        assert (tiny_alpha(index)[outside] == 1).any()  # which would be foreground


def test_a_run_leaves_blender_free_and_can_be_cancelled(report: dict[str, Any], work: Path) -> None:
    outcomes = report["cancelled"]
    assert outcomes["offered"] == [False, True]
    assert outcomes["timer"] and outcomes["polls again"] and not outcomes["polls after"]
    assert "A run goes on already" in outcomes["second"]
    assert outcomes["state"] == "cancelled"
    assert outcomes["message"].startswith("Cancelled")
    assert (outcomes["trouble"], outcomes["then"]) == ("", "done")
    assert outcomes["loaded"] and not outcomes["elsewhere"]
    mattes = work / "cancelled" / "hero" / "movie" / "plate.mp4" / "movie" / "matte"
    assert len(list(mattes.glob("matte.*.exr"))) == 5


def test_masks_are_subjects_of_one_plate(report: dict[str, Any], work: Path) -> None:
    """Each has its own trimaps and mattes, which share the picture, and nodes of its own."""
    outcomes = report["subjects"]
    first, second, flat, unknown, last = outcomes["trouble"]
    assert (first, second, last) == ("", "", "")
    assert "holds trimaps that are no subject's" in flat
    assert "There are no trimaps in" in unknown and "subjects called hero, wall" in unknown
    assert outcomes["alone"] == "Mattes 1001 to 1005 of wall are in the compositor"
    assert outcomes["message"] == (
        "Mattes 1001 to 1005 of hero are in the compositor; "
        "Mattes 1001 to 1005 of wall are in the compositor"
    )
    assert outcomes["loaded"] == ["hero", "wall"] and outcomes["kept"] == 10
    folder = results(work, "subjects", "pair", "painted trimaps")
    assert sorted(p.name for p in (folder / "trimaps").iterdir()) == ["hero", "wall"]
    for index, number in enumerate(TINY_NUMBERS):
        mattes = [folder / "matte" / name / f"matte.{number}.exr" for name in ("hero", "wall")]
        hero, wall = (planes(path)["A"] for path in mattes)
        assert (hero + wall).max() <= 1 and wall[:, 60:].mean() > 0.2
        assert_cut_out(
            work / "subjects" / "render" / f"{index + 1:04d}.exr",
            work / "shot" / "plate" / f"plate.{number}.exr",
            mattes[0],
        )


def test_a_painters_work_is_left_alone(report: dict[str, Any], work: Path) -> None:
    assert report["painted"]["trouble"] == ""
    message = "1 trimap from the mask; painted by hand and left alone: 1001; 1 old one removed"
    assert report["painted"]["message"] == message
    folder = results(work, "clip", "hero_1001.exr", "roto") / "trimaps"
    assert sorted(p.name for p in folder.iterdir()) == ["trimap.1001.png", "trimap.1003.png"]


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("no plate", "Choose a clip or an image"),
        ("no mask", "No mask is chosen"),
        ("not saved", "Save it, or choose a folder"),
        ("no keys", "Type the frames that it fits"),
        ("no keys to take", "Type the frames that it fits\n2, 4"),
        ("no number", "'six' is not a frame"),
        ("not on the plate", "which plays from 1 to 5"),
        ("no layers", "Press Add Trimap Layers"),
        ("no painted", "named like trimap.1001.png"),
        ("no mattes", "Run the shot first"),
        ("no engine", "no such engine"),
        ("no engine", "Edit > Preferences > Add-ons > vfxmatte"),
    ],
)
def test_troubles_are_told(report: dict[str, Any], case: str, words: str) -> None:
    assert words in report["troubles"][case]


def test_the_panels_say_what_there_is_to_do(report: dict[str, Any]) -> None:
    texts = report["panels"]["texts"]
    assert "Foreground Colour" in texts["OUTLINE"]
    assert {"Clip", "Mask", "Inward", "Outward", "Keyframes", "Run"} <= set(texts["OUTLINE"])
    assert {"Garbage Matte", "Core Matte", "Clean Plate"} <= set(texts["FOLDER"])
    assert all("Subject" in texts[source] for source in ("OUTLINE", "LAYERS", "FOLDER"))
    assert "Add Trimap Layers" in texts["LAYERS"] and "Inward" not in texts["LAYERS"]
    assert "Mask" not in texts["FOLDER"]
    assert {"Image", "Name"} <= set(texts["named"])
    assert "3 of 12 frames" in texts["running"] and "Cancel" in texts["running"]
    assert "Run" not in texts["running"]
    assert {"No GPU memory", "Close the others", "slow"} <= set(texts["failed"])
    # The movie played last: its file 1 is shown on scene frame 11.
    assert "Frame 17: the plate is torn" in texts["failed"]
    assert "keyframe would help most on frame 19" in " ".join(texts["failed"])
    assert {"vfxmatte", "Device", "Quality", "Test and Remember"} <= set(texts["preferences"])


def test_the_panels_were_drawn_strictly(report: dict[str, Any]) -> None:
    assert len(report["panels"]["strict"]) == 5


def test_nothing_is_left_behind(report: dict[str, Any]) -> None:
    assert report["leftovers"]["scenes"] == [
        "Scene", "clip", "controls", "image", "movie", "subjects", "troubles",
    ]  # fmt: skip
    assert report["leftovers"]["masks"] == ["hero", "layers", "movie", "roto", "still", "wall"]
    assert report["removed"] == {"settings": False, "panels": [], "timer": False}
