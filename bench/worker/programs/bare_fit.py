"""The same training as a launch's, with nothing of ours in it: no callback, one clock around `fit`.

    python -m bench.worker.programs.bare_fit --workload=mlp … --seed=0 --weights=FILE --output=FILE

It takes a launch's options and writes `{"fit_seconds": …}`; `python -m bench clock` holds launches against it.
"""

import json
import time
from pathlib import Path

from bench.contract.case import Case
from bench.worker.process import environment
from bench.worker.process.launch import options


def main() -> None:
    """Train once and write how long `fit` took."""
    given = vars(options(__doc__).parse_args())
    seed, weights, output = (given.pop(name) for name in ("seed", "weights", "output"))
    seconds = fit_seconds(Case(**given), seed, weights)
    output.write_text(json.dumps({"fit_seconds": seconds}), encoding="utf-8")


def fit_seconds(case: Case, seed: int, weights: Path) -> float:
    """Seconds from the call of `fit` until it has returned and the device is idle."""
    backend = environment.prepare(case.backend, case.device, case.numerics)

    import keras

    from bench.worker.workload import inputs, load, numerics
    from bench.worker.workload.model import compilation, compile_model, fresh

    workload = load.load_workload(case.workload)
    dataset = load.dataset_of(workload, case.samples)
    batches = load.batches(dataset, case.samples, case.batch_size, seed).widened(case.numerics)
    del dataset  # as a launch does: TensorFlow's copy takes 0.4 s longer where memory has to be found for it
    keras.utils.set_random_seed(seed)
    numerics.choose(case.numerics)
    model = fresh(workload, batches.x)
    model.set_weights(load.load_weights(weights))
    compile_model(model, compilation(workload, model, batches.y))
    began = time.perf_counter()
    handed = inputs.arguments("arrays", batches.parts, case.batch_size)
    model.fit(**handed, epochs=case.epochs, shuffle=False, verbose=0)
    backend.barrier()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
