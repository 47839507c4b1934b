"""The rules of advice: a symptom, its threshold, what is tried against it, and in which words it is told."""

from __future__ import annotations

from dataclasses import dataclass

from bench.contract import explain
from bench.contract.case import RESIDENT, input_kinds


@dataclass(frozen=True)
class Rule:
    """When a setting is worth advising: `part` takes at least `share` of a step, and `tried` gains.

    `tried` is the training that has it; `cause` and `cure` are words, in which {name} is something that launches tell.
    """

    part: str
    share: float
    tried: str
    cause: str
    cure: str
    source: str  # where its threshold or its cure comes from


RULES = (
    Rule(
        "per step",
        explain.ADVISED["per step"],
        f"steps_per_execution={explain.EXECUTIONS}",
        "is work of each step whatever its samples",
        f"compile with steps_per_execution={explain.EXECUTIONS}",
        "Keras's documentation of Model.compile",
    ),
    *(
        Rule(
            "input",
            explain.ADVISED["input"],
            f"input {kind}",
            "is waiting for its input",
            f"hand `fit` a {kind}",
            "docs/inputs.md",
        )
        for kind in input_kinds()
        if kind not in ("arrays", RESIDENT)
    ),
    Rule(
        "input",
        explain.ADVISED["input"],
        explain.HELD,
        "is waiting for its input, a {input}",
        "let it do less for a batch, or do it ahead, in workers or once for all; training on the same, in memory,",
        "the same batches from memory",
    ),
    Rule(
        "metrics",
        0.1,
        explain.UNMEASURED,
        "goes into {metrics}",
        "compile without metrics and compute them in evaluate",
        "the same training without them",
    ),
    Rule(
        "callbacks",
        0.05,
        explain.QUIET,
        "goes into {callbacks}",
        "let them do less, or do it less often",
        "the same training without them",
    ),
    Rule(
        "per step",
        explain.ADVISED["per step"],
        explain.LARGER,
        "is work of each step whatever its samples",
        f"a batch {explain.TIMES} times as large, which is another training,",
        "the line through two batch sizes",
    ),
    *(Rule("", 0.0, jit, "", f"compile with {jit}", "tried") for jit in (explain.JIT, explain.NO_JIT)),
    Rule(
        "optimizer",
        0.3,
        explain.PLAIN,
        "is what {optimizer} costs beyond plain SGD, for each weight at every step",
        "an optimizer that keeps less for each weight, which is another training; plain SGD, the least there is,",
        "the same training with plain SGD",
    ),
    Rule("", 0.0, "run_eagerly=False", "", "compile without run_eagerly=True", "tried"),
)
