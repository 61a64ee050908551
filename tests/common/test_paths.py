"""Paths as people paste them, patterns in oddly named folders, and results apart from sources."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.conftest import write_tiny_shot
from vfxmatte.cli import commands
from vfxmatte.common.paths import clean_path
from vfxmatte.errors import OutputError, ShotError
from vfxmatte.io.sequence import find_media, find_sequence, whole_sequence
from vfxmatte.pipeline.shot import Shot
from vfxmatte.pipeline.shot_folder import read_settings

COMPOSED = unicodedata.normalize("NFC", "café")
DECOMPOSED = unicodedata.normalize("NFD", COMPOSED)


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(commands, [str(a) for a in arguments], prog_name="vfxmatte")


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    "text",
    ["{}", " {}\n", '"{}"', "'{}'", "\t\"{}\" \r\n", "“{}”", '" {} "'],
)  # fmt: skip
def test_pasted_paths_are_understood(tmp_path: Path, text: str) -> None:
    folder = touch(tmp_path / "my shot")
    assert clean_path(text.format(folder)) == folder
    assert clean_path(text.format(tmp_path / "not there")) == tmp_path / "not there"


def test_the_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert clean_path("~/shots/a") == tmp_path / "shots" / "a"
    assert clean_path('"~/shots/a" ') == tmp_path / "shots" / "a"
    (name,) = [os.environ.get("USER") or __import__("pwd").getpwuid(os.getuid()).pw_name]
    assert clean_path(f"~{name}/x") == Path(os.path.expanduser(f"~{name}")) / "x"


def test_a_file_of_the_very_name_is_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(touch(tmp_path, "~", " a ", '"q"'))
    assert [clean_path(name).name for name in ("~", " a ", '"q"')] == ["~", " a ", '"q"']


@pytest.mark.parametrize("on_disk", [COMPOSED, DECOMPOSED])
@pytest.mark.parametrize("typed", [COMPOSED, DECOMPOSED])
def test_unicode_forms_are_one_name(tmp_path: Path, on_disk: str, typed: str) -> None:
    touch(tmp_path / on_disk, f"{on_disk}.1001.exr", f"{on_disk}.1002.exr")
    found = find_sequence(tmp_path / typed / f"{typed}.####.exr")
    assert found.numbers == (1001, 1002)
    assert all(found.existing_path(n).is_file() for n in found.numbers)
    assert find_sequence(tmp_path / typed).numbers == (1001, 1002)


@pytest.mark.parametrize(
    "name",
    ["take #1", "100%", "50%d", "%04d", "a@b", "@@", "$F4", "[1-2]", "{a,b}", "a b", "1-10#",
     "$HOME", "café", "x.####.exr"],
)  # fmt: skip
@pytest.mark.parametrize("hole", ["####", "%04d", "%4d", "@@@@", "$F4", "[1001-1002]"])
def test_a_folder_s_name_is_a_name(tmp_path: Path, name: str, hole: str) -> None:
    folder = touch(tmp_path / name / "plate", "plate.1001.exr", "plate.1002.exr")
    found = find_media(folder / f"plate.{hole}.exr")
    assert not isinstance(found, Path)
    assert (found.numbers, found.padding, found.folder) == ((1001, 1002), 4, folder)
    with pytest.raises(ShotError, match="no such file or folder"):
        find_media(folder / "plate.exr")


def test_marks_in_a_file_s_own_name(tmp_path: Path) -> None:
    touch(tmp_path, "plate@2x.1001.exr", "plate@2x.1002.exr", "b#1.0001.exr", "b#1.0002.exr")
    assert find_sequence(tmp_path / "plate@2x.####.exr").numbers == (1001, 1002)
    assert find_sequence(tmp_path / "b#1.%04d.exr").numbers == (1, 2)
    assert whole_sequence(tmp_path / "b#1.0002.exr").name == "b#1.####.exr"


def test_one_file_stands_for_its_sequence(tmp_path: Path) -> None:
    touch(tmp_path, "plate.1001.exr", "plate.1002.exr", "plate.01003.exr", "other.1001.exr",
          "still.png", "lone.0001.exr")  # fmt: skip
    assert whole_sequence(tmp_path / "plate.1002.exr") == tmp_path / "plate.####.exr"
    for name in ("still.png", "lone.0001.exr", "other.1001.exr", "gone.1.exr", "plate.####.exr"):
        assert whole_sequence(tmp_path / name) == tmp_path / name


# -- shots ------------------------------------------------------------------------------------


def test_every_door_takes_the_whole_sequence_and_says_so(
    tiny_shot: Path, tmp_path: Path, tiny_weights: Path
) -> None:
    first = tiny_shot / "plate" / "plate.1001.exr"
    shot = Shot.from_parts(plate=first, trimaps=tiny_shot / "trimaps", output=tmp_path / "out")
    assert (shot.plate, shot.named_by) == (first.with_name("plate.####.exr"), first)
    assert shot.name == "plate"
    parts = ["--plate", first, "--trimaps", tiny_shot / "trimaps", "--output", tmp_path / "out"]
    how = ["--weights", tiny_weights, "--device", "cpu"]
    checked = invoke("check", *parts, *how)
    assert "5 of 5 frames" in checked.stdout
    assert "the whole sequence that plate.1001.exr is one frame of" in checked.stdout
    ran = invoke("run", *parts, *how)
    assert ran.exit_code == 0, ran.output
    assert "plate.1001.exr is one frame of" in ran.output
    assert len(list((tmp_path / "out").glob("matte.*.exr"))) == 5
    one = invoke("check", tiny_shot, "--plate", first, *how, "--frames", "1001")
    assert "1 of 1 frame" in one.stdout
    scored = invoke("evaluate", tiny_shot, "--plate", first, "--output", tmp_path / "out", *how,
                    "--alpha", tiny_shot / "alpha" / "alpha.1001.exr")  # fmt: skip
    assert scored.exit_code == 0 and "1005" in scored.output, scored.output
    farmed = invoke("farm", *parts, *how, "-o", tmp_path / "job")
    assert farmed.exit_code == 0
    assert '"1001-1005"' in (tmp_path / "job" / "openjd_parameters.json").read_text()


def test_hash_in_a_folder_runs(tmp_path: Path, tiny_weights: Path) -> None:
    shot = write_tiny_shot(tmp_path / "take #1")
    parts = ["--plate", shot / "plate" / "plate.####.exr", "--trimaps", shot / "trimaps"]
    result = invoke("check", *parts, "--output", tmp_path / "out", "--weights", tiny_weights)
    assert result.exit_code == 0, result.output


def test_options_and_shot_toml_take_pasted_paths(
    tiny_shot: Path, tmp_path: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    name = tiny_shot.name
    parts = ["--plate", f" '~/{name}/plate' ", "--trimaps", f'"~/{name}/trimaps"\n', "--output",
             " ~/out"]  # fmt: skip
    result = invoke("check", *parts, "--weights", f"'{tiny_weights}'")
    assert result.exit_code == 0, result.output
    assert f"output     {tmp_path / 'out'}" in result.stdout
    assert invoke("check", f"~/{name} ", "--weights", tiny_weights).exit_code == 0
    assert Shot.open(f'"~/{name}"').plate == tiny_shot / "plate"
    (tiny_shot / "shot.toml").write_text('ocio = "~/a.ocio "\n[engine]\nweights = "\'~/w\'"\n')
    settings = read_settings(tiny_shot / "shot.toml")
    assert (settings.ocio, settings.engine.weights) == (tmp_path / "a.ocio", tmp_path / "w")


# -- results among sources --------------------------------------------------------------------


def parts_of(shot: Path) -> list[object]:
    return ["--plate", shot / "plate", "--trimaps", shot / "trimaps"]


@pytest.mark.parametrize("plate", ["plate", "plate/plate.####.exr", "plate/plate.1003.exr"])
@pytest.mark.parametrize(
    "output", ["plate", "plate/", "trimaps", ".", "link", "sub/../plate", "keys_parent"]
)
def test_results_never_lie_among_sources(tiny_shot: Path, plate: str, output: str) -> None:
    (tiny_shot / "link").symlink_to(tiny_shot / "plate")
    (tiny_shot / "sub").mkdir()
    (tiny_shot / "keys_parent").mkdir()
    (tiny_shot / "keys_parent" / "trimaps").symlink_to(tiny_shot / "plate")
    parts = ["--plate", tiny_shot / plate, "--trimaps", tiny_shot / "trimaps"]
    before = sorted(tiny_shot.rglob("*"))
    for command in ("run", "check"):
        result = invoke(command, *parts, "--output", f"{tiny_shot}/{output}")
        assert result.exit_code == 3, result.output
        assert "results would be written among" in result.output
    assert sorted(tiny_shot.rglob("*")) == before


def test_results_beside_sources_are_fine(tiny_shot: Path, tmp_path: Path) -> None:
    for output in (tiny_shot / "matte", tiny_shot / "plate" / "matte", tmp_path / "elsewhere"):
        Shot.from_parts(
            plate=tiny_shot / "plate", trimaps=tiny_shot / "trimaps", output=output
        ).check_output()
    movie = tmp_path / "footage" / "clip.mov"
    touch(movie.parent, movie.name)
    shot = Shot(name="m", plate=movie, keyframes={}, output=movie.parent)
    shot.check_output()  # a file that is named itself stays the only one meant
    with pytest.raises(OutputError, match="among the plate's files"):
        Shot(name="m", plate=movie.parent, keyframes={}, output=movie.parent).check_output()


def test_a_movie_and_trimaps_do_not_go_into_the_plate_s_folder(
    tiny_shot: Path, tiny_weights: Path
) -> None:
    movie = invoke("run", tiny_shot, "--movie", tiny_shot / "plate" / "matte.mov",
                   "--weights", tiny_weights)  # fmt: skip
    assert movie.exit_code == 3 and "among the plate's files" in movie.output
    made = invoke("trimap", "from-matte", tiny_shot / "alpha", "-o", tiny_shot / "alpha")
    assert made.exit_code == 3 and "among the mattes" in made.output
    cut = invoke("trimap", "grabcut", tiny_shot, "--frame", 1003, "--box", "4,4,40,40", "-o",
                 tiny_shot / "plate")  # fmt: skip
    assert cut.exit_code == 3 and "among the plate's files" in cut.output
    assert len(list((tiny_shot / "plate").iterdir())) == 5
