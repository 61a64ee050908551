"""The subject of a Nuke node: one of several, or all of them as layers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from nuke_bench import Bench, matte_from, paint_subjects, quiet_bench


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    yield from quiet_bench(tmp_path, monkeypatch)


def test_all_subjects_of_a_folder_are_shown_as_layers(bench: Bench, tmp_path: Path) -> None:
    node = matte_from(bench, paint_subjects(tmp_path / "painted"))
    assert bench.render(node).startswith("Done: 10 written")
    (request,) = bench.requests
    assert request["trimaps"] == str(tmp_path / "painted")
    assert request["subject_layers"] is True and "subject" not in request
    matte = f"{bench.folder}/vfxmatte/comp/VfxMatte1/matte"
    assert node["matte_file"].value() == f"{matte}/matte.%04d.exr"
    assert node["trimap_file"].value() == f"{matte}/hero/trimaps/trimap.%04d.png"
    bench.actions.make_read(node)
    read = bench.nuke.root().node("Read2")
    assert read is not None and read["file"].value() == f"{matte}/matte.%04d.exr"


def test_one_subject_of_a_folder_is_matted_and_shown_alone(bench: Bench, tmp_path: Path) -> None:
    grade = bench.nuke.add("Grade")
    grade.setInput(0, bench.read)
    node = matte_from(bench, paint_subjects(tmp_path / "painted"), " dog ")
    node.setInput(0, grade)
    bench.nuke.frame = 1002
    bench.render(node, "render_frame")
    (request,) = bench.requests
    assert request["subject"] == "dog" and "subject_layers" not in request
    plates = [frame for name, frame, _ in bench.nuke.executed if name == "PlateWrite"]
    assert plates == [1001, 1002, 1003, 1004]  # between the dog's keyframes
    matte = f"{bench.folder}/vfxmatte/comp/VfxMatte1/matte/dog"
    assert node["matte_file"].value() == f"{matte}/matte.%04d.exr"
    assert node["trimap_file"].value() == f"{matte}/trimaps/trimap.%04d.png"
    node["subject"].setValue("hero")
    bench.render(node)
    assert node["matte_file"].value().endswith("/matte/hero/matte.%04d.exr")


def test_nodes_that_share_a_shot_folder_paint_a_subject_each(bench: Bench) -> None:
    shot = f"{bench.folder}/pair"
    for subject, keyframes in (("hero", "1001 1005"), ("dog", "1003")):
        node = bench.matte(keyframes=keyframes)
        node["shot_folder"].setValue(shot)
        node["subject"].setValue(subject)
        assert bench.render(node).startswith("Done")
        assert node["matte_file"].value() == f"{shot}/matte/{subject}/matte.%04d.exr"
    assert {(r["trimaps"], r["output"], r["subject"]) for r in bench.requests} == {
        (f"{shot}/subjects_from_nuke", f"{shot}/matte", name) for name in ("hero", "dog")
    }
    painted = Path(shot, "subjects_from_nuke")
    found = {f"{p.parent.name}/{p.name}" for p in painted.rglob("*.png")}
    assert found == {"hero/trimap.1001.png", "hero/trimap.1005.png", "dog/trimap.1003.png"}


def test_a_subject_that_is_not_there_is_named_with_those_that_are(
    bench: Bench, tmp_path: Path
) -> None:
    folder = paint_subjects(tmp_path / "painted")
    status = bench.render(matte_from(bench, folder, "cat"))
    assert "no folder of trimaps for the subject 'cat'" in status and "dog, hero" in status
    (folder / "trimap.1001.png").touch()  # then it has a single subject
    assert "lie in the folder itself" in bench.render(matte_from(bench, folder, "dog"))
    assert "'2nd dog' cannot be a subject" in bench.render(matte_from(bench, folder, "2nd dog"))
    assert not bench.requests


def test_a_frame_that_fails_for_two_subjects_says_both(bench: Bench, tmp_path: Path) -> None:
    bench.package.Client.failing.add(1003)
    status = bench.render(matte_from(bench, paint_subjects(tmp_path / "painted")))
    assert "dog: this frame is damaged. Look. hero: this frame is damaged. Look." in status
