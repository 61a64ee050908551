"""The light network, its weights file, and how frames are run through it."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch

from vfxmatte.engines import light_frame
from vfxmatte.engines.light_frame import Frame, solved, stage1_reduction
from vfxmatte.engines.protocol import EngineSettings, Task
from vfxmatte.engines.registry import open_engine
from vfxmatte.errors import WeightsError
from vfxmatte.network.light import (
    CHANNELS,
    LEAST_ERROR,
    PRIORS,
    LightConfig,
    LightMatting,
    reset_last_layers,
)
from vfxmatte.network.light_weights import load_light_weights
from vfxmatte.network.nearness import nearness
from vfxmatte.network.sidecar import sidecar_path
from vfxmatte.network.weights import load_weights
from vfxmatte.network.weights_file import save_folded
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, Trimap


def network(**changes):
    """A network whose every layer matters."""
    torch.manual_seed(3)
    made = LightMatting(LightConfig(**changes))
    reset_last_layers(made, std=0.05)
    return made.fold()


def frame(height, width, seed=1):
    random = np.random.default_rng(seed)
    labels = np.full((height, width), UNKNOWN, np.uint8)
    labels[:, : width // 3], labels[:, 2 * width // 3 :] = BACKGROUND, FOREGROUND
    labels[: height // 4] = BACKGROUND
    image = random.random((height, width, 3), np.float32)
    return Frame(image=image, labels=labels, priors=random.random((height, width, 3), np.float32))


def dense(net, one, factor=1):
    """Both stages over the whole picture, whose sides are multiples of 64, and stage 1 at half of
    the size that it sees first."""
    picture = torch.from_numpy(one.picture(slice(None), slice(None)))[None]
    alphas, errors, nears = [], [], []
    for reduction, refine in ((factor, True), (2 * factor, False)):
        small = light_frame.reduced(one, reduction)
        near = nearness(small.labels)
        planes = small.picture(slice(None), slice(None)), near.transpose(2, 0, 1)
        x = torch.from_numpy(np.concatenate(planes))[None].to(next(net.parameters()).dtype)
        with torch.inference_mode():
            output = net(x, picture=picture.to(x.dtype))
        needed = (output.log_error > np.log(light_frame.REFINED_ABOVE)) & refine
        alphas.append(torch.where(needed, output.stage2, output.stage1)[0, 0].numpy())
        errors.append(output.log_error.exp()[0, 0].numpy() + LEAST_ERROR)
        finest = np.maximum(near[..., 0], near[..., 3])
        nears.append(cv2.resize(finest, one.labels.shape[::-1], interpolation=cv2.INTER_LINEAR))
    weights = errors[0] ** -2.0, ((1 - np.sqrt(nears[0])) / errors[1]) ** 2
    alpha = (weights[0] * alphas[0] + weights[1] * alphas[1]) / (weights[0] + weights[1])
    return np.where(one.labels == UNKNOWN, alpha.clip(0, 1), one.labels / 255)


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_an_untrained_network_gives_the_mean_of_the_priors():
    x = torch.rand(1, CHANNELS, 64, 64)
    output = LightMatting(LightConfig()).eval()(x)
    mean = x[:, 4 : 4 + PRIORS].mean(1, keepdim=True)
    assert torch.allclose(output.stage1, mean, atol=1e-6)
    assert torch.equal(output.stage1, output.stage2)


def test_folding_changes_nothing():
    torch.manual_seed(1)
    net = LightMatting(LightConfig())
    reset_last_layers(net, std=0.05)
    x = torch.rand(2, CHANNELS, 64, 64)
    net.train()(x)
    with torch.no_grad():
        before = net.eval()(x).alpha
        after = net.fold()(x).alpha
    assert before.std() > 0.01
    assert torch.allclose(before, after, atol=1e-4)


def test_guided_enlarging_begins_as_bilinear():
    torch.manual_seed(1)
    plain, guided = LightMatting(LightConfig()), LightMatting(LightConfig(upsampling="guided"))
    reset_last_layers(plain, std=0.05)
    guided.load_state_dict(plain.state_dict(), strict=False)
    x = torch.rand(1, CHANNELS, 64, 96)
    with torch.no_grad():
        one, other = plain.eval()(x).stage1, guided.eval()(x).stage1
    assert torch.allclose(one, other, atol=1e-4)


def test_a_network_without_stage_2_may_see_a_picture_reduced():
    x, picture = torch.rand(1, CHANNELS, 64, 64), torch.rand(1, 4 + PRIORS, 128, 128)
    with torch.no_grad():
        output = network(refinement=0)(x, picture=picture)
    assert output.stage1.shape == (1, 1, 128, 128) and output.stage2 is None


def test_sides_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="32"):
        LightMatting(LightConfig()).stage1(torch.rand(1, CHANNELS, 60, 64))


def test_nearness_is_one_inside_and_nothing_without_a_region():
    labels = np.full((40, 60), UNKNOWN, np.uint8)
    labels[:, :10] = FOREGROUND
    near = nearness(labels)
    assert (near[:, :10, :3] == 1).all()
    assert (near[..., 3:] == 0).all()
    assert near[20, 15, 0] < near[20, 15, 1] < near[20, 15, 2]


def of_stages(net, one, *, refine=True):
    """The alpha of both stages, not corrected along colour lines."""
    return solved(net, one, refine=refine, corrected=False).alpha


@pytest.mark.parametrize("size", [(128, 192), (256, 320)])
def test_tiles_give_what_the_whole_picture_gives(size):
    net, one = network().double(), frame(*size)  # in float32 processors round by up to 1.3e-5
    assert np.abs(of_stages(net, one) - dense(net, one)).max() < 1e-6


def test_a_reduced_frame_is_enlarged_as_a_whole_would_be(monkeypatch):
    monkeypatch.setattr(light_frame, "MOST_PX", 128 * 192)
    net, one = network(), frame(256, 384)
    assert stage1_reduction(256, 384) == 2
    unknown = one.labels == UNKNOWN
    assert np.abs(of_stages(net, one) - dense(net, one, 2))[unknown].max() < 1e-5


def test_the_size_of_tiles_and_the_number_of_threads_make_no_difference(monkeypatch, threads):
    net, one = network(), frame(150, 210)
    threads(1)
    first = of_stages(net, one)
    threads(2)
    second = of_stages(net, one)
    monkeypatch.setattr(light_frame, "TILE_PX", 40)
    monkeypatch.setattr(light_frame, "TILES_AT_ONCE", 3)
    third = of_stages(net, one)
    assert np.abs(first - second).max() < 1e-5
    assert np.abs(first - third).max() < 1e-5


def test_stage_two_is_used_where_the_expected_error_says_so(monkeypatch):
    net, one = network(), frame(96, 128)
    refined, plain = of_stages(net, one), of_stages(net, one, refine=False)
    assert np.abs(refined - plain).max() > 1e-3
    monkeypatch.setattr(light_frame, "REFINED_ABOVE", 1e9)
    assert np.array_equal(of_stages(net, one), plain)


def test_large_frames_cost_what_smaller_ones_cost():
    for height, width in ((1080, 1920), (2160, 3840), (4320, 7680)):
        factor = stage1_reduction(height, width)
        assert height * width / factor**2 <= light_frame.MOST_PX
    assert stage1_reduction(600, 800) == 1


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "light.safetensors"
    saved = network()
    save_folded(path, saved, saved.config, name="small")
    return path


def tasks():
    one = frame(96, 128)
    trimap = Trimap(number=7, labels=one.labels, is_keyframe=True)
    return [Task(image=one.image, trimap=trimap)]


def test_an_engine_opens_the_network_that_the_sidecar_names(weights):
    settings = EngineSettings(weights=weights, device="cpu")
    engine = open_engine(settings)
    (matte,) = engine.mattes(tasks())
    labels = tasks()[0].trimap.labels
    assert matte.number == 7
    assert (matte.alpha[labels == FOREGROUND] == 1).all()
    assert (matte.alpha[labels == BACKGROUND] == 0).all()
    assert engine.describe()["engine"] == "light"


def test_any_number_of_threads_gives_the_same_bits(weights, threads):
    """oneDNN orders its sums by it, so each frame has one thread to itself."""
    engine, found = open_engine(EngineSettings(weights=weights, device="cpu")), []
    for count in (1, 2):
        threads(count)
        found.append([matte.alpha.tobytes() for matte in engine.mattes(tasks() * 3)])
        assert torch.get_num_threads() == count
    assert found[0] == found[1]


def test_bfloat16_is_near_to_float32(weights):
    mattes = [
        next(iter(open_engine(EngineSettings(weights=weights, device="cpu", precision=p))
                  .mattes(tasks()))).alpha
        for p in ("float32", "bfloat16")
    ]  # fmt: skip
    assert 0 < np.abs(mattes[0] - mattes[1]).mean() < 0.01


def test_weights_come_back_and_damage_is_found(weights):
    loaded, sha256 = load_light_weights(weights)
    saved = network().half().float()
    for name, tensor in saved.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name])
    assert len(sha256) == 64
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    with pytest.raises(WeightsError, match="damaged"):
        load_light_weights(weights)


def test_networks_that_still_have_norms_are_not_saved(tmp_path):
    with pytest.raises(WeightsError, match="fold"):
        unfolded = LightMatting(LightConfig())
        save_folded(tmp_path / "a.safetensors", unfolded, unfolded.config, name="x")


def test_other_parts_refuse_the_architecture_by_name(weights):
    with pytest.raises(WeightsError, match="of the light network") as caught:
        load_weights(weights)
    assert str(caught.value.path) == str(weights)
    record = json.loads(sidecar_path(weights).read_text())
    record["architecture"] = "heavy"
    sidecar_path(weights).write_text(json.dumps(record))
    with pytest.raises(WeightsError, match="heavy"):
        open_engine(EngineSettings(weights=weights, device="cpu"))


def test_a_network_without_stage_two_runs():
    net, one = network(refinement=0), frame(96, 128)
    assert net.refinement is None
    assert np.isfinite(solved(net, one).alpha).all()


@pytest.mark.parametrize("factor", [1, 2])
def test_what_is_unsure_follows_the_colours_as_large_as_stage_1_sees_them(monkeypatch, factor):
    height, width = 120, 151
    monkeypatch.setattr(light_frame, "MOST_PX", height * width / factor**2 + factor)
    assert stage1_reduction(height, width) == factor
    truth = np.clip((np.arange(width, dtype=np.float32) - 60) / 30, 0, 1) * np.ones((height, 1))
    light = 0.1 + truth[:, :, None] * np.array([0.6, 0.2, 0.1])
    image, unsure = np.sqrt(light).astype(np.float32), (truth > 0) & (truth < 1)
    unsure[: height // 2] = False
    noise = np.random.default_rng(1).uniform(-0.3, 0.3, (height // factor + 1, width // factor + 1))
    noise = np.kron(noise, np.ones((factor, factor)))[:height, :width]
    alpha = np.where(unsure, (truth + noise).clip(0, 1), truth).astype(np.float32)
    error = (0.1 * unsure).astype(np.float32)
    found = light_frame.corrected_alpha(image, alpha, error, device=torch.device("cpu"))
    assert (found[~unsure] == alpha[~unsure]).all()
    assert np.abs(found - truth)[unsure].mean() < 0.6 * np.abs(alpha - truth)[unsure].mean()


def test_a_frame_is_corrected_last_unless_it_is_not_to_be():
    net, one = network(refinement=0), frame(96, 128)
    plain, with_error = of_stages(net, one), solved(net, one, corrected=False).error
    expected = light_frame.corrected_alpha(one.image, plain, with_error, device=torch.device("cpu"))
    assert np.array_equal(solved(net, one).alpha, expected)
    assert np.abs(expected - plain).max() > 1e-3


def test_what_one_look_takes_beyond_one_stays_one(monkeypatch):
    """Not grey, as a mean of 1 and nearly 1 would be."""
    net, one = network(), frame(96, 128)
    values = {1: 1.2, light_frame.COARSER: 0.97}

    def mixed(priors, small, maps, places):
        count = len(places[0])
        return np.full(count, values[small.factor], np.float32), np.full(count, -4, np.float32)

    monkeypatch.setattr(light_frame, "_mixed", mixed)
    alpha = of_stages(net, one, refine=False)
    assert (alpha[one.labels == UNKNOWN] == 1).all()
