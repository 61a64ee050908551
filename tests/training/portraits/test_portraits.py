"""Training of automatic trimaps: scenes, losses, and a run from the command line."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner

from training.cli import cli
from training.elements.pack import write_pack
from training.portraits.config import PortraitTraining
from training.portraits.losses import alpha_loss, label_loss, rarity
from training.portraits.measure import hard_labels
from training.portraits.scenes import PortraitCompositor, labels_of
from training.portraits.trainer import PortraitTrainer, portraits_of
from training.samples.bank import PictureBank
from training.samples.synthesis import SynthesisConfig
from vfxmatte.errors import TrainingError
from vfxmatte.keyframes.portrait_network import PortraitConfig
from vfxmatte.keyframes.portrait_weights import load_portrait_weights
from vfxmatte.keyframes.systems import SolverSettings

CPU = torch.device("cpu")


def tiny_config(**changes):
    settings = {
        "network": PortraitConfig(width=0.0625, batch_norm=True, side_px=64),
        "synthesis": SynthesisConfig(crop_px=64, zoom=(6.0, 12.0), two_foregrounds=0.0),
        "label_steps": 3, "joint_steps": 2, "batch": 2, "validation": 2, "log_every": 1,
    }  # fmt: skip
    return PortraitTraining(**{**settings, **changes})


def test_scenes_follow_from_their_seed(small_pack):
    compositor = PortraitCompositor(PictureBank(small_pack, CPU), tiny_config())
    one, same, other = (compositor.samples(4, seed) for seed in (5, 5, 6))
    assert one.image.shape == (4, 3, 64, 64)
    assert torch.equal(one.image, same.image) and not torch.equal(one.image, other.image)
    assert float(one.image.min()) >= 0 and float(one.image.max()) <= 1


def test_a_portrait_is_in_the_frame_and_some_scenes_have_none(small_pack):
    bank = PictureBank(small_pack, CPU)
    full = PortraitCompositor(bank, tiny_config(empty=0.0)).samples(16, 1).alpha
    assert bool((full.sum((1, 2, 3)) > 50).all())
    some = PortraitCompositor(bank, tiny_config(empty=0.5)).samples(32, 1).alpha
    assert 4 < int((some.amax((1, 2, 3)) == 0).sum()) < 28


def test_a_portrait_that_is_cut_stays_on_the_edge_of_the_frame(small_pack):
    element = small_pack.elements[0]
    cut = replace(element, colour=element.colour[:48], alpha=element.alpha[:48])
    pack = replace(small_pack, elements=(cut,), held_out=frozenset())
    plain = replace(SynthesisConfig.plain(64), zoom=(6.0, 12.0), rotate_degrees=12.0)
    config = tiny_config(empty=0.0, synthesis=plain)
    alpha = PortraitCompositor(PictureBank(pack, CPU), config).samples(12, 3).alpha
    seen = alpha.amax((1, 2, 3)) > 0.5
    assert int(seen.sum()) > 6
    assert bool((alpha[seen][:, 0, -1].amax(1) > 0.5).all())


def test_labels_have_a_band_around_what_is_soft():
    x = torch.arange(40).float()
    alpha = ((20 - x) / 4 + 0.5).clamp(0, 1).expand(1, 1, 30, 40)
    labels = labels_of(alpha, 3)
    assert labels[0, 10].tolist() == [0] * 16 + [2] * 9 + [1] * 15
    assert labels_of((x < 20).float().expand(1, 1, 30, 40), 1)[0, 10, 17:23].tolist() == [
        0, 2, 2, 2, 2, 1,
    ]  # fmt: skip


def test_rare_alphas_weigh_most():
    alpha = torch.zeros(1, 1, 10, 10)
    alpha[..., :2] = 1
    alpha[..., 5, 5] = 0.5
    weights = rarity([alpha])
    assert weights[0] < weights[-1] < weights[round(0.5 * (len(weights) - 1))]
    expected = -torch.log(torch.tensor((79 + 1.0) / (100 + len(weights))))
    torch.testing.assert_close(weights[0], expected)
    off = alpha.clone()
    off[..., 5, 5] = 1.0
    assert float(alpha_loss(alpha, alpha, weights)) == 0
    loss = float(alpha_loss(off, alpha, weights))
    assert loss == pytest.approx(0.5 * float(weights[24]) / 100)


def test_hard_labels_take_the_likeliest():
    probabilities = torch.tensor([[0.5, 0.2, 0.3], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]])
    assert hard_labels(probabilities[:, :, None, None]).flatten().tolist() == [1.0, 0.0, 0.5]


def test_which_elements_are_portraits(small_pack):
    everything, nothing = portraits_of(small_pack, None)
    assert len(everything.elements) == 4 and not nothing.elements
    chosen, others = portraits_of(small_pack, "disc")
    assert {e.kind for e in chosen.elements} == {"disc"} and chosen.held_out == {"disc c"}
    assert [e.kind for e in others.elements] == ["hair"]
    with pytest.raises(TrainingError, match=r"no foreground is a 'cat'; there are disc, hair"):
        portraits_of(small_pack, "cat")


def test_the_loss_falls_through_the_layer(small_pack):
    trainer = PortraitTrainer(small_pack, tiny_config(), CPU)
    batch = trainer.compositor.samples(2, 1)
    weights = rarity([batch.alpha])
    optimiser = torch.optim.Adam(trainer.network.parameters(), lr=5e-3)
    first = dict(trainer.network.named_parameters())["layer.log_weight"].item()
    losses = []
    for _ in range(12):
        _, alpha = trainer.network(batch.image, batch.alpha)
        loss = alpha_loss(alpha, batch.alpha, weights)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert trainer.network.layer.log_weight.item() != first
    gradients = [p.grad.abs().sum() for p in trainer.network.labels.encoder.parameters()]
    assert float(torch.stack(gradients).min()) > 0


def test_batches_that_cannot_be_solved_are_counted_and_many_end_the_training(small_pack):
    trainer = PortraitTrainer(small_pack, tiny_config(joint_steps=6, validation=0), CPU)
    trainer.network.layer.settings = SolverSettings(method="cg", tolerance=1e-12, iterations=1)
    seen = []
    with pytest.raises(TrainingError, match=r"4 batches could not be solved, the last at step 6"):
        seen.extend(trainer.run())
    assert [step.unsolved for step in seen] == [0, 0, 0, 1, 2, 3]


def test_label_loss_is_least_for_the_truth():
    classes = torch.randint(0, 3, (1, 8, 8), generator=torch.Generator().manual_seed(1))
    right = 9.0 * torch.nn.functional.one_hot(classes, 3).permute(0, 3, 1, 2)
    assert float(label_loss(right, classes)) < 0.01 < float(label_loss(-right, classes))


TINY = [
    "--set", "network.width=0.0625", "--set", "network.side_px=64", "--set", "synthesis.crop_px=64",
    "--set", "synthesis.zoom=[6.0,12.0]", "--set", "label_steps=3", "--set", "joint_steps=2",
    "--set", "batch=2", "--set", "validation=2", "--set", "log_every=1", "--threads", "1",
]  # fmt: skip


def call(*arguments):
    return CliRunner().invoke(cli, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    from tests.training.conftest import drawn_pack

    path = tmp_path_factory.mktemp("library") / "elements.pack"
    write_pack(path, drawn_pack())
    return path


def test_from_a_pack_to_weights(library, tmp_path):
    result = call("portraits", library, "-o", tmp_path / "run", "--name", "mine", *TINY)
    assert result.exit_code == 0, result.output
    assert "3 portraits, 3 backgrounds, 2 held-out scenes" in result.output
    network, info = load_portrait_weights(tmp_path / "run" / "portrait.safetensors")
    assert info.name == "mine" and info.network.side_px == 64
    assert set(info.evaluation) == {"held-out portraits, labels", "held-out portraits, together"}
    assert info.evaluation["held-out portraits, together"]["pictures"] == 2
    assert float(network.mean_matte.max()) > 0.5
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [entry["part"] for entry in log] == ["labels"] * 3 + ["together"] * 2
    assert log[0]["weight"] != log[-1]["weight"]
    assert (tmp_path / "run" / "held_out.png").stat().st_size > 0
    further = call("portraits", library, "-o", tmp_path / "on", "--init", info.path, *TINY)
    assert further.exit_code == 0, further.output
    went_on, then = load_portrait_weights(tmp_path / "on" / "portrait.safetensors")
    assert then.network == info.network and then.sha256 != info.sha256
    torch.testing.assert_close(went_on.mean_matte, network.mean_matte)
    again = call("portraits", library, "-o", tmp_path / "run", *TINY)
    assert again.exit_code == 3 and "there are weights already" in again.output


def test_wrong_settings_are_named(library, tmp_path):
    result = call("portraits", library, "-o", tmp_path / "run", "--set", "label_stepz=3")
    assert result.exit_code == 3 and "label_steps" in result.output
    result = call("portraits", library, "-o", tmp_path / "run", "--set", "synthesis.crop_px=65")
    assert result.exit_code == 3 and "multiple of 32" in result.output
    assert not (tmp_path / "run").exists()
