"""Several devices on TensorFlow: `MirroredStrategy`, one process, a replica of the model on each; see `Devices`."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any


def begin(device: str, count: int) -> Mapping[str, str]:  # noqa: ARG001 - logical devices are no variable
    return {}


def processes(count: int) -> int:  # noqa: ARG001 - one for all
    return 1


def configure(device: str, count: int) -> None:
    import tensorflow as tf

    if device == "cpu":  # before anything is computed, which the import of Keras may do
        (cpu,) = tf.config.list_physical_devices("CPU")
        parts = [tf.config.LogicalDeviceConfiguration() for _ in range(count)]
        tf.config.set_logical_device_configuration(cpu, parts)


def team(device: str, count: int) -> "Team":
    return Team(device, count)


def watch(tell: Callable[[str], None]) -> None:
    pass


def failed(reason: str) -> str:
    return reason


class Team:
    """See `bench.worker.backends.Team`."""

    rank = 0
    by = "MirroredStrategy"

    def __init__(self, device: str, count: int) -> None:
        import tensorflow as tf

        there = tf.config.list_logical_devices(device.upper())
        if len(there) < count:
            raise RuntimeError(f"{count} devices were asked for, TensorFlow sees {len(there)}")
        self._strategy = tf.distribute.MirroredStrategy([one.name for one in there[:count]])
        self._count = count

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        scope: contextlib.AbstractContextManager[Any] = self._strategy.scope()
        return scope

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        yield  # what is made outside of the strategy's scope is on one device

    def joined(self, model: Any) -> None:
        pass

    def share(self, parts: Sequence[Any], batch_size: int) -> tuple[tuple[Any, ...], int]:
        return tuple(parts), batch_size

    def callbacks(self, model: Any) -> Sequence[Any]:  # noqa: ARG002 - metrics add up over replicas when they are read
        return ()

    def holders(self, model: Any, parts: Sequence[Any], batch_size: int) -> Sequence[str]:
        """What the strategy gives each replica of a batch, and the replicas' copies of every trained weight."""
        import numpy as np
        import tensorflow as tf

        copies = {one.path: self._copies(one) for one in model.trainable_variables}
        for path, found in copies.items():
            if len({copy.device for copy in found}) != self._count:
                raise RuntimeError(f"{path} lies on {len(found)} of {self._count} devices after training")
            if any(not np.array_equal(found[0], copy, equal_nan=True) for copy in found):
                raise RuntimeError(f"{path} differs between devices after training: gradients were not averaged")
        first = tf.nest.flatten(parts[0])[0][:batch_size]
        batches = tf.data.Dataset.from_tensor_slices(first).batch(batch_size)  # which `fit` hands to the same call
        batch = next(iter(self._strategy.experimental_distribute_dataset(batches)))
        shares = self._strategy.experimental_local_results(batch)
        places = [copy.device for copy in next(iter(copies.values()))]
        return [
            f"{_short(place)} {share.shape[0]} of {batch_size}" for place, share in zip(places, shares, strict=True)
        ]

    def unlike(self, model: Any) -> Sequence[str]:
        import numpy as np

        found = {one.path: self._copies(one) for one in model.non_trainable_variables}
        return [
            path
            for path, copies in found.items()
            if any(not np.array_equal(copies[0], copy, equal_nan=True) for copy in copies)
        ]

    def _copies(self, variable: Any) -> Sequence[Any]:
        copies: Sequence[Any] = self._strategy.experimental_local_results(variable.value)
        return copies

    def exchange_seconds(self) -> float | None:
        return None  # it is a part of the graph

    def feed(self, parts: Sequence[Any], batch_size: int) -> None:
        import tensorflow as tf

        batches = tf.data.Dataset.from_tensor_slices(tuple(parts)).batch(batch_size)
        for _ in self._strategy.experimental_distribute_dataset(batches):
            pass

    def cpu_seconds(self) -> float:
        return 0.0

    def end(self) -> None:
        pass


def _short(device: str) -> str:
    """`cpu:1` of `/job:localhost/replica:0/task:0/device:CPU:1`."""
    return device.rpartition("device:")[2].lower()
