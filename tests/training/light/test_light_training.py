"""Procedural alphas, drawn trimaps, stores of composites, and the light network's trainer."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from tests.conftest import light_network
from tests.training.conftest import blotches, hairy_tuft, noisy_picture, soft_disc
from training.cli import cli
from training.elements.pack import Pack, write_pack
from training.light.command import load_light_training
from training.light.losses import error_loss, gradient_loss
from training.light.trainer import Cycle, LightTrainer, LightTraining, reduced_input, score
from training.light.validation import Errors, validate_light
from training.samples.composite_store import HEADER, RECORDS, Composite, StoreReader, StoreWriter
from training.samples.procedural_alpha import DRAWERS, _Canvas, draw_alpha
from training.samples.store_crops import CropConfig, StoreCrops
from training.samples.trimap_drawing import DrawingConfig, draw_trimap
from training.samples.varied_composites import VarietyConfig
from vfxmatte.engines.light_frame import solved
from vfxmatte.errors import TrainingError
from vfxmatte.network.light import CHANNELS, LightConfig, LightMatting
from vfxmatte.network.light_weights import load_light_weights
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN

SIDE = 96


def composite(seed):
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    alpha = np.clip((30 - np.hypot(x - 48, y - 48 + random.integers(8))) / 6 + 0.5, 0, 1)
    labels = draw_trimap(alpha.astype(np.float32), DrawingConfig(band_px=(3, 9)), random)
    image = alpha[:, :, None] * (0.9, 0.2, 0.1) + (1 - alpha[:, :, None]) * (0.1, 0.3, 0.8)
    priors = np.repeat(np.clip(alpha + 0.1, 0, 1)[:, :, None], 3, 2)
    return Composite(image=image.astype(np.float32), labels=labels,
                     priors=priors.astype(np.float32), alpha=alpha.astype(np.float32))  # fmt: skip


def store(folder, count=6):
    writer = StoreWriter(folder, side_px=SIDE, priors=3, description={"seed": 1})
    writer.append([composite(seed) for seed in range(count)])
    writer.close()
    return StoreReader(folder)


# -- procedural alphas and trimaps ---------------------------------------------------------------


@pytest.mark.parametrize("name", DRAWERS)
def test_drawers_draw_alphas_with_soft_edges_that_follow_the_seed(name):
    drawer = DRAWERS[name][0]
    drawn = [drawer(128, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    for one in drawn:
        assert one.alpha.shape == one.shading.shape == (128, 128)
        assert one.alpha.dtype == one.shading.dtype == np.float32
        assert one.alpha.min() >= 0 and one.alpha.max() <= 1
        assert one.shading.min() > 0
    assert np.array_equal(drawn[0].alpha, drawn[1].alpha)
    assert not np.array_equal(drawn[0].alpha, drawn[2].alpha)
    assert any(((one.alpha > 0.05) & (one.alpha < 0.95)).any() for one in drawn)


def test_most_drawn_hair_is_thinner_than_a_pixel_and_faint_hairs_add_up():
    drawn = [DRAWERS["strands"][0](128, np.random.default_rng(seed)).alpha for seed in range(12)]
    values = np.concatenate([alpha[(alpha > 0.02) & (alpha < 0.98)] for alpha in drawn])
    assert np.median(values) < 0.4
    canvas = _Canvas(32)
    line = np.array(((4.0, 16.0), (28.0, 16.0)))
    levels = []
    for _ in range(3):
        canvas.line(line, 0.2, 128)
        levels.append(canvas.finished().alpha.max())
    assert levels[0] < levels[1] < levels[2] < 1


def test_shapes_may_be_chosen():
    names = {draw_alpha(64, np.random.default_rng(s), ("net", "fur"))[0] for s in range(12)}
    assert names == {"net", "fur"}
    assert "shapes" not in VarietyConfig().as_dict()
    assert VarietyConfig(shapes=("fur",)).as_dict()["shapes"] == ("fur",)


def test_stores_have_the_shares_of_crops_that_are_asked_for(tmp_path):
    readers = [store(tmp_path / "a", 6), store(tmp_path / "b", 2)]

    def drawn(**settings):
        crops = StoreCrops(readers, CropConfig(side_px=64, **settings))
        random = np.random.default_rng(3)
        return np.mean([crops._record(random)[0] is readers[1] for _ in range(400)])

    assert drawn() == pytest.approx(0.25, abs=0.06)
    assert drawn(shares=(0.2, 0.8)) == pytest.approx(0.8, abs=0.06)
    with pytest.raises(TrainingError, match="for each of 2 stores"):
        StoreCrops(readers, CropConfig(shares=(1.0,)))


def disc():
    y, x = np.mgrid[:160, :160].astype(np.float32)
    return np.clip((50 - np.hypot(x - 80, y - 80)) / 4 + 0.5, 0, 1).astype(np.float32)


def test_soft_pixels_are_unknown_unless_the_trimap_slipped():
    alpha, soft = disc(), (disc() > 0.02) & (disc() < 0.98)
    for seed in range(12):
        labels = draw_trimap(alpha, DrawingConfig(displaced=0), np.random.default_rng(seed))
        assert (labels[soft] == UNKNOWN).all()
        assert (alpha[labels == FOREGROUND] >= 0.98).all()
        assert (alpha[labels == BACKGROUND] <= 0.02).all()
    slipped = [draw_trimap(alpha, DrawingConfig(displaced=1, band_px=(2, 3)),
                           np.random.default_rng(seed)) for seed in range(6)]  # fmt: skip
    assert any((labels[soft] != UNKNOWN).any() for labels in slipped)


def test_bands_are_as_wide_as_asked_for_and_keep_a_core():
    alpha = disc()
    config = DrawingConfig(islands=0, displaced=0, whole_parts=0, ragged=0, certain_core=1)
    for seed in range(8):
        labels = draw_trimap(alpha, config, np.random.default_rng(seed))
        assert (labels == FOREGROUND).sum() >= 0.15 * (alpha >= 0.98).sum()
    narrow = DrawingConfig(islands=0, displaced=0, whole_parts=0, ragged=0, band_px=(2, 4))
    wide = DrawingConfig(islands=0, displaced=0, whole_parts=0, ragged=0, band_px=(25, 30))
    areas = [
        np.mean([(draw_trimap(alpha, c, np.random.default_rng(s)) == UNKNOWN).mean()
                 for s in range(6)]) for c in (narrow, wide)
    ]  # fmt: skip
    assert areas[1] > 2 * areas[0]


# -- cycles --------------------------------------------------------------------------------------


def test_sides_take_turns_with_as_many_pixels_each():
    cycle = Cycle(batch=64, side_px=320, sides_px=(256, 320, 448))
    assert [cycle.crops_at(step) for step in range(4)] == [
        (100, 256),
        (64, 320),
        (33, 448),
        (100, 256),
    ]
    assert Cycle(batch=8, side_px=288).crops_at(5) == (8, 288)
    with pytest.raises(TrainingError, match="multiple of 32, found 300"):
        Cycle(sides_px=(256, 300))


# -- stores --------------------------------------------------------------------------------------


def test_a_store_gives_back_what_was_put_in(tmp_path):
    reader = store(tmp_path, 2)
    one = composite(1)
    raw = reader.crop(1, slice(0, SIDE), slice(0, SIDE)).astype(np.float32) / 255
    assert np.abs(raw[:3].transpose(1, 2, 0) * 1.2 - one.image).max() < 0.004
    assert np.array_equal(reader.labels(1), one.labels)
    assert np.abs(raw[-1] - one.alpha).max() < 0.003


def test_a_killed_maker_leaves_nothing_behind_and_goes_on(tmp_path):
    reader = store(tmp_path, 2)
    with (tmp_path / RECORDS).open("ab") as file:
        file.write(b"half a record")
    assert reader.refresh() == 2
    writer = StoreWriter(tmp_path, side_px=SIDE, priors=3, description={"seed": 1})
    assert writer.count == 2
    writer.append([composite(5)])
    writer.close()
    assert reader.refresh() == 3
    assert np.array_equal(reader.labels(2), composite(5).labels)


def test_a_store_of_other_settings_or_none_is_refused(tmp_path):
    store(tmp_path / "a")
    with pytest.raises(TrainingError, match="other settings"):
        StoreWriter(tmp_path / "a", side_px=SIDE, priors=3, description={"seed": 2})
    with pytest.raises(TrainingError, match="no store"):
        StoreReader(tmp_path / "b")
    (tmp_path / "a" / HEADER).write_text("{")
    with pytest.raises(TrainingError, match="damaged"):
        StoreReader(tmp_path / "a")


def test_crops_follow_the_seed_and_agree_among_their_channels(tmp_path):
    crops = StoreCrops([store(tmp_path)], CropConfig(side_px=32, without_priors=0))
    one, same, other = (crops.batch(8, (1, step)) for step in (1, 1, 2))
    assert one.input.shape == (8, CHANNELS, 32, 32)
    assert torch.equal(one.input, same.input) and not torch.equal(one.input, other.input)
    assert one.unknown.sum() > 0
    trimap = one.input[:, 3:4]
    assert torch.equal(one.unknown, (trimap == 0.5).float())
    certain = one.alpha[(trimap == 1) & (one.unknown == 0)]
    assert certain.numel() == 0 or float(certain.mean()) > 0.9
    assert float((one.input[:, 4:5] - one.alpha).abs().mean()) < 0.12  # priors turn along


def test_crops_may_change_the_places_of_red_green_and_blue(tmp_path):
    still = {"side_px": 32, "without_priors": 0, "exposure": 0, "gamma": 0, "halved": 0}
    crops = StoreCrops([store(tmp_path)], CropConfig(**still, permuted=1))
    whole = StoreReader(tmp_path).crop(0, slice(None), slice(None))
    assert len({tuple(plane.ravel()) for plane in whole[:3]}) == 3, "alike channels tell nothing"
    orders = set()
    for step in range(12):
        usual = StoreCrops(crops.stores, CropConfig(**still)).batch(1, (3, step)).input[0]
        drawn = crops.batch(1, (3, step)).input[0]
        match = [[torch.equal(a, b) for b in usual[:3]].index(True) for a in drawn[:3]]
        orders.add(tuple(match))
        assert sorted(match) == [0, 1, 2] and torch.equal(drawn[3:], usual[3:])
    assert len(orders) > 2


def test_the_composites_command_goes_on_to_the_same_store(tmp_path):
    pack = Pack(
        elements=(soft_disc("a"), hairy_tuft("b"), soft_disc("c", seed=3)),
        backgrounds=(blotches("x"), blotches("y", seed=2)),
        held_out=frozenset({"c"}), held_out_backgrounds=frozenset({"y"}),
    )  # fmt: skip
    write_pack(tmp_path / "pack", pack)

    def make(folder, count):
        arguments = ["composites", str(tmp_path / "pack"), "-o", str(tmp_path / folder),
                     "--side", "64", "--count", str(count)]  # fmt: skip
        result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
        assert result.exit_code == 0
        return (tmp_path / folder / RECORDS).read_bytes()

    make("twice", 2)
    assert make("twice", 4) == make("once", 4)
    assert json.loads((tmp_path / "once" / HEADER).read_text())["count"] == 4


# -- losses and training -------------------------------------------------------------------------


def test_the_error_loss_is_least_where_the_error_is_expected():
    truth, unknown = torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)
    predicted = torch.full_like(truth, 0.1, requires_grad=True)
    losses = [
        float(error_loss(torch.full_like(truth, float(np.log(e))), predicted, truth, unknown))
        for e in (0.05, 0.1, 0.2)
    ]
    assert losses[1] < min(losses[0], losses[2])
    log_error = torch.zeros_like(truth, requires_grad=True)
    error_loss(log_error, predicted, truth, unknown).backward()
    assert predicted.grad is None and float(log_error.grad.abs().sum()) > 0


def test_the_gradient_loss_sees_edges_and_no_constant():
    truth, unknown = torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)
    step = truth.clone()
    step[..., 4:] = 1
    assert float(gradient_loss(truth + 0.3, truth, unknown)) == pytest.approx(0, abs=1e-6)
    assert float(gradient_loss(step, truth, unknown)) > 0.1


def test_a_reduced_input_is_uncertain_where_any_pixel_is():
    x = torch.rand(1, CHANNELS, 8, 8)
    x[:, 3] = 1.0
    x[:, 3, 0, 0], x[:, 3, 4:, 4:] = 0.5, 0.0
    trimap = reduced_input(x)[0, 3]
    assert trimap.shape == (4, 4)
    assert trimap[0, 0] == 0.5 and trimap[1, 1] == 1 and trimap[3, 3] == 0


def trainer(folder, reader, *cycles, **changes):
    usual = (Cycle(steps=6, batch=2, side_px=32, warmup=1),)
    config = LightTraining(cycles=cycles or usual, log_every=2, validate_every=3,
                           checkpoint_every=3, **changes)  # fmt: skip
    crops = StoreCrops([reader], CropConfig(side_px=32))
    return LightTrainer(crops, config, folder, [noisy_picture(1)])


def test_a_killed_run_goes_on_as_if_nothing_had_happened(tmp_path):
    reader, slow = store(tmp_path / "store"), Cycle(steps=6, batch=2, side_px=64, lr=1e-5)
    whole = trainer(tmp_path / "whole", reader, slow)
    lines = list(whole.run())
    first = trainer(tmp_path / "parts", reader, slow)
    list(first.run(until=4))  # saved at 3 and at its end
    second = trainer(tmp_path / "parts", reader, slow)
    assert second.resume() and second.step == 4
    list(second.run())
    for name, tensor in whole.network.state_dict().items():
        assert torch.allclose(tensor.float(), second.network.state_dict()[name].float(),
                              atol=1e-3, rtol=1e-3), name  # fmt: skip
    steps = {int(one["step"]) for one in second.optimiser.state_dict()["state"].values()}
    assert steps == {6} and second.averaged == whole.averaged == 6
    assert any("held_out" in line and "best" in line for line in lines)
    assert whole.best_path.is_file()


def test_stage_two_alone_leaves_stage_one_as_it_is(tmp_path):
    cycles = (Cycle(steps=2, batch=2, side_px=64, trains="refinement"),)
    one = trainer(tmp_path / "run", store(tmp_path / "store"), *cycles)
    before = {n: t.clone() for n, t in one.network.state_dict().items()}
    list(one.run())
    changed = {n for n, t in one.network.state_dict().items() if not torch.equal(t, before[n])}
    assert changed and all(n.startswith(("refinement.", "decoder.features.")) for n in changed)


def test_a_network_without_stage_two_learns_at_both_sizes(tmp_path):
    cycles = (Cycle(steps=2, batch=2, side_px=64, trains="all"),)  # the second at half the size
    shape = LightConfig(refinement=0)
    one = trainer(tmp_path / "run", store(tmp_path / "store"), *cycles, network=shape)
    before = {n: t.clone() for n, t in one.network.state_dict().items()}
    list(one.run())
    changed = {n for n, t in one.network.state_dict().items() if not torch.equal(t, before[n])}
    assert one.step == 2 and any(n.startswith("encoder.") for n in changed)


def test_validation_measures_the_unknown_region():
    one = noisy_picture(1)
    mean = validate_light(LightMatting(LightConfig()), [one], refine=False)["held_out"]
    expected = np.abs(one.frame.priors.mean(2) - one.truth)
    assert mean.sad == pytest.approx(expected.sum() / 1000, rel=1e-4)
    assert mean.mse == pytest.approx(float((expected**2).mean()), rel=1e-4)
    assert mean.ratio == pytest.approx(1, rel=1e-4)  # untrained, alpha is the priors' mean


def test_validation_gives_the_errors_at_both_sizes_not_corrected():
    network, one = light_network(std=0.05), noisy_picture(1)
    mean = validate_light(network, [one], refine=False)["held_out"]
    alpha = solved(network, one.frame, corrected=False).alpha
    assert mean.sad == pytest.approx(np.abs(alpha - one.truth).sum() / 1000, rel=1e-6)
    at_one_size = solved(network, one.frame, coarse=False, corrected=False).alpha
    assert mean.sad != pytest.approx(np.abs(at_one_size - one.truth).sum() / 1000, rel=1e-4)


def test_every_picture_counts_the_same_for_the_score():
    errors = {"a": Errors(9.0, 0.1, 0.0, ratio=0.8), "b": Errors(1.0, 0.1, 0.0, ratio=1.0)}
    assert score(errors) == pytest.approx(0.9)
    assert score({}) == float("inf")


def test_settings_come_from_a_file_and_wrong_ones_are_named(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("seed = 5\ncycles = [{ steps = 3 }, { steps = 4, trains = 'all' }]\n")
    config = load_light_training(path, ("ema=0.5",))
    assert (config.seed, config.ema, config.total_steps) == (5, 0.5, 7)
    assert config.cycle_at(4) == (1, 1)
    path.write_text("cycles = [{ step = 3 }]\n")
    with pytest.raises(TrainingError, match=r"cycles\.step"):
        load_light_training(path)


def test_stores_without_composites_are_named(tmp_path):
    store(tmp_path / "store", 0)
    arguments = ["light", "-o", str(tmp_path / "run"), "--pack", str(tmp_path / "library.pack")]
    result = CliRunner().invoke(cli, [*arguments, str(tmp_path / "store"), "--device", "cpu"])
    assert result.exit_code == TrainingError.exit_code
    assert "no composites yet" in result.output and "store" in result.output


def test_weights_are_written_from_a_checkpoint(tmp_path):
    one = trainer(tmp_path / "run", store(tmp_path / "store"))
    list(one.run(until=3))
    out = tmp_path / "light.safetensors"
    arguments = ["export-light", str(one.last_path), "-o", str(out), "--name", "small",
                 "--stage1-only"]  # fmt: skip
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert load_light_weights(out)[0].refinement is None


def test_each_export_names_the_command_for_the_other_kind_of_checkpoint(tmp_path):
    one = trainer(tmp_path / "run", store(tmp_path / "store"))
    list(one.run(until=1))
    other = tmp_path / "other.pt"
    torch.save({"config": {"network": {"width": 1.0}}, "step": 1}, other)
    for command, path, named in (
        ("export", one.last_path, "export-light"),
        ("export-light", other, "`export`"),
    ):
        arguments = [command, str(path), "-o", str(tmp_path / "o.safetensors"), "--name", "x"]
        result = CliRunner().invoke(cli, arguments)
        assert result.exit_code == TrainingError.exit_code
        assert "not a checkpoint of" in result.output
        assert named in result.output
