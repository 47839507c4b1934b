"""A launch of task generate: tokens one after the other, each timed.

python -m bench.worker.programs.generate --workload=gpt … --seed=0 --output=FILE
"""

from typing import Any

from bench.worker.process.launch import Launch, Rounds, run
from bench.worker.programs.predict import Series, measure_series


def measure(launch: Launch) -> Rounds:
    """Continue the beginnings of test samples by the model of the case; each token is a round."""

    def timed(case: Any, model: Any, called: Any, given: Any, gpu: Any) -> Series:
        # Late, since Keras asks for its backend when it is imported.
        from bench.worker.workload import generate

        size = generate.size_of(case, given)
        entries, generations = generate.measure(generate.generator(case, model, called, size), given, size, gpu=gpu)
        return Series(entries, lambda: generate.check(generations, model, size, case))

    return measure_series(launch, timed)


if __name__ == "__main__":
    run(measure, __doc__)
