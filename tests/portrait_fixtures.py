"""Portrait weights for tests, made by hand: warm is foreground, cool is background, discs are
portraits. They label by colour alone, through the real network."""

from __future__ import annotations

from pathlib import Path

import torch

from vfxmatte.keyframes.portrait_network import PortraitConfig, PortraitMatting
from vfxmatte.keyframes.shape_mask import MEAN_SIDE
from vfxmatte.network.weights_file import save_folded


def colour_network() -> PortraitMatting:
    """Channel 0 carries red − blue where that is positive, channel 1 blue − red."""
    network = PortraitMatting(PortraitConfig(width=0.05, side_px=64))
    with torch.no_grad():
        for parameter in network.labels.parameters():
            parameter.zero_()
        first = True
        for block in network.labels.encoder.blocks:
            for layer in block:
                weight = layer.conv.weight
                for channel in (0, 1):
                    if first:
                        sign = 1.0 if channel == 0 else -1.0
                        weight[channel, 0, 1, 1], weight[channel, 2, 1, 1] = sign, -sign
                    else:
                        weight[channel, channel, 1, 1] = 1.0
                first = False
        score = network.labels.score8
        score.weight[0, :2, 0, 0] = torch.tensor((8.0, -8.0))
        score.weight[1, :2, 0, 0] = torch.tensor((-8.0, 8.0))
        axis = torch.linspace(-1, 1, MEAN_SIDE)
        distance = torch.hypot(axis[:, None], axis[None])
        network.mean_matte[0, 0] = ((0.7 - distance) / 0.1).clamp(0, 1)
    return network.eval()


def save_colour_weights(path: Path) -> Path:
    network = colour_network()
    save_folded(path, network, network.config, name="by colour, for tests")
    return path
