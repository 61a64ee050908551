"""A camera that stands still: what was behind the subject corrects its trimaps."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from training.render.moving_composites import Motion, MovingComposite
from vfxmatte.colour import encode_for_network
from vfxmatte.io.stills.reading import read_image
from vfxmatte.propagation.clean_plate import (
    Behind,
    CleanPlate,
    CleanPlateSettings,
    PlateCorrection,
    is_aligned,
    stands_still,
)
from vfxmatte.propagation.confidence import missed_share
from vfxmatte.propagation.flow import flow_pair, grey
from vfxmatte.propagation.shot_trimaps import PropagationSettings, propagate
from vfxmatte.trimaps import from_matte
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, Trimap

SHAPE = (180, 320)
NUMBERS = range(1001, 1014)
OFF = CleanPlateSettings(still_px=0.0, moving=False)


def texture(colour, seed):
    noise = np.random.default_rng(seed).normal(0, 60, (220, 400, 3)).astype(np.float32)
    return np.clip(np.float32(colour) + cv2.GaussianBlur(noise, (0, 0), 2), 0, 255)


WALL, COAT = texture((90, 110, 150), 2), texture((120, 110, 120), 3)  # colours tell little


def alpha_of(number, *, gap=False):
    """A body that runs through the picture, and turns about itself while it does."""
    step = number - 1001
    centre, turn = (60 + 15 * step, 95), 40.0 * step
    alpha = np.zeros(SHAPE, np.float32)
    cv2.ellipse(alpha, centre, (46, 24), turn, 0, 360, 1.0, -1)
    if gap:
        cv2.ellipse(alpha, centre, (20, 11), turn, 0, 360, 0.0, -1)
    return cv2.GaussianBlur(alpha, (0, 0), 1.2)


def picture_of(number, alpha, *, pan=0, coat=COAT):
    step = number - 1001
    wall = WALL[20:200, 20 + pan * step : 340 + pan * step]
    mixed = alpha[..., None] * coat[20:200, 20:340] + (1 - alpha[..., None]) * wall
    grain = np.random.default_rng(number).normal(0, 2, mixed.shape)
    return np.clip(mixed + grain, 0, 255).astype(np.uint8)


def painted(alpha):
    return from_matte(alpha, erode_px=4, dilate_px=4)


def carried(number, *, pan=0, gap_within=(), behind=None, **settings):
    """A frame's labels between keyframes on the first and the last."""

    def alpha(n):
        return alpha_of(n, gap=n in gap_within)

    keys = {
        n: Trimap(number=n, labels=painted(alpha(n)), is_keyframe=True)
        for n in (NUMBERS[0], NUMBERS[-1])
    }

    def read(numbers):
        return ((n, picture_of(n, alpha(n), pan=pan)) for n in numbers)

    found = propagate(
        keys, NUMBERS, read, PropagationSettings(**settings), requested={number}, behind=behind
    )
    return next(iter(found)).labels


def test_where_the_plate_is_seen_is_background_and_nothing_soft_is_lost():
    without, found = carried(1007, clean_plate=OFF), carried(1007)
    truth = alpha_of(1007)
    assert np.count_nonzero(found == UNKNOWN) < 0.85 * np.count_nonzero(without == UNKNOWN)
    assert missed_share(found, truth) <= missed_share(without, truth) + 0.003
    assert not ((truth > 0.5) & (found == BACKGROUND) & (without != BACKGROUND)).any()


def test_a_given_plate_that_is_none_leaves_a_still_camera_to_itself():
    noise = np.random.default_rng(5).integers(0, 255, (*SHAPE, 3)).astype(np.uint8)
    wrong = Behind(noise, np.ones(SHAPE, bool))
    found = carried(1007, behind=lambda number: wrong)
    assert np.array_equal(found, carried(1007))
    assert not np.array_equal(found, carried(1007, clean_plate=OFF))


def test_a_moving_camera_is_not_taken_for_a_still_one():
    still = CleanPlateSettings(moving=False)
    without = carried(1007, pan=1, clean_plate=OFF)
    assert np.array_equal(carried(1007, pan=1, clean_plate=still), without)


def stored(alpha, coat=COAT, wrong=()):
    """Pictures and labels of all frames; some are labelled background everywhere."""

    def frame(number):
        matte = alpha(number)
        labels = painted(matte) if number not in wrong else np.zeros(SHAPE, np.uint8)
        return picture_of(number, matte, coat=coat), labels

    return frame


def plate_of(frame):
    return CleanPlate.of(list(NUMBERS), frame)


def correction(frame):
    keys = {number: frame(number) for number in (NUMBERS[0], NUMBERS[-1])}
    plate = plate_of(frame)
    return PlateCorrection.calibrated(lambda number: plate, keys, CleanPlateSettings())


def test_a_few_wrong_labels_do_not_spoil_the_median():
    frame = stored(alpha_of, wrong=(1006, 1007))
    found = plate_of(frame).compared(*stored(alpha_of)(1007))
    assert found is not None
    depth = found.depth
    assert depth[alpha_of(1007) > 0.5].max() < 6
    assert np.median(depth[alpha_of(1007) < 0.01]) > 10


def test_at_the_edge_of_what_is_known_nothing_else_is_seen():
    picture, labels = picture_of(1007, np.zeros(SHAPE, np.float32)), np.zeros(SHAPE, np.uint8)
    is_known = np.zeros(SHAPE, bool)
    is_known[:, :160] = True
    patch = np.where(is_known[..., None], picture, 0)
    found = CleanPlate.from_picture(Behind(patch, is_known)).compared(picture, labels)
    assert found is not None
    assert not found.is_else.any()
    assert found.depth[:, :150].min() > 0 and found.depth[:, 160:].max() == 0


def test_a_gap_that_opens_in_certain_foreground_becomes_unknown():
    frame = stored(alpha_of)
    found = correction(frame)
    assert found is not None
    alpha = alpha_of(1007, gap=True)
    labels = painted(alpha_of(1007))  # as both keyframes have it
    corrected = found.corrected(1007, picture_of(1007, alpha), labels)
    hole = (labels == FOREGROUND) & (alpha < 0.02)
    assert hole.sum() > 300
    assert (corrected[hole] == UNKNOWN).mean() > 0.95
    assert (corrected[(alpha > 0.98) & (labels == FOREGROUND)] == FOREGROUND).mean() > 0.5


def with_arm(alpha):
    """An arm that is stretched out to the right of the body in mid-picture."""
    longer = alpha.copy()
    longer[88:100, 150:230] = 1
    return cv2.GaussianBlur(longer, (0, 0), 0.8)


def test_a_limb_that_is_background_to_both_directions_becomes_unknown():
    found = correction(stored(alpha_of))
    assert found is not None and found.doubts
    alpha, labels = with_arm(alpha_of(1007)), painted(alpha_of(1007))
    corrected = found.corrected(1007, picture_of(1007, alpha), labels)
    arm = (alpha > 0.98) & (labels == BACKGROUND)
    assert arm.sum() > 300 and (corrected[arm] == UNKNOWN).mean() > 0.98
    apart = alpha.copy()
    apart[20:40, 290:310] = 1  # another thing, far from the subject
    assert np.array_equal(found.corrected(1007, picture_of(1007, apart), labels), corrected)


def test_a_background_that_moves_beside_the_band_is_not_doubted():
    def frame(number):
        picture, labels = stored(alpha_of)(number)
        picture[alpha_of(number) < 0.02] = 255 - picture[alpha_of(number) < 0.02]
        return picture, labels

    plate = plate_of(stored(alpha_of))
    keys = {n: stored(alpha_of)(n) for n in (NUMBERS[0], NUMBERS[-1])}
    leaves = {
        n: (np.where(np.indices(SHAPE).sum(0)[..., None] % 40 < 12, frame(n)[0], picture), labels)
        for n, (picture, labels) in keys.items()
    }
    found = PlateCorrection.calibrated(lambda number: plate, leaves, CleanPlateSettings())
    assert found is not None and not found.doubts


def test_a_subject_of_the_plates_own_colours_is_left_alone():
    frame = stored(alpha_of, coat=WALL)
    found = correction(frame)
    assert found is not None
    picture, labels = frame(1007)
    corrected = found.corrected(1007, picture, labels)
    assert np.array_equal(corrected == FOREGROUND, labels == FOREGROUND)
    assert (corrected[labels == UNKNOWN] == UNKNOWN).mean() > 0.99


def test_a_frame_with_more_noise_than_is_allowed_is_left_as_it_is():
    found = correction(stored(alpha_of))
    assert found is not None
    picture, labels = stored(alpha_of)(1007)
    flash = np.clip(picture.astype(np.float32) * 1.6, 0, 255).astype(np.uint8)
    assert np.array_equal(found.corrected(1007, flash, labels), labels)


@pytest.mark.parametrize(("shift", "expected"), [(0, True), (1, False), (3, False)])
def test_a_camera_that_drifts_does_not_stand_still(shift, expected):
    nothing = np.zeros(SHAPE, np.float32)
    first, last = (picture_of(n, nothing) for n in (1001, 1013))
    last = np.roll(last, shift, 1)
    behind = np.ones(SHAPE, bool)
    assert is_aligned(first, last, behind) == expected
    labels = np.full(SHAPE, BACKGROUND, np.uint8)
    assert stands_still([(flow_pair(grey(first), grey(last)), labels)], 0.15) == expected
    assert not stands_still([(flow_pair(grey(first), grey(last)), labels + 255)], 0.15)
    assert not is_aligned(first, last, ~behind)


# -- at a real size --------------------------------------------------------------------------------

SAMPLES = Path(__file__).parents[2] / "sample_shots"


def test_a_sample_shots_creature_before_a_camera_that_stands_still():
    """Cut out of its own plate, and moved over another one's by the renderer of moving shots."""
    shot = SAMPLES / "furry_creature"
    plate = read_image(shot / "plate" / "plate.1001.exr").pixels
    alpha = read_image(shot / "alpha" / "alpha.1001.exr").pixels[:, :, :1]
    behind = read_image(SAMPLES / "foliage" / "plate" / "plate.1001.exr").pixels
    motion = Motion(drift_px=(16.0, 2.0), spin_deg=4.0, sway_px=6.0, grain=0.005, size=0.45)
    element = np.concatenate([plate * alpha, alpha], axis=2).astype(np.float32)
    element = cv2.copyMakeBorder(element, 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=0)
    shape = plate.shape[:2]
    composite = MovingComposite(element, behind, motion, shape=shape, length=13, sub_frames=3)
    frames = {1001 + n: frame for n, frame in enumerate(composite.frames())}
    keys = {
        n: Trimap(number=n, labels=painted(frames[n][1]), is_keyframe=True) for n in (1001, 1013)
    }

    def read(numbers):
        for n in numbers:
            encoded = encode_for_network(frames[n][0])
            yield n, np.rint(np.clip(encoded, 0, 1) * 255).astype(np.uint8)

    def labels(**settings):
        found = propagate(
            keys, sorted(frames), read, PropagationSettings(**settings), requested={1007}
        )
        return next(iter(found)).labels

    without, found, truth = labels(clean_plate=OFF), labels(), frames[1007][1]
    assert np.count_nonzero(found == UNKNOWN) < np.count_nonzero(without == UNKNOWN)
    assert missed_share(found, truth) <= missed_share(without, truth) + 0.003
    assert not ((truth > 0.5) & (found == BACKGROUND) & (without != BACKGROUND)).any()
