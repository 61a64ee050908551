"""Jobs for farms with many shots: what they give, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.farm.conftest import assert_same, invoke, openjd, parameters, read
from vfxmatte.bench.moving_shot import MovingShot


def test_many_shots_are_one_job_that_gives_what_a_batch_gives(
    shots: Path, tmp_path: Path, program: Path
) -> None:
    how = ["--engine", "trimap", "--device", "cpu"]
    plain = tmp_path / "plain"
    assert invoke("batch", shots, *how, "-o", plain).exit_code == 0
    bundle = tmp_path / "job"
    made = invoke("farm", shots, *how, "-o", bundle, "--chunk", 3, "--vfxmatte", program)
    assert made.exit_code == 0, made.output
    content, chosen = read(bundle / "template.json"), read(bundle / "openjd_parameters.json")
    assert content["name"] == "vfxmatte tonight"
    assert [step["name"] for step in content["steps"]] == [
        "Solve sh010_show", "Merge sh010_show", "Solve sh020", "Merge sh020",
        "Solve sh010_elsewhere", "Merge sh010_elsewhere",
    ]  # fmt: skip
    assert (chosen["Shots"], chosen["Shots2"]) == (
        str(tmp_path / "show"),
        str(shots.parent / "elsewhere"),
    )
    assert str(tmp_path) not in json.dumps(content["steps"])
    assert "passes validation" in openjd("check", bundle / "template.json")
    said = openjd("run", bundle / "template.json", "-p", parameters(bundle))
    assert "openjd_fail" not in said
    for place, name, numbers in (
        ("show/sh010", "sh010_show", [1001, 1002, 1003, 1004]),
        ("show/sh020", "sh020", [1002, 1004, 1006]),
        ("elsewhere/sh010", "sh010_elsewhere", [1001, 1002, 1003, 1004]),
    ):
        assert_same(tmp_path / place / "matte", plain / name, numbers)


def test_many_shots_by_pattern_without_chunking(shots: Path, tmp_path: Path) -> None:
    how = ["--no-chunking", "--chunk", 4, "--output", tmp_path / "out"]
    made = invoke("farm", tmp_path / "show", *how, "-o", tmp_path / "job")
    assert made.exit_code == 0, made.output
    content, chosen = (
        read(tmp_path / "job" / f"{n}.json") for n in ("template", "openjd_parameters")
    )
    assert content["name"] == "vfxmatte show" and len(content["steps"]) == 4
    openjd("check", tmp_path / "job" / "template.json", "--extensions", "")
    assert chosen["Output"] == str(tmp_path / "out" / "sh010")
    assert chosen["Output2"] == str(tmp_path / "out" / "sh020")
    flows = {one["name"]: one.get("dataFlow") for one in content["parameterDefinitions"]}
    assert (flows["Shots"], flows["Output2"]) == ("NONE", "INOUT")
    references = read(tmp_path / "job" / "asset_references.json")["assetReferences"]
    assert references["outputs"]["directories"] == [chosen["Output"], chosen["Output2"]]


def test_a_broken_shot_keeps_the_job_from_being_written(shots: Path, tmp_path: Path) -> None:
    (tmp_path / "show" / "sh020" / "trimaps" / "trimap.1001.png").write_bytes(b"rubbish")
    result = invoke("farm", shots, "-o", tmp_path / "job")
    assert result.exit_code == 3 and "sh020" in result.stderr and "trimap.1001" in result.stderr
    assert not (tmp_path / "job").exists()
    result = invoke("farm", shots, "-o", tmp_path / "job", "--keep-going")
    assert result.exit_code == 1 and "sh020" in result.stderr
    names = [step["name"] for step in read(tmp_path / "job" / "template.json")["steps"]]
    assert names[::2] == ["Solve sh010_show", "Solve sh010_elsewhere"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--frames", "1001-1002"], "--frames cannot go with several shots"),
        (["--cut", "{list}"], "SHOT cannot go with --cut"),
        (["--handles", "3"], "--handles without a cut"),
    ],
)
def test_what_does_not_go_with_many_shots(
    shots: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    words = [word.format(list=shots) for word in arguments]
    result = invoke("farm", shots, "-o", tmp_path / "job", *words)
    assert result.exit_code == 2 and said in result.stderr, result.output
    assert not (tmp_path / "job").exists()


def test_shots_in_too_many_places_are_no_single_job(tmp_path: Path) -> None:
    for number in range(46):
        place = tmp_path / f"place{number}" / "sh010"
        MovingShot(frames=2, width=16, height=16, keyframes=(1001,)).write(place)
    result = invoke("farm", tmp_path / "place*" / "sh010", "-o", tmp_path / "job")
    assert result.exit_code == 2 and "46 places, too many for one job" in result.stderr
