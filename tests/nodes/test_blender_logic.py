"""What the Blender add-on decides without Blender: labels, files, frames, numbers, progress."""

from __future__ import annotations

import errno
import os
import re
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from nodes.blender import colorspaces
from nodes.blender.build import build
from nodes.blender.frames import frames_text, keyed_frames, parse_frames
from nodes.blender.labels import band, dilated, layered
from nodes.blender.limits import write_mattes
from nodes.blender.names import folder_name
from nodes.blender.owner import OWNER_FILE, NotOurs, Owner
from nodes.blender.plate import Plate, plate_of_clip, plate_of_image, source_of_image
from nodes.blender.png import is_untouched, write_png
from nodes.blender.problem import Problem, problems
from nodes.blender.results import Mattes, ShotFolder
from nodes.blender.run import Progress, Run, after
from vfxmatte.colour import ColourConfig
from vfxmatte.trimaps import from_matte
from vfxmatte.version import __version__


def paint(folder: Path, *numbers: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / f"trimap.{number:04d}.png").touch()


def test_subjects_are_the_folders_with_trimaps(tmp_path: Path) -> None:
    folder = ShotFolder.of(str(tmp_path), owner_in(tmp_path, mask=None))
    assert folder.subjects() == []
    paint(folder.trimaps / "hero", 1001, 1004)
    paint(folder.trimaps / "dog", 1002)
    paint(folder.trimaps / "nothing yet")
    paint(folder.trimaps / ".hidden", 1001)
    assert folder.subjects() == ["dog", "hero"]
    hero = ShotFolder.of(str(tmp_path), owner_in(tmp_path, mask=None), "hero")
    assert (hero.trimaps, hero.matte) == (folder.trimaps / "hero", folder.matte / "hero")
    assert hero.trimap_numbers() == [1001, 1004] and hero.whole == folder
    assert hero.subjects() == ["dog", "hero"]
    paint(folder.trimaps, 1001)  # then it has a single one
    assert folder.subjects() == [] == hero.subjects()


def test_mattes_of_a_subject_are_its_own(tmp_path: Path) -> None:
    hero = ShotFolder.of(str(tmp_path), owner_in(tmp_path, mask=None), "hero")
    hero.claim()
    assert not hero.has_mattes() and not hero.trimaps.exists()  # no subject without a trimap
    with pytest.raises(Problem, match=r"no mattes in .*hero"):
        hero.mattes()
    hero.matte.mkdir()
    (hero.matte / "matte.1001.exr").touch()
    assert hero.mattes().files == {1001: hero.matte / "matte.1001.exr"}
    assert not hero.whole.has_mattes()


@pytest.mark.parametrize("name", ["a/b", "..", "con", "x" * 60])
def test_a_subject_that_is_no_folders_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Problem, match="cannot be a subject"):
        ShotFolder.of(str(tmp_path), owner_in(tmp_path), name)


def owner_in(folder: Path, **changes: Any) -> Owner:
    """The owner of results: a mask in `shot.blend` of this folder."""
    usual = {
        "file": folder / "shot.blend",
        "scene": "Scene",
        "plate": "plate.1001.exr",
        "mask": "roto",
    }
    return Owner(**{**usual, **changes})


def soft_blobs(seed: int) -> np.ndarray:
    """(60, 80) float32 coverage with soft edges, some of them cut by the picture's border."""
    noise = np.random.default_rng(seed).standard_normal((60, 80))
    return np.clip(ndimage.gaussian_filter(noise, 6) * 60 + 0.5, 0, 1).astype(np.float32)


@pytest.mark.parametrize("radius", [0, 1, 1.5, 4, 7.3])
def test_dilation_is_by_a_disc(radius: float) -> None:
    mask = soft_blobs(3) > 0.9
    expected = ndimage.distance_transform_edt(~mask) <= radius
    np.testing.assert_array_equal(dilated(mask, radius), expected)


def test_an_empty_mask_stays_empty_and_a_full_one_full() -> None:
    empty = np.zeros((5, 6), bool)
    assert not dilated(empty, 3).any()
    assert dilated(~empty, 3).all()


@pytest.mark.parametrize(("inward", "outward"), [(0, 0), (3, 3), (2, 6), (5, 1)])
def test_a_band_is_what_the_command_line_makes(inward: float, outward: float) -> None:
    coverage = soft_blobs(8)
    ours = band(coverage, inward, outward)
    theirs = from_matte(coverage, erode_px=inward, dilate_px=outward)
    assert set(np.unique(ours)) == {0, 128, 255}
    assert (ours != theirs).mean() < 0.01  # theirs measures distance to within some hundredths


def test_a_feathered_layer_is_unknown_where_it_is_soft() -> None:
    foreground = np.array([[0, 0, 0, 0.5, 1]], np.float32)
    unknown = np.array([[0, 0.3, 1, 0, 1]], np.float32)
    assert layered(foreground, unknown).tolist() == [[0, 128, 128, 128, 255]]


def test_a_png_holds_the_labels_and_knows_a_painters_hand(tmp_path: Path) -> None:
    labels = np.array([[0, 128, 255], [255, 0, 128]], np.uint8)
    path = tmp_path / "trimaps" / "trimap.1001.png"
    write_png(path, labels)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(found, labels)
    assert is_untouched(path)
    cv2.imwrite(str(path), found)
    assert not is_untouched(path)
    path.write_bytes(b"no picture")
    assert not is_untouched(path)


def test_a_png_may_have_sixteen_bits(tmp_path: Path) -> None:
    values = np.array([[0, 1, 300], [65535, 32768, 255]], np.uint16)
    write_png(tmp_path / "a.png", values)
    found = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)
    assert found.dtype == np.uint16 and (found == values).all()
    assert is_untouched(tmp_path / "a.png")


def test_mattes_of_a_mask_replace_those_of_the_run_before(tmp_path: Path) -> None:
    folder = ShotFolder.of(str(tmp_path), owner_in(tmp_path, mask=None))
    hero = ShotFolder.of(str(tmp_path), owner_in(tmp_path, mask=None), "hero")
    place = folder.path / "core"
    half = np.full((4, 6), 0.5, np.float32)

    def names(mattes: list[tuple[int | None, Any]], owner: ShotFolder = folder) -> list[str]:
        assert write_mattes(owner, "core", iter(mattes)) == str(place)
        return sorted(p.relative_to(place).as_posix() for p in place.rglob("*.png"))

    assert names([(1001, half), (1002, half)]) == ["core.1001.png", "core.1002.png"]
    (place / "notes.png").touch()  # which nobody but the artist has put there
    assert names([(None, half)]) == ["core.png", "notes.png"]
    assert (cv2.imread(str(place / "core.png"), cv2.IMREAD_UNCHANGED) == 32768).all()
    assert names([(1002, half)], hero) == ["hero/core.1002.png", "notes.png"]
    assert names([(-3, half)], hero) == ["hero/core.-003.png", "notes.png"]


def test_an_image_is_a_still_a_sequence_or_a_movie(tmp_path: Path) -> None:
    for name in ("set.1001.exr", "set.1002.exr", "set.mov"):
        (tmp_path / name).touch()

    def source(kind: str, name: str) -> str:
        image = SimpleNamespace(name="set", source=kind)
        return source_of_image(image, str(tmp_path / name))

    assert source("FILE", "set.1001.exr") == str(tmp_path / "set.1001.exr")
    assert source("SEQUENCE", "set.1001.exr") == f"{tmp_path}/set.####.exr"
    assert source("MOVIE", "set.mov") == str(tmp_path / "set.mov")
    for kind, name in (("GENERATED", "set.mov"), ("FILE", "gone.exr")):
        with pytest.raises(Problem, match="'set' is no file on disk"):
            source(kind, name)


@given(st.sets(st.integers(-50, 5000), max_size=20))
def test_frames_survive_being_typed(numbers: set[int]) -> None:
    assert parse_frames(frames_text(numbers)) == sorted(numbers)


def test_frames_may_be_ranges() -> None:
    assert parse_frames(" 7; 1-5x2,3 ") == [1, 3, 5, 7]
    assert parse_frames("") == []
    for text in ("a", "1-", "1-9x0", "1.5"):
        with pytest.raises(Problem, match="not a frame"):
            parse_frames(text)


def test_keys_are_where_movement_bends() -> None:
    frames = range(10, 31)
    x = np.interp(frames, [12, 20, 27], [0.1, 0.5, 0.45])
    shapes = [np.array([value, 0.3, 0.2], np.float32) for value in x]
    assert keyed_frames(frames, shapes) == [12, 20, 27]
    assert keyed_frames(frames, [shapes[0]] * len(frames)) == []
    assert keyed_frames(frames, [np.empty(0, np.float32)] * len(frames)) == []


def clip(**changes: Any) -> Any:
    usual = {
        "name": "plate.0995.exr",
        "source": "SEQUENCE",
        "frame_start": 1,
        "frame_offset": 0,
        "frame_duration": 10,
        "size": (64, 48),
        "colorspace_settings": SimpleNamespace(name="ACEScg"),
    }
    return SimpleNamespace(**{**usual, **changes})


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """plate.0995.exr to plate.1004.exr, and others that are none of it."""
    names = [f"plate.{number:04d}.exr" for number in range(995, 1005)]
    for name in (*names, "plate.exr", "plate.2000.png", "plates.0001.exr"):
        (tmp_path / name).touch()
    (tmp_path / "cut.mov").touch()
    return tmp_path


def test_a_sequence_keeps_its_numbers(files: Path) -> None:
    plate = plate_of_clip(clip(), str(files / "plate.0995.exr"))
    assert plate.source == (files / "plate.####.exr").as_posix()
    assert (plate.first, plate.last, plate.title) == (995, 1004, "plate")
    assert (plate.number_at(1), plate.scene_frame_of(1004)) == (995, 10)


def test_start_and_offset_of_a_clip_count(files: Path) -> None:
    path = str(files / "plate.0995.exr")
    plate = plate_of_clip(clip(frame_start=101, frame_offset=2), path)
    assert plate.number_at(101) == 997


def test_a_movie_counts_from_one(files: Path) -> None:
    plate = plate_of_clip(clip(source="MOVIE", name="cut.mov"), str(files / "cut.mov"))
    assert (plate.first, plate.last, plate.number_at(1), plate.title) == (1, 10, 1, "cut.mov")


def test_an_image_plays_as_its_node_says(files: Path) -> None:
    image, path = clip(), str(files / "plate.0995.exr")
    assert plate_of_image(image, path, None, 51).number_at(51) == 995
    node = SimpleNamespace(frame_start=101, frame_offset=996)
    assert plate_of_image(image, path, node, 51).number_at(101) == 997


def test_two_clips_of_one_name_have_folders_of_their_own(files: Path) -> None:
    path = str(files / "plate.0995.exr")
    titles = [plate_of_clip(clip(name=f"plate.0995.exr{end}"), path).title for end in ("", ".001")]
    assert titles == ["plate", "plate.001"]


@pytest.mark.parametrize(
    ("changes", "name", "words"),
    [
        ({}, "plate.0001.exr", "There is no file"),
        ({}, "plate.exr", "no frame number"),
        ({"size": (0, 0)}, "plate.0995.exr", "cannot read"),
        ({"source": "MOVIE"}, "lost.mov", "There is no movie"),
    ],
)
def test_plates_that_are_not_there(
    files: Path, changes: dict[str, Any], name: str, words: str
) -> None:
    with pytest.raises(Problem, match=words):
        plate_of_clip(clip(**changes), str(files / name))


def test_a_still_is_no_plate(files: Path) -> None:
    with pytest.raises(Problem, match="no image sequence"):
        plate_of_image(clip(source="GENERATED"), str(files / "plate.exr"), None, 1)


def test_results_want_a_folder_and_tell_gaps(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="No folder is chosen"):
        ShotFolder.of("", owner_in(tmp_path))
    with pytest.raises(Problem, match="does not say where it begins"):
        ShotFolder.of("results", owner_in(tmp_path))
    folder = ShotFolder.of(str(tmp_path), owner_in(tmp_path))
    assert folder.path == tmp_path / "shot" / "Scene" / "plate.1001.exr" / "roto"
    with pytest.raises(Problem, match="no mattes"):
        folder.mattes()
    folder.matte.mkdir(parents=True)
    for number in (1001, 1004):
        (folder.matte / f"matte.{number}.exr").touch()
    (folder.matte / "journal.jsonl").touch()
    mattes = folder.mattes()
    assert (mattes.first, mattes.last, mattes.missing()) == (1001, 1004, [1002, 1003])
    assert isinstance(mattes, Mattes)


def test_vfxmatte_knows_every_translated_colour_space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OCIO", raising=False)
    config = ColourConfig.load()
    named = {"ACEScg", "ACES2065-1", "Linear Rec.2020", "Linear Rec.709", "Rec.2100-PQ", "sRGB"}
    for blender_name in named | set(colorspaces.BY_BLENDER_NAME):
        name = colorspaces.vfxmatte_name(blender_name)
        assert name is not None
        assert config.resolve(name) == name
    assert colorspaces.vfxmatte_name("Non-Color") is None


def test_with_a_configuration_of_the_studio_names_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCIO", "/studio/config.ocio")
    assert colorspaces.vfxmatte_name("Plate - LogC") == "Plate - LogC"


START = {"event": "start", "count": 2}
FRAME = {"event": "frame", "frame": 1001, "status": "written", "error": None}
FAILED = {"event": "frame", "frame": 1002, "status": "failed", "error": {"message": "no file"}}
TOTALS = {"event": "totals", "device": "cpu", "suggested_keyframe": 1001}


def test_progress_follows_the_events() -> None:
    progress = Progress()
    for event in (START, FRAME, FAILED, {"event": "note", "text": "no GPU"}, TOTALS):
        progress = after(progress, event)
    assert (progress.state, progress.done, progress.count) == ("running", 2, 2)
    assert progress.share == 1
    assert progress.failed == {1002: "no file"}
    assert (progress.notes, progress.device, progress.suggested) == (("no GPU",), "cpu", 1001)


def test_a_fit_has_the_bar_until_the_frames_come() -> None:
    progress = after(after(Progress(), START), {"event": "fit", "step": 20, "steps": 120})
    assert progress.fit == (20, 120) and progress.share == 20 / 120
    for event in (FRAME, TOTALS, {"event": "note", "text": "fitted to the shot"}):
        assert after(progress, event).fit is None
    assert after(progress, FRAME).share == 0.5


class FakeJob:
    """As much of the client's Job as a run uses."""

    def __init__(self, on_event: Any, on_done: Any) -> None:
        self.on_event, self.on_done = on_event, on_done
        self.cancelled, self.error = False, None

    def cancel(self) -> None:
        self.cancelled = True


class FakeClient:
    """As much of a Client as a run uses; the test calls back when it likes."""

    def start_run(self, *, plate: str, on_event: Any, on_done: Any) -> FakeJob:
        self.plate, self.job = plate, FakeJob(on_event, on_done)
        return self.job


@pytest.fixture
def started() -> tuple[Run, FakeJob, list[Progress]]:
    reported: list[Progress] = []
    run, client = Run(reported.append), FakeClient()
    run.start(client, {"plate": "plate.####.exr"})
    return run, client.job, reported


def test_a_run_is_told_to_be_over_once(started: Any) -> None:
    run, job, reported = started
    job.on_event(START)
    assert run.tick()
    job.on_event(FRAME)
    assert not run.wait(0)
    job.on_done(job)
    assert run.wait(0)
    assert not reported  # only on the main thread, by tick
    assert not run.tick()
    assert not run.tick()
    assert [progress.state for progress in reported] == ["done"]


def test_a_run_that_is_cancelled_says_so(started: Any) -> None:
    run, job, reported = started
    job.on_event(START)
    run.cancel()
    assert run.progress.state == "cancelling"
    job.on_event(FRAME)
    job.on_done(job)
    run.tick()
    assert [(progress.state, progress.done) for progress in reported] == [("cancelled", 1)]


def test_what_ends_a_run_is_told_with_what_to_do(started: Any) -> None:
    run, job, reported = started
    job.error = SimpleNamespace(
        what="no GPU memory", hint="Close it", path="plate.exr", kind="DeviceError"
    )
    job.on_done(job)
    run.tick()
    assert reported[0].state == "failed"
    assert str(reported[0].problem) == "No GPU memory (plate.exr). Close it"


def test_the_archive_holds_the_client_and_no_build_script(tmp_path: Path) -> None:
    archive = build(tmp_path)
    first = archive.read_bytes()
    assert build(tmp_path).read_bytes() == first
    with zipfile.ZipFile(archive) as opened:
        names = set(opened.namelist())
    assert {"blender_manifest.toml", "__init__.py", "LICENSE"} <= names
    assert {"vfxmatte_client/__init__.py", "vfxmatte_client/client.py"} <= names
    assert "build.py" not in names
    assert archive.name == f"vfxmatte-{__version__}.zip"


def test_a_plate_without_a_number_in_its_name_is_filed_under_it() -> None:
    plate = Plate("hero", "/plate.####.exr", 1, 2, 0, 4, 4, "sRGB")
    assert plate.title == "hero"


NAMES = ["roto", "Scene.001", "plate.1001.exr", "hair left", "été_2"]
ODD_NAMES = [
    "a/b", "a\\b", "a:b", "a_b ", " a_b", "a_b.", ".a_b", "..", ".", "", " ", "a#b", "a%04db",
    "CON", "con", "Aux.exr", "com1", "lpt9.mask", "\U0001f600", "\U0001f601", "x" * 63,
    "x" * 62 + "y", "e\u0301te", "tab\there", "new\nline", "quote\"d", "a*b", "a?b", "a<b>c",
    "a|b", "\udcff", "a[1]",
]  # fmt: skip


def test_plain_names_are_kept_as_names_of_folders() -> None:
    assert [folder_name(name) for name in NAMES] == NAMES


def test_odd_names_become_folders_that_every_file_system_takes() -> None:
    made = [folder_name(name) for name in ODD_NAMES]
    assert len({name.casefold() for name in (*made, *NAMES)}) == len(ODD_NAMES) + len(NAMES)
    for name in made:
        assert re.fullmatch(r"[\w.-][\w. -]{0,50}[\w-]", name), name
        assert name.split(".")[0].lower() not in {"con", "aux", "com1", "lpt9"}
        assert not name.startswith(".")


@given(st.text(max_size=300), st.text(max_size=300))
def test_different_names_give_different_folders(one: str, other: str) -> None:
    made = folder_name(one)
    assert (made == folder_name(other)) == (one == other)
    assert len(made.encode("utf-8", "surrogatepass")) < 255
    assert not set(made) & set('/\\:*?"<>|#%\0\n')


def test_no_two_results_share_a_folder(tmp_path: Path) -> None:
    owners = [
        owner_in(tmp_path),
        owner_in(tmp_path, file=tmp_path / "other.blend"),
        owner_in(tmp_path, scene="Scene.001"),
        owner_in(tmp_path, plate="plate.1001.exr image"),
        owner_in(tmp_path, mask="roto.001"),
        owner_in(tmp_path, mask=None),
        owner_in(tmp_path, mask="painted trimaps"),
    ]
    made = {ShotFolder.of(str(tmp_path), owner).path for owner in owners}
    assert len(made) == len(owners)


def test_a_folder_belongs_to_who_writes_first(tmp_path: Path) -> None:
    ShotFolder.of(str(tmp_path), owner_in(tmp_path, mask="Roto")).claim()
    # as on a file system that does not tell upper from lower case
    (tmp_path / "shot/Scene/plate.1001.exr/Roto").rename(
        tmp_path / "shot/Scene/plate.1001.exr/roto"
    )
    second = ShotFolder.of(str(tmp_path), owner_in(tmp_path))
    with pytest.raises(NotOurs, match="mask 'Roto'"):
        second.claim()
    second.claim(take_over=True)
    second.claim()


def test_a_copied_project_owns_its_results_and_a_lone_copy_does_not(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    folder = ShotFolder.of(str(first / "vfxmatte"), owner_in(first))
    folder.claim()
    assert str(tmp_path) not in (folder.path / OWNER_FILE).read_text(encoding="utf-8")
    shutil.copytree(first, second)
    ShotFolder.of(str(second / "vfxmatte"), owner_in(second)).claim()
    with pytest.raises(NotOurs, match=r"plate 'plate\.1001\.exr', mask 'roto'"):
        ShotFolder.of(str(first / "vfxmatte"), owner_in(second)).claim()


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"file": 3}', "\x00", '{"file": "x"}'])
def test_an_owner_file_that_is_damaged_is_nobodys(tmp_path: Path, text: str) -> None:
    folder = ShotFolder.of(str(tmp_path), owner_in(tmp_path))
    folder.claim()
    (folder.path / OWNER_FILE).write_text(text, encoding="utf-8")
    with pytest.raises(NotOurs, match="unknown origin"):
        folder.claim()


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.ENAMETOOLONG])
def test_what_the_system_refuses_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(path: Path, *_: Any, **__: Any) -> None:
        raise OSError(code, os.strerror(code), str(path))

    folder = ShotFolder.of(str(tmp_path), owner_in(tmp_path))
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(Problem, match="cannot be written: " + os.strerror(code)):
        folder.claim()
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(Problem, match="cannot be read: " + os.strerror(code)):
        folder.mattes()


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs POSIX users")
def test_a_folder_without_rights_is_a_problem(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    was_root = os.geteuid() == 0  # whom no rights stop
    if was_root:
        os.seteuid(65534)
    try:
        with pytest.raises(Problem, match=r"Permission denied\. Choose a Folder"):
            ShotFolder.of(str(locked), owner_in(tmp_path)).claim()
    finally:
        if was_root:
            os.seteuid(0)


def test_what_fails_in_the_system_or_in_blender_is_a_problem() -> None:
    with pytest.raises(Problem, match="/x: No space left on device"), problems():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/x")
    with pytest.raises(Problem, match="Blender says: Error: cannot read"), problems():
        raise RuntimeError("Error: cannot read\n")


def test_notes_of_the_start_reach_the_panel() -> None:
    progress = after(Progress(), {**START, "notes": ["frames 3 are missing"]})
    assert progress.notes == ("frames 3 are missing",)


@pytest.mark.parametrize("kind", ["MissingFrameError", "OutputLockedError", "OutputError"])
def test_advice_is_in_words_of_the_panel(started: Any, kind: str) -> None:
    run, job, reported = started
    job.error = SimpleNamespace(what="no", hint="give --output", path=None, kind=kind)
    job.on_done(job)
    run.tick()
    assert reported[0].problem is not None
    assert reported[0].problem.hint and "--" not in reported[0].problem.hint
