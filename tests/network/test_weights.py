"""Weights files: what is saved comes back, and whatever is wrong with one is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from vfxmatte.errors import WeightsError
from vfxmatte.network.dim import DeepImageMatting, DimConfig
from vfxmatte.network.weights import (
    file_sha256,
    load_weights,
    read_info,
    save_weights,
    sidecar_path,
)

CONFIG = DimConfig(width=0.0625, fc6_channels=64)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(2)
    path = tmp_path / "größe weights" / "small.safetensors"
    network = DeepImageMatting(CONFIG)
    save_weights(
        path, network, name="small", training={"steps": 3}, evaluation={"mse": 0.5}, licence="MIT"
    )
    return path


def change_sidecar(path: Path, **changes: Any) -> None:
    sidecar = sidecar_path(path)
    record = json.loads(sidecar.read_text(encoding="utf-8"))
    sidecar.write_text(json.dumps({**record, **changes}), encoding="utf-8")


def change_tensors(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Tensors and sha256 changed together, so that only their fit is wrong."""
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    change_sidecar(path, sha256=file_sha256(path))


def test_what_is_saved_is_loaded(weights: Path) -> None:
    network, info = load_weights(weights)
    assert info == read_info(weights)
    assert (info.name, info.licence, info.network) == ("small", "MIT", CONFIG)
    assert info.training == {"steps": 3} and info.evaluation == {"mse": 0.5}
    assert info.sha256 == file_sha256(weights)
    assert not network.training
    torch.manual_seed(2)
    original = DeepImageMatting(CONFIG).state_dict()
    for name, tensor in network.state_dict().items():
        assert tensor.dtype == torch.float32
        torch.testing.assert_close(tensor, original[name].half().float())


def test_nothing_temporary_stays(weights: Path) -> None:
    assert sorted(p.name for p in weights.parent.iterdir()) == ["small.json", "small.safetensors"]


def test_batch_norm_must_be_folded_first(tmp_path: Path) -> None:
    network = DeepImageMatting(DimConfig(width=0.0625, fc6_channels=64, batch_norm=True))
    with pytest.raises(WeightsError, match="fold"):
        save_weights(tmp_path / "a.safetensors", network, name="a")
    assert list(tmp_path.iterdir()) == []
    save_weights(tmp_path / "a.safetensors", network.fold(), name="a")
    load_weights(tmp_path / "a.safetensors")


def test_weights_that_cannot_be_written_leave_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WeightsError, match="cannot be written") as caught:
        save_weights(tmp_path / "file" / "a.safetensors", DeepImageMatting(CONFIG), name="a")
    assert "a.safetensors" in str(caught.value)


def missing(path: Path) -> None:
    path.unlink()


def no_sidecar(path: Path) -> None:
    sidecar_path(path).unlink()


def broken_sidecar(path: Path) -> None:
    sidecar_path(path).write_text('{"format": 1,', encoding="utf-8")


def list_as_sidecar(path: Path) -> None:
    sidecar_path(path).write_text("[]", encoding="utf-8")


def other_format(path: Path) -> None:
    change_sidecar(path, format=99)


def other_encoding(path: Path) -> None:
    change_sidecar(path, encoding="raw-linear-7")


def unknown_network_key(path: Path) -> None:
    change_sidecar(path, network={**CONFIG.as_dict(), "heads": 8})


def other_architecture(path: Path) -> None:
    change_sidecar(path, network={**CONFIG.as_dict(), "fc6_kernel": 3})


def damaged(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-10] ^= 0xFF
    path.write_bytes(data)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def not_safetensors(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04 a zip file")
    change_sidecar(path, sha256=file_sha256(path))


def tensor_missing(path: Path) -> None:
    change_tensors(path, lambda tensors: tensors.pop("decoder.alpha.bias"))


def tensor_left_over(path: Path) -> None:
    change_tensors(path, lambda tensors: tensors.update(surplus=torch.zeros(3)))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (missing, "no such weights file"),
        (no_sidecar, "no sidecar"),
        (broken_sidecar, "sidecar cannot be understood"),
        (list_as_sidecar, "sidecar cannot be understood"),
        (other_format, "sidecar format 99, expected 1"),
        (other_encoding, "raw-linear-7"),
        (unknown_network_key, "heads"),
        (other_architecture, "do not fit.*fc6"),
        (damaged, "sha256 differs"),
        (truncated, "sha256 differs"),
        (not_safetensors, "do not fit|not understood"),
        (tensor_missing, "decoder.alpha.bias"),
        (tensor_left_over, "surplus"),
    ],
)
def test_unusable_weights_are_refused_by_name(
    weights: Path, spoil: Callable[[Path], None], says: str
) -> None:
    spoil(weights)
    with pytest.raises(WeightsError, match=f"(?s){says}") as caught:
        load_weights(weights)
    assert "small" in str(caught.value.path)
    assert caught.value.hint
