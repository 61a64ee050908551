"""The gizmo's text: balanced, wired as it should be, and in step with the Python beside it."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from nuke_paths import GIZMO, PLUGIN

from diagram.draw import draw  # isort: skip
from diagram.script import Gizmo, ScriptError, read_gizmo, words  # isort: skip

PACKAGE = PLUGIN / "vfxmatte_nuke"


@pytest.fixture(scope="module")
def gizmo() -> Gizmo:
    return read_gizmo(GIZMO)


def knobs(gizmo: Gizmo) -> dict[str, int]:
    return {knob.name: knob.type for knob in gizmo.node.user_knobs}


def test_every_button_calls_a_function_that_exists(gizmo: Gizmo) -> None:
    tree = ast.parse((PACKAGE / "actions.py").read_text())
    known = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    buttons = [knob for knob in gizmo.node.user_knobs if knob.type == 22]
    called = set()
    for button in buttons:
        match = re.fullmatch(
            r"import vfxmatte_nuke\.actions as actions; actions\.(\w+)\(nuke\.thisNode\(\)\)",
            button.options["T"],
        )
        assert match, button.options["T"]
        assert match[1] in known
        assert match[1] == button.name
        called.add(match[1])
    assert {"render", "render_frame", "cancel", "add_keyframe", "make_read"} <= called


def test_every_knob_the_python_names_exists(gizmo: Gizmo) -> None:
    source = "\n".join(path.read_text() for path in PACKAGE.glob("*.py"))
    tuples = re.findall(r"^(?:SETTINGS|RESULTS) = \((.*?)\)", source, re.S | re.M)
    named = {name for text in tuples for name in re.findall(r'"(\w+)"', text)}
    named |= set(re.findall(r"node\[\"(\w+)\"\]", source)) - {"reload"}
    calls = re.findall(r"set_values\((.*?)\)\s*(?:#.*)?$", source, re.S | re.M)
    named |= {name for call in calls for name in re.findall(r"(\w+)=", call)}
    assert {"keyframes", "matte_file", "status", "rendering", "command"} <= named
    assert named <= set(knobs(gizmo)), named - set(knobs(gizmo))


def test_every_inner_node_the_python_names_exists(gizmo: Gizmo) -> None:
    source = "\n".join(path.read_text() for path in PACKAGE.glob("*.py"))
    named = set(
        re.findall(r'"((?:Read|Write|Plate|CleanPlate|Trimap)\w*(?:Write|Matte|Trimap))"', source)
    )
    assert named == {"PlateWrite", "CleanPlateWrite", "TrimapWrite", "ReadMatte", "ReadTrimap"}
    named |= {"GarbageWrite", "CoreWrite"}  # named after their input
    assert named <= {node.name for node in gizmo.inner}


def test_links_from_inside_name_knobs_that_exist(gizmo: Gizmo) -> None:
    links = set(re.findall(r"parent\.(\w+)", GIZMO))
    assert links == {
        "trimap_channel", "trimap_file", "matte_first", "matte_last", "has_matte", "matte_file",
        "view_mode",
    }  # fmt: skip
    assert links <= set(knobs(gizmo))


def test_the_views_are_in_the_order_of_the_menu(gizmo: Gizmo) -> None:
    view = next(knob for knob in gizmo.node.user_knobs if knob.name == "view_mode")
    switch = gizmo.find("ViewMode")
    shown = dict(zip(view.choices, [node.name for node in switch.inputs], strict=True))
    assert shown == {
        "plate with matte": "AlphaIntoPlate",
        "alpha": "AlphaAsPicture",
        "trimap": "TrimapShown",
        "over checker": "OverChecker",
    }
    assert gizmo.inner[-1].kind == "Output"
    assert gizmo.inner[-1].inputs == [switch]


def test_channels_and_results_are_switched_the_right_way_round(gizmo: Gizmo) -> None:
    channel = next(knob for knob in gizmo.node.user_knobs if knob.name == "trimap_channel")
    names = [node.name for node in gizmo.find("TrimapChannel").inputs]
    assert channel.choices == ["alpha", "red"]
    assert names == ["TrimapFromAlpha", "TrimapFromRed"]
    assert [n.name for n in gizmo.find("MatteShown").inputs] == ["NoMatte", "ReadMatte"]
    assert [n.name for n in gizmo.find("TrimapShown").inputs] == ["TrimapChannel", "ReadTrimap"]
    copy = gizmo.find("AlphaIntoPlate")
    assert [n.name for n in copy.inputs] == ["plate", "MatteShown"]  # B is the plate
    under = gizmo.find("OverChecker")
    assert [n.name for n in under.inputs] == ["PremultPlate", "Checker"]


def test_writes_rest_disabled_and_raw(gizmo: Gizmo) -> None:
    writes = {node.name: node for node in gizmo.inner if node.kind == "Write"}
    mattes = {f"{kind}Write" for kind in ("Garbage", "Core")}
    assert set(writes) == {"PlateWrite", "CleanPlateWrite", "TrimapWrite"} | mattes
    assert all(node.knobs["disable"] == node.knobs["raw"] == "true" for node in writes.values())
    assert writes["PlateWrite"].inputs[0].name == "plate"
    assert writes["TrimapWrite"].inputs[0].name == "TrimapChannel"
    assert writes["CleanPlateWrite"].inputs[0].name == "cleanplate"
    for name in mattes:
        (alpha,) = writes[name].inputs
        assert alpha.inputs[0].name == name[: -len("Write")].lower()
        assert {alpha.knobs[f"expr{n}"] for n in range(3)} == {"a"}
        assert writes[name].knobs["datatype"] == "16 bit"


def test_reads_never_show_another_frame(gizmo: Gizmo) -> None:
    for read in (node for node in gizmo.inner if node.kind == "Read"):
        values = [read.knobs[name] for name in ("before", "after", "on_error")]
        assert values == ["black", "black", "black"]
        assert read.knobs["origfirst"] == read.knobs["first"] == "{parent.matte_first}"
        assert read.knobs["origlast"] == read.knobs["last"] == "{parent.matte_last}"


def test_inputs_are_numbered_plate_then_trimap_then_the_optional_ones(gizmo: Gizmo) -> None:
    numbers = {n.name: n.knobs["number"] for n in gizmo.inner if n.kind == "Input"}
    assert numbers == {"plate": "0", "trimap": "1", "garbage": "2", "core": "3", "cleanplate": "4"}


def test_names_are_unique_and_everything_has_a_tooltip(gizmo: Gizmo) -> None:
    names = [node.name for node in gizmo.inner]
    assert len(names) == len(set(names))
    user = [knob.name for knob in gizmo.node.user_knobs]
    assert len(user) == len(set(user))
    hidden = {"has_matte", "rendering", "matte_last"}
    for knob in gizmo.node.user_knobs:
        if knob.type not in (20, 26) and knob.name not in hidden:
            assert len(knob.options.get("t", "")) > 10, knob.name


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (GIZMO.replace("end_group", ""), "end_group"),
        (GIZMO.replace("push $N10", "push $N77"), "never set"),
        (GIZMO.replace(" inputs 4\n", " inputs 40\n"), "40 inputs"),
        (GIZMO.replace("  name Checker\n", "  name Checker\n  name Again\n"), "twice"),
        (GIZMO.replace(' t "First frame to matte."}', ' t "First frame to matte.}'), "not closed"),
        (GIZMO.replace("  expr3 0\n", "  expr3\n"), "without a value"),
    ],
)
def test_the_reader_refuses_what_nuke_would(broken: str, message: str) -> None:
    with pytest.raises(ScriptError, match=message):
        read_gizmo(broken)


def test_words_are_tcl_words() -> None:
    assert words('4 view l "a \\"b\\"" M {x "y z" {p q}} -STARTLINE') == [
        "4", "view", "l", 'a "b"', "M", 'x "y z" {p q}', "-STARTLINE",
    ]  # fmt: skip


def test_the_page_has_a_row_for_every_control(gizmo: Gizmo) -> None:
    page = (PLUGIN.parents[1] / "docs" / "nuke.md").read_text()
    rows = re.findall(r"^\| (.+?) \|", page, re.M)
    labels = {part for row in rows for cell in re.split(r" / |, ", row) for part in (cell, row)}
    for knob in gizmo.node.user_knobs:
        label = knob.options.get("l", knob.name).strip()
        if knob.type not in (20, 26) and "+HIDDEN" not in knob.flags and knob.name != "matte_last":
            assert label in labels, f"docs/nuke.md says nothing about {label!r}"


def test_the_picture_of_the_inside_is_drawn_from_the_text(gizmo: Gizmo) -> None:
    drawn = draw(gizmo)
    stored = cv2.imread(str(PLUGIN.parents[1] / "docs" / "images" / "nuke_graph.png"))
    assert stored is not None and stored.shape == drawn.shape
    assert (np.abs(stored.astype(int) - drawn) > 40).mean() < 0.02  # another font at most
