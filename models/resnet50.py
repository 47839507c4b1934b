"""ResNet-50, Keras's own, classifying photographs' worth of pixels: 53 convolutions, each with its norm. For a GPU.

Bytes of shape (224, 224, 3), scaled to -1 to 1, to 1,000 logits; 25,636,712 parameters, as keras.applications documents
it (He et al., "Deep Residual Learning for Image Recognition", 2016). Adam in place of their SGD, which on torch waits
for the GPU in every step.

The images are drawn (`planted_images`): a pattern of coloured squares for each class, under noise. Not run at full
size; `small`, the same network on small images, is what the tests train.

Its backends agree in exact mode within 2e-12 from the weights to one step of training (`bench parity` on `small`). The
losses of more steps part by 2e-10, over the bound: with 53 norms in a row, the last of them over one pixel an image,
rounding grows too fast from step to step.
"""

import dataclasses

import keras

from models import Target, Workload


def build(size: int = 224, classes: int = 1_000) -> keras.Model:
    """`keras.applications.ResNet50` on square images, with drawn weights and logits."""
    inputs = keras.Input((size, size, 3), dtype="uint8")
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(inputs)
    network = keras.applications.ResNet50(
        weights=None, input_tensor=scaled, input_shape=(size, size, 3), classes=classes, classifier_activation=None
    )
    return keras.Model(inputs, network.output)  # the other's input is a list


workload = Workload(
    build=build,
    dataset="planted_images",
    batch_size=128,
    epochs=5,
    optimizer=lambda: keras.optimizers.Adam(),
    loss=lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    target=Target("accuracy", 0.9, source="provisional: not run at full size", chance=0.01),
    quick_samples=512,
    cpu_samples=512,
    # Keras on torch keeps 204 MiB an image for the gradient, 26,076 in all (counted over two images), and 391 for
    # weights, gradients and Adam's moments; XLA plans 15,824 for a whole step (`memory_analysis`, on a CPU).
    memory_mib=30_000,
)

small = dataclasses.replace(
    workload,
    build=lambda: build(size=32, classes=10),
    dataset="planted_images_small",
    batch_size=32,
    # Adam would divide the gradients of biases before a norm, which are nothing but rounding, by their own size.
    optimizer=lambda: keras.optimizers.SGD(0.01, momentum=0.9),
    memory_mib=0,
)
