"""Files: keyframes and what they replace, unsaved painting, shot folders of movies."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests.movie_fixtures import make_movie
from vfxmatte.errors import OutputError, ShotError, TrimapError
from vfxmatte.paint.clip import shot_folder_of
from vfxmatte.paint.desk import Desk
from vfxmatte.paint.keyframe_file import save_keyframe
from vfxmatte.pipeline.keyframes import find_keyframes
from vfxmatte.pipeline.shot import Shot
from vfxmatte.types import FOREGROUND, UNKNOWN, Trimap, Window

WINDOW = Window.of_size(8, 6)


def trimap(label: int = UNKNOWN) -> Trimap:
    labels = np.zeros(WINDOW.shape, np.uint8)
    labels[2:, 3:] = label
    return Trimap(number=7, labels=labels, is_keyframe=True)


def test_a_keyframe_is_never_replaced_without_a_copy(tmp_path: Path) -> None:
    first, copy = save_keyframe(trimap(), tmp_path, WINDOW, padding=4, existing=None)
    assert (first.name, copy) == ("trimap.0007.png", None)
    contents = [first.read_bytes()]
    for label in (FOREGROUND, UNKNOWN, FOREGROUND):
        path, copy = save_keyframe(trimap(label), tmp_path, WINDOW, padding=4, existing=first)
        assert path == first
        assert copy is not None and copy.read_bytes() == contents[-1]
        contents.append(path.read_bytes())
    assert len(list((tmp_path / "replaced").iterdir())) == 3
    assert find_keyframes(tmp_path) == {7: first}


def test_a_keyframe_of_another_name_gives_way(tmp_path: Path) -> None:
    roto = tmp_path / "roto.7.tif"
    roto.write_bytes(b"painted elsewhere")
    path, copy = save_keyframe(trimap(), tmp_path, WINDOW, padding=4, existing=roto)
    assert copy is not None and copy.read_bytes() == b"painted elsewhere"
    assert find_keyframes(tmp_path) == {7: path}


def test_nothing_changes_where_no_copy_can_be_made(tmp_path: Path) -> None:
    path, _ = save_keyframe(trimap(), tmp_path, WINDOW, padding=4, existing=None)
    before = path.read_bytes()
    (tmp_path / "replaced").write_text("a file in the way")
    with pytest.raises(OutputError, match="cannot be copied"):
        save_keyframe(trimap(FOREGROUND), tmp_path, WINDOW, padding=4, existing=path)
    assert path.read_bytes() == before


def test_what_is_not_saved_is_there_again_next_time(tiny_shot: Path) -> None:
    keyframe = tiny_shot / "trimaps" / "trimap.1001.png"
    before = keyframe.read_bytes()
    with Desk(Shot.open(tiny_shot), tiny_shot) as desk:
        corner = Window(x_min=1, y_min=2, x_max=3, y_max=4)
        desk.paint(1001, corner, np.full((3, 3), FOREGROUND, np.uint8))
        assert desk.leave() == [1001]
    assert keyframe.read_bytes() == before
    assert set(Shot.open(tiny_shot).keyframes) == {1001, 1005}
    with Desk(Shot.open(tiny_shot), tiny_shot) as desk:
        assert desk.unsaved() == [1001]
        assert (desk.draft(1001).labels[2:5, 1:4] == FOREGROUND).all()
        desk.save(1001)
        assert desk.unsaved() == []
    with Desk(Shot.open(tiny_shot), tiny_shot) as desk:
        assert desk.unsaved() == []
        assert (desk.draft(1001).labels[2:5, 1:4] == FOREGROUND).all()


def test_a_frame_starts_from_its_propagated_trimap(tiny_shot: Path) -> None:
    shot = Shot.open(tiny_shot)
    with Desk(shot, tiny_shot) as desk:
        assert desk.draft(1003).source == "nothing"
        folder = shot.trimap_output
        labels = np.roll(desk.draft(1001).labels, 4, axis=1)
        carried = Trimap(number=1003, labels=labels, is_keyframe=True)
        save_keyframe(carried, folder, desk.canvas, padding=4, existing=None)
        desk.forget_propagated()
        assert desk.draft(1003).source == "propagated"
        assert (desk.draft(1003).labels == labels).all()
        desk.paint(1003, Window.of_size(9, 9), np.full((9, 9), UNKNOWN, np.uint8))
        assert (desk.draft(1003).base == labels).all()
        with pytest.raises(ShotError, match="no such frame"):
            desk.draft(1)


def test_one_label_alone_is_no_keyframe(tiny_shot: Path) -> None:
    with (
        Desk(Shot.open(tiny_shot), tiny_shot) as desk,
        pytest.raises(TrimapError, match="one label only"),
    ):
        desk.save(1003)


def test_a_movie_gets_a_shot_folder_beside_it(tmp_path: Path) -> None:
    movie = tmp_path / "clip one.mov"
    make_movie(movie, count=3)
    folder, is_new = shot_folder_of(movie)
    assert (folder, is_new) == (tmp_path / "clip one", True)
    assert shot_folder_of(movie) == (folder, False)
    shot = Shot.open(folder)
    with Desk(shot, folder) as desk:
        assert desk.pictures.frame(desk.numbers[0]).levels[0].shape[2] == 3
        assert desk.pictures.views[0] == "Video (colorimetric)"
    assert movie.is_file()


@pytest.mark.skipif(os.name != "posix", reason="makes the disk know no links")
def test_a_disk_without_links_gets_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(1, "no links here")

    monkeypatch.setattr("os.link", refused)
    monkeypatch.setattr("os.symlink", refused)
    movie = tmp_path / "clip.mov"
    movie.write_bytes(b"moving pictures")
    folder, _ = shot_folder_of(movie)
    assert not (folder / "plate.mov").is_symlink()
    assert (folder / "plate.mov").read_bytes() == b"moving pictures"
    assert shot_folder_of(movie) == (folder, False)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "clip").mkdir()
    (tmp_path / "clip" / "plate.mov").write_bytes(b"another")
    (tmp_path / "clip.mov").write_bytes(b"this one")
    with pytest.raises(ShotError, match="something else"):
        shot_folder_of(tmp_path / "clip.mov")
    with pytest.raises(ShotError, match="neither"):
        shot_folder_of(tmp_path / "clip" / "notes.txt")
