"""From the command line: train, go on, export; errors in words; lines in a log, a bar on screen."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest
import torch
from click.testing import CliRunner
from rich.console import Console

from training.cli import cli
from training.elements.pack import write_pack
from training.loop.checkpoint import averaged_network
from training.loop.events import Progress, Validation
from training.loop.show import line, show
from vfxmatte.errors import VfxmatteError
from vfxmatte.network.weights import load_weights

TINY = [
    "--set", "network.width=0.0625", "--set", "synthesis.crop_px=64", "--set", "batch=2",
    "--set", "phases.0.steps=3", "--set", "phases.1.steps=2", "--set", "log_every=1",
    "--set", "validation_samples=2", "--set", "checkpoint_every=2", "--recipe", "small",
    "--device", "cpu",
]  # fmt: skip


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    from tests.training.conftest import drawn_pack

    path = tmp_path_factory.mktemp("library") / "elements.pack"
    write_pack(path, drawn_pack())
    return path


def call(*arguments):
    return CliRunner().invoke(cli, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def trained(library, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "first"
    result = call("train", library, "-o", folder, *TINY)
    assert result.exit_code == 0, result.output
    return folder, result.output


def test_training_tells_what_it_does(trained):
    folder, output = trained
    assert '"recipe": "small"' in output
    assert "3 foregrounds, 3 backgrounds, 1 foregrounds held out, 1 x cpu, from the start" in output
    assert "phase 'refinement' begins at step 3" in output
    assert "step 5/5 refinement: refined l1" in output
    assert "samples/s, making data" in output
    assert "validation at step 5: MAD" in output
    wanted = {"last.pt", "last.json", "best.pt", "log.csv", "validation.csv", "curve.png",
              "validation.0000005.png"}  # fmt: skip
    assert wanted <= {path.name for path in folder.iterdir()}


def test_the_configuration_is_stored_beside_the_weights(trained):
    folder, _ = trained
    stored = json.loads((folder / "last.json").read_text())
    assert stored["network"]["width"] == 0.0625
    assert [phase["steps"] for phase in stored["phases"]] == [3, 2]


def test_the_same_command_goes_on(library, tmp_path):
    first = call("train", library, "-o", tmp_path, *TINY, "--until", 2)
    second = call("train", library, "-o", tmp_path, *TINY)
    assert (first.exit_code, second.exit_code) == (0, 0), first.output + second.output
    assert "resumed at step 2" in second.output
    assert "step 1/5" not in second.output
    assert "step 5/5" in second.output


def test_a_fresh_run_wants_a_new_folder(library, trained):
    result = call("train", library, "-o", trained[0], *TINY, "--fresh")
    assert result.exit_code != 0
    assert "there is a training already" in result.output


def test_export_writes_weights_that_run(trained, tmp_path):
    folder, _ = trained
    path = tmp_path / "own.safetensors"
    result = call("export", folder / "last.pt", "-o", path, "--name", "own", "--notes", "drawings")
    assert result.exit_code == 0, result.output
    network, info = load_weights(path)
    assert (info.name, info.training["steps"], info.training["notes"]) == ("own", 5, "drawings")
    assert not network.config.batch_norm
    state = torch.load(folder / "last.pt", weights_only=True)
    x = torch.rand((1, 4, 64, 64))
    with torch.no_grad():
        expected = averaged_network(folder / "last.pt", state, refine=True).eval()(x).alpha
        assert (network(x).alpha - expected).abs().max() < 0.02


def test_export_can_leave_the_refinement_out(trained, tmp_path):
    path = tmp_path / "own.safetensors"
    call("export", trained[0] / "last.pt", "-o", path, "--name", "own", "--stage1-only")
    assert load_weights(path)[0].refinement is None


def test_exported_weights_can_be_trained_on(library, trained, tmp_path):
    path = tmp_path / "own.safetensors"
    call("export", trained[0] / "last.pt", "-o", path, "--name", "own")
    result = call("train", library, "-o", tmp_path / "on", *TINY, "--init", path, "--until", 1)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--set", "synthesis.crop"], "KEY=VALUE"),
        (["--set", "synthesis.crop=64"], "did you mean crop_px"),
        (["--config", "nowhere.toml"], "nowhere.toml"),
        (["--encoder-init", "nowhere.pth"], "nowhere.pth"),
        (["--encoder-init", "a", "--init", "b"], "not both"),
        (["--init", "nowhere.safetensors"], "nowhere.safetensors"),
    ],
)
def test_wrong_use_is_reported_in_words(library, tmp_path, arguments, words):
    result = call("train", library, "-o", tmp_path / "run", *TINY, *arguments)
    assert result.exit_code in (2, 3)
    assert words in result.output
    assert "Traceback" not in result.output


def test_a_gpu_that_is_not_there_is_reported(library, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    result = call("train", library, "-o", tmp_path / "run", *TINY, "--device", "cuda")
    assert "--device cpu" in result.output


def test_a_library_that_is_no_pack_is_reported(tmp_path):
    result = call("train", tmp_path / "none.pack", "-o", tmp_path / "run", *TINY)
    assert result.exit_code == 3
    assert "vfxmatte-train pack" in result.output


def test_the_trainer_needs_no_library_that_gpu_machines_lack():
    code = (
        "import sys, training.loop.train_command\n"
        "lacking = {'OpenEXR', 'OpenImageIO', 'PyOpenColorIO', 'av', 'fileseq', 'scipy'}\n"
        "print(sorted(lacking & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


EVENTS = [
    "phase 'one' begins at step 0",
    Progress(step=10, phase="one", losses={"l1": 0.25, "loss": 0.5}, lr=1e-3,
             samples_per_second=12.3, data_share=0.04, peak_memory_bytes=3 << 30),
    Validation(step=10, mad=0.1, mse=0.02, best=True),
]  # fmt: skip


def shown(terminal):
    console = Console(force_terminal=terminal, width=200, record=True, file=io.StringIO())
    show(iter(EVENTS), console, total=20)
    return console.export_text()


def test_a_log_has_a_line_for_each_event():
    assert [line(event, 20) for event in EVENTS] == shown(False).splitlines()
    assert line(EVENTS[1], 20) == (
        "step 10/20 one: l1 0.2500 loss 0.5000 lr 1.00e-03 12.3 samples/s, making data 4%, "
        "peak 3.0 GiB"
    )
    assert line(EVENTS[2], 20).endswith("MAD 0.1000, MSE 0.0200, the best so far")


def test_a_screen_has_a_bar_and_the_validations_above_it():
    text = shown(True)
    assert "10/20" in text
    assert "one: loss 0.5000" in text
    assert "validation at step 10" in text
    assert "step 10/20 one" not in text


def test_an_interruption_is_no_traceback():
    def interrupted():
        yield "begun"
        raise KeyboardInterrupt

    with pytest.raises(VfxmatteError, match="goes on from the last checkpoint"):
        show(interrupted(), Console(quiet=True), total=2)
