"""Validation of a light network while it trains: whole pictures, priors made once and kept."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from training.elements.pack import Pack
from training.measure.photographs import photographs
from training.measure.samples import Sample, composites
from training.samples.store_crops import network_planes
from vfxmatte.io.temporary import renamed_when_whole
from vfxmatte.network.light import PRIORS, STRIDE, LightMatting
from vfxmatte.network.tiling import pad_reflect, padded_size
from vfxmatte.prior.alpha_prior import alpha_priors
from vfxmatte.types import FloatImage


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """group: which mean it counts in. planes: (CHANNELS, H, W), the network's input, padded.
    truth: (h, w) float32, not padded."""

    group: str
    planes: FloatImage
    truth: FloatImage

    @property
    def unknown(self) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        height, width = self.truth.shape
        return np.asarray(self.planes[3, :height, :width] == 0.5)


@dataclass(frozen=True)
class Errors:
    """sad: mean SAD in thousands. mse: mean MSE over the unknown region. off: rank correlation of
    expected and true error over the unknown pixels, a mean. ratio: SAD as a share of that of the
    priors' mean, a geometric mean, so that every picture counts the same."""

    sad: float
    mse: float
    off: float
    ratio: float = 1.0


def validation_pictures(
    pack: Pack, folder: Path | None, chosen: Sequence[str], kept: Path
) -> list[Picture]:
    """Held-out composites as `held_out`, and the photographs in `chosen` as `trimap1` and so on.

    folder: photographs with trimaps and alphas, or None. kept: where the inputs are kept between
    runs (.npz).
    """
    if kept.is_file():
        return _load(kept)
    pictures = [_picture("held_out", sample) for sample in composites(pack.validation())]
    if folder is not None:
        for trimaps in ("trimap1", "trimap2"):
            pictures += [
                _picture(trimaps, s) for s in photographs(folder, trimaps) if s.name in chosen
            ]
    _save(kept, pictures)
    return pictures


def _picture(group: str, sample: Sample) -> Picture:
    priors = alpha_priors(sample.image, sample.labels)
    planes = network_planes(sample.image, sample.labels, priors).transpose(1, 2, 0)
    height, width = padded_size(sample.labels.shape[0], sample.labels.shape[1], STRIDE)
    padded = pad_reflect(np.ascontiguousarray(planes), height, width)
    return Picture(
        group=group,
        planes=np.ascontiguousarray(padded.transpose(2, 0, 1)),
        truth=sample.truth,
    )


def _save(path: Path, pictures: Iterable[Picture]) -> None:
    arrays: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float16]]] = {}
    for number, picture in enumerate(pictures):
        arrays[f"{number:03d}.{picture.group}.planes"] = picture.planes.astype(np.float16)
        arrays[f"{number:03d}.{picture.group}.truth"] = picture.truth.astype(np.float16)
    with renamed_when_whole(path) as partial, partial.open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]


def _load(path: Path) -> list[Picture]:
    with np.load(path) as kept:
        names = sorted(name.removesuffix(".planes") for name in kept if name.endswith(".planes"))
        return [
            Picture(
                group=name.partition(".")[2],
                planes=kept[f"{name}.planes"].astype(np.float32),
                truth=kept[f"{name}.truth"].astype(np.float32),
            )
            for name in names
        ]


@torch.no_grad()
def validate_light(
    network: LightMatting, pictures: Sequence[Picture], *, refine: bool
) -> dict[str, Errors]:
    """Mean errors of each group; the network is in eval mode afterwards."""
    network.eval()
    device = next(network.parameters()).device
    by_group: dict[str, list[tuple[float, ...]]] = {}
    for picture in pictures:
        x = torch.from_numpy(picture.planes)[None].to(device)
        output = network(x.contiguous(memory_format=torch.channels_last), refine=refine)
        unknown, (height, width) = picture.unknown, picture.truth.shape
        alpha = output.alpha[0, 0, :height, :width].cpu().numpy()[unknown]
        expected = output.log_error[0, 0, :height, :width].cpu().numpy()[unknown]
        wrong = np.abs(alpha - picture.truth[unknown])
        prior = picture.planes[4 : 4 + PRIORS, :height, :width].mean(0)[unknown]
        usual = np.abs(prior - picture.truth[unknown]).sum()
        ratio = float(np.log(max(1e-6, wrong.sum()) / max(1e-6, usual)))
        by_group.setdefault(picture.group, []).append(
            (float(wrong.sum()) / 1000, float((wrong**2).mean()), _ranked(expected, wrong), ratio)
        )
    means = {group: np.mean(rows, axis=0).tolist() for group, rows in by_group.items()}
    return {
        group: Errors(sad=sad, mse=mse, off=off, ratio=math.exp(ratio))
        for group, (sad, mse, off, ratio) in means.items()
    }


def _ranked(one: FloatImage, other: FloatImage) -> float:
    """Spearman's rank correlation; 0 where one of them does not vary."""
    ranks = [np.argsort(np.argsort(values[::7])) for values in (one, other)]
    if len(ranks[0]) < 3 or np.ptp(one) == 0:
        return 0.0
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])
