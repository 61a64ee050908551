"""Automatic trimaps of portraits, from the matting layer's alpha.

The labelling network works at about the size of its training, the matting layer at up to
`LAYER_SIDE_PX`: the Laplacian of a larger picture would take too much memory. The layer's alpha is
rough, and good enough for a trimap.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vfxmatte.errors import TrimapError, UsageError
from vfxmatte.keyframes.portrait_network import FOREGROUND, UNKNOWN, PortraitMatting
from vfxmatte.keyframes.portrait_weights import PortraitInfo, load_portrait_weights
from vfxmatte.keyframes.systems import SolverSettings
from vfxmatte.network.dim import STRIDE
from vfxmatte.network.sidecar import DEFAULT_WEIGHTS
from vfxmatte.trimaps import distance_to, from_matte
from vfxmatte.types import FOREGROUND as FOREGROUND_LABEL
from vfxmatte.types import UNKNOWN as UNKNOWN_LABEL
from vfxmatte.types import FloatImage, Labels, Mask

PORTRAIT_WEIGHTS = DEFAULT_WEIGHTS.with_name("portrait.safetensors")

LAYER_SIDE_PX = 640
"""Longest side at which the matting layer solves; larger pictures are reduced."""

LEAST_SHARE = 0.004
"""Smallest share of the picture that counts as foreground."""

LEAST_AGREEMENT = 0.5
"""Smallest agreement with the shape of a portrait at which foreground counts as one."""

SURE_AGREEMENT = 0.8
"""Agreement below which a portrait is doubtful; 19 of 20 rendered ones have this, or more."""

MOST_UNKNOWN = 3.0
"""Largest ratio of unknown to certain foreground in a usable trimap."""

LEAST_CONTRAST = 0.01
"""Smallest standard deviation of a picture's luma in which a portrait can be seen."""

MOST_SHARE = 0.9
"""Largest share of the picture that a portrait takes: close-ups up to 0.88, noise from 0.94 on."""

BAND_SHARE = 0.012
"""Reach of the unknown band to either side, as a share of the picture's shorter side."""

_SOLVER = SolverSettings(tolerance=1e-6, iterations=4000)
_SURE = 0.05  # largest distance of the layer's alpha from 0 or 1 at which it is certain
_DOUBT = 0.5  # probability of unknown above which a pixel is doubtful
_ANOTHER = 0.15  # a second foreground of this share of the largest is another portrait
_NEAR = 0.03  # pieces within this share of the picture's side, such as strands, are a portrait's
_LONGEST = 3  # largest ratio of the sides of the labelling network's input
_LUMA = (0.2126, 0.7152, 0.0722)


@dataclass(frozen=True, kw_only=True, eq=False)
class PortraitGuess:
    """The portrait in one picture."""

    alpha: FloatImage
    """(H, W) float32 in [0, 1], rough."""
    doubtful: Mask
    """(H, W) bool: what the network labels unknown, such as loose hair that the layer misses."""
    agreement: float
    """How well it fits a portrait's shape, 0 to 1."""
    share: float
    """Share of the picture that is foreground, 0 to 1."""
    contrast: float
    """Standard deviation of the picture's luma, where black to white is 1; without its grain."""
    portraits: int
    """Number of portraits in the picture."""
    solved: tuple[int, int]
    """(height, width) at which the matting layer solved."""

    @property
    def is_coarse(self) -> bool:
        """True if the matting layer solved a reduced picture."""
        return self.solved != self.alpha.shape

    def __repr__(self) -> str:
        return f"PortraitGuess({self.alpha.shape}, agreement {self.agreement:.2f})"


class PortraitMatter:
    """The labelling network and the matting layer, on a device."""

    def __init__(self, network: PortraitMatting, device: torch.device | None = None) -> None:
        """Move a folded network in eval mode to the device; None is the CPU."""
        self.device = device or torch.device("cpu")
        self.network = network.to(self.device).requires_grad_(False)
        self.network.layer.settings = _SOLVER

    @classmethod
    def open(
        cls, weights: Path | None = None, device: torch.device | None = None
    ) -> tuple[PortraitMatter, PortraitInfo]:
        """Load weights from a file, or the default ones. Raises WeightsError."""
        network, info = load_portrait_weights(weights or PORTRAIT_WEIGHTS)
        return cls(network, device), info

    @torch.no_grad()
    def guess(self, image: FloatImage, *, every: bool = False) -> PortraitGuess:
        """Solve the rough matte of the portrait in a picture.

        Args:
            image: (H, W, 3) network-encoded.
            every: whether to solve all portraits, not only the largest.

        Raises:
            TrimapError: there is no portrait.
            SolveError: the alpha cannot be solved.
        """
        height, width = image.shape[:2]
        if min(height, width) < STRIDE:
            raise TrimapError(f"a picture of {width}x{height} is too small for a portrait")
        picture = torch.from_numpy(np.ascontiguousarray(image))[None].permute(0, 3, 1, 2)
        picture = picture.nan_to_num(0, 1, 0).clamp(0, 1).to(self.device)
        side_px = self.network.config.side_px
        small = _resized(picture, _network_size(height, width, side_px))
        labels, overlap = self.network.probabilities(small)
        agreement = float(overlap)
        _refuse_nothing(labels, agreement)
        size = _within(height, width, LAYER_SIDE_PX)
        alpha = self._alpha(_resized(picture, size), _resized(labels, size))
        mine, count = _chosen(alpha, every=every)
        doubt = _resized(labels[:, UNKNOWN, None], size)[0, 0].cpu().numpy()
        full = _enlarged(np.where(mine, alpha, np.float32(0)), height, width)
        return PortraitGuess(
            alpha=full.clip(0, 1).astype(np.float32, copy=False),
            doubtful=_enlarged(np.where(mine, doubt, np.float32(0)), height, width) > _DOUBT,
            agreement=agreement, share=float(full.mean()), contrast=_contrast(small),
            portraits=count, solved=size,
        )  # fmt: skip

    def _alpha(self, picture: Tensor, probabilities: Tensor) -> FloatImage:
        """Solve alpha (h, w), in double precision: the default λ leaves much to the picture."""
        solved = self.network.alpha(picture.double(), probabilities.double())
        alpha: FloatImage = solved[0, 0].clamp(0, 1).float().cpu().numpy()
        return alpha


def keyframe_labels(guess: PortraitGuess, band_px: float | None = None) -> Labels:
    """Make a trimap (H, W) uint8 of a rough alpha.

    A pixel is certain if alpha is nearly 0 or 1 within the band around it, and the network does not
    doubt it.

    Args:
        guess: the portrait.
        band_px: reach of the unknown to either side of what is soft; None takes `BAND_SHARE`.
    """
    if band_px is None:
        band_px = default_band_px(*guess.alpha.shape)
    if band_px < 0:
        raise UsageError(f"the band must not be negative, found {band_px:g}")
    surer = ((guess.alpha - _SURE) / (1 - 2 * _SURE)).clip(0, 1)
    labels = from_matte(surer, erode_px=band_px, dilate_px=band_px)
    labels[guess.doubtful] = UNKNOWN_LABEL
    return labels


def doubts_about(guess: PortraitGuess, labels: Labels) -> list[str]:
    """Return why a guess may be no portrait, or its trimap of no use; [] without doubts."""
    doubts = []
    if guess.agreement < SURE_AGREEMENT:
        doubts.append(
            f"it agrees with a portrait's shape by {guess.agreement:.2f} only, where "
            f"{SURE_AGREEMENT:.2f} would be sure"
        )
    if guess.contrast < LEAST_CONTRAST:
        doubts.append(
            f"the picture has hardly any contrast: its luma deviates by {guess.contrast:.4f}, "
            "where black to white is 1"
        )
    if guess.share > MOST_SHARE:
        doubts.append(f"{100 * guess.share:.0f}% of the picture would be foreground")
    foreground = np.count_nonzero(labels == FOREGROUND_LABEL)
    unknown = np.count_nonzero(labels == UNKNOWN_LABEL)
    if not foreground:
        doubts.append("nothing is certain foreground")
    elif unknown > MOST_UNKNOWN * foreground:
        doubts.append(f"{unknown / foreground:.1f} times as much is unknown as certain foreground")
    return doubts


def default_band_px(height: int, width: int) -> float:
    return max(2.0, float(round(BAND_SHARE * min(height, width))))


def _contrast(picture: Tensor) -> float:
    """Return the standard deviation of the luma of a picture (1, 3, h, w)."""
    luma = torch.einsum("bchw,c->hw", picture, picture.new_tensor(_LUMA))
    return float(luma.std(correction=0))


def _refuse_nothing(labels: Tensor, agreement: float) -> None:
    share = float((labels.argmax(1) == FOREGROUND).float().mean())
    if share < LEAST_SHARE:
        reason = f"{100 * share:.2f}% of the picture look like one"
    elif agreement < LEAST_AGREEMENT:
        reason = f"what looks like one agrees with a portrait's shape by {agreement:.2f} only"
    else:
        return
    raise TrimapError(
        f"no portrait was found: {reason}",
        hint="paint this keyframe, or make it by `vfxmatte trimap from-matte` or `grabcut`",
    )


def _chosen(alpha: FloatImage, *, every: bool) -> tuple[Mask, int]:
    """Find the largest portrait, or all, with nearby pieces, and count the portraits."""
    count, marks, stats, _ = cv2.connectedComponentsWithStats((alpha > 0.5).view(np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]
    if count < 2:
        raise TrimapError(
            "no portrait was found: nothing in the picture is mostly foreground",
            hint="paint this keyframe, or make it by `vfxmatte trimap from-matte` or `grabcut`",
        )
    portraits = 1 + np.flatnonzero(areas >= _ANOTHER * areas.max())
    kept = portraits if every else [1 + int(areas.argmax())]
    mine = np.isin(marks, kept)
    near = distance_to(mine) <= _NEAR * max(alpha.shape)
    near &= ~np.isin(marks, np.setdiff1d(portraits, kept))
    return near, len(portraits)


def _enlarged(values: FloatImage, height: int, width: int) -> FloatImage:
    resized = cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.float32)


def _network_size(height: int, width: int, side_px: int) -> tuple[int, int]:
    """Return sides in multiples of 32, the shorter one about `side_px`."""
    scale = side_px / min(height, width)
    most = _LONGEST * side_px
    sides = (max(1, round(min(side * scale, most) / STRIDE)) * STRIDE for side in (height, width))
    return next(sides), next(sides)


def _within(height: int, width: int, most: int) -> tuple[int, int]:
    scale = min(1.0, most / max(height, width))
    return max(3, round(height * scale)), max(3, round(width * scale))


def _resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    if x.shape[2:] == size:
        return x
    smaller = size[0] < x.shape[2]
    return F.interpolate(x, size, mode="bilinear", antialias=smaller, align_corners=False)
