"""What several devices need of a backend: `devices.py` of its folder has the functions of `Devices` and a `Team`."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol


class Team(Protocol):
    """Several devices that train one model together, each on its share of every batch.

    `rank` is this process's number, 0 where it is the only one or the one that leaves the record; `by` is what averages
    the gradients, in a word.
    """

    rank: int
    by: str

    def scope(self) -> AbstractContextManager[Any]:
        """Within, a model is built and compiled so that all devices hold it."""

    def alone(self) -> AbstractContextManager[Any]:
        """Within, a model is built, compiled and called on one device."""

    def joined(self, model: Any) -> None:
        """Let a built model's gradients be averaged over all devices, where `fit` does not see to it."""

    def share(self, parts: Sequence[Any], batch_size: int) -> tuple[tuple[Any, ...], int]:
        """What this process hands to `fit` of batches that lie one after the other, and its size of a batch."""

    def callbacks(self, model: Any) -> Sequence[Any]:
        """What comes before the clock: it puts the logs of all devices in the place of this process's own."""

    def holders(self, model: Any, parts: Sequence[Any], batch_size: int) -> Sequence[str]:
        """Each device that holds the trained weights, read back, and its share of a batch, in words.

        RuntimeError where their trained weights differ, or where a device is missing.
        """

    def unlike(self, model: Any) -> Sequence[str]:
        """The paths of weights that are not trained and differ between devices, such as moving statistics."""

    def exchange_seconds(self) -> float | None:
        """Of `fit`, the seconds spent on averaging gradients, waiting for others included; None where nobody knows."""

    def feed(self, parts: Sequence[Any], batch_size: int) -> None:
        """Bring the batches of an epoch to the devices, one after the other, and do nothing with them."""

    def cpu_seconds(self) -> float:
        """The CPU time so far of this launch's processes besides this one."""

    def end(self) -> None:
        """Let all processes end. RuntimeError, which says why, where another one has failed."""


class Devices(Protocol):
    """Data parallelism on several devices of one machine; the module imports its framework only in the functions."""

    def begin(self, device: str, count: int) -> Mapping[str, str]:
        """Before the framework is imported: the environment variables to set. Starts what other processes it takes."""

    def processes(self, count: int) -> int:
        """How many processes `count` devices take, which share the CPUs."""

    def configure(self, device: str, count: int) -> None:
        """Set what has to be set between the imports of the framework and of Keras."""

    def team(self, device: str, count: int) -> Team:
        """The devices; Keras is imported. RuntimeError where there are fewer."""

    def watch(self, tell: Callable[[str], None]) -> None:
        """From now on, where this process would wait in vain for another one that has failed: tell why, and end."""

    def failed(self, reason: str) -> str:
        """Tell the others why this process fails; gives the reason of the one that is known to have failed first."""
