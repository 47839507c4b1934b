"""Parity's recording half: one process climbs the ladder for every workload and seed on one backend.

    python -m bench.worker.programs.parity --backend torch --device cpu --numerics float64 --steps 300 --seeds 0,1 \
        --climbs fit-own,loop-own,fit-SGD,native-SGD --weights FOLDER --output FOLDER --workloads mlp cnn

A climb is a track and an optimizer: the workload's own, or momentum SGD, since `native` uses its library's Adam, which
places epsilon differently. Each workload, seed and climb leaves one file, named
`<number>-<workload>-seed<seed>-<backend>-<device>-<numerics>-<climb>[-<N>-devices][-<variant>].npz`. Its arrays are
named `rung/location`; `about` holds JSON: what was climbed, and in `error`, in one line, why it ended early. The
comparing half is bench/analysis/parity/compare.py, which says what each rung is for and how close it has to come.
"""

import argparse
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np

from bench.contract.case import in_path
from bench.contract.messages import Messenger
from bench.contract.parity import EXACT, LADDER_BATCH
from bench.worker import backends
from bench.worker.process import environment


def main() -> None:
    """Climb; the parent reads nothing but the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--backend", "--device", "--numerics"):
        parser.add_argument(name, required=True)
    parser.add_argument("--variant", default="", help="what it is called among others")
    parser.add_argument("--device-count", type=int, default=1, help="devices that share each batch; default 1")
    parser.add_argument("--steps", required=True, type=int)
    parser.add_argument("--test-samples", type=int, default=0, help="the first N are predicted; default: all")
    parser.add_argument("--seeds", required=True, type=lambda text: [int(word) for word in text.split(",")])
    parser.add_argument("--climbs", default=["fit-own"], type=lambda text: text.split(","), help="TRACK-OPTIMIZER,…")
    parser.add_argument(
        "--nudged", action="store_true", help="train in exact mode from weights nudged by a rounding too"
    )
    parser.add_argument(
        "--weights", required=True, type=Path, help="the folder that bench.worker.programs.prepare wrote"
    )
    parser.add_argument("--output", required=True, type=Path, help="the folder for the recordings")
    parser.add_argument("--workloads", required=True, nargs="+")
    given = parser.parse_args()
    messenger = Messenger()
    backend = environment.prepare(given.backend, given.device, given.numerics, given.device_count)
    if given.device == "gpu":
        backend.make_deterministic()

    from bench.worker.errors import reason
    from bench.worker.exact import devices, mode, randomness
    from bench.worker.exact.climb import NotClimbedError, Recording, climb
    from bench.worker.keras_internals import MovedError

    several = backends.devices(given.backend) if given.device_count > 1 else None
    if several:
        several.watch(lambda reason: messenger.send("failed", reason=reason))
    team = several.team(given.device, given.device_count) if several else None
    try:
        if given.numerics == EXACT:
            mode.enable(given.backend)
        randomness.install()
    except MovedError as error:
        messenger.send("failed", reason=str(error))
        raise
    common = {
        name: getattr(given, name)
        for name in ("backend", "device", "device_count", "numerics", "variant", "steps", "test_samples")
    }
    common |= {"batch_size": LADDER_BATCH, "versions": environment.versions(given.backend), "flags": backend.flags()}
    for seed in given.seeds:  # outside, so that workloads with the same data set share its batches
        for (index, name), climbing in itertools.product(enumerate(given.workloads), given.climbs):
            stem = f"{index}-{Path(name).stem}-seed{seed}"
            track, _, optimizer = climbing.partition("-")
            about = {**common, "workload": name, "seed": seed, "track": track, "optimizer": optimizer}
            about |= {"error": "", "batches_digest": "", "unseen": [], "classes": False, "labels": 0, "kinds": {}}
            about["nudged"] = given.nudged and given.numerics == EXACT and track == "fit"
            recording: Recording = {}
            weights = given.weights / f"{stem}.npz"
            try:
                if team:
                    devices.climb(recording, about, weights, team)
                else:
                    climb(recording, about, weights, backend)
            except NotClimbedError:
                continue  # the plan says why
            except Exception as error:  # whatever a user's model raises; the other workloads go on
                about["error"] = several.failed(reason(error)) if several else reason(error)
                if team and team.rank:
                    raise  # the others hear of it, and wait no longer
            if team and team.rank:
                continue  # the first process leaves the recording
            of = f"{given.device_count} devices" if team else ""
            who = f"{stem}-{given.backend}-{given.device}-{given.numerics}-{climbing}"
            place = in_path(" ".join(filter(None, (who, of, given.variant))))
            _save(given.output / f"{place}.npz", recording, about)
            messenger.send("climbed", workload=name, seed=seed)
    if team:
        team.end()


def _save(path: Path, recording: dict[str, Any], about: dict[str, Any]) -> None:
    """Write so that the file is there whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        np.savez(file, allow_pickle=False, about=np.array(json.dumps(about)), **recording)
    partial.replace(path)


if __name__ == "__main__":
    main()
