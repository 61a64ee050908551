"""Validation of a light network while it trains: whole pictures, solved as the engine solves them,
priors made once and kept."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.elements.pack import Pack
from training.measure.photographs import is_photograph_folder, photographs
from training.measure.samples import Sample, composites
from vfxmatte.engines.light_frame import Frame, solved
from vfxmatte.errors import TrainingError
from vfxmatte.io.temporary import renamed_when_whole
from vfxmatte.network.light import LightMatting
from vfxmatte.prior.alpha_prior import alpha_priors
from vfxmatte.types import UNKNOWN, FloatImage

_TRIMAPS = ("trimap1", "trimap2")
_SOURCES = "sources"  # the key of their digest


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """group: which mean it counts in. truth: (H, W) float32, the frame's alpha."""

    group: str
    frame: Frame
    truth: FloatImage

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all pixels by name, as they are kept."""
        frame = self.frame
        return {"image": frame.image.astype(np.float16), "labels": frame.labels,
                "priors": frame.priors.astype(np.float16),
                "truth": self.truth.astype(np.float16)}  # fmt: skip

    @classmethod
    def of_arrays(cls, group: str, arrays: Mapping[str, NDArray[Any]]) -> Picture:
        """Make a picture of what `arrays` gave."""
        image, priors, truth = (
            np.ascontiguousarray(arrays[name], np.float32) for name in ("image", "priors", "truth")
        )
        return cls(
            group=group,
            frame=Frame(image=image, labels=arrays["labels"], priors=priors),
            truth=truth,
        )


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
        for values in picture.arrays().values():
            total.update(values.tobytes())
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
    frame = Frame(image=sample.image, labels=sample.labels, priors=priors)
    whole = Picture(group=group, frame=frame, truth=sample.truth)
    return Picture.of_arrays(group, whole.arrays())  # rounded, as it is kept


def _keep(path: Path, pictures: Iterable[Picture], sources: str) -> None:
    arrays: dict[str, NDArray[np.generic]] = {_SOURCES: np.array(sources)}
    for number, picture in enumerate(pictures):
        for name, values in picture.arrays().items():
            arrays[f"{number:03d}.{picture.group}.{name}"] = values
    with renamed_when_whole(path) as partial, partial.open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]


def _kept(path: Path, sources: str) -> list[Picture] | None:
    """Load the pictures that are kept; None if there are none, or damaged ones, or others."""
    pictures: dict[str, dict[str, NDArray[Any]]] = {}
    try:
        with np.load(path) as arrays:
            if _SOURCES not in arrays or str(arrays[_SOURCES]) != sources:
                return None
            for key in sorted(set(arrays) - {_SOURCES}):
                stem, _, name = key.rpartition(".")
                pictures.setdefault(stem, {})[name] = arrays[key]
        return [Picture.of_arrays(stem.partition(".")[2], p) for stem, p in pictures.items()]
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def validate_light(
    network: LightMatting, pictures: Sequence[Picture], *, refine: bool
) -> dict[str, Errors]:
    """Mean errors of each group, of what the network says, not corrected along colour lines; the
    network is in eval mode afterwards."""
    network.eval()
    by_group: dict[str, list[tuple[float, ...]]] = {}
    for picture in pictures:
        result = solved(network, picture.frame, refine=refine, corrected=False)
        unknown = picture.frame.labels == UNKNOWN
        alpha, truth = result.alpha[unknown], picture.truth[unknown]
        wrong, usual = np.abs(alpha - truth), np.abs(result.prior[unknown] - truth).sum()
        ratio = float(np.log(max(1e-6, wrong.sum()) / max(1e-6, usual)))
        by_group.setdefault(picture.group, []).append(
            (
                float(wrong.sum()) / 1000,
                float((wrong**2).mean()),
                _ranked(result.error[unknown], wrong),
                ratio,
            )
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
