"""Wrong on torch in Keras 3.15.1: padding is counted as if the edge went on (keras-team/keras#23233)."""

import keras
from _base import workload_of

workload = workload_of(
    lambda: keras.layers.Conv2D(4, 3, activation="relu"),
    lambda: keras.layers.AveragePooling2D(3, strides=2, padding="same"),
)
