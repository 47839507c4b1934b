"""A recorded run, altered: for tests of what is made of it."""

import json
import shutil
from pathlib import Path

RECORDED = Path(__file__).parents[1] / "recorded" / "three-launches"


def rename_mlp(run, name):
    """The run as if its workload `mlp` had come from a user's file of that name."""
    for path in [run / "run.json", *(run / "launches").iterdir()]:
        path.write_text(path.read_text().replace('"mlp"', json.dumps(name)))


def give_metrics(run, metrics):
    """The run with these test metrics of `mlp` on torch, one a repetition."""
    for path, metric in zip(sorted((run / "launches").glob("*mlp-torch*")), metrics, strict=True):
        content = json.loads(path.read_text())
        content["launch"]["test"]["metric"] = metric
        path.write_text(json.dumps(content))


def stretch(launch, factor):
    """Let a launch take so many times as long."""
    for epoch in launch["launch"]["epochs"]:
        epoch["seconds"] *= factor


def many_runs(folder, change, count):
    """A results folder with so many copies of the recorded run, a day apart.

    `change` is given a copy's number and what a file of it holds, run.json or a launch's record, to alter.
    """
    for number in range(count):
        name = f"202611{number + 1:02}T120000Z-{number:04x}"
        run = shutil.copytree(RECORDED, folder / name)
        for path in [run / "run.json", *(run / "launches").iterdir()]:
            content = json.loads(path.read_text())
            if path.name == "run.json":
                content |= {"id": name, "started": f"2026-11-{number + 1:02}T12:00:00+00:00"}
            else:
                stretch(content, 1 + 0.01 * (-1) ** number)  # or all values would be equal
            change(number, content)
            path.write_text(json.dumps(content))
    return folder


def several_launches(run, repetitions, seconds):
    """The run with so many repetitions of `mlp` alone, whose epochs take `seconds(backend, repetition)`."""
    paths = sorted((run / "launches").glob("r000*mlp*.json"))
    recorded = {path.name.removeprefix("r000"): json.loads(path.read_text()) for path in paths}
    for path in (run / "launches").iterdir():
        path.unlink()
    for repetition in range(repetitions):
        for name, content in recorded.items():
            launch = json.loads(json.dumps(content["launch"]))
            launch |= {"repetition": repetition, "seed": repetition, "weights_digest": f"of seed {repetition}"}
            launch["batches_digest"] = f"of seed {repetition}"
            for epoch in launch["epochs"]:
                epoch["seconds"] = seconds(launch["case"]["backend"], repetition)
            path = run / "launches" / f"r{repetition:03}{name}"
            path.write_text(json.dumps({**content, "launch": launch}))
    description = json.loads((run / "run.json").read_text())
    description["launches"] = repetitions
    description["plan"] = [planned for planned in description["plan"] if planned["case"]["workload"] == "mlp"]
    description["workloads"] = [one for one in description["workloads"] if one["workload"] == "mlp"]
    for planned in description["plan"]:
        planned.pop("launches", None)
    for workload in description["workloads"]:
        workload["weights"] = {}
    (run / "run.json").write_text(json.dumps(description))


def on_nodes(run, place, machines=None, gpu=None):
    """The run as if repetition `number` had been measured on the node `place(number)`.

    `machines` has what differs from the run's machine, by node; `gpu(number)` is the GPU where each had its own.
    """
    names = {}
    for path in sorted((run / "launches").iterdir()):
        content = json.loads(path.read_text())
        content["launch"]["node"] = place(content["launch"]["repetition"])
        names[content["launch"]["node"]] = None
        content["launch"] |= {"gpu": gpu(content["launch"]["repetition"])} if gpu else {}
        path.write_text(json.dumps(content))
    description = json.loads((run / "run.json").read_text())
    description["nodes"] = {name: {**description["machine"], **(machines or {}).get(name, {})} for name in names}
    (run / "run.json").write_text(json.dumps(description))
