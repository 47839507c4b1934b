"""Recurrent layers of track `native` on PyTorch: the operations behind `torch.nn.LSTM` and `torch.nn.GRU`.

Gates are in torch's order (`orders.py`).
"""

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - so it is known

Tensor = Any  # torch.Tensor, which is not there when the types are checked
Call = Any  # that of native.py, which imports this module

# `torch.compile` leaves out `torch.nn.LSTM` and `torch.nn.GRU` too; what it makes of an LSTM on a CPU ends in an error.
_LSTM, _GRU = torch.compiler.disable(torch.lstm), torch.compiler.disable(torch.gru)


def lstm(call: Call, x: Tensor) -> Tensor:
    """A long short-term memory over (batch, steps, features). Torch has two biases; the second stays zero."""
    zeros, biases = _state(call, x), _biases(call)
    biases = [biases[0], torch.zeros_like(biases[0])] if biases else []
    outputs, *_ = _LSTM(_read(call, x), (zeros, zeros), [*_kernels(call), *biases], *_how(biases))
    return _given(call, outputs)


def gru(call: Call, x: Tensor) -> Tensor:
    """Gated recurrent units over (batch, steps, features)."""
    if not call.settings["reset_after"]:
        return _given(call, _gru_reset_before(call, _read(call, x)))
    biases = _biases(call)
    outputs, _ = _GRU(_read(call, x), _state(call, x), [*_kernels(call), *biases], *_how(biases))
    return _given(call, outputs)


def _gru_reset_before(call: Call, x: Tensor) -> Tensor:
    """Step by step: torch's own resets after the product alone."""
    kernel, recurrent = _kernels(call)
    sizes = [2 * recurrent.shape[1], recurrent.shape[1]]
    of_gates, of_candidate = recurrent.split(sizes)
    hidden, outputs = _state(call, x)[0], []
    for product in F.linear(x, kernel, call.weights.get("bias")).unbind(1):
        gates, candidate = product.split(sizes, dim=-1)
        reset, update = torch.sigmoid(gates + F.linear(hidden, of_gates)).chunk(2, dim=-1)
        new = torch.tanh(candidate + F.linear(reset * hidden, of_candidate))
        hidden = update * hidden + (1 - update) * new
        outputs.append(hidden)
    return torch.stack(outputs, dim=1)


def _kernels(call: Call) -> list[Tensor]:
    return [call.weights["kernel"], call.weights["recurrent kernel"]]


def _biases(call: Call) -> list[Tensor]:
    return list(call.weights["bias"].reshape(-1, len(call.weights["kernel"]))) if "bias" in call.weights else []


def _how(biases: list[Tensor]) -> tuple[Any, ...]:
    """With biases or without, one layer, no dropout, training, one direction, the batch the first axis."""
    return bool(biases), 1, 0.0, True, False, True


def _state(call: Call, x: Tensor) -> Tensor:
    return x.new_zeros(1, len(x), call.weights["recurrent kernel"].shape[1])


def _read(call: Call, x: Tensor) -> Tensor:
    return x.flip(1) if call.settings["backwards"] else x


def _given(call: Call, outputs: Tensor) -> Tensor:
    return outputs if call.settings["sequences"] else outputs[:, -1]
