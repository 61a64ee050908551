"""`vfxmatte export` as it is typed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from vfxmatte.cli import commands
from vfxmatte.exports.torchscript import read_torchscript


def run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(commands, ["export", *map(str, arguments)])
    return result.exit_code, result.output


def test_it_writes_what_was_asked_for(tiny_weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "matting.pt"
    code, said = run(
        "torchscript", "-o", path, "--weights", tiny_weights, "--colorspace", "srgb",
        "--tile-px", 512,
    )  # fmt: skip
    assert code == 0 and "of the engine" in said
    model, record = read_torchscript(path)
    assert (model.colorspace, model.tile_px, model.refine) == (2, 512, 1)
    assert '"tile_px": 512' in record["knobs"]


def test_errors_are_one_message(tiny_weights: Path, tmp_path: Path) -> None:
    (tmp_path / "m.pt").write_text("mine")
    code, said = run("torchscript", "-o", tmp_path / "m.pt", "--weights", tiny_weights)
    assert code == 3 and said.startswith("error: the file is there already")
    code, said = run("torchscript", "-o", tmp_path / "n.pt", "--weights", tmp_path / "none")
    assert code == 3 and "no such weights" in said and "Traceback" not in said
    code, said = run("onnx", "-o", tmp_path / "n.onnx", "--colorspace", "XYZ")
    assert code == 2 and "linear-rec709" in said


@pytest.mark.parametrize(
    "kind, name, hint",
    [
        ("torchscript", "m.safetensors", "m.pt"),
        ("torchscript", "m.onnx", "m.pt"),
        ("onnx", "m.safetensors", "m.onnx"),
        ("onnx", "m", "m.onnx"),
        ("onnx", ".", "NAME.onnx"),
    ],
)
def test_no_file_of_another_kind_is_replaced(
    tiny_weights: Path, tmp_path: Path, kind: str, name: str, hint: str
) -> None:
    path = tmp_path / name if name != "." else Path(name)
    if name != ".":
        path.write_text("mine")
    code, said = run(kind, "-o", path, "--weights", tiny_weights, "--overwrite")
    assert code == 2 and f"found {path.name or path}\n" in said and hint in said
    assert name == "." or path.read_text() == "mine"


def test_help_loads_no_torch() -> None:
    program = (
        "import sys; from vfxmatte.cli import commands;"
        "commands(['export', 'onnx', '--help'], standalone_mode=False);"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == 0
