"""Depthwise separable convolutions: a small MobileNet (Howard et al., 2017).

Images of shape (28, 28) to 10 logits; 32,522 parameters.
"""

import keras

from models import Target, Workload

FALL = 4 * 468 - 1  # the last step of four epochs on 60,000 images, after which the rate of learning is a tenth
BLOCKS = ((64, 1), (128, 2), (128, 1))  # channels and strides


def build() -> keras.Model:
    """A convolution that halves the image, three blocks, the mean over what is left of the image, 10 logits."""
    inputs = keras.Input((28, 28))
    x = keras.layers.Reshape((28, 28, 1))(inputs)
    x = normalized(keras.layers.Conv2D(32, 3, strides=2, padding="same", use_bias=False)(x))
    for width, strides in BLOCKS:
        x = normalized(keras.layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False)(x))
        x = normalized(keras.layers.Conv2D(width, 1, use_bias=False)(x))
    return keras.Model(inputs, keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(x)))


def normalized(x: keras.KerasTensor) -> keras.KerasTensor:
    return keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))


workload = Workload(
    build=build,
    dataset="fashion_mnist",
    batch_size=128,
    epochs=6,
    optimizer=lambda: keras.optimizers.Adam(keras.optimizers.schedules.PiecewiseConstantDecay([FALL], [0.003, 0.0003])),
    loss=lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    target=Target(
        "accuracy", 0.9, source="our measurement: 0.905 to 0.908 on TensorFlow and torch", chance=0.1, quick=0.4
    ),
    quick_samples=2_560,
    cpu_samples=6_400,
)
