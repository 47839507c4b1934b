"""Tables of features: measured penguins, and one that is drawn with a rule planted in it."""

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.datasets._base import FOLDER, Dataset, read

# Of the file in the package palmerpenguins 0.1.6 on PyPI.
PENGUINS_MD5 = "a06a0210251465a86fb970018292304d"
MEASURED = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "year")
CATEGORIES = {
    "species": ("Adelie", "Chinstrap", "Gentoo"),
    "island": ("Biscoe", "Dream", "Torgersen"),
    "sex": ("female", "male"),
}
PREDICTED = "body_mass_g"
ABSENT = "NA"
TRAINING_PENGUINS = 266  # four fifths of the 333 complete rows

FEATURES, HIDDEN, CLASSES = 100, 16, 10
NOISE = 0.1  # of the labels are drawn anew
PLANTED_TEST_SAMPLES = 10_000

Array = npt.NDArray[np.float32]


def penguins(folder: Path = FOLDER / "penguins") -> Dataset:
    """Palmer penguins: body mass from species, island, sex, bill, flipper and year (Gorman et al. 2014).

    The 333 rows without a gap, in the order of NumPy's permutation with seed 0: 266 to train, 67 to test. Returns
    float32: four measured columns, scaled to mean 0 and standard deviation 1 over the training rows, and a 0 or 1 for
    each category, of shape (samples, 12); and the body mass, scaled likewise, of shape (samples, 1).
    Raises DatasetError when the file is missing or damaged.
    """
    lines = read(folder / "penguins.csv", PENGUINS_MD5).decode().splitlines()
    rows = [row for row in csv.DictReader(lines) if ABSENT not in row.values()]
    rows = [rows[index] for index in np.random.default_rng(0).permutation(len(rows))]
    measured = _scaled([[float(row[name]) for name in MEASURED] for row in rows])
    chosen = [[row[name] == one for name, known in CATEGORIES.items() for one in known] for row in rows]
    x = np.concatenate([measured, np.array(chosen, np.float32)], axis=1)
    y = _scaled([[float(row[PREDICTED])] for row in rows])
    return Dataset(x[:TRAINING_PENGUINS], y[:TRAINING_PENGUINS], x[TRAINING_PENGUINS:], y[TRAINING_PENGUINS:])


def _scaled(columns: list[list[float]]) -> Array:
    """Columns with mean 0 and standard deviation 1 over the training rows."""
    values = np.array(columns)
    seen = values[:TRAINING_PENGUINS]
    scaled: Array = ((values - seen.mean(axis=0)) / seen.std(axis=0)).astype(np.float32)
    return scaled


def planted_rule(samples: int = 32_000) -> Dataset:
    """A rule to find: ten classes, the largest output of a fixed random net of two layers, a tenth of them drawn anew.

    The features are multiples of 1/64 from -2 to 2, the net's weights -1 or 1, so every sum is exact in float32 and
    the labels are the same on every machine and for any number of samples. Returns features as float32 of shape
    (samples, 100) and labels as float32 of shape (samples, 10), with a 1 at the class; 10,000 samples to test.
    """
    of_rule, of_training, of_test = np.random.SeedSequence(0).spawn(3)
    generator = np.random.default_rng(of_rule)
    first = generator.choice(np.array([-1, 1], np.float32), (FEATURES, HIDDEN))
    # As many 1 as -1 for each class, so that none is larger than the others all the time.
    halves = np.repeat(np.array([-1, 1], np.float32), HIDDEN // 2)
    second = generator.permuted(np.tile(halves, (CLASSES, 1)), axis=1).T

    def drawn(seed: np.random.SeedSequence, count: int) -> tuple[Array, Array]:
        features, noise = (np.random.default_rng(one) for one in seed.spawn(2))  # so that each goes on by itself
        x = features.integers(-128, 128, (count, FEATURES), dtype=np.int8).astype(np.float32) / np.float32(64)
        labels = (np.maximum(x @ first, 0) @ second).argmax(axis=1)
        chances = noise.random((count, 2))
        labels = np.where(chances[:, 0] < NOISE, (chances[:, 1] * CLASSES).astype(int), labels)
        return x, np.eye(CLASSES, dtype=np.float32)[labels]

    return Dataset(*drawn(of_training, samples), *drawn(of_test, PLANTED_TEST_SAMPLES))
