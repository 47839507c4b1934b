"""The layer of the workload `augmented` that moves and mirrors images, on this backend."""

import keras
import numpy as np
import pytest

from models.augmented import SHIFT, RandomShiftAndFlip

SIZE = 7
VARIANTS = 2 * (2 * SHIFT + 1) ** 2


@pytest.fixture
def images():
    return np.random.default_rng(0).normal(size=(64, SIZE, SIZE)).astype("float32")


def variants(image):
    """All that an image can become: mirrored or not, each shift down and right, edges repeated."""
    for base in (image, image[:, ::-1]):
        padded = np.pad(base, SHIFT, mode="edge")
        for down in range(2 * SHIFT + 1):
            for right in range(2 * SHIFT + 1):
                yield padded[down : down + SIZE, right : right + SIZE]


def became(layer, images):
    """The number of the variant that each image became in training."""
    outputs = keras.ops.convert_to_numpy(layer(images, training=True))
    found = []
    for image, output in zip(images, outputs, strict=True):
        found += [number for number, variant in enumerate(variants(image)) if (variant == output).all()]
    return found


def test_in_training_each_image_is_moved_in_its_own_way(images):
    found = became(RandomShiftAndFlip(), images)

    assert len(found) == len(images)
    assert len(set(found)) > VARIANTS / 4


def test_the_next_batch_is_moved_and_mirrored_in_other_ways(images):
    layer = RandomShiftAndFlip()

    assert became(layer, images) != became(layer, images)


def test_every_shift_and_both_sides_come(images):
    layer = RandomShiftAndFlip()
    found = set().union(*(became(layer, images) for _ in range(20)))

    assert found == set(range(VARIANTS))


def test_outside_of_training_images_stay_as_they_are(images):
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(RandomShiftAndFlip()(images)), images)
