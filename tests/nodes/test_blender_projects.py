"""Several files, scenes and masks on one clip in a real Blender: no result overwrites another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import write_tiny_shot
from tests.nodes.blender_host import report_of, session_folder
from tests.nodes.test_blender import planes

ODD = "hair_left_right_wisp-92f591c1"
CLIP = "plate.1001.exr"


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The folder of one Blender session."""
    return session_folder(tmp_path_factory, worker_id, "projects", stage)


@pytest.fixture(scope="session")
def report(work: Path) -> dict[str, Any]:
    """What the session saw, step by step."""
    return report_of(work)


def stage(folder: Path) -> dict[str, str]:
    """The tiny shot, in a folder that .blend files are put into."""
    write_tiny_shot(folder / "project")
    return {}


def folders(mattes: dict[str, str]) -> set[str]:
    """The folders of mattes, without the last part, which is `matte`."""
    return {Path(name).parent.parent.as_posix() for name in mattes}


def test_two_masks_and_two_scenes_on_one_clip_have_results_of_their_own(
    report: dict[str, Any],
) -> None:
    seen = report["one_clip"]
    assert seen["outcomes"] == ["", "", ""]
    base = "vfxmatte/shot_v001"
    assert folders(seen["after"]) == {
        f"{base}/main/{CLIP}/roto",
        f"{base}/main/{CLIP}/{ODD}",
        f"{base}/_CON-a3dbc4b6/{CLIP}/roto",
    }
    assert len(seen["after"]) == 15
    assert len(set(seen["after"].values())) == 15  # three different mattes of each frame
    assert seen["before"].items() <= seen["after"].items()


def test_the_compositor_holds_the_mattes_of_both_masks(report: dict[str, Any]) -> None:
    labels = report["one_clip"]["labels"]
    assert [label.split()[1] for label in labels] == ["hair:", "roto"]
    assert report["one_clip"]["overlapping"] == 0


def test_mattes_are_loaded_by_relative_paths(report: dict[str, Any]) -> None:
    images = report["one_clip"]["images"]
    assert len(images) == 3
    assert all(path.startswith("//vfxmatte/shot_v001/") for path in images)


def test_the_panel_says_where_results_go(report: dict[str, Any]) -> None:
    assert f"shot_v001/_CON-a3dbc4b6/{CLIP}/roto" in report["one_clip"]["panel"]


def test_another_file_in_the_folder_has_results_of_its_own(report: dict[str, Any]) -> None:
    seen, before = report["other_file"], report["one_clip"]["after"]
    assert "Run the shot first" in seen["none yet"]
    assert f"shot_v001/main/{CLIP}/roto" in seen["none yet"]  # says what other names have
    assert seen["run"] == ""
    assert before.items() <= seen["after"].items()
    assert folders(seen["after"]) - folders(before) == {f"vfxmatte/shot_v002/main/{CLIP}/roto"}


def test_a_mask_that_is_renamed_keeps_its_old_results_and_gets_new_ones(
    report: dict[str, Any],
) -> None:
    seen, before = report["renamed"], report["other_file"]["after"]
    assert "There are no mattes" in seen["load"] and f"main/{CLIP}/roto" in seen["load"]
    assert seen["run"] == ""
    assert before.items() <= seen["after"].items()
    assert folders(seen["after"]) - folders(before) == {f"vfxmatte/shot_v001/main/{CLIP}/body"}


def test_a_mask_that_takes_anothers_name_does_not_take_its_results(report: dict[str, Any]) -> None:
    assert "mask 'body', which was another mask of that name" in report["renamed"]["another mask"]
    assert report["renamed"]["no id"] == ""


def test_a_duplicate_of_a_mask_is_a_mask_of_its_own(report: dict[str, Any]) -> None:
    assert report["renamed"]["copy"] == ["", True]
    assert report["renamed"]["original"] == ""


def test_a_project_that_is_moved_finds_its_mattes_and_goes_on(
    report: dict[str, Any], work: Path
) -> None:
    seen = report["moved"]
    assert seen["found"] == [True, True, True]
    assert (seen["load"], seen["run"]) == ("", "")
    assert seen["kept"]  # no matte was solved again
    assert seen["images"] == [3, 3]
    project = work / "archive" / "project"
    for index in (0, 1):
        matte = (
            project / "vfxmatte/shot_v001/main" / CLIP / "roto/matte" / f"matte.{1001 + index}.exr"
        )
        rendered = planes(project / "render" / f"{index + 1:04d}.exr")
        np.testing.assert_array_equal(rendered["A"], planes(matte)["A"])


def test_results_of_a_file_of_the_same_name_are_not_overwritten(
    report: dict[str, Any], work: Path
) -> None:
    seen = report["foreign"]
    assert report["elsewhere"]["run"] == ""
    assert len(seen["mattes"]) == 5
    assert seen["mattes"] == report["elsewhere"]["mattes"]
    for action in ("run", "trimaps", "load"):
        assert f"file {work / 'archive' / 'project' / 'shot_v001.blend'}" in seen[action]
        assert f"scene 'main', plate '{CLIP}', mask 'hair: left/right" in seen[action]
        assert "Choose another Folder" in seen[action] and "Take Over" in seen[action]
    assert "Take Over" in seen["panel"]
    assert "Take Over" not in report["one_clip"]["panel"]


def test_results_are_replaced_once_they_are_taken_over(report: dict[str, Any]) -> None:
    seen = report["foreign"]
    assert "holds the results of file" in seen["unseen"]  # it shows first whose they are
    assert (seen["take over"], seen["then"]) == ("", "")
    assert "mattes of unknown origin" in seen["damaged"]
    assert "mattes of unknown origin" in seen["unknown"]


@pytest.mark.parametrize("folder", ["a file", "vfxmatte"])
def test_a_folder_that_cannot_be_written_is_a_sentence(report: dict[str, Any], folder: str) -> None:
    run, trimaps = report["unwritable"][folder]
    assert run == trimaps
    assert "cannot be written: No" in run and "Choose a Folder in which you may write" in run
    assert "Traceback" not in run
    assert (
        "Choose a Folder in which you may write, with" in report["unwritable"][f"{folder}, panel"]
    )


def test_folders_are_understood_as_they_are_typed(report: dict[str, Any], work: Path) -> None:
    seen = report["paths"]
    assert seen["~/mattes"] == seen['"~/mattes"'] == str(Path.home() / "mattes")
    assert seen[" '//mattes/' "] == seen['"//mattes"'] == str(work / "other" / "mattes")
    assert "No folder is chosen" in seen[""]
    for text in ("results", "~nobody here/x"):
        assert f"'{text}' does not say where it begins" in seen[text]


def test_missing_frames_stop_a_run_with_words_of_the_panel(report: dict[str, Any]) -> None:
    seen = report["missing"]
    assert "lacks 1 of 5 frames: 1003" in seen["stop"]
    assert "Choose Hold or Skip under Missing Frames" in seen["stop"]
    assert "--missing" not in seen["stop"]
    assert "Missing Frames" in seen["panel"]


def test_missing_frames_are_skipped_or_held(report: dict[str, Any]) -> None:
    seen = report["missing"]
    names = [f"matte.{number}.exr" for number in range(1001, 1006)]
    assert seen["SKIP, mattes"] == [name for name in names if "1003" not in name]
    assert seen["SKIP"][1].endswith("1 is missing, first 1003")
    assert seen["HOLD, mattes"] == names
    assert any("solved from the frame before" in note for note in seen["HOLD"][2])


def test_files_that_were_never_saved_do_not_overwrite_each_other(report: dict[str, Any]) -> None:
    (nowhere, first, one), (_, second, both) = report["unsaved"]["outcomes"]
    assert "Save it, or choose a folder" in nowhere
    assert (first, second) == ("", "")
    assert len(one) == 5 and len(both) == 10
    assert one.items() < both.items()


def test_undo_and_redo_take_and_bring_the_nodes_back(report: dict[str, Any]) -> None:
    seen = report["undone"]
    assert (seen["run"], seen["again"]) == ("", "")
    assert (seen["undone"], seen["redone"], seen["nodes"]) == (0, 4, 4)


def test_a_run_ends_well_through_undo_and_a_new_name_of_its_scene(report: dict[str, Any]) -> None:
    seen = report["undone"]
    assert seen["message"] == "Mattes 1001 to 1005 are in the compositor"
    assert seen["problem"] == "None"
    assert seen["scenes"] == ["new"]


def test_a_linked_scene_has_results_of_its_own_beside_the_open_file(
    report: dict[str, Any],
) -> None:
    seen = report["linked"]
    assert (seen["local"], seen["linked"]) == ("", "")
    assert seen["message"].startswith("5 of 5 frames are done: ")
    assert "is linked from assets.blend" in seen["load"]
    assert seen["nodes"] == 0
    assert seen["library"] == {}
    scenes = sorted(Path(name).parts[2] for name in folders(seen["mattes"]))
    assert len(scenes) == 2 and scenes[0] == "main"
    assert scenes[1].startswith("main_assets.blend-")
