"""Several devices on torch: a process for each; see `Devices`.

Keras 3.15 has no distribution on torch, and `fit` of a model inside `DistributedDataParallel` never calls the wrapper,
so that nothing is averaged and nobody says so. There a hook on each parameter averages, which the backward pass itself
calls. From 3.16 on Keras itself puts what `fit` trains inside `DistributedDataParallel`, and calls the wrapper.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from bench.worker.backends import ranks
from models.datasets import count as number_of
from models.datasets import mapped, taken

PATIENCE = timedelta(minutes=10)  # that one process waits for another


def begin(device: str, count: int) -> Mapping[str, str]:
    own = ranks.own_card(count) if device == "gpu" else {}
    if not ranks.rank():
        ranks.start(count)
    return own or {"GLOO_SOCKET_IFNAME": "lo" if sys.platform == "linux" else "lo0"}  # a name may lead to no address


def processes(count: int) -> int:
    return count


def configure(device: str, count: int) -> None:
    import torch.distributed as group

    store = f"file://{ranks.meeting() / 'store'}"
    kind = "nccl" if device == "gpu" else "gloo"
    group.init_process_group(kind, init_method=store, rank=ranks.rank(), world_size=count, timeout=PATIENCE)


def team(device: str, count: int) -> Team:
    from bench.worker.keras_internals import distributes

    return KerasTeam(device, count) if distributes() else Team(device, count)


def watch(tell: Callable[[str], None]) -> None:
    pass


def failed(reason: str) -> str:
    return ranks.failed(reason)


class Team:
    """See `bench.worker.backends.Team`. Hooks average."""

    by = "hooks"

    def __init__(self, device: str, count: int) -> None:
        self.rank = ranks.rank()
        self._device, self._count = device, count
        self._exchanged = 0.0
        self._seen = 0.0

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        return contextlib.nullcontext()

    def alone(self) -> contextlib.AbstractContextManager[Any]:
        return contextlib.nullcontext()  # each process has a device of its own

    def joined(self, model: Any) -> None:
        for variable in model.trainable_variables:
            variable.value.register_post_accumulate_grad_hook(self._average)

    def _average(self, parameter: Any) -> None:
        import torch.distributed as group

        began = time.perf_counter()
        group.all_reduce(parameter.grad)
        parameter.grad /= self._count
        self._exchanged += time.perf_counter() - began

    def share(self, parts: Sequence[Any], batch_size: int) -> tuple[tuple[Any, ...], int]:
        return ranks.share(parts, batch_size, self.rank, self._count)

    def callbacks(self, model: Any) -> Sequence[Any]:
        import keras

        def of_all(logs: Any) -> None:
            """Note how many samples this process saw, and let the logs be those of all."""
            tracker = next(metric for metric in model.metrics if metric.name == "loss")
            self._seen = float(tracker.count)
            logs.update({name: float(value) for name, value in self._logs(model, logs).items()})

        class Together(keras.callbacks.Callback):
            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
                of_all(logs)

        return [Together()]

    def _logs(self, model: Any, logs: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: ARG002 - this process's own
        """The metrics of all processes, whose states are sums."""
        import torch.distributed as group

        for variable in model.metrics_variables:
            group.all_reduce(variable.value)
        result: Mapping[str, Any] = model.get_metrics_result()
        return result

    def holders(self, model: Any, parts: Sequence[Any], batch_size: int) -> Sequence[str]:
        """What each process saw in its last epoch, as its own metric counted it, and its digests of trained weights."""
        every = self._gathered((self._seen, {one.path: _digest(one) for one in model.trainable_variables}))
        for number, (_, digests) in enumerate(every):
            parted = [path for path, digest in digests.items() if digest != every[0][1][path]]
            if parted:
                raise RuntimeError(
                    f"device {number} holds another {parted[0]} than device 0 after training: "
                    "gradients were not averaged"
                )
        samples = number_of(parts[0])
        if sum(seen for seen, _ in every) != samples:
            shares = ", ".join(f"{seen:.0f}" for seen, _ in every)
            raise RuntimeError(f"the devices saw {shares} samples of an epoch of {samples}")
        return [
            f"{self._device}:{number} {seen * batch_size / samples:g} of {batch_size}"
            for number, (seen, _) in enumerate(every)
        ]

    def unlike(self, model: Any) -> Sequence[str]:
        every = self._gathered({one.path: _digest(one) for one in model.non_trainable_variables})
        return [path for path, digest in every[0].items() if any(other[path] != digest for other in every)]

    def _gathered(self, value: Any) -> list[Any]:
        import torch.distributed as group

        every = [None] * self._count
        group.all_gather_object(every, value)
        return every

    def exchange_seconds(self) -> float | None:
        return self._exchanged if self._device == "cpu" else None  # a GPU is only asked for it here

    def feed(self, parts: Sequence[Any], batch_size: int) -> None:
        import keras

        own, size = self.share(parts, batch_size)
        for first in range(0, number_of(own[0]), size):
            for part in own:
                mapped(keras.ops.convert_to_tensor, taken(part, slice(first, first + size)))

    def cpu_seconds(self) -> float:
        return ranks.cpu_seconds()

    def end(self) -> None:
        import torch.distributed as group

        if not self.rank:
            ranks.end()
        group.destroy_process_group()


class KerasTeam(Team):
    """Keras's own distribution averages, as a user of it would have it.

    The group is met by the store in `configure` before: the address that Keras's `initialize` takes needs a port, which
    another process may take in the meantime.
    """

    by = "keras.distribution"

    def __init__(self, device: str, count: int) -> None:
        import keras

        super().__init__(device, count)
        self._told = ""
        keras.distribution.initialize(num_processes=count, process_id=self.rank)  # finds the group that is there
        there = keras.distribution.list_devices(device)
        if len(there) != count:
            raise RuntimeError(f"{count} devices were asked for, Keras lists {len(there)}: {', '.join(there)}")
        # Keras refuses to share arrays among processes, so they are handed their shares as they are by hooks.
        self._shared = keras.distribution.DataParallel(devices=there, auto_shard_dataset=False)
        keras.distribution.set_distribution(self._shared)

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        import keras

        keras.distribution.set_distribution(self._shared)  # `keras.utils.clear_session` has forgotten it
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keras asks torch whether there is a group; as long as there is one it waits for all, distribution or not."""
        import keras
        import torch.distributed as group

        asked = group.is_initialized
        keras.distribution.set_distribution(None)
        group.is_initialized = lambda: False
        try:
            yield
        finally:
            group.is_initialized = asked
            keras.distribution.set_distribution(self._shared)

    def joined(self, model: Any) -> None:
        pass  # `fit` sees to it

    def _logs(self, model: Any, logs: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: ARG002 - Keras adds them up
        self._told = ", ".join(f"{name} {float(value)}" for name, value in sorted(logs.items()))
        return logs

    def holders(self, model: Any, parts: Sequence[Any], batch_size: int) -> Sequence[str]:
        """As by hooks; RuntimeError too where the processes have unlike logs."""
        found, every = super().holders(model, parts, batch_size), self._gathered(self._told)
        other = next((number for number, told in enumerate(every) if told != every[0]), 0)
        if other:
            raise RuntimeError(
                f"device {other} has other logs ({every[other]}) than device 0 ({every[0]}): they are not those of all"
            )
        return found

    def exchange_seconds(self) -> float | None:
        return None  # the gradients of some layers are averaged while those of others are computed


def _digest(variable: Any) -> str:
    """Of a variable's bytes."""
    import keras

    return hashlib.sha256(keras.ops.convert_to_numpy(variable.value).tobytes()).hexdigest()
