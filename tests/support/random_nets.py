"""Networks of random structure as people write them, for parity's ladder: on images, numbers, and both at once.

    python tests/support/random_nets.py FOLDER FIRST LAST [FAULT]

writes FOLDER/nets.py with a function for each number from FIRST to before LAST, and data that are drawn, and prints the
options that name them, a line for those with one output and one for those with two. Each function gives a compiled
model; the same number is always the same network. Every second one has two inputs, every fourth two outputs. With
FAULT, a name in FAULTS, every network has a layer `planted` that computes something else on torch, and with `all` each
in turn.
"""

import random
import sys
from pathlib import Path

import numpy as np

TEXT = """\
import sys

sys.path.append({folder!r})
import random_nets
"""
FUNCTION = """

def {name}():
    return random_nets.net({number}, {fault!r})
"""
FAULTS = ("scale", "epsilon", "bias", "axes")
TRAINED, TESTED = 3200, 256  # samples
NUMBERS, CLASSES = 12, 10  # of a sample, beside its image of 28 × 28
ACTIVATIONS = ("relu", "tanh", "gelu", "silu", "sigmoid", "elu", "selu", "softplus")


def write(folder, first, last, fault=None):
    """Write the file of these networks and their data; gives the options of runs that climb all of them."""
    path = Path(folder, "nets.py")
    faults = {number: FAULTS[number % len(FAULTS)] if fault == "all" else fault for number in range(first, last)}
    names = {number: f"{one or 'net'}_{number}" for number, one in faults.items()}
    text = TEXT.format(folder=str(Path(__file__).parent))
    text += "".join(FUNCTION.format(name=names[number], number=number, fault=one) for number, one in faults.items())
    path.write_text(text, encoding="utf-8")
    data = drawn_data()
    lines = []
    for outputs in (1, 2):
        file = path.with_name(f"outputs{outputs}.npz")
        np.savez(file, **{name: array for name, array in data.items() if outputs == 2 or "size" not in name})
        chosen = [f"{path}:{name}" for number, name in names.items() if _outputs(number) == outputs]
        lines.append(f"--dataset {file} --workloads {','.join(chosen)}")
    return lines


def _outputs(number):
    return 2 if number % 4 == 3 else 1


def drawn_data():
    """Images and numbers in which a class shows, for both outputs."""
    draw = np.random.default_rng(0)
    arrays = {}
    for part, samples in {"train": TRAINED, "test": TESTED}.items():
        classes = draw.integers(0, CLASSES, samples)
        images = draw.random((samples, 28, 28)) + np.eye(28)[classes][:, None, :]
        arrays[f"x_{part}/images"] = images.astype("float32")
        arrays[f"x_{part}/numbers"] = (draw.normal(size=(samples, NUMBERS)) + classes[:, None] / 5).astype("float32")
        arrays[f"y_{part}/class"] = classes.astype("int32")
        arrays[f"y_{part}/size"] = images.mean((1, 2)).astype("float32")[:, None]
    return arrays


def net(number, fault=None):
    """The network of a number, compiled, in Keras's backend in force."""
    import keras

    draw = random.Random(number)  # noqa: S311 - the same network each time
    images, numbers = keras.Input((28, 28), name="images"), keras.Input((NUMBERS,), name="numbers")
    x = draw.choice([_pictures, _pictures, _sequences, _sequences, _numbers])(draw, images)
    x = planted(x, fault) if fault else x
    if number % 2:
        beside = keras.layers.Dense(x.shape[-1], activation=draw.choice(ACTIVATIONS))(_normalized(draw, numbers))
        merge = draw.choice([keras.layers.Concatenate, keras.layers.Add, keras.layers.Multiply, keras.layers.Maximum])
        x = merge()([x, beside])
    for _ in range(draw.randint(0, 2)):
        regularizer = draw.choice([None, None, "l2"])
        y = keras.layers.Dense(12, activation=draw.choice(ACTIVATIONS), kernel_regularizer=regularizer)(x)
        y = _dropped(draw, _normalized(draw, y))
        x = keras.layers.Concatenate()([x, y]) if draw.random() < 0.3 else y
    outputs = {"class": keras.layers.Dense(CLASSES, name="class")(x)}
    losses = {"class": keras.losses.SparseCategoricalCrossentropy(from_logits=True)}
    if _outputs(number) == 2:
        outputs["size"] = keras.layers.Dense(1, name="size")(x)
        losses["size"] = draw.choice(["mse", "mae", "huber"])
    inputs = {"images": images, "numbers": numbers} if number % 2 else {"images": images}
    model = keras.Model(inputs, outputs)
    model.compile(_optimizer(draw), losses, metrics={"class": ["accuracy"]})
    return model


def planted(x, fault):
    """A layer that agrees on all backends but torch: a factor, an epsilon, a bias without gradient, swapped axes."""
    import keras

    is_off = keras.backend.backend() == "torch"
    if fault == "scale":
        return keras.layers.Rescaling(1 + 1e-5 if is_off else 1.0, name="planted")(x)
    if fault == "epsilon":
        return keras.layers.LayerNormalization(epsilon=1.1e-3 if is_off else 1e-3, name="planted")(x)
    if fault == "bias":
        return _unlearned_bias(is_off)(x)
    return _swapped_axes(is_off)(keras.layers.Dense(16)(x))


def _unlearned_bias(is_off):
    import keras

    class Affine(keras.layers.Layer):
        def build(self, shape):
            self.kernel = self.add_weight(shape=(shape[-1], 8), name="kernel")
            self.bias = self.add_weight(shape=(8,), initializer="zeros", name="bias")

        def call(self, inputs):
            bias = keras.ops.stop_gradient(self.bias) if is_off else self.bias + 0.0
            return keras.ops.matmul(inputs, self.kernel) + bias

    return Affine(name="planted")


def _swapped_axes(is_off):
    import keras

    class Square(keras.layers.Layer):
        def call(self, inputs):
            square = keras.ops.reshape(inputs, (-1, 4, 4))
            return keras.ops.reshape(keras.ops.transpose(square, (0, 2, 1)) if is_off else square, (-1, 16))

    return Square(name="planted")


def _pictures(draw, images):
    from keras import layers

    x = layers.AveragePooling2D(2)(layers.Reshape((28, 28, 1))(images))
    for _ in range(draw.randint(1, 3)):
        x = _convolved(draw, x)
        pooling = draw.choice([layers.MaxPooling2D, layers.AveragePooling2D, None])
        x = pooling(2)(x) if pooling and x.shape[1] > 6 else x
    return draw.choice([layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D, layers.Flatten])()(x)


def _convolved(draw, x):
    from keras import layers

    channels, biased = draw.choice([4, 6, 8]), {"use_bias": draw.random() < 0.7}
    makers = [
        lambda: layers.Conv2D(
            channels, 3, padding=draw.choice(["same", "valid"]), strides=draw.choice([1, 2]), **biased
        ),
        lambda: layers.SeparableConv2D(channels, 3, padding="same", **biased),
        lambda: layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, **biased),
        lambda: layers.Conv2D(channels, 3, padding="same", dilation_rate=2, **biased),
        lambda: layers.Conv2DTranspose(channels, draw.choice([2, 3]), strides=2, padding="same", **biased),
        lambda: layers.Conv2D(channels, 1, **biased),
    ]
    layer = draw.choice(makers)()
    is_large = x.shape[1] > 1
    x = layers.AveragePooling2D(2)(x) if isinstance(layer, layers.Conv2DTranspose) and is_large else x
    x = layers.Activation(draw.choice(ACTIVATIONS))(_normalized(draw, layer(x)))
    if draw.random() < 0.3:
        x = layers.Add()([x, _normalized(draw, layers.Conv2D(x.shape[-1], 3, padding="same")(x))])
    return _dropped(draw, x)


def _sequences(draw, images):
    from keras import layers

    x = layers.AveragePooling1D(draw.choice([2, 4]))(images)
    x = layers.Dense(draw.choice([8, 16]))(x) if draw.random() < 0.5 else x
    for _ in range(draw.randint(1, 2)):
        x = _dropped(draw, draw.choice([_recurrent, _recurrent, _attentive])(draw, x))
    last = [layers.GlobalAveragePooling1D, layers.Flatten, lambda: layers.GRU(6), lambda: layers.LSTM(6)]
    return draw.choice(last)()(x)


def _recurrent(draw, x):
    from keras import layers

    units, dropped = draw.choice([4, 8]), draw.choice([0.0, 0.0, 0.2])
    makers = [
        lambda: layers.GRU(units, return_sequences=True, dropout=dropped, reset_after=draw.random() < 0.5),
        lambda: layers.LSTM(units, return_sequences=True, dropout=dropped, recurrent_dropout=dropped),
        lambda: layers.Bidirectional(layers.GRU(units, return_sequences=True)),
        lambda: layers.SimpleRNN(units, return_sequences=True),
        lambda: layers.Conv1D(units, 3, padding=draw.choice(["same", "causal"]), activation=draw.choice(ACTIVATIONS)),
    ]
    return draw.choice(makers)()(x)


def _attentive(draw, x):
    from keras import layers

    attention = layers.MultiHeadAttention(2, 4, dropout=draw.choice([0.0, 0.2]))
    x = _normalized(draw, layers.Add()([x, attention(x, x, use_causal_mask=draw.random() < 0.5)]))
    inner = layers.Dense(2 * x.shape[-1], activation=draw.choice(ACTIVATIONS))(x)
    return _normalized(draw, layers.Add()([x, layers.Dense(x.shape[-1])(inner)]))


def _numbers(draw, images):
    from keras import layers

    return layers.Dense(16, activation=draw.choice(ACTIVATIONS))(layers.Flatten()(images))


def _normalized(draw, x):
    from keras import layers

    groups = layers.GroupNormalization(2) if x.shape[-1] % 2 == 0 else layers.LayerNormalization()
    every = [layers.BatchNormalization(momentum=0.9), layers.LayerNormalization(), groups, layers.UnitNormalization()]
    layer = draw.choice([*every, layers.RMSNormalization(), None])
    return layer(x) if layer else x


def _dropped(draw, x):
    from keras import layers

    of_rank = {3: layers.SpatialDropout1D(0.2), 4: layers.SpatialDropout2D(0.2)}
    kinds = [layers.Dropout(draw.choice([0.1, 0.5])), layers.GaussianDropout(0.1), layers.GaussianNoise(0.1)]
    layer = draw.choice([*kinds, layers.AlphaDropout(0.1), of_rank.get(len(x.shape)), None, None])
    return layer(x) if layer else x


def _optimizer(draw):
    from keras import optimizers
    from keras.optimizers.schedules import CosineDecay

    makers = [
        lambda: optimizers.Adam(draw.choice([0.001, 0.01])),
        lambda: optimizers.SGD(0.05, momentum=0.9, nesterov=True),
        lambda: optimizers.RMSprop(0.001),
        lambda: optimizers.AdamW(0.003, weight_decay=0.01),
        lambda: optimizers.Adam(CosineDecay(0.01, 50)),
        lambda: optimizers.Nadam(0.002),
        lambda: optimizers.Adagrad(0.01),
        lambda: optimizers.Adamax(0.002),
        lambda: optimizers.Lion(0.0005),
        lambda: optimizers.Adam(0.005, clipnorm=1.0),
        lambda: optimizers.SGD(0.05, global_clipnorm=0.5),
        lambda: optimizers.Adam(0.002, use_ema=True),
        lambda: optimizers.Ftrl(0.01),
    ]
    return draw.choice(makers)()


if __name__ == "__main__":
    folder, first, last, *fault = sys.argv[1:]
    print("\n".join(write(folder, int(first), int(last), *fault)))
