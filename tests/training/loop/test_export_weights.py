"""From a checkpoint to weights: nothing is overwritten unasked, and nothing spoilt is written."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner

from training.cli import cli
from training.recipes import small_recipe
from vfxmatte.errors import OutputError, TrainingError, UsageError, WeightsError
from vfxmatte.network.dim import DimConfig
from vfxmatte.network.light import LightConfig, LightMatting
from vfxmatte.network.sidecar import read_sidecar


def light_checkpoint(path):
    config = LightConfig()
    state = LightMatting(config).state_dict()
    torch.save({"config": {"network": config.as_dict()}, "average": state, "step": 1}, path)
    return path


def dim_checkpoint(path):
    config = replace(small_recipe(), network=DimConfig(width=0.0625, fc6_channels=64))
    state = config.network.build().state_dict()
    torch.save({"config": config.as_dict(), "network": state, "average": state, "step": 1}, path)
    return path


KINDS = {"export": dim_checkpoint, "export-light": light_checkpoint}


def export(command, checkpoint, output, *options):
    arguments = [command, str(checkpoint), "-o", str(output), "--name", "x", *options]
    return CliRunner().invoke(cli, arguments)


@pytest.mark.parametrize("command", KINDS)
def test_weights_are_replaced_only_when_asked(tmp_path, command):
    checkpoint, output = KINDS[command](tmp_path / "best.pt"), tmp_path / "w.safetensors"
    assert export(command, checkpoint, output).exit_code == 0
    output.write_bytes(b"mine")
    refused = export(command, checkpoint, output)
    assert refused.exit_code == OutputError.exit_code and "is there already" in refused.output
    assert output.read_bytes() == b"mine"
    assert export(command, checkpoint, output, "--overwrite").exit_code == 0
    assert output.read_bytes() != b"mine" and read_sidecar(output)["name"] == "x"


@pytest.mark.parametrize("command", KINDS)
def test_nothing_but_weights_is_replaced(tmp_path, command):
    checkpoint = KINDS[command](tmp_path / "last.pt")
    settings, before = tmp_path / "last.json", checkpoint.read_bytes()
    settings.write_text('{"seed": 1}')
    for options in ((), ("--overwrite",)):
        same = export(command, checkpoint, checkpoint, *options)
        assert same.exit_code == UsageError.exit_code and "last.safetensors" in same.output
        beside = export(command, checkpoint, tmp_path / "last.safetensors", *options)
        assert beside.exit_code == OutputError.exit_code and "last.json" in beside.output
    assert checkpoint.read_bytes() == before and json.loads(settings.read_text()) == {"seed": 1}
    assert len([*tmp_path.iterdir()]) == 2


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize(
    "command, tensor", [("export", "decoder.alpha.bias"), ("export-light", "decoder.maps.bias")]
)
def test_weights_that_are_no_numbers_are_not_written(tmp_path, command, tensor, value):
    checkpoint = KINDS[command](tmp_path / "best.pt")
    state = torch.load(checkpoint, weights_only=True)
    state["average"][tensor].fill_(value)
    torch.save(state, checkpoint)
    result = export(command, checkpoint, tmp_path / "w.safetensors")
    assert result.exit_code == WeightsError.exit_code and "w.safetensors" in result.output
    assert f"not finite numbers: {tensor}" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["best.pt"]


def test_an_empty_checkpoint_is_called_empty(tmp_path):
    (tmp_path / "best.pt").touch()
    result = export("export", tmp_path / "best.pt", tmp_path / "w.safetensors")
    assert result.exit_code == TrainingError.exit_code and "it is empty" in result.output


def test_a_checkpoint_given_as_weights_is_recognised(tmp_path):
    with pytest.raises(WeightsError, match="a checkpoint or an exported model"):
        read_sidecar(light_checkpoint(tmp_path / "best.pt"))
