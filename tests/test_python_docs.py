"""The recipes of docs/python*.md, run as they stand; and the names that the package gives."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vfxmatte
from tests.conftest import TINY_NUMBERS, write_tiny_shot
from vfxmatte.engines import registry
from vfxmatte.engines.protocol import EngineSettings
from vfxmatte.engines.registry import engine_names, open_engine
from vfxmatte.errors import UsageError
from vfxmatte.io.stills.reading import read_image
from vfxmatte.pipeline import picture as single
from vfxmatte.trimaps import labels_from_image

DOCS = Path(__file__).parents[1] / "docs"
PAGES = [DOCS / "python.md", DOCS / "python_recipes.md", DOCS / "python_engines.md"]
ALL = list(TINY_NUMBERS)


def recipes(text: str) -> dict[str, list[str]]:
    """The python blocks under each heading."""
    sections = re.split(r"^## (.+)$", text, flags=re.MULTILINE)[1:]
    blocks = {
        title: re.findall(r"^```python\n(.*?)^```$", body, re.MULTILINE | re.DOTALL)
        for title, body in zip(sections[::2], sections[1::2], strict=True)
    }
    return {title: found for title, found in blocks.items() if found}


TEXT = "".join(page.read_text("utf-8") for page in PAGES)
RECIPES = recipes(TEXT)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_weights: Path) -> Iterator[Path]:
    """A folder with `creature/`, as the page says, and a small network for the default one."""
    write_tiny_shot(tmp_path / "creature")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("vfxmatte.network.sidecar.DEFAULT_WEIGHTS", tiny_weights)
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
    single._engine.cache_clear()
    yield tmp_path
    single._engine.cache_clear()


def ran(title: str, number: int = 0, **replaced: str) -> dict[str, Any]:
    """The names that a recipe leaves behind."""
    code = RECIPES[title][number]
    for old, new in replaced.items():
        assert old in code
        code = code.replace(old, new)
    names: dict[str, Any] = {"__name__": "recipe"}
    exec(compile(code, f"docs/python*.md: {title}", "exec"), names)
    return names


def mattes(folder: Path) -> list[int]:
    return sorted(int(path.name.split(".")[1]) for path in folder.glob("matte.*.exr"))


def test_one_frame(here: Path) -> None:
    found = ran("One frame")
    alpha = found["alpha"]
    assert alpha.shape == (48, 64) and alpha.dtype == np.float32
    painted = labels_from_image(read_image(here / "creature/trimaps/trimap.1001.png").pixels)
    assert (alpha[painted == 0] == 0).all() and (alpha[painted == 255] == 1).all()
    assert alpha[painted == 128].std() > 0


def test_a_shot(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran("A shot")
    assert mattes(here / "creature" / "matte") == ALL
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [
        [str(n), "written"] for n in ALL
    ]
    found = ran("A shot", 1)
    assert [p.name for p in found["paths"]] == [f"matte.{n}.exr" for n in (1001, 1003, 1005)]
    assert read_image(here / "mattes" / "matte.1003.exr").header.channels == ("R", "G", "B", "A")


def test_a_call_for_each_frame_and_stopping(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran("A call for each frame, and stopping")
    assert capsys.readouterr().out.splitlines()[-1] == "3/5: frame 1003 written"
    left = mattes(here / "creature" / "matte")
    assert left[:3] == ALL[:3]
    assert not list((here / "creature" / "matte").glob("*.tmp*"))


def test_going_on_and_what_failed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "creature" / "plate" / "plate.1003.exr").write_bytes(b"not an image")
    first = ran("Go on, and what failed")
    assert (first["kept"], first["todo"]) == ([], [1003])
    assert "1003 creature/plate/plate.1003.exr" in capsys.readouterr().out
    assert ran("Go on, and what failed")["kept"] == [1001, 1002, 1004, 1005]
    assert ran("Go on, and what failed", 1)["exit_code"] == 3
    assert "no such shot" in capsys.readouterr().out


def test_an_engine_of_your_own(here: Path) -> None:
    found = ran("An engine of your own")
    assert [r.status for r in found["results"]] == ["written"] * 5
    header = read_image(here / "creature" / "matte" / "matte.1002.exr").header
    assert header.metadata["vfxmatte/engine"] == "luma"
    with pytest.raises(UsageError, match="there is an engine 'luma' already"):
        vfxmatte.register_engine("luma", open_engine)


def test_an_engine_of_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (entry,) = re.findall(r'^(luma) = "(my_engines:open_luma)"$', TEXT, re.MULTILINE)
    package = tmp_path / "my_engines-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: my-engines\nVersion: 1\n")
    lines = [f"[{registry.ENTRY_POINTS}]", " = ".join(entry), "gone = my_engines:open_gone"]
    (package / "entry_points.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "my_engines.py").write_text("def open_luma(settings):\n    return settings.name\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert {"luma", "gone", "dim"} <= set(engine_names())
    assert open_engine(EngineSettings(name="luma")) == "luma"  # what the factory gives
    with pytest.raises(UsageError, match="'gone' cannot be loaded"):
        open_engine(EngineSettings(name="gone"))
    with pytest.raises(UsageError, match="already"):
        vfxmatte.register_engine("luma", open_engine)


def test_on_a_farm(here: Path) -> None:
    found = ran("On a farm")
    assert found["failed"] == [0, 0]
    assert found["report"].complete and list(found["report"].good) == ALL
    assert mattes(here / "creature" / "matte") == ALL


def test_what_is_known_of_every_frame(here: Path) -> None:
    found = ran("What is known of every frame")
    assert [f["state"] for f in found["manifest"]["frames"]] == ["done"] * 5
    assert found["worst"] in ALL[1:4]  # keyframes are sure of themselves
    assert ran("What is known of every frame", 1)["finished"] == ALL


@pytest.mark.usefixtures("warm_children")
def test_several_devices(here: Path) -> None:
    found = ran("Several devices", **{"cuda:0,1": "cpu,cpu"})
    assert sorted(found["results"]) == ALL and found["run"].device == "cpu, cpu"
    assert found["run"].lost_devices == []


def test_trimaps_alone(here: Path) -> None:
    ran("Trimaps alone")
    written = {n: read_image(here / f"carried.{n}.png").pixels for n in ALL}
    painted = read_image(here / "creature" / "trimaps" / "trimap.1005.png").pixels
    np.testing.assert_array_equal(labels_from_image(written[1005]), labels_from_image(painted))
    assert len({picture.tobytes() for picture in written.values()}) == 5
    assert not (here / "creature" / "matte").exists()


def test_measure(here: Path) -> None:
    means = ran("Measure")["means"]
    assert means.sad > 0 and means.dtssd > 0 and 0 <= means.missed < 1


def test_a_cut(here: Path) -> None:
    pytest.importorskip("opentimelineio")
    from tests.cuts import clip_of, plate_of, saved, timeline_of

    clip = clip_of("sh010", plate_of("creature/plate"), 86400, 5)
    saved(timeline_of(clip), here / "cut.otio")
    cut = ran("A cut")["cut"]
    assert not cut.problems and mattes(here / "mattes" / "sh010") == ALL


def test_every_recipe_is_run_here() -> None:
    called = re.findall(r'ran\(\s*"([^"]+)"(?:, (\d))?', Path(__file__).read_text("utf-8"))
    run = {(title, int(number or 0)) for title, number in called}
    assert run == {(title, n) for title, found in RECIPES.items() for n in range(len(found))}


def test_recipes_are_short() -> None:
    long = {t for t, found in RECIPES.items() for code in found if code.count("\n") > 32}
    assert not long


# -- the names --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in vfxmatte.__all__ if n != "__version__"])
def test_every_name_says_what_it_is_and_is_on_the_page(name: str) -> None:
    thing = getattr(vfxmatte, name)
    text = inspect.getdoc(thing) or ""
    assert len(text) > 20 and not text.startswith(f"{name}(")  # a dataclass's own is no help
    table = TEXT.partition("## The names")[2]
    assert f"`{name}`" in table


def test_importing_the_package_loads_next_to_nothing() -> None:
    code = (
        "import sys, vfxmatte; assert vfxmatte.__all__ and dir(vfxmatte)\n"
        "print(sorted(n for n in ('torch', 'numpy', 'cv2', 'av') if n in sys.modules))\n"
        "[getattr(vfxmatte, name) for name in vfxmatte.__all__]\n"
        "print('torch' in sys.modules, 'opentimelineio' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "False False"]
