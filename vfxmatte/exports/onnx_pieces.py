"""The alpha prior and a light network, as pieces of one ONNX graph."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from vfxmatte.engines.light_frame import REFINED_ABOVE
from vfxmatte.exports.light_wrapper import LightStage1, LightStage2
from vfxmatte.exports.onnx_graph import converted, renamed, scripted
from vfxmatte.exports.onnx_neighbours import LinearModels, Neighbours, applied
from vfxmatte.network.light import CHANNELS, PRIORS, STRIDE, LightMatting, coarse_share

if TYPE_CHECKING:
    import onnx


def prior_pieces(encoded: Tensor) -> list[onnx.ModelProto]:
    """Return the pieces from `encoded`, picture and trimap, to `picture`, which has the priors too.

    Args:
        encoded: an example.
    """
    from vfxmatte.exports import onnx_prior as graph

    small, alphas = torch.rand(2, 6, 21, 33).double(), torch.rand(2, PRIORS, 21, 33).double()
    models = torch.rand(2, 4 * PRIORS, *encoded.shape[2:])
    joined = ["near_displayed", "near_light"]
    return [
        scripted(graph.Reduced, ["encoded"], ["small", "labels", "reduction"]),
        converted(Neighbours(), [small], ["small"], joined),
        scripted(graph.Solved, ["small", "labels", *joined], ["alphas"]),
        converted(LinearModels(), [small, alphas], ["small", "alphas"], ["small_models"]),
        scripted(graph.Enlarged, ["encoded", "small_models", "reduction"], ["models"]),
        converted(_Applied(), [encoded, models], ["encoded", "models"], ["picture"]),
    ]


class _Applied(nn.Module):
    def forward(self, encoded: Tensor, models: Tensor) -> Tensor:
        return applied(encoded, models)


class _InDtype(nn.Module):
    """Stage 1 in the dtype of its weights, from and to float32."""

    def __init__(self, network: LightMatting, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype, self.stage1 = dtype, LightStage1(network).to(dtype)

    def forward(self, seen: Tensor) -> Tensor:
        maps: Tensor = self.stage1(seen.to(self.dtype))
        return maps.float()


class _Mixed(nn.Module):
    """Alpha of the priors and stage 1's maps of both sizes, enlarged, and its expected error; stage
    2 corrects the finer one."""

    def __init__(self, network: LightMatting, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype, self.has_stage2 = dtype, network.refinement is not None
        self.stage2 = LightStage2(network).to(dtype)

    def forward(self, picture: Tensor, maps: Tensor, coarse_maps: Tensor) -> tuple[Tensor, Tensor]:
        alpha, log_error = self._mixed(picture, maps)
        if self.has_stage2:
            seen = (x.to(self.dtype) for x in (picture, alpha, maps))
            refined = alpha + self.stage2(*seen).float()
            alpha = torch.where(log_error > math.log(REFINED_ABOVE), refined, alpha)
        coarse, coarse_log_error = self._mixed(picture, coarse_maps)
        near = maps[:, 2 + PRIORS : 3 + PRIORS]
        error, coarse_error = log_error.exp(), coarse_log_error.exp()
        share = coarse_share(error, coarse_error, near)
        both = (alpha + share * (coarse - alpha)).clamp(0.0, 1.0)
        error = error + share * (coarse_error - error)
        trimap = picture[:, 3:4]
        is_open = trimap == 0.5
        return torch.where(is_open, both, trimap), torch.where(is_open, error, 0.0 * error)

    @staticmethod
    def _mixed(picture: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Unclamped alpha, and the logarithm of its expected error."""
        mixture = (maps[:, 1 : 1 + PRIORS].softmax(1) * picture[:, 4:]).sum(1, keepdim=True)
        return maps[:, :1] + mixture, maps[:, 1 + PRIORS : 2 + PRIORS]


def light_pieces(
    network: LightMatting, encoded: Tensor, dtype: torch.dtype
) -> list[onnx.ModelProto]:
    """Return the pieces from `picture` to `alpha`.

    Args:
        encoded: an example of picture and trimap.
    """
    from vfxmatte.exports import onnx_light as graph
    from vfxmatte.exports.onnx_lines import Corrected

    seen = torch.rand(2, CHANNELS, 2 * STRIDE, 3 * STRIDE)
    stage1 = converted(_InDtype(network, dtype), [seen], ["seen"], ["small"])
    count = 3 + PRIORS + (network.config.features if network.refinement is not None else 0)
    picture = torch.rand(2, 4 + PRIORS, *encoded.shape[2:])
    maps, last = torch.rand(2, count, *encoded.shape[2:]), _Mixed(network, dtype)
    factors, enlarged = ["factor", "coarse_factor"], ["maps", "coarse_maps"]
    pieces = [scripted(graph.Reductions, ["picture"], factors)]
    for factor, whole in zip(factors, enlarged, strict=True):
        x, small, *corner = (f"{name}_for_{whole}" for name in ("seen", "small", "top", "left"))
        pieces += [
            scripted(graph.Seen, ["picture", factor], [x, *corner]),
            renamed(stage1, {"seen": x, "small": small}),
            scripted(graph.MapsAtSize, ["picture", small, factor, *corner], [whole]),
        ]
    mixed = ["mixed", "error"]
    return [
        *pieces,
        converted(last, [picture, maps, maps], ["picture", *enlarged], mixed),
        scripted(Corrected, ["picture", *mixed, "factor"], ["alpha"]),
    ]
