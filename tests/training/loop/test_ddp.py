"""Two processes that train together make the same gradients and weights as one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import torch

from tests.training.conftest import drawn_pack
from training.config import Phase, TrainConfig
from training.loop.events import Validation
from training.loop.group import Group
from training.loop.trainer import Trainer
from training.samples.compose import Compositor
from training.samples.sources import PackSource
from training.samples.synthesis import SynthesisConfig
from vfxmatte.errors import TrainingError
from vfxmatte.network.dim import DimConfig

CPU = torch.device("cpu")
ROOT = str(Path(__file__).parents[3])
CHILD = """
import sys
from pathlib import Path
from tests.training.loop.test_ddp import child
child(int(sys.argv[1]), Path(sys.argv[2]))
"""
CONFIG = TrainConfig(
    recipe="test", network=DimConfig(width=0.0625), synthesis=SynthesisConfig(crop_px=64),
    phases=(
        Phase(name="stage 1", trains="stage1", steps=3, lr=1e-3),
        Phase(name="refinement", trains="refinement", steps=1, lr=1e-3),
        Phase(name="together", trains="all", steps=1, lr=1e-3),
    ),
    optimiser="sgd",  # Adam turns the rounding of a vanishing gradient into a whole step
    batch=4, micro_batch=1, ema=0.5, precision="float32", channels_last=False, log_every=1,
    validate_every=2, checkpoint_every=2, validation_samples=2,
)  # fmt: skip


class SharedBatches(Compositor):
    """Every process makes the whole batch of a step and takes its own part of it."""

    def batch(self, count, seed, *, chosen=None):
        size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
        step_seed = seed - rank * 16
        whole = super().batch(count * size, step_seed, chosen=chosen)
        return whole.part(rank * count, (rank + 1) * count)


def train(folder: Path, config=CONFIG, *, spoil_rank=None, until=None, resume=False):
    """Train in `folder`; the gradients of the first step and the events."""
    trainer = Trainer(PackSource(drawn_pack()), config, folder, CPU)
    trainer.compositor = SharedBatches(trainer.compositor.bank, config.synthesis)
    if resume:
        assert trainer.resume()
    if spoil_rank == trainer.group.rank:
        spoil(trainer)
    gradients, events = {}, []
    for event in trainer.run(until):
        events.append(event)
        if trainer.step == 1 and not gradients:
            named = trainer.network.named_parameters()
            gradients = {n: p.grad.clone() for n, p in named if p.grad is not None}
    return trainer, gradients, events


def spoil(trainer):
    """One NaN loss in this process alone."""
    original, done = trainer._loss, []

    def loss(batch, phase):
        value, terms = original(batch, phase)
        if trainer.step == 3 and not done:
            done.append(True)
            return value * float("nan"), terms
        return value, terms

    trainer._loss = loss


def child(rank, folder):
    os.environ.update(
        RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT="0", USE_LIBUV="0"
    )
    torch.set_num_threads(1)
    store = torch.distributed.FileStore(str(folder / "store"), 2)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    try:
        together(folder, rank)
    finally:
        torch.distributed.destroy_process_group()


def together(folder, rank):
    """The whole run, another that is interrupted and goes on, and one with a NaN in one process."""
    # Only the first process has the folder's files, as on several machines.
    folders = [folder / f"{name}{rank or ''}" for name in ("whole", "parts", "spoilt")]
    trainer, gradients, events = train(folders[0])
    checks = [(e.step, e.mad, e.best) for e in events if isinstance(e, Validation)]
    train(folders[1], until=2)
    parts = train(folders[1], resume=True)[0]
    spoilt, _, messages = train(folders[2], spoil_rank=1)
    group = trainer.group
    result = {
        "any": [group.any(rank == 1), group.any(False)],
        "mean": group.mean([rank, 5.0]),
        "network": trainer.network.state_dict(),
        "average": trainer.average.network.state_dict(),
        "gradients": gradients, "checks": checks, "parts": parts.network.state_dict(),
        "spoilt": spoilt.network.state_dict(), "spoilt_at": (spoilt.step, spoilt.salt),
        "messages": [e for e in messages if isinstance(e, str) and "not finite" in e],
    }  # fmt: skip
    torch.save(result, folder / f"result.{rank}.pt")


@pytest.fixture(scope="module")
def results(tmp_path_factory, warm_python):
    """What one process and each of two processes came to."""
    folder = tmp_path_factory.mktemp("group")
    children = [
        subprocess.Popen(
            [warm_python, "-c", CHILD, str(rank), folder], env={**os.environ, "PYTHONPATH": ROOT}
        )
        for rank in (0, 1)
    ]
    assert [one.wait(300) for one in children] == [0, 0]
    two = [torch.load(folder / f"result.{rank}.pt") for rank in (0, 1)]
    one = train(folder / "one")
    return folder, one, two


def assert_alike(ours, theirs, **tolerance):
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, **tolerance)


def test_flags_and_means_are_of_both_processes(results):
    for one in results[2]:
        assert one["any"] == [True, False]
        assert one["mean"] == [0.5, 5.0]


def test_two_processes_have_the_gradients_of_one(results):
    _, (_, gradients, _), two = results
    assert len(gradients) > 20
    for result in two:
        assert_alike(result["gradients"], gradients, atol=1e-5, rtol=1e-3)


def test_two_processes_come_to_the_weights_of_one(results):
    _, (trainer, _, _), two = results
    ones = trainer.network.state_dict()
    for result in two:
        assert_alike(result["network"], ones, atol=1e-6, rtol=1e-5)


def test_both_processes_agree_to_the_bit(results):
    _, _, two = results
    for part in ("network", "average", "parts", "spoilt"):
        assert_alike(two[0][part], two[1][part], atol=0, rtol=0)


def test_both_processes_know_the_same_validation(results):
    _, _, two = results
    assert two[0]["checks"] == two[1]["checks"]
    assert [step for step, _, _ in two[0]["checks"]] == [2, 4, 5]


def test_only_the_first_process_writes_files(results):
    folder, _, _ = results
    names = {path.name for path in (folder / "whole").iterdir()}
    assert {"last.pt", "best.pt", "log.csv", "validation.csv", "curve.png"} <= names
    assert not list((folder / "whole1").iterdir())


def test_a_resumed_group_goes_on_from_the_first_ones_checkpoint(results):
    _, _, two = results
    assert_alike(two[0]["parts"], two[0]["network"], atol=1e-6, rtol=1e-5)


def test_a_nan_in_one_process_rolls_back_both(results):
    _, _, two = results
    assert [result["spoilt_at"] for result in two] == [(5, 1), (5, 1)]
    # The gradients are summed over both, so the first process finds it there.
    assert "gradient not finite at step 3: back to step 2" in two[0]["messages"][0]
    assert "loss not finite at step 3: back to step 2" in two[1]["messages"][0]


def test_a_batch_must_divide_over_the_processes(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(TrainingError, match="does not divide over 3") as caught:
        Group(CPU).share_of(4)
    assert "batch=6" in caught.value.hint


def test_batch_norms_are_joined_on_gpus_only(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    from vfxmatte.network.dim import DeepImageMatting

    config = DimConfig(width=0.0625, batch_norm=True)
    plain = Group(CPU).prepare(DeepImageMatting(config))
    joined = Group(torch.device("cuda")).prepare(DeepImageMatting(config))
    kinds = [[type(module) for module in n.modules()] for n in (plain, joined)]
    assert [modules.count(torch.nn.SyncBatchNorm) for modules in kinds] == [0, 20]
    assert plain.state_dict().keys() == joined.state_dict().keys()
