"""Planted: from the third step on, TensorFlow takes the batches in another order, one late."""

import keras
from _base import BACKEND, of_build


class Late(keras.Sequential):
    def train_on_batch(self, x, y, **options):
        self.taken = [*getattr(self, "taken", []), (x, y)]
        late = BACKEND == "tensorflow" and len(self.taken) >= 3
        return super().train_on_batch(*self.taken[-2 if late else -1], **options)


workload = of_build(lambda: Late([keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(10)]))
