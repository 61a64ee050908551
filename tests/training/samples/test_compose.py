"""Composites: reproducible, exact where everything is off, and each switch does what it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from training.elements.pack import Background, Element, Pack
from training.samples.bank import PictureBank
from training.samples.compose import Batch, Compositor, over
from training.samples.synthesis import SynthesisConfig
from vfxmatte.colour import decode_srgb, encode_for_network

CPU = torch.device("cpu")
PLAIN = SynthesisConfig.plain(64)
PARTS = ("image", "trimap", "alpha", "foreground", "background")


def make(pack, config=PLAIN, count=4, seed=5):
    return Compositor(PictureBank(pack, CPU), config).batch(count, seed)


def same(a: Batch, b: Batch) -> bool:
    return all(torch.equal(getattr(a, part), getattr(b, part)) for part in PARTS)


@pytest.mark.parametrize(
    "config",
    [PLAIN, SynthesisConfig(crop_px=64), SynthesisConfig(crop_px=64, moving_pairs=True),
     replace(SynthesisConfig.paper(), crop_px=64)],
    ids=["plain", "better", "pairs", "paper"],
)  # fmt: skip
def test_the_same_seed_gives_the_same_batch_to_the_bit(small_pack, config):
    first = make(small_pack, config)
    assert same(first, make(small_pack, config))
    assert not same(first, make(small_pack, config, seed=6))


def test_shapes_and_ranges(small_pack):
    for seed in range(4):
        batch = make(small_pack, SynthesisConfig(crop_px=64), count=6, seed=seed)
        assert batch.input.shape == (6, 4, 64, 64)
        assert batch.alpha.shape == batch.trimap.shape == batch.unknown.shape == (6, 1, 64, 64)
        assert batch.alpha.min() >= 0 and batch.alpha.max() <= 1
        assert batch.image.min() >= -0.1 and batch.image.max() <= 1.2
        assert torch.isfinite(batch.input).all()
        assert set(batch.trimap.unique().tolist()) <= {0.0, 0.5, 1.0}


def numpy_parts(batch):
    """Scene-linear foreground and background, and alpha, (N, H, W, C) float64."""
    planes = (batch.foreground, batch.background, batch.alpha)
    f, b, a = (plane.permute(0, 2, 3, 1).numpy().astype(np.float64) for plane in planes)
    return decode_srgb(f), decode_srgb(b), a


def test_all_off_is_the_plain_composite_in_linear_light(small_pack):
    batch = make(small_pack)
    f, b, a = numpy_parts(batch)
    expected = encode_for_network(a * f + (1 - a) * b)
    np.testing.assert_allclose(batch.image.permute(0, 2, 3, 1), expected, atol=2e-5)


def test_all_off_leaves_foreground_background_and_alpha_as_they_are(small_pack):
    element, background = small_pack.elements[0], small_pack.backgrounds[0]
    pack = Pack(elements=(element,), backgrounds=(background,))
    batch = make(pack, count=1)
    alpha = torch.from_numpy(element.alpha).float() / 255
    patches = alpha.unfold(0, 64, 1).unfold(1, 64, 1)
    distances = (patches - batch.alpha[0, 0]).abs().amax((2, 3))
    assert distances.min() < 1e-3  # some crop of the element, unscaled, to half precision
    top, left = divmod(int(distances.argmin()), distances.shape[1])
    colour = torch.from_numpy(element.colour[top : top + 64, left : left + 64]).float() / 255
    solid = batch.alpha[0, 0] > 0.1
    shown = batch.foreground[0].permute(1, 2, 0)
    assert (shown - colour)[solid].abs().max() < 2e-3
    plate = torch.from_numpy(background.colour).permute(2, 0, 1).float() / 255
    cuts = plate.unfold(1, 64, 1).unfold(2, 64, 1)
    assert (cuts - batch.background[0].unsqueeze(1).unsqueeze(1)).abs().amax((0, 3, 4)).min() < 1e-4


def test_all_off_encoded_is_the_plain_composite_of_encoded_values(small_pack):
    batch = make(small_pack, SynthesisConfig.plain(64, linear_light=False))
    expected = batch.alpha * batch.foreground + (1 - batch.alpha) * batch.background
    torch.testing.assert_close(batch.image, expected, atol=1e-6, rtol=0)


def test_light_and_encoded_mixtures_differ_only_where_alpha_is_soft(small_pack):
    linear, encoded = make(small_pack), make(small_pack, replace(PLAIN, linear_light=0.0))
    difference = (linear.image - encoded.image).abs().amax(1, keepdim=True)
    soft = (linear.alpha > 0) & (linear.alpha < 1)
    assert difference[soft].max() > 0.01
    assert difference[~soft].max() < 1e-5


def test_linear_light_holds_with_everything_else_on_but_the_codec(small_pack):
    config = SynthesisConfig(crop_px=64, linear_light=1.0, grain=0.0, compression=0.0)
    batch = make(small_pack, config, count=8)
    dim = (batch.foreground < 1) & (batch.background < 1) & (batch.alpha > 0.01)
    f, b, a = numpy_parts(batch)
    expected = torch.from_numpy(encode_for_network(a * f + (1 - a) * b)).permute(0, 3, 1, 2)
    assert (batch.image - expected).abs()[dim].max() < 1e-4


def test_two_foregrounds_join_their_coverage():
    a1, a2 = torch.tensor((0.0, 0.3, 1.0)), torch.tensor((0.5, 0.6, 0.2))
    front = torch.stack((a1 * 0.8, a1 * 0.1, a1 * 0.4, a1)).view(4, 1, 3)
    behind = torch.stack((a2 * 0.2, a2 * 0.9, a2 * 0.6, a2)).view(4, 1, 3)
    joined = over(front, behind)
    torch.testing.assert_close(joined[3, 0], 1 - (1 - a1) * (1 - a2))
    torch.testing.assert_close(joined[0, 0], a1 * 0.8 + (1 - a1) * a2 * 0.2)


def test_two_foregrounds_cover_more(small_pack):
    one, two = make(small_pack, count=8), make(small_pack, replace(PLAIN, two_foregrounds=1.0), 8)
    assert two.alpha.mean() > one.alpha.mean()


def flat_pack(element, grey=128):
    colour = np.full((80, 80, 3), grey, np.uint8)
    return Pack(elements=(element,), backgrounds=(Background(name="flat", colour=colour),))


@pytest.mark.parametrize(
    "change",
    [{"rotate_degrees": 30.0}, {"stretch": 1.25}, {"shear_degrees": 10.0}, {"zoom": (1.5, 1.6)},
     {"zoom_choices": (2.0,)}, {"two_foregrounds": 1.0}, {"defocus": 1.0}, {"motion_blur": 1.0}],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_a_switch_of_the_shape_changes_alpha(small_pack, change):
    assert not torch.equal(make(small_pack).alpha, make(small_pack, replace(PLAIN, **change)).alpha)


@pytest.mark.parametrize(
    "change",
    [{"colour_jitter": 0.4}, {"exposure_stops": 1.0}, {"white_balance": 0.15}],
    ids=lambda change: next(iter(change)),
)
def test_a_switch_of_colour_changes_both_colours_and_not_alpha(small_pack, change):
    plain, changed = make(small_pack), make(small_pack, replace(PLAIN, **change))
    assert torch.equal(plain.alpha, changed.alpha)
    assert not torch.equal(plain.foreground, changed.foreground)
    assert not torch.equal(plain.background, changed.background)


@pytest.mark.parametrize(
    "change",
    [{"similar_colours": 1.0}, {"background_blur": 1.0}, {"plain_background": 1.0},
     {"background_zoom": (0.5, 0.5)}],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_a_switch_of_the_background_leaves_the_foreground(small_pack, change):
    plain, changed = make(small_pack), make(small_pack, replace(PLAIN, **change))
    assert torch.equal(plain.alpha, changed.alpha)
    assert not torch.equal(plain.background, changed.background)
    solid = (plain.alpha > 0.5).expand_as(plain.foreground)
    assert torch.equal(plain.foreground[solid], changed.foreground[solid])


@pytest.mark.parametrize("change", [{"grain": 0.03}, {"compression": 1.0}], ids=["grain", "codec"])
def test_a_switch_of_the_degradation_changes_the_picture_alone(small_pack, change):
    plain, changed = make(small_pack), make(small_pack, replace(PLAIN, **change))
    assert not torch.equal(plain.image, changed.image)
    for part in ("alpha", "foreground", "background", "trimap"):
        assert torch.equal(getattr(plain, part), getattr(changed, part))


def test_light_wrap_brightens_the_rim_and_nothing_else(small_pack):
    plain = make(small_pack)
    wrapped = make(small_pack, replace(PLAIN, light_wrap=1.0))
    gain = (wrapped.image - plain.image).amax(1, keepdim=True)
    assert torch.equal(plain.alpha, wrapped.alpha)
    assert gain.max() > 0.01
    assert gain[plain.alpha == 0].abs().max() < 1e-6


def test_similar_colours_bring_the_background_to_the_foreground(small_pack):
    plain = make(small_pack, count=8)
    near = make(small_pack, replace(PLAIN, similar_colours=1.0), count=8)

    def apart(batch):
        weight = batch.alpha
        mean = (batch.foreground * weight).sum((2, 3)) / weight.sum((2, 3))
        return (mean - batch.background.mean((2, 3))).abs().mean()

    assert apart(near) < 0.5 * apart(plain)


def test_flip_mirrors_about_half_of_the_samples(small_pack):
    never, always = make(small_pack, count=8), make(small_pack, replace(PLAIN, flip=1.0), 8)
    torch.testing.assert_close(always.alpha, never.alpha.flip(-1), atol=1e-5, rtol=0)
    halves = make(small_pack, replace(PLAIN, flip=0.5), count=8).alpha
    flipped = [torch.equal(a, b) for a, b in zip(halves, always.alpha, strict=True)]
    assert 0 < sum(flipped) < 8


def test_dilation_only_keeps_the_foreground_known_up_to_the_edge(small_pack):
    config = replace(PLAIN, erode_foreground=False)
    batch = make(small_pack, config)
    assert torch.equal(batch.trimap == 1, batch.alpha >= 0.99)


def test_the_chosen_foreground_and_background_are_used(small_pack):
    def solid(name, value):
        alpha = np.zeros((64, 64), np.uint8)
        alpha[:, :32], alpha[:, 32] = 255, 128
        colour = np.full((64, 64, 3), value, np.uint8)
        return Element(name=name, kind="x", colour=colour, alpha=alpha)

    pack = Pack(
        elements=tuple(solid(f"e{v}", v) for v in (60, 120, 180)),
        backgrounds=tuple(
            Background(name=f"b{v}", colour=np.full((70, 70, 3), v, np.uint8)) for v in (20, 220)
        ),
    )
    compositor = Compositor(PictureBank(pack, CPU), PLAIN)
    batch = compositor.batch(3, 1, chosen=[(2, 0), (0, 1), (1, 0)])
    places = [
        (round(255 * float(f[0, 32, 4])), round(255 * float(b[0, 0, 0])))
        for f, b in zip(batch.foreground, batch.background, strict=True)
    ]
    assert places == [(180, 20), (60, 220), (120, 20)]


PAIRS = SynthesisConfig(
    crop_px=64, moving_pairs=True, grain=0.0, compression=0.0, band_px=(4, 4), band_wobble=0.0
)


def test_the_second_half_follows_the_first(small_pack):
    batch = make(small_pack, PAIRS, count=12)
    assert batch.moving_pairs
    first, second = batch.alpha[:6], batch.alpha[6:]
    follows = (first - second).abs().mean((1, 2, 3))
    stranger = (first - second.roll(1, 0)).abs().mean((1, 2, 3))
    assert (follows > 0).all()
    assert follows.mean() < 0.5 * stranger.mean()


def test_a_pair_shares_its_colours(small_pack):
    config = replace(PAIRS, background_blur=0.0, similar_colours=0.0, plain_background=0.0)
    batch = make(small_pack, config, count=12)
    means = batch.background.mean((2, 3))
    assert (means[:6] - means[6:]).abs().max() < 0.06
    assert (means[:6] - means[6:].roll(1, 0)).abs().max() > 0.1


def test_a_pair_of_a_still_library_without_motion_would_be_equal(small_pack):
    batch = make(small_pack, replace(PAIRS, plain_background=1.0), count=4)
    torch.testing.assert_close(batch.background[:2], batch.background[2:])


def test_parts_together_are_the_batch(small_pack):
    batch = make(small_pack, count=5)
    parts = [batch.part(start, start + 2) for start in (0, 2, 4)]
    assert [len(part.image) for part in parts] == [2, 2, 1]
    for name in PARTS:
        whole = torch.cat([getattr(part, name) for part in parts])
        assert torch.equal(whole, getattr(batch, name))


def test_parts_of_moving_pairs_hold_whole_pairs(small_pack):
    batch = make(small_pack, PAIRS, count=8)
    parts = [batch.part(start, start + 4) for start in (0, 4)]
    assert all(part.moving_pairs and len(part.image) == 4 for part in parts)
    for number, part in enumerate(parts):
        rows = slice(2 * number, 2 * number + 2)
        assert torch.equal(part.alpha[:2], batch.alpha[:4][rows])
        assert torch.equal(part.alpha[2:], batch.alpha[4:][rows])


def test_backgrounds_smaller_than_a_crop_are_enlarged(small_pack):
    tiny = Background(name="tiny", colour=small_pack.backgrounds[0].colour[:20, :31].copy())
    pack = Pack(elements=small_pack.elements, backgrounds=(tiny,))
    for config in (PLAIN, SynthesisConfig(crop_px=64), PAIRS):
        assert make(pack, config).background.shape == (4, 3, 64, 64)
