"""Several subjects in one run: their mattes, how they give way, and what is done again."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import OpenEXR
import pytest

from tests.subjects import (
    KEYFRAMES,
    NUMBERS,
    WINDOW,
    alpha_of,
    as_single_shot,
    contents,
    plate,
    settings_of,
    solve,
    write_keyframe,
    written,
)
from vfxmatte.errors import ShotError, TrimapError, UsageError
from vfxmatte.io.mattes import read_matte
from vfxmatte.io.movie_plate import MoviePlate
from vfxmatte.io.movies.movie import write_prores
from vfxmatte.journal.journal import Journal
from vfxmatte.pipeline.merge import merge
from vfxmatte.pipeline.shot import Shot
from vfxmatte.pipeline.subject_shots import chosen
from vfxmatte.pipeline.subjects_run import SubjectsRun, open_run
from vfxmatte.reporting.inspection import inspect
from vfxmatte.types import FloatImage, Window

# -- what is delivered ----------------------------------------------------------------------------


def test_each_subject_has_its_mattes_trimaps_journal_and_manifest(folder: Path) -> None:
    results = solve(folder)
    assert written(results) == {"cat": [*NUMBERS], "dog": [*NUMBERS]}
    for subject in ("cat", "dog"):
        output = folder / "matte" / subject
        assert sorted(p.name for p in output.glob("*.exr")) == [f"matte.{n}.exr" for n in NUMBERS]
        assert len(list((output / "trimaps").glob("*.png"))) == len(NUMBERS)
        assert (output / "manifest.json").is_file()
        assert set(Journal.peek(output).records) == set(NUMBERS)
    assert not list((folder / "matte").glob("*.exr"))


def test_where_subjects_do_not_touch_mattes_are_those_of_each_alone(
    folder: Path, tmp_path: Path, finished: Any
) -> None:
    finished(propagation={})
    touching = set()
    for subject in ("cat", "dog"):
        single = as_single_shot(folder, subject, tmp_path / subject)
        solve(single, propagation={})
        for number in NUMBERS:
            own = read_matte(single / "matte" / f"matte.{number}.exr", WINDOW)
            shared = alpha_of(folder, subject, number)
            other = alpha_of(folder, "dog" if subject == "cat" else "cat", number)
            where = own != shared
            assert (own[where] > shared[where]).all()
            assert (shared + other)[where] == pytest.approx(1, abs=2e-3)
            touching |= {number} if where.any() else set()
    assert {1001, 1002}.isdisjoint(touching)  # they are apart there
    assert {1006, 1008} <= touching


def test_alphas_sum_to_at_most_1_to_the_bit(folder: Path) -> None:
    results = solve(folder)
    overlap = [r.stats["overlap_share"] for r in results if "overlap_share" in r.stats]
    assert overlap and 0 < max(overlap) < 0.5
    for number in NUMBERS:
        total = alpha_of(folder, "cat", number).astype(np.float64)
        total += alpha_of(folder, "dog", number)
        assert total.max() <= 1


@pytest.mark.parametrize(
    "output", [{"pixel_type": "float"}, {"format": "png"}, {"format": "tiff"}, {"rgba": "straight"}]
)
def test_alphas_sum_to_at_most_1_in_every_format(folder: Path, output: dict[str, str]) -> None:
    solve(folder, output=output)
    suffix = {"png": "png", "tiff": "tif"}.get(output.get("format", ""), "exr")
    for number in NUMBERS[3:]:
        paths = [folder / "matte" / s / f"matte.{number}.{suffix}" for s in ("cat", "dog")]
        total = np.sum([read_matte(path, WINDOW).astype(np.float64) for path in paths], axis=0)
        assert 0.9 < total.max() <= 1 + 1e-9  # 65535ths have no exact floats


def test_a_shot_with_flat_trimaps_is_as_before(folder: Path, tmp_path: Path) -> None:
    single = as_single_shot(folder, "cat", tmp_path / "single")
    shutil.copytree(folder / "trimaps" / "dog", single / "trimaps" / "old ones")
    shot = Shot.open(single)
    assert not shot.subjects and set(shot.keyframes) == set(KEYFRAMES["cat"])
    results = solve(single)
    assert {result.subject for result in results} == {None}
    with open_run(shot, settings_of()) as run:
        assert any(
            "old ones" in note and "not taken as subjects" in note for note in run.plan.notes
        )
    assert (single / "matte" / "matte.1001.exr").is_file()


# -- the plate ------------------------------------------------------------------------------------


def count_reads(monkeypatch: pytest.MonkeyPatch) -> Counter[Path]:
    """Counts how often the pixels of each file of a plate are read."""
    from vfxmatte.io import sequence_plate as module

    reads: Counter[Path] = Counter()
    whole = module.read_pixels

    def counted(header: Any) -> FloatImage:
        reads[header.path] += 1
        return whole(header)

    monkeypatch.setattr(module, "read_pixels", counted)
    return reads


def test_the_plate_is_read_no_more_often_than_for_one_subject(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once small, for the motion, and once whole, however many subjects there are."""
    for number in (1001, 1006, 1008):
        write_keyframe(folder / "trimaps" / "eel", "cat", number)
    reads = count_reads(monkeypatch)
    assert set(written(solve(folder, propagation={}))) == {"cat", "dog", "eel"}
    plates = sorted((folder / "plate").iterdir())
    assert reads == dict.fromkeys(plates, 2)
    reads.clear()
    solve(as_single_shot(folder, "cat", tmp_path / "single"), propagation={})
    assert reads == dict.fromkeys(sorted((tmp_path / "single" / "plate").iterdir()), 2)


def test_a_movie_is_decoded_no_more_often_than_for_one_subject(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(folder / "plate")
    pictures = (np.dstack((plate(n), np.ones(WINDOW.shape, np.float32))) for n in NUMBERS)
    write_prores(folder / "plate.mov", (p.clip(0, 1) for p in pictures), 24)
    (folder / "shot.toml").write_text("first_frame = 1001\n")
    reads: Counter[int] = Counter()
    whole = MoviePlate.frames

    def counted(self: MoviePlate, numbers: Any, **options: Any) -> Any:
        for number, frame in whole(self, numbers, **options):
            reads[number] += 1
            yield number, frame

    monkeypatch.setattr(MoviePlate, "frames", counted)
    assert set(written(solve(folder, first_frame=1001))) == {"cat", "dog"}
    assert reads == dict.fromkeys(NUMBERS, 2)
    for subject in ("cat", "dog"):
        single = tmp_path / subject
        shutil.copytree(folder / "trimaps" / subject, single / "trimaps")
        shutil.copy(folder / "plate.mov", single)
        solve(single, first_frame=1001)
        for number in (1001, 1002):  # they are apart there
            own = read_matte(single / "matte" / f"matte.{number}.exr", WINDOW)
            assert (alpha_of(folder, subject, number) == own).all()


def test_a_frame_that_cannot_be_read_fails_for_each_subject(folder: Path) -> None:
    path = folder / "plate" / "plate.1003.exr"
    path.write_bytes(path.read_bytes()[:-2000])
    results = solve(folder)
    failed = {(r.subject, r.number): r.error for r in results if r.status == "failed"}
    assert set(failed) == {("cat", 1003), ("dog", 1003)}
    assert {str(error.shot) for error in failed.values() if error} == {
        "two of them/cat",
        "two of them/dog",
    }
    assert len(results) == 2 * len(NUMBERS)


# -- again ----------------------------------------------------------------------------------------


def test_a_second_run_keeps_everything(folder: Path, finished: Any) -> None:
    finished()
    before = contents(folder / "matte")
    results = solve(folder)
    assert {r.status for r in results} == {"kept"} and len(results) == 2 * len(NUMBERS)
    assert contents(folder / "matte") == before


def test_a_changed_keyframe_is_solved_for_its_subject_alone(
    folder: Path, tmp_path: Path, solved_calls: list[tuple[str, int]], finished: Any
) -> None:
    finished(propagation={})
    write_keyframe(folder / "trimaps" / "dog", "dog", 1008, band_px=6)
    solved_calls.clear()
    results = solve(folder, propagation={})
    assert set(solved_calls) == {("dog", 1006), ("dog", 1007), ("dog", 1008)}  # 1006 for 1007
    # the cat's are written anew from its own alpha, since it may have to give way otherwise now
    assert written(results) == {"cat": [1007, 1008], "dog": [1007, 1008]}
    solve(folder, into=tmp_path / "afresh", propagation={})
    assert contents(folder / "matte") == contents(tmp_path / "afresh")


def test_one_subject_alone_and_then_the_other_is_both_at_once(
    folder: Path, solved_calls: list[tuple[str, int]], at_once: Any
) -> None:
    assert written(solve(folder, "dog", propagation={})) == {"dog": [*NUMBERS]}
    assert not list((folder / "matte" / "cat").glob("*.exr"))
    solve(folder, "cat", propagation={})
    assert Counter(solved_calls) == {(s, n): 1 for s in ("cat", "dog") for n in NUMBERS}
    assert contents(folder / "matte") == at_once(propagation={})


def test_one_subject_is_done_again_alone(
    folder: Path, tmp_path: Path, solved_calls: list[tuple[str, int]], finished: Any
) -> None:
    finished()
    solved_calls.clear()
    for number in KEYFRAMES["cat"]:
        write_keyframe(folder / "trimaps" / "cat", "cat", number, band_px=7)
    results = solve(folder, "cat")
    assert {subject for subject, _ in solved_calls} == {"cat"}
    assert written(results) == {"cat": [*NUMBERS]}
    solve(folder, into=tmp_path / "afresh")
    assert contents(folder / "matte") == contents(tmp_path / "afresh")
    assert {r.status for r in solve(folder)} == {"kept"}


def test_a_frame_that_fails_for_one_subject_leaves_the_matte_of_another(
    folder: Path, finished: Any
) -> None:
    finished()
    before = contents(folder / "matte" / "dog")
    path = folder / "plate" / "plate.1006.exr"
    path.write_bytes(path.read_bytes()[:-2000])
    results = solve(folder, "cat")
    assert [(r.subject, r.number) for r in results if r.error] == [("cat", 1006)]
    after = contents(folder / "matte" / "dog")
    assert after["matte.1006.exr"] == before["matte.1006.exr"]
    assert not [name for name in after if name.startswith("stale")]


def test_overwriting_one_subject_leaves_the_others_solved(
    folder: Path, solved_calls: list[tuple[str, int]], finished: Any
) -> None:
    finished()
    before = contents(folder / "matte")
    solved_calls.clear()
    solve(folder, "cat", run={"overwrite": True})
    assert {subject for subject, _ in solved_calls} == {"cat"}
    assert contents(folder / "matte") == before


def test_a_setting_of_the_file_solves_nothing_again(
    folder: Path, solved_calls: list[tuple[str, int]], finished: Any
) -> None:
    finished(output={"pixel_type": "float"})
    solved_calls.clear()
    results = solve(folder, output={"pixel_type": "half", "rgba": "straight"})
    assert not solved_calls and written(results) == {"cat": [*NUMBERS], "dog": [*NUMBERS]}
    for number in NUMBERS:
        total = alpha_of(folder, "cat", number) + alpha_of(folder, "dog", number)
        assert total.max() <= 1


def test_an_interrupted_run_goes_on(folder: Path, at_once: Any) -> None:
    shot = Shot.open(folder)
    with open_run(shot, settings_of()) as run:
        frames = run.frames()
        for _ in range(7):
            next(frames)
        frames.close()
    results = solve(folder)
    assert 6 <= sum(r.status == "kept" for r in results) <= 7
    assert contents(folder / "matte") == at_once()


def test_what_was_kept_of_an_overlap_is_checked(
    folder: Path, tmp_path: Path, solved_calls: list[tuple[str, int]], finished: Any
) -> None:
    """Without it a matte does not tell its own alpha any more: it is solved again."""
    finished()
    for path in (folder / "matte" / "cat" / ".vfxmatte" / "unshared").iterdir():
        path.write_bytes(b"damaged")
    write_keyframe(folder / "trimaps" / "dog", "dog", 1008, band_px=6)
    solved_calls.clear()
    solve(folder)
    assert {n for subject, n in solved_calls if subject == "cat"} >= {1008}
    solve(folder, into=tmp_path / "afresh")
    assert contents(folder / "matte") == contents(tmp_path / "afresh")


def test_a_subject_that_fails_takes_nothing_from_the_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vfxmatte.pipeline import chain as module

    whole = module.store_trimap

    def refusing(run: Any, state: Any) -> None:
        if (state.subject, state.number) == ("dog", 1005):
            raise TrimapError("it is not to be")
        whole(run, state)

    monkeypatch.setattr(module, "store_trimap", refusing)
    results = solve(folder)
    assert [(r.subject, r.number) for r in results if r.error] == [("dog", 1005)]
    monkeypatch.undo()
    again = solve(folder)
    assert written(again) == {"cat": [1005], "dog": [1005]}
    total = alpha_of(folder, "cat", 1005) + alpha_of(folder, "dog", 1005)
    assert total.max() <= 1


# -- chunks, devices, check -----------------------------------------------------------------------


def test_chunks_and_a_merge_are_the_whole(folder: Path, at_once: Any) -> None:
    for frames in ("1001-1003", "1004-1008"):
        solve(folder, frames=frames, run={"chunk": True}, propagation={})
    report = merge(Shot.open(folder), settings_of(propagation={}))
    assert report.complete and report.good == NUMBERS
    assert set(report.subjects) == {"cat", "dog"}
    assert contents(folder / "matte") == at_once(propagation={})
    assert {r.status for r in solve(folder, propagation={})} == {"kept"}


def test_a_merge_names_the_subject_that_lacks_frames(folder: Path) -> None:
    solve(folder, frames="1001-1003", run={"chunk": True})
    solve(folder, "cat", frames="1004-1008", run={"chunk": True})
    report = merge(Shot.open(folder), settings_of())
    assert not report.complete
    assert "dog: missing   frames 1004-1008" in report.lines()


def test_check_counts_as_a_run_does(folder: Path) -> None:
    shot = replace(Shot.open(folder), settings=settings_of())
    found = inspect(shot)
    assert (found.to_do, found.exit_code, list(found.subjects)) == (16, 0, ["cat", "dog"])
    solve(folder)
    assert (inspect(shot).to_do, inspect(shot).finished) == (0, 16)
    write_keyframe(folder / "trimaps" / "dog", "dog", 1008, band_px=6)
    found = inspect(shot)
    assert (found.to_do, found.rewritten, found.stale) == (4, 2, 2)
    alone = inspect(chosen(shot, ["cat"]))
    assert list(alone.subjects) == ["cat"]


@pytest.mark.usefixtures("warm_children")
def test_several_devices_make_the_same_mattes(
    folder: Path, tmp_path: Path, tiny_weights: Path
) -> None:
    engine = {"name": "dim", "weights": str(tiny_weights), "device": "cpu"}
    solve(folder, engine=engine, into=tmp_path / "one", frames="1003-1006")
    several = {**engine, "device": "cpu,cpu"}
    results = solve(folder, engine=several, into=tmp_path / "two", frames="1003-1006")
    frames = {subject: sorted(numbers) for subject, numbers in written(results).items()}
    assert frames == {"cat": [*range(1003, 1007)], "dog": [*range(1003, 1007)]}
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    again = solve(folder, engine=several, into=tmp_path / "two", frames="1003-1006")
    assert {r.status for r in again} == {"kept"}


# -- layers ---------------------------------------------------------------------------------------


def test_one_exr_with_a_layer_for_each_subject(folder: Path, finished: Any) -> None:
    finished(subject_layers=True)
    for number in NUMBERS:
        path = folder / "matte" / f"matte.{number}.exr"
        with OpenEXR.File(str(path), separate_channels=True) as file:
            planes = {name: c.pixels.astype(np.float32) for name, c in file.channels().items()}
            header = dict(file.header())
        assert set(planes) == {"A", "cat.A", "dog.A"}
        for subject in ("cat", "dog"):
            assert (planes[f"{subject}.A"] == alpha_of(folder, subject, number)).all()
        assert np.allclose(planes["A"], planes["cat.A"] + planes["dog.A"], atol=1e-3)
        assert planes["A"].max() <= 1
        assert header["framesPerSecond"] == 24
    before = contents(folder / "matte")
    times = {p: p.stat().st_mtime_ns for p in (folder / "matte").glob("*.exr")}
    solve(folder, subject_layers=True)
    assert contents(folder / "matte") == before
    assert {p: p.stat().st_mtime_ns for p in (folder / "matte").glob("*.exr")} == times


def test_layers_follow_their_mattes(folder: Path, finished: Any) -> None:
    finished(subject_layers=True)
    before = (folder / "matte" / "matte.1001.exr").read_bytes()
    last = (folder / "matte" / "matte.1008.exr").read_bytes()
    write_keyframe(folder / "trimaps" / "dog", "dog", 1008, band_px=6)
    solve(folder, subject_layers=True)
    assert (folder / "matte" / "matte.1001.exr").read_bytes() == before
    assert (folder / "matte" / "matte.1008.exr").read_bytes() != last


def test_layers_that_are_not_written_anew_are_named(folder: Path, finished: Any) -> None:
    finished(subject_layers=True)
    with open_run(Shot.open(folder), settings_of(subject_layers=True)) as run:
        assert not any("--subject-layers" in note for note in run.plan.notes)
    with open_run(Shot.open(folder), settings_of()) as run:
        noted = [note for note in run.plan.notes if "--subject-layers" in note]
    assert len(noted) == 1 and "1001-1008 of an earlier run are not written anew" in noted[0]


def test_a_name_that_nuke_cannot_show_is_refused_as_a_layer(folder: Path) -> None:
    (folder / "trimaps" / "dog").rename(folder / "trimaps" / "2nd dog")
    with pytest.raises(ShotError, match="'2nd dog' cannot be a layer"):
        solve(folder, subject_layers=True)
    assert set(written(solve(folder))) == {"cat", "2nd dog"}


def test_layers_need_exr_and_subjects(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="png has no layers"):
        solve(folder, subject_layers=True, output={"format": "png"})
    single = as_single_shot(folder, "cat", tmp_path / "single")
    with pytest.raises(UsageError, match="no subjects to be layers"):
        solve(single, subject_layers=True)


# -- bad input ------------------------------------------------------------------------------------


def test_a_subject_without_keyframes_is_named_and_nothing_is_lost(
    folder: Path, finished: Any
) -> None:
    finished()
    before = contents(folder / "matte")
    (folder / "trimaps" / "eel").mkdir()
    with pytest.raises(ShotError) as raised:
        solve(folder)
    message = str(raised.value)
    assert "'eel' has no keyframe trimap" in message
    assert str(folder / "trimaps" / "eel") in message and "--subject cat --subject dog" in message
    assert contents(folder / "matte") == before
    found = inspect(replace(Shot.open(folder), settings=settings_of()))
    assert found.exit_code == 3 and found.finished == 16
    assert any("'eel'" in str(problem) for problem in found.problems)
    assert {r.status for r in solve(folder, "cat", "dog")} == {"kept"}


def test_a_subject_that_is_not_chosen_may_be_broken(folder: Path) -> None:
    for path in (folder / "trimaps" / "dog").iterdir():
        path.rename(path.with_name(path.name.replace("100", "200")))
    with pytest.raises(ShotError, match="no keyframe stands on a frame of the plate"):
        solve(folder)
    assert written(solve(folder, "cat")) == {"cat": [*NUMBERS]}
    shot = replace(chosen(Shot.open(folder), ["cat"]), settings=settings_of())
    assert (inspect(shot).finished, inspect(shot).exit_code) == (8, 0)


def test_an_unknown_subject_is_refused_with_those_that_there_are(
    folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"no subject 'eel'.*\n.*cat, dog"):
        solve(folder, "eel")
    with pytest.raises(UsageError, match="trimaps/ itself"):
        solve(as_single_shot(folder, "cat", tmp_path / "single"), "cat")


@pytest.mark.parametrize("name", ["trimaps", "Stale", "CAT"])
def test_names_that_clash_are_refused(folder: Path, name: str) -> None:
    write_keyframe(folder / "trimaps" / name, "dog", 1001)
    with pytest.raises(ShotError, match=name):
        Shot.open(folder)


def test_a_bad_keyframe_names_its_subject_and_path(folder: Path) -> None:
    path = folder / "trimaps" / "dog" / "trimap.1004.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(TrimapError) as raised:
        solve(folder)
    assert raised.value.shot == "two of them/dog" and str(path) in str(raised.value)


def test_painting_over_a_propagated_trimap_is_noticed_for_each_subject(
    folder: Path, finished: Any
) -> None:
    finished()
    painted = folder / "matte" / "dog" / "trimaps" / "trimap.1003.png"
    labels = cv2.imread(str(painted), cv2.IMREAD_UNCHANGED)
    assert labels is not None
    cv2.imwrite(str(painted), cv2.flip(labels, 0))
    with pytest.raises(TrimapError, match="painted over"):
        solve(folder)


def test_subjects_share_one_plate(folder: Path) -> None:
    with open_run(Shot.open(folder), settings_of()) as run:
        assert isinstance(run, SubjectsRun) and len(run.runs) == 2
        assert all(one.plate is run.plate for one in run.runs.values())


def test_the_sample_shot_with_two_creatures(tmp_path: Path) -> None:
    """Where one crosses the other: trimaps follow each, and alphas share the picture."""
    sample = Path(__file__).parents[2] / "sample_shots" / "two_creatures"
    shot = Shot.open(sample, output=tmp_path)
    assert list(shot.subjects) == ["brown", "grey"]
    assert all([*keys] == [1001, 1007, 1012] for keys in shot.subjects.values())
    usual = {"propagation": {}, "colorspace": "lin_rec709_scene"}
    with open_run(shot, settings_of(frames="1007-1008", **usual)) as run:
        results = list(run.frames())
    assert written(results) == {"brown": [1007, 1008], "grey": [1007, 1008]}
    assert max(result.stats.get("overlap_share", 0) for result in results) > 0.001
    for number in (1007, 1008):
        solved, true = (
            {
                name: read_matte(folder / name / f"{stem}.{number}.exr", Window.of_size(640, 360))
                for name in ("brown", "grey")
            }
            for folder, stem in ((tmp_path, "matte"), (sample / "alpha", "alpha"))
        )
        assert (solved["brown"] + solved["grey"]).max() <= 1
        for name in solved:
            assert np.abs(solved[name] - true[name]).mean() < 0.1
