"""First weights of a training: Xavier, a VGG-16 that the user has, or a weights file.

Weights files have their batch-norms folded away. `unfold` restores them: convolutions lose their
bias and each batch-norm gets the scale and shift that reproduce it on given pictures, so that
training continues from there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.samples.maker import BatchMaker
from vfxmatte.errors import TrainingError
from vfxmatte.network.dim import ConvReLU, DeepImageMatting
from vfxmatte.network.weights import load_weights

_VGG16_LAYERS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)  # of torchvision's `features`


class Start:
    """Turns a random network into a run's first weights."""

    def __init__(
        self,
        *,
        encoder_init: Path | None = None,
        weights: Path | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Choose the weights: without a file Xavier, or He's where there are batch-norms.

        Args:
            encoder_init: a VGG-16 for the encoder.
            weights: a weights file to continue from.
            say: called with each line of the report.
        """
        if encoder_init and weights:
            raise TrainingError("give --encoder-init or --init, not both")
        self.encoder_init, self.weights, self.say = encoder_init, weights, say

    def __call__(self, network: DeepImageMatting, compositor: BatchMaker) -> DeepImageMatting:
        if self.weights is not None:
            return from_weights(network, compositor, self.weights)
        if not network.config.batch_norm:
            xavier_decoder(network)
        if self.encoder_init is not None:
            for line in load_encoder(network, self.encoder_init):
                self.say(line)
        return network


def from_weights(network: DeepImageMatting, compositor: BatchMaker, path: Path) -> DeepImageMatting:
    """Load a weights file, with batch-norms again where `network` has them.

    A refinement that the file lacks keeps its random start. Where the file's network takes no
    alpha priors and `network` does, its last layer starts at zero: alpha starts as the priors.

    Raises:
        TrainingError: the weights are of another architecture.
    """
    plain, _ = load_weights(path)
    if network.config.prior and not plain.config.prior:
        plain = with_priors(plain)
    if plain.config != replace(network.config, batch_norm=False, refine=plain.config.refine):
        raise TrainingError(
            f"these weights are {plain.config}, the configuration has {network.config}",
            path=path,
            hint="give the network the width, fc6 layer, skips and priors of the weights",
        )
    if not network.config.batch_norm:
        network.load_state_dict(plain.state_dict(), strict=False)
        return network
    pictures = torch.cat([compositor.batch(8, seed).input.cpu() for seed in range(4)])
    return unfold(plain, pictures, refine=network.config.refine)


@torch.no_grad()
def with_priors(plain: DeepImageMatting) -> DeepImageMatting:
    """Copy a network into one that takes priors; it ignores them at first, and adds nothing."""
    network = replace(plain.config, prior=True).build()
    wider = network.state_dict()
    for name, tensor in plain.state_dict().items():
        if tensor.shape == wider[name].shape:
            wider[name] = tensor.clone()
        else:  # a first convolution, or the last
            wider[name].zero_()
            wider[name][tuple(slice(size) for size in tensor.shape)] = tensor
    network.load_state_dict(wider)
    last = [network.decoder.alpha]
    if network.refinement is not None:
        last.append(network.refinement.residual)
    for layer in last:
        for parameter in layer.parameters():
            parameter.zero_()
    return network


def xavier_decoder(network: DeepImageMatting) -> None:
    """Initialise the decoder by Xavier-uniform weights and zero biases, as in the paper."""
    for module in network.decoder.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def load_encoder(network: DeepImageMatting, path: Path) -> list[str]:
    """Load a VGG-16 into the encoder; returns a report, one line each.

    The file holds torchvision's names (`features.0.weight` …, `classifier.0.weight` for fc6),
    as a .pth state dict or as safetensors. Input channels beyond the colours start at zero (an
    adapter passes the colours on as they are, to the same effect); fc6 is reshaped to the
    fourteenth convolution where its shape fits.

    Raises:
        TrainingError: unreadable, or not a VGG-16 of this network's width.
    """
    tensors = _read_tensors(path)
    layers = [layer for level in network.encoder.levels() for layer in level]
    convolutions = [layer.conv for layer in layers if isinstance(layer, ConvReLU)]
    report = []
    for index, conv in zip(_VGG16_LAYERS, convolutions[: len(_VGG16_LAYERS)], strict=True):
        weight = tensors.get(f"features.{index}.weight")
        if weight is None:
            raise TrainingError(f"no features.{index}.weight: not torchvision's VGG-16", path=path)
        if index == 0:
            more = conv.in_channels - weight.shape[1]
            weight = F.pad(weight, (0, 0, 0, 0, 0, max(0, more)))
        if weight.shape != conv.weight.shape:
            raise TrainingError(
                f"features.{index}.weight is {tuple(weight.shape)}, the network has "
                f"{tuple(conv.weight.shape)}",
                path=path,
                hint="VGG-16 fits only a network of width 1",
            )
        conv.weight.data.copy_(weight)
        if conv.bias is not None:
            conv.bias.data.copy_(_bias(tensors, f"features.{index}.bias", path))
    report.append(f"encoder: 13 convolutions from {path.name}")
    for adapter in (layer for layer in layers if isinstance(layer, nn.Conv2d)):
        nn.init.dirac_(adapter.weight)
        nn.init.zeros_(adapter.bias)  # type: ignore[arg-type]
        report.append("adapter: passes the three colours on")
    for conv in convolutions[len(_VGG16_LAYERS) :]:
        report.append(_load_fc6(conv, tensors, path))
    return report


def _load_fc6(conv: nn.Conv2d, tensors: Mapping[str, Tensor], path: Path) -> str:
    """Load fc6, whose weights are in a convolution's order: channels, rows, columns."""
    weight = tensors.get("classifier.0.weight")
    if weight is None or weight.shape != conv.weight.flatten(1).shape:
        shape = "none" if weight is None else f"{tuple(weight.shape)}"
        return f"fourteenth convolution: random, the file's fc6 ({shape}) does not fit its shape"
    conv.weight.data.copy_(weight.reshape(conv.weight.shape))
    if conv.bias is not None:
        conv.bias.data.copy_(_bias(tensors, "classifier.0.bias", path))
    return "fourteenth convolution: from fc6"


def _bias(tensors: Mapping[str, Tensor], name: str, path: Path) -> Tensor:
    if name not in tensors:
        raise TrainingError(f"no {name}: not torchvision's VGG-16", path=path)
    return tensors[name]


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for damaged files
        raise TrainingError(f"encoder weights cannot be read: {error}", path=path) from error
    if not isinstance(loaded, dict):
        raise TrainingError("encoder weights must be a state dict", path=path)
    return loaded


def unfold(plain: DeepImageMatting, pictures: Tensor, *, refine: bool = True) -> DeepImageMatting:
    """Create a batch-normed network that computes the same as a folded one.

    Args:
        plain: the folded network.
        pictures: (N, 4 + priors, H, W), typical inputs, N·H·W large enough for statistics.
        refine: whether the result has a stage 2.
    """
    network = replace(plain.config, batch_norm=True, refine=refine).build().to(plain.mean.dtype)
    biases: dict[str, Tensor] = {}
    state = network.state_dict()
    for name, tensor in plain.state_dict().items():
        if name in state:
            state[name] = tensor.clone()
        elif re.search(r"\.conv\.bias$", name):
            biases[name.removesuffix("conv.bias")] = tensor
    network.load_state_dict(state)
    _calibrate(network, biases, pictures)
    return network


@torch.no_grad()
def _calibrate(network: nn.Module, biases: Mapping[str, Tensor], pictures: Tensor) -> None:
    """Set each batch-norm from its input, in the order of the forward pass."""

    def hook(bn: nn.BatchNorm2d, bias: Tensor):  # type: ignore[no-untyped-def]
        def before(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
            var, mean = torch.var_mean(args[0].double(), (0, 2, 3))
            bn.running_mean.copy_(mean)  # type: ignore[union-attr]
            bn.running_var.copy_(var)  # type: ignore[union-attr]
            bn.weight.copy_((var + bn.eps).sqrt())
            bn.bias.copy_(mean + bias)

        return before

    handles = [
        module.register_forward_pre_hook(hook(module, biases[name.removesuffix("bn")]))
        for name, module in network.named_modules()
        if isinstance(module, nn.BatchNorm2d)
    ]
    network.eval()(pictures, refine=False)
    for handle in handles:
        handle.remove()
