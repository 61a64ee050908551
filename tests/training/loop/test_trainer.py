"""The trainer: phases and freezing, resume, checkpoints, recovery, and that it learns."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import training.loop.checkpoint
from training.config import Phase, TrainConfig
from training.loop.checkpoint import load_checkpoint
from training.loop.events import Progress, Validation
from training.loop.logbook import ERRORS, LOSSES
from training.loop.trainer import Trainer
from training.losses import LossWeights
from training.samples.compose import Compositor
from training.samples.sources import PackSource
from training.samples.synthesis import SynthesisConfig
from vfxmatte.errors import TrainingError
from vfxmatte.network.dim import DimConfig

CPU = torch.device("cpu")
NETWORK = DimConfig(width=0.0625, batch_norm=True, skips=True)


def phase(trains="stage1", steps=4, **more):
    return Phase(name=trains, trains=trains, steps=steps, lr=more.pop("lr", 1e-3), **more)


def small(**changes):
    base = TrainConfig(
        recipe="test", network=NETWORK, synthesis=SynthesisConfig(crop_px=64, band_px=(1, 8)),
        phases=(phase(), phase("refinement", 3), phase("all", 3)), batch=4, ema=0.9,
        precision="float32", channels_last=False, log_every=1, validate_every=100,
        checkpoint_every=2, validation_samples=4,
    )  # fmt: skip
    return replace(base, **changes)


@pytest.fixture
def make(small_pack, tmp_path):
    def made(config=None, folder="run"):
        return Trainer(PackSource(small_pack), config or small(), tmp_path / folder, CPU)

    return made


def finish(trainer, until=None):
    return list(trainer.run(until))


def losses(events):
    return [(e.step, e.losses["loss"]) for e in events if isinstance(e, Progress)]


def tensors(trainer):
    return {k: v.clone() for k, v in trainer.network.state_dict().items()}


def moved(before, after):
    return {name for name in before if not torch.equal(before[name], after[name])}


# -- phases ---------------------------------------------------------------------------------


def test_the_phases_follow_each_other(make):
    events = finish(make())
    begun = [e for e in events if isinstance(e, str)]
    assert [message.split("'")[1] for message in begun] == ["stage1", "refinement", "all"]
    assert [m.rsplit(" ", 1)[1] for m in begun] == ["0", "4", "7"]
    names = [set(e.losses) - {"loss", "gradient"} for e in events if isinstance(e, Progress)]
    stage1, stage2 = {"composition", "l1", "laplacian"}, {"refined l1", "refined laplacian"}
    assert names == [stage1] * 4 + [stage2] * 3 + [stage1 | stage2] * 3


def test_stage_1_does_not_touch_the_refinement(make):
    trainer = make(small(phases=(phase(steps=3),)))
    before = tensors(trainer)
    finish(trainer)
    changed = moved(before, tensors(trainer))
    assert not any(name.startswith("refinement") for name in changed)
    assert {n for n, _ in trainer.network.encoder.named_parameters(prefix="encoder")} <= changed


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_the_refinement_phase_changes_nothing_of_stage_1_to_the_bit(make, ema):
    trainer = make(small(ema=ema, phases=(phase(steps=2), phase("refinement", 4))))
    finish(trainer, until=2)
    trainer._enter_phase(1, fresh=True)
    before, averaged = tensors(trainer), copy.deepcopy(trainer.average.network.state_dict())
    finish(trainer)
    changed = moved(before, tensors(trainer))
    assert changed
    assert all(name.startswith("refinement") for name in changed)
    if ema:
        after = trainer.average.network.state_dict()
        assert all(name.startswith("refinement") for name in moved(averaged, after))


def test_all_trains_all(make):
    trainer = make(small(phases=(phase("refinement", 2), phase("all", 3))))
    finish(trainer, until=2)
    before = tensors(trainer)
    finish(trainer)
    trained = {name for name, _ in trainer.network.named_parameters()}
    assert trained <= moved(before, tensors(trainer))


def test_a_phase_begins_with_a_new_optimiser_and_the_averaged_weights(make):
    trainer = make(small(phases=(phase(steps=4), phase("all", 2))))
    finish(trainer, until=4)
    average = copy.deepcopy(trainer.average.network.state_dict())
    assert moved(average, trainer.network.state_dict())
    old = trainer.optimiser
    trainer._enter_phase(1, fresh=True)
    assert not moved(average, trainer.network.state_dict())
    assert trainer.optimiser is not old
    assert not trainer.optimiser.state


def test_without_averaging_a_phase_goes_on_from_the_weights_themselves(make):
    trainer = make(small(ema=0.0, phases=(phase(steps=3), phase("all", 2))))
    finish(trainer, until=3)
    before = tensors(trainer)
    trainer._enter_phase(1, fresh=True)
    assert not moved(before, trainer.network.state_dict())


def test_the_rate_follows_the_schedule(make):
    config = small(phases=(phase(steps=6, warmup=2, final_lr=0.1), phase("all", 2, final_lr=1.0)))
    rates = [e.lr for e in finish(make(config)) if isinstance(e, Progress)]
    expected = [config.phases[0].learning_rate(step) for step in range(6)] + [1e-3, 1e-3]
    assert rates == pytest.approx(expected)
    assert rates[0] == pytest.approx(5e-4)


@pytest.mark.parametrize("name, kind", [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)])
def test_the_optimiser_is_the_one_asked_for(make, name, kind):
    trainer = make(small(optimiser=name, weight_decay=0.25))
    trainer._enter_phase(0, fresh=True)
    assert type(trainer.optimiser) is kind
    assert trainer.optimiser.param_groups[0]["weight_decay"] == 0.25


def test_the_average_follows_its_formula(make):
    trainer = make(small(ema=0.5, phases=(phase(steps=1),)))
    name = "decoder.alpha.weight"
    first = trainer.network.state_dict()[name].clone()
    finish(trainer)
    after, decay = trainer.network.state_dict()[name], 2 / 11
    expected = decay * first + (1 - decay) * after
    torch.testing.assert_close(trainer.average.network.state_dict()[name], expected)


def test_gradients_are_clipped(make):
    trainer = make(small(clip_norm=1e-3, phases=(phase(steps=1),)))
    finish(trainer)
    norm = math.sqrt(sum(float((p.grad**2).sum()) for p in trainer.network.parameters()
                         if p.grad is not None))  # fmt: skip
    assert norm == pytest.approx(1e-3, rel=1e-2)


def test_epochs_choose_what_is_composited(make, monkeypatch):
    seen = []
    original = Compositor.batch

    def spy(self, count, seed, *, chosen=None):
        seen.append(chosen)
        return original(self, count, seed, chosen=chosen)

    trainer = make(small(order="epoch", backgrounds_per_foreground=4, phases=(phase(steps=3),)))
    monkeypatch.setattr(Compositor, "batch", spy)
    finish(trainer)
    pairs = [pair for chosen in seen[:3] for pair in chosen]
    assert len(trainer.epochs) == 3 * 4
    assert sorted(f for f, _ in pairs) == [0] * 4 + [1] * 4 + [2] * 4


# -- resume and checkpoints -----------------------------------------------------------------


@pytest.fixture(scope="module")
def undisturbed(small_pack, tmp_path_factory):
    """A whole run, and its losses by step."""
    whole = Trainer(PackSource(small_pack), small(), tmp_path_factory.mktemp("whole"), CPU)
    return whole, dict(losses(finish(whole)))


@pytest.mark.parametrize("killed_at", [2, 4, 6])
def test_a_killed_run_resumes_to_the_same_curve(make, undisturbed, killed_at):
    whole, curve = undisturbed
    killed = make(folder="killed")
    for event in killed.run():
        if isinstance(event, Progress) and event.step == killed_at + 1:
            break  # as if killed: after the checkpoint at `killed_at`, in the middle of the next
    resumed = make(folder="killed")
    assert resumed.resume()
    assert resumed.step == killed_at
    rest = losses(finish(resumed))
    assert [step for step, _ in rest] == list(range(killed_at + 1, 11))
    for step, loss in rest:
        assert loss == pytest.approx(curve[step], abs=1e-6)
    for ours, theirs in (
        (resumed.network, whole.network), (resumed.average.network, whole.average.network)
    ):  # fmt: skip
        for name, value in theirs.state_dict().items():
            torch.testing.assert_close(ours.state_dict()[name], value, atol=1e-6, rtol=1e-5)
    steps = [row["step"] for row in resumed.logbook.rows(LOSSES)]
    assert steps == [str(step) for step in range(1, 11)]


def test_settings_may_change_when_a_run_goes_on(make):
    finish(make(), until=2)
    changed = make(small(weight_decay=0.125, phases=(phase(lr=5e-4, final_lr=1.0),), batch=2))
    changed.resume()
    assert changed.optimiser.param_groups[0]["weight_decay"] == 0.125
    rates = [e.lr for e in finish(changed) if isinstance(e, Progress)]
    assert rates == [5e-4] * 2


def test_resume_without_a_checkpoint_says_so(make):
    assert make().resume() is False


def test_a_full_disk_leaves_the_previous_checkpoint(make, monkeypatch):
    trainer = make()
    finish(trainer, until=2)
    good = trainer.last_path.read_bytes()

    def full(_state, stream):
        stream.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(training.loop.checkpoint.torch, "save", full)
    with pytest.raises(TrainingError, match="No space left") as caught:
        finish(trainer)
    assert "last.pt" in str(caught.value)
    assert trainer.last_path.read_bytes() == good
    assert not list(trainer.folder.glob("*.partial"))
    monkeypatch.undo()
    again = make()
    assert again.resume() and again.step == 2


def test_a_checkpoint_of_another_architecture_is_refused(make):
    finish(make(), until=2)
    other = make(small(network=replace(NETWORK, skips=False)))
    with pytest.raises(TrainingError, match="another architecture"):
        other.resume()


def others_held_out(pack):
    return replace(pack, held_out=frozenset({"disc a"}))


def another_picture_held_out(pack):
    *rest, last = pack.elements
    return replace(pack, elements=(*rest, replace(last, colour=last.colour // 2)))


def another_background_held_out(pack):
    return replace(pack, held_out_backgrounds=frozenset({"blotches 2"}))


@pytest.mark.parametrize(
    "change", [others_held_out, another_picture_held_out, another_background_held_out]
)
def test_a_run_does_not_go_on_with_a_pack_that_holds_out_others(make, small_pack, change):
    begun = make()
    finish(begun, until=2)
    other = Trainer(PackSource(change(small_pack)), small(), begun.folder, CPU)
    before = tensors(other)
    with pytest.raises(TrainingError, match=r"another pack.*1 foregrounds held out") as caught:
        other.resume()
    assert caught.value.path == str(begun.folder) and "choose another folder" in caught.value.hint
    assert other.step == 0 and not moved(before, tensors(other))


def test_a_run_goes_on_with_a_larger_pack_that_holds_out_the_same(make, small_pack):
    begun = make()
    finish(begun, until=2)
    added = replace(small_pack.elements[0], name="disc d")
    larger = replace(small_pack, elements=(*small_pack.elements, added))
    assert Trainer(PackSource(larger), small(), begun.folder, CPU).resume()


def test_a_checkpoint_that_does_not_name_what_is_held_out_goes_on(make):
    """Earlier versions wrote such checkpoints; the next one names it."""
    finish(make(), until=2)
    again = make()
    state = torch.load(again.last_path, weights_only=True)
    del state["held_out"]
    torch.save(state, again.last_path)
    assert again.resume() and again.step == 2
    finish(again, until=4)
    assert torch.load(again.last_path, weights_only=True)["held_out"] == again.held_out_digest


@pytest.mark.parametrize("content", [b"", b"PK not a checkpoint"])
def test_a_damaged_checkpoint_is_named(make, content):
    trainer = make()
    trainer.last_path.write_bytes(content)
    with pytest.raises(TrainingError, match=r"(?s)cannot be read.*last\.pt"):
        trainer.resume()


def test_another_file_is_no_checkpoint(make):
    trainer = make()
    torch.save({"features.0.weight": torch.zeros(1)}, trainer.last_path)
    with pytest.raises(TrainingError, match="not a checkpoint"):
        trainer.resume()


def test_best_and_last_are_kept_with_their_configuration(make):
    trainer = make(small(validate_every=2, phases=(phase(steps=6, lr=3e-3),)))
    events = finish(trainer)
    checks = [e for e in events if isinstance(e, Validation)]
    assert [e.step for e in checks] == [2, 4, 6]
    best = [e for e in checks if e.best][-1]
    assert best.mad == min(e.mad for e in checks)
    assert load_checkpoint(trainer.best_path, trainer.config)["step"] == best.step
    assert load_checkpoint(trainer.last_path, trainer.config)["step"] == 6
    assert trainer.last_path.with_suffix(".json").read_text().count('"recipe": "test"') == 1
    assert [int(row["step"]) for row in trainer.logbook.rows(ERRORS)] == [2, 4, 6]
    pictures = sorted(p.name for p in trainer.folder.glob("validation.*.png"))
    assert pictures == [f"validation.{step:07d}.png" for step in (2, 4, 6)]
    assert (trainer.folder / "curve.png").is_file()


def test_the_best_so_far_outlives_a_kill(make):
    config = small(validate_every=2, phases=(phase(steps=6),))
    finish(make(config), until=4)
    resumed = make(config)
    resumed.resume()
    assert math.isfinite(resumed.best)


def test_nothing_held_out_is_no_error(small_pack, tmp_path):
    open_pack = replace(small_pack, held_out=frozenset(), held_out_backgrounds=frozenset())
    trainer = Trainer(PackSource(open_pack), small(phases=(phase(steps=2),)), tmp_path, CPU)
    checks = [e for e in finish(trainer) if isinstance(e, Validation)]
    assert math.isnan(checks[0].mad) and not checks[0].best


# -- recovery -------------------------------------------------------------------------------


def poison(trainer, monkeypatch, bad):
    """The named loss becomes NaN whenever `bad(step, salt)` says so; returns what was asked."""
    original = trainer._loss

    def loss(batch, phase):
        value, terms = original(batch, phase)
        if bad(trainer.step, trainer.salt):
            nan = terms["l1"] * math.nan
            return value + nan, {**terms, "l1": nan}
        return value, terms

    monkeypatch.setattr(trainer, "_loss", loss)


def test_a_nan_loss_is_named_and_rolled_back(make, monkeypatch):
    config = small(phases=(phase(steps=6),))
    trainer = make(config)
    poison(trainer, monkeypatch, lambda step, salt: step == 5 and salt == 0)
    events = finish(trainer)
    messages = [e for e in events if isinstance(e, str) and "not finite" in e]
    assert len(messages) == 1
    assert "l1, loss not finite at step 5" in messages[0]
    assert "back to step 4" in messages[0]
    assert trainer.step == 6
    assert trainer.salt == 1
    assert all(torch.isfinite(v).all() for v in trainer.network.state_dict().values())
    undisturbed = dict(losses(finish(make(config, folder="other"))))
    retried = losses(events)[-1]
    assert retried[0] == 6 and retried[1] != undisturbed[6]  # other samples


def test_a_nan_in_the_very_first_step_is_rolled_back_to_the_start(make, monkeypatch):
    trainer = make(small(phases=(phase(steps=2),)))
    before = tensors(trainer)
    poison(trainer, monkeypatch, lambda step, salt: salt == 0)
    events = trainer.run()
    assert "begins at step 0" in next(events)
    assert "back to step 0" in next(events)
    assert not moved(before, trainer.network.state_dict())  # nor batch-norm statistics
    list(events)
    assert trainer.step == 2


def test_it_gives_up_after_three_roll_backs(make, monkeypatch):
    trainer = make(small(phases=(phase(steps=6),)))
    poison(trainer, monkeypatch, lambda step, salt: step == 3)
    messages = []
    with pytest.raises(TrainingError, match="after 3 roll-backs") as caught:
        messages.extend(trainer.run())
    assert "learning rate" in caught.value.hint
    assert load_checkpoint(trainer.last_path, trainer.config)["step"] == 2


def test_roll_backs_far_apart_do_not_add_up(make, monkeypatch):
    trainer = make(small(phases=(phase(steps=12),)))
    fresh = {1, 3, 5, 7, 9}

    def bad(step, salt):
        if step in fresh:
            fresh.discard(step)
            return True
        return False

    poison(trainer, monkeypatch, bad)
    finish(trainer)
    assert trainer.step == 12
    assert trainer.salt == 5


def test_a_nan_gradient_is_caught_too(make, monkeypatch):
    trainer = make(small(phases=(phase(steps=3),)))
    original, poisoned = trainer._backward, []

    def backward(batch, phase):
        sums = original(batch, phase)
        if trainer.step == 2 and not poisoned:
            poisoned.append(True)
            trainer.network.decoder.alpha.weight.grad[:] = math.nan
        return sums

    monkeypatch.setattr(trainer, "_backward", backward)
    messages = [e for e in finish(trainer) if isinstance(e, str)]
    assert any(m.startswith("gradient not finite at step 2") for m in messages)


def out_of_memory_above(trainer, monkeypatch, most):
    original = trainer._loss

    def loss(batch, phase):
        if len(batch.image) > most:
            raise torch.OutOfMemoryError("simulated")
        return original(batch, phase)

    monkeypatch.setattr(trainer, "_loss", loss)


PLAIN = small(
    network=DimConfig(width=0.0625), batch=8, clip_norm=0.0, phases=(phase("all", 3),), ema=0.0
)


def test_out_of_memory_halves_what_is_done_at_a_time(make, monkeypatch):
    whole, halved = make(PLAIN, "whole"), make(PLAIN, "halved")
    out_of_memory_above(halved, monkeypatch, 2)
    expected, events = losses(finish(whole)), finish(halved)
    messages = [e for e in events if isinstance(e, str) and "memory" in e]
    assert ["4 samples" in messages[0], "2 samples" in messages[1]] == [True, True]
    assert len(messages) == 2
    for (step, loss), (other_step, other) in zip(losses(events), expected, strict=True):
        assert step == other_step and loss == pytest.approx(other, rel=1e-4)
    for name, value in whole.network.state_dict().items():
        torch.testing.assert_close(halved.network.state_dict()[name], value, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("micro", [2, 3, 6])
def test_accumulated_gradients_are_the_whole_batchs(make, micro, pairs):
    weights = replace(LossWeights(), temporal=0.7)
    config = replace(PLAIN, losses=weights, synthesis=replace(PLAIN.synthesis, moving_pairs=pairs))
    whole = make(config, "whole")
    pieces = make(replace(config, micro_batch=micro), "pieces")
    steps = []
    for trainer in (whole, pieces):
        trainer._enter_phase(0, fresh=True)
        trainer._set_mode(config.phases[0])
        sums = trainer._backward(trainer._batch_of(0), config.phases[0])
        steps.append((sums, [p.grad.clone() for p in trainer.network.parameters()]))
    assert ("temporal" in steps[0][0]) == pairs
    assert steps[1][0] == pytest.approx(steps[0][0], rel=1e-4)
    for ours, theirs in zip(steps[1][1], steps[0][1], strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-3)


def test_out_of_memory_with_one_sample_ends_with_advice(make, monkeypatch):
    trainer = make(PLAIN)
    out_of_memory_above(trainer, monkeypatch, 0)
    with pytest.raises(TrainingError, match="out of memory with 1 at a time") as caught:
        finish(trainer)
    assert "crop_px" in caught.value.hint


def test_pairs_are_never_torn_apart(make):
    pairs = replace(PLAIN.synthesis, moving_pairs=True)
    assert make(replace(PLAIN, synthesis=pairs, micro_batch=1)).micro == 2
    assert make(replace(PLAIN, synthesis=pairs, micro_batch=5)).micro == 4


# -- learning -------------------------------------------------------------------------------


def test_overfitting_one_foreground(small_pack, tmp_path, monkeypatch):
    """The machinery learns: one foreground in one pose is solved to an MSE below 0.001."""
    config = small(
        network=replace(NETWORK, width=0.125), batch=1, ema=0.0, log_every=1000,
        synthesis=replace(SynthesisConfig.plain(64), band_px=(4, 4)),
        checkpoint_every=1000, validate_every=1000,
        phases=(phase(steps=200, lr=1e-3, warmup=20, final_lr=0.02),),
    )  # fmt: skip
    one = replace(small_pack, elements=small_pack.elements[:1], held_out=frozenset())
    trainer = Trainer(PackSource(one), config, tmp_path, CPU)
    monkeypatch.setattr(trainer, "_seed", lambda step: 1)
    finish(trainer)
    batch = trainer._batch_of(0)
    with torch.no_grad():
        alpha = trainer.network.train()(batch.input, refine=False).alpha
    mse = float(((alpha - batch.alpha)[batch.unknown > 0] ** 2).mean())
    assert float(batch.unknown.mean()) > 0.1
    assert mse < 0.001


def warm(element):
    colour = np.full_like(element.colour, (200, 0, 30))
    colour[..., 1] = 90 + element.colour[..., 1] // 4
    return replace(element, colour=colour)


def cold(background):
    colour = background.colour // (4, 2, 4) + (0, 0, 150)
    return replace(background, colour=colour.astype(np.uint8))


def test_training_from_scratch_beats_a_constant_by_far(small_pack, tmp_path):
    """On warm foregrounds over cold backgrounds, held-out ones, within a hundred steps."""
    config = small(
        network=replace(NETWORK, width=0.125), batch=4, ema=0.9, log_every=1000, seed=2,
        validation_samples=16, checkpoint_every=1000, validate_every=1000,
        synthesis=replace(SynthesisConfig.plain(64), flip=0.5, band_px=(2, 10)),
        phases=(phase(steps=100, lr=2e-3, warmup=20, final_lr=0.02),),
    )  # fmt: skip
    elements = tuple(warm(element) for element in small_pack.elements)
    backgrounds = tuple(cold(background) for background in small_pack.backgrounds)
    pack = replace(small_pack, elements=elements, backgrounds=backgrounds)
    trainer = Trainer(PackSource(pack), config, tmp_path, CPU)
    finish(trainer)
    mad, mse = trainer.held_out.errors(trainer.average.network, refine=False)

    class Half(nn.Module):
        def forward(self, x, *, refine):
            half = torch.full_like(x[:, :1], 0.5)
            return type("Output", (), {"alpha": half})

    half_mad, half_mse = trainer.held_out.errors(Half(), refine=False)
    assert mad < 0.25 * half_mad
    assert mse < 0.1 * half_mse
