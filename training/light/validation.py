"""Validation of a light network while it trains: whole pictures, priors made once and kept."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from training.elements.pack import Pack
from training.measure.photographs import is_photograph_folder, photographs
from training.measure.samples import Sample, composites
from training.samples.store_crops import network_planes
from vfxmatte.errors import TrainingError
from vfxmatte.io.temporary import renamed_when_whole
from vfxmatte.network.light import PRIORS, STRIDE, LightMatting
from vfxmatte.network.tiling import pad_reflect, padded_size
from vfxmatte.prior.alpha_prior import alpha_priors
from vfxmatte.types import FloatImage

_TRIMAPS = ("trimap1", "trimap2")
_SOURCES = "sources"  # the key of their digest


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
    """Return held-out composites as `held_out`, and photographs as `trimap1` and `trimap2`.

    Args:
        folder: photographs with trimaps and alphas, or None.
        chosen: names of those in it that count.
        kept: where the inputs are kept between runs (.npz), for as long as they are the same.

    Raises:
        TrainingError: no such folder or photographs, or nothing is held out.
    """
    if folder is not None:
        _check_chosen(folder, chosen)
    sources = _digest(pack, folder, chosen)
    pictures = _kept(kept, sources)
    if pictures is None:
        pictures = [_picture("held_out", sample) for sample in composites(pack.validation())]
        if folder is not None:
            for trimaps in _TRIMAPS:
                pictures += [
                    _picture(trimaps, s) for s in photographs(folder, trimaps) if s.name in chosen
                ]
        _keep(kept, pictures, sources)
    return pictures


def pictures_digest(pictures: Iterable[Picture]) -> str:
    """Return what two sets have in common whose errors can be compared."""
    total = sha256()
    for picture in pictures:
        total.update(picture.group.encode())
        total.update(picture.planes.tobytes())
        total.update(picture.truth.tobytes())
    return total.hexdigest()


def _check_chosen(folder: Path, chosen: Sequence[str]) -> None:
    if not is_photograph_folder(folder):
        raise TrainingError(
            "no photographs to validate on", path=folder,
            hint="it needs the folders input/, alpha/, trimap1/ and trimap2/",
        )  # fmt: skip
    names = sorted({path.stem for path in (folder / "input").iterdir()})
    for name in chosen:
        if name not in names:
            raise TrainingError(
                f"there is no photograph {name!r}; there are {', '.join(names)}",
                path=folder / "input",
            )


def _digest(pack: Pack, folder: Path | None, chosen: Sequence[str]) -> str:
    """Return a digest of all that the pictures are made from."""
    total = sha256(pack.validation().digest().encode())
    if folder is not None:
        parts = [folder / part for part in ("input", "alpha", *_TRIMAPS)]
        for path in (p for n in chosen for part in parts for p in sorted(part.glob(f"{n}.*"))):
            total.update(f"{path.parent.name}/{path.name}".encode())
            total.update(path.read_bytes())
    return total.hexdigest()


def _picture(group: str, sample: Sample) -> Picture:
    priors = alpha_priors(sample.image, sample.labels)
    planes = network_planes(sample.image, sample.labels, priors).transpose(1, 2, 0)
    height, width = padded_size(sample.labels.shape[0], sample.labels.shape[1], STRIDE)
    padded = pad_reflect(np.ascontiguousarray(planes), height, width)
    return Picture(
        group=group,
        planes=_rounded(padded.transpose(2, 0, 1)),
        truth=_rounded(sample.truth),
    )


def _rounded(values: FloatImage) -> FloatImage:
    """Round to half precision, in which pictures are kept."""
    return np.ascontiguousarray(values.astype(np.float16), dtype=np.float32)


def _keep(path: Path, pictures: Iterable[Picture], sources: str) -> None:
    arrays: dict[str, NDArray[np.generic]] = {_SOURCES: np.array(sources)}
    for number, picture in enumerate(pictures):
        arrays[f"{number:03d}.{picture.group}.planes"] = picture.planes.astype(np.float16)
        arrays[f"{number:03d}.{picture.group}.truth"] = picture.truth.astype(np.float16)
    with renamed_when_whole(path) as partial, partial.open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]


def _kept(path: Path, sources: str) -> list[Picture] | None:
    """Load the pictures that are kept; None if there are none, or damaged ones, or others."""
    try:
        with np.load(path) as arrays:
            if _SOURCES not in arrays or str(arrays[_SOURCES]) != sources:
                return None
            stems = sorted(n.removesuffix(".planes") for n in arrays if n.endswith(".planes"))
            return [
                Picture(
                    group=stem.partition(".")[2],
                    planes=arrays[f"{stem}.planes"].astype(np.float32),
                    truth=arrays[f"{stem}.truth"].astype(np.float32),
                )
                for stem in stems
            ]
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None


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
