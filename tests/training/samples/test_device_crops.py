"""Crops cut on a device, here the CPU: what they show is in the stores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from training.samples.composite_store import BRIGHTEST, Composite, StoreReader, StoreWriter
from training.samples.device_crops import DeviceCrops, distance_bytes
from training.samples.store_crops import CropConfig, StoreCrops
from vfxmatte.errors import TrainingError
from vfxmatte.network.light import PRIORS
from vfxmatte.network.nearness import FARTHEST_PX, nearness
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, Labels

CPU = torch.device("cpu")
SIDE = 128
PLAIN = CropConfig(side_px=64, halved=0, without_priors=0, exposure=0, gamma=0)


def labels_of(number: int) -> Labels:
    """Foreground, an unknown band, background, from left to right."""
    labels = np.full((SIDE, SIDE), UNKNOWN, np.uint8)
    labels[:, : 30 + number], labels[:, 70 + number :] = FOREGROUND, BACKGROUND
    return labels


def store(folder: Path, count: int, side: int = SIDE) -> StoreReader:
    """Composites whose red is their number, and whose green and alpha rise to the right."""
    writer = StoreWriter(folder, side_px=side, priors=PRIORS, description={})
    across = np.broadcast_to(np.linspace(0, 1, side, dtype=np.float32), (side, side))
    for number in range(count):
        image = np.stack((np.full((side, side), number / 10), across, across * 0), 2)
        priors = np.repeat(across[:, :, None], PRIORS, 2)
        labels = labels_of(number)[:side, :side]
        image, alpha = image.astype(np.float32), np.ascontiguousarray(across)
        writer.append([Composite(image=image, labels=labels, priors=priors, alpha=alpha)])
    writer.close()
    return StoreReader(folder)


def crops_of(reader: StoreReader, config: CropConfig = PLAIN, most: int = 8) -> DeviceCrops:
    crops = DeviceCrops([reader], config, CPU, most=most)
    crops.refresh()
    return crops


def test_planes_of_a_crop_belong_together(tmp_path: Path) -> None:
    batch = crops_of(store(tmp_path, 3)).batch(24, (1, 2))
    image, trimap = batch.input[:, :3], batch.input[:, 3:4]
    assert batch.input.shape == (24, 4 + PRIORS + 6, 64, 64)
    assert set(trimap.unique().tolist()) == {0.0, 0.5, 1.0}
    assert torch.equal(batch.unknown, (trimap == 0.5).float())
    assert batch.unknown.flatten(1).any(1).all()  # each crop has something to learn
    assert (image[:, 1:2] - batch.alpha).abs().max() < 0.006  # bytes
    assert (batch.input[:, 4:5] - batch.alpha).abs().max() < 0.006
    numbers = (image[:, 0] * 10).mean((1, 2)).round()
    assert set(numbers.tolist()) == {0.0, 1.0, 2.0}
    assert (image[:, 0] * 10 - numbers[:, None, None]).abs().max() < 0.05
    turned = [
        (a[:, 0] - a[:, -1]).abs().max() > (a[0] - a[-1]).abs().max() for a in batch.alpha[:, 0]
    ]
    assert any(turned) and not all(turned)  # some are transposed


def test_the_same_seed_gives_the_same_batch(tmp_path: Path) -> None:
    crops = crops_of(store(tmp_path, 3), CropConfig(side_px=64, permuted=0.5))
    first, same, other = (crops.batch(6, seed).input for seed in ((1, 2), (1, 2), (1, 3)))
    assert torch.equal(first, same) and not torch.equal(first, other)
    assert first.min() >= 0 and first.max() <= BRIGHTEST


def test_nearness_is_that_of_the_whole_composite(tmp_path: Path) -> None:
    reader = store(tmp_path, 1)
    whole = CropConfig(side_px=SIDE, halved=0, without_priors=0, exposure=0, gamma=0)
    batch = crops_of(reader, whole).batch(16, (5,))
    upright = torch.from_numpy(labels_of(0))
    expected = torch.from_numpy(nearness(labels_of(0))).permute(2, 0, 1)
    seen = [
        number for number in range(16)
        if torch.equal(batch.input[number, 3] == 0.5, upright == UNKNOWN)
        and batch.input[number, 3, 0, 0] == 1
    ]  # fmt: skip
    assert seen  # neither turned nor mirrored across
    for number in seen:
        assert (batch.input[number, 4 + PRIORS :] - expected).abs().max() < 0.02


def test_halved_crops_are_averages_and_certain_where_all_is(tmp_path: Path) -> None:
    reader = store(tmp_path, 1)
    config = CropConfig(side_px=64, halved=1, without_priors=0, exposure=0, gamma=0)
    device, host = (
        crops_of(reader, config).batch(8, (4,)),
        StoreCrops([reader], config).batch(8, (4,)),
    )
    for batch in (device, host):
        assert batch.input.shape[2:] == (64, 64)
        assert (batch.input[:, 1:2] - batch.alpha).abs().max() < 0.006
        assert batch.unknown.mean() == pytest.approx(20 / 64, abs=1e-6)


def test_new_records_take_the_place_of_the_oldest(tmp_path: Path) -> None:
    crops = crops_of(store(tmp_path, 5), most=3)
    assert crops.refresh() == 5
    reds = (crops.batch(64, (1,)).input[:, 0].mean((1, 2)) * 10).round()
    assert set(reds.tolist()) == {2.0, 3.0, 4.0}


def test_distances_are_finest_near_by() -> None:
    found = FARTHEST_PX * (distance_bytes(labels_of(0)).astype(np.float32) / 255) ** 2
    assert found[0, 0, 29] == 0 and found[0, 0, 30] == pytest.approx(1, abs=0.1)
    assert found[0, 0, 69] == pytest.approx(40, abs=1) and found[1, 0, 69] == pytest.approx(
        1, abs=0.1
    )
    nothing = np.full((9, 9), UNKNOWN, np.uint8)
    assert (distance_bytes(nothing) == 255).all()


def test_stores_of_several_sizes_and_shares_are_refused(tmp_path: Path) -> None:
    one, other = store(tmp_path / "a", 1), store(tmp_path / "b", 1, side=64)
    with pytest.raises(TrainingError, match="of one size"):
        DeviceCrops([one, other], PLAIN, CPU, most=2)
    with pytest.raises(TrainingError, match="shares"):
        DeviceCrops([one], CropConfig(shares=(1.0,)), CPU, most=2)
