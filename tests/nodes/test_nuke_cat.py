"""The .cat script against a strict fake of Nuke, and the gizmo's text: no Nuke is needed here."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "nodes" / "nuke" / "cat"
KNOBS = {"colorspace": 1, "refine": 1, "tile_px": 2048}


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_cat", FOLDER / "make_cat.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make_cat = load_script()


class FakeKnob:
    def __init__(self, name: str, label: str = "") -> None:
        self.name, self.value = name, None

    def setValue(self, value: Any) -> None:
        self.value = value


class FakeButton(FakeKnob):
    def __init__(self, node: FakeCatFileCreator) -> None:
        super().__init__("createCatFile")
        self._node = node

    def execute(self) -> None:
        node = self._node
        assert Path(node["torchScriptFile"].value).is_file()
        if node.works:
            Path(node["catFile"].value).write_text("cat")


class FakeCatFileCreator:
    """Has the knobs that the node has, and no others."""

    def __init__(self, works: bool) -> None:
        self.works, self.added = works, []  # type: ignore[var-annotated]
        names = ("torchScriptFile", "catFile", "channelsIn", "channelsOut", "modelId")
        self._knobs: dict[str, FakeKnob] = {name: FakeKnob(name) for name in names}
        self._knobs["createCatFile"] = FakeButton(self)

    def __getitem__(self, name: str) -> Any:
        return self._knobs[name]

    def addKnob(self, knob: FakeKnob) -> None:
        self.added.append(knob)


class FakeNuke:
    """The few calls that the script makes; any other name is an AttributeError."""

    Int_Knob = FakeKnob

    def __init__(self, *, nukex: bool = True, works: bool = True) -> None:
        self.env = {"nukex": nukex}
        self.works, self.made, self.deleted = works, [], []  # type: ignore[var-annotated]

    def createNode(self, kind: str, *, inpanel: bool = True) -> FakeCatFileCreator:
        assert kind == "CatFileCreator" and inpanel is False
        self.made.append(FakeCatFileCreator(self.works))
        return self.made[-1]

    def delete(self, node: FakeCatFileCreator) -> None:
        self.deleted.append(node)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "matting.pt"
    record = {"weights_sha256": "0123456789abcdef", "knobs": json.dumps(KNOBS)}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("matting/extra/vfxmatte.json", json.dumps(record))
    return path


def test_the_cat_is_made_with_channels_and_knobs(model: Path, tmp_path: Path) -> None:
    nuke, cat = FakeNuke(), tmp_path / "matting.cat"
    make_cat.make_cat(nuke, str(model), str(cat))
    (node,) = nuke.made
    assert cat.is_file() and nuke.deleted == [node]
    assert node["channelsIn"].value == "rgba.red,rgba.green,rgba.blue,rgba.alpha"
    assert node["channelsOut"].value == "rgba.alpha"
    assert node["modelId"].value == "vfxmatte 0123456789ab"
    assert "\\" not in node["torchScriptFile"].value
    assert {knob.name: knob.value for knob in node.added} == KNOBS


@pytest.mark.parametrize(
    ("nuke", "message"),
    [(FakeNuke(nukex=False), "--nukex"), (FakeNuke(works=False), "Nuke made no")],
)
def test_what_nuke_cannot_do_is_told(
    nuke: FakeNuke, message: str, model: Path, tmp_path: Path
) -> None:
    with pytest.raises(make_cat.CatError, match=message):
        make_cat.make_cat(nuke, str(model), str(tmp_path / "m.cat"))
    assert nuke.deleted == nuke.made


def test_wrong_files_are_told(model: Path, tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_text("no archive")
    (tmp_path / "there.cat").write_text("mine")
    for source, target, message in (
        (tmp_path / "none.pt", tmp_path / "m.cat", "cannot read"),
        (tmp_path / "text.pt", tmp_path / "m.cat", "export torchscript"),
        (model, tmp_path / "there.cat", "there already"),
        (model, tmp_path / "none" / "m.cat", "no folder"),
    ):
        with pytest.raises(make_cat.CatError, match=message):
            make_cat.make_cat(FakeNuke(), str(source), str(target))
    assert (tmp_path / "there.cat").read_text() == "mine"


def test_the_record_of_a_real_export_is_read(tiny_weights: Path, tmp_path: Path) -> None:
    from vfxmatte.exports.torchscript import export_torchscript

    export_torchscript(tmp_path / "m.pt", weights=tiny_weights)
    record = make_cat.read_record(str(tmp_path / "m.pt"))
    assert json.loads(record["knobs"]) == {**KNOBS, "colorspace": 0}


def test_wrong_use_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert make_cat.main(["one"]) == 2
    assert "MODEL.pt" in capsys.readouterr().err


def test_outside_nuke_it_says_how_it_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert make_cat.main(["m.pt", "m.cat"]) == 2
    assert capsys.readouterr().err == (
        "error: this runs inside Nuke: nuke --nukex -t make_cat.py MODEL.pt MODEL.cat\n"
    )


def test_python_39_can_read_it() -> None:
    ast.parse((FOLDER / "make_cat.py").read_text(), feature_version=(3, 9))


# -- the gizmo ------------------------------------------------------------------------------------


def parse_nodes(text: str) -> list[tuple[str, dict[str, str], list[str]]]:
    """Nodes of a Nuke script as (class, knobs, lines of addUserKnob), in order."""
    nodes: list[tuple[str, dict[str, str], list[str]]] = []
    inside = False
    for line in text.splitlines():
        if opened := re.fullmatch(r" ?(\w+) \{", line):
            assert not inside, line
            nodes.append((opened[1], {}, []))
            inside = True
        elif re.fullmatch(r" ?\}", line):
            assert inside, line
            inside = False
        elif inside:
            name, _, value = line.strip().partition(" ")
            assert value.count("{") == value.count("}"), line
            if name == "addUserKnob":
                nodes[-1][2].append(value)
            else:
                assert re.fullmatch(r'"(?:[^"\\]|\\.)*"|\{.*\}|[\w.-]+', value), line
                assert name not in nodes[-1][1], line
                nodes[-1][1][name] = value
        elif re.fullmatch(r"set \w+ \[stack 0\]|push \$\w+", line):
            nodes.append((line, {}, []))
        else:
            assert line == "end_group", line
    assert not inside
    return nodes


def test_the_gizmo_is_wired_from_plate_and_trimap_to_alpha() -> None:
    """Nuke scripts are a stack: a node takes its inputs from the top, and lies there itself."""
    stack: list[str] = []
    saved: dict[str, str] = {}
    inputs: dict[str, list[str]] = {}
    for kind, knobs, _ in parse_nodes((FOLDER / "VfxMatteInference.gizmo").read_text())[1:]:
        if kind.startswith("set "):
            saved[kind.split()[1]] = stack[-1]
        elif kind.startswith("push "):
            stack.append(saved[kind.split("$")[1]])
        else:
            inputs[knobs["name"]] = [stack.pop() for _ in range(int(knobs.get("inputs", 1)))]
            stack.append(knobs["name"])
    assert inputs == {
        "trimap": [],
        "plate": [],
        "Copy1": ["plate", "trimap"],
        "Crop1": ["Copy1"],
        "Inference1": ["Crop1"],
        "Copy2": ["plate", "Inference1"],
        "Output1": ["Copy2"],
    }
    assert stack == ["Output1"]


def test_the_gizmo_binds_every_knob_of_the_model() -> None:
    gizmo, *rest = parse_nodes((FOLDER / "VfxMatteInference.gizmo").read_text())
    names = {line.strip("{}").split()[1] for line in gizmo[2]}
    assert set(KNOBS) | {"model", "useGPU", "halfPrecision", "from0"} <= names
    (inference,) = [knobs for kind, knobs, _ in rest if kind == "Inference"]
    assert inference["modelFile"] == '"\\[value parent.model]"'
    for callback in ("onCreate", "knobChanged"):
        program = ast.literal_eval(gizmo[1][callback])
        bound: dict[str, str] = {}
        exec(program, {"nuke": FakeGizmoNuke(bound)})
        assert bound == {name: f"parent.{name}" for name in KNOBS}


class FakeGizmoNuke:
    """What the gizmo's callbacks call, inside of the gizmo, its knob `model` just changed."""

    def __init__(self, bound: dict[str, str]) -> None:
        self._bound = bound

    def thisNode(self) -> FakeGizmo:
        return FakeGizmo(self._bound)

    def thisKnob(self) -> FakeNamed:
        return FakeNamed()


class FakeNamed:
    def name(self) -> str:
        return "model"


class FakeGizmo:
    def __init__(self, bound: dict[str, str]) -> None:
        self._bound = bound

    def node(self, name: str) -> FakeInference:
        assert name == "Inference1"
        return FakeInference(self._bound)


class FakeInference:
    def __init__(self, bound: dict[str, str]) -> None:
        self._bound = bound

    def knob(self, name: str) -> FakeExpressionKnob | None:
        return FakeExpressionKnob(self._bound, name) if name in KNOBS else None


class FakeExpressionKnob:
    def __init__(self, bound: dict[str, str], name: str) -> None:
        self._bound, self._name = bound, name

    def setExpression(self, text: str) -> None:
        self._bound[self._name] = text
