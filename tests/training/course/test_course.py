"""The course recipe: its library of pictures with mattes, its training and its table."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from tests.training.conftest import blotches, drawn_pack, soft_disc
from training.cli import cli
from training.config import Phase
from training.course.batches import MattedBatches, augment
from training.course.layout import MattedFile, open_matted, read_matted
from training.course.rendered import RenderedSize, write_rendered
from training.course.settings import MattedConfig
from training.course.table import errors, load_run, samples_of
from training.elements.pack import Pack, write_pack
from training.loop.starts import load_encoder
from training.loop.trainer import Trainer
from training.recipes import load_config, open_source
from training.samples.sources import PackSource
from vfxmatte.errors import OutputError, TrainingError
from vfxmatte.network.course import CourseConfig
from vfxmatte.types import UNKNOWN

CPU = torch.device("cpu")
TINY = {
    "network.width": "0.0625", "matted.width_px": "64", "matted.height_px": "64",
    "synthesis.band_px": "[1, 4]", "batch": "4", "validate_every": "1000",
}  # fmt: skip


def tiny(**more):
    return load_config("course", None, TINY | more)


def batches_of(matted, config):
    return MattedBatches(matted, config.matted, config.synthesis, CPU)


def write(path, picture):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """Ten discs on backgrounds, 60×80 px, as a library of pictures with mattes."""
    folder = tmp_path_factory.mktemp("drawn")
    for number in range(10):
        disc = soft_disc("disc", side=80, seed=number)
        alpha = disc.alpha[:, 10:70]
        behind = blotches("b", height=80, width=60, seed=number).colour
        share = alpha[..., None] / 255
        image = disc.colour[:, 10:70] * share + behind * (1 - share)
        write(folder / "images" / f"p{number}.png", image.astype(np.uint8))
        write(folder / "mattes" / f"p{number}.png", alpha)
    return folder


# -- the network ------------------------------------------------------------------------------


def test_a_vgg_fits_behind_the_adapter(tmp_path):
    torch.manual_seed(1)
    network = CourseConfig(width=0.0625).build()
    layers = [layer.conv for block in network.encoder.blocks for layer in block]
    places = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    tensors = {f"features.{n}.{part}": torch.randn_like(getattr(layer, part))
               for n, layer in zip(places, layers, strict=True)
               for part in ("weight", "bias")}  # fmt: skip
    torch.save(tensors, tmp_path / "vgg.pth")
    lines = load_encoder(network, tmp_path / "vgg.pth")
    assert lines == [
        "encoder: 13 convolutions from vgg.pth",
        "adapter: passes the three colours on",
    ]
    picture = torch.rand(1, 4, 8, 8)
    torch.testing.assert_close(network.encoder.adapter(picture), picture[:, :3])
    assert torch.equal(layers[0].weight, tensors["features.0.weight"])


# -- the library ------------------------------------------------------------------------------


def test_pictures_go_with_the_mattes_of_their_names(drawn):
    matted = open_matted(drawn, MattedConfig())
    assert [f.name for f in matted.files] == [f"p{n}" for n in range(10)]
    assert all(f.image.stem == f.matte.stem == f.name for f in matted.files)
    colour, alpha = read_matted(matted.files[3])
    truth = cv2.imread(str(drawn / "mattes" / "p3.png"), cv2.IMREAD_GRAYSCALE)
    assert colour.shape == (80, 60, 3)
    np.testing.assert_allclose(alpha * 255, truth, atol=1e-3)


def test_a_fifth_is_held_out_and_stays_so(drawn):
    matted = open_matted(drawn, MattedConfig())
    assert len(matted.held_out) == 2
    assert matted == open_matted(drawn, MattedConfig())
    seen = {f.name for f in matted.training().files}
    assert seen | matted.held_out == {f.name for f in matted.files}
    assert not seen & {f.name for f in matted.validation().files}
    others = {open_matted(drawn, MattedConfig(split_seed=s)).held_out for s in range(5)}
    assert len(others) > 1


def test_a_part_is_taken_evenly(drawn):
    matted = open_matted(drawn, MattedConfig())
    assert [f.name for f in matted.evenly(4).files] == ["p0", "p2", "p5", "p7"]
    assert matted.evenly(None) is matted.evenly(10) is matted


@pytest.fixture()
def small_library(tmp_path):
    """Three pictures that the test may spoil."""
    for name in "abc":
        write(tmp_path / "images" / f"{name}.png", np.full((40, 40, 3), 90, np.uint8))
        matte = np.zeros((40, 40), np.uint8)
        matte[10:30, 10:30] = 255
        write(tmp_path / "mattes" / f"{name}.png", matte)
    return tmp_path


def test_a_written_split_is_kept_to(small_library):
    (small_library / "held_out.txt").write_text("# ours\nb\n\n")
    assert open_matted(small_library, MattedConfig()).held_out == {"b"}
    (small_library / "held_out.txt").write_text("d\n")
    with pytest.raises(TrainingError, match=r"no picture 'd'.*held_out\.txt"):
        open_matted(small_library, MattedConfig())
    (small_library / "held_out.txt").write_text("a\nb\nc\n")
    with pytest.raises(TrainingError, match="nothing to train on"):
        open_matted(small_library, MattedConfig())


@pytest.mark.parametrize(
    ("gone", "words"),
    [("mattes/b.png", r"no matte.*images/b\.png"), ("images/c.png", r"no picture.*mattes/c\.png")],
)
def test_missing_partners_are_named(small_library, gone, words):
    (small_library / gone).unlink()
    with pytest.raises(TrainingError, match=words):
        open_matted(small_library, MattedConfig())


def test_two_files_of_one_name_are_refused(small_library):
    write(small_library / "images" / "a.jpg", np.zeros((40, 40, 3), np.uint8))
    with pytest.raises(TrainingError, match=r"two files have the name a: a\.jpg and a\.png"):
        open_matted(small_library, MattedConfig())


def test_folders_may_have_other_names(small_library):
    (small_library / "images").rename(small_library / "clip_img")
    with pytest.raises(TrainingError, match=r"no such folder.*images"):
        open_matted(small_library, MattedConfig())
    assert len(open_matted(small_library, MattedConfig(images="clip_img")).files) == 3


def colourful():
    matte = np.zeros((40, 40, 3), np.uint8)
    matte[10:30, 10:30] = (255, 0, 0)
    return matte


@pytest.mark.parametrize(
    ("matte", "words"),
    [
        (np.zeros((50, 40), np.uint8), r"the matte is 40×50 px, its picture 40×40 px"),
        (colourful(), r"not grey: its channels differ by up to 1\.00"),
        (np.zeros((40, 40), np.uint8), "the matte is empty"),
        (np.full((40, 40), 255, np.uint8), "opaque everywhere"),
    ],
)
def test_unusable_mattes_are_named(small_library, matte, words):
    if matte.shape[0] != 40:
        matte[10:30, 10:30] = 255
    write(small_library / "mattes" / "b.png", matte)
    (small_library / "held_out.txt").write_text("a\n")
    with pytest.raises(TrainingError, match=words + r".*mattes/b\.png"):
        batches_of(open_matted(small_library, MattedConfig()).training(), tiny())


def test_a_matte_may_be_an_alpha_channel(small_library):
    cut_out = np.dstack((colourful(), np.full((40, 40), 7, np.uint8)))
    write(small_library / "mattes" / "b.png", cut_out)
    files = {f.name: f for f in open_matted(small_library, MattedConfig()).files}
    assert read_matted(files["b"])[1] == pytest.approx(7 / 255)


# -- batches ----------------------------------------------------------------------------------


def test_batches_hold_the_pictures_at_the_size_asked_for(drawn):
    config = tiny(**{"matted.augmented": "0", "matted.width_px": "60", "matted.height_px": "100"})
    batches = batches_of(open_matted(drawn, config.matted), config)
    batch = batches.batch(2, 5, chosen=[(4, 0), (7, 0)])
    assert batch.image.shape == (2, 3, 96, 64) and batch.alpha.shape == (2, 1, 96, 64)
    truth = cv2.imread(str(drawn / "mattes" / "p7.png"), cv2.IMREAD_GRAYSCALE)
    wanted = cv2.resize(truth.astype(np.float32) / 255, (64, 96))
    assert np.abs(batch.alpha[1, 0].numpy() - wanted).max() < 0.01
    assert set(batch.trimap.unique().tolist()) == {0, 0.5, 1}
    soft = (batch.alpha > 0.02) & (batch.alpha < 0.98)
    assert bool((batch.trimap[soft] == 0.5).all())
    again = batches.batch(2, 5, chosen=[(4, 0), (7, 0)])
    assert torch.equal(again.trimap, batch.trimap)


def test_half_of_the_pictures_are_flipped_or_turned():
    pictures = torch.rand((400, 4, 12, 8), generator=torch.Generator().manual_seed(1))
    rng = torch.Generator().manual_seed(2)
    changed = augment(pictures, MattedConfig(augmented=0.5), rng)
    same = [torch.equal(a, b) for a, b in zip(pictures, changed, strict=True)]
    flipped = [torch.equal(a.flip(-1), b) for a, b in zip(pictures, changed, strict=True)]
    turned = 400 - sum(same) - sum(flipped)
    assert sum(same) == pytest.approx(200, abs=35)
    assert sum(flipped) == pytest.approx(100, abs=35) and turned == pytest.approx(100, abs=35)
    untouched = augment(pictures, MattedConfig(augmented=0), rng)
    assert torch.equal(untouched, pictures)


def test_a_turn_keeps_shapes():
    """A quarter turn of a square in a picture that is not square."""
    picture = torch.zeros((64, 1, 33, 65))
    picture[:, :, 12:21, 40:49] = 1  # 12 px to the right of the middle
    turned = augment(picture, MattedConfig(augmented=1, rotate_degrees=90), torch.Generator())
    sums = turned.sum((1, 2, 3))
    inside = (sums - 81).abs() < 3
    assert inside.sum() > 30, "its area stays, wherever it does not leave the picture"
    rows, columns = torch.meshgrid(torch.arange(33.0), torch.arange(65.0), indexing="ij")
    y = (turned[:, 0] * rows).sum((1, 2)) / sums - 16
    x = (turned[:, 0] * columns).sum((1, 2)) / sums - 32
    torch.testing.assert_close(
        torch.hypot(x, y)[inside], torch.full_like(x[inside], 12.0), atol=0.3, rtol=0
    )


# -- the recipe -------------------------------------------------------------------------------


def test_the_recipe_is_the_published_one():
    config = load_config("course", None, {})
    (phase,) = config.phases
    assert config.network == CourseConfig()
    assert (config.batch, phase.lr, phase.final_lr, phase.epochs) == (64, 0.01, 1.0, 10)
    assert phase.learning_rate(0) == phase.learning_rate(99) == 0.01
    assert (config.matted.width_px, config.matted.height_px) == (600, 800)
    assert config.matted.size_px == (800, 608)
    assert (config.matted.augmented, config.matted.held_out) == (0.5, 0.2)
    weights = config.losses
    assert (weights.alpha, weights.composition, weights.l1, weights.laplacian) == (1, 0, 0, 0)


@pytest.mark.parametrize(("pictures", "steps"), [(640, 100), (641, 101), (10, 2)])
def test_epochs_are_counted_in_steps(pictures, steps):
    config = load_config("course", None, {}).in_steps(pictures)
    assert config.total_steps == steps and config.phases[0].epochs == 0
    assert config.in_steps(9999).total_steps == steps


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"losses.composition": "0.5"}, "finished photographs have none"),
        ({"synthesis.moving_pairs": "true"}, "no next frame"),
        ({"network.prior": "true", "prior_context_px": "512"}, "photographs are none"),
        ({"order": "random"}, "counts epochs"),
        ({"matted.augmented": "1.5"}, "matted.augmented must be 0 to 1"),
        ({"matted.width_px": "8"}, "matted.width_px must be 32 or more"),
    ],
)
def test_what_photographs_cannot_do_is_refused(settings, words):
    with pytest.raises(TrainingError, match=words):
        load_config("course", None, settings)


def test_a_phase_without_steps_or_epochs_is_refused():
    with pytest.raises(TrainingError, match="steps"):
        Phase(name="none", trains="stage1", lr=0.1)


def test_the_library_must_be_of_the_recipe_s_kind(drawn, tmp_path):
    write_pack(tmp_path / "drawn.pack", drawn_pack())
    with pytest.raises(TrainingError, match=r"(?s)course trains on a folder.*course-set"):
        open_source(tmp_path / "drawn.pack", tiny())
    with pytest.raises(TrainingError, match="small trains on a pack"):
        open_source(drawn, load_config("small", None, {}))


def test_a_training_lowers_the_loss_and_sees_every_picture_in_an_epoch(drawn, tmp_path):
    config = tiny(**{
        "phases.0.epochs": "30", "log_every": "2", "phases.0.lr": "0.003", "optimiser": "adam",
    })  # fmt: skip
    trainer = Trainer(open_source(drawn, config), config, tmp_path, CPU)
    assert trainer.config.total_steps == 60, "30 epochs of 8 pictures in batches of 4"
    first = [trainer._batch_of(step) for step in range(2)]
    assert trainer.epochs is not None
    assert sorted(n for n, _ in trainer.epochs.samples(0, 8)) == list(range(8))
    assert not torch.equal(first[0].image, first[1].image)
    events = list(trainer.run())
    losses = [e.losses["loss"] for e in events if hasattr(e, "losses")]
    assert np.mean(losses[-5:]) < 0.75 * np.mean(losses[:3])
    (validation,) = [e for e in events if hasattr(e, "mad")]
    assert 0 < validation.mad < 0.4
    assert (tmp_path / "validation.0000060.png").is_file()


# -- from a pack to the table -----------------------------------------------------------------


@pytest.fixture(scope="module")
def portrait_pack():
    names = [f"{n}_portrait" for n in range(5)]
    return Pack(
        elements=tuple(soft_disc(n, seed=s, kind="portrait") for s, n in enumerate(names)),
        backgrounds=tuple(blotches(f"b{n}", seed=20 + n) for n in range(4)),
        held_out=frozenset({"3_portrait"}),
        held_out_backgrounds=frozenset({"b0"}),
    )


def test_what_the_pack_holds_out_stays_held_out(portrait_pack, tmp_path):
    size = RenderedSize(width_px=36, height_px=48, per_element=2, per_held_out=3)
    assert write_rendered(portrait_pack, tmp_path / "set", size) == (8, 3)
    matted = open_matted(tmp_path / "set", MattedConfig())
    assert {f.name for f in matted.validation().files} == {f"3_portrait_0{n}" for n in range(3)}
    colour, alpha = read_matted(matted.files[0])
    assert colour.shape == (48, 36, 3) and 0.1 < alpha.mean() < 0.6
    with pytest.raises(OutputError, match="something already"):
        write_rendered(portrait_pack, tmp_path / "set", size)
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


def test_a_pack_without_the_kind_is_refused(portrait_pack, tmp_path):
    with pytest.raises(TrainingError, match="kinds: portrait"):
        write_rendered(portrait_pack, tmp_path / "set", RenderedSize(), kind="fur")
    assert not list(tmp_path.iterdir())


def test_errors_are_of_the_unknown_region_and_of_the_whole(drawn):
    config = tiny()
    samples = samples_of(open_matted(drawn, config.matted), config)
    assert len(samples) == 10
    exact = errors(lambda sample: sample.truth, samples)
    assert exact.unknown == exact.whole == 0
    off = errors(lambda s: np.where(s.labels == UNKNOWN, s.truth + 0.1, s.truth), samples)
    share = np.mean([(s.labels == UNKNOWN).mean() for s in samples])
    assert off.unknown == pytest.approx(0.1) and off.whole == pytest.approx(0.1 * share)


def test_from_the_command_line(portrait_pack, tmp_path):
    write_pack(tmp_path / "p.pack", portrait_pack)
    steps = [
        ["course-set", "p.pack", "-o", "set", "--width", "36", "--height", "48"],
        ["train", "set", "-o", "run", "--recipe", "course", "--device", "cpu"]
        + [part for k, v in TINY.items() for part in ("--set", f"{k}={v}")]
        + ["--set", "phases.0.epochs=1"],
        ["course-table", "set", "run", "--json", "table.json"],
    ]
    for step in steps:
        paths = [str(tmp_path / s) if s in ("p.pack", "set", "run", "table.json") else s
                 for s in step]  # fmt: skip
        result = CliRunner().invoke(cli, paths)
        assert result.exit_code == 0, result.output
    assert "16 of those trained on" in result.output and "7 held out" in result.output
    (row,) = json.loads((tmp_path / "table.json").read_text())
    assert row["method"] == "run" and 0 < row["test"]["whole"] < row["test"]["unknown"] < 1
    config, network = load_run(tmp_path / "run")
    assert config.matted.size_px == (64, 64) and config.synthesis.band_px == (1, 4)
    assert network.config == CourseConfig(width=0.0625)


def test_a_run_of_an_earlier_version_goes_on(drawn, tmp_path):
    """Its checkpoint does not name the architecture."""
    config = tiny()
    trainer = Trainer(open_source(drawn, config), config, tmp_path, CPU)
    list(trainer.run(until=1))
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    del state["config"]["architecture"]
    state["config"]["network"] |= {"pools": 4, "adapter": True}
    torch.save(state, tmp_path / "last.pt")
    again = Trainer(open_source(drawn, config), config, tmp_path, CPU)
    assert again.resume() and again.step == 1
    assert load_run(tmp_path)[1].config == CourseConfig(width=0.0625)


def test_a_run_on_composites_is_not_for_the_table(small_pack, tmp_path):
    config = load_config("small", None, {"network.width": "0.0625", "synthesis.crop_px": "64"})
    list(Trainer(PackSource(small_pack), config, tmp_path, CPU).run(until=1))
    with pytest.raises(TrainingError, match=r"not trained on photographs.*last\.pt"):
        load_run(tmp_path)
    with pytest.raises(TrainingError, match="no checkpoint"):
        load_run(tmp_path / "nowhere")


def test_a_broken_picture_is_named(small_library):
    (small_library / "images" / "b.png").write_bytes(b"no picture")
    file = MattedFile(name="b", image=small_library / "images" / "b.png",
                      matte=small_library / "mattes" / "b.png")  # fmt: skip
    with pytest.raises(Exception, match=r"images/b\.png"):
        read_matted(file)
