"""The network: its shape, its reach, and that folding and tiling change nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from vfxmatte.network.dim import STRIDE, DeepImageMatting, DimConfig
from vfxmatte.network.tiling import plan_tiles
from vfxmatte.types import UNKNOWN

KERNELS = (1, 3, 7)
TILED_EQUALS_DENSE = 1e-5  # float32 on a CPU: the order of additions may differ with the size


def network(**config: object) -> DeepImageMatting:
    """A very small network whose every weight is random, so that nothing is hidden by zeros."""
    torch.manual_seed(3)
    made = DeepImageMatting(DimConfig(width=0.0625, fc6_channels=64, **config))  # type: ignore[arg-type]
    if made.refinement is not None:
        torch.nn.init.normal_(made.refinement.residual.weight, std=0.05)
    return made.eval()


def random_input(height: int, width: int, seed: int = 0) -> Tensor:
    return torch.rand(1, 4, height, width, generator=torch.Generator().manual_seed(seed))


def test_the_paper_s_configuration_has_its_layers_and_its_size() -> None:
    with torch.device("meta"):
        paper = DeepImageMatting(DimConfig(fc6_kernel=7, fc6_channels=4096))
    assert tuple(paper.encoder.fc6.conv.weight.shape) == (4096, 512, 7, 7)
    convolutions = [m for m in paper.encoder.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) == 14
    assert [tuple(s.conv.weight.shape) for s in paper.decoder.steps] == [
        (512, 512, 5, 5), (256, 512, 5, 5), (128, 256, 5, 5), (64, 128, 5, 5), (64, 64, 5, 5),
    ]  # fmt: skip
    assert 129e6 < sum(p.numel() for p in paper.parameters()) < 132e6
    with torch.device("meta"):
        default = DeepImageMatting(DimConfig())
    assert 24e6 < sum(p.numel() for p in default.parameters()) < 27e6


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 0.01},
        {"width": 5.0},
        {"fc6_kernel": 2},
        {"fc6_kernel": 9},
    ],
)
def test_impossible_configurations_are_refused_by_name(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DimConfig(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(1, 3, 32, 32), (1, 4, 33, 32), (1, 4, 32, 48)])
def test_inputs_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(N, 4, 32"):
        network()(torch.zeros(shape))


@pytest.mark.parametrize("skips", [False, True])
@pytest.mark.parametrize("refine", [False, True])
def test_folding_batch_norm_keeps_the_result(skips: bool, refine: bool) -> None:
    made = network(batch_norm=True, skips=skips, refine=refine)
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for values in (module.weight, module.bias, module.running_mean, module.running_var):
                torch.nn.init.uniform_(values, 0.5, 1.5)  # type: ignore[arg-type]
    picture = random_input(64, 96)
    with torch.inference_mode():
        before = made(picture).raw
        after = made.fold()(picture).raw
    assert not made.config.batch_norm
    assert not [m for m in made.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert before.std() > 0
    torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-4)


def test_a_fresh_refinement_is_the_identity_and_can_be_left_out() -> None:
    torch.manual_seed(3)
    fresh = DeepImageMatting(DimConfig(width=0.0625, fc6_channels=64)).eval()
    with torch.inference_mode():
        output = fresh(random_input(32, 32))
        without = fresh(random_input(32, 32), refine=False)
    assert output.stage2 is not None and without.stage2 is None
    torch.testing.assert_close(output.stage2, output.stage1.clamp(0, 1))
    torch.testing.assert_close(without.raw, output.stage1)
    assert output.alpha.min() >= 0 and output.alpha.max() <= 1


def test_each_stage_has_its_own_parameters() -> None:
    made = network()
    stages = [{id(p) for p in made.stage_parameters(stage)} for stage in (1, 2)]
    assert stages[0] and stages[1] and not stages[0] & stages[1]
    assert stages[0] | stages[1] == {id(p) for p in made.parameters()}
    assert list(network(refine=False).stage_parameters(2)) == []


@pytest.mark.parametrize("kernel", KERNELS)
def test_no_pixel_sees_beyond_the_halo(kernel: int) -> None:
    """The gradient of one output pixel, through whole poolings, ends within the halo."""
    made = network(fc6_kernel=kernel, skips=True)
    halo = made.config.halo_px()
    assert halo % STRIDE == 0
    side = 2 * halo + 2 * STRIDE
    picture = random_input(side, side).requires_grad_()
    reach = 0
    for row in (halo + 16, halo + 31, halo + 32):  # inside a cell of 32, and on its edges
        output = made(picture).stage1[0, 0, row, halo + 16]
        (gradient,) = torch.autograd.grad(output, picture)
        rows = torch.nonzero(gradient[0].abs().sum((0, 2)))[:, 0]
        reach = max(reach, row - int(rows.min()), int(rows.max()) - row)
    assert reach + 4 == halo - 3  # the refinement sees 4 px further


@pytest.mark.parametrize("skips", [False, True])
@pytest.mark.parametrize("kernel", KERNELS)
def test_tiled_equals_dense(kernel: int, skips: bool) -> None:
    made = network(fc6_kernel=kernel, skips=skips)
    halo = made.config.halo_px()
    height, width = 2 * halo + 192, 2 * halo + 256
    labels = np.zeros((height, width), np.uint8)
    labels[halo + 20 : halo + 50, halo + 10 : halo + 90] = UNKNOWN
    labels[40:50, width - 30 : width - 3] = UNKNOWN
    labels[height - 9 : height - 2, 5:9] = UNKNOWN
    tiles = plan_tiles(labels, stride=STRIDE, halo_px=halo, max_window_px=1)
    assert len(tiles) > 1 and tiles[0].window.area < height * width
    picture = random_input(height, width)
    with torch.inference_mode():
        dense = made(picture).raw[0, 0]
        for tile in tiles:
            rows, columns = tile.window.slices
            part = made(picture[:, :, rows, columns]).raw[0, 0][tile.core_in_window]
            difference = (part - dense[tile.core.slices]).abs()
            assert dense[tile.core.slices].std() > 0
            assert float(difference.max()) <= TILED_EQUALS_DENSE


def test_one_step_less_than_the_halo_is_too_little() -> None:
    """So the halo is not simply generous: what lies in its last 32 px can be seen."""
    made = network()
    halo = made.config.halo_px()
    picture = random_input(2 * halo, 2 * halo + STRIDE)
    changed = picture.clone()
    changed[:, :, :, :STRIDE] = 1 - changed[:, :, :, :STRIDE]
    with torch.inference_mode():
        difference = (made(picture).raw - made(changed).raw).abs()[0, 0].amax(0)
    seen = torch.nonzero(difference)[:, 0].max()
    assert halo - STRIDE <= seen < halo + STRIDE
