"""What the Nuke node knows without Nuke: frames, folders, colour spaces, plates."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import nuke_paths
from vfxmatte_nuke import colour, frames, paths, source, wording
from vfxmatte_nuke.problem import Problem

from vfxmatte.colour import ColourConfig

NATIVE = colour.Project("Nuke", "nuke-default", "", "linear", "", "")
ACES = colour.Project("OCIO", "custom", "/show/config.ocio", "ACES - ACEScg", "", "/nuke/aces.ocio")


def read_of(**changes: Any) -> source.ReadInfo:
    whole: dict[str, Any] = {
        "name": "Read1", "pattern": "/p/plate.%04d.exr", "first": 1001, "last": 1025,
        "frame_mode": "expression", "frame": "", "colorspace": "default (linear)", "raw": False,
    }  # fmt: skip
    return source.ReadInfo(**{**whole, **changes})


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("", []),
        ("1013, 1001;1025 1013", [1001, 1013, 1025]),
        ("1001-1025x12", [1001, 1013, 1025]),
        ("-2-1", [-2, -1, 0, 1]),
    ],
)
def test_keyframes_as_an_artist_writes_them(text: str, numbers: list[int]) -> None:
    assert frames.parse_frames(text) == numbers
    assert frames.parse_frames(frames.frames_text(numbers)) == numbers


@pytest.mark.parametrize("text", ["12a", "1001--", "1010-1001", "1-5x0"])
def test_keyframes_that_cannot_be_meant_are_named(text: str) -> None:
    with pytest.raises(Problem, match=text.replace("-", "."), check=lambda p: bool(str(p))):
        frames.parse_frames(text)


@pytest.mark.parametrize(
    ("frame_range", "keys", "span"),
    [
        ((1001, 1025), [1001, 1025], (1001, 1025)),
        ((1010, 1010), [1001, 1013, 1025], (1001, 1013)),  # one frame: its stretch
        ((1013, 1013), [1001, 1013, 1025], (1013, 1013)),  # a keyframe by itself
        ((1010, 1030), [1001, 1025], (1001, 1030)),  # nothing after the last keyframe
        ((1030, 1030), [1001, 1025], (1025, 1030)),
        ((990, 992), [1001, 1025], (990, 1001)),
    ],
)
def test_the_plate_is_needed_between_the_keyframes(
    frame_range: tuple[int, int], keys: list[int], span: tuple[int, int]
) -> None:
    assert frames.plate_span(*frame_range, keys) == span


def test_shot_folders() -> None:
    folder = "/s/vfxmatte/010_comp"
    for script in ("010_comp.nk", "010_comp_v012.nk", "010_comp_v013_jd.nk", "010_comp.V2.nk"):
        assert paths.shot_folder("", f"/s/{script}", "VfxMatte1") == f"{folder}/VfxMatte1"
    assert paths.shot_folder("", "/s/bg_v1.nk", "VfxMatte1") == "/s/vfxmatte/bg/VfxMatte1"
    assert paths.shot_folder("", "/s/_v1.nk", "A.B") == "/s/vfxmatte/_v1/A_B"
    assert paths.shot_folder("mattes/hero/", "/s/comp.nk", "V") == "/s/mattes/hero"
    assert paths.shot_folder("/x/héros d'été", "", "V") == "/x/héros d'été"
    with pytest.raises(Problem, match="nowhere") as caught:
        paths.shot_folder("", "", "VfxMatte1")
    assert "Save the script" in caught.value.hint
    with pytest.raises(Problem, match=r"\[ and \]"):
        paths.shot_folder("/x/[v1]", "", "V")


def test_frames_become_patterns() -> None:
    assert paths.pattern_of("C:\\m\\matte.1001.exr", 1001) == "C:/m/matte.%04d.exr"
    assert paths.pattern_of("/s1001/matte.1001001.exr", 1001001) == "/s1001/matte.%07d.exr"
    assert paths.pattern_of("/v2/m2_2.0002.exr", 2) == "/v2/m2_2.%04d.exr"
    with pytest.raises(Problem):
        paths.pattern_of("/m/matte.exr", 1)


def test_an_equal_rendered_frame_keeps_its_time_stamp(tmp_path: Path) -> None:
    final, fresh = tmp_path / "plate.1001.exr", tmp_path / "fresh.exr"
    final.write_text("same")
    before = final.stat().st_mtime_ns
    fresh.write_text("same")
    paths.settle(str(fresh), str(final))
    assert final.stat().st_mtime_ns == before and not fresh.exists()
    fresh.write_text("else")
    paths.settle(str(fresh), str(final))
    assert final.read_text() == "else" and not fresh.exists()
    with pytest.raises(Problem, match="wrote no"):
        paths.settle(str(fresh), str(final))


def test_only_the_nodes_own_trimaps_are_dropped(tmp_path: Path) -> None:
    for name in ("trimap.1001.png", "trimap.1013.png", "roto.1013.png", "trimap.notes.txt"):
        (tmp_path / name).touch()
    paths.drop_other_trimaps(str(tmp_path), [1001])
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "roto.1013.png", "trimap.1001.png", "trimap.notes.txt",
    ]  # fmt: skip


def test_colour_space_names() -> None:
    assert colour.plain_name("default (ACES - ACEScg)") == "ACES - ACEScg"
    assert colour.plain_name("scene_linear (ACEScg)") == "ACEScg"
    assert colour.plain_name("Input/ARRI/ARRI LogC3 (EI800)") == "ARRI LogC3 (EI800)"
    assert colour.file_space(ACES, "Input - Sony", False) == "Input - Sony"
    assert colour.file_space(ACES, "whatever", True) == "ACES - ACEScg"
    assert colour.file_space(NATIVE, "default (sRGB)", False) == "srgb_texture"
    assert colour.file_space(NATIVE, "AlexaV3LogC", False) is None
    assert colour.working_space(NATIVE) == "lin_rec709_scene"


def test_native_spaces_are_known_to_the_engine() -> None:
    known = ColourConfig.load(colour.BUILT_IN)
    names = {known.resolve(name) for name in colour.NATIVE.values()}
    assert len(names) == len(colour.NATIVE)


def test_configurations() -> None:
    assert colour.configuration(NATIVE) == ""
    assert colour.configuration(NATIVE._replace(environment="/env.ocio")) == colour.BUILT_IN
    assert colour.configuration(ACES) == "/show/config.ocio"
    assert colour.configuration(ACES._replace(config="aces_1.2")) == "/nuke/aces.ocio"
    assert colour.configuration(ACES._replace(environment="/env.ocio")) == "/env.ocio"
    assert colour.configuration(ACES._replace(config="nuke-default")) == ""


def test_a_plain_read_is_used_directly() -> None:
    plate, note = source.from_files(read_of(), NATIVE, "")
    assert plate == source.FilePlate("/p/plate.%04d.exr", "lin_rec709_scene", 1001, 1025, None)
    assert note == ""
    plate, _ = source.from_files(read_of(), NATIVE, "ACEScg")
    assert plate is not None and plate.colorspace == "ACEScg"
    plate, _ = source.from_files(read_of(frame_mode="start at", frame="1001"), NATIVE, "")
    assert plate is not None


def test_a_movie_counts_from_where_the_read_says() -> None:
    movie = read_of(pattern="/p/plate.mov", first=1, last=25)
    plate, _ = source.from_files(movie, NATIVE, "")
    assert plate is not None and plate.first_frame == 1
    moved = movie._replace(frame_mode="start at", frame="1001")
    plate, _ = source.from_files(moved, NATIVE, "")
    assert plate is not None
    assert (plate.first, plate.last, plate.first_frame) == (1001, 1025, 1001)
    assert source.from_files(movie._replace(first=5), NATIVE, "")[0] is None


@pytest.mark.parametrize(
    ("read", "why"),
    [
        (None, "not a Read"),
        (read_of(pattern=""), "no file"),
        (read_of(pattern="/p/%V/plate.%04d.exr"), "views"),
        (read_of(colorspace="Cineon"), "Cineon"),
        (read_of(frame_mode="offset", frame="12"), "shifts"),
        (read_of(frame_mode="start at", frame="1"), "shifts"),
        (read_of(frame="frame*2"), "shifts"),
    ],
)
def test_anything_else_is_rendered_and_the_reason_said(
    read: source.ReadInfo | None, why: str
) -> None:
    plate, note = source.from_files(read, NATIVE, "")
    assert plate is None
    assert why in note


def test_what_the_panel_says() -> None:
    assert wording.safe("<b> [shot x] $F") == "‹b› (shot x) ＄F"
    assert wording.progress(0, 48, 0, 0) == "Following the keyframes through 48 frames"
    assert wording.progress(12, 48, 24, 12) == "12 of 48 frames, 0.50 a second, 72 s left"
    assert wording.progress(12, 48, 24, 0) == "12 of 48 frames"
    assert [wording.clock(s) for s in (40, 300, 9000)] == ["40 s", "5 min", "2 h 30 min"]
    text = wording.ending(
        {"written": 3, "kept": 2, "interrupted": True}, {1007: "damaged"}, ["no GPU was found"]
    )
    assert text.splitlines() == [
        "Stopped: 3 written, 2 kept from before", "1 failed:", "frame 1007: damaged",
        "Press Render to go on.", "no GPU was found",
    ]  # fmt: skip


@pytest.mark.parametrize("place", ["clone", "copy", "copy without the client"])
def test_where_the_client_package_is_found(place: str, tmp_path: Path) -> None:
    plugin, package = nuke_paths.PLUGIN, nuke_paths.PLUGIN.parent / "vfxmatte_client"
    if place != "clone":
        plugin = tmp_path / "plugins" / "nuke"
        shutil.copytree(nuke_paths.PLUGIN, plugin)
    if place == "copy":
        package = plugin / "vfxmatte_nuke" / "vfxmatte_client"
        shutil.copytree(nuke_paths.PLUGIN.parent / "vfxmatte_client", package)
    program = (
        "import sys\n"
        f"sys.path.insert(0, {str(plugin)!r})\n"
        "from vfxmatte_nuke import client, problem\n"
        "try: print(client.package().__file__)\n"
        "except problem.Problem as missing: print(missing)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    if place == "copy without the client":
        assert f"nodes/vfxmatte_client of vfxmatte into {plugin}/vfxmatte_nuke." in done.stdout
    else:
        assert Path(done.stdout.strip()).parent == package


@pytest.mark.parametrize("path", sorted(nuke_paths.PLUGIN.glob("vfxmatte_nuke/*.py")))
def test_the_package_is_python_3_7_syntax(path: Path) -> None:
    """Nuke 13 has Python 3.7; annotations are never evaluated."""
    tree = ast.parse(path.read_text(), feature_version=(3, 7))
    first = next(n for n in tree.body if isinstance(n, ast.ImportFrom) or len(tree.body) == 1)
    if len(tree.body) > 1:
        assert isinstance(first, ast.ImportFrom) and first.module == "__future__"
    assigned = [node.value for node in ast.walk(tree) if isinstance(node, ast.Assign)]
    for value in assigned:  # no dict[str, int] where Python would compute it
        for part in ast.walk(value):
            if isinstance(part, ast.Subscript) and isinstance(part.value, ast.Name):
                assert part.value.id not in ("dict", "list", "tuple", "set", "Callable", "type")
