"""OpenVINO: Keras computes on it and cannot train; so there is no training loop here, and no gradients."""

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

DEVICE = "CPU"
PRECISIONS = {"bfloat16": "bf16", "float16": "f16"}  # of the numerics; all others are float32


def environment(device: str, numerics: str | None, threads: int) -> dict[str, str]:  # noqa: ARG001 - it reads none
    return {}


def configure(numerics: str, threads: int) -> None:
    """Every model that is compiled from now on, by Keras too, gets these settings, for which Keras has no argument.

    Left to itself OpenVINO computes a float32 model in bfloat16 where the CPU has instructions for it.
    """
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": PRECISIONS.get(numerics, "f32"), "INFERENCE_NUM_THREADS": threads}
    openvino.compile_model = partial(openvino.compile_model, config=settings)


def allow_float64() -> None:
    """Do nothing: it has none, and no case in float64 is planned."""


def cached_weight_init(folder: Path) -> AbstractContextManager[None]:  # noqa: ARG001 - nothing is compiled
    return nullcontext()


def make_deterministic() -> None:
    """Do nothing: OpenVINO computes on the CPU."""


def barrier() -> None:
    """Do nothing: every call returns when its work is done."""


def synchronize() -> None:
    """Do nothing, as `barrier` does."""


def devices() -> list[str]:
    import openvino

    core = openvino.Core()
    return [f"cpu: {core.get_property(DEVICE, 'FULL_DEVICE_NAME')}"]  # the only one that Keras uses


def device_of(value: Any) -> str:  # noqa: ARG001 - see `devices`
    return "cpu"


def peak_device_mib() -> float | None:
    return None


def held_device_mib() -> float | None:
    return None


def flags() -> dict[str, Any]:
    import openvino
    import openvino.opset16 as operations

    given = operations.parameter([1], openvino.Type.f32)
    compiled = openvino.compile_model(openvino.Model([operations.relu(given)], [given]), DEVICE)
    return {
        "inference_precision": compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name(),
        "inference_threads": compiled.get_property("INFERENCE_NUM_THREADS"),
        "streams": compiled.get_property("NUM_STREAMS"),
    }
