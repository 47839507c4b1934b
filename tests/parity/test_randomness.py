"""Every backend draws the same bytes, held against one oracle in NumPy."""

import numpy as np
import pytest
from hypothesis import strategies as st
from support import oracle
from support.drawn import drawn

from bench.contract.catalog import training_backends

pytestmark = pytest.mark.xdist_group("evaluators")  # one process for all that asks them, so that each starts once

EVERY = [(backend, numerics) for backend in training_backends() for numerics in ("float32", "float64")]


@pytest.fixture(scope="session", params=EVERY, ids=lambda pair: "-".join(pair))
def kind_and_draw(request, evaluator):
    """Each backend's evaluator in each numerics."""
    backend, numerics = request.param
    return numerics, evaluator(backend, numerics)


def identical(ours, expected):
    """The same type, shape and bytes."""
    assert ours.dtype == expected.dtype
    assert ours.shape == expected.shape
    assert ours.tobytes() == expected.tobytes()


@drawn(
    12,
    120,
    shape=st.lists(st.integers(1, 7), max_size=3).map(tuple),
    seed=st.integers(0, 2**31 - 1),
    bounds=st.tuples(st.floats(-3, 3, width=32), st.floats(0.125, 4, width=32)),
    range_=st.tuples(st.integers(-1000, 1000), st.integers(1, 2**31 - 2000)),
    rate=st.floats(0.01, 0.99),
)
def test_draws_are_identical_and_normals_as_close_as_a_logarithm(kind_and_draw, shape, seed, bounds, range_, rate):
    kind, draw = kind_and_draw
    low, high = bounds[0], bounds[0] + bounds[1]
    first, last = range_[0], range_[0] + range_[1]
    drawn = {
        "uniform": draw(f"keras.random.uniform({shape}, seed={seed})"),
        "between": draw(f"keras.random.uniform({shape}, {low!r}, {high!r}, seed={seed})"),
        "randint": draw(f"keras.random.randint({shape}, {first}, {last}, seed={seed})"),
        "kept": draw(f"keras.random.dropout(ops.ones({shape}), {rate!r}, seed={seed}) != 0"),
        "normal": draw(f"keras.random.normal({shape}, seed={seed})"),
    }

    identical(drawn["uniform"], oracle.uniform(shape, 0.0, 1.0, kind, seed))
    identical(drawn["between"], oracle.uniform(shape, low, high, kind, seed))
    identical(drawn["randint"], oracle.randint(shape, first, last, seed))  # the same in every numerics
    identical(drawn["kept"], oracle.mask(shape, rate, seed))  # the same in every numerics
    normal = oracle.normal(shape, seed)
    # In float32 2π times the angle is itself rounded, by up to 2.4e-7, and the radius is at most 6.
    allowed = (1e-15 if kind == "float64" else 2e-6) * max(1.0, np.abs(normal).max())
    assert np.abs(drawn["normal"] - normal).max() <= allowed


@pytest.mark.parametrize("seed", range(20))
def test_a_shuffle_is_the_same_permutation(evaluate, seed):
    values = np.arange(200)

    assert evaluate(f"keras.random.shuffle(np.arange(200), seed={seed})").tolist() == (
        oracle.shuffled(values, seed).tolist()
    )


def test_the_generator_passes_its_published_known_answers(evaluate):
    # Random123's kat_vectors: threefry2x32, 20 rounds; counter, key, result.
    for counter, key, expected in (
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
    ):
        words = "(" + ", ".join(f"randomness._word({word})" for word in (*key, *counter)) + ")"
        ours = evaluate(f"(lambda a, b, c, d: ops.stack(randomness.threefry((a, b), c, d)))(*{words})")

        assert ours.tolist() == list(expected)
        counters = (np.array([word], np.uint32) for word in counter)
        assert [int(word[0]) for word in oracle.threefry(key, *counters)] == list(expected)


@pytest.mark.parametrize("shape", [(1,), (1000,), (3, 5, 7)])
@pytest.mark.parametrize("seed", [0, 7, 2**31 - 1])
def test_the_bits_are_those_of_jax_itself(evaluator, shape, seed):
    draw = evaluator("jax", "float64")
    key = f"ops.convert_to_tensor([{seed}, 0], 'uint32')"
    theirs = draw(f"__import__('jax').random.bits({key}, {shape}, 'uint32')")
    longer = draw(f"__import__('jax').random.bits({key}, {shape}, 'uint64')")

    assert draw(f"randomness.bits({shape}, {seed})").tolist() == theirs.tolist()
    identical(draw(f"keras.random.uniform({shape}, seed={seed})"), (longer >> np.uint64(11)).astype(float) * 2.0**-53)


@pytest.mark.parametrize(
    "draw",
    [
        "keras.random.uniform((1000,), -0.3, 0.77, seed=5)",
        "keras.random.randint((1000,), -3, 1000, seed=5)",
        "keras.random.dropout(ops.ones((1000,)), 0.3, seed=5)",
        "keras.random.normal((1000,), 1.5, 0.3, seed=5)",
    ],
)
def test_a_compiled_draw_is_the_eager_one(kind_and_draw, draw):
    kind, evaluate = kind_and_draw
    eager, compiled = evaluate(draw), evaluate(f"compiled(lambda: {draw})")

    if "normal" in draw:
        assert np.abs(eager - compiled).max() <= (1e-15 if kind == "float64" else 1e-6)
    else:
        identical(compiled, eager)


def test_layers_draw_through_it(evaluate):
    ones = "np.ones((4, 5, 6))"
    for layer, expected in (
        ("Dropout(0.4, seed=3)", oracle.mask((4, 5, 6), 0.4, 3) / 0.6),
        ("SpatialDropout1D(0.4, seed=3)", np.broadcast_to(oracle.mask((4, 1, 6), 0.4, 3), (4, 5, 6)) / 0.6),
        ("GaussianNoise(0.5, seed=3)", 1 + 0.5 * oracle.normal((4, 5, 6), 3)),
    ):
        ours = evaluate(f"keras.layers.{layer}({ones}, training=True)")

        assert ours == pytest.approx(expected, abs=1e-15)


def test_unseeded_layers_follow_from_the_global_seed(evaluate):
    drawn = "(keras.utils.set_random_seed(4), keras.layers.Dropout(0.5)(np.ones((3, 4)), training=True))[1]"
    values = [evaluate(drawn).tolist() for _ in range(2)]

    assert values[0] == values[1]


@pytest.mark.parametrize("name", ["beta", "binomial", "categorical", "gamma"])
def test_a_distribution_that_is_not_covered_is_refused_by_name(evaluate, name):
    with pytest.raises(AssertionError, match=rf"RefusedError: keras.random.{name} is not drawn alike"):
        evaluate(f"keras.src.backend.random.{name}((3,), 1.0, 1.0)")
