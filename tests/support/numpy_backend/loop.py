"""Track `loop`: only counts."""

from bench.worker.backends import Pass

KNOBS = {"steps": ("call",)}


def make(model, metric, knobs):
    return Loop()


class Loop:
    """See `Trainer`."""

    def place(self, *parts):
        return list(zip(*parts, strict=True))

    def train(self, batches):
        return Pass([0.0 for _ in batches], 1.0)

    def store(self):
        pass

    def copies(self):
        return ()
