"""Track `native` on PyTorch: its functions and its fused optimizers, without Keras; see backends/network.py."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - so it is known
from torch.optim import SGD, Adam, Optimizer

from bench.worker.backends import Knobs, Pass, network
from bench.worker.backends.network import Network, Node
from bench.worker.backends.torch import recurrent
from bench.worker.backends.torch.orders import to_keras, to_torch

# `layout` is that of images in memory. `attention` is torch's own in one call, or matrix products and a softmax, which
# are faster where there are few tokens on a CPU.
KNOBS: Mapping[str, Sequence[Any]] = {
    "compile": (False, True),
    "layout": ("channels_last", "contiguous"),
    "attention": ("fused", "products"),
}

Tensor = Any  # torch.Tensor, which is not there when the types are checked
Weights = dict[str, Tensor]


def make(model: Any, metric: str, knobs: Knobs) -> "Native":  # noqa: ARG001 - `read` refuses all but accuracy
    """See `Trainer`."""
    return Native(model, network.read(model), knobs)


class Native:
    """See `Trainer`.

    F.batch_norm keeps the unbiased variance, which is Keras's times a factor: as long as the network is trained, the
    moving variances are kept times that factor, known from the first batch on.
    """

    def __init__(self, model: Any, read: Network, knobs: Knobs) -> None:
        self._model, self._network, self._knobs = model, read, knobs
        self._roles = {path: (node.kind, role) for node in read.nodes for role, path in node.weights.items()}
        self._device = model.weights[0].value.device
        self._weights = {path: self._tensor(path) for path in read.weights}
        self._factors: dict[str, float] | None = None
        trainable = [self._weights[path].requires_grad_() for path in read.trainable]
        self._optimizer = _optimizer(read, trainable)
        self._steps, self._rates = 0, list(read.rates)
        self._compiled = torch.compile(self._loss) if knobs["compile"] else self._loss

    def place(self, *parts: Any) -> Any:
        x, y = parts
        inputs = torch.from_numpy(x).to(self._device, getattr(torch, network.input_type(self._network).name))
        if self._factors is None:
            self._begin(inputs[0])
        labels = torch.from_numpy(y).to(self._device, torch.int64)  # the only ones that F.cross_entropy takes
        return list(zip(inputs.unbind(), labels.unbind(), strict=True))

    def train(self, batches: Any) -> Pass:
        losses, shares = [], []
        for x, y in batches:
            loss, correct = self._compiled(x, y)
            loss.backward()
            self._step()
            losses.append(loss.detach())
            shares.append(correct)
        return Pass(torch.stack(losses).tolist(), torch.stack(shares).mean().item())

    def _step(self) -> None:
        """One step of the optimizer, whose rate of learning may change after some of them."""
        if self._rates and self._steps > self._rates[0][0]:
            _, self._optimizer.param_groups[0]["lr"] = self._rates.pop(0)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._steps += 1

    def store(self) -> None:
        found = {}
        for path, value in self._weights.items():
            kept = value.detach() / (self._factors or {}).get(path, 1.0)
            found[path] = to_keras(kept, *self._roles[path]).cpu().numpy()
        self._network.store(self._model, found)

    def copies(self) -> Sequence[Any]:
        memory = (value for kept in self._optimizer.state.values() for value in kept.values())
        return [*self._weights.values(), *(value for value in memory if torch.is_tensor(value) and value.ndim)]

    def _tensor(self, path: str) -> Tensor:
        value = torch.tensor(self._network.weights[path], device=self._device)
        value = to_torch(value, *self._roles[path])
        return _laid(value, self._knobs) if value.ndim == 4 else value.contiguous()

    def _begin(self, x: Tensor) -> None:
        """Find the factors by a step without data, and multiply the moving variances by them."""
        weights = {path: value.to("meta") for path, value in self._weights.items()}
        _, counts = forward(self._network, weights, x.to("meta"), self._knobs)
        self._factors = {path: count / (count - 1) for path, count in counts.items()}
        for path, factor in self._factors.items():
            self._weights[path] *= factor

    def _loss(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        logits, _ = forward(self._network, self._weights, x, self._knobs)
        loss = F.cross_entropy(logits.flatten(0, -2), y.flatten())  # it takes the classes for the second axis
        return loss, (logits.argmax(-1) == y).to(logits.dtype).mean()


def _optimizer(read: Network, trainable: list[Tensor]) -> Optimizer:
    given = read.constants
    if read.optimizer == "SGD":
        momentum = given["momentum"]
        nesterov = bool(given["nesterov"] and momentum)
        return SGD(trainable, given["learning_rate"], momentum, nesterov=nesterov, fused=True)
    betas = given["beta_1"], given["beta_2"]
    return Adam(trainable, given["learning_rate"], betas, given["epsilon"], fused=True)


def forward(read: Network, weights: Weights, x: Tensor, knobs: Knobs) -> tuple[Tensor, dict[str, int]]:
    """The logits of a batch, training, and over how many values each variance was taken.

    Axes are in Keras's order, channels last, whatever the layout in memory.
    """
    values, counts = [x], dict[str, int]()
    for node in read.nodes:
        call = Call(node, {role: weights[path] for role, path in node.weights.items()}, knobs, counts)
        values.append(KINDS[node.kind](call, *(values[index] for index in node.inputs)))
    return values[-1], counts


class Call:
    """One node being computed: its settings and weights, and where it says over how many values it took a variance."""

    def __init__(self, node: Node, weights: Weights, knobs: Knobs, counts: dict[str, int]) -> None:
        self.settings, self.weights, self.knobs = node.settings, weights, knobs
        self._node, self._counts = node, counts

    def count(self, values: int) -> None:
        self._counts[self._node.weights["variance"]] = values

    def activate(self, x: Tensor, own: bool = False) -> Tensor:
        """`own` says that nothing else reads `x`, which relu may then overwrite."""
        name = self.settings["activation"]
        return F.relu(x, inplace=own) if name == "relu" else ACTIVATIONS[name](x)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "gelu": F.gelu,
    "silu": F.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}


def _laid(x: Tensor, knobs: Knobs) -> Tensor:
    """Images or kernels, the channels the second axis, in the layout asked for."""
    channels_last = knobs["layout"] == "channels_last"
    return x.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def _images(call: Call, x: Tensor) -> Tensor:
    return _laid(x.permute(0, 3, 1, 2), call.knobs)


def _dense(call: Call, x: Tensor) -> Tensor:
    return call.activate(F.linear(x, call.weights["kernel"], call.weights.get("bias")), own=True)


def _convolution(call: Call, x: Tensor) -> Tensor:
    kernel, strides = call.weights["kernel"], call.settings["strides"]
    x, padding = _padded(call, _images(call, x), kernel.shape[2:], 0.0)
    x = F.conv2d(x, kernel, call.weights.get("bias"), strides, padding)
    return call.activate(x, own=True).permute(0, 2, 3, 1)


def _maximum(call: Call, x: Tensor) -> Tensor:
    size, strides = call.settings["size"], call.settings["strides"]
    x, padding = _padded(call, _images(call, x), size, -torch.inf)
    return F.max_pool2d(x, size, strides, padding).permute(0, 2, 3, 1)


def _padded(call: Call, x: Tensor, size: Sequence[int], fill: float) -> tuple[Tensor, tuple[int, int]]:
    """Images padded as Keras does, and how much is left to the operation, which pads both sides alike."""
    if call.settings["padding"] == "valid":
        return x, (0, 0)
    down, right = (
        max((-(-length // stride) - 1) * stride + one - length, 0)
        for length, one, stride in zip(x.shape[2:], size, call.settings["strides"], strict=True)
    )
    if down % 2 == 0 and right % 2 == 0:
        return x, (down // 2, right // 2)
    return F.pad(x, (right // 2, right - right // 2, down // 2, down - down // 2), value=fill), (0, 0)


def _average(call: Call, x: Tensor) -> Tensor:
    size, strides = call.settings["size"], call.settings["strides"]
    return F.avg_pool2d(_images(call, x), size, strides).permute(0, 2, 3, 1)


def _over_all(_call: Call, x: Tensor) -> Tensor:
    return x.mean(tuple(range(1, x.ndim - 1)))


def _flatten(_call: Call, x: Tensor) -> Tensor:
    return x.flatten(1)


def _reshape(call: Call, x: Tensor) -> Tensor:
    return x.reshape(len(x), *call.settings["shape"])


def _activation(call: Call, x: Tensor) -> Tensor:
    return call.activate(x)


def _dropout(call: Call, x: Tensor) -> Tensor:
    return F.dropout(x, call.settings["rate"])


def _batch_normalization(call: Call, x: Tensor) -> Tensor:
    given, momentum = call.weights, 1 - call.settings["momentum"]
    call.count(x[..., 0].numel())
    x, moving = x.movedim(-1, 1), (given["mean"], given["variance"])
    scale = given.get("gamma"), given.get("beta")
    return F.batch_norm(x, *moving, *scale, True, momentum, call.settings["epsilon"]).movedim(1, -1)


def _layer_normalization(call: Call, x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], call.weights.get("gamma"), call.weights.get("beta"), call.settings["epsilon"])


def _attention(call: Call, query: Tensor, value: Tensor, key: Tensor | None = None) -> Tensor:
    given, heads = call.weights, (call.settings["heads"], call.settings["size"])
    sources = {"query": query, "key": value if key is None else key, "value": value}
    q, k, v = (
        F.linear(x, given[f"{name} kernel"].flatten(0, 1), given[f"{name} bias"].flatten())
        .unflatten(-1, heads)
        .transpose(1, 2)
        for name, x in sources.items()
    )
    if call.knobs["attention"] == "fused":
        mixed = F.scaled_dot_product_attention(q, k, v)
    else:
        mixed = torch.softmax((q * heads[1] ** -0.5) @ k.transpose(-2, -1), -1) @ v
    return F.linear(mixed.transpose(1, 2).flatten(2), given["output kernel"].flatten(1), given["output bias"])


def _embedding(call: Call, x: Tensor) -> Tensor:
    return F.embedding(x.to(torch.int32), call.weights["table"])


def _add(_call: Call, *terms: Tensor) -> Tensor:
    return sum(terms[1:], start=terms[0])


KINDS: dict[str, Callable[..., Tensor]] = {
    "Dense": _dense,
    "Conv2D": _convolution,
    "MaxPooling2D": _maximum,
    "AveragePooling2D": _average,
    "GlobalAveragePooling1D": _over_all,
    "GlobalAveragePooling2D": _over_all,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Activation": _activation,
    "ReLU": _activation,
    "Dropout": _dropout,
    "BatchNormalization": _batch_normalization,
    "LayerNormalization": _layer_normalization,
    "MultiHeadAttention": _attention,
    "LSTM": recurrent.lstm,
    "GRU": recurrent.gru,
    "Embedding": _embedding,
    "Add": _add,
}
