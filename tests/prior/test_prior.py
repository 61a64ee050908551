"""The alpha prior: what colours alone say, and what a network makes of it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from tests.engine_tasks import MODES, settings_of, solve
from vfxmatte.colour import decode_srgb, encode_for_network
from vfxmatte.common.conjugate_gradients import conjugate_gradients
from vfxmatte.engines.deep import DeepEngine
from vfxmatte.engines.light import LightEngine
from vfxmatte.engines.protocol import Task
from vfxmatte.errors import ExportError
from vfxmatte.network.dim import PRIORS, DeepImageMatting, DimConfig
from vfxmatte.network.light import LightConfig, LightMatting
from vfxmatte.network.weights import save_weights
from vfxmatte.prior import alpha_prior
from vfxmatte.prior import means as prior_means
from vfxmatte.prior.affinities import adjacent, distant
from vfxmatte.prior.alpha_prior import alpha_priors, priors_on
from vfxmatte.prior.colour_blocks import ColourBlocks
from vfxmatte.prior.constants import BLOCK_PX, IN_LIGHT, MOST_PX, usual_reduction
from vfxmatte.prior.laplacian import MattingLaplacian
from vfxmatte.prior.magnified import Magnified
from vfxmatte.prior.means import means
from vfxmatte.prior.neighbours import neighbour_planes
from vfxmatte.prior.region import Region
from vfxmatte.prior.torchscript_prior import SETTINGS, priors_of_picture
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FloatImage, Labels, Trimap

RED, BLUE = np.array((0.8, 0.2, 0.1), np.float32), np.array((0.1, 0.2, 0.7), np.float32)


def ramp(height: int = 180, width: int = 240) -> tuple[FloatImage, Labels, FloatImage]:
    """Red over blue with a soft edge and a hole on the red side: picture, trimap, truth."""
    x = np.arange(width, dtype=np.float32)
    truth = np.tile(np.clip((x - width / 2) / 24 + 0.5, 0, 1), (height, 1))
    truth[80:92, 160:172] = 0.0
    grain = np.random.default_rng(1).normal(0, 0.01, (height, width, 3)).astype(np.float32)
    image = truth[..., None] * RED + (1 - truth[..., None]) * BLUE + grain
    labels = np.full((height, width), UNKNOWN, np.uint8)
    labels[:, : width // 2 - 40] = BACKGROUND
    labels[:, width // 2 + 80 :] = FOREGROUND
    return image.astype(np.float32), labels, truth


def test_a_soft_edge_and_a_hole_are_found() -> None:
    image, labels, truth = ramp()
    priors = alpha_priors(image, labels)
    assert priors.shape == (*labels.shape, PRIORS) and priors.dtype == np.float32
    unknown = labels == UNKNOWN
    for number in range(PRIORS):
        assert np.abs(priors[..., number] - truth)[unknown].mean() < 0.02
    assert priors[84:88, 164:168].max() < 0.2, "a hole that no background touches"


def test_each_light_has_its_priors() -> None:
    """Colours that mix in light, and those that mix as displayed, are each best in their own."""
    image, labels, truth = ramp()
    over, under = decode_srgb(RED), decode_srgb(BLUE)
    mixed = encode_for_network(truth[..., None] * over + (1 - truth[..., None]) * under)
    for picture, light in ((image, False), (mixed.astype(np.float32), True)):
        priors = alpha_priors(picture, labels)
        errors = [np.abs(priors[..., n] - truth)[labels == UNKNOWN].mean() for n in range(PRIORS)]
        best = min(range(PRIORS), key=lambda n: errors[n])
        assert IN_LIGHT[best] is light


def test_known_pixels_are_exact() -> None:
    image, labels, _ = ramp()
    priors = alpha_priors(image, labels)
    assert (priors[labels == BACKGROUND] == 0).all() and (priors[labels == FOREGROUND] == 1).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 5), (33, 7), (50, 61)])
@pytest.mark.parametrize("known", ["both", "foreground", "nothing"])
def test_any_size_and_any_labels(size: tuple[int, int], known: str) -> None:
    image = np.random.default_rng(2).random((*size, 3), np.float32)
    labels = np.full(size, UNKNOWN, np.uint8)
    if known != "nothing":
        labels[:, : size[1] // 3] = FOREGROUND
    if known == "both":
        labels[:, -(size[1] // 3) or size[1] :] = BACKGROUND
    priors = alpha_priors(image, labels)
    assert np.isfinite(priors).all() and priors.min() >= 0 and priors.max() <= 1
    if (labels == UNKNOWN).all():
        assert (priors == 0.5).all()
    elif known == "foreground" and min(size) > 30:
        assert priors.min() > 0.9


def test_flat_colours_and_bright_ones_do_no_harm() -> None:
    labels = ramp()[1]
    for value in (0.0, 1.0, 40.0):
        priors = alpha_priors(np.full((*labels.shape, 3), value, np.float32), labels)
        assert np.isfinite(priors).all()


def test_the_same_bits_with_any_number_of_threads() -> None:
    image, labels, _ = ramp(400, 600)
    threads = torch.get_num_threads()
    try:
        found = []
        for count in (1, 2, 4):
            torch.set_num_threads(count)
            found.append(alpha_priors(image, labels).tobytes())
    finally:
        torch.set_num_threads(threads)
    assert len(set(found)) == 1


def test_a_prior_costs_the_same_for_any_frame_size() -> None:
    sizes = [(540, 960), (1080, 1920), (2160, 3840), (4320, 7680)]
    reduced = [h * w / usual_reduction(h, w) ** 2 for h, w in sizes]
    assert [usual_reduction(*size) for size in sizes] == [2, 4, 8, 16]
    assert all(MOST_PX / 4 < px <= MOST_PX for px in reduced)
    assert usual_reduction(10, 10) == 2


def test_exported_models_have_the_same_priors() -> None:
    image, labels, _ = ramp()
    trimap = np.where(labels == UNKNOWN, np.float32(0.5), labels / np.float32(255))
    picture = torch.from_numpy(image).permute(2, 0, 1)
    priors = priors_of_picture(
        picture, torch.from_numpy(trimap), usual_reduction(*labels.shape), **SETTINGS
    )
    assert np.abs(priors.permute(1, 2, 0).numpy() - alpha_priors(image, labels)).max() < 1e-3


def test_priors_on_a_device_are_the_same_and_need_no_scipy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image, labels, _ = ramp(200, 331)
    expected = alpha_priors(image, labels)
    for name in [*(name for name in sys.modules if name.startswith("scipy")), "scipy"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError):
        alpha_priors(image, labels)
    priors = priors_on(torch.device("cpu"), image, labels, usual_reduction(*labels.shape))
    assert priors.dtype == np.float32 and priors.flags.c_contiguous
    known = labels != UNKNOWN
    assert (priors[known] == expected[known]).all()
    assert np.abs(priors - expected).max() < 1e-3


def test_an_engine_makes_priors_on_its_gpu(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = DeepEngine.open(settings_of(weights))
    gpu, devices = torch.device("cuda"), []

    def note(device: torch.device, image: FloatImage, labels: Labels, factor: int) -> FloatImage:
        devices.append((device, factor))
        return np.zeros((*labels.shape, PRIORS), np.float32)

    monkeypatch.setattr(alpha_prior, "priors_on", note)
    task = one_task(600, 800)
    replace(engine.model, device=gpu).priors(task)
    LightEngine(LightMatting(LightConfig()), "", weights, gpu, torch.float16)._priors(task)
    assert devices == [(gpu, usual_reduction(600, 800))] * 2


def some_region(height: int = 19, width: int = 13) -> tuple[FloatImage, Region]:
    """Two random pictures (2, h, w, 3), and a random region of half their pixels."""
    random = np.random.default_rng(3)
    unknown = random.random((height, width)) < 0.5
    known = np.where(unknown, 0, random.random((height, width)) < 0.5).astype(np.float32)
    pictures = random.random((2, height, width, 3), np.float32)
    return pictures, Region(unknown=unknown, known=known)


def laplacian_of(colours: FloatImage, region: Region) -> tuple[FloatImage, FloatImage]:
    """Affinities by the matting Laplacian, dense: among unknown pixels, and to all pixels."""
    whole = torch.from_numpy(colours).double().permute(2, 0, 1)[None]
    matrix = -MattingLaplacian.of(whole).sparse(0).toarray()
    np.fill_diagonal(matrix, 0.0)
    rows = matrix[region.pixels]
    return rows[:, region.pixels], rows


def test_pixels_are_ordered_square_by_square() -> None:
    _, region = some_region()
    y, x = np.divmod(region.pixels, region.unknown.shape[1])
    assert np.array_equal(np.sort(region.pixels), np.flatnonzero(region.unknown))
    assert (region.numbers.ravel()[region.pixels] == np.arange(len(region.pixels))).all()
    squares = np.stack((y // BLOCK_PX, x // BLOCK_PX), 1)
    changes = np.flatnonzero((np.diff(squares, axis=0) != 0).any(1)) + 1
    assert region.firsts.tolist() == [0, *changes]
    assert len(np.unique(squares, axis=0)) == len(region.firsts)


def test_neighbours_are_those_of_the_matting_laplacian() -> None:
    """At the border too, where windows would leave the picture."""
    pictures, region = some_region()
    for colours, near in zip(pictures, adjacent(list(pictures), region), strict=True):
        among, rows = laplacian_of(colours, region)
        assert np.allclose(near.matrix.toarray(), among, atol=1e-5)
        assert np.allclose(near.degree, rows.sum(1), atol=1e-5)
        assert np.allclose(near.arriving, rows @ region.known.ravel(), atol=1e-5)


def test_every_other_pixel_is_joined_to_distant_ones() -> None:
    image, labels, _ = ramp(60, 90)
    unknown = labels == UNKNOWN
    region = Region(unknown=unknown, known=(labels == FOREGROUND).astype(np.float32))
    far = distant(image, region)
    y, x = np.divmod(region.pixels, unknown.shape[1])
    joins = (y + x) % 2 == 0
    assert (far.degree[joins] >= 10).all() and (far.degree[~joins] == 0).all()
    assert abs(far.matrix - far.matrix.T).max() == 0 and far.matrix.diagonal().max() == 0
    total = far.degree - np.asarray(far.matrix.sum(1)).ravel()
    assert (total >= far.arriving).all(), "known pixels are 1 at most"


def test_alphas_are_the_means_of_what_they_are_joined_to() -> None:
    """Those of the direct solution, within the error that the solver is allowed."""
    image, labels, _ = ramp(40)
    labels[:, 160:] = FOREGROUND
    region = Region(unknown=labels == UNKNOWN, known=(labels == FOREGROUND).astype(np.float32))
    near, far = adjacent([image], region), distant(image, region)
    blocks = [ColourBlocks.of(image, region, near[0], far)]
    weights = [(1e-4, 0), (4e-3, 0)]
    alphas = means(near, far, blocks, weights)
    for number, (weight, _) in enumerate(weights):
        joined = (near[0].matrix + weight * far.matrix).toarray().astype(np.float64)
        degree, right = (
            one + weight * other
            for one, other in ((near[0].degree, far.degree), (near[0].arriving, far.arriving))
        )
        exact = np.linalg.solve(np.diag(degree) - joined, right)
        assert np.abs(alphas[:, number] - exact).mean() < 4e-3


@pytest.mark.parametrize("flat", [False, True])
def test_corrections_by_colour_spare_most_steps(
    flat: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in a picture of one colour, whose functions of the colours are all the same."""
    image, labels, _ = ramp(200, 300)
    if flat:
        image = np.full_like(image, 0.25)
    steps: list[int] = []

    def counted(*args: Any, **options: Any) -> Any:
        x, count = conjugate_gradients(*args, **options)
        steps.append(count)
        return x, count

    monkeypatch.setattr(prior_means, "conjugate_gradients", counted)
    alpha_priors(image, labels)
    assert len(steps) == PRIORS and max(steps) < 40


def test_the_same_bits_with_any_number_of_blas_threads() -> None:
    """The corrections are solved directly, by SciPy."""
    threadpoolctl = pytest.importorskip("threadpoolctl", reason="needs vfxmatte[engines]")
    image, labels, _ = ramp(300, 400)
    labels[8:-8, 8:-8] = UNKNOWN
    found = []
    for count in (1, 2, 4):
        with threadpoolctl.threadpool_limits(limits=count, user_api="blas"):
            found.append(alpha_priors(image, labels).tobytes())
    assert len(set(found)) == 1


def test_a_larger_unknown_region_elsewhere_changes_no_pixel_that_is_joined() -> None:
    """Mattes would flicker otherwise."""
    image, labels, _ = ramp(120, 400)
    labels[:40], labels[-40:] = FOREGROUND, BACKGROUND
    priors = alpha_priors(image, labels)
    for left in range(64, 72, 2):
        wider = labels.copy()
        wider[40:44, left : left + 60] = UNKNOWN
        right = np.abs(alpha_priors(image, wider) - priors)[:, 200:]
        assert right[labels[:, 200:] == UNKNOWN].mean() < 5e-4


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A very small random network that takes priors."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        made = DeepImageMatting(DimConfig(width=0.0625, fc6_channels=64, prior=True))
        made.decoder.alpha.weight.data.mul_(0.02)
        torch.nn.init.normal_(made.refinement.residual.weight, std=0.005)  # type: ignore[union-attr]
    path = tmp_path_factory.mktemp("weights") / "prior.safetensors"
    save_weights(path, made, name="tiny, with priors")
    return path


def one_task(height: int = 180, width: int = 240) -> Task:
    image, labels, _ = ramp(height, width)
    return Task(image=image, trimap=Trimap(number=1, labels=labels, is_keyframe=True))


def test_all_modes_see_the_same_priors(weights: Path) -> None:
    task = one_task(330, 500)
    alphas = [
        solve(DeepEngine.open(settings_of(weights, mode=mode, max_window_px=256 * 256)), task)[0]
        for mode in MODES
        if mode != "fast"
    ]
    for alpha in alphas[1:]:
        assert np.abs(alpha - alphas[0]).max() <= 1e-4
    assert np.std(alphas[0][task.trimap.labels == UNKNOWN]) > 0.1


def test_without_the_prior_the_trimap_stands_in(weights: Path) -> None:
    task = one_task()
    shown = DeepEngine.open(settings_of(weights))
    blind = DeepEngine.open(settings_of(weights, prior=False))
    dense = DeepEngine.open(settings_of(weights, prior=False, mode="dense"))
    assert "prior" not in shown.describe() and blind.describe()["prior"] == "off"
    (with_prior,), (without,), (whole,) = (solve(e, task) for e in (shown, blind, dense))
    assert np.abs(with_prior - without).max() > 0.1
    assert np.abs(whole - without).max() <= 1e-4


def test_a_network_without_priors_is_as_before(tiny_weights: Path) -> None:
    task = one_task(70, 90)
    (alpha,) = solve(DeepEngine.open(settings_of(tiny_weights)), task)
    (same,) = solve(DeepEngine.open(settings_of(tiny_weights, prior=False)), task)
    assert (alpha == same).all()


def test_torchscript_makes_the_priors_itself(weights: Path, tmp_path: Path) -> None:
    from vfxmatte.exports.torchscript import export_torchscript

    assert export_torchscript(tmp_path / "model.pt", weights=weights) < 5e-3


@pytest.mark.parametrize("given", [True, False])
def test_onnx_is_given_the_priors_or_makes_them(
    given: bool, weights: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    from vfxmatte.exports.onnx_model import OnnxSession, export_onnx

    path = tmp_path / "model.onnx"
    # Its own priors come from another solver, see `ONNX_TOLERANCE`.
    assert export_onnx(path, weights=weights, priors=given) < (5e-3 if given else 5e-2)
    channels = 4 + PRIORS if given else 4
    assert OnnxSession(path).record["input"].startswith(f"(N, {channels}, H, W)")
    if given:
        with pytest.raises(ExportError, match="take no alpha priors"):
            export_onnx(tmp_path / "none.onnx", weights=tiny_weights, priors=True)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_reading_at_some_pixels_is_enlarging_there(factor):
    small = np.random.default_rng(1).random((9, 13, 4), np.float32)
    whole = cv2.resize(small, (13 * factor, 9 * factor), interpolation=cv2.INTER_LINEAR)
    wanted = np.random.default_rng(2).random(whole.shape[:2]) < 0.4
    read = Magnified.of(np.nonzero(wanted), factor).read(small)
    assert read.shape == (np.count_nonzero(wanted), 4)
    assert np.abs(read - whole[wanted]).max() < 0.02  # to 1/32 of a pixel


def test_steep_edges_of_one_hue_in_bright_light_have_finite_affinities() -> None:
    """Colours on a line leave two directions without variance, which rounding may turn negative."""
    random = np.random.default_rng(3)
    hues = random.uniform(0, 1.44, (40, 3, 1, 1))
    steps = random.random((40, 1, 90, 90)) > 0.5
    pictures = np.asarray(hues * steps + 1e-4 * random.random((40, 3, 90, 90)), np.float32)
    planes = neighbour_planes(pictures, 1e-7, np.ones((90, 90), bool))
    assert np.isfinite(planes).all()
