"""Exact mode: nothing passes through float32. Each patch has a test that fails when a version has moved its name."""

import math

import numpy as np
import pytest

pytestmark = pytest.mark.xdist_group("evaluators")  # one process for all that asks them, so that each starts once


def test_every_patch_finds_what_it_replaces(evaluate):
    assert evaluate("ops.ones((1,))").tolist() == [1.0]  # the process has started, so exact.enable has not complained


def test_a_name_that_has_moved_is_named(evaluate):
    with pytest.raises(AssertionError, match=r"MovedError: keras.src.backend.common.dtypes.NO_SUCH_TABLE.*is gone"):
        evaluate("exact.replace('keras.src.backend.common.dtypes', 'NO_SUCH_TABLE', None)")
    with pytest.raises(AssertionError, match=r"MovedError: jax._src.no_such_module.name.*is gone"):
        evaluate("exact.replace('jax._src.no_such_module', 'name', None)")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("ops.ones((1,)) * 0.1", 0.1),
        ("ops.cast(0.1, 'float64')", 0.1),
        ("ops.convert_to_tensor(0.1)", 0.1),
        ("ops.convert_to_tensor([0.1, 1])[0]", 0.1),
        ("ops.full((1,), 0.1)", 0.1),
        ("ops.mean(ops.convert_to_tensor(np.array([0.1, 0.2])))", 0.15),
        ("ops.sum(ops.arange(0.0, 1.0, 0.1))", 4.5),
        ("ops.gelu(ops.convert_to_tensor(np.array([0.3])), approximate=False)", 0.3 * (1 + math.erf(0.3 / 2**0.5)) / 2),
        ("ops.var(ops.convert_to_tensor(np.array([0.1, 0.2])))", 0.0025),
        ("ops.hard_sigmoid(ops.convert_to_tensor(np.array([0.3])))", 0.55),
        ("ops.leaky_relu(ops.convert_to_tensor(np.array([-0.3])), 0.2)", -0.06),
        ("keras.losses.Huber(0.1)(np.array([[0.0]]), np.array([[0.3]]))", 0.1 * 0.3 - 0.5 * 0.01),
        ("keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)(7)", 0.1 * 0.9**0.7),
        ("keras.optimizers.Adam(0.003).learning_rate", 0.003),
    ],
)
def test_python_numbers_and_results_keep_float64(evaluate, expression, expected):
    assert float(evaluate(expression).ravel()[0]) == pytest.approx(expected, rel=2e-15, abs=0)


@pytest.mark.parametrize("scale", ["", ", scale=0.3"])
@pytest.mark.parametrize("mask", ["", ", is_causal=True"])
def test_attention_keeps_float64(evaluate, scale, mask):
    draws = np.random.default_rng(0).normal(size=(3, 2, 4, 3, 5))
    arrays = "*np.random.default_rng(0).normal(size=(3, 2, 4, 3, 5))"
    query, key, value = (one.transpose(0, 2, 1, 3) for one in draws)
    logits = query @ key.swapaxes(-1, -2) * (0.3 if scale else 5**-0.5)
    if mask:
        logits = np.where(np.tril(np.ones((4, 4), bool)), logits, -np.inf)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    expected = (powers / powers.sum(axis=-1, keepdims=True) @ value).transpose(0, 2, 1, 3)

    assert evaluate(f"ops.nn.dot_product_attention({arrays}{scale}{mask})") == pytest.approx(expected, rel=1e-13)


def test_attention_keeps_float64_where_keras_computes_it_itself_on_jax(evaluator):
    draws = "np.random.default_rng(0).normal(size=(1, 4, 3, 5))"
    ours = evaluator("jax", "float64")(
        f"keras.src.backend.jax.nn._dot_product_attention_core({draws}, {draws}, {draws}, None, None, False, 0.3)"
    )
    array = np.random.default_rng(0).normal(size=(1, 4, 3, 5)).transpose(0, 2, 1, 3)
    powers = np.exp(array @ array.swapaxes(-1, -2) * 0.3)

    assert ours == pytest.approx((powers / powers.sum(-1, keepdims=True) @ array).transpose(0, 2, 1, 3), rel=1e-13)


def test_without_exact_mode_the_same_numbers_are_rounded(evaluator):
    """The tests above would notice."""
    assert evaluator("tensorflow", "float32")("ops.cast(0.1, 'float64')") != 0.1
    assert abs(evaluator("torch", "float32")("ops.mean(ops.convert_to_tensor(np.array([0.1, 0.2])))") - 0.15) > 1e-9
