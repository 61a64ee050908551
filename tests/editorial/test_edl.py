"""EDLs, and media that lie elsewhere than the cut says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

otio = pytest.importorskip("opentimelineio")

from tests.cuts import clip_of, plate_of, saved, span, timeline_of  # noqa: E402
from vfxmatte.editorial.cut import Cut, read_cut  # noqa: E402
from vfxmatte.editorial.media import path_of  # noqa: E402
from vfxmatte.editorial.package import adapter_is_there  # noqa: E402
from vfxmatte.editorial.places import Places  # noqa: E402
from vfxmatte.errors import ShotError, UsageError  # noqa: E402


def make_shot(folder: Path, first: int = 1001, count: int = 40) -> Path:
    """FOLDER/plate/plate.####.exr of empty files, and a trimap of the first frame."""
    for name in ("plate", "trimaps"):
        (folder / name).mkdir(parents=True)
    for number in range(first, first + count):
        (folder / "plate" / f"plate.{number:04d}.exr").touch()
    (folder / "trimaps" / f"trimap.{first}.png").touch()
    return folder


def edl(folder: Path, *events: str, head: str = "FCM: NON-DROP FRAME", name: str = "cut") -> Path:
    if not adapter_is_there("cmx_3600"):
        pytest.skip("needs otio-cmx3600-adapter")
    path = folder / f"{name}.edl"
    path.write_text("\n".join([f"TITLE: {name}", head, "", *events]) + "\n", encoding="utf-8")
    return path


def read(path: Path, **options: Any) -> Cut:
    return read_cut(path, path.parent / "out", **options)


def frames(cut: Cut) -> dict[str, str]:
    return {shot.name: ",".join(map(str, shot.ranges)) for shot in cut.shots}


def event(number: int, source: str, record: str, media: str | None, name: str = "sh010") -> str:
    lines = [f"{number:03d}  {name.upper():8} V     C        {source} {record}",
             f"* FROM CLIP NAME: {name}"]  # fmt: skip
    return "\n".join(lines + ([f"* FROM CLIP: {media}"] if media else []))


PLATE = "sh010/plate/plate.1001.exr"


@pytest.mark.parametrize("hour", ["00", "01", "09", "10", "23"])
def test_record_time_may_begin_anywhere(tmp_path: Path, hour: str) -> None:
    make_shot(tmp_path / "sh010", count=3)
    record = f"{hour}:00:00:00 {hour}:00:00:03"
    path = edl(tmp_path, event(1, "00:00:00:01 00:00:00:04", record, PLATE))
    cut = read(path)
    assert frames(cut) == {"sh010": "1001-1003"} and not cut.problems
    assert any("24 frames a second" in note for note in cut.notes)


def test_gaps_and_several_tracks(tmp_path: Path) -> None:
    for name in ("sh010", "sh020", "sh030"):
        make_shot(tmp_path / name)
    source = "00:00:41:17 00:00:42:03"  # frames 1001 to 1010 at 24
    events = [
        event(1, source, "01:00:00:00 01:00:00:10", "sh010/plate/plate.1001.exr", "sh010"),
        event(2, source, "01:00:10:00 01:00:10:10", "sh020/plate/plate.1001.exr", "sh020"),
        event(3, source, "01:00:05:00 01:00:05:10", "sh030/plate/plate.1001.exr", "sh030")
        .replace(" V  ", " V2 "),
        event(4, source, "01:00:05:00 01:00:05:10", None, "sound").replace(" V  ", " A  "),
    ]  # fmt: skip
    expected = dict.fromkeys(("sh010", "sh020", "sh030"), "1001-1010")
    assert frames(read(edl(tmp_path, *events))) == expected


def test_the_rate_is_given_guessed_or_asked_for(tmp_path: Path) -> None:
    make_shot(tmp_path / "sh010", first=1025, count=25)
    ev = event(
        1, "00:00:41:00 00:00:42:00", "10:00:00:00 10:00:01:00", PLATE.replace("1001", "1025")
    )
    path = edl(tmp_path, ev)
    assert frames(read(path, rate=25)) == {"sh010": "1025-1049"}
    beyond = event(2, "00:00:41:24 00:00:42:00", "10:00:01:00 10:00:01:01", None)
    with pytest.raises(ShotError, match="up to 24 in a second") as caught:
        read(edl(tmp_path, ev, beyond, name="pal"))
    assert "--rate 25" in str(caught.value.hint)
    dropped = edl(
        tmp_path,
        event(1, "00:00:34:05 00:00:34:25", "01;00;00;00 01;00;00;20".replace(";", ":", 2)
              .replace("01:00;00;00", "01:00:00;00"), PLATE.replace("1001", "1025")),
        head="FCM: DROP FRAME", name="drop",
    )  # fmt: skip
    with pytest.raises(ShotError, match="drop-frame time code"):
        read(dropped, rate=25)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_any_encoding_and_line_ends(tmp_path: Path, encoding: str) -> None:
    make_shot(tmp_path / "été", count=3)
    path = edl(tmp_path, event(1, "00:00:00:01 00:00:00:04", "01:00:00:00 01:00:00:03",
                               "été/plate/plate.1001.exr"))  # fmt: skip
    path.write_bytes(path.read_text("utf-8").replace("\n", "\r\n").encode(encoding))
    assert frames(read(path)) == {"sh010": "1001-1003"}


def test_a_dissolve_s_two_clips_have_their_own_media(tmp_path: Path) -> None:
    make_shot(tmp_path / "a"), make_shot(tmp_path / "b")
    one = event(
        1, "00:00:41:17 00:00:42:03", "01:00:00:00 01:00:00:10", "a/plate/plate.1001.exr", "a"
    )
    two = (
        "002  A V     C        00:00:42:03 00:00:42:03 01:00:00:10 01:00:00:10\n"
        "002  B V     D    005 00:00:41:17 00:00:42:03 01:00:00:10 01:00:00:20\n"
        "* FROM CLIP NAME: a\n* TO CLIP NAME: b\n* FROM CLIP: a/plate/plate.1001.exr"
    )
    cut = read(edl(tmp_path, one, two + "\n* TO CLIP: b/plate/plate.1001.exr", name="both"))
    assert frames(cut) == {"a": "1001-1015", "b": "1001-1010"}
    half = read(edl(tmp_path, one, two, name="half"))
    assert frames(half) == {"a": "1001-1015"}  # and never frames of a for b
    assert [(p.shot, p.what) for p in half.problems] == [("b", "this clip has no media")]
    found = read(tmp_path / "half.edl", media=[tmp_path])
    assert frames(found) == {"a": "1001-1015", "b": "1001-1010"}


def test_speed_changes_and_freezes(tmp_path: Path) -> None:
    make_shot(tmp_path / "sh010")
    fast = event(1, "00:00:41:17 00:00:42:13", "01:00:00:00 01:00:00:10", PLATE)
    fast += "\nM2   SH010       048.0                00:00:41:17"
    freeze = event(2, "00:00:42:00 00:00:42:01", "01:00:00:10 01:00:01:10", PLATE, "sh020")
    freeze += "\nM2   SH010       000.0                00:00:42:00\n* * FREEZE FRAME"
    assert frames(read(edl(tmp_path, fast, name="fast"))) == {"sh010": "1001-1020"}
    assert frames(read(edl(tmp_path, freeze, name="freeze"))) == {"sh020": "1008"}
    longer = fast.replace("01:00:00:10", "01:00:01:10").replace("00:00:42:13", "00:00:44:13")
    (problem,) = read(edl(tmp_path, longer, name="longer")).problems
    assert problem.shot == "sh010" and "1001-1040" in problem.what


def test_lengths_that_disagree_cost_no_clip(tmp_path: Path) -> None:
    make_shot(tmp_path / "sh010")
    path = edl(tmp_path, event(1, "00:00:41:17 00:00:42:03", "01:00:00:00 01:00:00:12", PLATE))
    cut = read(path)
    assert frames(cut) == {"sh010": "1001-1010"}
    assert any("source times count" in note for note in cut.notes)


def test_reels_and_names_are_found_in_media_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    make_shot(store / "sh010")
    path = edl(tmp_path, event(1, "00:00:41:17 00:00:42:03", "01:00:00:00 01:00:00:10", None))
    (problem,) = read(path).problems
    assert problem.what == "this clip has no media"
    assert "'sh010'" in str(problem.hint) and "--media" in str(problem.hint)
    assert frames(read(path, media=[store])) == {"sh010": "1001-1010"}
    monkeypatch.setenv("VFXMATTE_MEDIA", f"{tmp_path / 'none'}:{store}")
    assert frames(read(path)) == {"sh010": "1001-1010"}
    make_shot(tmp_path / "other" / "sh010")
    (problem,) = read(path, media=[tmp_path / "other"]).problems
    assert "2 places have the media" in problem.what


# -- media elsewhere --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        (r"P:\show\sh010\plate\plate.####.exr", r"P:\show={}"),
        (r"p:\Show\sh010\plate\plate.%04d.exr", "P:/show={}"),
        ("P:/show/sh010/plate/plate.####.exr", "P:={}/.."),
        ("file:///P:/show/sh010/plate/plate.####.exr", "P:/show/={}"),
        ("file://P:/show/sh010/plate/plate.%23%23%23%23.exr", "P:/show={}"),
        (r"\\srv\vol\sh010\plate\plate.####.exr", r"\\SRV\vol={}"),
        ("//srv/vol/sh010/plate/plate.####.exr", "//srv/vol={}"),
        ("file://srv/vol/sh010/plate/plate.####.exr", r"\\srv\vol={}"),
        ("smb://srv/vol/sh010/plate/plate.####.exr", "smb://srv/vol={}"),
        ("/Volumes/my%20show/sh010/plate/plate.####.exr", "/Volumes/my show={}"),
        ("file:///Volumes/my%20show/sh010/plate/plate.####.exr", "/Volumes/my show={}"),
        ("/Volumes/show/sh010/plate/plate.####.exr", "/Volumes=/nowhere"),
    ],
)
def test_roots_are_mapped(tmp_path: Path, url: str, rule: str) -> None:
    root = make_shot(tmp_path / "show" / "sh010").parent
    rules = [rule.format(root), f"/Volumes/show={root}"]
    found = path_of(url, tmp_path, Places.of(rules, []))
    assert found.resolve() == root / "sh010" / "plate" / "plate.####.exr"


def test_part_of_a_name_is_no_root(tmp_path: Path) -> None:
    places = Places.of(["/mnt/show=/x", "/mnt/show/deep=/y"], [])
    assert path_of("/mnt/shows/a.mov", tmp_path, places) == Path("/mnt/shows/a.mov")
    assert path_of("/mnt/show/deep/a.mov", tmp_path, places) == Path("/y/a.mov")
    assert path_of("/mnt/show/a.mov", tmp_path, places) == Path("/x/a.mov")
    for text in ("P:", "=x", "P:="):
        with pytest.raises(UsageError, match="--map"):
            Places.of([text], [])


def test_folders_are_searched_by_the_longest_end(tmp_path: Path) -> None:
    root = tmp_path / "here"
    for name in ("sh010", "sh020"):
        make_shot(root / name)
    for url in (r"Z:\jobs\show\sh020\plate\plate.1001.exr", "/gone/sh020/plate/plate.1001.exr",
                "sh020/plate/plate.1001.exr"):  # fmt: skip
        found = path_of(url, tmp_path / "cut", Places.of([], [root]))
        assert found == root / "sh020" / "plate" / "plate.1001.exr"
    media = plate_of("file:///gone/sh020/plate/", available_range=span(86400, 40))
    cut = read(
        saved(timeline_of(clip_of("b", media, 86404, 10)), tmp_path / "c.otio"), media=[root]
    )
    assert frames(cut) == {"b": "1005-1014"}
    assert cut.shots[0].media.plate == root / "sh020" / "plate" / "plate.####.exr"


def test_two_media_are_never_found_at_one_place(tmp_path: Path) -> None:
    """A folder of one shot's plate ends like that of any other shot."""
    root = make_shot(tmp_path / "sh010")
    names = ("sh010", "sh020")
    plates = [plate_of(f"file:///gone/{n}/plate/", count=40) for n in names]
    clips = [clip_of(n, plate, 86404, 3) for n, plate in zip(names, plates, strict=True)]
    cut = read(saved(timeline_of(*clips), tmp_path / "c.otio"), media=[root])
    assert not cut.shots
    assert [p.shot for p in cut.problems] == ["sh010", "sh020"]
    assert all("found at one place" in p.what for p in cut.problems)


def test_what_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    media = otio.schema.ExternalReference(target_url=r"P:\show\a.mov")
    path = saved(timeline_of(clip_of("a", media, 0, 10)), tmp_path / "c.otio")
    (problem,) = read(path).problems
    assert problem.path == "P:/show/a.mov" and "--map FROM=TO" in str(problem.hint)
