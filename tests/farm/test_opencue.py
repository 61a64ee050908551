"""OpenCue's job specification: as OpenCue's own program writes it, and its commands run."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.farm.conftest import invoke
from tests.fitting.conftest import QUICK_OPTIONS
from vfxmatte.bench.moving_shot import MovingShot
from vfxmatte.io.stills.reading import read_image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shot = MovingShot(frames=8, width=64, height=48, keyframes=(1001, 1004, 1008))
    return shot.write(tmp_path / "show a" / "creature 毛")


def written(folder: Path, bundle: Path, *more: object) -> ElementTree.Element:
    how = ["--scheduler", "opencue", "--show", "big", "-o", bundle]
    result = invoke("farm", folder, *how, *more)
    assert result.exit_code == 0, result.output
    return ElementTree.parse(bundle / "opencue.xml").getroot()


def lines(element: ElementTree.Element) -> list[str]:
    """Tags, attributes and texts, in their order."""
    ElementTree.indent(element)
    return ElementTree.tostring(element, encoding="unicode").split("\n")


def test_it_is_what_opencue_s_own_program_writes(folder: Path, tmp_path: Path) -> None:
    """The same job, put together with OpenCue's outline package."""
    outline = pytest.importorskip("outline")
    from FileSequence import FrameSet
    from outline.backend import cue
    from outline.cuerun import OutlineLauncher
    from outline.modules.shell import Shell

    root = written(folder, tmp_path / "job", "--frames", "1001-1007x2", "--chunk", 2)
    solve, merge = root.findall("job/layers/layer")
    outline.config.set("outline", "spec_version", "1.13")
    job = outline.Outline(root.find("job").attrib["name"], frame_range="1001-1007x2")  # type: ignore[union-attr]
    ours = {"command": solve.findtext("cmd"), "range": "1001-1007x2", "chunk": 2}
    first = Shell("solve", **ours, memory="16g", gpus=1, gpu_memory="8g")
    last = Shell("merge", command=merge.findtext("cmd"), range="1001", chunk=1, type="Util")
    last.depend_all(first)
    for layer in (first, last):
        job.add_layer(layer)
    launcher = OutlineLauncher(
        job, show="big", shot=root.findtext("shot"), user=root.findtext("user")
    )
    theirs = ElementTree.fromstring(cue.serialize_simple(launcher))
    for tag in ("facility", "email"):
        theirs.remove(theirs.find(tag))  # type: ignore[arg-type]
    theirs.find("job").remove(theirs.find("job/priority"))  # type: ignore[union-attr, arg-type]
    frames = theirs.find("job/layers/layer/range")
    assert frames is not None and frames.text == "1001,1003,1005,1007"  # it writes out every step
    assert list(FrameSet(frames.text)) == list(FrameSet("1001-1007x2"))
    frames.text = "1001-1007x2"
    assert lines(theirs) == lines(root)


def test_its_commands_do_the_shot(folder: Path, tmp_path: Path, tiny_weights: Path) -> None:
    how = ["--weights", tiny_weights, "--device", "cpu"]
    assert invoke("run", folder, *how, "--output", tmp_path / "plain").exit_code == 0
    root = written(folder, tmp_path / "job", *how, "--chunk", 5)
    solve, merge = (layer.findtext("cmd") or "" for layer in root.findall("job/layers/layer"))
    for start in ("1006", "1001"):  # in any order
        program, *words = shlex.split(solve.replace("#IFRAME#", start))
        assert program == "vfxmatte" and invoke(*words).exit_code == 0
    result = invoke(*shlex.split(merge)[1:])
    assert result.exit_code == 0 and "good      frames 1001-1008" in result.output
    for number in range(1001, 1009):
        a, b = (f / f"matte.{number}.exr" for f in (folder / "matte", tmp_path / "plain"))
        assert read_image(a).pixels.tobytes() == read_image(b).pixels.tobytes()
    assert not root.findall("job/layers/layer/gpus")  # it is a job for CPUs


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "wants the name of a show"),
        (["--show", "a", "--set", "output.attributes={a='#JOB#'}"], "be replaced"),
    ],
)
def test_what_opencue_cannot_take_is_refused(
    folder: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    how = ["--scheduler", "opencue", "-o", tmp_path / "job"]
    result = invoke("farm", folder, *how, *arguments)
    assert result.exit_code == 2 and said in result.output
    assert not (tmp_path / "job").exists()


def test_many_shots_are_one_job_with_two_layers_each(
    folder: Path, tmp_path: Path, tiny_weights: Path
) -> None:
    shutil.copytree(folder, folder.parent / "b creature")
    how = ["--weights", tiny_weights, "--device", "cpu", "--chunk", 5]
    root = written(folder.parent, tmp_path / "job", *how)
    layers = {layer.attrib["name"]: layer for layer in root.findall("job/layers/layer")}
    assert list(layers) == [
        "solve_b_creature",
        "merge_b_creature",
        "solve_creature",
        "merge_creature",
    ]
    depends = [
        (one.findtext("deplayer"), one.findtext("onlayer"))
        for one in root.findall("depends/depend")
    ]
    assert depends == [
        ("merge_b_creature", "solve_b_creature"), ("merge_creature", "solve_creature"),
    ]  # fmt: skip
    for name in ("b_creature", "creature"):
        for start in ("1001", "1006"):
            command = (layers[f"solve_{name}"].findtext("cmd") or "").replace("#IFRAME#", start)
            assert invoke(*shlex.split(command)[1:]).exit_code == 0
        merge = shlex.split(layers[f"merge_{name}"].findtext("cmd") or "")
        assert invoke(*merge[1:]).exit_code == 0


def test_the_fit_is_a_layer_before_the_chunks(
    folder: Path, tmp_path: Path, light_weights: Path
) -> None:
    how = ["--weights", light_weights, "--device", "cpu", "--chunk", 8, *QUICK_OPTIONS]
    root = written(folder, tmp_path / "job", *how)
    layers = {layer.attrib["name"]: layer for layer in root.findall("job/layers/layer")}
    assert list(layers) == ["fit", "solve", "merge"]
    assert layers["fit"].findtext("range") == "1001" and layers["fit"].findtext("chunk") == "1"
    assert layers["fit"].findtext("memory") == layers["solve"].findtext("memory")
    depends = [
        (one.findtext("deplayer"), one.findtext("onlayer"))
        for one in root.findall("depends/depend")
    ]
    assert depends == [("solve", "fit"), ("merge", "solve")]
    said = {}
    for name, layer in layers.items():
        command = (layer.findtext("cmd") or "").replace("#IFRAME#", "1001")
        result = invoke(*shlex.split(command)[1:])
        assert result.exit_code == 0, result.output
        said[name] = result.output
    assert "fitted to the shot: on keyframe 1004" in said["fit"]
    assert "fitting to the shot" not in said["solve"]
