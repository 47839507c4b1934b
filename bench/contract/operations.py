"""The words of a traced epoch: which pass of a step an operation is of, and what stands for a layer where none is."""

from __future__ import annotations

FORWARD, BACKWARD, UPDATE = "forward", "backward", "update"
PHASES = (FORWARD, BACKWARD, UPDATE)
LOSS, METRICS, OPTIMIZER = "loss", "metrics", "optimizer"  # in the place of a layer
OTHER = "other"  # in the place of a layer: what cannot be brought home
TRACES = "-trace"  # how the folder with a profiler's own files ends, beside what the process wrote
