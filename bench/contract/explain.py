"""The words of an explanation: what a worker measures of a step, and the parts that an analysis makes of it."""

from __future__ import annotations

# The same training with one thing taken away after the other; each is measured in turns with the others.
AS_IT_IS = "as it is"  # with the workload's own callbacks, from arrays
SHORT = "short"  # fewer steps an epoch: the line through both gives what an epoch costs besides its steps
QUIET = "without callbacks"
RESIDENT = "resident input"  # and all that follow
UNMEASURED = "without metrics"
PLAIN = "plain SGD"
SINGLE = "one sample"  # a batch of one: what a step costs besides its samples
LARGER = "larger batch"  # per sample; another training, but what an epoch of so many samples takes
TIMES = 4  # as large is that batch
HELD = "batches in memory"  # where the user brings the input: the same batches from arrays
TAKEN_AWAY = (AS_IT_IS, SHORT, QUIET, RESIDENT, UNMEASURED, PLAIN, SINGLE)

PARTS = ("callbacks", "input", "metrics", "optimizer", "per step", "per sample")  # of a step; they add up to it
SHORTER = 4  # times fewer steps has an epoch of SHORT
# Of a step: what a part has to take before something is advised about it, as Keras's own settings can better it.
ADVISED = {"per step": 0.3, "input": 0.1}
EXECUTIONS = 16  # steps_per_execution that is tried
JIT, NO_JIT = "jit_compile=True", "jit_compile=False"
# What is tried and compiled in another way, so that its first epoch takes longer or less.
COMPILED = (f"steps_per_execution={EXECUTIONS}", JIT, NO_JIT, "run_eagerly=False")
LEAKING_EPOCHS = 10  # whose memory is looked at
# Calls in a loop of one's own, by the track of task predict that has them; and one that trains.
CALLS = {"predict": "fit", "predict_on_batch": "on_batch", "model(x)": "call", "train_on_batch": ""}
LOOKS = 8  # at the memory, after as many calls each
