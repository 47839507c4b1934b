"""Generation on this backend: by whole launches, and the parts of one."""

import itertools

import keras
import numpy as np
import pytest

from bench.contract.case import GENERATION_TRACKS
from bench.contract.generation import GENERATIONS
from bench.worker.errors import StartError
from bench.worker.programs.prepare import describe
from bench.worker.timing.gauges import Counters
from bench.worker.workload import decoder, generate
from models import gpt
from models._generate import Cached
from tests.support.records import fault_of

SIZE = generate.Size(context=8, prompt=2, tokens=3)
PROMPTS = np.array([[3, 1], [0, 2]], "int32")


def counting(ids):
    """Logits of a decoder whose next token is the last one and one more, of ten."""
    return 5.0 * np.eye(10, dtype="float32")[(ids + 1) % 10]


class Own(keras.layers.Layer):
    """Tokens with their places, as a tutorial has it."""

    def __init__(self, length, **options):
        super().__init__(**options)
        self.tokens = keras.layers.Embedding(10, 8)
        self.places = keras.layers.Embedding(length, 8)

    def call(self, x):
        return self.tokens(x) + self.places(keras.ops.arange(x.shape[-1]))


def transformer(causal, length=8):
    inputs = keras.Input((length,), dtype="int32")
    x = Own(length)(inputs)
    x = keras.layers.Add()([x, keras.layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=causal)])
    return keras.Model(inputs, keras.layers.Dense(10)(x))


@pytest.fixture
def samples():
    return np.random.default_rng(0).integers(0, 10, (4, 8)).astype("int32")


def test_every_track_generates_what_predict_does_from_the_same_weights(launch, tmp_path):
    prepared = describe("gpt", [3], tmp_path / "0-gpt")
    assert (prepared["context"], prepared["without_generate"], prepared["without_own_generate"]) == (196, None, None)
    for track in GENERATION_TRACKS:
        done, content = launch(
            f"--weights={tmp_path / '0-gpt-seed3.npz'}",
            workload="gpt",
            dataset="fashion_mnist_tokens",
            task="generate",
            track=track,
            samples=GENERATIONS * 4 * 2,
            epochs=1,
            batch_size=2,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        record = content["launch"]
        assert fault_of({**record, "repetition": 0}) == ""
        assert (record["prompt_tokens"], record["tokens"]) == (49, 4)
        assert len(record["calls"]["seconds"]) == GENERATIONS * (1 if track == "own" else 3)
        assert record["weights_digest"] == prepared["weights"]["3"]


def test_the_cached_generate_of_gpt_gives_the_tokens_of_the_whole_context():
    model = gpt.workload.build()
    prompts = np.random.default_rng(0).integers(0, 17, (2, 5)).astype("int32")
    whole = generate.by_calls(model.predict_on_batch, prompts, generate.Size(196, 5, 12))

    assert np.array_equal(model.generate(prompts, 17), whole.ids)
    with pytest.raises(ValueError, match="prompts of 5 tokens cannot become 197 of 196"):
        model.generate(prompts, 197)


def test_a_cache_that_is_one_place_off_is_caught(monkeypatch, case):
    advance = Cached.advance
    monkeypatch.setattr(Cached, "advance", lambda self, tokens, first, caches: advance(self, tokens, first + 1, caches))
    model, size = gpt.workload.build(), generate.Size(196, 49, 8)
    prompts = [np.random.default_rng(number).integers(0, 17, (1, 49)).astype("int32") for number in range(GENERATIONS)]
    found = [generate.by_own_method(model, one, size) for one in prompts]

    with pytest.raises(ArithmeticError, match=r"track own: generates .* would be rounding, at token"):
        generate.check(found, model, size, case(task="generate", track="own", batch_size=1))


def test_tokens_whose_logits_are_equal_but_for_rounding_may_be_swapped(case):
    class Tied:
        def predict(self, ids, **_):
            return np.broadcast_to(np.array([1.0, 1.00001, 0.5], "float32"), (*ids.shape, 3))

    def judged(token):
        ids = np.full((1, SIZE.whole), token)
        generate.check([generate.Generation(ids, 1.0, [])], Tied(), SIZE, case(task="generate", batch_size=1))

    judged(0)
    judged(1)
    with pytest.raises(ArithmeticError, match=r"generates 2, where model\.predict has 1 as the likeliest: 5\.0e-01 of"):
        judged(2)
    with pytest.raises(ArithmeticError, match="generates 3, of 3 classes"):
        judged(3)


def test_a_call_for_each_token_is_timed_and_continues_the_prompts():
    ticks = itertools.count()
    found = generate.by_calls(counting, PROMPTS, SIZE, now=lambda: float(next(ticks)))

    assert found.ids.tolist() == [[3, 1, 2, 3, 4], [0, 2, 3, 4, 5]]
    assert (found.first_seconds, found.others) == (1.0, [1.0, 1.0])


def test_a_models_own_method_is_timed_to_the_first_token_and_to_all():
    class Counting:
        def generate(self, prompts, length):
            return np.concatenate([prompts, prompts[:, -1:] + np.arange(1, length - prompts.shape[1] + 1)], axis=1)

    ticks = iter([0.0, 2.0, 2.0, 10.0])
    found = generate.by_own_method(Counting(), PROMPTS, SIZE, now=lambda: next(ticks))

    assert found.ids.tolist() == [[3, 1, 2, 3, 4], [0, 2, 3, 4, 5]]
    assert (found.first_seconds, found.whole_seconds) == (2.0, 8.0)
    assert generate.token_seconds([found], SIZE) == [3.0]


@pytest.mark.parametrize(
    "wrong", [lambda given, _: given, lambda given, length: np.zeros((len(given), length), "int32")]
)
def test_a_method_that_does_not_continue_its_prompts_is_refused(wrong):
    with pytest.raises(TypeError, match=r"expected whole numbers of shape .2, 5. that begin with the prompts"):
        generate.by_own_method(type("Model", (), {"generate": staticmethod(wrong)})(), PROMPTS, SIZE)


def test_tokens_that_take_no_time_are_refused():
    with pytest.raises(ArithmeticError, match="generating 3 tokens takes no longer than one"):
        generate.token_seconds([generate.Generation(PROMPTS, 2.0, [], 2.0)], SIZE)


def test_the_cold_generation_stands_apart():
    cold, seen = 7.0, []

    def generated(prompts):
        seen.append(prompts)
        return generate.Generation(prompts, cold if len(seen) == 1 else 1.0, [0.5, 0.25])

    counters = Counters(*(0.0 for _ in Counters._fields))
    given = [np.full((1, 8), number) for number in (1, 2)]
    entries, generations = generate.measure(generated, given, SIZE, counters=lambda: counters, probe=lambda: 0.001)

    assert entries["calls"]["first_seconds"] == cold
    assert entries["calls"]["seconds"] == [0.5, 0.25] * GENERATIONS
    assert entries["first_token_seconds"] == [1.0] * GENERATIONS
    assert [one.tolist() for one in seen] == [[[1, 1]], [[1, 1]], [[2, 2]], [[1, 1]], [[2, 2]]]
    assert len(generations) == GENERATIONS


def test_tokens_that_do_not_fit_the_context_are_refused(case):
    given = [np.zeros((2, 8), "int32")]

    assert generate.size_of(case(samples=2 * GENERATIONS * 6, batch_size=2), given) == (8, 2, 6)
    with pytest.raises(StartError, match="are no 4 generations of 2 to 6 tokens"):
        generate.size_of(case(samples=2 * GENERATIONS * 7, batch_size=2), given)


def test_a_decoder_of_ones_own_without_a_method_is_one(samples):
    found = decoder.described(transformer(causal=True), samples)

    assert found == {
        "context": 8,
        "without_generate": None,
        "without_own_generate": "own: the model has no method `generate`",
    }


def test_what_is_no_decoder_is_told_so_in_words(samples):
    encoder, image = transformer(causal=False), keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
    classes = keras.Sequential(
        [keras.Input((8,), dtype="int32"), keras.layers.Embedding(10, 3), keras.layers.Flatten()]
    )

    def refusal(model, given):
        return decoder.described(model, given)["without_generate"]

    assert refusal(encoder, samples).endswith("this is none: what it gives for a place depends on later ones")
    assert "its input is float32 of shape (batch, 8)" in refusal(image, samples.astype("float32"))
    assert refusal(classes, samples).endswith("its output is not one array of shape (batch, length, vocabulary)")
    assert refusal(encoder, (samples, samples)).endswith("it has several inputs")
