"""The pictures that a light network is validated on: made anew whenever they would be others."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from tests.training.conftest import noisy_picture
from training.cli import cli
from training.elements.pack import write_pack
from training.light.trainer import Cycle, LightTrainer, LightTraining, load_fitting
from training.light.validation import pictures_digest, validation_pictures
from training.samples.store_crops import CropBatch, CropConfig
from vfxmatte.errors import TrainingError, UsageError
from vfxmatte.network.light import CHANNELS, LightConfig, LightMatting


@pytest.fixture
def photographs(tmp_path):
    """GT01 and GT02, with both sets of trimaps."""
    folder = tmp_path / "photographs"
    for number in (1, 2):
        picture = np.random.default_rng(number).integers(0, 256, (40, 50, 3), np.uint8)
        trimap = np.full((40, 50), 128, np.uint8)
        trimap[:, :10], trimap[:, -10:] = 0, 255
        files = {"input": picture, "alpha": picture[..., 0], "trimap1": trimap, "trimap2": trimap}
        for part, pixels in files.items():
            (folder / part).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / part / f"GT{number:02d}.png"), pixels)
    return folder


def groups(pictures):
    return [picture.group for picture in pictures]


def test_they_are_kept_and_made_anew_when_they_would_be_others(tmp_path, small_pack, photographs):
    kept = tmp_path / "validation.npz"
    pictures = validation_pictures(small_pack, photographs, ["GT01"], kept)
    assert groups(pictures)[-2:] == ["trimap1", "trimap2"]
    before = kept.read_bytes()
    again = validation_pictures(small_pack, photographs, ["GT01"], kept)
    assert kept.read_bytes() == before and pictures_digest(again) == pictures_digest(pictures)

    both = validation_pictures(small_pack, photographs, ["GT01", "GT02"], kept)
    assert len(both) == len(pictures) + 2
    held_out = min(one.name for one in small_pack.elements if one.name not in small_pack.held_out)
    other_pack = replace(small_pack, held_out=small_pack.held_out | {held_out})
    others = validation_pictures(other_pack, photographs, ["GT01"], kept)
    assert groups(others).count("held_out") == groups(pictures).count("held_out") + 1
    painted = photographs / "trimap1" / "GT01.png"
    painted.write_bytes(cv2.imencode(".png", 255 - cv2.imread(str(painted), 0))[1].tobytes())
    repainted = validation_pictures(other_pack, photographs, ["GT01"], kept)
    assert pictures_digest(repainted) != pictures_digest(others)


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", None])
def test_damaged_ones_are_made_anew(tmp_path, small_pack, damage):
    kept = tmp_path / "validation.npz"
    pictures = validation_pictures(small_pack, None, (), kept)
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    again = validation_pictures(small_pack, None, (), kept)
    assert pictures_digest(again) == pictures_digest(pictures) and kept.read_bytes() == whole


def test_photographs_that_are_not_there_are_named(tmp_path, small_pack, photographs):
    kept = tmp_path / "validation.npz"
    with pytest.raises(TrainingError, match="no photograph 'GT09'; there are GT01, GT02"):
        validation_pictures(small_pack, photographs, ["GT01", "GT09"], kept)
    with pytest.raises(TrainingError, match="no photographs to validate on"):
        validation_pictures(small_pack, tmp_path / "nothing", ["GT01"], kept)
    assert not kept.exists()


@pytest.mark.parametrize("options", [("--photographs", "photos"), ("--choose", "GT01")])
def test_neither_option_is_of_use_alone(tmp_path, small_pack, options):
    write_pack(tmp_path / "library.pack", small_pack)
    pack = ["--pack", str(tmp_path / "library.pack")]
    arguments = ["light", str(tmp_path / "store"), "-o", str(tmp_path / "run"), *pack, *options]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == UsageError.exit_code and "go together" in result.output


class Noise:
    """A source of crops of noise."""

    config = CropConfig(side_px=32)

    def refresh(self):
        return 1

    def batch(self, count, seed):
        crops = torch.rand(count, CHANNELS, 32, 32)
        return CropBatch(input=crops, alpha=crops[:, :1], unknown=torch.ones(count, 1, 32, 32))


def trainer(folder, seed, network=None):
    config = LightTraining(
        network=network or LightConfig(), validate_every=1, checkpoint_every=1,
        cycles=(Cycle(steps=3, batch=2, side_px=32),),
    )  # fmt: skip
    return LightTrainer(Noise(), config, folder, [noisy_picture(seed)])


def test_errors_on_other_pictures_are_not_compared(tmp_path):
    first = trainer(tmp_path, 1)
    list(first.run(until=1))
    same, other = trainer(tmp_path, 1), trainer(tmp_path, 2)
    assert same.resume() and same.best == first.best
    assert not any("other pictures" in line for line in same.run(until=1))
    assert other.resume() and other.best == float("inf")
    lines = list(other.run(until=2))
    assert "chosen anew" in lines[0] and "ratio 1.000" in lines[1]  # again the priors' mean
    assert any("best" in line for line in lines[2:])


def test_a_checkpoint_of_another_network_is_refused_by_name(tmp_path):
    list(trainer(tmp_path, 1).run(until=1))
    with pytest.raises(TrainingError, match="of another network: decoder") as raised:
        trainer(tmp_path, 1, LightConfig(features=16)).resume()
    assert raised.value.path == str(tmp_path / "last.pt")
    guided, plain = LightMatting(LightConfig(upsampling="guided")), LightMatting(LightConfig())
    load_fitting(guided, plain.state_dict(), tmp_path)  # its enlargers begin as bilinear ones
    with pytest.raises(TrainingError, match="by_low"):
        load_fitting(plain, guided.state_dict(), tmp_path)
