"""`vfxmatte review`: its files, its gate, and what it says about shots that are not whole."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.review.moving_matte import alpha_at, with_hole
from tests.review.review_shots import write_matte_file, write_moving_shot
from vfxmatte.cli import commands
from vfxmatte.journal.chunks import main_journal
from vfxmatte.journal.records import FrameRecord, append
from vfxmatte.review.gate import conditions
from vfxmatte.review.proxies import decoded_webp


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shot with a hole in the matte of frame 1010; tests write no mattes into it."""
    return write_moving_shot(tmp_path_factory.mktemp("review") / "disc & co", {1010: with_hole})


def reviewed(shot: Path, *options: str) -> Result:
    return CliRunner().invoke(commands, ["review", str(shot), "--workers", "1", *options])


def read(shot: Path, output: str = "matte") -> dict[str, Any]:
    plain: dict[str, Any] = json.loads((shot / output / "review.json").read_text("utf-8"))
    return plain


def cases(shot: Path) -> Mapping[str, ElementTree.Element]:
    suite = ElementTree.parse(shot / "matte" / "review.junit.xml").getroot()
    return {case.attrib["name"]: case for case in suite}


def test_page_json_and_junit_stand_beside_the_mattes(whole: Path) -> None:
    result = reviewed(whole)
    assert result.exit_code == 0, result.output
    assert "1010  " in result.output and "1 of 20 frames flagged" in result.output
    page = (whole / "matte" / "review.html").read_text("utf-8")
    assert "<title>disc &amp; co: review</title>" in page
    plain = read(whole)
    assert plain["flagged"] == [1010] and plain["shot"] == "disc & co"
    frame = plain["frames"][9]
    assert frame["frame"] == 1010 and frame["rank"] == 1
    assert frame["values"]["holes"] > 0.01 and frame["values"]["contradicted"] > 0.005
    assert "holes that the frames around it do not have" in [f["text"] for f in frame["flags"]]
    assert plain["frames"][0]["keyframe"] and plain["failures"] == {}
    found = cases(whole)
    assert len(found) == 20 and not any(len(c) for name, c in found.items() if "1010" not in name)
    assert "holes" in (found["frame 1010"].findtext("system-out") or "")


def test_a_condition_fails_the_gate_on_its_frames(whole: Path) -> None:
    result = reviewed(whole, "--fail-on", "holes>1%, flicker > 0.9")
    assert result.exit_code == 1
    assert "failed: frame 1010: holes>0.01:" in result.output
    assert list(read(whole)["failures"]) == ["1010"]
    failure = cases(whole)["frame 1010"].find("failure")
    assert failure is not None and failure.attrib["message"].startswith("holes>0.01: ")
    assert reviewed(whole, "--fail-on", "holes>2,confidence<-1").exit_code == 0
    assert not any(case.find("failure") is not None for case in cases(whole).values())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("flicker", "not a condition: 'flicker'"),
        ("flicker>", "not a condition"),
        ("flicker>0.1,,leak>1", "not a condition: ''"),
        ("sad>1", "no figure 'sad'"),
        ("leak>1.2.3", "not a number: '1.2.3'"),
    ],
)
def test_what_is_no_condition_is_refused(whole: Path, text: str, said: str) -> None:
    result = reviewed(whole, "--fail-on", text)
    assert result.exit_code == 2 and said in result.output
    assert "flicker>0.08,leak>5%" in result.output and "confidence" in result.output


def test_conditions_are_parsed() -> None:
    one, other = conditions(" leak > 5% ,confidence<.25", ("leak", "confidence"))
    assert (str(one), str(other)) == ("leak>0.05", "confidence<0.25")
    assert one.holds(0.051) and not one.holds(0.05) and not one.holds(None)
    assert other.holds(0.2) and not other.holds(0.3)


def test_a_frame_without_a_matte_is_flagged_and_fails_the_gate(tmp_path: Path) -> None:
    shot = write_moving_shot(tmp_path / "shot")
    (shot / "matte" / "matte.1005.exr").unlink()
    (shot / "matte" / "matte.1007.exr").write_bytes(b"no picture")
    (shot / "plate" / "plate.1012.png").write_bytes(b"no picture")
    result = reviewed(shot, "--fail-on", "flicker>1")
    assert result.exit_code == 1, result.output
    assert "1005  no matte: none was written" in result.output
    plain = read(shot)
    assert plain["without_matte"] == [1005, 1007] and set(plain["flagged"]) == {1005, 1007, 1012}
    assert list(plain["failures"]) == ["1005", "1007"]
    assert any("no plate: " in text for text in plain["frames"][11]["problems"])
    assert cases(shot)["frame 1005"].find("error") is not None
    assert reviewed(shot).exit_code == 0


def test_without_any_matte_there_is_nothing_to_review(tmp_path: Path) -> None:
    shot = write_moving_shot(tmp_path / "shot")
    result = reviewed(shot, "--output", str(tmp_path / "elsewhere"))
    assert result.exit_code == 3
    assert "there is no matte to review" in result.output and "elsewhere" in result.output
    assert not (tmp_path / "elsewhere").exists()


def test_two_takes_are_compared(whole: Path, tmp_path: Path) -> None:
    other = write_moving_shot(tmp_path / "other take")
    result = reviewed(whole, "--against", str(other), "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["flagged"] == [1010]
    plain = read(whole)
    assert plain["take"] == "disc & co/matte"
    assert list(plain["against"]) == ["other take/matte"]
    theirs = plain["against"]["other take/matte"][9]
    assert theirs["frame"] == 1010 and theirs["rank"] is None and theirs["values"]["holes"] == 0
    page = (whole / "matte" / "review.html").read_text("utf-8")
    assert 'id="1010-other-alpha"' in page and 'id="1010-other-plate"' not in page
    same = reviewed(whole, "--against", str(whole))
    assert same.exit_code == 3 and "compared with itself" in same.output


@pytest.mark.parametrize("kind", ["premultiplied", "straight"])
def test_the_foreground_is_the_files_own_colour(tmp_path: Path, kind: str) -> None:
    """RGB beside alpha is shown as foreground, divided by alpha where it is multiplied."""
    shot = write_moving_shot(tmp_path / "shot")
    alpha = alpha_at(9)
    red = np.full_like(alpha, 0.5)
    planes = {"R": red, "G": np.zeros_like(alpha), "B": np.zeros_like(alpha)}
    factor = alpha if kind == "premultiplied" else (alpha > 0)
    colour = {name: plane * factor for name, plane in planes.items()}
    write_matte_file(shot / "matte", 1010, {**colour, "A": alpha})
    manifest = {"settings": {"output": {"rgba": kind}}}
    (shot / "matte" / "manifest.json").write_text(json.dumps(manifest))
    assert reviewed(shot, "--colorspace", "lin_rec709_scene").exit_code == 0
    page = (shot / "matte" / "review.html").read_text("utf-8")
    text = page.split('id="1010-foreground">')[1].split("<")[0]
    picture = decoded_webp(base64.b64decode(text)).astype(int)
    solid, soft = alpha >= 1, (alpha > 0.3) & (alpha < 1)
    assert abs(picture[solid].mean(axis=0) - (188, 0, 0)).max() < 4  # linear 0.5
    assert abs(picture[soft].mean(axis=0) - (188, 0, 0)).max() < 12


def test_of_two_formats_the_last_one_written_is_reviewed(tmp_path: Path) -> None:
    """Mattes of an earlier run in another format lie beside those of the last run."""
    shot = write_moving_shot(tmp_path / "shot", {1010: with_hole})
    records = []
    for index in range(20):
        grey = np.rint(alpha_at(index) * 65535).astype(np.uint16)
        name = f"matte.{1001 + index}.png"
        assert cv2.imwrite(str(shot / "matte" / name), grey)
        stats = {"confidence": 0.75}
        records.append(
            FrameRecord(number=1001 + index, fingerprint="", file=name, size_bytes=1, stats=stats)
        )
    main_journal(shot / "matte").parent.mkdir()
    append(main_journal(shot / "matte"), records)
    assert reviewed(shot).exit_code == 0
    plain = read(shot)
    assert plain["flagged"] == [] and plain["frames"][9]["values"]["holes"] == 0
    assert plain["frames"][9]["values"]["confidence"] == 0.75
    assert plain["frames"][0]["values"]["confidence"] == 1


def test_the_whole_shot_has_notes(tmp_path: Path) -> None:
    shot = write_moving_shot(tmp_path / "shot")
    records = [
        FrameRecord(number=1001 + i, fingerprint="", stats={"confidence": 0.3}) for i in range(20)
    ]
    main_journal(shot / "matte").parent.mkdir()
    append(main_journal(shot / "matte"), records)
    result = reviewed(shot)
    note = "a further keyframe would help most on frame 1011 (confidence there 0.30)"
    assert f"note: {note}" in result.output and read(shot)["notes"] == [note]
    page = (shot / "matte" / "review.html").read_text("utf-8")
    assert f"<p>A{note[1:]}.</p>" in page


def test_mattes_that_are_good_on_keyframes_alone_have_a_note(tmp_path: Path) -> None:
    """All frames between are equally wrong, so that none of them is unusual."""
    spoiled = {number: lambda alpha: alpha * np.float32(0.4) for number in range(1002, 1020)}
    shot = write_moving_shot(tmp_path / "shot", spoiled)
    reviewed(shot)
    (note,) = read(shot)["notes"]
    assert note.startswith("the matte's area changes by 60% between frames 10")
    assert "one of them a keyframe" in note
