"""Whether a model is a decoder, which task generate takes: tokens in, and for each place the logits of the next."""

from typing import Any

import keras
import numpy as np

from bench.contract.agreement import disagreement
from bench.worker.workload.model import fixed_batch
from models.datasets import Part, arrays_of, count, taken

EXAMPLES = 2  # sequences on which it is looked at
AXES = 2  # of tokens: batch and length


def described(model: keras.Model, samples: Part) -> dict[str, Any]:
    """What the plan needs to know; `samples` are the model's inputs, of shape (samples, …)."""
    size = fixed_batch(model) or min(EXAMPLES, count(samples))
    refusal = _refusal(model, taken(samples, slice(size)))
    own = callable(getattr(model, "generate", None))
    return {
        "context": None if refusal else int(arrays_of(samples)[0].shape[1]),
        "without_generate": f"generate takes a decoder; this is none: {refusal}" if refusal else None,
        "without_own_generate": None if own else "own: the model has no method `generate`",
    }


def _refusal(model: keras.Model, samples: Part) -> str:
    """Why a model is no decoder, in words; empty where it is one."""
    (tokens, *others) = arrays_of(samples)
    if others:
        return "it has several inputs"
    if tokens.ndim != AXES or not np.issubdtype(tokens.dtype, np.integer):
        kind = f"{tokens.dtype} of shape {('batch', *tokens.shape[1:])}".replace("'", "")
        return f"its input is {kind}, not whole numbers of shape (batch, length)"
    outputs = [keras.ops.convert_to_numpy(one) for one in keras.tree.flatten(model(samples, training=False))]
    if len(outputs) > 1 or outputs[0].ndim != tokens.ndim + 1 or outputs[0].shape[1] != tokens.shape[1]:
        return "its output is not one array of shape (batch, length, vocabulary)"
    return _looks_ahead(model, tokens, outputs[0])


def _looks_ahead(model: keras.Model, tokens: Any, outputs: Any) -> str:
    """Whether what it gives for the first half of a sequence depends on the second, as in an encoder; in words."""
    half = (tokens.shape[1] + 1) // 2
    changed = tokens.copy()
    changed[:, half:] = tokens[:, :1]
    found = keras.ops.convert_to_numpy(model(changed, training=False))
    ours, theirs = (one[:, :half].astype(np.float64).ravel().tolist() for one in (found, outputs))
    return "what it gives for a place depends on later ones" if disagreement(ours, theirs, "float32") else ""
