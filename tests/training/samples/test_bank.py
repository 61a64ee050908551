"""Pictures on the device: what is held, and what is cut from it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.elements.pack import Background, Element, Pack
from training.samples.bank import PictureBank
from vfxmatte.colour import decode_srgb
from vfxmatte.errors import TrainingError

CPU = torch.device("cpu")


def pose(x, y, zoom=1.0):
    return torch.tensor(((zoom, 0.0, x), (0.0, zoom, y)))


def test_foregrounds_are_premultiplied_and_linear(small_pack):
    element = small_pack.elements[0]
    held = PictureBank(small_pack, CPU).foregrounds[0].premultiplied.float()
    alpha = element.alpha.astype(np.float32) / 255
    expected = decode_srgb(element.colour.astype(np.float32) / 255) * alpha[..., None]
    np.testing.assert_allclose(held[:3].permute(1, 2, 0), expected, atol=5e-4)
    np.testing.assert_allclose(held[3], alpha, atol=3e-4)


def test_sixteen_bit_alpha_means_the_same(small_pack):
    element = small_pack.elements[0]
    deep = Element(
        name="deep", kind="disc", colour=element.colour, alpha=element.alpha.astype("u2") * 257
    )
    pack = Pack(elements=(element, deep), backgrounds=small_pack.backgrounds)
    first, second = PictureBank(pack, CPU).foregrounds
    torch.testing.assert_close(first.premultiplied, second.premultiplied)


def test_crops_are_centred_on_soft_pixels(small_pack):
    element = small_pack.elements[0]
    centres = PictureBank(small_pack, CPU).foregrounds[0].centres
    chosen = element.alpha[centres[:, 0], centres[:, 1]]
    assert len(chosen) > 50
    assert chosen.min() > 0
    assert chosen.max() < 255


def test_a_crop_at_zoom_one_is_the_pictures_own_pixels(small_pack):
    bank = PictureBank(small_pack, CPU)
    cut = bank.sample_foreground(0, pose(31.5, 47.5), 32)
    source = bank.foregrounds[0].premultiplied.float()
    torch.testing.assert_close(cut, source[:, 32:64, 16:48], atol=1e-5, rtol=0)


@pytest.mark.parametrize("side", [64, 63])
def test_a_crop_of_half_size_is_the_mean_of_two_by_two(small_pack, side):
    bank = PictureBank(small_pack, CPU)
    source = bank.foregrounds[0].premultiplied.float()[:, :side, :side]
    even = source[:, :32, :32]
    bank.foregrounds[0] = type(bank.foregrounds[0])(
        name="", kind="", premultiplied=source, centres=bank.foregrounds[0].centres, is_cut=False
    )
    cut = bank.sample_foreground(0, pose(15.5, 15.5, 2.0), 16)
    expected = torch.nn.functional.avg_pool2d(even[None], 2)[0]
    torch.testing.assert_close(cut, expected, atol=1e-5, rtol=0)


def test_outside_the_element_there_is_nothing(small_pack):
    cut = PictureBank(small_pack, CPU).sample_foreground(0, pose(0.0, 0.0), 32)
    assert cut[:, :15, :15].abs().max() == 0


def test_an_element_that_is_cut_goes_on_mirrored_when_asked(small_pack):
    disc = small_pack.elements[0]
    half = Element(
        name="half", kind="disc", colour=disc.colour[:48].copy(), alpha=disc.alpha[:48].copy()
    )
    pack = Pack(elements=(disc, half), backgrounds=small_pack.backgrounds)
    bank = PictureBank(pack, CPU)
    assert [foreground.is_cut for foreground in bank.foregrounds] == [False, True]
    at = pose(47.5, 47.5)
    mirrored = bank.sample_foreground(1, at, 32, mirror_cut=True)
    torch.testing.assert_close(mirrored[:, 16:], mirrored[:, :16].flip(1), atol=1e-5, rtol=0)
    empty = bank.sample_foreground(1, at, 32)
    assert torch.equal(empty[:, :16], mirrored[:, :16])
    assert empty[:, 16:].abs().max() == 0
    beside = pose(0.0, 0.0)
    whole = [bank.sample_foreground(0, beside, 32, mirror_cut=m) for m in (True, False)]
    assert torch.equal(*whole)


def test_a_background_smaller_than_a_crop_is_enlarged(small_pack):
    gradient = np.tile(np.arange(0, 240, 10, dtype=np.uint8)[None, :, None], (20, 1, 3))
    pack = Pack(
        elements=small_pack.elements, backgrounds=(Background(name="tiny", colour=gradient),)
    )
    cut = PictureBank(pack, CPU).sample_backdrop(0, (0, 0, 20), 64)
    assert cut.shape == (3, 64, 64)
    row = cut[0, 32]
    assert (row.diff() >= -1e-6).all()
    assert row[0] == pytest.approx(0, abs=1e-3)
    assert row[-1] == pytest.approx(decode_srgb(np.array([190 / 255]))[0], abs=0.03)


def test_a_background_of_the_crops_size_is_itself(small_pack):
    cut = PictureBank(small_pack, CPU).sample_backdrop(0, (5, 7, 64), 64)
    colour = small_pack.backgrounds[0].colour[5:69, 7:71].astype(np.float32) / 255
    np.testing.assert_allclose(cut.permute(1, 2, 0), decode_srgb(colour), atol=1e-6)


def test_an_element_without_a_soft_edge_is_named(small_pack):
    solid = Element(
        name="brick",
        kind="solid",
        colour=np.zeros((8, 8, 3), "u1"),
        alpha=np.full((8, 8), 255, "u1"),
    )
    pack = Pack(elements=(solid,), backgrounds=small_pack.backgrounds)
    with pytest.raises(TrainingError, match="brick has no soft pixel"):
        PictureBank(pack, CPU)


def test_an_empty_library_is_refused(small_pack):
    with pytest.raises(TrainingError, match="0 foregrounds and 4 backgrounds"):
        PictureBank(Pack(elements=(), backgrounds=small_pack.backgrounds), CPU)
    with pytest.raises(TrainingError, match="4 foregrounds and 0 backgrounds"):
        PictureBank(Pack(elements=small_pack.elements, backgrounds=()), CPU)
