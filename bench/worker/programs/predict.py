"""A launch of task predict: calls of inference, each timed.

python -m bench.worker.programs.predict --workload=mlp … --seed=0 --output=FILE
"""

import statistics
import tempfile
import time
from pathlib import Path

from bench.worker.process.launch import Launch, Rounds, run


def measure(launch: Launch) -> Rounds:
    """Call the model of the case on the test samples, batch after batch; each call is a round."""
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
        calls = predict.measure(called, given, case.samples // case.batch_size, gpu=gpu)
        record["calls"] = calls
        record["memory"] = memory_used(launch, [calls["series"]["gpu_mib"]])
        check_device(launch, model)
        median = statistics.median(calls["seconds"])
        said = {"seconds": median, "first_seconds": calls["first_seconds"], "calls": len(calls["seconds"])}
        launch.messenger.send("called", **said)

        began = time.perf_counter()
        record["outputs"] = predict.outputs(called, given, case.numerics)
        predict.check(record["outputs"], model, given, case)
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
