"""How pytest-benchmark comes to know of epochs that another process timed."""


class ReplayClock:
    """A clock that moves only when told: pytest-benchmark's `timer`, through which it receives recorded durations."""

    def __init__(self) -> None:
        self._now = 0.0
        self._durations: list[float] = []

    def __repr__(self) -> str:
        return "ReplayClock()"  # stands in every record, where an address would only make noise

    def load(self, durations: list[float]) -> None:
        """The durations, in seconds, that the next calls of `advance` take."""
        self._durations = list(durations)

    def __call__(self) -> float:
        """The time in seconds."""
        return self._now

    def advance(self) -> None:
        """Let the next recorded duration pass."""
        self._now += self._durations.pop(0)
