"""Several devices on JAX by Keras's `DataParallel`: one compiled program over all of them; see `Team`."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from models.datasets import count as count_of
from models.datasets import mapped, taken


class Team:
    """See `bench.worker.backends.Team`."""

    rank = 0
    by = "keras.distribution"

    def __init__(self, device: str, count: int) -> None:
        import keras

        there = keras.distribution.list_devices(device)
        if len(there) < count:
            raise RuntimeError(f"{count} devices were asked for, JAX sees {len(there)}: {', '.join(there)}")
        self._asked: set[tuple[int, ...]] = set()
        asked = self._asked

        class Shared(keras.distribution.DataParallel):
            """Notes the shapes of the batches that `fit` shares with it."""

            def get_data_layout(self, data_shape: Sequence[int]) -> Any:
                asked.add(tuple(data_shape))
                return super().get_data_layout(data_shape)

        # Arrays are shared by who hands them over, where there are several processes.
        self._shared = Shared(devices=there[:count], auto_shard_dataset=False)
        self._count = count
        keras.distribution.set_distribution(self._shared)  # `fit` asks for it whenever it is called

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        import keras

        keras.distribution.set_distribution(self._shared)  # `keras.utils.clear_session` has forgotten it
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        import keras

        keras.distribution.set_distribution(None)
        try:
            yield
        finally:
            keras.distribution.set_distribution(self._shared)

    def joined(self, model: Any) -> None:
        pass

    def share(self, parts: Sequence[Any], batch_size: int) -> tuple[tuple[Any, ...], int]:
        return tuple(parts), batch_size

    def callbacks(self, model: Any) -> Sequence[Any]:  # noqa: ARG002 - the program's values are those of all devices
        return ()

    def holders(self, model: Any, parts: Sequence[Any], batch_size: int) -> Sequence[str]:  # noqa: ARG002
        """What `fit` asked the layout of, and where the arrays that it left lie."""
        import numpy as np

        for variable in model.weights:
            shards = variable.value.addressable_shards
            found = {shard.device for shard in shards}
            if len(found) != self._count:
                raise RuntimeError(f"{variable.path} lies on {len(found)} of {self._count} devices after training")
            first = np.asarray(shards[0].data)
            if any(not np.array_equal(first, np.asarray(shard.data), equal_nan=True) for shard in shards):
                raise RuntimeError(f"{variable.path} differs between devices after training")
        batches = [shape for shape in self._asked if shape[0] == batch_size]
        if not batches:
            seen = ", ".join(str(shape[0]) for shape in sorted(self._asked)) or "none"
            raise RuntimeError(f"fit shared no batch of {batch_size} among the devices; batches that it shared: {seen}")
        layout = self._shared.get_data_layout(batches[0]).backend_layout
        return [
            f"{device.platform}:{device.id} {len(range(*index[0].indices(batch_size)))} of {batch_size}"
            for device, index in layout.devices_indices_map(batches[0]).items()
        ]

    def unlike(self, model: Any) -> Sequence[str]:  # noqa: ARG002 - `holders` looks at all weights
        return ()

    def exchange_seconds(self) -> float | None:
        return None  # it is a part of the one compiled program

    def feed(self, parts: Sequence[Any], batch_size: int) -> None:
        import jax

        own, size = self.share(parts, batch_size)

        def put(batch: Any) -> Any:
            layout = self._shared.get_data_layout(batch.shape).backend_layout
            return jax.make_array_from_process_local_data(layout, batch)  # as `fit` does it

        for first in range(0, count_of(own[0]), size):
            chosen = slice(first, first + size)
            jax.block_until_ready([mapped(put, taken(part, chosen)) for part in own if part is not None])

    def cpu_seconds(self) -> float:
        return 0.0

    def end(self) -> None:
        pass
