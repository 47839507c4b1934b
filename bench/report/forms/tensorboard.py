"""A run as TensorBoard's event files: a TensorBoard run per backend and seed, the same tags in all, so they overlay."""

from __future__ import annotations

import contextlib
from datetime import datetime
from pathlib import Path

import pandas as pd
from tensorboardX import SummaryWriter

from bench.analysis import Analysis
from bench.analysis.frames import CASES, counted
from bench.contract.case import stem

SCALARS = {
    "train_loss": "loss",
    "train_metric": "{metric}",
    "validation_loss": "validation_loss",
    "validation_metric": "validation_{metric}",
    "seconds": "epoch_seconds",
}
OWN = ("workload", "dataset", "backend")  # said by the tag, or by the first word of the name


def write(analysis: Analysis, folder: Path) -> int:
    """Write an event file for each backend and seed, with all workloads' launches of training; how many there are.

    A tag is `mlp/epoch_seconds`, a step an epoch from 1 on; the time of an event is the run's start and the launch's
    epochs until then, so that TensorBoard's relative axis shows seconds of training.
    """
    keys = [*CASES, "repetition", "attempt"]
    epochs = analysis.run.epochs.merge(counted(analysis.run)[keys], on=keys)
    metrics = {workload.workload: workload.target.metric for workload in analysis.run.description.workloads}
    varying = [name for name in CASES if name not in OWN and epochs.groupby("workload")[name].nunique().gt(1).any()]
    began = _seconds(analysis.run.description.started)
    runs: dict[Path, SummaryWriter] = {}  # a second writer of a folder, in the same second, would replace its file
    with contextlib.ExitStack() as open_runs:
        for _, launch in epochs.groupby([*CASES, "seed"], sort=False):
            first = launch.iloc[0]
            words = [str(first["backend"]), *(f"{first[name]}" for name in varying)]
            path = folder / "-".join(words) / f"seed-{first['seed']}"
            if path not in runs:
                runs[path] = open_runs.enter_context(SummaryWriter(str(path)))
            _add(runs[path], launch, metrics[first["workload"]], began)
    return len(runs)


def _add(writer: SummaryWriter, launch: pd.DataFrame, metric: str, began: float) -> None:
    """A launch's epochs, each quantity under its tag."""
    passed = launch["seconds"].astype(float).cumsum()
    for column, words in SCALARS.items():
        tag = f"{stem(launch['workload'].iloc[0])}/{words.format(metric=metric)}"
        for epoch, value, after in zip(launch["epoch"], launch[column], passed, strict=True):
            if not pd.isna(value):
                writer.add_scalar(tag, float(value), int(epoch) + 1, began + after)


def _seconds(started: str | None) -> float:
    """A time as seconds since 1970; 0 where the run does not say when it began."""
    return datetime.fromisoformat(started).timestamp() if started else 0.0
