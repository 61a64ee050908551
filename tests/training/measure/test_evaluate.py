"""Test composites, predictors, evaluation of every kind of set, sheets and the command."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from training.cli import cli
from training.elements.pack import Background, Element, Pack, write_pack
from training.measure import predictors
from training.measure.evaluate import MEAN, evaluate
from training.measure.predictors import YARDSTICKS, CachedYardstick, Yardstick, open_predictor
from training.measure.samples import (
    BAND_PX,
    LEAST_SOLID,
    Sample,
    composite,
    composites,
    cut_background,
)
from training.measure.sheet import as_picture, save_sheet
from training.measure.test_sets import TestSet, open_test_sets
from vfxmatte.colour import decode_srgb
from vfxmatte.errors import OutputError, TrainingError, UsageError
from vfxmatte.review.metrics import matte_errors

SIDE = 64


def _disc(radius=20.0, x=0.0, side=SIDE):
    rows, columns = np.mgrid[0:side, 0:side] - (side - 1) / 2
    return np.clip((radius - np.hypot(columns - x, rows)) / 6 + 0.5, 0, 1).astype(np.float32)


def _pack():
    random = np.random.default_rng(0)
    alpha = np.round(_disc() * 255).astype(np.uint8)
    elements = tuple(
        Element(
            name=f"e{n}",
            kind="fur" if n < 2 else "hair",
            colour=np.full((SIDE, SIDE, 3), (200, 60 + 30 * n, 40), np.uint8),
            alpha=alpha,
        )
        for n in range(4)
    )
    backgrounds = tuple(
        Background(
            name=f"b{n}",
            colour=cv2.resize(random.integers(0, 120, (4, 6, 3), dtype=np.uint8), (90, 70)),
        )
        for n in range(3)
    )
    return Pack(
        elements=elements,
        backgrounds=backgrounds,
        held_out=frozenset({"e0", "e1", "e2"}),
        held_out_backgrounds=frozenset({"b0", "b1"}),
    )


class Half:
    """The prediction .5 everywhere."""

    name = "half"

    def __call__(self, image, labels):
        return np.full(labels.shape, 0.5, np.float32)


class TestComposites:
    def test_a_larger_set_contains_the_smaller_one(self):
        few = list(composites(_pack().validation(), per_element=1))
        many = {s.name: s for s in composites(_pack().validation(), per_element=3)}
        assert [s.name for s in few] == ["e0.00", "e1.00", "e2.00"] and len(many) == 9
        for sample in few:
            np.testing.assert_array_equal(sample.image, many[sample.name].image)
            np.testing.assert_array_equal(sample.labels, many[sample.name].labels)

    def test_pictures_of_an_element_and_seeds_differ(self):
        one, two = list(composites(_pack().validation(), per_element=2))[:2]
        assert np.abs(one.image - two.image).mean() > 0.01
        other = next(composites(_pack().validation(), seed=8))
        assert np.abs(one.image - other.image).mean() > 0.001

    def test_certain_labels_tell_the_truth_within_the_bands(self):
        for sample in composites(_pack().validation(), per_element=5):
            assert (sample.truth[sample.labels == 0] <= 0.02).all()
            assert (sample.truth[sample.labels == 255] >= 0.98).all()
            widest = np.count_nonzero(_disc(20 + 3 + BAND_PX[1]) > 0.02)
            assert 0 < np.count_nonzero(sample.labels == 128) <= widest

    def test_thin_foregrounds_keep_something_certain(self):
        for sample in composites(_pack().validation(), per_element=20):
            solid = np.count_nonzero(sample.truth >= 0.98)
            assert np.count_nonzero(sample.labels == 255) >= LEAST_SOLID * solid

    def test_mixing_is_linear_in_light(self):
        white = np.full((1, 1, 3), 255, np.uint8)
        black = np.zeros((1, 1, 3), np.uint8)
        mixed = composite(white, black, np.full((1, 1), 0.5, np.float32))
        np.testing.assert_allclose(decode_srgb(mixed), 0.5, atol=1e-5)
        np.testing.assert_allclose(mixed, 0.735, atol=1e-3)  # not .5: that would be encoded

    @pytest.mark.parametrize("shape", [(30, 40), (200, 100), (70, 90), (1, 1), (69, 500)])
    def test_backgrounds_of_any_size_fill_the_picture(self, shape):
        colour = np.full((70, 90, 3), 77, np.uint8)
        cut = cut_background(colour, shape, np.random.default_rng(0))
        assert cut.shape == (*shape, 3) and (cut == 77).all()

    def test_nothing_held_out_is_refused(self):
        with pytest.raises(TrainingError, match="0 held-out elements"):
            next(composites(Pack(elements=(), backgrounds=_pack().backgrounds)))

    def test_sizes_that_differ_are_refused(self):
        alpha, labels = np.zeros((4, 4), np.float32), np.zeros((5, 4), np.uint8)
        image = np.zeros((4, 4, 3), np.float32)
        with pytest.raises(TrainingError, match="differ in size"):
            Sample(name="a", kind="k", image=image, labels=labels, truth=alpha)


class TestPredictors:
    sample = next(composites(_pack().validation()))

    @pytest.mark.parametrize("name", YARDSTICKS)
    def test_yardsticks_are_near_the_truth_and_keep_known_pixels(self, name, tmp_path):
        predict = open_predictor(name, device="cpu", cache=tmp_path)
        alpha = predict(self.sample.image, self.sample.labels)
        assert alpha.dtype == np.float32 and alpha.shape == self.sample.labels.shape
        assert (alpha[self.sample.labels == 255] == 1).all()
        assert (alpha[self.sample.labels == 0] == 0).all()
        assert matte_errors(alpha, self.sample.truth, self.sample.labels).mad < 0.15

    def test_without_one_side_a_yardstick_gives_the_other(self):
        labels = np.full((SIDE, SIDE), 128, np.uint8)
        labels[0] = 0
        assert not YARDSTICKS["closed-form"](self.sample.image, labels).any()
        labels[0] = 255
        assert YARDSTICKS["closed-form"](self.sample.image, labels).all()

    def test_results_are_remembered_by_what_went_in(self, tmp_path):
        calls = []

        class Counting(Yardstick):
            def __call__(self, image, labels):
                calls.append(1)
                return np.full(labels.shape, 0.25, np.float32)

        predict = CachedYardstick(Counting("x", "closed-form"), tmp_path)
        first = predict(self.sample.image, self.sample.labels)
        again = predict(self.sample.image.copy(), self.sample.labels)
        assert len(calls) == 1
        np.testing.assert_allclose(again, first, atol=1e-5)
        predict(self.sample.image + np.float32(0.01), self.sample.labels)
        predict(self.sample.image, 255 - (self.sample.labels == 0).astype(np.uint8) * 255)
        assert len(calls) == 3
        next(tmp_path.glob("*.png")).write_bytes(b"damaged")
        predict(self.sample.image, self.sample.labels)
        predict(self.sample.image + np.float32(0.01), self.sample.labels)
        predict(self.sample.image, 255 - (self.sample.labels == 0).astype(np.uint8) * 255)
        assert len(calls) == 4

    def test_unknown_names_are_refused(self, tmp_path):
        with pytest.raises(UsageError, match="no weights file") as caught:
            open_predictor("closed", device="cpu", cache=tmp_path)
        assert "closed-form-linear" in caught.value.hint


def _write_png(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.round(pixels * 255) if pixels.dtype != np.uint8 else pixels
    pixels = pixels.astype(np.uint8)
    pixels = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())


@pytest.fixture
def photographs(tmp_path):
    for sample in composites(_pack().validation()):
        for folder, pixels in (
            ("input", sample.image),
            ("alpha", sample.truth),
            ("trimap1", sample.labels),
            ("trimap2", np.where(sample.labels == 0, 0, 128).astype(np.uint8)),
        ):
            _write_png(tmp_path / "photos" / folder / f"{sample.name}.png", pixels)
    return tmp_path / "photos"


@pytest.fixture
def shot(tmp_path):
    ground = cv2.resize(np.random.default_rng(0).random((9, 9, 3)), (SIDE, SIDE)) * 0.5
    for number in range(1001, 1005):
        alpha = _disc(18, x=(number - 1002) * 2.0)
        picture = 0.9 * alpha[..., None] + ground * (1 - alpha[..., None])
        _write_png(tmp_path / f"shots/a/plate/plate.{number}.png", picture)
        _write_png(tmp_path / f"shots/a/alpha/alpha.{number}.png", alpha)
    return tmp_path / "shots/a"


class TestEvaluate:
    def test_means_agree_with_the_metrics(self):
        samples = list(composites(_pack().validation()))
        errors = evaluate(TestSet(name="x", samples=lambda: iter(samples)), Half()).means
        assert list(errors) == ["fur", "hair", MEAN]
        each = [matte_errors(Half()(s.image, s.labels), s.truth, s.labels) for s in samples]
        assert errors["hair"] == each[2]
        assert errors[MEAN].sad == pytest.approx(np.mean([e.sad for e in each]))

    def test_a_pack(self, tmp_path):
        write_pack(tmp_path / "x.pack", _pack())
        (test_set,) = open_test_sets(tmp_path / "x.pack", per_element=2)
        seen = []
        result = evaluate(test_set, Half(), watch=lambda sample, alpha: seen.append(sample.name))
        assert len(result.pictures) == 6 == len(seen) and result.moving is None
        assert (result.count("fur"), result.count("hair"), result.count(MEAN)) == (4, 2, 6)
        assert json.loads(json.dumps(result.as_dict()))["means"]["fur"]["pictures"] == 4

    def test_photographs_make_a_set_for_each_trimap(self, photographs):
        one, two = open_test_sets(photographs)
        assert (one.name, two.name) == ("photos trimap1", "photos trimap2")
        narrow, wide = (evaluate(s, Half()).means[MEAN].unknown_px for s in (one, two))
        assert narrow < wide
        made = {s.name: s for s in composites(_pack().validation())}
        for sample in one.samples():
            np.testing.assert_allclose(sample.image, made[sample.name].image, atol=0.003)
            np.testing.assert_array_equal(sample.labels, made[sample.name].labels)
            np.testing.assert_allclose(sample.truth, made[sample.name].truth, atol=0.003)

    def test_bands_are_drawn_from_the_true_mattes(self, photographs, tmp_path):
        write_pack(tmp_path / "x.pack", _pack())
        for path, name in ((photographs, "photos"), (tmp_path / "x.pack", "x held out")):
            narrow, wide = open_test_sets(path, bands_px=(4, 12))
            assert (narrow.name, wide.name) == (f"{name}, 4 px bands", f"{name}, 12 px bands")
            for one, other in zip(narrow.samples(), wide.samples(), strict=True):
                assert (one.labels == 128).sum() < (other.labels == 128).sum()
                soft = (one.truth > 0.1) & (one.truth < 0.9)
                assert (one.labels[soft] == 128).all()

    def test_a_photograph_without_its_alpha_is_refused(self, photographs):
        (photographs / "alpha/e1.00.png").unlink()
        with pytest.raises(TrainingError, match=r"no alpha for e1\.00\.png"):
            evaluate(open_test_sets(photographs)[0], Half())

    def test_shots_get_errors_of_motion(self, shot):
        (test_set,) = open_test_sets(shot.parent, bands_px=(8,))
        assert test_set.moving and test_set.name == "a, 8 px bands"
        result = evaluate(test_set, Half())
        assert result.moving.frames == 4
        assert result.moving.ssda > 0 and result.moving.dtssd > 0 and result.moving.messddt > 0
        assert [p.name for p in result.pictures] == ["a.1001", "a.1002", "a.1003", "a.1004"]

    def test_the_truth_has_no_errors(self, shot):
        (test_set,) = open_test_sets(shot)
        truths = iter([s.truth for s in test_set.samples()])

        class Truth:
            name = "truth"

            def __call__(self, image, labels):
                return next(truths)

        result = evaluate(test_set, Truth())
        assert result.means[MEAN].sad == pytest.approx(0, abs=1e-3)
        assert result.moving.ssda < 0.2  # pixels that are certain may hide up to .02

    def test_a_shot_with_a_missing_frame_is_refused(self, shot):
        (shot / "plate/plate.1003.png").unlink()
        with pytest.raises(TrainingError) as caught:
            evaluate(open_test_sets(shot)[0], Half())
        assert caught.value.frame == 1003

    def test_a_folder_of_nothing_is_refused(self, tmp_path):
        with pytest.raises(TrainingError, match="nothing to evaluate on"):
            open_test_sets(tmp_path)


class TestCommand:
    def test_weights_and_yardsticks_in_one_table(self, tmp_path, monkeypatch):
        import torch

        from vfxmatte.network.dim import DeepImageMatting, DimConfig
        from vfxmatte.network.weights import save_weights

        torch.manual_seed(0)
        network = DeepImageMatting(DimConfig(width=0.06, fc6_channels=64)).fold()
        save_weights(tmp_path / "tiny.safetensors", network, name="tiny")
        write_pack(tmp_path / "x.pack", _pack())
        monkeypatch.chdir(tmp_path)
        arguments = ["evaluate", "tiny.safetensors", "closed-form", "x.pack", "--device", "cpu"]
        result = CliRunner().invoke(cli, [*arguments, "--json", "all.json", "--sheet", "sheet.png"])
        assert result.exit_code == 0, result.output
        assert "tiny" in result.output and "closed-form" in result.output
        results = {r["predictor"]: r for r in json.loads((tmp_path / "all.json").read_text())}
        assert (
            results["closed-form"]["means"]["mean"]["sad"] < results["tiny"]["means"]["mean"]["sad"]
        )
        assert cv2.imread("sheet.png").shape[1] == 5 * 260
        assert len(list((tmp_path / ".cache/evaluate").glob("*.png"))) == 3

    def test_json_on_the_screen_is_only_json(self, tmp_path, monkeypatch):
        monkeypatch.setitem(predictors.YARDSTICKS, "half", Yardstick("half", "closed-form"))
        write_pack(tmp_path / "x.pack", _pack())
        arguments = ["evaluate", "half", str(tmp_path / "x.pack"), "--json", "-"]
        result = CliRunner().invoke(cli, [*arguments, "--cache", str(tmp_path / "cache")])
        assert json.loads(result.stdout)[0]["predictor"] == "half"

    def test_wrong_use(self, tmp_path):
        assert CliRunner().invoke(cli, ["evaluate", "closed-form"]).exit_code == 2
        result = CliRunner().invoke(cli, ["evaluate", "nothing", str(tmp_path)])
        assert result.exit_code == 2 and "yardsticks: closed-form" in result.output

    def test_help_lists_every_command(self):
        output = CliRunner().invoke(cli, ["--help"]).output
        for name in ("check", "pack", "train", "export", "evaluate"):
            assert f"\n  {name} " in output


class TestSheet:
    def test_rows_and_columns(self, tmp_path):
        rows = [[np.zeros((40, 80, 3), np.uint8), _disc()], [_disc()]]
        save_sheet(tmp_path / "s.png", rows, titles=["a", "b"], captions=[["x", "y"]], cell_px=60)
        sheet = cv2.imread(str(tmp_path / "s.png"))
        # a title, a row of 60 px, its caption, a row without one
        assert sheet.shape == (22 + 64 + 22 + 64, 2 * 64, 3)

    def test_pictures_of_all_types(self):
        assert as_picture(np.array([[0.0, 0.5, 2.0, np.nan]])).tolist() == [
            [[0] * 3, [128] * 3, [255] * 3, [0] * 3]
        ]
        assert as_picture(np.full((2, 2), 7, np.uint8)).shape == (2, 2, 3)

    def test_empty_and_unwritable_sheets(self, tmp_path):
        with pytest.raises(ValueError, match="at least one"):
            save_sheet(tmp_path / "s.png", [])
        with pytest.raises(OutputError, match="cannot be written"):
            save_sheet(tmp_path / "none/s.png", [[_disc()]])
