"""A launch of task train: the whole training in one go, each epoch timed.

python -m bench.worker.programs.train --workload=mlp … --seed=0 --output=FILE
"""

import time
from dataclasses import replace

from bench.worker.process.launch import Launch, Rounds, run


def measure(launch: Launch) -> Rounds:
    """Train the case once; the steady epochs are the rounds."""
    # Late, since Keras asks for its backend when it is imported.
    from bench.worker.logs import LOSS, entry
    from bench.worker.timing import memory
    from bench.worker.timing.clock import EpochClock
    from bench.worker.workload import devices, load, train
    from bench.worker.workload.build import build, check_device, resolved
    from bench.worker.workload.compiled import metric_name
    from bench.worker.workload.model import compilation, compile_model, fixed_batch
    from bench.worker.workload.record import check_finite, clock_settings, note_training
    from models import Workload
    from models.datasets import count

    began = time.perf_counter()
    workload = load.load_workload_or_script(launch.case.workload)
    if not isinstance(workload, Workload):
        from bench.worker.script.measure import measure as measure_script

        return measure_script(launch, workload)
    launch.knobs = {**train.defaults(launch.case.backend, launch.case.track), **launch.knobs}
    if launch.knobs.get("malloc") == "keep":
        train.keep_freed_memory()
    case, record, phases = launch.case, launch.record, launch.record["phases"]

    dataset = load.dataset_of(workload, case.samples)
    trained, held_out = load.hold_out(dataset, case.samples, workload.validation_split or launch.validation_split)
    if case.track == "shipped":
        batches = load.unshuffled(dataset, trained)
    else:
        batches = load.batches(dataset, trained, case.batch_size, launch.seed)
    batches = batches.widened(case.numerics)
    if held_out is not None:
        held_out = load.HeldOut(*(load.widened(part, case.numerics) for part in held_out))
    record["samples_per_epoch"] = count(batches.x)
    x_test, y_test = (load.widened(part, case.numerics) for part in (dataset.x_test, dataset.y_test))
    del dataset
    memory.reset_peak()  # reading the data set took memory that training does not
    phases["data"] = time.perf_counter() - began

    began = time.perf_counter()
    with devices.scope(launch.team):
        model = build(launch, workload, batches.x)
        compiled = compilation(workload, model, batches.y)
        metric = metric_name(workload, compiled, model)
        compile_model(model, compiled, **train.execution(case.track, launch.knobs))
    record["weights_digest"] = load.weights_digest(model.get_weights())
    record["batches_digest"] = batches.digest
    record["parameters"] = model.count_params()
    check_device(launch, model)
    handed = devices.handed(launch, workload, model, batches.parts)
    phases["build"] = time.perf_counter() - began

    callbacks = [workload.early_stopping()] if workload.early_stopping else []
    callbacks += workload.callbacks() if workload.callbacks else []
    clock = EpochClock(metric, **clock_settings(launch, callbacks))
    launch.messenger.send("fit")
    began = time.perf_counter()
    fixed = fixed_batch(model)
    at_once = load.evaluation_batch(workload, fixed)
    x_test, y_test = load.whole_batches(x_test, fixed), load.whole_batches(y_test, fixed)
    own = replace(case, batch_size=handed.batch_size)
    train.train(own, model, handed.parts, launch.knobs, clock, held_out, callbacks, at_once, handed.before)
    launch.backend.barrier()
    phases["fit"] = time.perf_counter() - began
    note_training(launch, model, clock)
    check_finite(clock)
    shared = devices.note_devices(launch, model, batches.parts)
    if launch.team and launch.team.rank:
        launch.team.end()
        return Rounds("", "", [], {})

    began = time.perf_counter()
    launch.messenger.send("evaluate")
    with devices.on_one_device(launch.team, workload, model, batches.parts) as tested:
        result = tested.evaluate(x_test, y_test, batch_size=at_once, verbose=0, return_dict=True)
    record["test"] = {"metric": entry(result, metric), "loss": entry(result, LOSS)}
    phases["evaluate"] = time.perf_counter() - began
    by_keras = {} if case.track in train.OWN_LOOP else {"jit_compile": model.jit_compile}
    record["resolved"] = resolved(launch, model, **by_keras, optimizer=type(model.optimizer).__name__, **shared)
    if launch.team:
        launch.team.end()

    return Rounds(
        group=f"{case.workload} {case.device} {case.numerics} {case.track}",
        name=f"{case.workload}[{case.backend}]",
        seconds=[epoch.seconds for epoch in clock.epochs[1:]],
        extra_info={f"test_{metric}": record["test"]["metric"], "cold_epoch_seconds": clock.epochs[0].seconds},
    )


if __name__ == "__main__":
    run(measure, __doc__)
