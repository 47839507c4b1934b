"""A launch of task predict: calls of inference, each timed.

python -m bench.worker.programs.predict --workload=mlp … --seed=0 --output=FILE
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from bench.worker.process.launch import Launch, Rounds, run


class Series(NamedTuple):
    """What was timed: the record's own entries with `calls` among them, and a check besides that of the outputs."""

    entries: dict[str, Any]
    check: Callable[[], None]


Timed = Callable[..., Series]  # a case, its model, a call of it, batches and a GPU's gauge to the series


def measure(launch: Launch) -> Rounds:
    """Call the model of the case on the test samples, batch after batch; each call is a round."""

    def timed(case: Any, _model: Any, called: Any, given: Any, gpu: Any) -> Series:
        from bench.worker.workload import predict

        calls = predict.measure(called, given, case.samples // case.batch_size, gpu=gpu)
        return Series({"calls": calls}, lambda: None)

    return measure_series(launch, timed)


def measure_series(launch: Launch, timed: Timed) -> Rounds:
    """Build the model of the case and time a series of calls of it; what its calls give has to be right."""
    # Late, since Keras asks for its backend when it is imported.
    from bench.worker.timing import memory, nvml
    from bench.worker.workload import load, predict
    from bench.worker.workload.build import build, check_device, memory_used, resolved
    from models.datasets import arrays_of

    case, record, phases = launch.case, launch.record, launch.record["phases"]

    began = time.perf_counter()
    workload = load.load_workload(case.workload)
    given = predict.batches(load.load_dataset(case.dataset).x_test, case.batch_size)
    record["batches_digest"] = load.digest(array for batch in given for array in arrays_of(batch))
    given = [load.widened(batch, case.numerics) for batch in given]
    memory.reset_peak()  # reading the training set took memory that inference does not
    phases["data"] = time.perf_counter() - began

    began = time.perf_counter()
    model = build(launch, workload, given[0])
    record["weights_digest"] = load.weights_digest(model.get_weights())
    record["parameters"] = model.count_params()
    check_device(launch, model)
    phases["build"] = time.perf_counter() - began

    gpu = nvml.gauge() if case.device == "gpu" else nvml.nothing
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        called = predict.call(case, model, given[0], Path(folder))
        record["setup_seconds"] = time.perf_counter() - began
        launch.messenger.send("calls")
        series = timed(case, model, called, given, gpu)
        record |= series.entries
        calls = record["calls"]
        record["memory"] = memory_used(launch, [calls["series"]["gpu_mib"]])
        check_device(launch, model)
        median = statistics.median(calls["seconds"])
        said = {"seconds": median, "first_seconds": calls["first_seconds"], "calls": len(calls["seconds"])}
        said |= {"unit": "token"} if case.task == "generate" else {}
        launch.messenger.send("called", **said)

        began = time.perf_counter()
        record["outputs"] = predict.outputs(called, given, case.numerics)
        predict.check(record["outputs"], model, given, case)
        series.check()
        phases["evaluate"] = time.perf_counter() - began
    compiled = {"jit_compile": model.jit_compile} if case.track == "fit" else {}
    record["resolved"] = resolved(launch, model, **compiled)

    return Rounds(
        group=f"{case.workload} {case.device} {case.numerics} {case.task} {case.track} batch {case.batch_size}",
        name=f"{case.workload}[{case.backend}]",
        seconds=calls["seconds"],
        extra_info={"first_call_seconds": calls["first_seconds"]},
    )


if __name__ == "__main__":
    run(measure, __doc__)
