"""The Nuke and ComfyUI nodes with the real client and the real engine, on one frame each."""

from __future__ import annotations

import importlib
import importlib.util
import runpy
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from nuke_paths import GIZMO, PLUGIN, REPOSITORY

from fake_comfy import FakeComfy  # isort: skip
from fake_nuke import FakeNuke, Group, Node  # isort: skip

from nodes.vfxmatte_client import Client
from vfxmatte.io.mattes import read_matte
from vfxmatte.io.stills.exr import read_exr_planes
from vfxmatte.trimaps import labels_from_values
from vfxmatte.types import Window

HEIGHT, WIDTH = 64, 96


def paint_shot(folder: Path) -> np.ndarray:
    """A bright disc on a dark ground as plate.1001.png and its trimap.png; returns the trimap."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.hypot(rows - HEIGHT / 2, columns - WIDTH / 2)
    disc = np.clip(20.5 - distance, 0, 1)
    bright, dark = np.array([40, 60, 200]), np.array([30, 90, 40])
    colour = bright * disc[..., None] + dark * (1 - disc[..., None])
    trimap = np.where(distance < 16, 255, np.where(distance > 25, 0, 128)).astype(np.uint8)
    cv2.imwrite(str(folder / "plate.1001.png"), colour.astype(np.uint8))
    cv2.imwrite(str(folder / "trimap.png"), trimap)
    return trimap


@pytest.fixture(scope="module")
def engine_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An engine of this environment with a home of its own, for all tests here; ended after."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        own = ("vfxmatte_nuke", "vfxmatte_comfyui")
        for name in [n for n in sys.modules if n.split(".")[0] in own]:
            patch.delitem(sys.modules, name)
        patch.delenv("OCIO", raising=False)
        patch.setenv("VFXMATTE_HOME", str(home))
        patch.setenv("VFXMATTE_COMMAND", f"{sys.executable} -m vfxmatte")
        yield home
        Client().shutdown()
        for name in [n for n in sys.modules if n.split(".")[0] in own]:
            del sys.modules[name]


def with_plugin(monkeypatch: pytest.MonkeyPatch) -> tuple[FakeNuke, Any, Any]:
    """Return a Nuke, and the plugin's actions and renders, imported anew: they keep their Nuke."""
    for name in [n for n in sys.modules if n.split(".")[0] == "vfxmatte_nuke"]:
        del sys.modules[name]
    nuke = FakeNuke(GIZMO, gui=True)
    monkeypatch.setitem(sys.modules, "nuke", nuke.module)
    runpy.run_path(str(PLUGIN / "init.py"))
    return (
        nuke,
        importlib.import_module("vfxmatte_nuke.actions"),
        importlib.import_module("vfxmatte_nuke.renders"),
    )


def test_nuke_renders_the_current_frame(
    engine_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nuke, actions, renders = with_plugin(monkeypatch)

    def render(write: Node, frame: int, path: str) -> None:
        names = {"TrimapWrite": "trimap.png", "GarbageWrite": "garbage.png"}
        shutil.copy(tmp_path / names[write.name()], path)

    trimap = paint_shot(tmp_path)
    garbage = np.full((HEIGHT, WIDTH), 65535, np.uint16)
    garbage[:, :40] = 0
    cv2.imwrite(str(tmp_path / "garbage.png"), garbage)
    nuke.render, nuke.frame = render, 1001
    nuke.root()["name"].setValue(str(tmp_path / "comp.nk"))
    read = nuke.add("Read", file=str(tmp_path / "plate.%04d.png"), first=1001, last=1001)
    read["colorspace"].setValue("default (sRGB)")
    node = nuke.add("VfxMatte")
    assert isinstance(node, Group)
    node.setInput(0, read)
    node.setInput(1, nuke.add("Roto"))
    node.setInput(2, nuke.add("Roto"))
    node["keyframes"].setValue("1001")
    actions.range_from_input(node)
    actions.render_frame(node)
    nuke.patience = 120.0
    nuke.pump(lambda: not renders._running)
    assert node["status"].value().startswith("Done: 1 written"), node["status"].value()
    pattern = node["matte_file"].value()
    assert pattern.endswith("/vfxmatte/comp/VfxMatte1/matte/matte.%04d.exr")
    alpha = read_matte(Path(pattern % 1001), Window.of_size(WIDTH, HEIGHT))
    assert (alpha[garbage == 0] == 0).all() and (trimap[garbage == 0] == 255).any()
    trimap[garbage == 0] = 0
    assert np.all(alpha[trimap == 0] == 0) and np.all(alpha[trimap == 255] == 1)
    assert alpha[trimap == 128].std() > 0
    assert Path(node["trimap_file"].value() % 1001).is_file()


def test_nuke_renders_two_subjects_as_layers(
    engine_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nuke, actions, renders = with_plugin(monkeypatch)
    trimap = paint_shot(tmp_path)
    for name, labels in (("hero", trimap), ("wall", 255 - trimap)):  # what is left of the picture
        (tmp_path / "painted" / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "painted" / name / "trimap.1001.png"), labels)
    nuke.root()["name"].setValue(str(tmp_path / "comp.nk"))
    read = nuke.add("Read", file=str(tmp_path / "plate.%04d.png"), first=1001, last=1001)
    read["colorspace"].setValue("default (sRGB)")
    node = nuke.add("VfxMatte")
    assert isinstance(node, Group)
    node.setInput(0, read)
    node["trimaps_from"].setValue("folder")
    node["trimap_folder"].setValue(str(tmp_path / "painted"))
    actions.range_from_input(node)
    nuke.patience = 120.0

    def rendered(subject: str) -> Path:
        node["subject"].setValue(subject)
        actions.render(node)
        nuke.pump(lambda: not renders._running)
        assert node["status"].value().startswith("Done"), node["status"].value()
        return Path(node["matte_file"].value() % 1001)

    planes = read_exr_planes(rendered(""))
    assert set(planes) == {"A", "hero.A", "wall.A"}
    assert planes["A"].max() <= 1 and (planes["hero.A"][trimap == 255] == 1).all()
    path = rendered("wall")
    assert path.parent.name == "wall"
    alone = read_matte(path, Window.of_size(WIDTH, HEIGHT))
    assert (alone == planes["wall.A"]).all() and (alone[trimap == 0] == 1).all()


def test_comfyui_mattes_a_tensor(
    engine_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, module in FakeComfy(tmp_path).modules(v3=True).items():
        monkeypatch.setitem(sys.modules, name, module)
    folder = REPOSITORY / "nodes" / "comfyui"
    spec = importlib.util.spec_from_file_location(
        "vfxmatte_comfyui", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "vfxmatte_comfyui", module)
    spec.loader.exec_module(module)
    batches = sys.modules["vfxmatte_comfyui.batches"]
    image = torch.rand(1, 48, 64, 3, generator=torch.Generator().manual_seed(1))
    trimap = torch.zeros(1, 48, 64)
    trimap[:, :, 20:44], trimap[:, :, 44:] = 0.5, 1.0
    (matte,) = batches.run(image=image, trimap=trimap, device="cpu")
    assert (matte.shape, matte.dtype) == ((1, 48, 64), torch.float32)
    labels = labels_from_values(trimap[0].numpy())
    assert np.all(matte[0].numpy()[labels == 0] == 0)
    assert np.all(matte[0].numpy()[labels == 255] == 1)
    assert float(matte[:, :, 20:44].std()) > 0
