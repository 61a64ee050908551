"""Where a run may start: Xavier, a VGG-16 in torchvision's naming, shipped weights."""

from __future__ import annotations

import math

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from training.loop.starts import Start, load_encoder, unfold, xavier_decoder
from training.samples.bank import PictureBank
from training.samples.compose import Compositor
from training.samples.priors import WithPriors
from training.samples.synthesis import SynthesisConfig
from vfxmatte.errors import TrainingError
from vfxmatte.network.dim import DeepImageMatting, DimConfig
from vfxmatte.network.weights import save_weights

# Positions of the convolutions in torchvision's `vgg16().features`: read off its printed form,
# [64, 64, M, 128, 128, M, 256, 256, 256, M, 512, 512, 512, M, 512, 512, 512, M].
LAYERS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
NARROW = 0.0625  # VGG's shape at a sixteenth of its width, so that the test is quick


def fake_vgg(network, *, fc6_in=None, fc6_out=None, seed=0):
    """A state dict in torchvision's naming and shapes, at the network's width."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    fan_in = 3
    counts = [layer.conv.out_channels for block in network.encoder.blocks for layer in block]
    for index, count in zip(LAYERS, counts, strict=True):
        tensors[f"features.{index}.weight"] = torch.randn(
            (count, fan_in, 3, 3), generator=generator
        )
        tensors[f"features.{index}.bias"] = torch.randn(count, generator=generator)
        fan_in = count
    out, inputs = fc6_out or network.encoder.fc6.conv.out_channels, fc6_in or fan_in * 49
    tensors["classifier.0.weight"] = torch.randn((out, inputs), generator=generator)
    tensors["classifier.0.bias"] = torch.randn(out, generator=generator)
    return tensors


def paper_network(**more):
    return DeepImageMatting(DimConfig(width=NARROW, fc6_kernel=7, fc6_channels=4096, **more))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_vgg16_goes_into_the_encoder(tmp_path, suffix):
    network = paper_network()
    tensors = fake_vgg(network)
    path = tmp_path / f"vgg16{suffix}"
    torch.save(tensors, path) if suffix == ".pth" else save_file(tensors, path)
    report = load_encoder(network, path)
    assert "13 convolutions" in report[0]
    assert report[1].endswith("from fc6")
    layers = [layer.conv for block in network.encoder.blocks for layer in block]
    for index, conv in zip(LAYERS[1:], layers[1:], strict=True):
        assert torch.equal(conv.weight, tensors[f"features.{index}.weight"])
        assert torch.equal(conv.bias, tensors[f"features.{index}.bias"])


def test_the_fourth_input_channel_starts_at_zero(tmp_path):
    network = paper_network()
    tensors = fake_vgg(network)
    torch.save(tensors, tmp_path / "vgg.pth")
    load_encoder(network, tmp_path / "vgg.pth")
    first = network.encoder.blocks[0][0].conv.weight
    assert torch.equal(first[:, :3], tensors["features.0.weight"])
    assert torch.equal(first[:, 3:], torch.zeros_like(first[:, 3:]))


def test_fc6_as_a_convolution_computes_what_fc6_computes(tmp_path):
    network = paper_network()
    tensors = fake_vgg(network)
    torch.save(tensors, tmp_path / "vgg.pth")
    load_encoder(network, tmp_path / "vgg.pth")
    x = torch.randn((1, network.encoder.fc6.conv.in_channels, 7, 7))
    expected = nn.functional.linear(
        x.flatten(1), tensors["classifier.0.weight"], tensors["classifier.0.bias"]
    )
    actual = network.encoder.fc6.conv(x)[..., 3, 3]
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def test_an_fc6_that_does_not_fit_is_left_random_and_reported(tmp_path):
    network = DeepImageMatting(DimConfig(width=NARROW))
    before = network.encoder.fc6.conv.weight.clone()
    torch.save(fake_vgg(network), tmp_path / "vgg.pth")
    assert "random" in load_encoder(network, tmp_path / "vgg.pth")[1]
    assert torch.equal(network.encoder.fc6.conv.weight, before)


def test_an_fc6_of_as_many_numbers_but_another_shape_does_not_fit(tmp_path):
    network = paper_network()
    conv = network.encoder.fc6.conv
    rows = conv.in_channels * 49
    torch.save(fake_vgg(network, fc6_in=conv.out_channels, fc6_out=rows), tmp_path / "vgg.pth")
    assert "random" in load_encoder(network, tmp_path / "vgg.pth")[1]


def test_a_vgg16_fits_a_batch_normed_encoder_too(tmp_path):
    network = paper_network(batch_norm=True)
    torch.save(fake_vgg(network), tmp_path / "vgg.pth")
    load_encoder(network, tmp_path / "vgg.pth")
    with torch.no_grad():
        assert torch.isfinite(network.eval()(torch.rand((1, 4, 64, 64))).alpha).all()


@pytest.mark.parametrize("prior", [False, True])
def test_input_channels_beyond_the_colours_start_at_zero(tmp_path, prior):
    network = paper_network(prior=prior)
    tensors = fake_vgg(network)
    torch.save(tensors, tmp_path / "vgg.pth")
    load_encoder(network, tmp_path / "vgg.pth")
    weight = network.encoder.blocks[0][0].conv.weight
    assert weight.shape[1] == 4 + network.config.priors
    assert torch.equal(weight[:, :3], tensors["features.0.weight"]) and not weight[:, 3:].any()


@pytest.mark.parametrize("missing", ["features.5.weight", "features.5.bias"])
def test_a_file_that_is_no_vgg16_is_refused(tmp_path, missing):
    network = paper_network()
    tensors = fake_vgg(network)
    del tensors[missing]
    torch.save(tensors, tmp_path / "vgg.pth")
    with pytest.raises(TrainingError, match=missing):
        load_encoder(network, tmp_path / "vgg.pth")


def test_a_vgg16_of_another_width_is_refused(tmp_path):
    torch.save(fake_vgg(paper_network()), tmp_path / "vgg.pth")
    with pytest.raises(TrainingError, match="width 1"):
        load_encoder(DeepImageMatting(DimConfig(width=0.125)), tmp_path / "vgg.pth")


def test_a_damaged_or_missing_file_is_named(tmp_path):
    (tmp_path / "bad.pth").write_bytes(b"not weights")
    for name in ("bad.pth", "none.safetensors"):
        with pytest.raises(TrainingError) as caught:
            load_encoder(paper_network(), tmp_path / name)
        assert name in str(caught.value)


def test_xavier_fills_the_decoder():
    network = DeepImageMatting(DimConfig(width=0.125))
    encoder = network.encoder.blocks[1][0].conv.weight.clone()
    xavier_decoder(network)
    for conv in (m for m in network.decoder.modules() if isinstance(m, nn.Conv2d)):
        area = conv.kernel_size[0] * conv.kernel_size[1]
        bound = math.sqrt(6 / (area * (conv.in_channels + conv.out_channels)))
        assert conv.weight.abs().max() <= bound
        assert conv.weight.abs().max() > 0.8 * bound
        assert torch.equal(conv.bias, torch.zeros_like(conv.bias))
    assert torch.equal(network.encoder.blocks[1][0].conv.weight, encoder)


@pytest.fixture
def compositor(small_pack):
    return Compositor(PictureBank(small_pack, torch.device("cpu")), SynthesisConfig(crop_px=64))


def test_the_papers_start_is_xavier_without_batch_norms(compositor):
    torch.manual_seed(0)
    network = Start()(DeepImageMatting(DimConfig(width=0.125)), compositor)
    step = network.decoder.steps[0].conv
    bound = math.sqrt(6 / (25 * (step.in_channels + step.out_channels)))
    assert step.weight.abs().max() <= bound


def test_two_starts_at_once_are_refused(tmp_path):
    with pytest.raises(TrainingError, match="not both"):
        Start(encoder_init=tmp_path / "a", weights=tmp_path / "b")


def varied(network, seed=3):
    """The network with batch-norms that have seen something, folded."""
    torch.manual_seed(seed)
    network.train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.rand((4, 4, 64, 64)))
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.3, 0.3)
    return network.fold()


def test_unfolding_gives_batch_norms_that_compute_the_same(compositor):
    # in float64: rounding in float32 may move the largest of four in a pooling, and its unpooling
    plain = varied(DeepImageMatting(DimConfig(width=0.125, batch_norm=True, skips=True))).double()
    pictures = torch.cat([compositor.batch(8, seed).input for seed in range(2)]).double()
    network = unfold(plain, pictures)
    assert network.config.batch_norm
    with torch.no_grad():
        expected, actual = plain(pictures).alpha, network.eval()(pictures).alpha
    torch.testing.assert_close(actual, expected, atol=1e-6, rtol=0)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 13 + 1 + 1 + 5
    assert all((norm.running_var > 0).all() for norm in norms)


def test_a_run_goes_on_from_a_weights_file(tmp_path, compositor):
    config = DimConfig(width=0.125, batch_norm=True, skips=True)
    plain = varied(DeepImageMatting(config))
    save_weights(tmp_path / "w.safetensors", plain, name="w")
    network = Start(weights=tmp_path / "w.safetensors")(DeepImageMatting(config), compositor)
    pictures = compositor.batch(8, 99).input
    with torch.no_grad():
        expected, actual = plain.eval()(pictures).alpha, network.eval()(pictures).alpha
    assert (actual - expected).abs().mean() < 0.01  # the file is in half precision


def test_weights_without_priors_begin_as_the_priors(tmp_path, small_pack):
    plain = varied(DeepImageMatting(DimConfig(width=0.125, batch_norm=True, skips=True)))
    save_weights(tmp_path / "w.safetensors", plain, name="w")
    config = DimConfig(width=0.125, batch_norm=True, skips=True, prior=True)
    maker = WithPriors(
        Compositor(PictureBank(small_pack, torch.device("cpu")), SynthesisConfig(crop_px=64)),
        missing=0.0, threads=1, crop_px=None, crops=1,
    )  # fmt: skip
    network = Start(weights=tmp_path / "w.safetensors")(DeepImageMatting(config), maker).eval()
    batch = maker.batch(4, 1)
    with torch.no_grad():
        alpha = network(batch.input).alpha
    torch.testing.assert_close(alpha, batch.priors.mean(1, keepdim=True), atol=1e-6, rtol=0)
    first = network.encoder.blocks[0][0].conv.weight
    wanted = plain.encoder.blocks[0][0].conv.weight
    torch.testing.assert_close(first[:, :4], wanted, atol=1e-3, rtol=1e-3)
    assert not first[:, 4:].any()


def test_weights_of_another_shape_are_refused(tmp_path, compositor):
    plain = DeepImageMatting(DimConfig(width=0.125)).fold()
    save_weights(tmp_path / "w.safetensors", plain, name="w")
    with pytest.raises(TrainingError, match="width"):
        Start(weights=tmp_path / "w.safetensors")(
            DeepImageMatting(DimConfig(width=0.25)), compositor
        )
