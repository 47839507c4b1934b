"""A recorded run, altered: for tests of what is made of it."""

import json


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
