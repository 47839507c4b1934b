"""The network of `resnet` with what several devices compute as one does: no random images, one normalisation for all.

Keras takes `synchronized` on TensorFlow alone; on JAX every normalisation is one for all.
"""

from dataclasses import replace

import keras

from models import resnet


def build() -> keras.Model:
    """As `resnet`, from which two kinds of layers are replaced."""

    def replaced(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, resnet.RandomShiftAndFlip):
            return keras.layers.Identity()
        config = layer.get_config()
        if isinstance(layer, keras.layers.BatchNormalization):
            config["synchronized"] = keras.backend.backend() == "tensorflow"
        return type(layer).from_config(config)

    return keras.models.clone_model(resnet.build(), clone_function=replaced)


workload = replace(resnet.workload, build=build)
